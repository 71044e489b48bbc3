/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of KMS keys: the four forms, and the patterns of allow-keys. */
#ifndef ENVELOPE_ARN_H
#define ENVELOPE_ARN_H

#include <stdbool.h>

#define ARN_WORD_BYTES 33	/* partition and region, with the NUL */
#define ARN_ACCOUNT_BYTES 13	/* 12 digits and the NUL */
#define ARN_RESOURCE_BYTES 264	/* key/ID or alias/NAME, with the NUL */
#define ARN_TEXT_BYTES 384	/* a whole ARN fits, with the NUL */
#define ARN_PRINCIPAL_BYTES 512	/* so does that of a user, with the NUL */

/* arn:PARTITION:kms:REGION:ACCOUNT:RESOURCE in its parts. */
struct arn {
	char partition[ARN_WORD_BYTES];	  /* [a-z0-9-]+ */
	char region[ARN_WORD_BYTES];	  /* [a-z0-9-]+ */
	char account[ARN_ACCOUNT_BYTES];  /* 12 digits */
	char resource[ARN_RESOURCE_BYTES];/* "key/..." or "alias/..." */
};

enum key_form {
	KEY_FORM_ID,	/* UUID, or mrk- and 32 hex digits */
	KEY_FORM_ARN,	/* arn:...:key/ID */
	KEY_FORM_ALIAS,	/* alias/NAME */
	KEY_FORM_ALIAS_ARN, /* arn:...:alias/NAME */
};

/*
 * Take the ARN of a KMS key or alias apart. Strict: nothing that comes out
 * can change the meaning of a host name or a path it is put into.
 * 0; -EINVAL (@ret untouched).
 */
int arn_parse(const char *text, struct arn *ret);

/* Which form @key has. 0; -EINVAL when it has none. */
int arn_key_form(const char *key, enum key_form *ret);

/* Is @arn the ARN of a key, not of an alias? */
bool arn_is_key(const char *arn);

/*
 * Is @arn a principal that can hold a grant for long: a role, a user, or a
 * session with a name of its own?
 */
bool arn_is_principal(const char *arn);

/*
 * Is @pattern one that allow-keys takes? arn:PARTITION:kms:REGION:ACCOUNT:
 * key/ID, where ACCOUNT as a whole may be *, and the ID may be * or end in
 * one. Nowhere else is * more than a wrong character.
 */
bool arn_pattern_valid(const char *pattern);

/*
 * May @pattern, a valid one, cover @key, as far as its form tells? Exact for
 * a key ARN. An alias ARN shows partition, region and account, an id only
 * itself, an alias name nothing: their answer's ARN is to be asked about too.
 */
bool arn_pattern_covers(const char *pattern, const char *key);

/* Is the region of @pattern, a valid one, @region? */
bool arn_pattern_in_region(const char *pattern, const char *region);

#endif
