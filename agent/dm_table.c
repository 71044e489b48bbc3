// SPDX-License-Identifier: GPL-2.0-or-later
/* Table and status lines of a volume, to text and back. */
#include "dm.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyring.h"
#include "uapi.h"

#define MAX_WORDS 24

/* Append to a line of a fixed size; a line that is full says so at the end. */
__attribute__((format(printf, 3, 4)))
static void append(char *line, size_t bytes, const char *fmt, ...)
{
	size_t used = strlen(line);
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line + used, bytes - used, fmt, args);
	va_end(args);
	/* The marker is a character that no line has. */
	if (n < 0 || (size_t)n >= bytes - used)
		snprintf(line, bytes, "\n");
}

static void print_options(const struct dm_volume *v, char *line, size_t bytes)
{
	bool envelope = v->target == DM_TARGET_ENVELOPE;
	bool holes = envelope && v->holes;
	bool error = envelope && v->on_lock == DM_ON_LOCK_ERROR;

	append(line, bytes, " %d sector_size:%" PRIu32,
	       1 + v->iv_large_sectors + v->allow_discards + holes + error,
	       v->sector_size);
	if (v->iv_large_sectors)
		append(line, bytes, " iv_large_sectors");
	if (v->allow_discards)
		append(line, bytes, " allow_discards");
	if (holes)
		append(line, bytes, " holes");
	if (error)
		append(line, bytes, " on_lock:error");
}

int dm_volume_params(const struct dm_volume *v,
		     char ret[DM_VOLUME_PARAMS_CHARS])
{
	char line[DM_VOLUME_PARAMS_CHARS] = "";
	const char *key = v->target == DM_TARGET_CRYPT ?
			  "logon:" KEYRING_LOGON_PREFIX : KEYRING_TYPE ":";

	if (!header_volume_id_valid(v->volume_id))
		return -EINVAL;
	append(line, sizeof(line), "%s :%d:%s%s %" PRIu64 " %u:%u %" PRIu64,
	       ENVELOPE_CIPHER, ENVELOPE_SECRET_BYTES, key, v->volume_id,
	       v->iv_offset_sectors, v->major, v->minor, v->start_sectors);
	print_options(v, line, sizeof(line));
	if (line[0] == '\n')
		return -EINVAL;
	strcpy(ret, line);
	return 0;
}

/* Split @line at single blanks, in place. -EINVAL: too many words. */
static int split(char *line, char *words[MAX_WORDS])
{
	char *save = NULL;
	char *word;
	int n = 0;

	for (word = strtok_r(line, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		if (n == MAX_WORDS)
			return -EINVAL;
		words[n++] = word;
	}
	return n;
}

static int parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno || *end || *ret > max ? -EINVAL : 0;
}

static int parse_device(char *text, struct dm_volume *v)
{
	char *colon = strchr(text, ':');
	uint64_t major;
	uint64_t minor;

	if (!colon)
		return -EINVAL;
	*colon = '\0';
	if (parse_u64(text, UINT32_MAX, &major) < 0 ||
	    parse_u64(colon + 1, UINT32_MAX, &minor) < 0)
		return -EINVAL;
	v->major = major;
	v->minor = minor;
	return 0;
}

static int parse_key(const char *text, struct dm_volume *v)
{
	static const char crypt[] = ":64:logon:" KEYRING_LOGON_PREFIX;
	static const char envelope[] = ":64:" KEYRING_TYPE ":";
	const char *prefix = v->target == DM_TARGET_CRYPT ? crypt : envelope;
	const char *id = text + strlen(prefix);

	if (strncmp(text, prefix, strlen(prefix)) != 0 ||
	    !header_volume_id_valid(id))
		return -EINVAL;
	strcpy(v->volume_id, id);
	return 0;
}

static int parse_option(const char *word, struct dm_volume *v)
{
	static const char size[] = "sector_size:";
	uint64_t n;

	if (strncmp(word, size, strlen(size)) == 0) {
		if (parse_u64(word + strlen(size), 4096, &n) < 0 || n < 512 ||
		    (n & (n - 1)))
			return -EINVAL;
		v->sector_size = n;
	} else if (strcmp(word, "iv_large_sectors") == 0) {
		v->iv_large_sectors = true;
	} else if (strcmp(word, "allow_discards") == 0) {
		v->allow_discards = true;
	} else if (strcmp(word, "holes") == 0) {
		v->holes = true;
	} else if (strcmp(word, "on_lock:error") == 0) {
		v->on_lock = DM_ON_LOCK_ERROR;
	} else if (strcmp(word, "on_lock:queue") == 0) {
		v->on_lock = DM_ON_LOCK_QUEUE;
	} else if (v->target != DM_TARGET_CRYPT) {
		return -EINVAL;
	}
	return 0;
}

static int parse_target(const char *target, enum dm_target *ret)
{
	if (strcmp(target, ENVELOPE_TARGET_NAME) == 0)
		*ret = DM_TARGET_ENVELOPE;
	else if (strcmp(target, "crypt") == 0)
		*ret = DM_TARGET_CRYPT;
	else
		return -EINVAL;
	return 0;
}

