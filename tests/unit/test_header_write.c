// SPDX-License-Identifier: GPL-2.0-or-later
/* Updates that are cut short: by kill -9, by power, by a failing store. */
#include "header_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#define PIECE 4096	/* a store takes the header in pieces of this size */
#define PIECES ((int)(HEADER_BYTES / PIECE))

static struct header *reread(int fd)
{
	struct header *h = NULL;

	assert_int_equal(header_read(fd, "disk", &h), 0);
	return h;
}

/* The update that is cut short: another slot, and another size of core. */
static struct header *updated(int fd, const struct secret *dek)
{
	struct header_slot slot = fixture_slot(ARN_2);
	struct header *h = reread(fd);
	struct header_core core = *header_core(h);

	core.size_bytes = 4 << 20;
	assert_int_equal(header_change_core(h, &core), 0);
	assert_int_equal(header_set_slot(h, 0, &slot), 0);
	assert_int_equal(header_seal(h, dek), 0);
	return h;
}

/* All old or all new: 0 or 1. Anything else fails the test. */
static int old_or_new(int fd, const struct secret *dek)
{
	struct header *h = reread(fd);
	uint64_t size = header_core(h)->size_bytes;
	const char *key = header_slot_get(h, 0).key_id;
	int new = size == 4 << 20;

	assert_int_equal(header_verify(h, "disk", dek), 0);
	assert_int_equal(size, new ? 4 << 20 : 8 << 20);
	assert_string_equal(key, new ? ARN_2 : ARN_1);
	header_free(h);
	return new;
}

/* What a store does: small pieces, and after enough of them it is over. */
static int calls_left;

static ssize_t mortal_pwrite(int fd, const void *p, size_t bytes, off_t offset)
{
	if (bytes > PIECE)
		bytes = PIECE;
	if (calls_left-- == 0) {
		/* In the middle of a piece. */
		if (pwrite(fd, p, bytes / 3, offset) < 0)
			_exit(1);
		raise(SIGKILL);
	}
	return pwrite(fd, p, bytes, offset);
}

static int mortal_fsync(int fd)
{
	if (calls_left-- == 0)
		raise(SIGKILL);
	return fsync(fd);
}

static const struct header_io mortal = { mortal_pwrite, mortal_fsync };

/* Update in a process that is killed at its call number @calls. */
static bool update_and_die(int fd, const struct secret *dek, int calls)
{
	struct header *h = updated(fd, dek);
	pid_t child;
	int status;

	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		calls_left = calls;
		header_set_io(&mortal);
		_exit(header_write(fd, "disk", h) == 0 ? 0 : 1);
	}
	header_free(h);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return true;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

/* @damaged: the copy that is damaged before the update, or -1. */
static void kill_at_every_write(int damaged)
{
	struct secret *dek = fixture_dek(1);
	int fd, calls = 0, seen[2] = { 0 };
	bool died;

	do {
		fd = fixture_volume(dek);
		if (damaged >= 0)
			fixture_flip(fd, damaged * HEADER_COPY_BYTES + 4100);
		died = update_and_die(fd, dek, calls++);
		seen[old_or_new(fd, dek)]++;
		close(fd);
	} while (died);
	/* Every piece of both copies, two flushes, and once to the end. */
	assert_int_equal(calls, PIECES + 2 + 1);
	assert_true(seen[0] > 0 && seen[1] > 0);
	secret_free(dek);
}

static void kill_9_at_every_write(void **state)
{
	(void)state;
	kill_at_every_write(-1);
}

static void kill_9_with_copy_a_damaged(void **state)
{
	(void)state;
	kill_at_every_write(0);
}

static void kill_9_with_copy_b_damaged(void **state)
{
	(void)state;
	kill_at_every_write(1);
}

/* After a cut, the next update must not tear the copy that serves. */
static void kill_9_twice(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h;
	int calls, fd, r;

	(void)state;
	for (calls = 0; calls < PIECES + 2; calls += 3) {
		fd = fixture_volume(dek);
		/* B is new and whole, A is old. */
		assert_true(update_and_die(fd, dek, PIECES / 2 + 1));
		assert_int_equal(old_or_new(fd, dek), 1);
		assert_true(update_and_die(fd, dek, calls));
		/* What was new stays; revision 1 never comes back. */
		assert_int_equal(old_or_new(fd, dek), 1);
		h = reread(fd);
		assert_true(header_core(h)->revision >= 2);
		r = header_repair(fd, "disk", h, dek);
		assert_int_equal(r, 0);
		header_free(h);
		h = reread(fd);
		assert_true(header_copies_agree(h));
		header_free(h);
		close(fd);
	}
	secret_free(dek);
}

