// SPDX-License-Identifier: GPL-2.0-or-later
/* The options of a line of envelopetab, as a table. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "tab.h"

#define RELATIONS_MAX 64
#define UNIT_CHARS 255
#define TRIES_MAX 1000000

/* One option of one line: what its setter says, it says of this. */
struct option_at {
	const char *where;
	const char *name;
	const char *value;	/* "" where none stands behind it */
};

static int refuse(const struct option_at *at, const char *why)
{
	log_error("%s: %s%s: %s", at->where, at->name, at->value, why);
	return -EINVAL;
}

static int set_nofail(const struct option_at *at, struct tab_line *line)
{
	(void)at;
	line->nofail = true;
	return 0;
}

static int set_noauto(const struct option_at *at, struct tab_line *line)
{
	(void)at;
	line->noauto = true;
	return 0;
}

static int set_netdev(const struct option_at *at, struct tab_line *line)
{
	(void)at;
	line->netdev = true;
	return 0;
}

static int set_direct(const struct option_at *at, struct tab_line *line)
{
	(void)at;
	line->direct = true;
	return 0;
}

static int set_read_only(const struct option_at *at, struct tab_line *line)
{
	(void)at;
	line->read_only = true;
	return 0;
}

static int set_discards(const struct option_at *at, struct tab_line *line)
{
	(void)at;
	line->allow_discards = true;
	return 0;
}

static int set_on_lock(const struct option_at *at, struct tab_line *line)
{
	if (strcmp(at->value, "error") == 0)
		line->on_lock = DM_ON_LOCK_ERROR;
	else if (strcmp(at->value, "queue") != 0)
		return refuse(at, "write queue or error");
	return 0;
}

/* Digits alone are seconds, as in crypttab(5). */
static int parse_seconds(const char *text, uint64_t *ms_ret)
{
	char with_unit[16];
	size_t len = strlen(text);

	if (len == 0 || len > 10 || strspn(text, "0123456789") != len)
		return lease_parse_ms(text, ms_ret);
	memcpy(with_unit, text, len);
	strcpy(with_unit + len, "s");
	return lease_parse_ms(with_unit, ms_ret);
}

static int set_lease(const struct option_at *at, struct tab_line *line)
{
	line->lease.lease_given = true;
	if (lease_parse_ms(at->value, &line->lease.terms.lease_ms) < 0)
		return refuse(at, "no length of time up to 30d; write a number and s, m, h or d");
	return 0;
}

static int set_grace(const struct option_at *at, struct tab_line *line)
{
	line->lease.grace_given = true;
	if (lease_parse_ms(at->value, &line->lease.terms.grace_ms) < 0)
		return refuse(at, "no length of time up to 30d; write a number and s, m, h or d");
	return 0;
}

static int set_timeout(const struct option_at *at, struct tab_line *line)
{
	if (parse_seconds(at->value, &line->timeout_ms) < 0)
		return refuse(at, "no length of time up to 30d; write seconds, a number with s, m, h or d, or 0 for no end");
	return 0;
}

static int set_tries(const struct option_at *at, struct tab_line *line)
{
	size_t len = strlen(at->value);

	if (len > 0 && len < 8 && strspn(at->value, "0123456789") == len)
		line->tries = atoi(at->value);
	if (line->tries == 0 || line->tries > TRIES_MAX)
		return refuse(at, "write 1 to 1000000; without it, timeout= alone counts");
	return 0;
}

static int set_header(const struct option_at *at, struct tab_line *line)
{
	line->header = strdup(at->value);
	if (!line->header)
		return -ENOMEM;
	tab_decode(line->header);
	if (!tab_path_valid(line->header))
		return refuse(at, "write the absolute path of the header's file");
	return 0;
}

static int set_volume(const struct option_at *at, struct tab_line *line)
{
	if (!header_volume_id_valid(at->value))
		return refuse(at, "no volume id; 'envelope inspect DEVICE' shows it");
	line->volume_id = strdup(at->value);
	return line->volume_id ? 0 : -ENOMEM;
}

/* A grant of this kind needs somebody to have made it. */
static int set_grant(const struct option_at *at, struct tab_line *line)
{
	(void)line;
	return refuse(at, "this version keeps no grant over a boot; leave it out, and root's credentials make one at each attach, or write direct where this host may itself decrypt");
}

static int set_device_timeout(const struct option_at *at,
			      struct tab_line *line)
{
	uint64_t ms = 0;

	if (strcmp(at->value, "infinity") != 0 &&
	    parse_seconds(at->value, &ms) < 0)
		return refuse(at, "no length of time up to 30d; write seconds, a number with s, m, h or d, or infinity");
	line->device_timeout_given = true;
	line->device_timeout_s = ms / 1000;
	return 0;
}

