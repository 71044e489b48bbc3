// SPDX-License-Identifier: GPL-2.0-or-later
/* Which grants allow a call: grantees, operations, constraints, children. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "grants.h"

#define ACCOUNT "111122223333"
#define IAM "arn:aws:iam::" ACCOUNT ":"
#define STS "arn:aws:sts::" ACCOUNT ":assumed-role/"
#define ALICE IAM "user/alice"
#define KEY_ID "01234567-89ab-cdef-0123-456789abcdef"
#define OTHER_ID "01234567-89ab-cdef-0123-456789abcde0"

struct world {
	char folder[32], path[48];
	struct server server;
	struct key_row key, other;
	unsigned int grants;
};

static void make_key(struct world *w, const char *id, struct key_row *ret)
{
	struct key_row key = { .description = NULL };

	strcpy(key.account, ACCOUNT);
	strcpy(key.region, "us-east-1");
	strcpy(key.key_id, id);
	key.description = strdup("");
	assert_int_equal(store_key_add(w->server.store, &key), 0);
	*ret = key;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	strcpy(w->folder, "/tmp/kms-grants-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof(w->path), "%s/kms.db", w->folder);
	assert_int_equal(store_create(w->path, &w->server.store), 0);
	make_key(w, KEY_ID, &w->key);
	make_key(w, OTHER_ID, &w->other);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	struct dirent *entry;
	DIR *folder;

	key_row_free(&w->key);
	key_row_free(&w->other);
	store_close(w->server.store);
	folder = opendir(w->folder);
	assert_non_null(folder);
	while ((entry = readdir(folder)))
		unlinkat(dirfd(folder), entry->d_name, 0);
	closedir(folder);
	assert_int_equal(rmdir(w->folder), 0);
	free(w);
	return 0;
}

static json_t *parse(const char *json)
{
	json_t *value = json_loads(json, 0, NULL);

	assert_non_null(value);
	return value;
}

/* A grant on the key with @operations, by blanks; @pairs NULL: no constraint. */
static void add_grant(struct world *w, const char *grantee, const char *uid,
		      const char *operations, enum grant_constraint kind,
		      const char *pairs)
{
	struct grant_row g = { .constraint = kind };
	json_t *map = parse(pairs ? pairs : "{}");
	char name[64];
	int n;

	strcpy(g.region, w->key.region);
	strcpy(g.account, ACCOUNT);
	strcpy(g.issuer, ACCOUNT);
	strcpy(g.key_id, w->key.key_id);
	snprintf(g.grant_id, sizeof(g.grant_id), "%064x", ++w->grants);
	strcpy(g.grantee, grantee);
	strcpy(g.grantee_uid, uid);
	for (; sscanf(operations, " %63s%n", name, &n) == 1; operations += n) {
		assert_int_not_equal(grant_operation(name), 0);
		g.operations |= grant_operation(name);
	}
	assert_int_equal(grant_anchor(map, g.anchor), 0);
	g.pairs = strdup(pairs ? pairs : "{}");
	assert_int_equal(store_grant_add(w->server.store, &g), 0);
	grant_row_free(&g);
	json_decref(map);
}

static struct identity user(const char *name, const char *uid)
{
	struct identity who = { .session_policy = NULL };

	strcpy(who.user.account, ACCOUNT);
	snprintf(who.user.arn, sizeof(who.user.arn), IAM "user/%s", name);
	strcpy(who.user.user_id, uid);
	strcpy(who.region, "us-east-1");
	return who;
}

static struct identity session(const char *role, const char *uid,
			       const char *name)
{
	struct identity who = user(role, "");

	snprintf(who.user.arn, sizeof(who.user.arn), STS "%s/%s", role, name);
	snprintf(who.user.user_id, sizeof(who.user.user_id), "%s:%s", uid,
		 name);
	snprintf(who.role_arn, sizeof(who.role_arn), IAM "role/%s", role);
	strcpy(who.role_id, uid);
	return who;
}

