// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does one thing to a volume again and again, with random pauses, while
 * something else (fio, or a thread of this program) reads and writes it.
 *
 *   vmrace SEED ROUNDS DEVICE TABLE VERB
 *
 * TABLE is the volume's line with %s for the name of its key; VERB is one of
 * the table at the end. Each round begins and ends with an active volume;
 * "forced" and "deferred" make and remove it in each. Prints the first thing
 * that is wrong, and exits 1.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "dmctl.h"
#include "secret.h"

#define SECRET_SEED	1	/* of all keys: one volume, one secret */
#define LOCK_SECONDS	60	/* for a lock that comes with a delay */
#define PIECE_BYTES	16384
#define PIECES		64

static const char *name, *table;
static uint64_t dice;
static unsigned int keys;	/* made so far: each has a name of its own */
static key_serial_t key;	/* the one in use */

static unsigned int roll(unsigned int sides)
{
	dice = dice * 6364136223846793005ull + 1442695040888963407ull;
	return (dice >> 33) % sides;
}

static void nap(unsigned int max_us)
{
	usleep(roll(max_us) + 1);
}

static int expect(const char *what, int r, int want)
{
	if (r == want)
		return 0;
	printf("%s: %s, not %s\n", what, r ? strerrorname_np(-r) : "success",
	       want ? strerrorname_np(-want) : "success");
	return -1;
}

static int expect_state(const char *want)
{
	char state[40] = "";
	int r = dm_state(name, state, sizeof(state));

	if (!r && !strcmp(state, want))
		return 0;
	printf("state: '%s', not '%s' (%d)\n", state, want, r);
	return -1;
}

/* Until the volume is in that state; the kernel looks once a second. */
static int wait_state(const char *want)
{
	char state[40] = "";
	time_t end = time(NULL) + LOCK_SECONDS;

	do {
		if (!dm_state(name, state, sizeof(state)) &&
		    !strcmp(state, want))
			return 0;
		usleep(2000);
	} while (time(NULL) < end);
	return expect_state(want);
}

static void key_name(char *name_ret, size_t bytes)
{
	snprintf(name_ret, bytes, "race-%u", keys);
}

/* A new key of the same secret; the former one is unlinked. */
static int new_key(void)
{
	uint8_t *secret = locked(4096);
	key_serial_t old = key;
	char text[32];

	keys++;
	key_name(text, sizeof(text));
	derive(SECRET_SEED, secret);
	key = add_key("envelope", text, secret, KEY_BYTES, ring());
	wipe(secret, KEY_BYTES);
	munmap(secret, 4096);
	if (key == -1) {
		perror("add_key");
		return -1;
	}
	if (old)
		keyctl_unlink(old, ring());
	return 0;
}

static int key_set(void)
{
	char words[64], text[32];

	key_name(text, sizeof(text));
	snprintf(words, sizeof(words), "key set :64:envelope:%s", text);
	return expect("key set", dm_message(name, words), 0);
}

static int key_wipe(void)
{
	return expect("key wipe", dm_message(name, "key wipe"), 0);
}

static void table_line(char *line_ret, size_t bytes)
{
	char text[32];

	key_name(text, sizeof(text));
	snprintf(line_ret, bytes, table, text);
}

static int load(int want)
{
	char line[1024];

	table_line(line, sizeof(line));
	return expect("reload", dm_load(name, line), want);
}

static int suspend(unsigned int flags)
{
	return dm_simple(name, DM_DEV_SUSPEND, DM_SUSPEND_FLAG | flags);
}

static int resume(void)
{
	return expect("resume", dm_simple(name, DM_DEV_SUSPEND, 0), 0);
}

/* rounds */

static int wiped(void)
{
	if (key_wipe() || expect_state("locked wiped"))
		return -1;
	nap(20000);
	return key_set();
}

static int exchanged(void)
{
	key_serial_t old = key;

	key = 0;	/* new_key() leaves the old one linked */
	if (new_key() || key_set())
		return -1;
	nap(5000);
	keyctl_revoke(old);
	keyctl_unlink(old, ring());
	return expect_state("active -");
}

static int revoked(void)
{
	if (keyctl_revoke(key) || expect_state("locked revoked"))
		return -1;
	nap(20000);
	return new_key() ? -1 : key_set();
}

static int invalidated(void)
{
	if (keyctl_invalidate(key) || wait_state("locked invalidated"))
		return -1;
	nap(20000);
	return new_key() ? -1 : key_set();
}

static int renewed(void)
{
	keyctl_set_timeout(key, 3600 + roll(3600));
	nap(20000);
	return expect_state("active -");
}

static int expired(void)
{
	keyctl_set_timeout(key, 1);
	if (wait_state("locked expired"))
		return -1;
	nap(20000);
	return new_key() ? -1 : key_set();
}

