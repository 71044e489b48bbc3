// SPDX-License-Identifier: GPL-2.0-or-later
/* Key ids of other providers than AWS KMS: taken apart, and matched. */
#include "key_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arn.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define PLAIN LETTERS "0123456789-._~"
#define NAME_CHARS LETTERS "0123456789-._"
#define HEX "0123456789ABCDEF"

static const struct {
	const char *provider;		/* in slots */
	const char *section;		/* in envelope.conf */
	const char *prefix;
	const char *grammar;
} kinds[KEY_KINDS] = {
	[KEY_AWS] = { "aws-kms", "aws-kms", "",
		      "arn:PARTITION:kms:REGION:ACCOUNT:key/ID" },
	[KEY_PKCS11] = { "pkcs11", "pkcs11", "pkcs11:",
			 "pkcs11:token=LABEL;object=LABEL or pkcs11:token=LABEL;id=%01%02, with all but letters, digits and -._~ as %HH" },
	[KEY_PROGRAM] = { "program", "program", "program:",
			  "program:NAME/KEY" },
	[KEY_VAULT] = { "vault-transit", "vault", "vault:", "vault:NAME/KEY" },
};

enum key_kind key_kind(const char *key)
{
	size_t i;

	for (i = KEY_AWS + 1; i < KEY_KINDS; i++)
		if (strncmp(key, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return i;
	return KEY_AWS;
}

const char *key_provider(enum key_kind kind)
{
	return kinds[kind].provider;
}

const char *key_section(enum key_kind kind)
{
	return kinds[kind].section;
}

const char *key_grammar(enum key_kind kind)
{
	return kinds[kind].grammar;
}

int key_provider_find(const char *provider, enum key_kind *ret)
{
	size_t i;

	for (i = 0; i < KEY_KINDS; i++) {
		if (strcmp(kinds[i].provider, provider) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

int key_section_find(const char *section, enum key_kind *ret)
{
	size_t i;

	for (i = 0; i < KEY_KINDS; i++) {
		if (strcmp(kinds[i].section, section) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

static int hex_digit(char c)
{
	const char *at = c ? strchr(HEX, c) : NULL;

	return at ? at - HEX : -1;
}

/* The byte that *@at begins with, stepping over it; -1: neither form. */
static int take_byte(const char **at)
{
	int high, low;

	if (**at && strchr(PLAIN, **at))
		return (unsigned char)*(*at)++;
	if (**at != '%')
		return -1;
	high = hex_digit((*at)[1]);
	low = high < 0 ? -1 : hex_digit((*at)[2]);
	if (low < 0)
		return -1;
	*at += 3;
	return high * 16 + low;
}

/*
 * A text up to @end in *@at, decoded. Escaped is what has to be and nothing
 * else, and neither NUL nor a control can come out of it.
 */
static bool take_text(const char **at, char end, char *ret, size_t ret_bytes)
{
	size_t n = 0;

	while (**at != end) {
		bool escaped = **at == '%';
		int byte = take_byte(at);

		if (byte < 0x20 || byte == 0x7f || n + 1 == ret_bytes ||
		    (escaped && strchr(PLAIN, byte)))
			return false;
		ret[n++] = byte;
	}
	ret[n] = '\0';
	return n > 0;
}

static bool take_word(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool take_id(const char *at, struct key_name *ret)
{
	while (*at) {
		int byte = *at == '%' ? take_byte(&at) : -1;

		if (byte < 0 || ret->id_bytes == KEY_ID_BYTES)
			return false;
		ret->id[ret->id_bytes++] = byte;
	}
	return ret->id_bytes > 0;
}

static bool parse_pkcs11(const char *at, struct key_name *ret)
{
	if (!take_word(&at, "token=") ||
	    !take_text(&at, ';', ret->place, sizeof(ret->place)))
		return false;
	at++;
	if (take_word(&at, "id="))
		return take_id(at, ret);
	return take_word(&at, "object=") &&
	       take_text(&at, '\0', ret->object, sizeof(ret->object));
}

/* Characters of @set up to @end, as they are. */
static bool take_plain(const char **at, const char *set, char end, char *ret,
		       size_t ret_bytes)
{
	size_t len = strspn(*at, set);

	if (len == 0 || len >= ret_bytes || (*at)[len] != end)
		return false;
	memcpy(ret, *at, len);
	ret[len] = '\0';
	*at += len;
	return true;
}

static bool parse_program(const char *at, struct key_name *ret)
{
	if (!take_plain(&at, NAME_CHARS, '/', ret->place, sizeof(ret->place)))
		return false;
	at++;
	return take_plain(&at, NAME_CHARS "/:@=+,", '\0', ret->object,
			  sizeof(ret->object));
}

/* What Transit takes as a name; it goes into a path, so never "..". */
static bool parse_vault(const char *at, struct key_name *ret)
{
	const char *object = ret->object;

	if (!take_plain(&at, NAME_CHARS, '/', ret->place, sizeof(ret->place)))
		return false;
	at++;
	return take_plain(&at, NAME_CHARS, '\0', ret->object,
			  sizeof(ret->object)) &&
	       !strchr("-.", object[0]) &&
	       !strchr("-.", object[strlen(object) - 1]);
}

int key_name_parse(const char *key, struct key_name *ret)
{
	struct key_name name = { .kind = key_kind(key) };
	const char *at = key + strlen(kinds[name.kind].prefix);
	bool good = false;

	if (strlen(key) >= KEY_NAME_BYTES)
		return -EINVAL;
	switch (name.kind) {
	case KEY_PKCS11:
		good = parse_pkcs11(at, &name);
		break;
	case KEY_PROGRAM:
		good = parse_program(at, &name);
		break;
	case KEY_VAULT:
		good = parse_vault(at, &name);
		break;
	case KEY_AWS:
	case KEY_KINDS:
		break;
	}
	if (!good)
		return -EINVAL;
	*ret = name;
	return 0;
}

bool key_fits_provider(const char *provider, const char *key)
{
	struct key_name name;
	enum key_kind kind;

	if (key_provider_find(provider, &kind) < 0)
		return true;
	if (kind == KEY_AWS)
		return arn_is_key(key);
	return key_kind(key) == kind && key_name_parse(key, &name) == 0;
}

/* What a pattern stands for at least: itself, or with a byte in place of *. */
bool key_pattern_valid(const char *pattern, enum key_kind kind,
		       const char *place)
{
	char key[KEY_NAME_BYTES];
	struct key_name name;
	size_t len = strlen(pattern);

	if (len == 0 || len >= sizeof(key))
		return false;
	strcpy(key, pattern);
	if (key[len - 1] == '*')
		key[len - 1] = 'x';
	return key_name_parse(key, &name) == 0 && name.kind == kind &&
	       strcmp(name.place, place) == 0;
}

bool key_pattern_covers(const char *pattern, const char *key)
{
	size_t len = strlen(pattern);

	if (pattern[len - 1] == '*')
		return strncmp(pattern, key, len - 1) == 0;
	return strcmp(pattern, key) == 0;
}