static int ask_as(struct world *w, const struct identity *who,
		  const char *action, const char *context, bool own_allow)
{
	struct call c = { .server = &w->server, .who = *who };
	json_t *map = context ? parse(context) : NULL;
	struct facts f = { .action = action, .context = map };
	int rc = grant_allows(&c, &w->key, &f, own_allow);

	json_decref(map);
	return rc;
}

/* Alice asks. */
static int ask(struct world *w, const char *action, const char *context)
{
	struct identity alice = user("alice", "AIDA1");

	return ask_as(w, &alice, action, context, false);
}

static int decrypts(struct world *w, const char *context)
{
	return ask(w, "kms:Decrypt", context);
}

/* A context or a constraint, and whether the grants allow it. */
struct answer {
	const char *text;
	int verdict;
};

static void check_answers(struct world *w,
			  int (*allows)(struct world *w, const char *text),
			  const struct answer *a, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (allows(w, a[i].text) != a[i].verdict)
			fail_msg("%s: not %d", a[i].text ? a[i].text : "NULL",
				 a[i].verdict);
}

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void kms_grant_names_operations(void **state)
{
	struct world *w = *state;
	int i;

	assert_int_equal(ask(w, "kms:Decrypt", NULL), 0);
	add_grant(w, ALICE, "AIDA1", "Decrypt ReEncryptTo", GRANT_ANY, NULL);
	assert_int_equal(ask(w, "kms:Decrypt", NULL), 1);
	assert_int_equal(ask(w, "kms:Decrypt", "{\"a\":\"b\"}"), 1);
	assert_int_equal(ask(w, "kms:ReEncryptTo", NULL), 1);
	for (i = 0; grant_operations[i]; i++) {
		char action[64];

		snprintf(action, sizeof(action), "kms:%s",
			 grant_operations[i]);
		if (strcmp(action, "kms:Decrypt") != 0 &&
		    strcmp(action, "kms:ReEncryptTo") != 0)
			assert_int_equal(ask(w, action, NULL), 0);
	}
	assert_int_equal(ask(w, "kms:DisableKey", NULL), 0);
	assert_int_equal(ask(w, "kms:", NULL), 0);
	assert_int_equal(ask(w, "Decrypt", NULL), 0);
}

static void kms_grant_is_of_one_key(void **state)
{
	struct world *w = *state;
	struct key_row key = w->key;

	add_grant(w, ALICE, "AIDA1", "Decrypt", GRANT_ANY, NULL);
	w->key = w->other;
	assert_int_equal(ask(w, "kms:Decrypt", NULL), 0);
	w->key = key;
	strcpy(w->key.region, "eu-west-1");
	assert_int_equal(ask(w, "kms:Decrypt", NULL), 0);
}

static void kms_grant_is_to_who_had_the_name(void **state)
{
	struct world *w = *state;
	struct identity heir = user("alice", "AIDA2");
	struct identity bob = user("bob", "AIDA1");

	add_grant(w, ALICE, "AIDA1", "Decrypt DescribeKey", GRANT_ANY, NULL);
	assert_int_equal(ask(w, "kms:Decrypt", NULL), 1);
	assert_int_equal(ask_as(w, &heir, "kms:Decrypt", NULL, true), 0);
	assert_int_equal(ask_as(w, &bob, "kms:Decrypt", NULL, true), 0);
	assert_int_equal(ask_as(w, &heir, "kms:DescribeKey", NULL, true), 0);
}

