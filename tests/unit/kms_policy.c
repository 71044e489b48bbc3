// SPDX-License-Identifier: GPL-2.0-or-later
/* Policies as tables: what is refused, and what each document says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "policy.h"

#define ACCOUNT "111122223333"
#define KEY "arn:aws:kms:us-east-1:" ACCOUNT ":key/" \
	"1234abcd-12ab-34cd-56ef-1234567890ab"
#define ALICE "arn:aws:iam::" ACCOUNT ":user/alice"
#define ROOT "arn:aws:iam::" ACCOUNT ":root"
#define ROLE "arn:aws:iam::" ACCOUNT ":role/host"
#define SESSION "arn:aws:sts::" ACCOUNT ":assumed-role/host/i-1"

/* The request's values; NULL text ends it. A key ending in [] has many. */
static int value_of(void *arg, const char *name, json_t **ret)
{
	json_t *facts = arg;

	if (strcmp(name, "aws:UserAgent") == 0)
		return -ENOMEM;
	*ret = json_incref(json_object_get(facts, name));
	return 0;
}

static const char *bound; /* of the policies below */

static int verdict_as(const char *text, enum policy_kind kind,
		      struct policy_caller who, const char *action,
		      const char *resource, json_t *facts)
{
	struct policy_request r = { action, resource, who, value_of, facts,
				    bound };
	char why[POLICY_WHY_BYTES] = "";
	struct policy *p = NULL;
	int rc = policy_parse(text, strlen(text), kind, &p, why);

	if (rc < 0)
		fail_msg("%s: %s", why, text);
	rc = policy_evaluate(p, &r);
	policy_free(p);
	return rc;
}

static const struct policy_caller alice = { ACCOUNT, ALICE, NULL, "AIDA1" };
static const struct policy_caller session = { ACCOUNT, SESSION, ROLE, "AROA1" };
static const struct policy_caller stranger = {
	"999988887777", "arn:aws:iam::999988887777:user/mallory", NULL,
	"AIDA2"
};

#define STATEMENT(effect, principal, rest) \
	"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"" effect \
	"\"," principal "," rest "}]}"
#define AWS(who) "\"Principal\":{\"AWS\":\"" who "\"}"
#define NOT_AWS(who) "\"NotPrincipal\":{\"AWS\":\"" who "\"}"
#define ALL "\"Action\":\"kms:*\",\"Resource\":\"*\""

