// SPDX-License-Identifier: GPL-2.0-or-later
/* A store of snapshots in a folder: round trips, damage, killed writers. */
#include "header_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "snapshot_store.h"

#define CHUNKS 17		/* of 8 MiB and 4096 bytes */
#define KILLS 25

static char folder[] = "/tmp/snapshot-store-XXXXXX";
static char store[sizeof(folder) + 8];

static int remove_one(const char *path, const struct stat *st, int kind,
		      struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static int make_folder(void **state)
{
	(void)state;
	memset(folder + sizeof(folder) - 7, 'X', 6);
	if (!mkdtemp(folder))
		return -1;
	snprintf(store, sizeof(store), "%s/store", folder);
	return 0;
}

static int drop_folder(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Every fourth is a hole; 1 and 2 are alike. */
static const uint8_t *chunk_of(size_t index)
{
	static uint8_t chunk[SNAPSHOT_CHUNK_BYTES];

	memset(chunk, index == 2 ? 1 : index, sizeof(chunk));
	return index % 4 ? chunk : NULL;
}

static int publish(struct snapshot_store *st, struct snapshot *s,
		   const struct secret *dek)
{
	struct secret *seal = NULL;
	int r;

	assert_int_equal(snapshot_seal(dek, &seal), 0);
	r = snapshot_store_publish(st, s, seal);
	secret_free(seal);
	return r;
}

/* A snapshot of the chunks above, stored and published. */
static int make_snapshot(struct snapshot_store *st, const struct secret *dek,
			 char id_ret[HEADER_SNAPSHOT_ID_CHARS])
{
	struct header_core core = fixture_core();
	struct header_slot slot = fixture_slot(ARN_1);
	struct snapshot *s = NULL;
	struct header *h = NULL;
	uint8_t digest[32];
	int r = 0;
	size_t i;

	core.size_bytes = (8 << 20) + 4096;
	assert_int_equal(header_new(&core, &h), 0);
	assert_int_equal(header_add_slot(h, &slot), 0);
	assert_int_equal(header_seal(h, dek), 0);
	assert_int_equal(snapshot_new(h, &s), 0);
	for (i = 0; i < CHUNKS && r == 0; i++) {
		const uint8_t *chunk = chunk_of(i);

		if (chunk)
			r = snapshot_store_put_block(st,
				header_core(h)->lineage, chunk,
				snapshot_chunk_bytes(s, i), digest);
		if (r == 0)
			r = snapshot_add_chunk(s, chunk ? digest : NULL);
	}
	if (r == 0)
		r = publish(st, s, dek);
	strcpy(id_ret, snapshot_id(s));
	snapshot_free(s);
	header_free(h);
	return r;
}

static struct snapshot *load(struct snapshot_store *st, const char *id,
			     const struct secret *dek)
{
	struct snapshot *s = NULL;
	uint8_t *body = NULL;
	size_t n;

	assert_int_equal(snapshot_store_load(st, id, &s, &body, &n), 0);
	assert_int_equal(snapshot_body_verify(id, s, body, n, dek), 0);
	free(body);
	return s;
}

static void check_snapshot(struct snapshot_store *st, const char *id,
			   const struct secret *dek)
{
	uint8_t *got = malloc(SNAPSHOT_CHUNK_BYTES);
	struct snapshot *s = load(st, id, dek);
	size_t i;

	assert_int_equal(snapshot_chunks(s), CHUNKS);
	for (i = 0; i < CHUNKS; i++) {
		const uint8_t *chunk = chunk_of(i);

		assert_int_equal(snapshot_digest(s, i) != NULL, chunk != NULL);
		if (!chunk)
			continue;
		assert_int_equal(snapshot_store_get_block(st, s, i, got), 0);
		assert_memory_equal(got, chunk, snapshot_chunk_bytes(s, i));
	}
	snapshot_free(s);
	free(got);
}

static void what_is_published_is_read(void **state)
{
	char first[HEADER_SNAPSHOT_ID_CHARS], second[HEADER_SNAPSHOT_ID_CHARS];
	struct secret *dek = fixture_dek(1);
	struct snapshot_store *st = NULL;
	json_t *ids = NULL;

	(void)state;
	assert_int_equal(snapshot_store_open(store, NULL, true, &st), 0);
	assert_int_equal(snapshot_store_list(st, &ids), 0);
	assert_int_equal(json_array_size(ids), 0);
	json_decref(ids);
	assert_int_equal(make_snapshot(st, dek, first), 0);
	assert_int_equal(make_snapshot(st, dek, second), 0);
	snapshot_store_close(st);
	assert_int_equal(snapshot_store_open(store, NULL, false, &st), 0);
	assert_int_equal(snapshot_store_list(st, &ids), 0);
	assert_int_equal(json_array_size(ids), 2);
	check_snapshot(st, first, dek);
	check_snapshot(st, second, dek);
	json_decref(ids);
	snapshot_store_close(st);
	secret_free(dek);
}

static void only_stores_are_opened(void **state)
{
	struct snapshot_store *st = NULL;

	(void)state;
	fixture_listen();
	assert_int_equal(snapshot_store_open(store, NULL, false, &st), -ENOENT);
	assert_heard("store': cannot open");
	assert_int_equal(mkdir(store, 0700), 0);
	fixture_listen();
	assert_int_equal(snapshot_store_open(store, NULL, false, &st), -ENOENT);
	assert_heard("is no store of snapshots");
	fixture_listen();
	assert_int_equal(snapshot_store_open(folder, NULL, true, &st), -EEXIST);
	assert_heard("something else in it");
}

/* The stored file of chunk @index. */
static void block_path(const struct snapshot *s, size_t index, char path[300])
{
	char hex[SNAPSHOT_DIGEST_CHARS];

	snapshot_hex(snapshot_digest(s, index), hex);
	snprintf(path, 300, "%s/blocks/%s/%.2s/%s", store,
		 header_core(snapshot_header(s))->lineage, hex, hex);
}

static void security_23_bad_blocks_are_named(void **state)
{
	static uint8_t got[SNAPSHOT_CHUNK_BYTES];
	char id[HEADER_SNAPSHOT_ID_CHARS], path[300], other[300];
	struct secret *dek = fixture_dek(1);
	struct snapshot_store *st = NULL;
	struct snapshot *s;
	int fd;

	(void)state;
	assert_int_equal(snapshot_store_open(store, NULL, true, &st), 0);
	assert_int_equal(make_snapshot(st, dek, id), 0);
	s = load(st, id, dek);
	block_path(s, 3, path);
	fd = open(path, O_RDWR);
	fixture_flip(fd, 1000);
	fixture_listen();
	assert_int_equal(snapshot_store_get_block(st, s, 3, got), -EBADMSG);
	assert_heard("chunk 3");
	fixture_flip(fd, 1000);
	assert_int_equal(snapshot_store_get_block(st, s, 3, got), 0);
	assert_int_equal(ftruncate(fd, 1000), 0);
	close(fd);
	fixture_listen();
	assert_int_equal(snapshot_store_get_block(st, s, 3, got), -EBADMSG);
	assert_heard("damaged or forged");
	block_path(s, 5, other);
	assert_int_equal(rename(other, path), 0);
	fixture_listen();
	assert_int_equal(snapshot_store_get_block(st, s, 3, got), -EBADMSG);
	assert_heard("chunk 3");
	fixture_listen();
	assert_int_equal(snapshot_store_get_block(st, s, 5, got), -EBADMSG);
	assert_heard("missing");
	snapshot_free(s);
	snapshot_store_close(st);
	secret_free(dek);
}

/* Behind the room for a chunk nothing is written, however long a block is. */
static void security_23_long_blocks_are_not_read(void **state)
{
	static uint8_t got[SNAPSHOT_CHUNK_BYTES + 4096];
	char id[HEADER_SNAPSHOT_ID_CHARS], path[300];
	struct secret *dek = fixture_dek(1);
	struct snapshot_store *st = NULL;
	struct snapshot *s;
	int fd;

	(void)state;
	assert_int_equal(snapshot_store_open(store, NULL, true, &st), 0);
	assert_int_equal(make_snapshot(st, dek, id), 0);
	s = load(st, id, dek);
	block_path(s, 3, path);
	memset(got, 0xee, sizeof(got));
	fd = open(path, O_WRONLY);
	assert_int_equal(ftruncate(fd, sizeof(got)), 0);
	close(fd);
	fixture_listen();
	assert_int_equal(snapshot_store_get_block(st, s, 3, got), -EBADMSG);
	assert_heard("too long\nenvelope: ");
	assert_int_equal(got[SNAPSHOT_CHUNK_BYTES], 0xee);
	snapshot_free(s);
	snapshot_store_close(st);
	secret_free(dek);
}

static int check_name(const char *path, const struct stat *info, int kind,
		      struct FTW *ftw)
{
	const char *name = path + ftw->base;
	char hex[SNAPSHOT_DIGEST_CHARS];
	uint8_t digest[32];
	int fd;

	(void)info;
	if (kind != FTW_F || strlen(name) != 64)
		return 0;
	fd = open(path, O_RDONLY);
	fixture_digest(fd, digest);
	close(fd);
	snapshot_hex(digest, hex);
	assert_string_equal(hex, name);
	return 0;
}

/* A writer who is killed by the kernel within the first block, for sure. */
static void die_within_a_block(void)
{
	const struct rlimit limit = { SNAPSHOT_CHUNK_BYTES / 2,
				      SNAPSHOT_CHUNK_BYTES / 2 };
	char id[HEADER_SNAPSHOT_ID_CHARS];
	struct snapshot_store *st = NULL;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_DUMPABLE, 0);
		signal(SIGXFSZ, SIG_DFL);
		setrlimit(RLIMIT_FSIZE, &limit);
		if (snapshot_store_open(store, NULL, true, &st) == 0)
			make_snapshot(st, fixture_dek(1), id);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
}

/* Whatever a writer was doing: what has a name is whole, and he can go on. */
static void killed_writers_leave_whole_objects(void **state)
{
	char id[HEADER_SNAPSHOT_ID_CHARS];
	struct secret *dek = fixture_dek(1);
	struct snapshot_store *st = NULL;
	json_t *ids = NULL;
	const json_t *item;
	size_t i;
	pid_t pid;

	(void)state;
	die_within_a_block();
	nftw(store, check_name, 16, FTW_PHYS);
	for (i = 0; i < KILLS; i++) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			/* Secrets do not outlive a fork. */
			dek = fixture_dek(1);
			if (snapshot_store_open(store, NULL, true, &st) == 0)
				while (make_snapshot(st, dek, id) == 0)
					;
			_exit(1);
		}
		usleep(1000 + rand() % 60000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	nftw(store, check_name, 16, FTW_PHYS);
	assert_int_equal(snapshot_store_open(store, NULL, true, &st), 0);
	assert_int_equal(make_snapshot(st, dek, id), 0);
	assert_int_equal(snapshot_store_list(st, &ids), 0);
	json_array_foreach(ids, i, item)
		check_snapshot(st, json_string_value(item), dek);
	assert_true(i >= 1);
	json_decref(ids);
	snapshot_store_close(st);
	secret_free(dek);
}

#define in_folder(test) \
	cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_folder(what_is_published_is_read),
		in_folder(only_stores_are_opened),
		in_folder(security_23_bad_blocks_are_named),
		in_folder(security_23_long_blocks_are_not_read),
		in_folder(killed_writers_leave_whole_objects),
	};

	return cmocka_run_group_tests_name("snapshot_store", tests, NULL,
					   NULL);
}
