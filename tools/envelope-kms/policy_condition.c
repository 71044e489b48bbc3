// SPDX-License-Identifier: GPL-2.0-or-later
/* The condition operators. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "policy_private.h"

static bool string_equals(const char *pattern, const char *value)
{
	return strcmp(pattern, value) == 0;
}

static bool string_equals_any_case(const char *pattern, const char *value)
{
	return strcasecmp(pattern, value) == 0;
}

static bool string_like(const char *pattern, const char *value)
{
	return pattern_matches(pattern, value, false);
}

static bool arn_like(const char *pattern, const char *value)
{
	return pattern_matches_arn(pattern, value, false);
}

static bool bool_equals(const char *pattern, const char *value)
{
	return strcasecmp(pattern, value) == 0;
}

static bool parse_number(const char *text, double *ret)
{
	char *end;

	if (!*text || text[strspn(text, "0123456789+-.eE")])
		return false;
	*ret = strtod(text, &end);
	return end != text && !*end;
}

/* Seconds since 1970, or ISO 8601 of this precision or coarser, UTC. */
static bool parse_date(const char *text, double *ret)
{
	static const char *const forms[] = {
		"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%MZ",
		"%Y-%m-%d",
	};
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = { .tm_mday = 1 };
		const char *end = strptime(text, forms[i], &tm);

		if (end && !*end) {
			*ret = (double)timegm(&tm);
			return true;
		}
	}
	return parse_number(text, ret);
}

static bool numbers(const char *pattern, const char *value, double *diff)
{
	double a, b;

	if (!parse_number(pattern, &a) || !parse_number(value, &b))
		return false;
	*diff = b - a;
	return true;
}

static bool dates(const char *pattern, const char *value, double *diff)
{
	double a, b;

	if (!parse_date(pattern, &a) || !parse_date(value, &b))
		return false;
	*diff = b - a;
	return true;
}

#define COMPARE(name, read, test) \
	static bool name(const char *pattern, const char *value) \
	{ \
		double diff; \
\
		return read(pattern, value, &diff) && diff test 0; \
	}

COMPARE(number_equals, numbers, ==)
COMPARE(number_less, numbers, <)
COMPARE(number_less_equals, numbers, <=)
COMPARE(number_greater, numbers, >)
COMPARE(number_greater_equals, numbers, >=)
COMPARE(date_equals, dates, ==)
COMPARE(date_less, dates, <)
COMPARE(date_less_equals, dates, <=)
COMPARE(date_greater, dates, >)
COMPARE(date_greater_equals, dates, >=)

struct network {
	uint8_t address[16];
	int family, bits;
};

/* ADDRESS or ADDRESS/BITS. */
static bool parse_network(const char *text, struct network *ret)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN], *end;
	struct network net = { .family = AF_INET };
	int max;

	if (n >= sizeof(address))
		return false;
	memcpy(address, text, n);
	address[n] = '\0';
	if (strchr(address, ':'))
		net.family = AF_INET6;
	if (inet_pton(net.family, address, net.address) != 1)
		return false;
	max = net.family == AF_INET ? 32 : 128;
	net.bits = max;
	if (slash) {
		if (slash[1] < '0' || slash[1] > '9')
			return false;
		net.bits = (int)strtol(slash + 1, &end, 10);
		if (*end || net.bits > max)
			return false;
	}
	*ret = net;
	return true;
}

static bool ip_in(const char *pattern, const char *value)
{
	struct network net, host;
	int whole, rest;

	if (!parse_network(pattern, &net) || !parse_network(value, &host) ||
	    net.family != host.family)
		return false;
	whole = net.bits / 8;
	rest = net.bits % 8;
	if (memcmp(net.address, host.address, (size_t)whole) != 0)
		return false;
	return !rest || !((net.address[whole] ^ host.address[whole]) >>
			  (8 - rest));
}

static const struct operator operators[] = {
	{ "StringEquals", TYPE_STRING, string_equals, false, false },
	{ "StringNotEquals", TYPE_STRING, string_equals, true, false },
	{ "StringEqualsIgnoreCase", TYPE_STRING, string_equals_any_case,
	  false, false },
	{ "StringNotEqualsIgnoreCase", TYPE_STRING, string_equals_any_case,
	  true, false },
	{ "StringLike", TYPE_STRING, string_like, false, true },
	{ "StringNotLike", TYPE_STRING, string_like, true, true },
	{ "NumericEquals", TYPE_NUMERIC, number_equals, false, false },
	{ "NumericNotEquals", TYPE_NUMERIC, number_equals, true, false },
	{ "NumericLessThan", TYPE_NUMERIC, number_less, false, false },
	{ "NumericLessThanEquals", TYPE_NUMERIC, number_less_equals, false,
	  false },
	{ "NumericGreaterThan", TYPE_NUMERIC, number_greater, false, false },
	{ "NumericGreaterThanEquals", TYPE_NUMERIC, number_greater_equals,
	  false, false },
	{ "DateEquals", TYPE_DATE, date_equals, false, false },
	{ "DateNotEquals", TYPE_DATE, date_equals, true, false },
	{ "DateLessThan", TYPE_DATE, date_less, false, false },
	{ "DateLessThanEquals", TYPE_DATE, date_less_equals, false, false },
	{ "DateGreaterThan", TYPE_DATE, date_greater, false, false },
	{ "DateGreaterThanEquals", TYPE_DATE, date_greater_equals, false,
	  false },
	{ "Bool", TYPE_BOOL, bool_equals, false, false },
	{ "ArnEquals", TYPE_ARN, arn_like, false, true },
	{ "ArnLike", TYPE_ARN, arn_like, false, true },
	{ "ArnNotEquals", TYPE_ARN, arn_like, true, true },
	{ "ArnNotLike", TYPE_ARN, arn_like, true, true },
	{ "IpAddress", TYPE_IP, ip_in, false, false },
	{ "NotIpAddress", TYPE_IP, ip_in, true, false },
	{ "Null", TYPE_NULL, bool_equals, false, false },
};

