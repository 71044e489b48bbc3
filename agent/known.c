// SPDX-License-Identifier: GPL-2.0-or-later
/* The host's memory of volumes: one JSON line each, replaced atomically. */
#include "known.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "log.h"

#define KNOWN_NEW "known.new"
#define KNOWN_MAX_BYTES (16u << 20)
#define KNOWN_MAX_DEPTH 3

static const char *known_dir = KNOWN_DIR;

void known_set_dir(const char *dir)
{
	known_dir = dir ? dir : KNOWN_DIR;
}

/* Not root: no pins, and nobody to keep them for. Said once a process. */
static bool not_ours(int error)
{
	static bool said;

	if (geteuid() == 0 || (error != EACCES && error != EPERM))
		return false;
	if (!said)
		log_warn("'%s': only root can read and write pins, ignoring",
			 known_dir);
	said = true;
	return true;
}

/* The folder; made and locked if @make. -ENOENT: none, or not root. */
static int open_dir(bool make, int *ret)
{
	int fd;

	if (make && mkdir(known_dir, 0700) < 0 && errno != EEXIST)
		goto bad;
	fd = open(known_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		goto bad;
	if (make && flock(fd, LOCK_EX) < 0) {
		close(fd);
		goto bad;
	}
	*ret = fd;
	return 0;
bad:
	if (errno == ENOENT && !make)
		return -ENOENT;
	if (not_ours(errno))
		return -ENOENT;
	log_error("'%s': cannot open the folder of pins: %s", known_dir,
		  strerror(errno));
	return -EIO;
}

/* A pin that somebody else can write proves nothing. */
static int check_owner(int fd, size_t *bytes_ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		log_error("'%s/" KNOWN_FILE "': %s", known_dir, strerror(errno));
		return -EIO;
	}
	if (!S_ISREG(st.st_mode) || (st.st_mode & 022) ||
	    (st.st_uid != 0 && st.st_uid != geteuid())) {
		log_error("'%s/" KNOWN_FILE "': not root's alone: somebody may have changed the pins; look through it, then chown root and chmod 0600",
			  known_dir);
		return -EBADMSG;
	}
	if (st.st_size > KNOWN_MAX_BYTES) {
		log_error("'%s/" KNOWN_FILE "': %lld bytes, more than a file of pins can have",
			  known_dir, (long long)st.st_size);
		return -EBADMSG;
	}
	*bytes_ret = st.st_size;
	return 0;
}

/* The whole file as a text; the caller frees it. Empty if there is none. */
static int read_file(int dir, char **ret)
{
	size_t bytes = 0, done = 0;
	char *text = NULL;
	ssize_t n = 1;
	int fd, r = 0;

	fd = openat(dir, KNOWN_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT) {
		if (not_ours(errno))
			return -ENOENT;
		log_error("'%s/" KNOWN_FILE "': %s", known_dir, strerror(errno));
		return -EIO;
	}
	if (fd >= 0)
		r = check_owner(fd, &bytes);
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
	r = -EIO;
	if (n < 0) {
		log_error("'%s/" KNOWN_FILE "': %s", known_dir, strerror(errno));
		goto out;
	}
	text[done] = '\0';
	*ret = text;
	text = NULL;
	r = 0;
out:
	free(text);
	if (fd >= 0)
		close(fd);
	return r;
}

static bool pin_valid(const json_t *pin)
{
	const json_t *key_ids = json_object_get(pin, "key_ids");
	const char *volume_id, *lineage;
	const json_t *key_id;
	uint64_t revision;
	size_t i;

	if (!json_is_object(pin) || !json_is_array(key_ids) ||
	    json_get_string(pin, "volume_id", &volume_id) < 0 ||
	    json_get_string(pin, "lineage", &lineage) < 0 ||
	    json_get_u64(pin, "revision", 1, INT64_MAX, &revision) < 0)
		return false;
	json_array_foreach(key_ids, i, key_id)
		if (!json_is_string(key_id))
			return false;
	return header_volume_id_valid(volume_id);
}

