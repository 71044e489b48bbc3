/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Key ids of the providers that are no AWS KMS, each in one spelling only, so
 * that two ids name one key exactly if they are the same text:
 *
 *	pkcs11:token=LABEL;object=LABEL
 *	pkcs11:token=LABEL;id=%HH%HH...
 *	program:NAME/KEY
 *	vault:NAME/KEY
 *
 * PKCS#11 URIs (RFC 7512), reduced to these two forms: every byte of LABEL
 * that is not a letter, a digit or one of -._~ is %HH, upper case, and an id is
 * %HH throughout. NAME is that of a section, of letters, digits and -._ alone; KEY
 * is what the program takes, of 1 to 128 of these and /:@=+,. The KEY of a vault is
 * of 1 to 128 letters, digits and -._, with - and . inside only. Nothing in a
 * key id acts: which module, program or server, where, as whom and with which
 * PIN or token is the configuration's to say.
 */
#ifndef ENVELOPE_KEY_NAME_H
#define ENVELOPE_KEY_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_NAME_BYTES 256	/* a whole key id fits, with the NUL */
#define KEY_PLACE_BYTES 65	/* of its place, with the NUL */
#define KEY_OBJECT_BYTES 129	/* of the key's name there, with the NUL */
#define KEY_ID_BYTES 64		/* of a PKCS#11 id, at most */

enum key_kind {
	KEY_AWS,	/* AWS KMS and envelope-kms: the names in arn.h */
	KEY_PKCS11,
	KEY_PROGRAM,
	KEY_VAULT,
	KEY_KINDS,
};

struct key_name {
	enum key_kind kind;
	char place[KEY_PLACE_BYTES];	/* the token's label, or NAME */
	char object[KEY_OBJECT_BYTES];	/* decoded; "" where there is an id */
	uint8_t id[KEY_ID_BYTES];
	size_t id_bytes;		/* 0: by object */
};

/* By how @key begins: KEY_AWS for everything that is nobody else's. */
enum key_kind key_kind(const char *key);

/*
 * As slots have it: "aws-kms", "pkcs11", "program", "vault-transit". Never
 * NULL.
 */
const char *key_provider(enum key_kind kind);

/* How key ids of @kind look, for sentences. */
const char *key_grammar(enum key_kind kind);

/* The other way: the kind in *@ret. -ENOENT: not one that we know. */
int key_provider_find(const char *provider, enum key_kind *ret);

/* As envelope.conf and people have it: of a vault "vault". */
const char *key_section(enum key_kind kind);
int key_section_find(const char *section, enum key_kind *ret);

/* Take a key id apart. 0; -EINVAL: KEY_AWS, or not in its one spelling. */
int key_name_parse(const char *key, struct key_name *ret);

/*
 * May a slot of @provider have @key? For aws-kms the full ARN of a key, for
 * the others a key id of theirs; of unknown providers anything.
 */
bool key_fits_provider(const char *provider, const char *key);

/*
 * allow-keys of these providers: a key id, or one cut off behind the place
 * and ended by *. Covered is what is the same up to there.
 */
bool key_pattern_valid(const char *pattern, enum key_kind kind,
		       const char *place);
bool key_pattern_covers(const char *pattern, const char *key);

#endif
