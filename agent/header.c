// SPDX-License-Identifier: GPL-2.0-or-later
/* A header in memory: made, changed, asked. */
#include "header_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"

const struct header_core *header_core(const struct header *h)
{
	return &h->core;
}

const json_t *header_core_json(const struct header *h)
{
	return h->core_json;
}

const json_t *header_slots_json(const struct header *h)
{
	return h->slots_json;
}

struct header_copy_info header_copy(const struct header *h, unsigned int index)
{
	return h->copies[index];
}

bool header_copies_agree(const struct header *h)
{
	const struct header_copy_info *a = &h->copies[0], *b = &h->copies[1];

	return a->state >= HEADER_COPY_GOOD && b->state >= HEADER_COPY_GOOD &&
	       a->sequence == b->sequence && a->revision == b->revision;
}

int header_new_identity(struct header_core *core)
{
	uint8_t digits[9], uuid[HEADER_UUID_BYTES];
	char text[2 * sizeof(digits) + 1];
	size_t i;

	if (getrandom(digits, sizeof(digits), 0) != sizeof(digits) ||
	    getrandom(uuid, sizeof(uuid), 0) != sizeof(uuid)) {
		log_error("no random numbers: %s", strerror(errno));
		return -EIO;
	}
	for (i = 0; i < sizeof(digits); i++)
		snprintf(text + 2 * i, 3, "%02x", digits[i]);
	snprintf(core->volume_id, sizeof(core->volume_id), "vol-%.17s", text);
	/* RFC 4122 section 4.4: version 4, variant 10x. */
	uuid[6] = (uuid[6] & 0x0f) | 0x40;
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
	memcpy(core->uuid, uuid, sizeof(uuid));
	header_time_now(core->created);
	return 0;
}

int header_new(const struct header_core *core, struct header **ret)
{
	struct header *h = calloc(1, sizeof(*h));
	char why[HEADER_WHY_BYTES];
	int r;

	if (!h)
		return -ENOMEM;
	h->core = *core;
	if (h->core.revision == 0)
		h->core.revision = 1;
	if (h->core.generation == 0)
		h->core.generation = 1;
	if (header_core_check(&h->core, why) < 0) {
		log_error("cannot make a header: %s", why);
		r = -EINVAL;
		goto out;
	}
	h->slots_json = json_pack("{s[]}", "slots");
	r = h->slots_json ? header_core_store(h) : -ENOMEM;
	if (r < 0)
		goto out;
	*ret = h;
	h = NULL;
out:
	header_free(h);
	return r;
}

int header_from_parts(const char *name, const json_t *core,
		      const json_t *slots,
		      const uint8_t uuid[HEADER_UUID_BYTES],
		      struct header **ret)
{
	struct header *h = calloc(1, sizeof(*h));
	char why[HEADER_WHY_BYTES];
	int r;

	if (!h)
		return -ENOMEM;
	h->core_json = json_deep_copy(core);
	h->slots_json = json_deep_copy(slots);
	r = h->core_json && h->slots_json ? 0 : -ENOMEM;
	if (r == 0)
		r = header_core_parse(h->core_json, &h->core, why);
	if (r == 0)
		r = header_slots_parse(h, why);
	if (r == 0) {
		memcpy(h->core.uuid, uuid, HEADER_UUID_BYTES);
		*ret = h;
		return 0;
	}
	if (r == -EBADMSG)
		log_error("'%s': its header breaks a rule: %s", name, why);
	else if (r == -EOPNOTSUPP)
		log_error("'%s': %s", name, why);
	header_free(h);
	return r;
}

void header_free(struct header *h)
{
	if (!h)
		return;
	header_slots_free(h);
	json_decref(h->core_json);
	free(h->core_text);
	free(h->stored);
	free(h);
}

int header_change_core(struct header *h, const struct header_core *core)
{
	struct header_core new = *core;
	char why[HEADER_WHY_BYTES];

	/* These make the volume what it is: every other change keeps them. */
	if (strcmp(new.volume_id, h->core.volume_id) != 0 ||
	    strcmp(new.lineage, h->core.lineage) != 0 ||
	    memcmp(new.uuid, h->core.uuid, sizeof(new.uuid)) != 0 ||
	    new.detached != h->core.detached) {
		log_error("%s: a change of core cannot change the volume's identity",
			  h->core.volume_id);
		return -EINVAL;
	}
	new.revision = h->core.revision + 1;
	if (header_core_check(&new, why) < 0) {
		log_error("%s: cannot change core: %s", h->core.volume_id, why);
		return -EINVAL;
	}
	h->core = new;
	/* Without text it is unsealed, and cannot be written. */
	free(h->core_text);
	h->core_text = NULL;
	return header_core_store(h);
}