static void kms_policy_principals(void **state)
{
	static const struct {
		const char *text;
		const struct policy_caller *who;
		int verdict;
	} cases[] = {
		{ STATEMENT("Allow", AWS(ALICE), ALL), &alice, POLICY_ALLOWS },
		{ STATEMENT("Allow", AWS(ALICE), ALL), &stranger, 0 },
		{ STATEMENT("Allow", AWS(ROOT), ALL), &alice,
		  POLICY_DELEGATES },
		{ STATEMENT("Allow", AWS(ACCOUNT), ALL), &alice,
		  POLICY_DELEGATES },
		{ STATEMENT("Allow", AWS(ROOT), ALL), &stranger, 0 },
		{ STATEMENT("Allow", AWS("*"), ALL), &stranger,
		  POLICY_ALLOWS },
		{ STATEMENT("Allow", AWS(ROLE), ALL), &session,
		  POLICY_ALLOWS },
		{ STATEMENT("Allow", AWS(SESSION), ALL), &session,
		  POLICY_ALLOWS },
		{ STATEMENT("Allow", AWS(ROLE), ALL), &alice, 0 },
		{ STATEMENT("Allow", "\"Principal\":{\"Service\":\"ec2.amazonaws.com\"}", ALL),
		  &alice, 0 },
		{ STATEMENT("Allow", "\"Principal\":{\"AWS\":[\"" ROLE "\",\"" ALICE "\"]}", ALL),
		  &alice, POLICY_ALLOWS },
		{ STATEMENT("Deny", AWS(ROOT), ALL), &alice, POLICY_DENIES },
		{ STATEMENT("Deny", AWS("*"), ALL), &stranger,
		  POLICY_DENIES },
		{ STATEMENT("Deny", AWS(ALICE), ALL), &session, 0 },
		{ STATEMENT("Deny", NOT_AWS(ALICE), ALL), &alice, 0 },
		{ STATEMENT("Deny", NOT_AWS(ALICE), ALL), &session,
		  POLICY_DENIES },
		{ STATEMENT("Deny", NOT_AWS(ALICE), ALL), &stranger,
		  POLICY_DENIES },
		{ STATEMENT("Deny", NOT_AWS(ROOT), ALL), &alice,
		  POLICY_DENIES },
		{ STATEMENT("Deny", NOT_AWS(ROLE), ALL), &session, 0 },
		{ STATEMENT("Allow", NOT_AWS(ALICE), ALL), &alice, 0 },
		{ STATEMENT("Allow", NOT_AWS(ROOT), ALL), &alice, 0 },
		{ STATEMENT("Allow", NOT_AWS(ROOT), ALL), &stranger,
		  POLICY_ALLOWS },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (verdict_as(cases[i].text, POLICY_KEY, *cases[i].who,
			       "kms:Decrypt", KEY, NULL) != cases[i].verdict)
			fail_msg("case %zu: %s", i, cases[i].text);
}

/* Names mean those who had them when the policy was written. */
static void kms_policy_bound_names(void **state)
{
	static const struct {
		const char *text, *bound;
		const struct policy_caller *who;
		int verdict;
	} cases[] = {
		{ STATEMENT("Allow", AWS(ALICE), ALL), ALICE " AIDA1\n",
		  &alice, POLICY_ALLOWS },
		{ STATEMENT("Allow", AWS(ALICE), ALL),
		  ROLE " AROA1\n" ALICE " AIDA1\n", &alice, POLICY_ALLOWS },
		{ STATEMENT("Allow", AWS(ALICE), ALL), ALICE " AIDA2\n",
		  &alice, 0 },
		{ STATEMENT("Allow", AWS(ALICE), ALL), ALICE " AIDA\n",
		  &alice, 0 },
		{ STATEMENT("Allow", AWS(ALICE), ALL), ALICE " AIDA11\n",
		  &alice, 0 },
		{ STATEMENT("Allow", AWS(ALICE), ALL), ALICE "x AIDA1\n",
		  &alice, 0 },
		{ STATEMENT("Allow", AWS(ALICE), ALL), "", &alice, 0 },
		{ STATEMENT("Deny", AWS(ALICE), ALL), "", &alice,
		  POLICY_DENIES },
		{ STATEMENT("Deny", AWS(ALICE), ALL), ALICE " AIDA2\n",
		  &alice, 0 },
		{ STATEMENT("Deny", NOT_AWS(ALICE), ALL), ALICE " AIDA1\n",
		  &alice, 0 },
		{ STATEMENT("Deny", NOT_AWS(ALICE), ALL), ALICE " AIDA2\n",
		  &alice, POLICY_DENIES },
		{ STATEMENT("Deny", NOT_AWS(ALICE), ALL), "", &alice,
		  POLICY_DENIES },
		{ STATEMENT("Allow", NOT_AWS(ALICE), ALL), "", &alice, 0 },
		{ STATEMENT("Allow", AWS(ROLE), ALL), ROLE " AROA1\n",
		  &session, POLICY_ALLOWS },
		{ STATEMENT("Allow", AWS(SESSION), ALL), SESSION " AROA1\n",
		  &session, POLICY_ALLOWS },
		{ STATEMENT("Allow", AWS(SESSION), ALL), SESSION " AROA2\n",
		  &session, 0 },
		{ STATEMENT("Allow", AWS(ROOT), ALL), "", &alice,
		  POLICY_DELEGATES },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bound = cases[i].bound;
		assert_int_equal(verdict_as(cases[i].text, POLICY_KEY,
					    *cases[i].who, "kms:Decrypt",
					    KEY, NULL), cases[i].verdict);
	}
	bound = NULL;
}

static void kms_policy_actions_and_resources(void **state)
{
	static const struct {
		const char *rest;
		int verdict;
	} cases[] = {
		{ ALL, 1 },
		{ "\"Action\":\"*\",\"Resource\":\"*\"", 1 },
		{ "\"Action\":\"KMS:decrypt\",\"Resource\":\"*\"", 1 },
		{ "\"Action\":\"kms:De*\",\"Resource\":\"*\"", 1 },
		{ "\"Action\":\"kms:*crypt\",\"Resource\":\"*\"", 1 },
		{ "\"Action\":\"kms:D?crypt\",\"Resource\":\"*\"", 1 },
		{ "\"Action\":\"kms:D??crypt\",\"Resource\":\"*\"", 0 },
		{ "\"Action\":\"kms:Encrypt\",\"Resource\":\"*\"", 0 },
		{ "\"Action\":\"kms:Decryp\",\"Resource\":\"*\"", 0 },
		{ "\"Action\":\"s3:*\",\"Resource\":\"*\"", 0 },
		{ "\"Action\":[\"kms:Encrypt\",\"kms:Decrypt\"],\"Resource\":\"*\"", 1 },
		{ "\"Action\":[],\"Resource\":\"*\"", 0 },
		{ "\"NotAction\":\"kms:Encrypt\",\"Resource\":\"*\"", 1 },
		{ "\"NotAction\":\"kms:Decrypt\",\"Resource\":\"*\"", 0 },
		{ "\"NotAction\":\"kms:D*\",\"Resource\":\"*\"", 0 },
		{ "\"Action\":\"kms:*\",\"Resource\":\"" KEY "\"", 1 },
		{ "\"Action\":\"kms:*\",\"Resource\":\"arn:aws:kms:*:*:key/*\"", 1 },
		{ "\"Action\":\"kms:*\",\"Resource\":\"arn:aws:kms:*\"", 1 },
		{ "\"Action\":\"kms:*\",\"Resource\":\"arn:aws:kms:eu-west-1:*:key/*\"", 0 },
		{ "\"Action\":\"kms:*\",\"Resource\":\"arn:aws:kms:*:999988887777:*\"", 0 },
		{ "\"Action\":\"kms:*\",\"Resource\":\"arn:aws:kms:*:*:alias/*\"", 0 },
		/* A wildcard does not reach over a colon. */
		{ "\"Action\":\"kms:*\",\"Resource\":\"arn:aws:*:key/*\"", 0 },
		{ "\"Action\":\"kms:*\",\"NotResource\":\"" KEY "\"", 0 },
		{ "\"Action\":\"kms:*\",\"NotResource\":\"arn:aws:kms:eu-west-1:*:key/*\"", 1 },
	};
	char text[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text),
			 "{\"Statement\":{\"Effect\":\"Allow\",%s}}",
			 cases[i].rest);
		if (verdict_as(text, POLICY_IDENTITY, alice, "kms:Decrypt",
			       KEY, NULL) !=
		    (cases[i].verdict ? POLICY_ALLOWS : 0))
			fail_msg("case %zu: %s", i, cases[i].rest);
	}
}