const struct operator *operator_find(const char *name, struct condition *ret)
{
	static const char any[] = "ForAnyValue:", all[] = "ForAllValues:";
	static const char suffix[] = "IfExists";
	size_t i, n;

	ret->set = SET_NONE;
	if (strncasecmp(name, any, sizeof(any) - 1) == 0) {
		ret->set = SET_ANY;
		name += sizeof(any) - 1;
	} else if (strncasecmp(name, all, sizeof(all) - 1) == 0) {
		ret->set = SET_ALL;
		name += sizeof(all) - 1;
	}
	n = strlen(name);
	ret->if_exists = n > sizeof(suffix) - 1 &&
		strcasecmp(name + n - (sizeof(suffix) - 1), suffix) == 0;
	if (ret->if_exists)
		n -= sizeof(suffix) - 1;
	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		const struct operator *o = &operators[i];

		if (strlen(o->name) != n || strncasecmp(o->name, name, n) != 0)
			continue;
		/* Null asks for existence: no more can be said of it. */
		if (o->type == TYPE_NULL && (ret->if_exists || ret->set))
			return NULL;
		return o;
	}
	return NULL;
}

bool operator_takes(const struct operator *o, const char *text)
{
	struct network net;
	double number;

	switch (o->type) {
	case TYPE_NUMERIC:
		return parse_number(text, &number);
	case TYPE_DATE:
		return parse_date(text, &number);
	case TYPE_IP:
		return parse_network(text, &net);
	case TYPE_BOOL:
	case TYPE_NULL:
		return strcasecmp(text, "true") == 0 ||
		       strcasecmp(text, "false") == 0;
	case TYPE_ARN:
		return strcmp(text, "*") == 0 ||
		       strncmp(text, "arn:", 4) == 0 ||
		       strstr(text, "${") != NULL;
	case TYPE_STRING:
		break;
	}
	return true;
}

/* Does @value match one of the condition's values? */
static int matches_one(const struct condition *c, const char *value,
		       const struct policy_request *r, bool *unresolved)
{
	size_t i;

	for (i = 0; i < c->values.count; i++) {
		const struct pattern *p = &c->values.items[i];
		char *expanded = NULL;
		bool yes;
		int rc;

		if (!p->variables) {
			if (c->operator->holds(p->text, value))
				return 1;
			continue;
		}
		rc = pattern_expand(p, r, &expanded);
		if (rc < 0)
			return rc;
		if (!expanded)
			*unresolved = true;
		yes = expanded && c->operator->holds(expanded, value);
		free(expanded);
		if (yes)
			return 1;
	}
	return 0;
}

/* How many of the request's values match, of how many. */
struct tally {
	size_t matched, total;
	bool unresolved;
};

static int count_matches(const struct condition *c, const json_t *value,
			 const struct policy_request *r, struct tally *t)
{
	size_t i, n = json_is_array(value) ? json_array_size(value) : 1;

	for (i = 0; i < n; i++) {
		const json_t *one = json_is_array(value) ?
				    json_array_get(value, i) : value;
		const char *text = json_string_value(one);
		int rc = text ? matches_one(c, text, r, &t->unresolved) : 0;

		if (rc < 0)
			return rc;
		t->matched += (size_t)rc;
		t->total++;
	}
	return 0;
}

static bool decide(const struct condition *c, const struct tally *t)
{
	bool negated = c->operator->negated;
	size_t fit = negated ? t->total - t->matched : t->matched;

	if (c->set == SET_ALL)
		return fit == t->total;
	if (c->set == SET_ANY)
		return fit > 0;
	/* Without a set operator a negation speaks of all values. */
	return negated ? t->matched == 0 : fit > 0;
}

static bool decide_absent(const struct condition *c)
{
	if (c->set == SET_ANY)
		return c->if_exists;
	return c->if_exists || c->set == SET_ALL || c->operator->negated;
}

static int decide_null(const struct condition *c, bool absent)
{
	size_t i;

	for (i = 0; i < c->values.count; i++)
		if (c->operator->holds(c->values.items[i].text,
				       absent ? "true" : "false"))
			return 1;
	return 0;
}

int condition_holds(const struct condition *c, bool deny,
		    const struct policy_request *r)
{
	struct tally t = { .total = 0 };
	json_t *value = NULL;
	bool absent;
	int rc = r->value(r->arg, c->key, &value);

	if (rc < 0)
		return rc;
	absent = !value || (json_is_array(value) && !json_array_size(value));
	if (c->operator->type == TYPE_NULL) {
		rc = decide_null(c, absent);
	} else if (absent) {
		rc = decide_absent(c);
	} else {
		rc = count_matches(c, value, r, &t);
		/* What cannot be compared allows nothing. */
		if (rc == 0)
			rc = decide(c, &t) && (deny || !t.unresolved);
	}
	json_decref(value);
	return rc;
}
