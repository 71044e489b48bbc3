/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions of roles: their tokens hold all there is of them, sealed, so that
 * the server keeps none. A token is of use only with its access key id; the
 * role, the user who began it and all roles in between are looked up anew at
 * each use.
 *
 * Inside, big-endian: u8 version 2, u64 issued, u64 expiry (seconds since
 * 1970), the secret key, then account, role, role id, name of the session,
 * session policy, access key and chain, each with its NUL.
 */
#ifndef KMS_SESSION_H
#define KMS_SESSION_H

#include "secret.h"
#include "store_identities.h"

#define SESSION_NAME_BYTES 65
#define SESSION_POLICY_BYTES 2049
#define SESSION_CHAIN_BYTES 1025

struct session {
	char account[ACCOUNT_BYTES];
	char role[IDENTITY_NAME_BYTES];
	char role_id[65];
	char name[SESSION_NAME_BYTES];
	char policy[SESSION_POLICY_BYTES]; /* "": none */
	char began_by[ACCESS_KEY_BYTES];   /* a user's access key */
	char chain[SESSION_CHAIN_BYTES];   /* roles from him to this one, each
					    * "ACCOUNT NAME ROLE-ID\n"; "":
					    * he assumed this one himself */
	int64_t issued_seconds, expiry_seconds; /* since 1970 */
};

/* 0 with base64 text to free(3) in *@ret; -ENOMEM; -EIO. */
int session_seal(const struct secret *root, const struct session *s,
		 const char *access_key_id, const struct secret *secret_key,
		 char **ret);

/*
 * 0 with the secret key in *@key_ret; -EBADMSG: not a token of ours for this
 * access key; -ENOMEM; -EIO.
 */
int session_open(const struct secret *root, const char *access_key_id,
		 const char *token, struct session *ret,
		 struct secret **key_ret);

#endif