/* All pins, an object by volume id; the caller frees it. */
static int parse_pins(const char *text, json_t **ret)
{
	char why[JSON_WHY_BYTES];
	json_t *pins = json_object();
	unsigned int line = 1;
	json_t *pin;
	int r = 0;

	for (; *text && r == 0; line++) {
		size_t n = strcspn(text, "\n");

		pin = NULL;
		r = json_parse_strict(text, n, KNOWN_MAX_DEPTH, &pin, why);
		text += n + (text[n] == '\n');
		if (r == -EBADMSG || (r == 0 && !pin_valid(pin))) {
			log_error("'%s/" KNOWN_FILE "' line %u: not a pin: mend or remove the line",
				  known_dir, line);
			r = -EBADMSG;
		}
		if (r == 0 &&
		    json_object_set(pins,
				    json_string_value(json_object_get(pin,
					"volume_id")), pin) < 0)
			r = -ENOMEM;
		json_decref(pin);
	}
	if (r < 0) {
		json_decref(pins);
		return r;
	}
	*ret = pins;
	return 0;
}

static int load_pins(int dir, json_t **ret)
{
	char *text = NULL;
	int r = read_file(dir, &text);

	if (r == 0)
		r = parse_pins(text, ret);
	free(text);
	return r;
}

static int write_lines(int dir, const json_t *pins)
{
	const char *volume_id;
	json_t *pin;
	FILE *f = NULL;
	int fd;

	fd = openat(dir, KNOWN_NEW,
		    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd >= 0)
		f = fdopen(fd, "w");
	if (!f) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	json_object_foreach((json_t *)pins, volume_id, pin)
		if (json_dumpf(pin, f, JSON_COMPACT) < 0 ||
		    fputc('\n', f) == EOF)
			goto bad;
	if (fflush(f) != 0 || fsync(fd) < 0)
		goto bad;
	return fclose(f);
bad:
	fclose(f);
	return -1;
}

static int save_pins(int dir, const json_t *pins)
{
	if (write_lines(dir, pins) == 0 &&
	    renameat(dir, KNOWN_NEW, dir, KNOWN_FILE) == 0 && fsync(dir) == 0)
		return 0;
	log_error("'%s/" KNOWN_FILE "': cannot store the pin: %s", known_dir,
		  strerror(errno));
	unlinkat(dir, KNOWN_NEW, 0);
	return -EIO;
}

static bool names_key(const json_t *pin, const char *key_id)
{
	const json_t *key_ids = json_object_get(pin, "key_ids");
	const json_t *have;
	size_t i;

	json_array_foreach(key_ids, i, have)
		if (strcmp(json_string_value(have), key_id) == 0)
			return true;
	return false;
}

static int compare(const char *name, const json_t *pin, const struct header *h,
		   size_t index)
{
	const struct header_core *core = header_core(h);
	const char *key_id = header_slot_get(h, index).key_id;
	const char *lineage = NULL;
	uint64_t revision = 0;

	json_get_string(pin, "lineage", &lineage);
	json_get_u64(pin, "revision", 1, INT64_MAX, &revision);
	if (strcmp(lineage, core->lineage) != 0)
		log_error("'%s': %s is pinned with another data key: the header was replaced; restore a header backup, or if you rekeyed the volume elsewhere, remove its line from %s/" KNOWN_FILE,
			  name, core->volume_id, known_dir);
	else if (core->revision < revision)
		log_error("'%s': %s is pinned at revision %llu, the header has %llu: an old header was put back; restore a newer header backup, or if you did it, remove its line from %s/" KNOWN_FILE,
			  name, core->volume_id, (unsigned long long)revision,
			  (unsigned long long)core->revision, known_dir);
	else if (!names_key(pin, key_id))
		log_error("'%s': %s is not pinned with key %s: the header was replaced; restore a header backup, or if you rewrapped the volume elsewhere, remove its line from %s/" KNOWN_FILE,
			  name, core->volume_id, key_id, known_dir);
	else
		return 0;
	return -EBADMSG;
}

int known_list(json_t **ret)
{
	int dir = -1;
	int r = open_dir(false, &dir);

	if (r == 0)
		r = load_pins(dir, ret);
	if (dir >= 0)
		close(dir);
	if (r != -ENOENT)
		return r;
	*ret = json_object();
	return *ret ? 0 : -ENOMEM;
}

/* The pin of @h's volume; the caller owns it. -ENOENT: none. */
static int load_pin(const struct header *h, json_t **ret)
{
	json_t *pins = NULL;
	int r = known_list(&pins);

	if (r < 0)
		return r;
	*ret = json_incref(json_object_get(pins, header_core(h)->volume_id));
	json_decref(pins);
	return *ret ? 0 : -ENOENT;
}

