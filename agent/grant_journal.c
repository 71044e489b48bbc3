// SPDX-License-Identifier: GPL-2.0-or-later
/* The journal of grants as a file: read and checked, or replaced as a whole. */
#include "grant_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "log.h"

#define NEW_FILE GRANT_JOURNAL_FILE ".new"
#define MAX_BYTES (64u << 20)
#define MAX_DEPTH 2
#define SUM_CHARS 64

static const char *journal_dir = GRANT_JOURNAL_DIR;

void grant_journal_set_dir(const char *dir)
{
	journal_dir = dir ? dir : GRANT_JOURNAL_DIR;
}

static int fail(const char *what)
{
	log_error("'%s/" GRANT_JOURNAL_FILE "': %s: %s", journal_dir, what,
		  strerror(errno));
	return -EIO;
}

/* The folder, locked against others until it is closed. */
static int open_dir(int *ret)
{
	int fd;

	if (mkdir(journal_dir, 0700) < 0 && errno != EEXIST)
		return fail("cannot make the folder");
	fd = open(journal_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail("cannot open the folder");
	if (flock(fd, LOCK_EX) < 0) {
		close(fd);
		return fail("cannot lock the folder");
	}
	*ret = fd;
	return 0;
}

/* Who can write it could have any grant of the agent's retired, or kept. */
static int check_file(int fd, size_t *bytes_ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail("cannot be looked at");
	if (!S_ISREG(st.st_mode) || (st.st_mode & 022) ||
	    st.st_uid != geteuid() || st.st_size > MAX_BYTES) {
		log_error("'%s/" GRANT_JOURNAL_FILE "': not the agent's own file: look through it, then chown root and chmod 0600, or remove it",
			  journal_dir);
		return -EBADMSG;
	}
	*bytes_ret = st.st_size;
	return 0;
}

/* The whole file with a NUL behind it, for free(3); empty if there is none. */
static int read_text(int dir, char **ret, size_t *bytes_ret)
{
	int fd = openat(dir, GRANT_JOURNAL_FILE,
			O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	size_t bytes = 0, done = 0;
	char *text = NULL;
	ssize_t n = 1;
	int r = 0;

	if (fd < 0 && errno != ENOENT)
		return fail("cannot be opened");
	if (fd >= 0)
		r = check_file(fd, &bytes);
	if (r < 0)
		goto out;
	r = -ENOMEM;
	text = malloc(bytes + 1);
	if (!text)
		goto out;
	while (done < bytes && n > 0) {
		n = read(fd, text + done, bytes - done);
		done += n > 0 ? n : 0;
	}
	r = n < 0 ? fail("cannot be read") : 0;
	if (r < 0)
		goto out;
	text[done] = '\0';
	*ret = text;
	*bytes_ret = done;
	text = NULL;
out:
	free(text);
	if (fd >= 0)
		close(fd);
	return r;
}

static int checksum(const char *text, size_t bytes,
		    char ret[static SUM_CHARS + 1])
{
	uint8_t digest[SUM_CHARS / 2];
	size_t i;

	if (EVP_Digest(text, bytes, digest, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	for (i = 0; i < sizeof(digest); i++)
		sprintf(ret + 2 * i, "%02x", digest[i]);
	return 0;
}

static bool take(const json_t *o, const char *name, char *ret,
		 size_t ret_bytes)
{
	const char *text;

	return json_get_string(o, name, &text) == 0 &&
	       (size_t)snprintf(ret, ret_bytes, "%s", text) < ret_bytes;
}

/* -EBADMSG: not a line that this file can have. Prints nothing. */
static int parse_line(const char *line, size_t bytes, struct grant_entry *ret)
{
	char sum[SUM_CHARS + 1], why[JSON_WHY_BYTES];
	json_t *o = NULL;
	int r;

	if (bytes <= SUM_CHARS + 1 || line[SUM_CHARS] != ' ')
		return -EBADMSG;
	r = checksum(line + SUM_CHARS + 1, bytes - SUM_CHARS - 1, sum);
	if (r < 0)
		return r;
	if (memcmp(line, sum, SUM_CHARS) != 0)
		return -EBADMSG;
	r = json_parse_strict(line + SUM_CHARS + 1, bytes - SUM_CHARS - 1,
			      MAX_DEPTH, &o, why);
	if (r < 0)
		return r;
	if (!take(o, "name", ret->name, sizeof(ret->name)) ||
	    !take(o, "volume_id", ret->volume_id, sizeof(ret->volume_id)) ||
	    !take(o, "key_arn", ret->key_arn, sizeof(ret->key_arn)) ||
	    !take(o, "id", ret->id, sizeof(ret->id)) ||
	    !arn_is_key(ret->key_arn) ||
	    !header_volume_id_valid(ret->volume_id))
		r = -EBADMSG;
	json_decref(o);
	return r;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n' || text[1] == '\0';
	return n;
}

/*
 * With room for one more entry; for free(3). A NUL in the file is not its end,
 * lest the entries behind it be forgotten: it makes an empty line, which is
 * damaged.
 */
static int parse(const char *text, size_t len, struct grant_entry **ret,
		 size_t *count_ret)
{
	const char *end = text + len;
	size_t room = count_lines(text) + 1;
	struct grant_entry *entries = calloc(room, sizeof(*entries));
	size_t count = 0;
	int r = 0;

	if (!entries)
		return -ENOMEM;
	while (text < end && r == 0) {
		size_t bytes = strcspn(text, "\n");

		r = parse_line(text, bytes, &entries[count++]);
		text += bytes + (text[bytes] == '\n');
	}
	if (r < 0) {
		log_error("'%s/" GRANT_JOURNAL_FILE "' line %zu: damaged, so no grant is retired by it: remove the line, and look for its grant with 'aws kms list-retirable-grants'",
			  journal_dir, count);
		free(entries);
		return r;
	}
	*ret = entries;
	*count_ret = count;
	return 0;
}

static int load(int dir, struct grant_entry **ret, size_t *count_ret)
{
	char *text = NULL;
	size_t bytes = 0;
	int r = read_text(dir, &text, &bytes);

	if (r == 0)
		r = parse(text, bytes, ret, count_ret);
	free(text);
	return r;
}

static int print_line(FILE *f, const struct grant_entry *e)
{
	char sum[SUM_CHARS + 1];
	json_t *o = json_pack("{ss ss ss ss}", "id", e->id,
			      "key_arn", e->key_arn, "name", e->name,
			      "volume_id", e->volume_id);
	char *text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	int r = text ? checksum(text, strlen(text), sum) : -ENOMEM;

	if (r == 0 && fprintf(f, "%s %s\n", sum, text) < 0)
		r = -EIO;
	free(text);
	json_decref(o);
	return r;
}

static int write_new(int dir, const struct grant_entry *entries, size_t count)
{
	int fd = openat(dir, NEW_FILE, O_WRONLY | O_CREAT | O_TRUNC |
			O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	size_t i;
	int r = 0;

	if (!f) {
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	for (i = 0; i < count && r == 0; i++)
		if (entries[i].name[0])
			r = print_line(f, &entries[i]);
	if (r == 0 && (fflush(f) != 0 || fsync(fd) < 0))
		r = -EIO;
	if (fclose(f) != 0 && r == 0)
		r = -EIO;
	return r;
}

static int save(int dir, const struct grant_entry *entries, size_t count)
{
	int r = write_new(dir, entries, count);

	if (r == 0 && renameat(dir, NEW_FILE, dir, GRANT_JOURNAL_FILE) == 0 &&
	    fsync(dir) == 0)
		return 0;
	if (r != -ENOMEM)
		r = fail("cannot be written");
	unlinkat(dir, NEW_FILE, 0);
	return r;
}

int grant_journal_read(struct grant_entry **ret, size_t *count_ret)
{
	struct grant_entry *entries = NULL;
	size_t count = 0;
	int dir, r;

	r = open_dir(&dir);
	if (r < 0)
		return r;
	r = load(dir, &entries, &count);
	close(dir);
	if (r < 0)
		return r;
	if (count == 0) {
		free(entries);
		entries = NULL;
	}
	*ret = entries;
	*count_ret = count;
	return 0;
}

/* Put @e, or without it strike out, the entry called @name. */
static int change(const char *name, const struct grant_entry *e)
{
	struct grant_entry *entries = NULL;
	size_t count = 0, i;
	int dir, r;

	r = open_dir(&dir);
	if (r < 0)
		return r;
	r = load(dir, &entries, &count);
	if (r < 0)
		goto out;
	for (i = 0; i < count; i++)
		if (strcmp(entries[i].name, name) == 0)
			break;
	if (!e && i == count)
		goto out;
	/* parse() left room for one more; a name of nothing is not stored. */
	entries[i] = e ? *e : (struct grant_entry){ .name = "" };
	r = save(dir, entries, i == count ? count + 1 : count);
out:
	free(entries);
	close(dir);
	return r;
}

int grant_journal_put(const struct grant_entry *e)
{
	return change(e->name, e);
}

int grant_journal_drop(const char *name)
{
	return change(name, NULL);
}