static void kms_policy_without_action_or_resource_has_no_effect(void **state)
{
	(void)state;
	assert_int_equal(verdict_as(STATEMENT("Allow", AWS("*"),
					      "\"Action\":\"*\""), POLICY_KEY,
				    alice, "kms:Decrypt", KEY, NULL), 0);
	assert_int_equal(verdict_as(STATEMENT("Deny", AWS("*"),
					      "\"Resource\":\"*\""),
				    POLICY_KEY, alice, "kms:Decrypt", KEY,
				    NULL), 0);
}

#define CONDITION(c) "{\"Version\":\"2012-10-17\",\"Statement\":" \
	"[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"," \
	"\"Condition\":" c "}]}"

struct condition_case {
	const char *condition;
	const char *facts;
	int holds;
};

static const struct condition_case strings[] = {
	{ "{'StringEquals':{'kms:ViaService':'a'}}", "{'kms:ViaService':'a'}", 1 },
	{ "{'StringEquals':{'kms:ViaService':'a'}}", "{'kms:ViaService':'A'}", 0 },
	{ "{'StringEquals':{'KMS:viaservice':'a'}}", "{'kms:ViaService':'a'}", 1 },
	{ "{'stringequals':{'kms:ViaService':'a'}}", "{'kms:ViaService':'a'}", 1 },
	{ "{'StringEquals':{'kms:ViaService':['b','a']}}", "{'kms:ViaService':'a'}", 1 },
	{ "{'StringEquals':{'kms:ViaService':'*'}}", "{'kms:ViaService':'a'}", 0 },
	{ "{'StringEquals':{'kms:ViaService':'a'}}", "{}", 0 },
	{ "{'StringNotEquals':{'kms:ViaService':'a'}}", "{'kms:ViaService':'b'}", 1 },
	{ "{'StringNotEquals':{'kms:ViaService':'a'}}", "{'kms:ViaService':'a'}", 0 },
	{ "{'StringNotEquals':{'kms:ViaService':['a','b']}}", "{'kms:ViaService':'b'}", 0 },
	{ "{'StringNotEquals':{'kms:ViaService':'a'}}", "{}", 1 },
	{ "{'StringEqualsIgnoreCase':{'kms:ViaService':'AbC'}}", "{'kms:ViaService':'aBc'}", 1 },
	{ "{'StringNotEqualsIgnoreCase':{'kms:ViaService':'AbC'}}", "{'kms:ViaService':'aBc'}", 0 },
	{ "{'StringLike':{'kms:ViaService':'ec2.*.amazonaws.com'}}", "{'kms:ViaService':'ec2.us-east-1.amazonaws.com'}", 1 },
	{ "{'StringLike':{'kms:ViaService':'ec2.*.amazonaws.com'}}", "{'kms:ViaService':'s3.us-east-1.amazonaws.com'}", 0 },
	{ "{'StringLike':{'kms:ViaService':'a*b*c?'}}", "{'kms:ViaService':'aXXbYYbcZ'}", 1 },
	{ "{'StringLike':{'kms:ViaService':'a*b*c?'}}", "{'kms:ViaService':'aXXbYYbc'}", 0 },
	{ "{'StringNotLike':{'kms:ViaService':'a*'}}", "{'kms:ViaService':'ab'}", 0 },
	{ "{'StringNotLike':{'kms:ViaService':'a*'}}", "{'kms:ViaService':'ba'}", 1 },
	{ "{'StringEqualsIfExists':{'kms:ViaService':'a'}}", "{}", 1 },
	{ "{'StringEqualsIfExists':{'kms:ViaService':'a'}}", "{'kms:ViaService':'b'}", 0 },
	{ "{'StringNotEqualsIfExists':{'kms:ViaService':'a'}}", "{'kms:ViaService':'a'}", 0 },
	/* All operators, and all keys of one, must hold. */
	{ "{'StringEquals':{'kms:ViaService':'a','kms:KeySpec':'b'}}", "{'kms:ViaService':'a','kms:KeySpec':'b'}", 1 },
	{ "{'StringEquals':{'kms:ViaService':'a','kms:KeySpec':'b'}}", "{'kms:ViaService':'a'}", 0 },
	{ "{'StringEquals':{'kms:ViaService':'a'},'Bool':{'kms:MultiRegion':'true'}}", "{'kms:ViaService':'a','kms:MultiRegion':'false'}", 0 },
	{ "{'StringEquals':{'kms:EncryptionContext:App':'x'}}", "{'kms:EncryptionContext:App':'x'}", 1 },
	{ "{'StringEquals':{'kms:EncryptionContext:App':'x'}}", "{'kms:EncryptionContext:App':'y'}", 0 },
};

