// SPDX-License-Identifier: GPL-2.0-or-later
/* Base64 in KMS answers, and the one member that is a secret. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "kms_provider.h"

#define PLAINTEXT_MAX_BYTES 4096 /* what Encrypt takes at most */

static int digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? at - digits : -1;
}

/*
 * Is it strict base64? EVP_DecodeBlock() forgives blanks, dashes and stray
 * bits. Bytes that it stands for, or -1.
 */
static long decoded_bytes(const char *text, size_t len)
{
	size_t pad = 0;
	size_t i;

	if (len == 0 || len % 4 != 0)
		return -1;
	while (pad < 2 && text[len - 1 - pad] == '=')
		pad++;
	for (i = 0; i < len - pad; i++)
		if (digit(text[i]) < 0)
			return -1;
	/* The last digit's bits behind the data are zeros. */
	if (pad > 0 && digit(text[len - pad - 1]) & (pad == 1 ? 3 : 15))
		return -1;
	return len / 4 * 3 - pad;
}

int kms_base64_decode(const char *text, size_t max_bytes, uint8_t **ret,
		      size_t *bytes_ret)
{
	size_t len = strlen(text);
	long bytes = len > INT32_MAX ? -1 : decoded_bytes(text, len);
	uint8_t *data;

	if (bytes < 1 || (size_t)bytes > max_bytes)
		return -EBADMSG;
	data = malloc(len / 4 * 3);
	if (!data)
		return -ENOMEM;
	EVP_DecodeBlock(data, (const unsigned char *)text, len);
	*ret = data;
	*bytes_ret = bytes;
	return 0;
}

char *kms_base64_encode(const uint8_t *data, size_t bytes)
{
	char *text = malloc((bytes + 2) / 3 * 4 + 1);

	if (text)
		EVP_EncodeBlock((unsigned char *)text, data, bytes);
	return text;
}

/* JSON may write a slash as \/; moves the rest up. New length. */
static size_t unescape_slashes(char *text, size_t len)
{
	size_t from, to = 0;

	for (from = 0; from < len; from++)
		if (text[from] != '\\' || from + 1 == len ||
		    text[from + 1] != '/')
			text[to++] = text[from];
	return to;
}

/*
 * EVP_DecodeBlock() writes the bytes that padding stands for too, hence the
 * detour over a second secret of the right size.
 */
static int decode_secret(char *text, size_t len, struct secret **ret)
{
	long bytes;
	struct secret *padded;
	struct secret *exact;

	len = unescape_slashes(text, len);
	bytes = decoded_bytes(text, len);
	if (bytes < 1 || bytes > PLAINTEXT_MAX_BYTES)
		return -EBADMSG;
	padded = secret_new(len / 4 * 3);
	exact = secret_new(bytes);
	if (!padded || !exact) {
		secret_free(padded);
		secret_free(exact);
		return -ENOMEM;
	}
	EVP_DecodeBlock(secret_bytes(padded), (const unsigned char *)text,
			len);
	secret_copy(secret_bytes(exact), secret_cbytes(padded), bytes);
	secret_free(padded);
	*ret = exact;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Index of the quote that ends the string behind the quote at @at, or @len. */
static size_t string_end(const char *body, size_t len, size_t at)
{
	for (at++; at < len && body[at] != '"'; at++)
		if (body[at] == '\\')
			at++;
	return at < len ? at : len;
}

/* Behind a name: the index of the quote that starts its value, or @len. */
static size_t value_start(const char *body, size_t len, size_t at)
{
	while (at < len && is_blank(body[at]))
		at++;
	if (at == len || body[at] != ':')
		return len;
	for (at++; at < len && is_blank(body[at]); at++)
		;
	return at < len && body[at] == '"' ? at : len;
}

/*
 * The next "@name": "..." at or behind *@at, at any depth: deeper ones are
 * nobody's business either. The value's text in *@start, *@len.
 */
static bool next_member(const char *body, size_t body_bytes, const char *name,
			size_t *at, size_t *start, size_t *len)
{
	size_t name_len = strlen(name);

	while (*at < body_bytes) {
		size_t end, value;

		if (body[*at] != '"') {
			(*at)++;
			continue;
		}
		end = string_end(body, body_bytes, *at);
		if (end == body_bytes)
			return false;
		value = body_bytes;
		if (end - *at - 1 == name_len &&
		    memcmp(body + *at + 1, name, name_len) == 0)
			value = value_start(body, body_bytes, end + 1);
		*at = end + 1;
		if (value == body_bytes)
			continue;
		end = string_end(body, body_bytes, value);
		if (end == body_bytes)
			return false;
		*start = value + 1;
		*len = end - value - 1;
		*at = end + 1;
		return true;
	}
	return false;
}

struct secret *kms_put_plaintext(const char *body,
				 const struct secret *plaintext)
{
	static const char before[] = "{\"Plaintext\":\"", after[] = "\",";
	size_t chars = (secret_len(plaintext) + 2) / 3 * 4;
	struct secret *whole = secret_new(strlen(before) + chars +
					  strlen(after) + strlen(body) + 1);
	char *at;

	if (!whole)
		return NULL;
	at = stpcpy((char *)secret_bytes(whole), before);
	EVP_EncodeBlock((unsigned char *)at, secret_cbytes(plaintext),
			secret_len(plaintext));
	at = stpcpy(at + chars, after);
	/* Its brace is there already. */
	strcpy(at, body + 1);
	return whole;
}

static int cut(char *body, size_t body_bytes, const char *name,
	       int (*take)(char *text, size_t len, struct secret **ret),
	       struct secret **ret)
{
	size_t at = 0, start, len;
	struct secret *found = NULL;
	int r = -ENOENT;

	while (next_member(body, body_bytes, name, &at, &start, &len)) {
		/* A second one makes the JSON invalid; it is cut as well. */
		if (r == -ENOENT)
			r = take(body + start, len, &found);
		memset(body + start, 'x', len);
	}
	if (r == 0)
		*ret = found;
	return r;
}

int kms_cut_base64(char *body, size_t body_bytes, const char *name,
		   struct secret **ret)
{
	return cut(body, body_bytes, name, decode_secret, ret);
}

int kms_cut_plaintext(char *body, size_t body_bytes, struct secret **ret)
{
	return kms_cut_base64(body, body_bytes, "Plaintext", ret);
}

bool kms_text_plain(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' ||
		    text[i] == '\\')
			return false;
	return len > 0;
}

static int take_plain_text(char *text, size_t len, struct secret **ret)
{
	struct secret *copy;

	if (!kms_text_plain(text, len) || len > PLAINTEXT_MAX_BYTES)
		return -EBADMSG;
	copy = secret_new(len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(secret_bytes(copy), text, len);
	*ret = copy;
	return 0;
}

int kms_cut_text(char *body, size_t body_bytes, const char *name,
		 struct secret **ret)
{
	return cut(body, body_bytes, name, take_plain_text, ret);
}