static int suspended(void)
{
	if (expect("suspend", suspend(0), 0))
		return -1;
	nap(5000);
	return resume();
}

static int suspended_noflush(void)
{
	if (expect("suspend", suspend(DM_NOFLUSH_FLAG), 0))
		return -1;
	nap(5000);
	return resume();
}

static int reloaded(void)
{
	if (load(0))
		return -1;
	nap(5000);
	return resume();
}

static int reloaded_locked(void)
{
	if (key_wipe() || load(-EKEYREVOKED))
		return -1;
	nap(20000);
	return key_set();
}

/* What waits goes back to dm core, and comes again. */
static int noflush_locked(void)
{
	int first = roll(2);

	if (key_wipe())
		return -1;
	nap(20000);
	if (expect("suspend", suspend(DM_NOFLUSH_FLAG), 0))
		return -1;
	if (first ? key_set() || resume() : resume())
		return -1;
	nap(20000);
	return first ? 0 : key_set();
}

static unsigned int thread_flags;

static void *suspend_thread(void *result)
{
	*(int *)result = suspend(thread_flags);
	return NULL;
}

static int flush_locked(void)
{
	pthread_t thread;
	int r = 1;

	if (key_wipe())
		return -1;
	thread_flags = 0;
	pthread_create(&thread, NULL, suspend_thread, &r);
	nap(20000);
	if (key_set())
		return -1;
	pthread_join(thread, NULL);
	return expect("suspend", r, 0) ? -1 : resume();
}

static void ignore(int number)
{
	(void)number;
}

/* A signal meets the suspend while requests are on their way through. */
static int interrupted(void)
{
	struct sigaction action = { .sa_handler = ignore };
	pthread_t thread;
	int r = 1;

	sigaction(SIGUSR1, &action, NULL);
	if (key_wipe())
		return -1;
	thread_flags = DM_NOFLUSH_FLAG;
	pthread_create(&thread, NULL, suspend_thread, &r);
	nap(3000);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	if (r != -EINTR && expect("suspend", r, 0))
		return -1;
	if (!r && resume())
		return -1;
	nap(3000);
	return key_set();
}

static int not_unloaded(void)
{
	int r = syscall(SYS_delete_module, "dm_envelope", O_NONBLOCK) ?
		-errno : 0;

	nap(2000);
	return expect("unload", r, -EAGAIN);
}

/* One thread's I/O, and what it knows to be on the disk. */
struct work {
	unsigned int generation[PIECES];	/* 0: unknown */
	uint64_t dice;
	int error;			/* errno that ended it; -1: wrong data */
	int stop;
};

static void fill(uint8_t *p, unsigned int piece, unsigned int generation)
{
	uint64_t x = piece * 1000003ull + generation * 0x9e3779b97f4a7c15ull + 1;

	for (int i = 0; i < PIECE_BYTES; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, &x, 8);
	}
}

/* By its number: nobody makes a link for what was made by ioctl. */
static int open_device(void)
{
	struct dm_request r = { 0 };
	char path[128];

	if (dm_call(name, DM_DEV_STATUS, &r))
		return -1;
	snprintf(path, sizeof(path), "/dev/dm-%u", minor(r.head.dev));
	return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
}

/* 0, errno, or -1 for data that were never written there */
static int check_piece(int fd, const struct work *work, unsigned int piece,
		       uint8_t *buffer, uint8_t *want)
{
	ssize_t n = pread(fd, buffer, PIECE_BYTES, (off_t)piece * PIECE_BYTES);

	if (n != PIECE_BYTES)
		return n < 0 ? errno : EIO;
	fill(want, piece, work->generation[piece]);
	return work->generation[piece] && memcmp(buffer, want, PIECE_BYTES) ?
		-1 : 0;
}

static void *work_thread(void *data)
{
	struct work *work = data;
	uint8_t *buffer = aligned_alloc(4096, PIECE_BYTES);
	uint8_t *want = aligned_alloc(4096, PIECE_BYTES);
	int fd = open_device();

	for (unsigned int n = 1; fd >= 0 && !work->error; n++) {
		unsigned int piece = work->dice++ * 2654435761u % PIECES;

		if (__atomic_load_n(&work->stop, __ATOMIC_RELAXED))
			break;
		fill(buffer, piece, n);
		work->generation[piece] = 0;
		if (pwrite(fd, buffer, PIECE_BYTES, (off_t)piece *
			   PIECE_BYTES) != PIECE_BYTES)
			work->error = errno;
		else
			work->generation[piece] = n;
		if (!work->error)
			work->error = check_piece(fd, work, (piece + n) %
						  PIECES, buffer, want);
	}
	if (fd < 0)
		work->error = errno;
	else
		close(fd);
	free(buffer);
	free(want);
	return NULL;
}

