/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seal of an attached volume: what is left of the DEK that tells genuine
 * from forged, and decrypts nothing. With it root verifies the header below
 * the volume and MACs the body of a snapshot, without DEK and KMS.
 *
 * It is derived from the DEK: the seal key of snapshot.h, the key of the
 * header's HMAC, and the fingerprint of the lineage. Attach and unlock leave it
 * beside the DEK in the kernel's keyring; whatever ends the DEK there by our
 * hands, or its lease, ends it, too.
 */
#ifndef ENVELOPE_SEAL_H
#define ENVELOPE_SEAL_H

#include "header.h"
#include "secret.h"

#define SEAL_KEY_BYTES 32

struct seal;

/*
 * The seal of the volume that @h is the header of; the caller ends *@ret with
 * seal_free(). -EINVAL: @dek has not 64 bytes. -EIO, -ENOMEM. Prints its own
 * error, as all of these.
 */
int seal_from_dek(const struct secret *dek, const struct header *h,
		  struct seal **ret);

/* The same, where the header is elsewhere: by its volume id and UUID. */
int seal_from_id(const struct secret *dek, const char *volume_id,
		 const uint8_t uuid[HEADER_UUID_BYTES], struct seal **ret);

/* NULL is accepted. */
void seal_free(struct seal *s);

/* SEAL_KEY_BYTES: what the bodies of snapshots are MACed with. Borrowed. */
const struct secret *seal_key(const struct seal *s);

/* The fingerprint of the lineage, of HEADER_LINEAGE_CHARS. Borrowed. */
const char *seal_lineage(const struct seal *s);

/*
 * Is @h, which messages call @name, the genuine header of this volume? As
 * header_verify(), and with its errors.
 */
int seal_check_header(const struct seal *s, const char *name,
		      struct header *h);

/*
 * Leave @s in the kernel beside the DEK of @volume_id, before that gets its
 * timeout. -EPERM, -EDQUOT, -ENOMEM, -EIO.
 */
int seal_keep(const struct seal *s, const char *volume_id);

/*
 * What seal_keep() left. -ENOKEY: nothing, or the lease has ended; silent.
 * -EBADMSG: something else. -EPERM, -ENOMEM, -EIO.
 */
int seal_find(const char *volume_id, struct seal **ret);

/* End what seal_keep() left; 0 also if there is nothing. -EPERM, -EIO. */
int seal_drop(const char *volume_id);

#endif
