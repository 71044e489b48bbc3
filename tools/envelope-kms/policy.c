// SPDX-License-Identifier: GPL-2.0-or-later
/* What a policy says to a request. */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy_private.h"

static void free_patterns(struct patterns *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		free(list->items[i].text);
	free(list->items);
}

static void free_statement(struct statement *s)
{
	size_t i;

	free(s->sid);
	for (i = 0; i < s->principals.count; i++)
		free(s->principals.arns[i]);
	free(s->principals.arns);
	free_patterns(&s->actions);
	free_patterns(&s->resources);
	for (i = 0; i < s->condition_count; i++) {
		free(s->conditions[i].key);
		free_patterns(&s->conditions[i].values);
	}
	free(s->conditions);
}

void policy_free(struct policy *p)
{
	size_t i;

	if (!p)
		return;
	for (i = 0; i < p->count; i++)
		free_statement(&p->statements[i]);
	free(p->statements);
	free(p);
}

/* arn:aws:iam::ACCOUNT:root */
static bool is_root_of(const char *arn, const char *account)
{
	return strncmp(arn, "arn:aws:iam::", 13) == 0 &&
	       strncmp(arn + 13, account, 12) == 0 &&
	       strcmp(arn + 25, ":root") == 0;
}

enum { WHO_SELF = 1, WHO_ACCOUNT = 2 };

/* Did @arn mean the caller when the policy was written? */
static bool is_bound(const struct policy_request *r, const char *arn,
		     bool strict)
{
	const char *line = r->bound;
	size_t n = strlen(arn);

	if (!line)
		return true;
	for (; *line; line = strchr(line, '\n') + 1) {
		const char *uid = line + n + 1;

		if (strncmp(line, arn, n) == 0 && line[n] == ' ')
			return strncmp(uid, r->caller.uid,
				       strcspn(uid, "\n")) == 0 &&
			       strlen(r->caller.uid) == strcspn(uid, "\n");
	}
	return !strict;
}

/*
 * In which capacities the caller is on the statement's list. @strict: not by
 * a name that nobody is known to have had.
 */
static int on_list(const struct principals *p, const struct policy_request *r,
		   bool strict)
{
	const struct policy_caller *who = &r->caller;
	int found = p->everybody ? WHO_SELF : 0;
	size_t i;

	for (i = 0; i < p->count; i++) {
		if (strcmp(p->arns[i], who->arn) == 0 ||
		    (who->role_arn && strcmp(p->arns[i], who->role_arn) == 0))
			found |= is_bound(r, p->arns[i], strict) ? WHO_SELF : 0;
		else if (is_root_of(p->arns[i], who->account))
			found |= WHO_ACCOUNT;
	}
	return found;
}

static int match_principal(const struct statement *s,
			   const struct policy_request *r)
{
	int found;

	if (!s->principals.present)
		return WHO_SELF;
	/* In doubt an Allow reaches nobody, and a Deny spares nobody. */
	found = on_list(&s->principals, r, s->deny == s->principals.negated);
	if (!s->principals.negated)
		return found;
	/* A Deny spares only who is named, an Allow no one who might be. */
	if (s->deny)
		return found & WHO_SELF ? 0 : WHO_SELF;
	return found ? 0 : WHO_SELF;
}

static bool match_action(const struct patterns *list, const char *action)
{
	size_t i;

	if (!list->present)
		return false;
	for (i = 0; i < list->count; i++)
		if (pattern_matches(list->items[i].text, action, true))
			return !list->negated;
	return list->negated;
}

/* 1; 0; negative. An unresolved variable matches nothing, and is told. */
static int match_one_resource(const struct pattern *p,
			      const struct policy_request *r, bool *unresolved)
{
	char *expanded = NULL;
	int rc;

	if (!p->variables)
		return pattern_matches_arn(p->text, r->resource, true);
	rc = pattern_expand(p, r, &expanded);
	if (!expanded)
		*unresolved = true;
	if (rc == 0)
		rc = expanded && pattern_matches_arn(expanded, r->resource,
						     true);
	free(expanded);
	return rc;
}

static int match_resource(const struct policy *p, const struct statement *s,
			  const struct policy_request *r)
{
	const struct patterns *list = &s->resources;
	bool unresolved = false;
	size_t i;

	if (!list->present)
		return p->kind == POLICY_TRUST;
	for (i = 0; i < list->count; i++) {
		int rc = match_one_resource(&list->items[i], r,
					    &unresolved);

		if (rc < 0)
			return rc;
		if (rc)
			return !list->negated;
	}
	/* All but one knows not what: an Allow is not for that. */
	return list->negated && (s->deny || !unresolved);
}

static int match_conditions(const struct statement *s,
			    const struct policy_request *r)
{
	size_t i;
	int rc = 1;

	for (i = 0; rc > 0 && i < s->condition_count; i++)
		rc = condition_holds(&s->conditions[i], s->deny, r);
	return rc;
}

static int match_statement(const struct policy *p, const struct statement *s,
			   const struct policy_request *r)
{
	int who = match_principal(s, r);
	int rc;

	if (!who || !match_action(&s->actions, r->action))
		return 0;
	rc = match_resource(p, s, r);
	if (rc > 0)
		rc = match_conditions(s, r);
	if (rc <= 0)
		return rc;
	if (s->deny)
		return POLICY_DENIES;
	return (who & WHO_SELF ? POLICY_ALLOWS : 0) |
	       (who & WHO_ACCOUNT ? POLICY_DELEGATES : 0);
}

int policy_evaluate(const struct policy *p, const struct policy_request *r)
{
	int verdict = 0;
	size_t i;

	for (i = 0; i < p->count; i++) {
		int rc = match_statement(p, &p->statements[i], r);

		if (rc < 0)
			return rc;
		verdict |= rc;
	}
	return verdict;
}

int policy_principals(const struct policy *p, policy_principal_fn *fn,
		      void *arg)
{
	size_t i, j;
	int rc = 0;

	for (i = 0; i < p->count; i++) {
		const struct principals *list = &p->statements[i].principals;

		for (j = 0; rc == 0 && j < list->count; j++)
			if (strcmp(list->arns[j] + 25, ":root") != 0)
				rc = fn(list->arns[j], arg);
	}
	return rc;
}

/* Whatever its region and account. */
static bool covers_every_key(const char *compiled)
{
	int colons;

	for (colons = 0; colons < 5; colons++) {
		compiled = strchr(compiled, ':');
		if (!compiled)
			return true;
		compiled++;
	}
	return pattern_matches(compiled,
			       "key/00000000-0000-0000-0000-000000000000",
			       false);
}

/* Why the statement is broad; NULL: it is not. */
static const char *broad(const struct policy *p, const struct statement *s,
			 const char *action)
{
	bool any = false;
	size_t i;

	if (s->deny || !match_action(&s->actions, action))
		return NULL;
	if (s->principals.present && s->principals.negated)
		return "to everybody but a list";
	if (s->principals.everybody && !s->condition_count)
		return "to everybody in every account";
	if (p->kind != POLICY_IDENTITY || s->condition_count)
		return NULL;
	for (i = 0; i < s->resources.count; i++)
		any |= covers_every_key(s->resources.items[i].text);
	if (any || s->resources.negated)
		return "on every key";
	return NULL;
}

int policy_broad(const struct policy *p, const char *action,
		 policy_broad_fn *fn, void *arg)
{
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < p->count; i++) {
		const struct statement *s = &p->statements[i];
		const char *why = broad(p, s, action);

		if (why)
			rc = fn(s->sid, i, why, arg);
	}
	return rc;
}
