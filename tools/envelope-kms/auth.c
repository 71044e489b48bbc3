// SPDX-License-Identifier: GPL-2.0-or-later
/* Finds the access key of a signature and checks the one with the other. */
#include "auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seal.h"
#include "session.h"
#include "signing_keys.h"
#include "sts.h"

/* The signing key of the user of @claim. 0; -ENOENT; other errors are ours. */
static int user_key(const struct server *s, const struct sigv4_claim *claim,
		    struct user_row *user, struct secret **ret)
{
	uint8_t *data = NULL;
	size_t bytes = 0;
	int rc = store_access_key_get(s->store, claim->access_key_id, user,
				      &data, &bytes);
	struct sealed_key sealed = {
		{ SEAL_ACCESS_KEY, user->account, "", claim->access_key_id,
		  user->name },
		data, bytes
	};

	if (rc == 0)
		rc = signing_key_get(s->signing, s->root, &sealed, claim, ret);
	free(data);
	return rc;
}

/* The signing key of a session, whose secret key is in its token. */
static int session_key(const struct sigv4_claim *claim,
		       const struct secret *secret_key, struct secret **ret)
{
	struct secret *key = secret_new(CRYPTO_SHA256_BYTES);
	int rc = key ? sigv4_signing_key(claim, secret_key, key) : -ENOMEM;

	if (rc == 0)
		*ret = key;
	else
		secret_free(key);
	return rc;
}

static enum error unrecognised(char *why)
{
	snprintf(why, SIGV4_WHY_BYTES,
		 "The security token included in the request is invalid.");
	return ERR_UNRECOGNIZED_CLIENT;
}

/* 0: the role is there, and the one it was; -ENOENT. */
static int role_lives(const struct server *s, const char *account,
		      const char *name, const char *role_id)
{
	struct role_row role = { .trust = NULL };
	int rc = store_role_get(s->store, account, name, &role);

	if (rc < 0)
		return rc;
	if (strcmp(role.role_id, role_id) != 0)
		rc = -ENOENT;
	role_row_free(&role);
	return rc;
}

/* 0: the access key is there and active, and so its user; -ENOENT. */
static int key_lives(const struct server *s, const char *access_key_id)
{
	uint8_t *sealed = NULL;
	struct user_row user;
	size_t bytes;
	int rc = store_access_key_get(s->store, access_key_id, &user, &sealed,
				      &bytes);

	free(sealed);
	return rc;
}

/*
 * A session ends with whatever it came from: its role, the user's access key
 * that began it, and each role that was assumed on the way.
 */
static int session_lives(const struct server *s, const struct session *session)
{
	char account[ACCOUNT_BYTES], name[IDENTITY_NAME_BYTES], role_id[65];
	const char *p = session->chain;
	int n, rc = role_lives(s, session->account, session->role,
			       session->role_id);

	if (rc == 0)
		rc = key_lives(s, session->began_by);
	for (; rc == 0 && *p; p += n) {
		n = 0;
		if (sscanf(p, "%12s %64s %64s%*1[\n]%n", account, name,
			   role_id, &n) != 3 || !n)
			return -ENOENT;
		rc = role_lives(s, account, name, role_id);
	}
	return rc;
}

static int session_identity(const struct server *s,
			    const struct session *session,
			    struct identity *who)
{
	int rc = session_lives(s, session);

	if (rc < 0)
		return rc;
	strcpy(who->user.account, session->account);
	strcpy(who->user.name, session->role);
	strcpy(who->role_id, session->role_id);
	snprintf(who->role_arn, sizeof(who->role_arn),
		 "arn:aws:iam::%s:role/%s", session->account, session->role);
	snprintf(who->user.arn, sizeof(who->user.arn),
		 "arn:aws:sts::%s:assumed-role/%s/%s", session->account,
		 session->role, session->name);
	snprintf(who->user.user_id, sizeof(who->user.user_id), "%.30s:%s",
		 session->role_id, session->name);
	who->issued_ms = session->issued_seconds * 1000;
	strcpy(who->began_by, session->began_by);
	if (asprintf(&who->chain, "%s%s %s %s\n", session->chain,
		     session->account, session->role, session->role_id) < 0) {
		who->chain = NULL;
		return -ENOMEM;
	}
	if (session->policy[0]) {
		who->session_policy = strdup(session->policy);
		rc = who->session_policy ? 0 : -ENOMEM;
	}
	return rc;
}

