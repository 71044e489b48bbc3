// SPDX-License-Identifier: GPL-2.0-or-later
/* Which grants allow a call. */
#include "grants.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "json_memory.h"
#include "process.h"

const char *const grant_operations[] = {
	"Decrypt", "Encrypt", "GenerateDataKey",
	"GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
	"CreateGrant", "RetireGrant", "DescribeKey", "GenerateDataKeyPair",
	"GenerateDataKeyPairWithoutPlaintext", "Sign", "Verify",
	"GetPublicKey", "GenerateMac", "VerifyMac", "DeriveSharedSecret", NULL
};

int64_t grant_operation(const char *name)
{
	int i;

	for (i = 0; grant_operations[i]; i++)
		if (strcmp(grant_operations[i], name) == 0)
			return INT64_C(1) << i;
	return 0;
}

const char *param_grant_id(struct call *c, enum param_need need)
{
	return param_string(c, "GrantId", need, 1, 128);
}

int grant_id_check(struct call *c, const char *id)
{
	if (!id || (strlen(id) == GRANT_ID_BYTES - 1 &&
		    strspn(id, "0123456789abcdef") == GRANT_ID_BYTES - 1))
		return 0;
	return call_fail(c, ERR_INVALID_GRANT_ID, "%s", "");
}

enum grant_constraint grant_requested(const struct call *c,
				      const json_t **pairs_ret)
{
	const json_t *all = json_object_get(c->params, "Constraints");
	const json_t *pairs = json_object_get(all, "EncryptionContextEquals");
	enum grant_constraint kind = GRANT_EQUALS;

	if (!json_is_object(pairs)) {
		pairs = json_object_get(all, "EncryptionContextSubset");
		kind = GRANT_SUBSET;
	}
	/* To ask for no pairs and to allow others is to ask for nothing. */
	if (!json_is_object(pairs) ||
	    (kind == GRANT_SUBSET && !json_object_size(pairs))) {
		pairs = NULL;
		kind = GRANT_ANY;
	}
	*pairs_ret = pairs;
	return kind;
}

/* The digest of one pair, in the encoding that keeps pairs apart. */
static int digest_pair(const char *name, json_t *value,
		       char ret[static ANCHOR_BYTES])
{
	json_t *map = json_pack("{s:O}", name, value);
	struct context context = { .data = NULL };
	uint8_t digest[CRYPTO_SHA256_BYTES];
	int rc = map ? context_encode(map, &context) : -ENOMEM;

	if (rc == 0)
		rc = crypto_sha256(context.data, context.bytes, digest);
	if (rc == 0)
		crypto_hex(digest, (ANCHOR_BYTES - 1) / 2, ret);
	context_free(&context);
	json_decref(map);
	return rc;
}

/* Which of two pairs tells more: the longer; of two as long, any, always. */
static bool tells_more(const char *a, json_t *a_value, const char *b,
		       json_t *b_value)
{
	size_t a_bytes = strlen(a) + json_string_length(a_value);
	size_t b_bytes = strlen(b) + json_string_length(b_value);

	return a_bytes > b_bytes || (a_bytes == b_bytes && strcmp(a, b) > 0);
}

int grant_anchor(const json_t *pairs, char ret[static ANCHOR_BYTES])
{
	const char *name, *best = NULL;
	json_t *value, *best_value = NULL;

	json_object_foreach((json_t *)pairs, name, value) {
		if (best && !tells_more(name, value, best, best_value))
			continue;
		best = name;
		best_value = value;
	}
	ret[0] = '\0';
	return best ? digest_pair(best, best_value, ret) : 0;
}

/* All anchors under which a grant may lie that @context satisfies. */
static json_t *anchors_of(const json_t *context)
{
	json_t *list = json_pack("[s]", "");
	char anchor[ANCHOR_BYTES];
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)context, name, value) {
		if (list && digest_pair(name, value, anchor) == 0 &&
		    json_array_append_new(list, json_string(anchor)) == 0)
			continue;
		json_decref(list);
		return NULL;
	}
	return list;
}

bool grant_is_caller(const struct call *c, const char *arn, const char *uid)
{
	const struct identity *who = &c->who;
	bool role = who->role_arn[0] != '\0';

	return (strcmp(arn, who->user.arn) == 0 ||
		(role && strcmp(arn, who->role_arn) == 0)) &&
	       strcmp(uid, role ? who->role_id : who->user.user_id) == 0;
}