/* A log of what reached the store, to replay it as a power cut would. */
static struct {
	struct {
		off_t offset;	/* of a piece; -1: flush */
		uint8_t bytes[PIECE];
	} call[PIECES + 8];
	int count;
} tape;

static ssize_t tape_pwrite(int fd, const void *p, size_t bytes, off_t offset)
{
	if (bytes > PIECE)
		bytes = PIECE;
	tape.call[tape.count].offset = offset;
	memcpy(tape.call[tape.count++].bytes, p, bytes);
	return pwrite(fd, p, bytes, offset);
}

static int tape_fsync(int fd)
{
	(void)fd;
	tape.call[tape.count++].offset = -1;
	return 0;
}

static const struct header_io taping = { tape_pwrite, tape_fsync };

static void tape_update(const struct secret *dek)
{
	int fd = fixture_volume(dek);
	struct header *h = updated(fd, dek);

	tape.count = 0;
	header_set_io(&taping);
	assert_int_equal(header_write(fd, "disk", h), 0);
	header_set_io(NULL);
	header_free(h);
	close(fd);
}

/* B, flush, A, flush: what everything else rests on. */
static void order_of_writes(void **state)
{
	struct secret *dek = fixture_dek(1);
	int i;

	(void)state;
	tape_update(dek);
	assert_int_equal(tape.count, PIECES + 2);
	for (i = 0; i < PIECES / 2; i++)
		assert_int_equal(tape.call[i].offset,
				 HEADER_COPY_BYTES + i * PIECE);
	assert_int_equal(tape.call[i].offset, -1);
	for (i = 0; i < PIECES / 2; i++)
		assert_int_equal(tape.call[PIECES / 2 + 1 + i].offset,
				 i * PIECE);
	assert_int_equal(tape.call[PIECES + 1].offset, -1);
	secret_free(dek);
}

/*
 * Power goes after call @end: what was flushed is there, of the rest only the
 * pieces that @pattern picks.
 */
static void replay(int fd, int end, unsigned int pattern)
{
	int flushed = 0, i;

	for (i = 0; i < end; i++)
		if (tape.call[i].offset < 0)
			flushed = i;
	for (i = 0; i < end; i++) {
		bool kept = i < flushed || (pattern == 0 && i % 2) ||
			    (pattern == 1 && i % 2 == 0) ||
			    (pattern == 2 && i > end - 8) || pattern == 3;

		if (tape.call[i].offset >= 0 && kept)
			assert_int_equal(pwrite(fd, tape.call[i].bytes, PIECE,
						tape.call[i].offset), PIECE);
	}
}

static void power_cut_loses_unflushed_writes(void **state)
{
	struct secret *dek = fixture_dek(1);
	unsigned int pattern;
	int fd, end;

	(void)state;
	tape_update(dek);
	for (end = 0; end <= tape.count; end++) {
		for (pattern = 0; pattern < 4; pattern++) {
			fd = fixture_volume(dek);
			replay(fd, end, pattern);
			old_or_new(fd, dek);
			close(fd);
		}
	}
	secret_free(dek);
}

/* Stores that fail, dawdle or lie. */
static int failing_call, fail_errno;

static ssize_t failing_pwrite(int fd, const void *p, size_t bytes, off_t offset)
{
	if (failing_call-- == 0) {
		errno = fail_errno;
		return -1;
	}
	return pwrite(fd, p, bytes, offset);
}

static int failing_fsync(int fd)
{
	(void)fd;
	if (failing_call-- == 0) {
		errno = fail_errno;
		return -1;
	}
	return 0;
}

static const struct header_io failing = { failing_pwrite, failing_fsync };

static void failing_store(void **state)
{
	static const char *const says[] = {
		"'disk': cannot write the header at byte 131072: No space left",
		"'disk': cannot flush the header: No space left",
		"'disk': cannot write the header at byte 0: No space left",
		"'disk': cannot flush the header: No space left",
	};
	struct secret *dek = fixture_dek(1);
	struct header *h;
	int call, fd;

	(void)state;
	for (call = 0; call < 5; call++) {
		fd = fixture_volume(dek);
		h = updated(fd, dek);
		failing_call = call;
		fail_errno = ENOSPC;
		header_set_io(&failing);
		fixture_listen();
		assert_int_equal(header_write(fd, "disk", h),
				 call < 4 ? -EIO : 0);
		assert_heard(call < 4 ? says[call] : "");
		header_set_io(NULL);
		old_or_new(fd, dek);
		header_free(h);
		close(fd);
	}
	/* A signal is no failure. */
	for (call = 0; call < 4; call++) {
		fd = fixture_volume(dek);
		h = updated(fd, dek);
		failing_call = call;
		fail_errno = EINTR;
		header_set_io(&failing);
		assert_int_equal(header_write(fd, "disk", h), 0);
		header_set_io(NULL);
		assert_int_equal(old_or_new(fd, dek), 1);
		header_free(h);
		close(fd);
	}
	secret_free(dek);
}

