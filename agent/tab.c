// SPDX-License-Identifier: GPL-2.0-or-later
/* envelopetab: lines to volumes, and what is wrong with one to its sentence. */
#include "tab.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_file.h"
#include "log.h"

#define BLANKS " \t"
#define HEX "0123456789abcdefABCDEF"
#define WORDS 3
#define WHERE_CHARS 512
#define DEVICES "an absolute path, PARTUUID=, PARTLABEL=, LABEL=, UUID= or a volume id"

static void line_free(struct tab_line *line)
{
	size_t i;

	for (i = 0; i < line->relation_count; i++)
		free(line->relations[i].what);
	free(line->relations);
	free(line->spec);
	free(line->device);
	free(line->header);
	free(line->volume_id);
}

void tab_free(struct tab *tab)
{
	size_t i;

	for (i = 0; i < tab->count; i++)
		line_free(&tab->at[i]);
	free(tab->at);
	*tab = (struct tab){ 0 };
}

bool tab_is_remote(const struct tab_line *line)
{
	return line->netdev || !line->direct;
}

unsigned int tab_wait_ms(unsigned int tries, uint32_t random)
{
	uint64_t most = TAB_WAIT_CAP_MS;

	if (tries < 5)
		most = TAB_WAIT_BASE_MS << (tries ? tries - 1 : 0);
	return most / 2 + (random * (most / 2 + 1) >> 32);
}

void tab_decode(char *text)
{
	static const struct {
		const char *code;
		char byte;
	} codes[] = { { "\\040", ' ' }, { "\\011", '\t' }, { "\\134", '\\' } };
	char *to = text;
	size_t i;

	while (*text) {
		for (i = 0; i < 3; i++)
			if (strncmp(text, codes[i].code, 4) == 0)
				break;
		*to++ = i < 3 ? codes[i].byte : *text;
		text += i < 3 ? 4 : 1;
	}
	*to = '\0';
}

/*
 * What would end a word or a line of a unit file, or act on a terminal: also
 * the controls U+0080 to U+009F.
 */
