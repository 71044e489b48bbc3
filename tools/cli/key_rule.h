/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which key something new is under, and who said so. */
#ifndef ENVELOPE_KEY_RULE_H
#define ENVELOPE_KEY_RULE_H

#include <jansson.h>
#include <stdio.h>

#include "volume.h"

/* NULL: -ENOMEM. */
json_t *key_rule_json(const struct volume_rule *rule);

/* One line. */
void key_rule_print(const struct volume_rule *rule, FILE *to);

#endif