static void repair_of_good_copies_writes_nothing(void **state)
{
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);
	struct header *h = reread(fd);

	(void)state;
	tape.count = 0;
	header_set_io(&taping);
	assert_int_equal(header_repair(fd, "disk", h, dek), 0);
	header_set_io(NULL);
	assert_int_equal(tape.count, 0);
	header_free(h);
	close(fd);
	secret_free(dek);
}

static void old_bytes_are_gone(void **state)
{
	struct secret *dek = fixture_dek(1);
	uint8_t *all = malloc(HEADER_BYTES);
	int fd = fixture_volume(dek);
	struct header *h = reread(fd);
	struct header_slot slot = fixture_slot(ARN_2);
	int i;

	(void)state;
	for (i = 0; i < 15; i++)
		assert_int_equal(header_add_slot(h, &slot), 0);
	assert_int_equal(header_write(fd, "disk", h), 0);
	for (i = 0; i < 15; i++)
		assert_int_equal(header_remove_slot(h, 1), 0);
	assert_int_equal(header_write(fd, "disk", h), 0);
	assert_int_equal(pread(fd, all, HEADER_BYTES, 0), HEADER_BYTES);
	assert_null(memmem(all, HEADER_BYTES, ARN_2, strlen(ARN_2)));
	free(all);
	header_free(h);
	close(fd);
	secret_free(dek);
}

static void erase_leaves_nothing(void **state)
{
	struct secret *dek = fixture_dek(1);
	uint8_t *all = malloc(HEADER_BYTES), *zero = calloc(1, HEADER_BYTES);
	int fd = fixture_volume(dek);
	struct header *h = NULL;

	(void)state;
	assert_int_equal(header_erase(fd, "disk"), 0);
	assert_int_equal(pread(fd, all, HEADER_BYTES, 0), HEADER_BYTES);
	assert_memory_equal(all, zero, HEADER_BYTES);
	fixture_listen();
	assert_int_equal(header_read(fd, "disk", &h), -ENODATA);
	assert_heard("'disk': no envelope header");
	free(all);
	free(zero);
	close(fd);
	secret_free(dek);
}

/* A store that says yes and does nothing, as blkdiscard may. */
static ssize_t lying_pwrite(int fd, const void *p, size_t bytes, off_t offset)
{
	(void)fd;
	(void)p;
	(void)offset;
	return bytes;
}

static void erase_is_read_back(void **state)
{
	static const struct header_io lying = { lying_pwrite, tape_fsync };
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);

	(void)state;
	tape.count = 0;
	header_set_io(&lying);
	fixture_listen();
	assert_int_equal(header_erase(fd, "disk"), -EIO);
	assert_heard("'disk': byte 0 of the header is still there after the erase");
	header_set_io(NULL);
	close(fd);
	secret_free(dek);
}

static void lock_waits_and_gives_up(void **state)
{
	int fd = fixture_file(), other;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, O_RDWR | O_CLOEXEC);
	assert_true(other >= 0);
	assert_int_equal(header_lock(fd, "disk"), 0);
	fixture_listen();
	assert_int_equal(header_lock(other, "disk"), -EBUSY);
	assert_heard("'disk': another program holds the header's lock");
	fixture_listen();
	assert_int_equal(header_lock_now(other, "disk"), -EBUSY);
	assert_heard("'disk': another program holds the header's lock");
	close(fd);
	assert_int_equal(header_lock(other, "disk"), 0);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_of_writes),
		cmocka_unit_test(kill_9_at_every_write),
		cmocka_unit_test(kill_9_with_copy_a_damaged),
		cmocka_unit_test(kill_9_with_copy_b_damaged),
		cmocka_unit_test(kill_9_twice),
		cmocka_unit_test(power_cut_loses_unflushed_writes),
		cmocka_unit_test(failing_store),
		cmocka_unit_test(repair_of_good_copies_writes_nothing),
		cmocka_unit_test(old_bytes_are_gone),
		cmocka_unit_test(erase_leaves_nothing),
		cmocka_unit_test(erase_is_read_back),
		cmocka_unit_test(lock_waits_and_gives_up),
	};

	return cmocka_run_group_tests_name("header_write", tests, NULL, NULL);
}