/* The five fixed words and the options behind their number. */
static int parse_words(char **words, int n, struct dm_volume *v)
{
	uint64_t options = 0;
	int i;

	if (n < 5 || strcmp(words[0], ENVELOPE_CIPHER) != 0 ||
	    parse_key(words[1], v) < 0 ||
	    parse_u64(words[2], UINT64_MAX, &v->iv_offset_sectors) < 0 ||
	    parse_device(words[3], v) < 0 ||
	    parse_u64(words[4], UINT64_MAX, &v->start_sectors) < 0)
		return -EINVAL;
	if (n > 5 && parse_u64(words[5], MAX_WORDS, &options) < 0)
		return -EINVAL;
	if (n != (n > 5 ? 6 : 5) + (int)options)
		return -EINVAL;
	for (i = 6; i < n; i++)
		if (parse_option(words[i], v) < 0)
			return -EINVAL;
	return 0;
}

int dm_volume_parse_params(const char *target, const char *params,
			   struct dm_volume *v)
{
	struct dm_volume parsed = *v;
	char *words[MAX_WORDS];
	char *line;
	int r;

	if (parse_target(target, &parsed.target) < 0)
		return -EINVAL;
	/* What the two targets take when the option is not there. */
	parsed.sector_size = parsed.target == DM_TARGET_CRYPT ?
			     512 : ENVELOPE_BLOCK_DEFAULT_BYTES;
	parsed.iv_large_sectors = false;
	parsed.allow_discards = false;
	parsed.holes = false;
	parsed.on_lock = DM_ON_LOCK_QUEUE;
	line = strdup(params);
	if (!line)
		return -ENOMEM;
	r = split(line, words);
	if (r >= 0)
		r = parse_words(words, r, &parsed);
	if (r == 0)
		*v = parsed;
	free(line);
	return r;
}

static int parse_state(char **words, struct dm_volume_status *s)
{
	static const char *const reasons[] = {
		"revoked", "invalidated", "expired", "wiped"
	};
	bool known = false;
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		known |= strcmp(words[1], reasons[i]) == 0;
	if (strcmp(words[0], "active") == 0 && strcmp(words[1], "-") == 0)
		s->state = DM_STATE_ACTIVE;
	else if (strcmp(words[0], "locked") == 0 && known)
		s->state = DM_STATE_LOCKED;
	else
		return -EINVAL;
	snprintf(s->reason, sizeof(s->reason), "%s", words[1]);
	if (strcmp(words[2], "revocable") == 0)
		s->revocable = true;
	else if (strcmp(words[2], "unleased") == 0)
		s->revocable = false;
	else
		return -EINVAL;
	return 0;
}

/* dm-crypt says nothing at all. */
static void crypt_status(struct dm_volume_status *s)
{
	s->state = DM_STATE_ACTIVE;
	strcpy(s->reason, "-");
	s->revocable = false;
	s->counted = false;
	s->reads = s->writes = s->holes = s->errors = 0;
}

int dm_volume_parse_status(const char *target, const char *status,
			   struct dm_volume_status *s)
{
	struct dm_volume_status parsed = *s;
	char *words[MAX_WORDS];
	enum dm_target kind;
	char *line;
	int r;

	if (parse_target(target, &kind) < 0)
		return -EINVAL;
	if (kind == DM_TARGET_CRYPT) {
		crypt_status(s);
		return 0;
	}
	line = strdup(status);
	if (!line)
		return -ENOMEM;
	r = split(line, words);
	/* A later target may say more behind these seven. */
	if (r >= 7)
		r = parse_state(words, &parsed);
	else
		r = -EINVAL;
	if (r == 0 && (parse_u64(words[3], UINT64_MAX, &parsed.reads) < 0 ||
		       parse_u64(words[4], UINT64_MAX, &parsed.writes) < 0 ||
		       parse_u64(words[5], UINT64_MAX, &parsed.holes) < 0 ||
		       parse_u64(words[6], UINT64_MAX, &parsed.errors) < 0))
		r = -EINVAL;
	parsed.counted = true;
	if (r == 0)
		*s = parsed;
	free(line);
	return r;
}

int dm_volume_uuid(const struct dm_volume *v, char ret[DM_VOLUME_UUID_CHARS])
{
	int n = snprintf(ret, DM_VOLUME_UUID_CHARS, "%s%s-%s",
			 DM_VOLUME_UUID_PREFIX, v->uuid, v->name);

	return n < 0 || n >= DM_VOLUME_UUID_CHARS ? -EINVAL : 0;
}

bool dm_volume_name_valid(const char *name)
{
	static const char more[] = "#+.:=@_-";
	size_t n = strlen(name);
	size_t i;

	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) || name[i] & 0x80)
			if (!strchr(more, name[i]))
				return false;
	/* /dev/mapper/control is device mapper's own. */
	return n > 0 && n < DM_VOLUME_NAME_CHARS && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0 && strcmp(name, "control") != 0;
}
