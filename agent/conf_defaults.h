/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `envelope default` keeps for each region, as EBS does for an account:
 * DEFAULTS_FILE beside envelope.conf, one JSON object,
 *
 *	{"us-east-1": {"encryption_by_default": true, "key": "arn:..."}}
 *
 * encryption_by_default	absent: false
 * key	the ARN of a KMS key of that region; absent: none was set
 */
#ifndef ENVELOPE_CONF_DEFAULTS_H
#define ENVELOPE_CONF_DEFAULTS_H

#include "conf_file.h"

#define DEFAULTS_FILE "defaults.json"

/*
 * What stands beside the configuration file @conf_path goes to those of
 * @regions that it names. No file: nothing is set.
 * A sentence and: -EINVAL (unreadable, malformed), -EACCES (others than root
 * can change it), -ENOMEM.
 */
int conf_defaults_read(const char *conf_path,
		       const struct conf_regions *regions);

/* The file beside @conf_path, for free(3). NULL: no memory. */
char *conf_defaults_path(const char *conf_path);

#endif
