/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slots of volumes that the agent has attached. The data key never comes here:
 * the KMS makes a new slot's ciphertext of another one (ReEncrypt, with the
 * caller's own credentials), or, where the key is another region's or vendor's,
 * the agent does (WrapSlot); and the agent proves it before it is stored.
 */
#ifndef ENVELOPE_SLOTS_BY_AGENT_H
#define ENVELOPE_SLOTS_BY_AGENT_H

#include "by_agent.h"

#define SLOTS_NEW UINT32_MAX

struct slots_wish {
	const char *header_path;
	uint32_t slot;		/* to be replaced, or SLOTS_NEW */
	const char *kms_key;
	json_t *context;	/* of a new one, beside core's; NULL: none */
};

/*
 * Each prints its errors; the answer's parameters go to *@ret. Errors of the
 * agent, of kms_reencrypt(), of volume_open().
 */

int slots_by_agent_list(struct by_agent *b, const struct by_agent_volume *where,
			const char *header_path, json_t **ret);
int slots_by_agent_set(struct by_agent *b, const struct by_agent_volume *where,
		       const struct slots_wish *wish, json_t **ret);
int slots_by_agent_remove(struct by_agent *b,
			  const struct by_agent_volume *where,
			  const struct slots_wish *wish, json_t **ret);

#endif
