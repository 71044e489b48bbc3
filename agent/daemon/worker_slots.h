/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker's side of new slots: do they open the volume? */
#ifndef ENVELOPE_WORKER_SLOTS_H
#define ENVELOPE_WORKER_SLOTS_H

#include "volume.h"

/*
 * The DEK by one of @slots, as {"slots": [...]}, which are not stored yet and
 * need not be pinned; it is verified with the header of @v, both copies of
 * which must be good. The number in @slots goes to *@slot_ret. As
 * volume_unwrap_with().
 */
int worker_slots_unwrap(const struct volume *v, struct volume_kms *k,
			const json_t *slots, size_t *slot_ret,
			struct secret **dek_ret);

/*
 * Unwrap the DEK by slot @slot of @v, as volume_unwrap_by(), and wrap it under
 * the key of @wish, as worker_wrap() has it, bound to the volume; the message
 * for root goes to *@ret. Nobody is asked for a DEK whose new key this host may
 * not use.
 */
int worker_slots_wrap(struct volume *v, struct volume_kms *k, size_t slot,
		      const json_t *wish, json_t **ret);

#endif
