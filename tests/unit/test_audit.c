// SPDX-License-Identifier: GPL-2.0-or-later
/* The audit's writer and reader: agent/audit*.c. */
#include "client_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "audit.h"
#include "audit_private.h"
#include "log.h"

static char dir[64];
static char wrong[4096];	/* what the reader found */
static char noted[1024];	/* what it found worth knowing */
static size_t records;
static struct audit_mark last;

/* What a power cut leaves of audit.log, and the disk's word for it. */
static off_t flushed_bytes;
static int flush_error;

int __real_fsync(int fd);

int __wrap_fsync(int fd)
{
	struct stat st;

	if (flush_error) {
		errno = flush_error;
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		flushed_bytes = st.st_size;
	return __real_fsync(fd);
}

static int setup(void **state)
{
	(void)state;
	flush_error = 0;
	strcpy(dir, "/tmp/envelope-audit-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	audit_set_parent(dir);
	audit_set_limits(AUDIT_FILE_BYTES, AUDIT_FILES);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/audit/%s", dir, name);
	return path;
}

static int put(const char *event)
{
	const struct audit_record r = {
		.event = event, .result = "done", .uid = 7, .by = "test",
		.volume_id = "vol-0123456789abcdef0",
	};

	return audit_write(&r, 0);
}

static void put_many(int count)
{
	char event[16];
	int i;

	for (i = 1; i <= count; i++) {
		snprintf(event, sizeof(event), "event-%d", i);
		assert_int_equal(put(event), 0);
	}
}

static void on_record(void *data, const char *file, size_t line, json_t *o)
{
	(void)data;
	(void)file;
	(void)line;
	records += o != NULL;
}

static void on_finding(void *data, bool is_wrong, const char *text)
{
	char *to = is_wrong ? wrong : noted;

	(void)data;
	strcat(to, text);
	strcat(to, "\n");
}

static int verify(const char *path, const struct audit_mark *head)
{
	const struct audit_reader reader = { on_record, on_finding, NULL };

	wrong[0] = noted[0] = '\0';
	records = 0;
	return audit_read(path, head, &reader, &last);
}

static void write_meanwhile(void *data, const char *file, size_t line,
			    json_t *o)
{
	on_record(data, file, line, o);
	/* A writer that is locked out waits without end. */
	alarm(30);
	assert_int_equal(put("meanwhile"), 0);
	alarm(0);
}

/* The file's lines in the order of @order, "132" and so on. */
static void reorder(const char *order)
{
	char text[16384], out[16384] = "", *lines[16], *at = text;
	FILE *f = fopen(path_of(AUDIT_FILE), "r");
	size_t n = fread(text, 1, sizeof(text) - 1, f), count = 0;

	fclose(f);
	text[n] = '\0';
	while ((lines[count] = strsep(&at, "\n")) && *lines[count])
		count++;
	for (; *order; order++) {
		assert_true((size_t)(*order - '1') < count);
		strcat(out, lines[*order - '1']);
		strcat(out, "\n");
	}
	f = fopen(path_of(AUDIT_FILE), "w");
	fputs(out, f);
	fclose(f);
}

static void test_chain(void **state)
{
	(void)state;
	put_many(4);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_string_equal(wrong, "");
	assert_string_equal(noted, "");
	assert_int_equal(records, 4);
	assert_int_equal(last.seq, 4);
	assert_int_equal(verify(path_of(AUDIT_FILE), NULL), 0);
}

static void test_private(void **state)
{
	struct stat st;

	(void)state;
	put_many(1);
	assert_int_equal(stat(path_of(""), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(path_of(AUDIT_FILE), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(path_of(AUDIT_HEAD), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void finds(const char *order, const char *what)
{
	reorder(order);
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_non_null(strstr(wrong, what));
}

static void test_removed(void **state)
{
	(void)state;
	put_many(5);
	finds("1245", "audit.log:3: records 3 to 3 are missing before it");
	/* Also for a copy of the file alone. */
	assert_int_equal(verify(path_of(AUDIT_FILE), NULL), -EBADMSG);
}

static void test_removed_first(void **state)
{
	(void)state;
	put_many(3);
	finds("23", "records 1 to 1 are missing");
}

static void test_removed_last(void **state)
{
	(void)state;
	put_many(3);
	finds("1", "records 2 to 3 are missing at the end");
}

static void test_moved(void **state)
{
	(void)state;
	put_many(4);
	finds("1324", "audit.log:3: record 2 stands where 4 should: moved, or put in");
}

static void test_repeated(void **state)
{
	(void)state;
	put_many(3);
	finds("1223", "audit.log:3: record 2 stands where 3 should: moved, or put in");
}

/* Somebody who knows how sums are made, but did not make all of them anew. */
static void test_forged(void **state)
{
	const struct audit_mark before = AUDIT_START;
	struct audit_mark mark;
	json_t *o = json_pack("{ss ss}", "event", "forged", "result", "done");
	char *line = audit_line_make(o, &before, &mark);
	char second[4096];
	FILE *f;

	(void)state;
	put_many(2);
	reorder("2");
	f = fopen(path_of(AUDIT_FILE), "r");
	assert_non_null(fgets(second, sizeof(second), f));
	fclose(f);
	f = fopen(path_of(AUDIT_FILE), "w");
	fprintf(f, "%s%s", line, second);
	fclose(f);
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_string_equal(wrong, "audit.log:2: record 2 was made behind another record than the one before it\n");
	free(line);
	json_decref(o);
}

static void test_changed(void **state)
{
	struct stat st;
	int fd;
	size_t at;

	(void)state;
	put_many(3);
	stat(path_of(AUDIT_FILE), &st);
	for (at = 0; at < 3; at++) {
		char c, other;
		/* All are of one length: the second of them. */
		off_t where = st.st_size / 3 + 20 + at * 60;

		fd = open(path_of(AUDIT_FILE), O_RDWR);
		assert_int_equal(pread(fd, &c, 1, where), 1);
		other = c == '0' ? '1' : '0';
		assert_int_equal(pwrite(fd, &other, 1, where), 1);
		assert_int_equal(verify(NULL, NULL), -EBADMSG);
		assert_non_null(strstr(wrong, "not as it was written: the sum is not the line's"));
		assert_int_equal(records, 2);
		assert_int_equal(pwrite(fd, &c, 1, where), 1);
		close(fd);
		assert_int_equal(verify(NULL, NULL), 0);
	}
}

static void test_changed_last(void **state)
{
	int fd;
	struct stat st;

	(void)state;
	put_many(2);
	fd = open(path_of(AUDIT_FILE), O_RDWR);
	fstat(fd, &st);
	assert_int_equal(pwrite(fd, "!", 1, st.st_size - 90), 1);
	close(fd);
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_non_null(strstr(wrong, "audit.log:2: not as it was written"));
}

/* What is cut off before the next writer comes stays to be seen. */
static void test_cut_then_written(void **state)
{
	(void)state;
	put_many(4);
	reorder("12");
	capture_start();
	assert_int_equal(put("later"), 0);
	assert_string_equal(capture_end(), "envelope: warning: the audit was changed: see 'envelope audit verify'\n");
	capture_start();
	assert_int_equal(put("later still"), 0);
	assert_string_equal(capture_end(), "");
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_string_equal(wrong, "audit.log:3: records 3 to 4 are missing before it\n");
}

static void test_file_removed(void **state)
{
	(void)state;
	put_many(2);
	assert_int_equal(unlink(path_of(AUDIT_FILE)), 0);
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_string_equal(wrong, "records 1 to 2 are missing at the end\n");
	capture_start();
	assert_int_equal(put("later"), 0);
	capture_end();
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_string_equal(wrong, "records 1 to 2 are missing\n");
}

static void test_head_removed(void **state)
{
	(void)state;
	put_many(2);
	assert_int_equal(unlink(path_of(AUDIT_HEAD)), 0);
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_string_equal(wrong, "there is no head: nobody can tell whether records at the end are missing\n");
	close(open(path_of(AUDIT_HEAD), O_CREAT | O_WRONLY, 0600));
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_string_equal(wrong, "the head is damaged\n");
}

/* All of it written anew is seen by who has noted a head, and by nobody else. */
static void test_noted(void **state)
{
	struct audit_mark head;

	(void)state;
	put_many(2);
	assert_int_equal(verify(NULL, NULL), 0);
	head = last;
	put_many(1);
	assert_int_equal(verify(NULL, &head), 0);
	assert_int_equal(unlink(path_of(AUDIT_FILE)), 0);
	assert_int_equal(unlink(path_of(AUDIT_HEAD)), 0);
	put_many(1);
	assert_int_equal(verify(NULL, &head), -EBADMSG);
	assert_string_equal(wrong, "record 2, whose head was noted, is missing\n");
	put_many(2);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_int_equal(verify(NULL, &head), -EBADMSG);
	assert_string_equal(wrong, "audit.log:2: record 2 is not the one of the head that was noted\n");
}

/* Who looks at it stops nobody, and sees what was there when he began. */
static void test_read_meanwhile(void **state)
{
	const struct audit_reader reader = { write_meanwhile, on_finding, NULL };
	int fd;

	(void)state;
	audit_set_limits(1000, 2);
	put_many(8);
	wrong[0] = noted[0] = '\0';
	records = 0;
	assert_int_equal(audit_read(NULL, NULL, &reader, &last), 0);
	assert_string_equal(wrong, "");
	assert_string_equal(noted, "");
	assert_int_equal(records, last.seq);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_true(last.seq > 16);
	/* Half a line, which the first of those writers cuts off. */
	fd = open(path_of(AUDIT_FILE), O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "{\"by\":\"te", 9), 9);
	close(fd);
	noted[0] = '\0';
	capture_start();
	assert_int_equal(audit_read(NULL, NULL, &reader, &last), 0);
	capture_end();
	assert_string_equal(wrong, "");
	assert_non_null(strstr(noted, "half a line: a writer was killed"));
}

/* The writer was killed in the middle of a line, at any byte of it. */
static void test_torn(void **state)
{
	struct stat before, after;
	int fd;

	(void)state;
	put_many(2);
	stat(path_of(AUDIT_FILE), &before);
	fd = open(path_of(AUDIT_FILE), O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "{\"by\":\"te", 9), 9);
	close(fd);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_non_null(strstr(noted, "audit.log:3: half a line"));
	capture_start();
	assert_int_equal(put("next"), 0);
	assert_string_equal(capture_end(), "envelope: warning: the audit ended in half a line of 9 bytes: a writer was killed; it is cut off\n");
	stat(path_of(AUDIT_FILE), &after);
	assert_true(after.st_size > before.st_size);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_string_equal(noted, "record 3: half a line was cut off before it: a writer was killed\n");
	assert_int_equal(records, 4);
}

/* Half of the last record that the head knows: not a writer that was killed. */
static void test_last_line_cut(void **state)
{
	struct stat st;

	(void)state;
	put_many(2);
	stat(path_of(AUDIT_FILE), &st);
	assert_int_equal(truncate(path_of(AUDIT_FILE), st.st_size - 10), 0);
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_string_equal(wrong, "records 2 to 2 are missing at the end\n");
}

static void test_torn_alone(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(mkdir(path_of(""), 0700), 0);
	fd = open(path_of(AUDIT_FILE), O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "{\"by", 4), 4);
	close(fd);
	capture_start();
	assert_int_equal(put("first"), 0);
	capture_end();
	assert_int_equal(verify(NULL, NULL), 0);
	assert_int_equal(last.seq, 2);
}

/* One that was not flushed may be lost with the power, and is no fault. */
static void test_lazy_lost(void **state)
{
	const struct audit_record lazy = {
		.event = "check", .result = "denied", .by = "test",
	};

	(void)state;
	put_many(1);
	assert_int_equal(audit_write(&lazy, AUDIT_LAZY), 0);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_int_equal(records, 2);
	reorder("1");
	assert_int_equal(verify(NULL, NULL), 0);
	put_many(1);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_int_equal(last.seq, 2);
}

/* What was told to be the head is there after a power cut. */
static void test_head_lasts(void **state)
{
	const struct audit_record lazy = {
		.event = "check", .result = "denied", .by = "test",
	};
	struct audit_mark head;

	(void)state;
	put_many(1);
	assert_int_equal(audit_write(&lazy, AUDIT_LAZY), 0);
	assert_int_equal(verify(NULL, NULL), 0);
	head = last;
	assert_int_equal(head.seq, 2);
	assert_int_equal(truncate(path_of(AUDIT_FILE), flushed_bytes), 0);
	assert_int_equal(verify(NULL, &head), 0);
	assert_int_equal(last.seq, 2);
}

static void test_head_unflushed(void **state)
{
	(void)state;
	put_many(1);
	flush_error = EIO;
	capture_start();
	assert_int_equal(verify(NULL, NULL), -EIO);
	capture_end();
	flush_error = 0;
	assert_non_null(strstr(log_last_error(),
			       "'audit.log': cannot flush it to the disk: Input/output error: no head is told"));
}

/* An image on which nothing can be written. */
static void test_read_only(void **state)
{
	(void)state;
	put_many(1);
	flush_error = EINVAL;
	assert_int_equal(verify(NULL, NULL), 0);
	assert_string_equal(noted, "");
	flush_error = EROFS;
	assert_int_equal(verify(NULL, NULL), 0);
	flush_error = 0;
	assert_string_equal(noted, "audit.log: its disk has become read-only: a power cut may take away the newest records\n");
	assert_int_equal(last.seq, 1);
}

/* Killed between the record and the head. */
static void test_head_behind(void **state)
{
	char head[128];
	int fd;
	ssize_t n;

	(void)state;
	put_many(2);
	fd = open(path_of(AUDIT_HEAD), O_RDONLY);
	n = read(fd, head, sizeof(head));
	close(fd);
	put_many(1);
	fd = open(path_of(AUDIT_HEAD), O_WRONLY);
	assert_int_equal(write(fd, head, n), n);
	close(fd);
	assert_int_equal(verify(NULL, NULL), 0);
	put_many(1);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_int_equal(last.seq, 4);
}

static void test_files(void **state)
{
	(void)state;
	audit_set_limits(1000, 100);
	put_many(10);
	assert_int_equal(access(path_of("audit-00000000000000000001.log"), F_OK), 0);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_int_equal(records, 10);
}

static void test_file_missing(void **state)
{
	char (*names)[AUDIT_NAME_BYTES] = NULL;
	size_t count = 0;
	int fd;

	(void)state;
	audit_set_limits(1000, 100);
	put_many(16);
	fd = open(path_of(""), O_RDONLY);
	assert_int_equal(audit_list(fd, &names, &count), 0);
	close(fd);
	assert_true(count >= 3);
	assert_int_equal(unlink(path_of(names[1])), 0);
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_non_null(strstr(wrong, "are missing before it"));
	/* And the oldest, of which no record says that it was dropped. */
	assert_int_equal(unlink(path_of(names[0])), 0);
	assert_int_equal(verify(NULL, NULL), -EBADMSG);
	assert_non_null(strstr(wrong, "records 1 to "));
	free(names);
}

static void test_dropped(void **state)
{
	(void)state;
	audit_set_limits(1000, 2);
	put_many(30);
	assert_int_not_equal(access(path_of("audit-00000000000000000001.log"), F_OK), 0);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_string_equal(wrong, "");
	assert_true(records < 25);
	assert_true(last.seq > 30);
}

static void test_nothing(void **state)
{
	char expected[256];

	(void)state;
	snprintf(expected, sizeof(expected), "envelope: '%s/audit': No such file or directory: nothing was recorded on this host\n", dir);
	capture_start();
	assert_int_equal(verify(NULL, NULL), -ENOENT);
	assert_string_equal(capture_end(), expected);
}

/* The disk is full in the middle of a record: nothing of it stays. */
static void test_full(void **state)
{
	struct rlimit old, small;
	struct stat before, after;
	char expected[256];

	(void)state;
	put_many(2);
	stat(path_of(AUDIT_FILE), &before);
	snprintf(expected, sizeof(expected), "envelope: '%s/audit': cannot write audit.log: No space left on device: nothing is done that cannot be recorded\n", dir);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = before.st_size + 50;
	setrlimit(RLIMIT_FSIZE, &small);
	capture_start();
	assert_int_equal(put("too much"), -EIO);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_string_equal(capture_end(), expected);
	stat(path_of(AUDIT_FILE), &after);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(verify(NULL, NULL), 0);
	put_many(1);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_int_equal(last.seq, 3);
}

static void test_no_folder(void **state)
{
	char expected[256];
	FILE *f;

	(void)state;
	snprintf(expected, sizeof(expected), "%s/audit", dir);
	f = fopen(expected, "w");
	fclose(f);
	snprintf(expected, sizeof(expected), "envelope: '%s/audit': cannot open the folder: Not a directory: nothing is done that cannot be recorded\n", dir);
	capture_start();
	assert_int_equal(put("event"), -EIO);
	assert_string_equal(capture_end(), expected);
}

static void test_others_folder(void **state)
{
	char expected[256];

	(void)state;
	put_many(1);
	chmod(path_of(""), 0770);
	snprintf(expected, sizeof(expected), "envelope: '%s/audit': others can write the folder: Operation not permitted: nothing is done that cannot be recorded\n", dir);
	capture_start();
	assert_int_equal(put("event"), -EIO);
	assert_string_equal(capture_end(), expected);
}

static void test_link(void **state)
{
	char target[128];

	(void)state;
	snprintf(target, sizeof(target), "%s/elsewhere", dir);
	put_many(1);
	unlink(path_of(AUDIT_FILE));
	assert_int_equal(symlink(target, path_of(AUDIT_FILE)), 0);
	capture_start();
	assert_int_equal(put("event"), -EIO);
	assert_non_null(strstr(capture_end(), "cannot open audit.log: Too many levels of symbolic links"));
	assert_int_not_equal(access(target, F_OK), 0);
}

/* Agent and verbs write at the same time: every record is there, in one chain. */
static void test_writers(void **state)
{
	int i, status;

	(void)state;
	for (i = 0; i < 4; i++) {
		if (fork() == 0) {
			put_many(10);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		assert_int_equal(status, 0);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_int_equal(records, 40);
}

/* A writer killed with SIGKILL wherever it was. */
static void test_killed(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		int ready[2];
		char c;
		pid_t pid;

		assert_int_equal(pipe(ready), 0);
		pid = fork();
		if (pid == 0) {
			put_many(1);
			(void)!write(ready[1], "x", 1);
			put_many(100000);
			_exit(0);
		}
		assert_int_equal(read(ready[0], &c, 1), 1);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(ready[0]);
		close(ready[1]);
	}
	capture_start();
	assert_int_equal(put("after"), 0);
	capture_end();
	assert_int_equal(verify(NULL, NULL), 0);
	assert_string_equal(wrong, "");
}

/* A character of two bytes stands where the name is cut. */
static void check_long(void *data, const char *file, size_t line, json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "name"));

	on_record(data, file, line, o);
	assert_int_equal(strlen(name), 1023);
	assert_string_equal(name + 1021, "\xc3\xa9");
	assert_int_equal(json_string_length(json_object_get(o, "device")), 1024);
	assert_int_equal(json_string_length(json_object_get(o, "why")), 1024);
	assert_string_equal(json_string_value(json_object_get(o, "request_id")),
			    "(no UTF-8)");
}

static void test_long(void **state)
{
	static char text[60000], name[1202] = "x", why[2001];
	const struct audit_record r = {
		.event = "attach", .result = "failed", .name = name,
		.device = text, .key_id = text, .request_id = "\xff",
		.why = why,
	};
	const struct audit_reader reader = { check_long, on_finding, NULL };
	size_t i;

	(void)state;
	memset(text, '\x01', sizeof(text) - 1);
	for (i = 0; i < 600; i++)
		strcat(name, "\xc3\xa9");
	memset(why, '"', sizeof(why) - 1);
	assert_int_equal(audit_write(&r, 0), 0);
	assert_int_equal(audit_read(NULL, NULL, &reader, &last), 0);
	assert_int_equal(put("next"), 0);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_int_equal(records, 2);
}

static void test_stopped(void **state)
{
	(void)state;
	assert_int_equal(put("start"), 0);
	assert_int_equal(put("stop"), 0);
	assert_int_equal(put("start"), 0);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_string_equal(noted, "");
	assert_int_equal(put("start"), 0);
	assert_int_equal(verify(NULL, NULL), 0);
	assert_string_equal(noted, "record 4: the agent starts, and its end before that was not recorded: it was killed\n");
}

static void test_lines(void **state)
{
	static const char *const bad[] = {
		"", "{}", "{\"sum\":\"\"}", "[1]",
		"{\"prev\":\"00\",\"seq\":1,\"sum\":\"0000000000000000000000000000000000000000000000000000000000000000\"}",
	};
	struct audit_mark mark;
	json_t *o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(audit_line_parse(bad[i], strlen(bad[i]), &o,
						  &mark, NULL), -EBADMSG);
	assert_int_equal(audit_mark_parse("7", &mark), -EBADMSG);
	assert_int_equal(audit_mark_parse("7:00", &mark), -EBADMSG);
	assert_int_equal(audit_mark_parse("-1:0000000000000000000000000000000000000000000000000000000000000000", &mark), -EBADMSG);
	assert_int_equal(audit_mark_parse("7:0000000000000000000000000000000000000000000000000000000000000000", &mark), 0);
	assert_int_equal(mark.seq, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "audit: each record follows the one before", test_chain, setup, teardown, NULL },
		{ "audit: folder and files are their owner's alone", test_private, setup, teardown, NULL },
		{ "audit: a removed record is found", test_removed, setup, teardown, NULL },
		{ "audit: a removed first record is found", test_removed_first, setup, teardown, NULL },
		{ "audit: removed last records are found", test_removed_last, setup, teardown, NULL },
		{ "audit: a moved record is found", test_moved, setup, teardown, NULL },
		{ "audit: a record that is there twice is found", test_repeated, setup, teardown, NULL },
		{ "audit: a forged record with a right sum is found", test_forged, setup, teardown, NULL },
		{ "audit: a changed byte of a record is found", test_changed, setup, teardown, NULL },
		{ "audit: a changed last record is found", test_changed_last, setup, teardown, NULL },
		{ "audit: records cut off stay missing when others follow", test_cut_then_written, setup, teardown, NULL },
		{ "audit: a removed file is found", test_file_removed, setup, teardown, NULL },
		{ "audit: a removed or damaged head is found", test_head_removed, setup, teardown, NULL },
		{ "audit: a noted head finds an audit that was written anew", test_noted, setup, teardown, NULL },
		{ "audit: who reads it stops no writer", test_read_meanwhile, setup, teardown, NULL },
		{ "audit: half a line of a killed writer is cut off, and said", test_torn, setup, teardown, NULL },
		{ "audit: half of a record that the head knows is found", test_last_line_cut, setup, teardown, NULL },
		{ "audit: half of the first line of all is cut off", test_torn_alone, setup, teardown, NULL },
		{ "audit: a record that was not flushed may be lost", test_lazy_lost, setup, teardown, NULL },
		{ "audit: what was told as the head is there after a power cut", test_head_lasts, setup, teardown, NULL },
		{ "audit: no head is told that cannot be flushed", test_head_unflushed, setup, teardown, NULL },
		{ "audit: what is read-only is read, and a disk that became so is noted", test_read_only, setup, teardown, NULL },
		{ "audit: a writer killed before the head is no fault", test_head_behind, setup, teardown, NULL },
		{ "audit: a full file is followed by another", test_files, setup, teardown, NULL },
		{ "audit: a full file that is missing is found", test_file_missing, setup, teardown, NULL },
		{ "audit: the oldest file goes, and a record says so", test_dropped, setup, teardown, NULL },
		{ "audit: where nothing was recorded that is said", test_nothing, setup, teardown, NULL },
		{ "audit: a full disk takes no part of a record", test_full, setup, teardown, NULL },
		{ "audit: without its folder nothing is recorded", test_no_folder, setup, teardown, NULL },
		{ "audit: a folder that others can write is refused", test_others_folder, setup, teardown, NULL },
		{ "audit: a link in the place of its file is refused", test_link, setup, teardown, NULL },
		{ "audit: several writers make one chain", test_writers, setup, teardown, NULL },
		{ "audit: killed writers leave a chain that is whole", test_killed, setup, teardown, NULL },
		{ "audit: texts that are too long or no UTF-8 are cut", test_long, setup, teardown, NULL },
		{ "audit: an agent that was killed is worth knowing", test_stopped, setup, teardown, NULL },
		{ "audit: lines and heads that are none are refused", test_lines, setup, teardown, NULL },
	};

	log_init("envelope");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
