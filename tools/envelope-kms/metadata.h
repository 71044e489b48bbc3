/* SPDX-License-Identifier: GPL-2.0-or-later */
/* KeyMetadata: what the API says of a key, and how the trail spells it. */
#ifndef KMS_METADATA_H
#define KMS_METADATA_H

#include <jansson.h>

#include "store.h"

/* A new object, NULL: no memory or no database. */
json_t *key_metadata(struct store *s, const struct key_row *key);

/* Seconds since 1970, as answers have times. */
json_t *metadata_seconds(int64_t ms);

/* Times and metadata of @key as they stand in responseElements. */
json_t *metadata_trail_time(int64_t ms);
json_t *metadata_trail(const struct key_row *key, json_t *metadata);

#endif
