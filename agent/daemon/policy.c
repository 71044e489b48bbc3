// SPDX-License-Identifier: GPL-2.0-or-later
/* The policy: what sections allow whom. */
#include "policy.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "policy_private.h"

static void words_free(struct words *w)
{
	size_t i;

	for (i = 0; i < w->count; i++)
		free(w->at[i]);
	free(w->at);
}

void policy_free(struct policy *p)
{
	struct rule *next;

	if (!p)
		return;
	for (; p->rules; p->rules = next) {
		next = p->rules->next;
		words_free(&p->rules->devices);
		words_free(&p->rules->names);
		words_free(&p->rules->keys);
		free(p->rules->title);
		free(p->rules);
	}
	free(p);
}

static bool fits(const struct rule *r, const struct caller *who)
{
	size_t i;

	if (r->kind == RULE_EVERYONE)
		return true;
	if (r->kind == RULE_USER)
		return r->id == who->uid;
	if (r->kind != RULE_GROUP)
		return false;
	for (i = 0; i < who->group_count; i++)
		if (who->groups[i] == r->id)
			return true;
	return r->id == who->gid;
}

/* A path with .. or // could mean another place than the one it looks like. */
static bool plain_path(const char *path)
{
	const char *at = path;

	if (*at != '/')
		return false;
	for (; at; at = strchr(at + 1, '/'))
		if (strncmp(at, "//", 2) == 0 ||
		    strncmp(at, "/./", 3) == 0 || strcmp(at, "/.") == 0 ||
		    strncmp(at, "/../", 4) == 0 || strcmp(at, "/..") == 0)
			return false;
	return true;
}

static bool device_fits(const struct rule *r, const char *link)
{
	size_t i;

	if (link && !plain_path(link))
		return false;
	for (i = 0; i < r->devices.count; i++) {
		const char *word = r->devices.at[i];

		if (!link && strcmp(word, POLICY_PASSED) == 0)
			return true;
		if (link && word[0] == '/' &&
		    fnmatch(word, link, FNM_PATHNAME | FNM_PERIOD) == 0)
			return true;
	}
	return false;
}

static bool name_fits(const struct rule *r, const char *name)
{
	size_t i;

	if (!name)
		return r->names.count > 0;
	for (i = 0; i < r->names.count; i++)
		if (fnmatch(r->names.at[i], name, 0) == 0)
			return true;
	return false;
}

bool policy_allows(const struct policy *p, const struct caller *who,
		   const char *link, const char *name)
{
	const struct rule *r;

	if (who->uid == 0)
		return true;
	for (r = p->rules; r; r = r->next)
		if (fits(r, who) && device_fits(r, link) &&
		    name_fits(r, name))
			return true;
	return false;
}

bool policy_allows_key(const struct policy *p, const struct caller *who,
		       const char *key_id)
{
	const struct rule *r;
	size_t i;

	if (who->uid == 0)
		return true;
	for (r = p->rules; r; r = r->next)
		for (i = 0; i < r->keys.count && fits(r, who); i++)
			if (fnmatch(r->keys.at[i], key_id, 0) == 0)
				return true;
	return false;
}

unsigned int policy_workers(const struct policy *p)
{
	return p->workers;
}

unsigned int policy_timeout_ms(const struct policy *p)
{
	return p->timeout_seconds * 1000;
}

bool policy_requires_pin(const struct policy *p)
{
	return p->require_pin;
}

bool policy_refuses_recovery(const struct policy *p)
{
	return p->lease_cap_ms && !p->allow_recovery;
}

size_t policy_rules(const struct policy *p)
{
	const struct rule *r;
	size_t n = 0;

	for (r = p->rules; r; r = r->next)
		n += r->kind != RULE_AGENT;
	return n;
}

const char *policy_idle_rule(const struct policy *p)
{
	const struct rule *r;
	const char *first = NULL;

	/* The last one of the file comes first. */
	for (r = p->rules; r; r = r->next)
		if (r->kind != RULE_AGENT && r->keys.count == 0 &&
		    (r->devices.count == 0 || r->names.count == 0))
			first = r->title;
	return first;
}

uint64_t policy_lease_cap_ms(const struct policy *p)
{
	return p->lease_cap_ms;
}