static int create(void)
{
	char line[1024];

	table_line(line, sizeof(line));
	return expect("create", dm_create(name, line), 0);
}

/* Removes a device that somebody may have open for a moment yet. */
static int removed(void)
{
	time_t end = time(NULL) + LOCK_SECONDS;
	int r;

	do {
		r = dm_simple(name, DM_DEV_REMOVE, 0);
		if (r == -EBUSY)
			usleep(2000);
	} while (r == -EBUSY && time(NULL) < end);
	return expect("remove", r, 0);
}

/* All that was acknowledged is there in the next life of the volume. */
static int verified(struct work *work)
{
	uint8_t *buffer = aligned_alloc(4096, PIECE_BYTES);
	uint8_t *want = aligned_alloc(4096, PIECE_BYTES);
	int fd, r = 0;

	if (create())
		return -1;
	fd = open_device();
	for (int i = 0; i < PIECES && !r; i++)
		r = check_piece(fd, work, i, buffer, want);
	close(fd);
	free(buffer);
	free(want);
	if (r)
		printf("what was written is gone (%d)\n", r);
	return removed() || r ? -1 : 0;
}

/* As dmsetup remove --force: an error table under it, then away. */
static int forced(void)
{
	struct work work = { .dice = roll(1u << 30) };
	int locked_first = roll(2);
	pthread_t thread;
	char line[64];

	if (create())
		return -1;
	pthread_create(&thread, NULL, work_thread, &work);
	nap(30000);
	if (locked_first && key_wipe())
		return -1;
	nap(5000);
	snprintf(line, sizeof(line), "0 %llu error ",
		 strtoull(table + 2, NULL, 10));
	if (expect("error table", dm_load(name, line), 0) ||
	    expect("suspend", suspend(DM_NOFLUSH_FLAG), 0) || resume())
		return -1;
	pthread_join(thread, NULL);
	if (expect("the I/O", -work.error, -EIO) || removed())
		return -1;
	return verified(&work);
}

/* Goes when the last one who has it open has left, and not before. */
static int deferred(void)
{
	struct work work = { .dice = roll(1u << 30) };
	time_t end = time(NULL) + LOCK_SECONDS;
	char state[40];
	pthread_t thread;
	int fd;

	if (create())
		return -1;
	fd = open_device();
	pthread_create(&thread, NULL, work_thread, &work);
	nap(10000);
	if (expect("remove", dm_simple(name, DM_DEV_REMOVE,
				       DM_DEFERRED_REMOVE), 0))
		return -1;
	nap(20000);
	if (expect_state("active -") || wiped())
		return -1;
	__atomic_store_n(&work.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	close(fd);
	if (expect("the I/O", -work.error, 0))
		return -1;
	while (!dm_state(name, state, sizeof(state)) && time(NULL) < end)
		usleep(2000);
	return verified(&work);
}

static const struct verb {
	const char *name;
	int (*round)(void);
	int alone;		/* makes the device itself */
} verbs[] = {
	{ "wipe", wiped, 0 },
	{ "exchange", exchanged, 0 },
	{ "revoke", revoked, 0 },
	{ "invalidate", invalidated, 0 },
	{ "renew", renewed, 0 },
	{ "expire", expired, 0 },
	{ "suspend", suspended, 0 },
	{ "noflush", suspended_noflush, 0 },
	{ "reload", reloaded, 0 },
	{ "reload-locked", reloaded_locked, 0 },
	{ "noflush-locked", noflush_locked, 0 },
	{ "flush-locked", flush_locked, 0 },
	{ "interrupt", interrupted, 0 },
	{ "unload", not_unloaded, 0 },
	{ "forced", forced, 1 },
	{ "deferred", deferred, 1 },
};

static int run(const struct verb *verb, unsigned int rounds)
{
	if (new_key() || (!verb->alone && key_set()))
		return 1;
	for (unsigned int n = 1; n <= rounds; n++) {
		if (verb->round()) {
			printf("%s: in round %u\n", verb->name, n);
			return 1;
		}
	}
	return !verb->alone && expect_state("active -") ? 1 : 0;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 6 && i < sizeof(verbs) / sizeof(*verbs);
	     i++) {
		if (strcmp(argv[5], verbs[i].name))
			continue;
		dice = strtoull(argv[1], NULL, 0);
		name = argv[3];
		table = argv[4];
		/* no two runs share the names of their keys */
		keys = getpid() * 10000;
		if (dm_open()) {
			perror("vmrace");
			return 1;
		}
		return run(&verbs[i], atoi(argv[2]));
	}
	fprintf(stderr, "usage: vmrace SEED ROUNDS DEVICE TABLE VERB\n");
	return 2;
}