/* A grant to an account is one to those whom the account lets use it. */
static bool is_account_of_caller(const struct call *c, const char *arn)
{
	char root[64];

	snprintf(root, sizeof(root), "arn:aws:iam::%s:root",
		 c->who.user.account);
	return strcmp(arn, root) == 0;
}

/* All ARNs under which a grant may lie that is for the caller. */
static json_t *grantees_of(const struct call *c, bool own_allow)
{
	json_t *list = json_pack("[s]", c->who.user.arn);

	if (list && c->who.role_arn[0])
		json_array_append_new(list, json_string(c->who.role_arn));
	if (list && own_allow)
		json_array_append_new(list,
				      json_sprintf("arn:aws:iam::%s:root",
						   c->who.user.account));
	return list;
}

/* Is every pair of @some in @all? */
static bool within(const json_t *some, const json_t *all)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)some, name, value)
		if (!json_equal(value, json_object_get(all, name)))
			return false;
	return true;
}

static bool context_satisfies(const struct grant_row *g, const json_t *pairs,
			      const json_t *context)
{
	if (g->constraint == GRANT_EQUALS &&
	    json_object_size(pairs) != json_object_size(context))
		return false;
	return g->constraint == GRANT_ANY || within(pairs, context);
}

/* What the search for a grant looks for. */
struct wanted {
	const struct call *call;
	const json_t *context;
	int64_t operation;
	bool unconstrained; /* the operation knows no encryption context */
	bool child;         /* it is CreateGrant */
	bool own_allow;     /* the caller's own policies allow it */
};

/* A grant may beget only what allows no more than it does itself. */
static bool child_is_no_stronger(const struct wanted *w,
				 const struct grant_row *g,
				 const json_t *pairs)
{
	const json_t *operations = json_object_get(w->call->params,
						   "Operations");
	enum grant_constraint kind;
	const json_t *child, *name;
	size_t i;

	json_array_foreach(operations, i, name)
		if (!(grant_operation(json_string_value(name)) &
		      g->operations))
			return false;
	kind = grant_requested(w->call, &child);
	if (g->constraint == GRANT_ANY)
		return true;
	if (kind == GRANT_ANY ||
	    (g->constraint == GRANT_EQUALS && kind != GRANT_EQUALS))
		return false;
	return context_satisfies(g, pairs, child);
}

/* 1: this one allows it. */
static int try_grant(const struct grant_row *g, void *arg)
{
	const struct wanted *w = arg;
	json_t *pairs;
	bool good;

	if (!(g->operations & w->operation) ||
	    (!grant_is_caller(w->call, g->grantee, g->grantee_uid) &&
	     !(w->own_allow && is_account_of_caller(w->call, g->grantee))))
		return 0;
	pairs = json_loads(g->pairs, 0, NULL);
	if (!pairs)
		return -ENOMEM;
	if (w->child)
		good = child_is_no_stronger(w, g, pairs);
	else
		good = w->unconstrained ||
		       context_satisfies(g, pairs, w->context);
	json_decref(pairs);
	return good;
}

static int search(struct call *c, const struct key_row *key,
		  struct wanted *w)
{
	json_t *grantees = grantees_of(c, w->own_allow);
	json_t *anchors = w->unconstrained ? NULL : anchors_of(w->context);
	char *who = grantees ? json_memory_text(grantees, JSON_COMPACT) :
			       NULL;
	char *where = anchors ? json_memory_text(anchors, JSON_COMPACT) :
				NULL;
	int rc = -ENOMEM;

	if (who && (where || w->unconstrained))
		rc = store_grant_find(c->server->store, key, who, where,
				      try_grant, w);
	wiping_free(who);
	wiping_free(where);
	json_decref(grantees);
	json_decref(anchors);
	return rc;
}

int grant_allows(struct call *c, const struct key_row *key,
		 const struct facts *f, bool own_allow)
{
	const char *name = strchr(f->action, ':');
	struct wanted w = { .call = c, .context = f->context,
			    .own_allow = own_allow };

	if (!name)
		return 0;
	w.operation = grant_operation(++name);
	w.unconstrained = strcmp(name, "DescribeKey") == 0;
	w.child = strcmp(name, "CreateGrant") == 0;
	/* Whether a grant may be retired is asked of that one grant. */
	if (!w.operation || strcmp(name, "RetireGrant") == 0)
		return 0;
	return search(c, key, &w);
}
