/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An attached volume as JSON: the same in `status` and in `list`. */
#ifndef ENVELOPE_VOLUME_JSON_H
#define ENVELOPE_VOLUME_JSON_H

#include <jansson.h>

#include "dm.h"

/* New reference; NULL: out of memory. */
json_t *volume_to_json(const struct dm_volume_status *s);

/* "active", "locked", ... and target names, as static text. */
const char *volume_state_name(const struct dm_volume_status *s);
const char *volume_target_name(const struct dm_volume_status *s);

#endif
