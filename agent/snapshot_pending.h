/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A copy under another data key that was begun: what a later attempt needs to
 * go on with it, so that what was written is not written again under yet another
 * key. The record is one JSON object:
 *
 *	snapshot_id, created, lineage, parent ("" for none)
 *	source	as in a body
 *	core, uuid (hexadecimal), slots: as in a header; the context of the slots
 *		is {"envelope:snapshot-id": snapshot_id} and their own pairs
 *	mac	hexadecimal, of the text without it (compact, names sorted):
 *		HMAC-SHA-256 with the key HKDF-SHA-256(seal key, salt = "",
 *		info = "envelope pending v1", 32 bytes)
 */
#ifndef ENVELOPE_SNAPSHOT_PENDING_H
#define ENVELOPE_SNAPSHOT_PENDING_H

#include "snapshot_store.h"
#include "volume.h"

/* Durable when 0 is returned. @dek is that of the copy @s. */
int snapshot_pending_put(struct snapshot_store *st, const struct snapshot *s,
			 const struct secret *dek);

/*
 * A copy of @source under @key_id, with the parent @parent ("": none), that was
 * begun, and its DEK; both stay NULL where there is none. One that does not hold
 * under its DEK is left alone, with a warning.
 */
int snapshot_pending_find(struct snapshot_store *st,
			  const struct snapshot *source, struct volume_kms *k,
			  const char *key_id, const char *parent,
			  struct snapshot **ret, struct secret **dek_ret);

#endif
