/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Grants between the root part and its workers. */
#ifndef ENVELOPE_GRANT_JSON_H
#define ENVELOPE_GRANT_JSON_H

#include <jansson.h>

#include "grant_journal.h"
#include "kms.h"

/* {"name", "key_arn", "id"}; new reference, NULL: no memory. */
json_t *grant_to_json(const struct grant_entry *e);

/* -EBADMSG: a member is missing or no grant's. volume_id stays empty. */
int grant_from_json(const json_t *o, struct grant_entry *ret);

#endif