static const struct condition_case sets[] = {
	{ "{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "{'kms:EncryptionContextKeys':['a','b']}", 1 },
	{ "{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "{'kms:EncryptionContextKeys':['a','c']}", 0 },
	{ "{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "{'kms:EncryptionContextKeys':[]}", 1 },
	{ "{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "{}", 1 },
	{ "{'ForAnyValue:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "{'kms:EncryptionContextKeys':['c','b']}", 1 },
	{ "{'ForAnyValue:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "{'kms:EncryptionContextKeys':['c']}", 0 },
	{ "{'ForAnyValue:StringEquals':{'kms:EncryptionContextKeys':['a']}}", "{'kms:EncryptionContextKeys':[]}", 0 },
	{ "{'ForAnyValue:StringEquals':{'kms:EncryptionContextKeys':['a']}}", "{}", 0 },
	{ "{'ForAnyValue:StringEqualsIfExists':{'kms:EncryptionContextKeys':['a']}}", "{}", 1 },
	{ "{'ForAllValues:StringNotEquals':{'kms:EncryptionContextKeys':['a']}}", "{'kms:EncryptionContextKeys':['b','c']}", 1 },
	{ "{'ForAllValues:StringNotEquals':{'kms:EncryptionContextKeys':['a']}}", "{'kms:EncryptionContextKeys':['b','a']}", 0 },
	{ "{'ForAnyValue:StringNotEquals':{'kms:EncryptionContextKeys':['a']}}", "{'kms:EncryptionContextKeys':['b','a']}", 1 },
	{ "{'ForAnyValue:StringNotEquals':{'kms:EncryptionContextKeys':['a']}}", "{}", 0 },
	{ "{'ForAnyValue:StringLike':{'kms:EncryptionContextKeys':'aws:*'}}", "{'kms:EncryptionContextKeys':['x','aws:ebs:id']}", 1 },
	/* Without a set operator a negation speaks of every value. */
	{ "{'StringNotEquals':{'kms:EncryptionContextKeys':'a'}}", "{'kms:EncryptionContextKeys':['b','a']}", 0 },
	{ "{'StringEquals':{'kms:EncryptionContextKeys':'a'}}", "{'kms:EncryptionContextKeys':['b','a']}", 1 },
	{ "{'Null':{'kms:ViaService':'true'}}", "{}", 1 },
	{ "{'Null':{'kms:ViaService':'true'}}", "{'kms:ViaService':'a'}", 0 },
	{ "{'Null':{'kms:ViaService':false}}", "{'kms:ViaService':'a'}", 1 },
	{ "{'Null':{'kms:ViaService':'false'}}", "{}", 0 },
	{ "{'Null':{'kms:EncryptionContextKeys':'true'}}", "{'kms:EncryptionContextKeys':[]}", 1 },
};

static const struct condition_case others[] = {
	{ "{'Bool':{'kms:MultiRegion':true}}", "{'kms:MultiRegion':'true'}", 1 },
	{ "{'Bool':{'kms:MultiRegion':'True'}}", "{'kms:MultiRegion':'true'}", 1 },
	{ "{'Bool':{'kms:MultiRegion':'false'}}", "{'kms:MultiRegion':'true'}", 0 },
	{ "{'Bool':{'kms:MultiRegion':'false'}}", "{}", 0 },
	{ "{'BoolIfExists':{'kms:MultiRegion':'false'}}", "{}", 1 },
	{ "{'NumericEquals':{'kms:RotationPeriodInDays':'90'}}", "{'kms:RotationPeriodInDays':'90.0'}", 1 },
	{ "{'NumericEquals':{'kms:RotationPeriodInDays':90}}", "{'kms:RotationPeriodInDays':'91'}", 0 },
	{ "{'NumericNotEquals':{'kms:RotationPeriodInDays':90}}", "{'kms:RotationPeriodInDays':'91'}", 1 },
	{ "{'NumericLessThan':{'kms:RotationPeriodInDays':'90'}}", "{'kms:RotationPeriodInDays':'9'}", 1 },
	{ "{'NumericLessThan':{'kms:RotationPeriodInDays':'90'}}", "{'kms:RotationPeriodInDays':'90'}", 0 },
	{ "{'NumericLessThanEquals':{'kms:RotationPeriodInDays':'90'}}", "{'kms:RotationPeriodInDays':'90'}", 1 },
	{ "{'NumericGreaterThan':{'kms:RotationPeriodInDays':'90'}}", "{'kms:RotationPeriodInDays':'100'}", 1 },
	{ "{'NumericGreaterThanEquals':{'kms:RotationPeriodInDays':'90'}}", "{'kms:RotationPeriodInDays':'89'}", 0 },
	{ "{'NumericLessThan':{'kms:RotationPeriodInDays':'90'}}", "{'kms:RotationPeriodInDays':'x'}", 0 },
	{ "{'NumericLessThan':{'kms:RotationPeriodInDays':'90'}}", "{}", 0 },
	{ "{'DateLessThan':{'aws:CurrentTime':'2026-01-02T00:00:00Z'}}", "{'aws:CurrentTime':'2026-01-01T23:59:59Z'}", 1 },
	{ "{'DateLessThan':{'aws:CurrentTime':'2026-01-02T00:00:00Z'}}", "{'aws:CurrentTime':'2026-01-02T00:00:00Z'}", 0 },
	{ "{'DateLessThanEquals':{'aws:CurrentTime':'2026-01-02'}}", "{'aws:CurrentTime':'2026-01-02T00:00:00Z'}", 1 },
	{ "{'DateGreaterThan':{'aws:CurrentTime':'2026-01-02'}}", "{'aws:CurrentTime':'2026-01-02T00:00:01Z'}", 1 },
	{ "{'DateGreaterThanEquals':{'aws:CurrentTime':'2026-01-02'}}", "{'aws:CurrentTime':'2026-01-01T00:00:00Z'}", 0 },
	{ "{'DateEquals':{'aws:EpochTime':'1970-01-02'}}", "{'aws:EpochTime':'86400'}", 1 },
	{ "{'DateNotEquals':{'aws:EpochTime':'86400'}}", "{'aws:EpochTime':'86400'}", 0 },
	{ "{'ArnEquals':{'aws:PrincipalArn':'arn:aws:iam::*:role/host*'}}", "{'aws:PrincipalArn':'arn:aws:iam::111122223333:role/host-1'}", 1 },
	{ "{'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::*:role/host*'}}", "{'aws:PrincipalArn':'arn:aws:iam::111122223333:user/host'}", 0 },
	{ "{'ArnLike':{'aws:PrincipalArn':'arn:*:role/x'}}", "{'aws:PrincipalArn':'arn:aws:iam::111122223333:role/x'}", 0 },
	{ "{'ArnNotEquals':{'aws:PrincipalArn':'arn:aws:iam::*:role/*'}}", "{'aws:PrincipalArn':'arn:aws:iam::111122223333:role/x'}", 0 },
	{ "{'ArnNotLike':{'aws:PrincipalArn':'arn:aws:iam::*:role/*'}}", "{'aws:PrincipalArn':'arn:aws:iam::111122223333:user/x'}", 1 },
	{ "{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "{'aws:SourceIp':'10.255.0.1'}", 1 },
	{ "{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "{'aws:SourceIp':'11.0.0.1'}", 0 },
	{ "{'IpAddress':{'aws:SourceIp':'10.0.0.0/9'}}", "{'aws:SourceIp':'10.128.0.1'}", 0 },
	{ "{'IpAddress':{'aws:SourceIp':'10.0.0.1'}}", "{'aws:SourceIp':'10.0.0.1'}", 1 },
	{ "{'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}}", "{'aws:SourceIp':'::1'}", 0 },
	{ "{'IpAddress':{'aws:SourceIp':'2001:db8::/33'}}", "{'aws:SourceIp':'2001:db8:7fff::1'}", 1 },
	{ "{'IpAddress':{'aws:SourceIp':'2001:db8::/33'}}", "{'aws:SourceIp':'2001:db8:8000::1'}", 0 },
	{ "{'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "{'aws:SourceIp':'10.0.0.1'}", 0 },
	{ "{'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "{'aws:SourceIp':'unknown'}", 1 },
};

static const struct condition_case variables[] = {
	{ "{'StringEquals':{'kms:ViaService':'${aws:username}'}}", "{'kms:ViaService':'a','aws:username':'a'}", 1 },
	{ "{'StringEquals':{'kms:ViaService':'x-${aws:username}-y'}}", "{'kms:ViaService':'x-a-y','aws:username':'a'}", 1 },
	{ "{'StringEquals':{'kms:ViaService':'${AWS:userName}'}}", "{'kms:ViaService':'a','aws:username':'a'}", 1 },
	{ "{'StringEquals':{'kms:ViaService':'${aws:username}'}}", "{'kms:ViaService':'a'}", 0 },
	/* What cannot be compared allows nothing, negated or not. */
	{ "{'StringNotEquals':{'kms:ViaService':'${aws:username}'}}", "{'kms:ViaService':'a'}", 0 },
	{ "{'StringEquals':{'kms:ViaService':\"${aws:username, 'none'}\"}}", "{'kms:ViaService':'none'}", 1 },
	{ "{'StringEquals':{'kms:ViaService':\"${aws:username, 'none'}\"}}", "{'kms:ViaService':'a','aws:username':'a'}", 1 },
	{ "{'StringEquals':{'kms:ViaService':\"${aws:username,''}\"}}", "{'kms:ViaService':''}", 1 },
	{ "{'StringLike':{'kms:ViaService':'${*}${?}${$}*'}}", "{'kms:ViaService':'*?$x'}", 1 },
	{ "{'StringLike':{'kms:ViaService':'${*}'}}", "{'kms:ViaService':'x'}", 0 },
	/* A value is never a pattern. */
	{ "{'StringLike':{'kms:ViaService':'${aws:username}'}}", "{'kms:ViaService':'x','aws:username':'*'}", 0 },
	{ "{'StringLike':{'kms:ViaService':'${aws:username}'}}", "{'kms:ViaService':'x','aws:username':'\\u0001'}", 0 },
};

/* The tables are written with ' for ", except inside of "…". */
static void unquote(const char *from, char *to)
{
	int inside = 0;

	for (; *from; from++) {
		if (*from == '"')
			inside = !inside;
		*to++ = *from == '\'' && !inside ? '"' : *from;
	}
	*to = '\0';
}

static void check_table(const struct condition_case *cases, size_t count)
{
	char condition[1024], facts[1024], text[2048];
	size_t i;

	for (i = 0; i < count; i++) {
		json_t *map;
		int rc;

		unquote(cases[i].condition, condition);
		unquote(cases[i].facts, facts);
		snprintf(text, sizeof(text), CONDITION("%s"), condition);
		map = json_loads(facts, 0, NULL);
		assert_non_null(map);
		rc = verdict_as(text, POLICY_IDENTITY, alice, "kms:Decrypt",
				KEY, map);
		json_decref(map);
		if (rc != (cases[i].holds ? POLICY_ALLOWS : 0))
			fail_msg("case %zu: %s for %s", i, condition, facts);
	}
}

#define COUNT(table) (sizeof(table) / sizeof(table[0]))

static void kms_policy_string_conditions(void **state)
{
	(void)state;
	check_table(strings, COUNT(strings));
}

static void kms_policy_set_and_null_conditions(void **state)
{
	(void)state;
	check_table(sets, COUNT(sets));
}

static void kms_policy_typed_conditions(void **state)
{
	(void)state;
	check_table(others, COUNT(others));
}

static void kms_policy_variables(void **state)
{
	(void)state;
	check_table(variables, COUNT(variables));
}

/* A Deny that compares with an absent variable still denies. */
static void kms_policy_unresolved_deny_denies(void **state)
{
	json_t *facts = json_pack("{s:s}", "kms:ViaService", "a");

	(void)state;
	assert_int_equal(verdict_as(
		"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{\"StringNotEquals\":{\"kms:ViaService\":\"${aws:username}\"}}}]}",
		POLICY_IDENTITY, alice, "kms:Decrypt", KEY, facts),
		POLICY_DENIES);
	json_decref(facts);
}

static void kms_policy_resource_variables(void **state)
{
	static const char text[] = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"arn:aws:kms:*:*:alias/${aws:username}\"}]}";
	static const char old[] = "{\"Version\":\"2008-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"arn:aws:kms:*:*:alias/${aws:username}\"}]}";
	static const char others[] = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"NotResource\":\"arn:aws:kms:*:*:alias/${aws:username}\"}]}";
	static const char hands_off[] = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"*\",\"NotResource\":\"arn:aws:kms:*:*:alias/${aws:username}\"}]}";
	json_t *facts = json_pack("{s:s}", "aws:username", "alice");
	const char *arn = "arn:aws:kms:us-east-1:" ACCOUNT ":alias/alice";

	(void)state;
	assert_int_equal(verdict_as(text, POLICY_IDENTITY, alice,
				    "kms:CreateAlias", arn, facts),
			 POLICY_ALLOWS);
	assert_int_equal(verdict_as(text, POLICY_IDENTITY, alice,
				    "kms:CreateAlias", KEY, facts), 0);
	/* The older version has no variables. */
	assert_int_equal(verdict_as(old, POLICY_IDENTITY, alice,
				    "kms:CreateAlias", arn, facts), 0);
	assert_int_equal(verdict_as(others, POLICY_IDENTITY, alice,
				    "kms:CreateAlias", arn, facts), 0);
	assert_int_equal(verdict_as(others, POLICY_IDENTITY, alice,
				    "kms:CreateAlias", KEY, facts),
			 POLICY_ALLOWS);
	assert_int_equal(verdict_as(hands_off, POLICY_IDENTITY, alice,
				    "kms:CreateAlias", arn, facts), 0);
	json_decref(facts);
	assert_int_equal(verdict_as(text, POLICY_IDENTITY, alice,
				    "kms:CreateAlias", arn, NULL), 0);
	/* Who has no name is excepted from nothing that is allowed. */
	assert_int_equal(verdict_as(others, POLICY_IDENTITY, session,
				    "kms:CreateAlias", KEY, NULL), 0);
	assert_int_equal(verdict_as(hands_off, POLICY_IDENTITY, session,
				    "kms:CreateAlias", arn, NULL),
			 POLICY_DENIES);
}

static void kms_policy_verdicts_add_up(void **state)
{
	static const char text[] =
		"{\"Statement\":[{\"Effect\":\"Allow\"," AWS(ALICE) "," ALL "},"
		"{\"Effect\":\"Allow\"," AWS(ROOT) "," ALL "},"
		"{\"Effect\":\"Deny\"," AWS(ALICE) ",\"Action\":\"kms:Decrypt\",\"Resource\":\"*\"}]}";

	(void)state;
	assert_int_equal(verdict_as(text, POLICY_KEY, alice, "kms:Decrypt",
				    KEY, NULL),
			 POLICY_ALLOWS | POLICY_DELEGATES | POLICY_DENIES);
	assert_int_equal(verdict_as(text, POLICY_KEY, alice, "kms:Encrypt",
				    KEY, NULL),
			 POLICY_ALLOWS | POLICY_DELEGATES);
}

static void kms_policy_failing_value_ends_it(void **state)
{
	(void)state;
	assert_int_equal(verdict_as(CONDITION("{\"StringEquals\":{\"aws:UserAgent\":\"x\"}}"),
				    POLICY_IDENTITY, alice, "kms:Decrypt",
				    KEY, NULL), -ENOMEM);
	assert_int_equal(verdict_as("{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"arn:${aws:UserAgent}\"}}",
				    POLICY_IDENTITY, alice, "kms:Decrypt",
				    KEY, NULL), -ENOMEM);
}

#define BAD_PRINCIPAL \
	"Policy contains a statement with one or more invalid principals."

static const struct {
	enum policy_kind kind;
	const char *text, *why;
} refused[] = {
	{ POLICY_KEY, "", "Syntax errors in policy: " },
	{ POLICY_KEY, "{", "Syntax errors in policy: " },
	{ POLICY_KEY, "[]", "Syntax errors in policy." },
	{ POLICY_KEY, "{\"Statement\":[],\"Statement\":[]}", "Syntax errors in policy: " },
	{ POLICY_KEY, "{}", "The policy has no Statement." },
	{ POLICY_KEY, "{\"Statement\":[]}", "The policy has no Statement." },
	{ POLICY_KEY, "{\"Statement\":[1]}", "A statement must be an object." },
	{ POLICY_KEY, "{\"Version\":\"2020-01-01\",\"Statement\":[]}", "The policy must contain a valid version string." },
	{ POLICY_KEY, "{\"Version\":1,\"Statement\":[]}", "The policy must contain a valid version string." },
	{ POLICY_KEY, "{\"Id\":1,\"Statement\":[]}", "Id must be text." },
	{ POLICY_KEY, "{\"Statements\":[]}", "Invalid policy element 'Statements'." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*"), "\"Actions\":\"*\""), "Invalid policy element 'Actions'." },
	{ POLICY_KEY, STATEMENT("allow", AWS("*"), ALL), "Effect must be Allow or Deny." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*"), "\"Sid\":1"), "Sid must be text." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*"), "\"Sid\":\"\\u0001\""), "Sid must be text." },
	{ POLICY_KEY, STATEMENT("Allow", "\"Sid\":\"x\"", ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", "\"Principal\":\"*\"", ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", "\"Principal\":{}", ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", "\"Principal\":{\"Federated\":\"x\"}", ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", AWS("alice"), ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", AWS("arn:aws:iam::1111:root"), ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", AWS("arn:aws:iam::" ACCOUNT ":user/*"), ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", AWS("arn:aws:iam::" ACCOUNT ":group/x"), ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", AWS("arn:aws:iam::" ACCOUNT), ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", AWS("arn:aws:sts::" ACCOUNT ":assumed-role/x"), ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", "\"Principal\":{\"Service\":\"*\"}", ALL), BAD_PRINCIPAL },
	{ POLICY_KEY, STATEMENT("Allow", "\"Principal\":{\"AWS\":{}}", ALL), "Principal must be text or a list of texts." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*") "," NOT_AWS("*"), ALL), "A statement has both Principal and NotPrincipal." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*"), ALL ",\"NotAction\":\"*\""), "A statement has both Action and NotAction." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*"), ALL ",\"NotResource\":\"*\""), "A statement has both Resource and NotResource." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*"), "\"Action\":\"Decrypt\""), "Invalid action 'Decrypt'." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*"), "\"Action\":{}"), "Action must be text or a list of texts." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*"), "\"Resource\":\"key/1\""), "Invalid resource 'key/1'." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*"), "\"Resource\":\"arn:${x}\""), "Invalid policy variable in 'arn:${x}'." },
	{ POLICY_KEY, STATEMENT("Allow", AWS("*"), "\"Resource\":\"arn:${aws:username,x}\""), "Invalid policy variable in 'arn:${aws:username,x}'." },
	{ POLICY_IDENTITY, CONDITION("[]"), "Condition must be an object." },
	{ POLICY_IDENTITY, CONDITION("{\"StringMatches\":{\"kms:KeySpec\":\"x\"}}"), "Invalid condition operator 'StringMatches'." },
	{ POLICY_IDENTITY, CONDITION("{\"BinaryEquals\":{\"kms:KeySpec\":\"x\"}}"), "Invalid condition operator 'BinaryEquals'." },
	{ POLICY_IDENTITY, CONDITION("{\"NullIfExists\":{\"kms:KeySpec\":\"true\"}}"), "Invalid condition operator 'NullIfExists'." },
	{ POLICY_IDENTITY, CONDITION("{\"ForAnyValue:Null\":{\"kms:KeySpec\":\"true\"}}"), "Invalid condition operator 'ForAnyValue:Null'." },
	{ POLICY_IDENTITY, CONDITION("{\"StringEquals\":{}}"), "Condition operator 'StringEquals' must be an object with keys." },
	{ POLICY_IDENTITY, CONDITION("{\"StringEquals\":{\"kms:Moon\":\"x\"}}"), "Invalid condition key 'kms:Moon'." },
	{ POLICY_IDENTITY, CONDITION("{\"StringEquals\":{\"kms:EncryptionContext:\":\"x\"}}"), "Invalid condition key 'kms:EncryptionContext:'." },
	{ POLICY_IDENTITY, CONDITION("{\"StringEquals\":{\"kms:KeySpec\":[]}}"), "Condition 'kms:KeySpec' has no value." },
	{ POLICY_IDENTITY, CONDITION("{\"NumericEquals\":{\"kms:RotationPeriodInDays\":\"x\"}}"), "Invalid value 'x' for NumericEquals." },
	{ POLICY_IDENTITY, CONDITION("{\"DateEquals\":{\"kms:ValidTo\":\"today\"}}"), "Invalid value 'today' for DateEquals." },
	{ POLICY_IDENTITY, CONDITION("{\"Bool\":{\"kms:MultiRegion\":\"yes\"}}"), "Invalid value 'yes' for Bool." },
	{ POLICY_IDENTITY, CONDITION("{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/33\"}}"), "Invalid value '10.0.0.0/33' for IpAddress." },
	{ POLICY_IDENTITY, CONDITION("{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/-1\"}}"), "Invalid value '10.0.0.0/-1' for IpAddress." },
	{ POLICY_IDENTITY, CONDITION("{\"ArnEquals\":{\"aws:PrincipalArn\":\"x\"}}"), "Invalid value 'x' for ArnEquals." },
	{ POLICY_IDENTITY, STATEMENT("Allow", AWS("*"), ALL), "Policy document should not specify a principal." },
	{ POLICY_IDENTITY, "{\"Statement\":{\"Effect\":\"Allow\",\"Resource\":\"*\"}}", "Policy statement must contain actions." },
	{ POLICY_IDENTITY, "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\"}}", "Policy statement must contain resources." },
	{ POLICY_TRUST, STATEMENT("Allow", AWS("*"), ALL), "Has prohibited field Resource." },
};

static void kms_policy_refused(void **state)
{
	char why[POLICY_WHY_BYTES];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(refused); i++) {
		struct policy *p = NULL;
		const char *want = refused[i].why;
		int rc = policy_parse(refused[i].text, strlen(refused[i].text),
				      refused[i].kind, &p, why);

		if (rc != -EBADMSG || p ||
		    strncmp(why, want, strlen(want)) != 0)
			fail_msg("case %zu: %d '%s', not '%s'", i, rc, why,
				 want);
	}
}

static void kms_policy_statement_limit(void **state)
{
	char why[POLICY_WHY_BYTES];
	struct policy *p = NULL;
	char *text = NULL;
	size_t bytes, i;
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	fputs("{\"Statement\":[", out);
	for (i = 0; i < 257; i++)
		fprintf(out, "%s{}", i ? "," : "");
	fputs("]}", out);
	fclose(out);
	assert_int_equal(policy_parse(text, bytes, POLICY_KEY, &p, why),
			 -EBADMSG);
	assert_string_equal(why, "The policy has more than 256 statements.");
	free(text);
}

static int note(const char *arn, void *arg)
{
	strcat(arg, arn);
	return 0;
}

static int note_broad(const char *sid, size_t index, const char *why,
		      void *arg)
{
	sprintf((char *)arg + strlen(arg), "%s/%zu/%s;", sid ? sid : "-",
		index, why);
	return 0;
}

static void kms_policy_lists_principals_and_breadth(void **state)
{
	static const char text[] =
		"{\"Statement\":[{\"Sid\":\"a\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"*\",\"" ROOT "\",\"" ROLE "\"]}," ALL "},"
		"{\"Effect\":\"Deny\"," NOT_AWS(ALICE) "," ALL "},"
		"{\"Effect\":\"Allow\"," NOT_AWS(ALICE) "," ALL "}]}";
	char why[POLICY_WHY_BYTES], out[512] = "";
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(policy_parse(text, strlen(text), POLICY_KEY, &p,
				      why), 0);
	policy_principals(p, note, out);
	assert_string_equal(out, ROLE ALICE ALICE);
	out[0] = '\0';
	policy_broad(p, "kms:Decrypt", note_broad, out);
	assert_string_equal(out, "a/0/to everybody in every account;-/2/to everybody but a list;");
	policy_free(p);
	policy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kms_policy_principals),
		cmocka_unit_test(kms_policy_bound_names),
		cmocka_unit_test(kms_policy_actions_and_resources),
		cmocka_unit_test(kms_policy_without_action_or_resource_has_no_effect),
		cmocka_unit_test(kms_policy_string_conditions),
		cmocka_unit_test(kms_policy_set_and_null_conditions),
		cmocka_unit_test(kms_policy_typed_conditions),
		cmocka_unit_test(kms_policy_variables),
		cmocka_unit_test(kms_policy_unresolved_deny_denies),
		cmocka_unit_test(kms_policy_resource_variables),
		cmocka_unit_test(kms_policy_verdicts_add_up),
		cmocka_unit_test(kms_policy_failing_value_ends_it),
		cmocka_unit_test(kms_policy_refused),
		cmocka_unit_test(kms_policy_statement_limit),
		cmocka_unit_test(kms_policy_lists_principals_and_breadth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
