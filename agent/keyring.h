/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's keyrings in our terms: where the DEK of an attached volume is
 * found by the kernel target, and nothing else.
 *
 * The keys live in a keyring named "envelope" below root's user keyring @u,
 * one key of type "envelope" a volume, named by the volume id. Possessor and
 * user may view, search, link and set attributes; nobody can read a payload.
 *
 * Beside it is the volume's seal (seal.h) in a key of type "user", which root
 * can read: no data can be decrypted with it. It goes when the DEK goes.
 */
#ifndef ENVELOPE_KEYRING_H
#define ENVELOPE_KEYRING_H

#include <stdint.h>

#include "secret.h"

#define KEYRING_NAME "envelope"
#define KEYRING_TYPE "envelope"
/* dm-crypt knows keys of type logon, whose names need a prefix and a colon. */
#define KEYRING_LOGON_PREFIX "envelope:"
#define KEYRING_SEAL_PREFIX "envelope-seal:"

/*
 * Put @dek (64 bytes) under @volume_id into the keyring "envelope", which is
 * made if it is not there. The serial number of the key goes to *@serial_ret.
 *
 * Dead keys (revoked or expired) are unlinked from that keyring; a live one of
 * that name is never replaced.
 *
 * -EEXIST: a live key of that name is there. -ENOPKG: no key type "envelope",
 * so the module is not loaded. -EPERM: refused by a security module. -EDQUOT,
 * -ENOMEM, -EIO. Prints its own error.
 */
int keyring_add_dek(const char *volume_id, const struct secret *dek,
		    int32_t *serial_ret);

/*
 * A key of type logon named "envelope:" + @volume_id for stock dm-crypt, in
 * the keyring of this process alone: dm-crypt looks there when a table is
 * loaded, and sets its cipher up; keyring_drop_logon() or the end of the
 * process removes the key. Errors as above, without -ENOPKG.
 */
int keyring_add_logon(const char *volume_id, const struct secret *dek,
		      int32_t *serial_ret);

/* Revoke and unlink what keyring_add_logon() made; prints nothing. */
void keyring_drop_logon(int32_t serial);

/*
 * Put @seal beside the DEK of @volume_id, which is there and has no timeout
 * yet; one that was left is replaced. Errors as keyring_add_dek(), without
 * -EEXIST and -ENOPKG.
 */
int keyring_add_seal(const char *volume_id, const struct secret *seal);

/*
 * What keyring_add_seal() put there, which the caller ends. -ENOKEY: there is
 * none, or it is dead; silent. -EBADMSG: it has not @bytes. -EPERM, -EIO,
 * -ENOMEM; prints its own error.
 */
int keyring_read_seal(const char *volume_id, size_t bytes,
		      struct secret **ret);

/* 0 also when there is none. -EPERM, -EIO; prints its own error. */
int keyring_drop_seal(const char *volume_id);

/*
 * Revoke the DEK of @volume_id, which locks every target that uses it, and its
 * seal; unlink them and all dead keys. 0 also when there is none. -EPERM, -EIO;
 * prints its own error.
 */
int keyring_drop_dek(const char *volume_id);

/*
 * Have the kernel end the DEK of @volume_id and its seal after @timeout_ms from
 * now, rounded down to a whole second, of which there is one at least; what was
 * set before does not count any more. -EKEYREVOKED: there is no live key. -EPERM, -EIO;
 * prints its own error.
 */
int keyring_set_timeout(const char *volume_id, uint64_t timeout_ms);

/* The serial number of the live key of @volume_id. -ENOKEY: none, silent. */
int keyring_find(const char *volume_id, int32_t *serial_ret);

#endif
