/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a header says, as JSON: {"core": {...}, "slots": {...}, "uuid": HEX}. */
#ifndef ENVELOPE_HEADER_JSON_H
#define ENVELOPE_HEADER_JSON_H

#include <jansson.h>

#include "header.h"

/* New reference; NULL: no memory. */
json_t *header_to_json(const struct header *h);

/*
 * The header that @o tells of, with every rule checked again. -EINVAL: @o has
 * no such parts; prints nothing. Else as header_from_parts() of @name.
 */
int header_from_json(const char *name, const json_t *o, struct header **ret);

#endif