static bool has_control(const char *text, char allowed)
{
	const unsigned char *c = (const unsigned char *)text;

	for (; *c; c++)
		if ((*c < ' ' && *c != allowed) || *c == 0x7f ||
		    (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
			return true;
	return false;
}

static bool is_utf8(const char *text)
{
	json_t *o = json_string(text);
	bool is = o != NULL;

	json_decref(o);
	return is;
}

/* As udev(7) calls its links: what is not plain is \xHH. */
static char *link_path(const char *folder, const char *value)
{
	static const char plain[] = "#+-.:=@_";
	char *path = malloc(strlen(folder) + 4 * strlen(value) + 1);
	char *at = path;

	if (!path)
		return NULL;
	at += sprintf(at, "%s", folder);
	for (; *value; value++) {
		unsigned char c = *value;

		if (isalnum(c) || c >= 0x80 || strchr(plain, c))
			*at++ = c;
		else
			at += sprintf(at, "\\x%02x", c);
	}
	*at = '\0';
	return path;
}

static void lower(char *text)
{
	for (; *text; text++)
		*text = tolower((unsigned char)*text);
}

bool tab_path_valid(const char *path)
{
	const char *at = path;
	size_t len;

	if (path[0] != '/' || strlen(path) >= PATH_MAX ||
	    path[strlen(path) - 1] == '/' || has_control(path, 0))
		return false;
	while (*at) {
		at += strspn(at, "/");
		len = strcspn(at, "/");
		if (len > NAME_MAX || (len == 1 && at[0] == '.') ||
		    (len == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		at += len;
	}
	return true;
}

static const struct tag {
	const char *name;	/* with its = */
	const char *folder;
	bool is_id;		/* letters of it are written small */
} tags[] = {
	{ "PARTUUID=", "/dev/disk/by-partuuid/", true },
	{ "PARTLABEL=", "/dev/disk/by-partlabel/", false },
	{ "LABEL=", "/dev/disk/by-label/", false },
};

static const struct tag *tag_find(const char *spec)
{
	size_t i;

	for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (strncmp(spec, tags[i].name, strlen(tags[i].name)) == 0)
			return &tags[i];
	return NULL;
}

static int take_tag(const char *where, const struct tag *tag,
		    struct tab_line *line)
{
	const char *value = line->spec + strlen(tag->name);
	char *path;

	if (!*value || (tag->is_id && strspn(value, HEX "-") !=
				      strlen(value))) {
		log_error("%s: DEVICE '%s': %s; 'blkid' shows them", where,
			  line->spec, *value ? "that is no PARTUUID" :
			  "there is nothing behind the =");
		return -EINVAL;
	}
	path = link_path(tag->folder, value);
	if (!path)
		return -ENOMEM;
	if (tag->is_id)
		lower(path + strlen(tag->folder));
	line->device = path;
	return 0;
}

static int take_uuid(const char *where, struct tab_line *line)
{
	uint8_t uuid[HEADER_UUID_BYTES];

	line->by = TAB_BY_UUID;
	line->device = strdup(line->spec + strlen("UUID="));
	if (!line->device)
		return -ENOMEM;
	lower(line->device);
	if (header_uuid_parse(line->device, uuid) < 0) {
		log_error("%s: DEVICE '%s': that is no UUID of a volume; 'envelope inspect DEVICE' shows it",
			  where, line->spec);
		return -EINVAL;
	}
	return 0;
}

static int take_path(const char *where, struct tab_line *line)
{
	if (!tab_path_valid(line->spec)) {
		log_error("%s: DEVICE '%s': no such form; write " DEVICES,
			  where, line->spec);
		return -EINVAL;
	}
	line->device = strdup(line->spec);
	return line->device ? 0 : -ENOMEM;
}

static int take_device(const char *where, char *text, struct tab_line *line)
{
	const struct tag *tag;

	tab_decode(text);
	if (has_control(text, 0)) {
		log_error("%s: DEVICE has a control character; udev has another link for that device: see /dev/disk",
			  where);
		return -EINVAL;
	}
	line->spec = strdup(text);
	if (!line->spec)
		return -ENOMEM;
	tag = tag_find(text);
	if (tag)
		return take_tag(where, tag, line);
	if (strncmp(text, "UUID=", 5) == 0)
		return take_uuid(where, line);
	if (!header_volume_id_valid(text))
		return take_path(where, line);
	line->by = TAB_BY_VOLUME;
	line->device = strdup(text);
	return line->device ? 0 : -ENOMEM;
}

/* What each option may be by itself, and these not together. */
static int check_together(const char *where, const struct tab_line *line)
{
	const char *why = NULL;

	if (line->header && line->by != TAB_BY_PATH)
		why = "header=: a device without a header has no UUID and no volume id; name it by its path or PARTUUID=";
	else if (line->direct && line->lease.lease_given &&
		 line->lease.terms.lease_ms)
		why = "lease=: only the agent renews a lease; leave out direct, or the lease";
	else if (line->device_timeout_given &&
		 (line->by == TAB_BY_VOLUME ||
		  (line->by == TAB_BY_PATH &&
		   strncmp(line->device, "/dev/", 5) != 0)))
		why = "x-systemd.device-timeout=: systemd waits for a UUID and for paths below /dev only; timeout= counts for all others";
	else if (line->volume_id && line->by == TAB_BY_VOLUME)
		why = "volume=: DEVICE is a volume id already; leave volume= out";
	else if (line->lease.lease_given)
		why = lease_terms_wrong(&line->lease.terms);
	if (why)
		log_error("%s: %s", where, why);
	return why ? -EINVAL : 0;
}

/* @words: name, device, options or NULL. */
static int take_words(const char *where, char *words[WORDS],
		      struct tab_line *line)
{
	int r;

	if (!dm_volume_name_valid(words[0])) {
		log_error("%s: NAME: that is no name for a device; want 1 to %d letters, digits and #+.:=@_-",
			  where, DM_VOLUME_NAME_CHARS - 1);
		return -EINVAL;
	}
	snprintf(line->name, sizeof(line->name), "%s", words[0]);
	if (!words[1]) {
		log_error("%s: there is no DEVICE; write " DEVICES
			  " behind the name", where);
		return -EINVAL;
	}
	r = take_device(where, words[1], line);
	if (r == 0 && words[2] && strcmp(words[2], "-") != 0)
		r = tab_options(where, words[2], line);
	return r < 0 ? r : check_together(where, line);
}

/* Words of @text, cut out in place; what stands behind the last one, or NULL. */
static char *cut(char *text, char *words[WORDS])
{
	size_t n;

	for (n = 0; n <= WORDS; n++) {
		text += strspn(text, BLANKS);
		if (!*text || n == WORDS)
			break;
		words[n] = text;
		text += strcspn(text, BLANKS);
		if (*text)
			*text++ = '\0';
	}
	return *text ? text : NULL;
}

static int parse_line(const char *where, char *words[WORDS],
		      const char *behind, struct tab_line *line)
{
	if (behind) {
		log_error("%s: '%s': a fourth word; options are one word, with commas and no blanks (\\040 is one in a path)",
			  where, behind);
		return -EINVAL;
	}
	return take_words(where, words, line);
}

static const struct tab_line *find(const struct tab *tab, const char *name)
{
	size_t i;

	for (i = 0; i < tab->count; i++)
		if (strcmp(tab->at[i].name, name) == 0)
			return &tab->at[i];
	return NULL;
}

/* Takes over @line. */
static int append(const char *where, struct tab *tab, struct tab_line *line)
{
	const struct tab_line *other = find(tab, line->name);
	struct tab_line *at;

	if (other) {
		log_error("%s: line %zu has that name already, and is the one that counts; rename or remove one",
			  where, other->number);
		return -EINVAL;
	}
	if (tab->count == TAB_MAX_LINES) {
		log_error("%s: more than %d volumes; remove some", where,
			  TAB_MAX_LINES);
		return -EINVAL;
	}
	at = reallocarray(tab->at, tab->count + 1, sizeof(*at));
	if (!at)
		return -ENOMEM;
	tab->at = at;
	tab->at[tab->count++] = *line;
	*line = (struct tab_line){ 0 };
	return 0;
}

/* A name that is none stays unsaid: it may be anything. */
static void say_where(const char *path, size_t number, const char *name,
		      char ret[WHERE_CHARS])
{
	bool plain = dm_volume_name_valid(name);

	snprintf(ret, WHERE_CHARS, "%.*s:%zu%s%s%s",
		 WHERE_CHARS - DM_VOLUME_NAME_CHARS - 32, path, number,
		 plain ? ": '" : "", plain ? name : "", plain ? "'" : "");
}

static int take_line(const char *path, size_t number, char *text,
		     const char *only, struct tab *tab)
{
	struct tab_line line = { .number = number,
				 .timeout_ms = TAB_TIMEOUT_MS };
	char *words[WORDS] = { NULL };
	char where[WHERE_CHARS];
	const char *behind;
	bool plain = is_utf8(text) && !has_control(text, '\t');
	int r = -EINVAL;

	behind = cut(text, words);
	if (!words[0] || words[0][0] == '#')
		return 0;
	if (only && strcmp(only, words[0]) != 0)
		return 0;
	say_where(path, number, words[0], where);
	if (plain)
		r = parse_line(where, words, behind, &line);
	else
		log_error("%s: control characters, or no UTF-8; write the line anew in plain letters",
			  where);
	if (r == 0)
		r = append(where, tab, &line);
	line_free(&line);
	if (r == -EINVAL)
		tab->broken++;
	return r == -EINVAL ? 0 : r;
}

int tab_parse(const char *path, char *text, const char *only,
	      struct tab *ret)
{
	struct tab tab = { 0 };
	size_t number = 0;
	char *line;
	int r = 0;

	while (r == 0 && (line = strsep(&text, "\n"))) {
		size_t len = strlen(line);

		if (len > 0 && line[len - 1] == '\r')
			line[len - 1] = '\0';
		r = take_line(path, ++number, line, only, &tab);
	}
	if (r < 0) {
		log_error("%s: out of memory", path);
		tab_free(&tab);
		return r;
	}
	*ret = tab;
	return 0;
}

int tab_read(const char *path, const char *only, struct tab *ret)
{
	char *text = NULL;
	size_t bytes;
	int r;

	*ret = (struct tab){ 0 };
	r = conf_text_read(path ? path : TAB_PATH, path, &text, &bytes);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = tab_parse(path ? path : TAB_PATH, text, only, ret);
	free(text);
	return r;
}