static void kms_grant_to_a_role_and_to_a_session(void **state)
{
	struct world *w = *state;
	struct identity one = session("host", "AROA1", "i-1");
	struct identity two = session("host", "AROA1", "i-2");
	struct identity heir = session("host", "AROA2", "i-1");
	struct identity namesake = user("host", "AROA1");

	add_grant(w, IAM "role/host", "AROA1", "Decrypt", GRANT_ANY, NULL);
	add_grant(w, STS "host/i-1", "AROA1", "Encrypt", GRANT_ANY, NULL);
	assert_int_equal(ask_as(w, &one, "kms:Decrypt", NULL, false), 1);
	assert_int_equal(ask_as(w, &two, "kms:Decrypt", NULL, false), 1);
	assert_int_equal(ask_as(w, &heir, "kms:Decrypt", NULL, false), 0);
	assert_int_equal(ask_as(w, &namesake, "kms:Decrypt", NULL, false), 0);
	assert_int_equal(ask_as(w, &one, "kms:Encrypt", NULL, false), 1);
	assert_int_equal(ask_as(w, &two, "kms:Encrypt", NULL, false), 0);
	assert_int_equal(ask_as(w, &heir, "kms:Encrypt", NULL, false), 0);
}

static void kms_grant_to_an_account(void **state)
{
	struct world *w = *state;
	struct identity alice = user("alice", "AIDA1");
	struct identity role = session("host", "AROA1", "i-1");
	struct identity foreign = user("alice", "AIDA1");

	strcpy(foreign.user.account, "999988887777");
	strcpy(foreign.user.arn, "arn:aws:iam::999988887777:user/alice");
	add_grant(w, IAM "root", "", "Decrypt", GRANT_ANY, NULL);
	assert_int_equal(ask_as(w, &alice, "kms:Decrypt", NULL, false), 0);
	assert_int_equal(ask_as(w, &alice, "kms:Decrypt", NULL, true), 1);
	assert_int_equal(ask_as(w, &role, "kms:Decrypt", NULL, true), 1);
	assert_int_equal(ask_as(w, &foreign, "kms:Decrypt", NULL, true), 0);
}

static void kms_grant_equals(void **state)
{
	static const struct answer answers[] = {
		{ "{\"bb\":\"2\",\"a\":\"1\"}", 1 },
		{ "{\"a\":\"1\",\"bb\":\"2\",\"c\":\"3\"}", 0 },
		{ "{\"a\":\"1\"}", 0 },
		{ "{\"bb\":\"2\"}", 0 },
		{ "{\"a\":\"2\",\"bb\":\"2\"}", 0 },
		{ "{\"a\":\"2\",\"bb\":\"1\"}", 0 },
		{ "{\"A\":\"1\",\"bb\":\"2\"}", 0 },
		{ "{}", 0 },
		{ NULL, 0 },
	};
	struct world *w = *state;

	add_grant(w, ALICE, "AIDA1", "Decrypt", GRANT_EQUALS,
		  "{\"a\":\"1\",\"bb\":\"2\"}");
	check_answers(w, decrypts, answers, COUNT(answers));
}

static void kms_grant_equals_the_empty_context(void **state)
{
	static const struct answer answers[] = {
		{ NULL, 1 }, { "{}", 1 }, { "{\"a\":\"b\"}", 0 },
	};
	struct world *w = *state;

	add_grant(w, ALICE, "AIDA1", "Decrypt", GRANT_EQUALS, "{}");
	check_answers(w, decrypts, answers, COUNT(answers));
}

static void kms_grant_subset(void **state)
{
	static const struct answer answers[] = {
		{ "{\"volume\":\"vol-1\",\"generation\":\"1\"}", 1 },
		{ "{\"x\":\"yyyyyyyyyyyyyyyyyyyy\",\"volume\":\"vol-1\",\"generation\":\"1\"}", 1 },
		{ "{\"volume\":\"vol-1\",\"generation\":\"2\"}", 0 },
		{ "{\"volume\":\"vol-2\",\"generation\":\"1\"}", 0 },
		{ "{\"volume\":\"vol-1\"}", 0 },
		{ "{\"generation\":\"1\"}", 0 },
		{ NULL, 0 },
		/* The neighbours of a pair, run together, are not the pair. */
		{ "{\"volumev\":\"ol-1\",\"generation\":\"1\"}", 0 },
	};
	struct world *w = *state;

	add_grant(w, ALICE, "AIDA1", "Decrypt", GRANT_SUBSET,
		  "{\"volume\":\"vol-1\",\"generation\":\"1\"}");
	check_answers(w, decrypts, answers, COUNT(answers));
}

