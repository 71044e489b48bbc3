/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the policy*.c files share and nobody else may use. */
#ifndef KMS_POLICY_PRIVATE_H
#define KMS_POLICY_PRIVATE_H

#include <stdint.h>

#include "policy.h"

/*
 * Compiled text: the wildcards and the variables of a pattern are these
 * bytes, which no policy may contain, so that a value put in place of a
 * variable is never taken for a pattern.
 */
#define PATTERN_ANY '\x01'  /* *: any number of any characters */
#define PATTERN_ONE '\x02'  /* ?: one character */
#define PATTERN_VAR '\x03'  /* then name, PATTERN_VAR, default, PATTERN_VAR */
#define PATTERN_LAST '\x03'

struct pattern {
	char *text;        /* compiled */
	bool variables;    /* there is a PATTERN_VAR in it */
};

struct patterns {
	struct pattern *items;
	size_t count;
	bool present;      /* the member is there */
	bool negated;      /* NotAction, NotResource */
};

enum pattern_syntax {
	PATTERN_WILD = 1,      /* * and ? mean something */
	PATTERN_VARIABLES = 2, /* ${…} does */
};

/* policy_glob.c. 0; -EBADMSG (an unknown or open variable); -ENOMEM. */
int pattern_compile(const char *text, int syntax, struct pattern *ret);
/*
 * @p with its variables in place, malloc(3)ed. 0 with NULL in *@ret when a
 * variable has neither value nor default.
 */
int pattern_expand(const struct pattern *p, const struct policy_request *r,
		   char **ret);
bool pattern_matches(const char *compiled, const char *text, bool any_case);
/*
 * Segment by segment between colons. @complete: missing segments at the end
 * of the pattern match everything.
 */
bool pattern_matches_arn(const char *compiled, const char *arn,
			 bool complete);

enum condition_type {
	TYPE_STRING, TYPE_NUMERIC, TYPE_DATE, TYPE_BOOL, TYPE_ARN, TYPE_IP,
	TYPE_NULL,
};

struct operator {
	const char *name;
	enum condition_type type;
	bool (*holds)(const char *pattern, const char *value);
	bool negated;      /* holds when no value matches */
	bool wild;         /* patterns have wildcards */
};

enum condition_set { SET_NONE, SET_ANY, SET_ALL };

struct condition {
	const struct operator *operator;
	enum condition_set set;
	bool if_exists;
	char *key;         /* canonical spelling */
	struct patterns values;
};

/* policy_condition.c */
/* NULL: no such operator. Cuts prefix and suffix off @name into @ret. */
const struct operator *operator_find(const char *name,
				     struct condition *ret);
/* True when @text can be compared with by @o. */
bool operator_takes(const struct operator *o, const char *text);
/* 1; 0; negative: r->value's, -ENOMEM. */
int condition_holds(const struct condition *c, bool deny,
		    const struct policy_request *r);

/* policy_keys.c: malloc(3)ed canonical name; NULL with errno EINVAL, ENOMEM */
char *condition_key_name(const char *name);

/* Principal or NotPrincipal. */
struct principals {
	bool present, negated;
	bool everybody;    /* "*" */
	char **arns;       /* accounts as arn:aws:iam::ID:root */
	size_t count;
};

struct statement {
	char *sid;         /* NULL: none */
	bool deny;
	struct principals principals;
	struct patterns actions, resources;
	struct condition *conditions;
	size_t condition_count;
};

struct policy {
	enum policy_kind kind;
	bool variables;    /* Version 2012-10-17 */
	struct statement *statements;
	size_t count;
};

#endif