/* Who signed as @claim says, by his token if there is one, and his key. */
static int find_identity(const struct server *s, const struct sigv4_request *r,
			 const struct sigv4_claim *claim, struct identity *who,
			 int64_t *expiry_ret, struct secret **key_ret)
{
	const char *token = sigv4_header(r, "x-amz-security-token");
	struct session session = { .expiry_seconds = 0 };
	struct secret *secret_key = NULL;
	int rc;

	*expiry_ret = INT64_MAX;
	if (!token)
		return user_key(s, claim, &who->user, key_ret);
	rc = session_open(s->root, claim->access_key_id, token, &session,
			  &secret_key);
	if (rc == -EBADMSG)
		return -ENOENT;
	if (rc == 0)
		rc = session_key(claim, secret_key, key_ret);
	secret_free(secret_key);
	if (rc == 0)
		rc = session_identity(s, &session, who);
	*expiry_ret = session.expiry_seconds;
	return rc;
}

static enum error check(const struct server *s, const struct sigv4_request *r,
			const struct sigv4_claim *claim, struct identity *who,
			char *why)
{
	struct secret *key = NULL;
	int64_t expiry;
	enum error e = ERR_INTERNAL;
	int rc = find_identity(s, r, claim, who, &expiry, &key);

	why[0] = '\0';
	if (rc == -ENOENT)
		e = unrecognised(why);
	if (rc == 0)
		e = sigv4_verify(r, claim, key, why);
	secret_free(key);
	if (e == ERR_NONE && expiry <= server_now_ms() / 1000) {
		snprintf(why, SIGV4_WHY_BYTES,
			 "The security token included in the request is expired");
		e = ERR_EXPIRED_TOKEN;
	}
	return e;
}

static struct sigv4_rules rules_for(const struct server *s,
				    const struct sigv4_request *r)
{
	return (struct sigv4_rules){
		s->regions, sts_is_request(r) ? "sts" : "kms",
		server_wall_ms() / 1000
	};
}

bool auth_known(const struct server *s, const struct sigv4_request *r)
{
	struct sigv4_rules rules = rules_for(s, r);
	struct identity who = { .access_key_id = "" };
	char why[SIGV4_WHY_BYTES];
	struct secret *key = NULL;
	struct sigv4_claim claim;
	int64_t expiry;
	bool known;

	known = sigv4_read(r, &rules, &claim, why) == ERR_NONE &&
		find_identity(s, r, &claim, &who, &expiry, &key) == 0;
	secret_free(key);
	identity_free(&who);
	return known;
}

enum error authenticate(const struct server *s, const struct sigv4_request *r,
			struct identity *ret, char why[static SIGV4_WHY_BYTES])
{
	struct sigv4_rules rules = rules_for(s, r);
	struct identity who = { .access_key_id = "" };
	struct sigv4_claim claim;
	enum error e = sigv4_read(r, &rules, &claim, why);

	if (e == ERR_NONE)
		e = check(s, r, &claim, &who, why);
	if (e != ERR_NONE) {
		identity_free(&who);
		return e;
	}
	_Static_assert(sizeof(who.access_key_id) >= sizeof(claim.access_key_id)
		       && sizeof(who.region) >= sizeof(claim.region), "claim");
	strcpy(who.access_key_id, claim.access_key_id);
	strcpy(who.region, claim.region);
	*ret = who;
	return ERR_NONE;
}