static void kms_grant_one_of_several(void **state)
{
	struct world *w = *state;

	add_grant(w, ALICE, "AIDA1", "Decrypt", GRANT_SUBSET,
		  "{\"volume\":\"vol-1\"}");
	add_grant(w, ALICE, "AIDA1", "Decrypt", GRANT_EQUALS,
		  "{\"volume\":\"vol-2\"}");
	add_grant(w, ALICE, "AIDA1", "Encrypt", GRANT_ANY, NULL);
	assert_int_equal(ask(w, "kms:Decrypt", "{\"volume\":\"vol-1\"}"), 1);
	assert_int_equal(ask(w, "kms:Decrypt", "{\"volume\":\"vol-2\"}"), 1);
	assert_int_equal(ask(w, "kms:Decrypt", "{\"volume\":\"vol-3\"}"), 0);
	assert_int_equal(ask(w, "kms:Encrypt", "{\"volume\":\"vol-3\"}"), 1);
}

static void kms_grant_describes_in_any_context(void **state)
{
	struct world *w = *state;

	add_grant(w, ALICE, "AIDA1", "Decrypt DescribeKey RetireGrant",
		  GRANT_EQUALS, "{\"volume\":\"vol-1\"}");
	assert_int_equal(ask(w, "kms:DescribeKey", NULL), 1);
	/* Retiring is asked of one grant, not of all on the key. */
	assert_int_equal(ask(w, "kms:RetireGrant", NULL), 0);
	assert_int_equal(ask(w, "kms:RetireGrant",
			     "{\"volume\":\"vol-1\"}"), 0);
}

/* Alice asks to create a grant with these parameters. */
static int beget(struct world *w, const char *operations,
		 const char *constraints)
{
	struct call c = { .server = &w->server,
			  .who = user("alice", "AIDA1") };
	struct facts f = { .action = "kms:CreateGrant" };
	int rc;

	c.params = json_pack("{s:o}", "Operations", parse(operations));
	if (constraints)
		json_object_set_new(c.params, "Constraints",
				    parse(constraints));
	grant_requested(&c, &f.context);
	rc = grant_allows(&c, &w->key, &f, false);
	json_decref(c.params);
	return rc;
}

static int begets(struct world *w, const char *constraints)
{
	return beget(w, "[\"Decrypt\"]", constraints);
}

static void kms_grant_child_operations(void **state)
{
	struct world *w = *state;

	add_grant(w, ALICE, "AIDA1", "CreateGrant Decrypt Encrypt", GRANT_ANY,
		  NULL);
	assert_int_equal(beget(w, "[\"Decrypt\"]", NULL), 1);
	assert_int_equal(beget(w, "[\"Decrypt\",\"Encrypt\",\"CreateGrant\"]",
			       NULL), 1);
	assert_int_equal(beget(w, "[\"Decrypt\",\"DescribeKey\"]", NULL), 0);
	assert_int_equal(beget(w, "[\"RetireGrant\"]", NULL), 0);
	assert_int_equal(beget(w, "[\"Decrypt\"]",
			       "{\"EncryptionContextSubset\":{\"a\":\"b\"}}"),
			 1);
}

static void kms_grant_without_create_grant_begets_none(void **state)
{
	struct world *w = *state;

	add_grant(w, ALICE, "AIDA1", "Decrypt Encrypt", GRANT_ANY, NULL);
	assert_int_equal(beget(w, "[\"Decrypt\"]", NULL), 0);
}

