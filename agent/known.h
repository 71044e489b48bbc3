/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host remembers of each volume, like ssh's known_hosts: a header
 * proves only that its writer knew some DEK, so the host binds the volume id
 * to the lineage, the core revision and the KMS keys it has seen.
 *
 * /var/lib/envelope/known (root, 0600, in a directory of mode 0700), one JSON
 * object a line and one line a volume:
 *
 *	{"volume_id": "vol-...", "lineage": "64 hex digits", "revision": 1,
 *	 "key_ids": ["arn:...", ...]}
 */
#ifndef ENVELOPE_KNOWN_H
#define ENVELOPE_KNOWN_H

#include <stdbool.h>

#include "header.h"

#define KNOWN_DIR "/var/lib/envelope"
#define KNOWN_FILE "known"

/* Another folder, for tests. NULL: KNOWN_DIR. @dir must outlive its use. */
void known_set_dir(const char *dir);

/*
 * Compare lineage, revision and the key of slot @index with the pin. To be
 * called before the slot goes to a KMS; since header_verify() then proves that
 * core's lineage is the DEK's, nothing need be compared again.
 *
 * 0: as pinned. -ENOENT: no pin yet, no message. -EBADMSG: lineage, a lower
 * revision or a key that is not pinned, with what to do; also a file that is
 * damaged or writable by others. -EIO, -ENOMEM. Somebody who is not root and
 * cannot read the file has no pins: a warning, and -ENOENT.
 */
int known_check(const char *name, const struct header *h, size_t index);

/*
 * 0 if there is a pin of @h's volume, whatever it says: known_check() looks at
 * that. -EBADMSG: none, with what to do. Otherwise as known_check().
 */
int known_require(const char *name, const struct header *h);

/*
 * Pin @h. The first time: its lineage, revision and the keys of all its slots;
 * later only the revision, since a new key is known_replace_key()'s business.
 * After format, every verified attach, and every change of core that this host
 * makes. Only for a verified or sealed header. Atomic and durable. -EBADMSG:
 * damaged file, left alone. -EIO, -ENOMEM. Not root: a warning, and 0.
 */
int known_update(const struct header *h);

/*
 * For a rewrap, which verifies nothing: in the pin of @volume_id, if there is
 * one, @new_key_id stands in place of @old_key_id, or, if that is NULL, beside
 * those that are there; @new_key_id NULL: @old_key_id goes, nothing comes.
 * Errors as known_update().
 */
int known_replace_key(const char *volume_id, const char *old_key_id,
		      const char *new_key_id);

/*
 * All pins, an object of them by volume id that the caller frees; empty where
 * there are none, also for somebody who is not root. -EBADMSG: damaged file.
 * -EIO, -ENOMEM.
 */
int known_list(json_t **ret);

/* Drop the pin of @volume_id: after erase. 0 also if there is none. */
int known_forget(const char *volume_id);

#endif
