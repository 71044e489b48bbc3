// SPDX-License-Identifier: GPL-2.0-or-later
/* From the text of a policy to its statements, strictly. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "policy_private.h"

#define DEPTH_MAX 8
#define STATEMENTS_MAX 256

static const char bad_principal[] =
	"Policy contains a statement with one or more invalid principals.";

static int refuse(char *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(char *why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, POLICY_WHY_BYTES, fmt, args);
	va_end(args);
	return -EBADMSG;
}

/* Marks of compiled patterns, and what no log should have to escape. */
static bool is_clean(const char *text)
{
	for (; *text; text++)
		if (*text > 0 && *text < ' ' && !strchr("\t\n\r", *text))
			return false;
	return true;
}

static int add_pattern(struct patterns *list, const char *text, int syntax,
		       char *why)
{
	int rc = pattern_compile(text, syntax, &list->items[list->count]);

	if (rc == -EBADMSG)
		return refuse(why, "Invalid policy variable in '%.100s'.",
			      text);
	if (rc == 0)
		list->count++;
	return rc;
}

/* A number or boolean as the text that it is compared as. */
static const char *scalar_text(const json_t *value, char buffer[static 40])
{
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	if (json_is_integer(value))
		snprintf(buffer, 40, "%lld",
			 (long long)json_integer_value(value));
	else if (json_is_real(value))
		snprintf(buffer, 40, "%.17g", json_real_value(value));
	else
		return NULL;
	return buffer;
}

typedef int text_fn(void *arg, const char *text, char *why);

/* Calls @fn for the text, or for each of the list of texts, @value. */
static int each_text(const json_t *value, const char *what, text_fn *fn,
		     void *arg, char *why)
{
	size_t i, n = json_is_array(value) ? json_array_size(value) : 1;
	int rc = 0;

	for (i = 0; rc == 0 && i < n; i++) {
		char buffer[40];
		const char *text = scalar_text(json_is_array(value) ?
					       json_array_get(value, i) :
					       value, buffer);

		if (!text || !is_clean(text))
			return refuse(why, "%s must be text or a list of texts.",
				      what);
		rc = fn(arg, text, why);
	}
	return rc;
}

static int reserve(struct patterns *list, const json_t *value)
{
	size_t n = json_is_array(value) ? json_array_size(value) : 1;

	list->items = calloc(n + 1, sizeof(*list->items));
	list->present = true;
	return list->items ? 0 : -ENOMEM;
}

static int take_action(void *arg, const char *text, char *why)
{
	const char *colon = strchr(text, ':');

	if (strcmp(text, "*") != 0 &&
	    (!colon || colon == text || !colon[1] || strchr(text, ' ')))
		return refuse(why, "Invalid action '%.100s'.", text);
	return add_pattern(arg, text, PATTERN_WILD, why);
}

struct reader {
	struct policy *policy;
	struct condition *condition;
	struct patterns *list;
};

static int take_resource(void *arg, const char *text, char *why)
{
	struct reader *r = arg;
	int syntax = PATTERN_WILD | (r->policy->variables ?
				     PATTERN_VARIABLES : 0);

	if (strcmp(text, "*") != 0 && strncmp(text, "arn:", 4) != 0)
		return refuse(why, "Invalid resource '%.100s'.", text);
	return add_pattern(r->list, text, syntax, why);
}

static int take_value(void *arg, const char *text, char *why)
{
	struct reader *r = arg;
	const struct operator *o = r->condition->operator;
	bool variables = r->policy->variables &&
			 (o->type == TYPE_STRING || o->type == TYPE_ARN);

	if (!operator_takes(o, text))
		return refuse(why, "Invalid value '%.100s' for %s.", text,
			      o->name);
	return add_pattern(r->list, text, (o->wild ? PATTERN_WILD : 0) |
			   (variables ? PATTERN_VARIABLES : 0), why);
}

static int read_actions(struct statement *s, const json_t *yes,
			const json_t *no, char *why)
{
	const json_t *value = yes ? yes : no;
	int rc;

	if (yes && no)
		return refuse(why, "A statement has both Action and NotAction.");
	if (!value)
		return 0;
	s->actions.negated = no != NULL;
	rc = reserve(&s->actions, value);
	return rc < 0 ? rc : each_text(value, "Action", take_action,
				       &s->actions, why);
}

static int read_resources(struct policy *p, struct statement *s,
			  const json_t *yes, const json_t *no, char *why)
{
	struct reader r = { p, NULL, &s->resources };
	const json_t *value = yes ? yes : no;
	int rc;

	if (yes && no)
		return refuse(why, "A statement has both Resource and NotResource.");
	if (!value)
		return 0;
	s->resources.negated = no != NULL;
	rc = reserve(&s->resources, value);
	return rc < 0 ? rc : each_text(value, "Resource", take_resource, &r,
				       why);
}

static bool is_account(const char *text, size_t bytes)
{
	return bytes == 12 && strspn(text, "0123456789") >= 12;
}

