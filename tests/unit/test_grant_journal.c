// SPDX-License-Identifier: GPL-2.0-or-later
/* Grants are not forgotten: agent/grant_journal.c. */
#include "client_capture.h"

#include <errno.h>
#include <sys/stat.h>

#include "grant_journal.h"
#include "log.h"

#define KEY "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555"
#define NAME(n) "envelope-abc-0011223344556677889900aabbccdd" n
#define LINE \
	"{\"id\":\"\",\"key_arn\":\"" KEY "\",\"name\":\"" NAME("01") \
	"\",\"volume_id\":\"vol-0123456789abcdef0\"}"
/* SHA-256 of LINE, by sha256sum(1). */
#define SUM "9addfdfd98143eb567fb7c280940e48b6da3dae3e8421cfb41f3efd550028ef4"

static char dir[64];
static char path[128];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/envelope-journal-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/" GRANT_JOURNAL_FILE, dir);
	grant_journal_set_dir(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	chmod(dir, 0700);
	unlink(path);
	rmdir(path);
	rmdir(dir);
	return 0;
}

static struct grant_entry entry(const char *name, const char *id)
{
	struct grant_entry e = { .key_arn = KEY,
				 .volume_id = "vol-0123456789abcdef0" };

	snprintf(e.name, sizeof(e.name), "%s", name);
	snprintf(e.id, sizeof(e.id), "%s", id);
	return e;
}

static void put(const char *name, const char *id)
{
	struct grant_entry e = entry(name, id);

	assert_int_equal(grant_journal_put(&e), 0);
}

static void store(const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static void kept(void **state)
{
	struct grant_entry *entries = NULL, e = entry(NAME("01"), "f00d");
	struct stat st;
	size_t count = 7;

	(void)state;
	assert_int_equal(grant_journal_read(&entries, &count), 0);
	assert_null(entries);
	assert_int_equal(count, 0);
	put(NAME("01"), "");
	put(NAME("02"), "beef");
	put(NAME("01"), "f00d");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(grant_journal_read(&entries, &count), 0);
	assert_int_equal(count, 2);
	assert_memory_equal(&entries[0], &e, sizeof(e));
	assert_string_equal(entries[1].id, "beef");
	free(entries);
}

static void struck_out(void **state)
{
	struct grant_entry *entries = NULL;
	size_t count;

	(void)state;
	put(NAME("01"), "");
	put(NAME("02"), "");
	assert_int_equal(grant_journal_drop(NAME("01")), 0);
	assert_int_equal(grant_journal_drop(NAME("01")), 0);
	assert_int_equal(grant_journal_read(&entries, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(entries[0].name, NAME("02"));
	free(entries);
}

static void bytes(void **state)
{
	char text[1024] = "";
	FILE *f;

	(void)state;
	put(NAME("01"), "");
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_string_equal(text, SUM " " LINE "\n");
}

static void expect_damaged(const char *text, const char *says)
{
	struct grant_entry *entries = NULL, e = entry(NAME("09"), "");
	size_t count;
	struct stat before, after;

	store(text, 0600);
	assert_int_equal(stat(path, &before), 0);
	capture_start();
	assert_int_equal(grant_journal_read(&entries, &count), -EBADMSG);
	capture_end();
	assert_non_null(strstr(capture_text, says));
	capture_start();
	assert_int_equal(grant_journal_put(&e), -EBADMSG);
	assert_int_equal(grant_journal_drop(e.name), -EBADMSG);
	capture_end();
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

static void damaged(void **state)
{
	(void)state;
	expect_damaged("x\n", "/grants' line 1: damaged, so no grant is retired by it: remove the line, and look for its grant with 'aws kms list-retirable-grants'\n");
	expect_damaged(SUM " " LINE "\n" SUM " " LINE " \n",
		       "/grants' line 2: damaged");
	expect_damaged("0" SUM " " LINE "\n", "line 1: damaged");
	/* Torn: the sum is of the whole line. */
	expect_damaged(SUM " {\"id\":\"\"", "line 1: damaged");
	/* The sum holds, what it is over is no grant: {}. */
	expect_damaged("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a {}\n",
		       "line 1: damaged");
}

/* As a file system leaves a block that it lost. */
static void zeros(void **state)
{
	struct grant_entry *entries = NULL;
	size_t count;
	FILE *f;

	(void)state;
	store(SUM " " LINE "\n", 0600);
	f = fopen(path, "a");
	assert_non_null(f);
	assert_int_equal(fwrite("\0\0\n", 1, 3, f), 3);
	fputs(SUM " " LINE "\n", f);
	fclose(f);
	capture_start();
	assert_int_equal(grant_journal_read(&entries, &count), -EBADMSG);
	assert_int_equal(grant_journal_drop(NAME("01")), -EBADMSG);
	capture_end();
	assert_non_null(strstr(capture_text, "/grants' line 2: damaged"));
}

static void others_file(void **state)
{
	struct grant_entry *entries = NULL;
	size_t count;

	(void)state;
	store(SUM " " LINE "\n", 0666);
	capture_start();
	assert_int_equal(grant_journal_read(&entries, &count), -EBADMSG);
	capture_end();
	assert_non_null(strstr(capture_text, "not the agent's own file: look through it, then chown root and chmod 0600, or remove it\n"));
}

static void no_folder(void **state)
{
	struct grant_entry *entries = NULL;
	size_t count;

	(void)state;
	grant_journal_set_dir("/proc/none/journal");
	capture_start();
	assert_int_equal(grant_journal_read(&entries, &count), -EIO);
	capture_end();
	assert_string_equal(capture_text, "unit: '/proc/none/journal/grants': cannot make the folder: No such file or directory\n");
	/* A folder where the file should be. */
	grant_journal_set_dir(dir);
	assert_int_equal(mkdir(path, 0700), 0);
	capture_start();
	assert_int_equal(grant_journal_read(&entries, &count), -EBADMSG);
	capture_end();
}

#define CASE(title, function) { title, function, setup, teardown, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE("grant journal: entries are kept by name", kept),
		CASE("grant journal: entries are struck out", struck_out),
		CASE("grant journal: the stored bytes", bytes),
		CASE("grant journal: a damaged line is believed by nobody",
		     damaged),
		CASE("grant journal: zeros are not the end of it", zeros),
		CASE("grant journal: a file that others can write is refused",
		     others_file),
		CASE("grant journal: a folder that cannot be made is named",
		     no_folder),
	};

	log_init("unit");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
