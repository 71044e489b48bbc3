// SPDX-License-Identifier: GPL-2.0-or-later
/* The policy's text to sections. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "dm.h"
#include "lease.h"
#include "log.h"
#include "policy_private.h"
#include "volume.h"

#define MAX_RULES 256
#define MAX_WORDS 64
#define MAX_WORKERS 64
#define MAX_TIMEOUT_SECONDS 120

/* Where the parser is. */
struct place {
	const char *path;
	size_t line;
};

static int fault(const struct place *place, const char *why, const char *what)
{
	log_error("%s:%zu: %s '%s'", place->path, place->line, why, what);
	return -EINVAL;
}

static int parse_number(const char *text, unsigned long max,
			unsigned int *ret)
{
	char *end;
	unsigned long n;

	if (!isdigit((unsigned char)text[0]) || strlen(text) > 10)
		return -EINVAL;
	n = strtoul(text, &end, 10);
	if (*end || n > max)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int find_id(const struct place *place, const char *kind,
		   const char *name, struct rule *rule)
{
	struct passwd *user;
	struct group *group;

	rule->kind = strcmp(kind, "group") == 0 ? RULE_GROUP : RULE_USER;
	if (strcmp(kind, "uid") == 0)
		return parse_number(name, UINT32_MAX - 1, &rule->id) == 0 ?
		       0 : fault(place, "a uid is a number, not", name);
	if (rule->kind == RULE_GROUP) {
		group = getgrnam(name);
		if (!group)
			return fault(place, "there is no group", name);
		rule->id = group->gr_gid;
		return 0;
	}
	user = getpwnam(name);
	if (!user)
		return fault(place, "there is no user", name);
	rule->id = user->pw_uid;
	return 0;
}

/* The text between the brackets: one word, or kind and name. */
static int read_title(const struct place *place, char *title,
		      struct rule *rule)
{
	char kind[8];
	size_t len = strcspn(title, " ");

	if (strcmp(title, "everyone") == 0) {
		rule->kind = RULE_EVERYONE;
		return 0;
	}
	if (strcmp(title, "agent") == 0) {
		rule->kind = RULE_AGENT;
		return 0;
	}
	snprintf(kind, sizeof(kind), "%.*s", (int)len, title);
	if (title[len] == '\0' || title[len + 1] == '\0' ||
	    strchr(title + len + 1, ' ') ||
	    (strcmp(kind, "user") != 0 && strcmp(kind, "uid") != 0 &&
	     strcmp(kind, "group") != 0))
		return fault(place, "a section is [user NAME], [uid NUMBER], [group NAME], [everyone] or [agent], not",
			     title);
	return find_id(place, kind, title + len + 1, rule);
}

static int take_section(const struct place *place, char *text,
			struct policy *p)
{
	size_t len = strlen(text), count = 0;
	struct rule *rule, *r;
	int rc;

	if (text[len - 1] != ']')
		return fault(place, "a section ends with ], not", text);
	text[len - 1] = '\0';
	text++;
	for (r = p->rules; r; r = r->next, count++)
		if (strcmp(r->title, text) == 0)
			return fault(place, "there is a second section", text);
	if (count == MAX_RULES)
		return fault(place, "there are too many sections at", text);
	rule = calloc(1, sizeof(*rule));
	if (!rule)
		return -ENOMEM;
	rule->title = strdup(text);
	rc = rule->title ? read_title(place, text, rule) : -ENOMEM;
	if (rc < 0) {
		free(rule->title);
		free(rule);
		return rc;
	}
	/* In front: it is the one that lines belong to. */
	rule->next = p->rules;
	p->rules = rule;
	return 0;
}

static int check_device(const struct place *place, const char *word)
{
	if (strcmp(word, POLICY_PASSED) == 0 || word[0] == '/')
		return 0;
	return fault(place, "devices are 'passed' or absolute paths, not", word);
}

/* What no device name can match is a mistake. */
static int check_name(const struct place *place, const char *word)
{
	if (strlen(word) < DM_VOLUME_NAME_CHARS && !strchr(word, '/'))
		return 0;
	return fault(place, "no device can have a name like", word);
}

/* Whether it is a key's that this host knows, allow-keys says. */
static int check_key(const struct place *place, const char *word)
{
	if (strchr(word, ':'))
		return 0;
	return fault(place, "keys are patterns of ARNs and other key ids, not",
		     word);
}

static int take_words(const struct place *place, char *value,
		      int (*check)(const struct place *place,
				   const char *word),
		      struct words *ret)
{
	char *one;
	int r = 0;

	if (ret->at)
		return fault(place, "that line stands twice in its section:",
			     value);
	ret->at = calloc(MAX_WORDS, sizeof(*ret->at));
	if (!ret->at)
		return -ENOMEM;
	while (r == 0 && (one = strsep(&value, " \t"))) {
		if (*one == '\0')
			continue;
		if (ret->count == MAX_WORDS)
			return fault(place, "there are too many words at",
				     one);
		r = check(place, one);
		if (r == 0) {
			ret->at[ret->count] = strdup(one);
			r = ret->at[ret->count] ? 0 : -ENOMEM;
		}
		if (r == 0)
			ret->count++;
	}
	return r;
}

static int take_cap(const struct place *place, const char *value,
		    struct policy *p)
{
	if (p->lease_cap_ms)
		return fault(place, "that line stands twice in its section:",
			     value);
	if (lease_parse_ms(value, &p->lease_cap_ms) < 0 ||
	    p->lease_cap_ms < LEASE_MIN_MS)
		return fault(place, "lease-cap is a time of 10s to 30d, not",
			     value);
	return 0;
}

/* @wrong is the sentence about what is neither yes nor no. */
static int take_answer(const struct place *place, const char *value,
		       const char *wrong, bool *set, bool *ret)
{
	if (*set)
		return fault(place, "that line stands twice in its section:",
			     value);
	*set = true;
	*ret = strcmp(value, "yes") == 0;
	if (!*ret && strcmp(value, "no") != 0)
		return fault(place, wrong, value);
	return 0;
}

/* What is about the agent itself. */
static int take_agent(const struct place *place, const char *name,
		      const char *value, struct policy *p)
{
	if (strcmp(name, "workers") == 0) {
		if (parse_number(value, MAX_WORKERS, &p->workers) == 0 &&
		    p->workers > 0)
			return 0;
		return fault(place, "workers is 1 to 64, not", value);
	}
	if (strcmp(name, "timeout") == 0) {
		if (parse_number(value, MAX_TIMEOUT_SECONDS,
				 &p->timeout_seconds) == 0 &&
		    p->timeout_seconds > 0)
			return 0;
		return fault(place, "timeout is 1 to 120 seconds, not", value);
	}
	if (strcmp(name, "lease-cap") == 0)
		return take_cap(place, value, p);
	if (strcmp(name, "require-pin") == 0)
		return take_answer(place, value,
				   "require-pin is yes or no, not",
				   &p->pins_set, &p->require_pin);
	if (strcmp(name, "allow-recovery") == 0)
		return take_answer(place, value,
				   "allow-recovery is yes or no, not",
				   &p->recovery_set, &p->allow_recovery);
	return fault(place, "[agent] knows workers, timeout, lease-cap, require-pin and allow-recovery, not",
		     name);
}

static int take_setting(const struct place *place, char *text,
			struct policy *p)
{
	char *value = strchr(text, '=');
	char *end = value;
	struct rule *rule = p->rules;

	if (!value)
		return fault(place, "a line is NAME = VALUE, not", text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	for (value++; isspace((unsigned char)*value); value++)
		;
	if (*value == '\0')
		return fault(place, "there is no value for", text);
	if (!rule)
		return fault(place, "no section stands before", text);
	if (rule->kind == RULE_AGENT)
		return take_agent(place, text, value, p);
	if (strcmp(text, "devices") == 0)
		return take_words(place, value, check_device, &rule->devices);
	if (strcmp(text, "names") == 0)
		return take_words(place, value, check_name, &rule->names);
	if (strcmp(text, "keys") == 0)
		return take_words(place, value, check_key, &rule->keys);
	return fault(place, "a section knows devices, names and keys, not",
		     text);
}

static int take_line(const struct place *place, char *line, struct policy *p)
{
	char *end = line + strlen(line);

	while (isspace((unsigned char)*line))
		line++;
	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	if (*line == '\0' || *line == '#')
		return 0;
	if (*line == '[')
		return take_section(place, line, p);
	return take_setting(place, line, p);
}

int policy_parse(const char *path, const char *text, size_t len,
		 struct policy **ret)
{
	struct place place = { .path = path };
	struct policy *p = calloc(1, sizeof(*p));
	char *copy = strndup(text, len);
	char *rest = copy;
	char *line;
	int r = p && copy ? 0 : -ENOMEM;

	if (r == 0) {
		p->workers = POLICY_WORKERS;
		p->timeout_seconds = VOLUME_TIMEOUT_MS / 1000;
		if (strlen(copy) != len) {
			log_error("%s: there is a NUL in it", path);
			r = -EINVAL;
		}
	}
	while (r == 0 && (line = strsep(&rest, "\n"))) {
		place.line++;
		r = take_line(&place, line, p);
	}
	free(copy);
	if (r == -ENOMEM)
		log_error("%s: out of memory", path);
	if (r < 0)
		policy_free(p);
	else
		*ret = p;
	return r;
}

static int read_policy(const char *path, int fd, struct policy **ret)
{
	char text[POLICY_MAX_BYTES];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size > (off_t)sizeof(text)) {
		log_error("%s: not a file of at most %d bytes", path,
			  POLICY_MAX_BYTES);
		return -EINVAL;
	}
	if (st.st_uid != 0 || st.st_mode & 022) {
		log_error("%s: others than root can write it: chown root, chmod go-w",
			  path);
		return -EACCES;
	}
	n = read(fd, text, sizeof(text));
	if (n < 0) {
		log_error("%s: %s", path, strerror(errno));
		return -EINVAL;
	}
	return policy_parse(path, text, n, ret);
}

int policy_load(const char *path, struct policy **ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r;

	if (fd < 0 && errno == ENOENT)
		return policy_parse(path, "", 0, ret);
	if (fd < 0) {
		log_error("%s: %s", path, strerror(errno));
		return -EINVAL;
	}
	r = read_policy(path, fd, ret);
	close(fd);
	return r;
}