/* arn:aws:iam::ID:root|user/…|role/… or arn:aws:sts::ID:assumed-role/…/… */
static bool is_principal_arn(const char *text)
{
	bool iam = strncmp(text, "arn:aws:iam::", 13) == 0;
	const char *rest = text + 13 + 12;

	if (!iam && strncmp(text, "arn:aws:sts::", 13) != 0)
		return false;
	if (!is_account(text + 13, strlen(text) < 26 ? 0 : 12) ||
	    *rest++ != ':' || strpbrk(rest, "*?"))
		return false;
	if (iam)
		return strcmp(rest, "root") == 0 ||
		       (strncmp(rest, "user/", 5) == 0 && rest[5]) ||
		       (strncmp(rest, "role/", 5) == 0 && rest[5]);
	return strncmp(rest, "assumed-role/", 13) == 0 &&
	       strchr(rest + 13, '/') != NULL;
}

static int take_aws(void *arg, const char *text, char *why)
{
	struct principals *p = arg;
	char *arn = NULL;

	if (strcmp(text, "*") == 0) {
		p->everybody = true;
		return 0;
	}
	if (is_account(text, strlen(text)))
		arn = asprintf(&arn, "arn:aws:iam::%s:root", text) < 0 ?
		      NULL : arn;
	else if (is_principal_arn(text))
		arn = strdup(text);
	else
		return refuse(why, "%s", bad_principal);
	if (!arn)
		return -ENOMEM;
	p->arns[p->count++] = arn;
	return 0;
}

/* Nobody here is a service, so one is only checked for its form. */
static int take_service(void *arg, const char *text, char *why)
{
	(void)arg;
	return strchr(text, '.') && !strpbrk(text, "*?:/ ") ? 0 :
	       refuse(why, "%s", bad_principal);
}