/* As systemd.unit(5) wants it: else its line would be ignored at boot. */
static bool is_unit(const char *name)
{
	static const char *const types[] = {
		".service", ".socket", ".device", ".mount", ".automount",
		".swap", ".target", ".path", ".timer", ".slice", ".scope",
	};
	const char *dot = strrchr(name, '.');
	size_t i;

	if (!dot || dot == name || name[0] == '@' || strlen(name) > UNIT_CHARS)
		return false;
	for (i = 0; name[i]; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    !strchr(":-_.\\@", name[i]))
			return false;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(dot, types[i]) == 0)
			return true;
	return false;
}

static int add_relation(const struct option_at *at, struct tab_line *line,
			enum tab_relation_kind kind)
{
	bool path_only = kind == TAB_MOUNTS_FOR;
	bool unit_only = kind == TAB_WANTED_BY || kind == TAB_REQUIRED_BY;
	struct tab_relation *all;
	char *what;

	if (line->relation_count == RELATIONS_MAX)
		return refuse(at, "more than 64 of these; leave some out");
	what = strdup(at->value);
	if (!what)
		return -ENOMEM;
	tab_decode(what);
	if ((unit_only || !tab_path_valid(what)) &&
	    (path_only || !is_unit(what))) {
		free(what);
		return refuse(at, path_only ? "write an absolute path" :
			      unit_only ? "write the name of a unit, as a.target" :
			      "write the name of a unit, as a.service, or an absolute path");
	}
	all = reallocarray(line->relations, line->relation_count + 1,
			   sizeof(*all));
	if (!all) {
		free(what);
		return -ENOMEM;
	}
	line->relations = all;
	all[line->relation_count++] = (struct tab_relation){ kind, what };
	return 0;
}

static int add_requires(const struct option_at *at, struct tab_line *line)
{
	return add_relation(at, line, TAB_REQUIRES);
}

static int add_after(const struct option_at *at, struct tab_line *line)
{
	return add_relation(at, line, TAB_AFTER);
}

static int add_before(const struct option_at *at, struct tab_line *line)
{
	return add_relation(at, line, TAB_BEFORE);
}

static int add_wanted_by(const struct option_at *at, struct tab_line *line)
{
	return add_relation(at, line, TAB_WANTED_BY);
}

static int add_required_by(const struct option_at *at, struct tab_line *line)
{
	return add_relation(at, line, TAB_REQUIRED_BY);
}

static int add_mounts_for(const struct option_at *at, struct tab_line *line)
{
	return add_relation(at, line, TAB_MOUNTS_FOR);
}

/* A name that ends with = has a value; same @bit: one of them, once. */
#define MANY 0
static const struct option {
	const char *name;
	unsigned int bit;	/* 1 to 31; MANY: as often as wanted */
	int (*set)(const struct option_at *at, struct tab_line *line);
} options[] = {
	{ "nofail", 1, set_nofail },
	{ "noauto", 2, set_noauto },
	{ "_netdev", 3, set_netdev },
	{ "direct", 4, set_direct },
	{ "grant=", 4, set_grant },
	{ "read-only", 5, set_read_only },
	{ "readonly", 5, set_read_only },
	{ "allow-discards", 6, set_discards },
	{ "discard", 6, set_discards },
	{ "on-lock=", 7, set_on_lock },
	{ "lease=", 8, set_lease },
	{ "grace=", 9, set_grace },
	{ "timeout=", 10, set_timeout },
	{ "tries=", 11, set_tries },
	{ "header=", 12, set_header },
	{ "volume=", 13, set_volume },
	{ "x-systemd.device-timeout=", 14, set_device_timeout },
	{ "x-systemd.requires=", MANY, add_requires },
	{ "x-systemd.after=", MANY, add_after },
	{ "x-systemd.before=", MANY, add_before },
	{ "x-systemd.wanted-by=", MANY, add_wanted_by },
	{ "x-systemd.required-by=", MANY, add_required_by },
	{ "x-systemd.requires-mounts-for=", MANY, add_mounts_for },
};

static const struct option *find(const char *word)
{
	size_t len = strcspn(word, "=");
	size_t i;

	if (word[len] == '=')
		len++;
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strlen(options[i].name) == len &&
		    strncmp(options[i].name, word, len) == 0)
			return &options[i];
	return NULL;
}

static int take_option(const char *where, const char *word,
		       struct tab_line *line)
{
	const struct option *o = find(word);
	struct option_at at = { where, word, "" };

	if (!*word) {
		log_error("%s: an empty option; there is a comma too many",
			  where);
		return -EINVAL;
	}
	if (!o) {
		log_error("%s: %s: no such option; envelopetab(5) has them all",
			  where, word);
		return -EINVAL;
	}
	at.name = o->name;
	at.value = word + strlen(o->name);
	if (o->bit && line->seen & 1u << o->bit)
		return refuse(&at, "it, or what excludes it, stands there already; leave one out");
	line->seen |= 1u << o->bit;
	return o->set(&at, line);
}

int tab_options(const char *where, char *text, struct tab_line *line)
{
	char *word;
	int r = 0;

	while (r == 0 && (word = strsep(&text, ",")))
		r = take_option(where, word, line);
	return r;
}