int known_check(const char *name, const struct header *h, size_t index)
{
	json_t *pin = NULL;
	int r = load_pin(h, &pin);

	if (r == 0)
		r = compare(name, pin, h, index);
	json_decref(pin);
	return r;
}

int known_require(const char *name, const struct header *h)
{
	json_t *pin = NULL;
	int r = load_pin(h, &pin);

	json_decref(pin);
	if (r != -ENOENT)
		return r;
	log_error("'%s': %s is not pinned on this host, as the agent's policy requires: if you know where the volume is from, let root attach it once with 'envelope attach --direct'",
		  name, header_core(h)->volume_id);
	return -EBADMSG;
}

/* The caller owns it. NULL: memory. */
static json_t *make_pin(const struct header *h)
{
	const struct header_core *core = header_core(h);
	json_t *key_ids = json_array();
	size_t i;

	for (i = 0; i < header_slot_count(h); i++)
		json_array_append_new(key_ids, json_string(
			header_slot_get(h, i).key_id));
	return json_pack("{ss ss sI so}", "volume_id", core->volume_id,
			 "lineage", core->lineage,
			 "revision", (json_int_t)core->revision,
			 "key_ids", key_ids);
}

typedef int (*edit_fn)(json_t *pins, const void *argument);

/* Load, edit and store the pins. @edit: 1 if it changed them, 0, or -errno. */
static int change(edit_fn edit, const void *argument)
{
	json_t *pins = NULL;
	int dir = -1, r;

	r = open_dir(true, &dir);
	if (r < 0)
		goto out;
	r = load_pins(dir, &pins);
	if (r == 0)
		r = edit(pins, argument);
	if (r > 0)
		r = save_pins(dir, pins);
out:
	json_decref(pins);
	if (dir >= 0)
		close(dir);
	/* Somebody who is not root: warned of, and nothing to do. */
	return r == -ENOENT ? 0 : r;
}

/*
 * The keys of a pin stay: slots are not under the HMAC, so that one of them is
 * there says nothing, however well the header was verified by another.
 */
static int edit_update(json_t *pins, const void *argument)
{
	const struct header *h = argument;
	const struct header_core *core = header_core(h);
	json_t *pin = json_object_get(pins, core->volume_id);
	const char *lineage = "";
	uint64_t revision = 0;

	if (pin)
		json_get_string(pin, "lineage", &lineage);
	if (strcmp(lineage, core->lineage) != 0)
		return json_object_set_new(pins, core->volume_id,
					   make_pin(h)) < 0 ? -ENOMEM : 1;
	json_get_u64(pin, "revision", 1, INT64_MAX, &revision);
	if (revision == core->revision)
		return 0;
	return json_object_set_new(pin, "revision",
				   json_integer(core->revision)) < 0 ?
	       -ENOMEM : 1;
}

int known_update(const struct header *h)
{
	return change(edit_update, h);
}

static int edit_forget(json_t *pins, const void *argument)
{
	return json_object_del(pins, argument) == 0;
}

int known_forget(const char *volume_id)
{
	return change(edit_forget, volume_id);
}

struct replacement {
	const char *volume_id;
	const char *old_key_id;	/* or NULL */
	const char *new_key_id;	/* or NULL */
};

static int edit_replace_key(json_t *pins, const void *argument)
{
	const struct replacement *r = argument;
	json_t *pin = json_object_get(pins, r->volume_id);
	json_t *key_ids = json_object_get(pin, "key_ids");
	size_t i;

	if (!pin)
		return 0;
	for (i = json_array_size(key_ids); i-- > 0;) {
		const char *have =
			json_string_value(json_array_get(key_ids, i));

		if ((r->old_key_id && strcmp(have, r->old_key_id) == 0) ||
		    (r->new_key_id && strcmp(have, r->new_key_id) == 0))
			json_array_remove(key_ids, i);
	}
	if (!r->new_key_id)
		return 1;
	return json_array_append_new(key_ids, json_string(r->new_key_id)) < 0 ?
	       -ENOMEM : 1;
}

int known_replace_key(const char *volume_id, const char *old_key_id,
		      const char *new_key_id)
{
	const struct replacement r = { volume_id, old_key_id, new_key_id };

	return change(edit_replace_key, &r);
}
