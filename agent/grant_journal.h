/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The grants that the agent must not forget: each is written down before its
 * CreateGrant is sent and struck out after it is retired, so that whatever
 * happens in between, a later start knows what to retire.
 *
 * /var/lib/envelope/agent/grants (root, 0600, in a directory of mode 0700),
 * replaced as a whole, one line a grant: the SHA-256 of the rest, hexadecimal,
 * a blank, and
 *
 *	{"id":"...","key_arn":"arn:...","name":"envelope-...",
 *	 "volume_id":"vol-..."}
 */
#ifndef ENVELOPE_GRANT_JOURNAL_H
#define ENVELOPE_GRANT_JOURNAL_H

#include <stddef.h>

#include "arn.h"
#include "grant.h"
#include "header.h"
#include "kms.h"

#define GRANT_JOURNAL_DIR "/var/lib/envelope/agent"
#define GRANT_JOURNAL_FILE "grants"

struct grant_entry {
	char name[GRANT_NAME_BYTES];		/* one entry a name */
	char volume_id[HEADER_VOLUME_ID_CHARS];
	char key_arn[ARN_TEXT_BYTES];
	char id[KMS_GRANT_ID_BYTES];		/* "": not known, if it is */
};

/*
 * Each function prints its own error, and each of them: -EBADMSG (a line is
 * damaged or another's: nothing is believed then, and nothing written);
 * -EIO; -ENOMEM.
 */

/* All entries, for free(3); NULL when there are none. */
int grant_journal_read(struct grant_entry **ret, size_t *count_ret);

/* Write @e down, in place of one of its name. On the disk when it returns. */
int grant_journal_put(const struct grant_entry *e);

/* Strike out the entry called @name; 0 also if there is none. */
int grant_journal_drop(const char *name);

/* For tests: another directory. NULL: the one above. */
void grant_journal_set_dir(const char *dir);

#endif