static int read_principals(struct statement *s, const json_t *yes,
			   const json_t *no, char *why)
{
	const json_t *value = yes ? yes : no;
	const json_t *list;
	const char *type;
	int rc = 0;

	if (yes && no)
		return refuse(why, "A statement has both Principal and NotPrincipal.");
	/* KMS knows {"AWS": "*"}, and not the plain "*" of other services. */
	if (!json_is_object(value) || !json_object_size(value))
		return refuse(why, "%s", bad_principal);
	s->principals.present = true;
	s->principals.negated = no != NULL;
	list = json_object_get(value, "AWS");
	s->principals.arns = calloc(json_array_size(list) + 1,
				    sizeof(*s->principals.arns));
	if (!s->principals.arns)
		return -ENOMEM;
	json_object_foreach((json_t *)value, type, list) {
		bool aws = strcmp(type, "AWS") == 0;

		if (!aws && strcmp(type, "Service") != 0)
			return refuse(why, "%s", bad_principal);
		rc = each_text(list, "Principal",
			       aws ? take_aws : take_service, &s->principals,
			       why);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_condition(struct policy *p, struct condition *c,
			  const char *operator, const char *key,
			  const json_t *value, char *why)
{
	struct reader r = { p, c, &c->values };
	int rc;

	c->operator = operator_find(operator, c);
	if (!c->operator)
		return refuse(why, "Invalid condition operator '%.100s'.",
			      operator);
	errno = 0;
	c->key = condition_key_name(key);
	if (!c->key && errno != EINVAL)
		return -ENOMEM;
	if (!c->key)
		return refuse(why, "Invalid condition key '%.100s'.", key);
	if (json_is_array(value) && !json_array_size(value))
		return refuse(why, "Condition '%.100s' has no value.", key);
	rc = reserve(&c->values, value);
	return rc < 0 ? rc : each_text(value, "A condition's value",
				       take_value, &r, why);
}

static int read_conditions(struct policy *p, struct statement *s,
			   const json_t *value, char *why)
{
	const char *operator, *key;
	json_t *keys, *values;
	size_t n = 0;
	int rc;

	if (!value)
		return 0;
	if (!json_is_object(value))
		return refuse(why, "Condition must be an object.");
	json_object_foreach((json_t *)value, operator, keys) {
		if (!json_is_object(keys) || !json_object_size(keys))
			return refuse(why, "Condition operator '%.100s' must be an object with keys.",
				      operator);
		n += json_object_size(keys);
	}
	s->conditions = calloc(n + 1, sizeof(*s->conditions));
	if (!s->conditions)
		return -ENOMEM;
	json_object_foreach((json_t *)value, operator, keys) {
		json_object_foreach(keys, key, values) {
			rc = read_condition(p, &s->conditions[
					    s->condition_count++], operator,
					    key, values, why);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int check_members(const json_t *o, const char *const *known,
			 char *why)
{
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach((json_t *)o, name, value) {
		for (i = 0; known[i] && strcmp(known[i], name) != 0; i++)
			;
		if (!known[i] || !is_clean(name))
			return refuse(why, "Invalid policy element '%.100s'.",
				      name);
	}
	return 0;
}

/* What the kind of document demands of each statement. */
static int check_kind(const struct policy *p, const struct statement *s,
		      char *why)
{
	if (p->kind == POLICY_IDENTITY && s->principals.present)
		return refuse(why, "Policy document should not specify a principal.");
	if (p->kind != POLICY_IDENTITY && !s->principals.present)
		return refuse(why, "%s", bad_principal);
	if (p->kind == POLICY_TRUST && s->resources.present)
		return refuse(why, "Has prohibited field Resource.");
	if (p->kind != POLICY_KEY && !s->actions.present)
		return refuse(why, "Policy statement must contain actions.");
	if (p->kind == POLICY_IDENTITY && !s->resources.present)
		return refuse(why, "Policy statement must contain resources.");
	return 0;
}

static int read_statement(struct policy *p, struct statement *s,
			  const json_t *o, char *why)
{
	static const char *const known[] = {
		"Sid", "Effect", "Principal", "NotPrincipal", "Action",
		"NotAction", "Resource", "NotResource", "Condition", NULL
	};
	const char *effect = json_string_value(json_object_get(o, "Effect"));
	const json_t *sid = json_object_get(o, "Sid");
	const json_t *yes = json_object_get(o, "Principal");
	const json_t *no = json_object_get(o, "NotPrincipal");
	int rc;

	if (!json_is_object(o))
		return refuse(why, "A statement must be an object.");
	rc = check_members(o, known, why);
	if (rc < 0)
		return rc;
	if (!effect || (strcmp(effect, "Allow") != 0 &&
			strcmp(effect, "Deny") != 0))
		return refuse(why, "Effect must be Allow or Deny.");
	s->deny = strcmp(effect, "Deny") == 0;
	if (sid && (!json_is_string(sid) || !is_clean(json_string_value(sid))))
		return refuse(why, "Sid must be text.");
	if (sid) {
		s->sid = strdup(json_string_value(sid));
		if (!s->sid)
			return -ENOMEM;
	}
	if (yes || no)
		rc = read_principals(s, yes, no, why);
	if (rc == 0)
		rc = read_actions(s, json_object_get(o, "Action"),
				  json_object_get(o, "NotAction"), why);
	if (rc == 0)
		rc = read_resources(p, s, json_object_get(o, "Resource"),
				    json_object_get(o, "NotResource"), why);
	if (rc == 0)
		rc = read_conditions(p, s, json_object_get(o, "Condition"),
				     why);
	return rc < 0 ? rc : check_kind(p, s, why);
}

static int read_head(struct policy *p, const json_t *o, char *why)
{
	static const char *const known[] = {
		"Version", "Id", "Statement", NULL
	};
	const json_t *version = json_object_get(o, "Version");
	const json_t *id = json_object_get(o, "Id");
	const char *text = version ? json_string_value(version) :
				     "2008-10-17";
	int rc;

	if (!json_is_object(o))
		return refuse(why, "Syntax errors in policy.");
	rc = check_members(o, known, why);
	if (rc < 0)
		return rc;
	if (!text || (strcmp(text, "2012-10-17") != 0 &&
		      strcmp(text, "2008-10-17") != 0))
		return refuse(why, "The policy must contain a valid version string.");
	if (id && (!json_is_string(id) || !is_clean(json_string_value(id))))
		return refuse(why, "Id must be text.");
	p->variables = strcmp(text, "2012-10-17") == 0;
	return 0;
}

static int read_policy(struct policy *p, const json_t *o, char *why)
{
	const json_t *list = json_object_get(o, "Statement");
	size_t n = json_is_array(list) ? json_array_size(list) : 1;
	int rc = read_head(p, o, why);

	if (rc < 0)
		return rc;
	if (!list || n == 0)
		return refuse(why, "The policy has no Statement.");
	if (n > STATEMENTS_MAX)
		return refuse(why, "The policy has more than %d statements.",
			      STATEMENTS_MAX);
	p->statements = calloc(n, sizeof(*p->statements));
	if (!p->statements)
		return -ENOMEM;
	while (rc == 0 && p->count < n) {
		size_t i = p->count++;

		rc = read_statement(p, &p->statements[i],
				    json_is_array(list) ?
				    json_array_get(list, i) : list, why);
	}
	return rc;
}

int policy_parse(const char *text, size_t bytes, enum policy_kind kind,
		 struct policy **ret, char why[static POLICY_WHY_BYTES])
{
	char reason[JSON_WHY_BYTES];
	struct policy *p = calloc(1, sizeof(*p));
	json_t *o = NULL;
	int rc = -ENOMEM;

	if (!p)
		return rc;
	p->kind = kind;
	rc = json_parse_strict(text, bytes, DEPTH_MAX, &o, reason);
	if (rc == -EBADMSG)
		refuse(why, "Syntax errors in policy: %s.", reason);
	if (rc == 0)
		rc = read_policy(p, o, why);
	json_decref(o);
	if (rc < 0) {
		policy_free(p);
		return rc;
	}
	*ret = p;
	return 0;
}
