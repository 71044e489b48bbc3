/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the name of an alias may be. */
#ifndef KMS_ALIASES_H
#define KMS_ALIASES_H

#include <stdbool.h>

/* A name that a customer may give: alias/..., but not alias/aws/.... */
bool alias_name_ok(const char *name);

#endif