static void kms_grant_child_of_a_subset(void **state)
{
	static const struct answer answers[] = {
		{ NULL, 0 },
		{ "{\"EncryptionContextSubset\":{}}", 0 },
		{ "{\"EncryptionContextEquals\":{}}", 0 },
		{ "{\"EncryptionContextSubset\":{\"a\":\"1\"}}", 1 },
		{ "{\"EncryptionContextSubset\":{\"a\":\"1\",\"b\":\"2\"}}", 1 },
		{ "{\"EncryptionContextEquals\":{\"a\":\"1\",\"b\":\"2\"}}", 1 },
		{ "{\"EncryptionContextSubset\":{\"a\":\"2\"}}", 0 },
		{ "{\"EncryptionContextEquals\":{\"b\":\"2\"}}", 0 },
	};
	struct world *w = *state;

	add_grant(w, ALICE, "AIDA1", "CreateGrant Decrypt", GRANT_SUBSET,
		  "{\"a\":\"1\"}");
	check_answers(w, begets, answers, COUNT(answers));
}

static void kms_grant_child_of_an_equals(void **state)
{
	static const struct answer answers[] = {
		{ "{\"EncryptionContextEquals\":{\"a\":\"1\"}}", 1 },
		{ "{\"EncryptionContextSubset\":{\"a\":\"1\"}}", 0 },
		{ "{\"EncryptionContextEquals\":{\"a\":\"1\",\"b\":\"2\"}}", 0 },
		{ NULL, 0 },
	};
	struct world *w = *state;

	add_grant(w, ALICE, "AIDA1", "CreateGrant Decrypt", GRANT_EQUALS,
		  "{\"a\":\"1\"}");
	check_answers(w, begets, answers, COUNT(answers));
}

static void kms_grant_anchor_is_the_longest_pair(void **state)
{
	json_t *one = parse("{\"volume\":\"vol-1\",\"generation\":\"1\"}");
	json_t *two = parse("{\"generation\":\"1\",\"volume\":\"vol-1\"}");
	json_t *pair = parse("{\"volume\":\"vol-1\"}");
	json_t *ties = parse("{\"a\":\"1\",\"b\":\"1\"}");
	json_t *turned = parse("{\"b\":\"1\",\"a\":\"1\"}");
	char x[ANCHOR_BYTES], y[ANCHOR_BYTES];

	(void)state;
	assert_int_equal(grant_anchor(one, x), 0);
	assert_int_equal(grant_anchor(two, y), 0);
	assert_string_equal(x, y);
	assert_int_equal(strlen(x), ANCHOR_BYTES - 1);
	assert_int_equal(grant_anchor(pair, y), 0);
	assert_string_equal(x, y);
	assert_int_equal(grant_anchor(ties, x), 0);
	assert_int_equal(grant_anchor(turned, y), 0);
	assert_string_equal(x, y);
	assert_int_equal(grant_anchor(NULL, x), 0);
	assert_string_equal(x, "");
	json_decref(one);
	json_decref(two);
	json_decref(pair);
	json_decref(ties);
	json_decref(turned);
}

#define grants(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		grants(kms_grant_names_operations),
		grants(kms_grant_is_of_one_key),
		grants(kms_grant_is_to_who_had_the_name),
		grants(kms_grant_to_a_role_and_to_a_session),
		grants(kms_grant_to_an_account),
		grants(kms_grant_equals),
		grants(kms_grant_equals_the_empty_context),
		grants(kms_grant_subset),
		grants(kms_grant_one_of_several),
		grants(kms_grant_describes_in_any_context),
		grants(kms_grant_child_operations),
		grants(kms_grant_without_create_grant_begets_none),
		grants(kms_grant_child_of_a_subset),
		grants(kms_grant_child_of_an_equals),
		cmocka_unit_test(kms_grant_anchor_is_the_longest_pair),
	};

	return cmocka_run_group_tests_name("kms_grants", tests, NULL, NULL);
}
