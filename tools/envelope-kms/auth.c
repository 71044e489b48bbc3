// SPDX-License-Identifier: GPL-2.0-or-later
/* Finds the access key of a signature and checks the one with the other. */
#include "auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "seal.h"

/* The secret key of @access_key_id. 0; -ENOENT; other errors are ours. */
static int secret_key(const struct server *s, const char *access_key_id,
		      struct user_row *user, struct secret **ret)
{
	uint8_t *sealed = NULL;
	size_t bytes;
	int rc = store_access_key_get(s->store, access_key_id, user, &sealed,
				      &bytes);
	struct seal_place place = { SEAL_ACCESS_KEY, user->account, "",
				    access_key_id, user->name };

	if (rc == 0)
		rc = seal_open(s->root, &place, sealed, bytes, ret);
	free(sealed);
	return rc;
}

static enum error unrecognised(char *why)
{
	snprintf(why, SIGV4_WHY_BYTES,
		 "The security token included in the request is invalid.");
	return ERR_UNRECOGNIZED_CLIENT;
}

enum error authenticate(const struct server *s, const struct sigv4_request *r,
			struct identity *ret, char why[static SIGV4_WHY_BYTES])
{
	struct sigv4_rules rules = { s->regions, "kms",
				     server_wall_ms() / 1000 };
	struct identity who = { .access_key_id = "" };
	struct secret *key = NULL;
	struct sigv4_claim claim;
	enum error e;
	int rc;

	e = sigv4_read(r, &rules, &claim, why);
	if (e != ERR_NONE)
		return e;
	/* Session tokens belong to temporary keys; there are none. */
	if (sigv4_header(r, "x-amz-security-token"))
		return unrecognised(why);
	rc = secret_key(s, claim.access_key_id, &who.user, &key);
	if (rc == -ENOENT)
		return unrecognised(why);
	if (rc < 0) {
		why[0] = '\0';
		return ERR_INTERNAL;
	}
	e = sigv4_verify(r, &claim, key, why);
	secret_free(key);
	if (e != ERR_NONE)
		return e;
	snprintf(who.access_key_id, sizeof(who.access_key_id), "%s",
		 claim.access_key_id);
	snprintf(who.region, sizeof(who.region), "%s", claim.region);
	*ret = who;
	return ERR_NONE;
}
