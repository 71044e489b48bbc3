// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Search files for a data key in every form in which one leaks.
 *
 *   canary search NAMES-FILE < KEY      list the files that hold it
 *   canary plant FORM FILE < KEY        append it to FILE in that form
 *   canary forms < KEY                  print the names of the forms
 *
 * KEY is 64 raw bytes on standard input, followed by the volume's UUID (16
 * bytes) and id (text), for the keys that derive from them.
 * NAMES-FILE has one path a line. Exit status 0: found nowhere (search), done;
 * 1: found; 2: trouble.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEY_BYTES 64
#define HALF_BYTES 32
#define MAX_FORMS 64
#define WINDOW_BYTES (1u << 20)
#define FORM_BYTES 256

struct form {
	char name[48];
	uint8_t bytes[FORM_BYTES];
	size_t len;
};

static struct form forms[MAX_FORMS];
static size_t form_count;

static void add(const char *part, const char *how, const void *bytes,
		size_t len)
{
	struct form *f = &forms[form_count++];

	snprintf(f->name, sizeof(f->name), "%s-%s", part, how);
	memcpy(f->bytes, bytes, len);
	f->len = len;
}

static void add_hex(const char *part, const uint8_t *key)
{
	char lower[2 * HALF_BYTES + 1];
	char upper[2 * HALF_BYTES + 1];
	size_t i;

	for (i = 0; i < HALF_BYTES; i++) {
		sprintf(lower + 2 * i, "%02x", key[i]);
		sprintf(upper + 2 * i, "%02X", key[i]);
	}
	add(part, "hex", lower, 2 * HALF_BYTES);
	add(part, "HEX", upper, 2 * HALF_BYTES);
}

/* The characters that do not depend on what stands before and behind. */
static void add_base64(const char *part, const uint8_t *key)
{
	uint8_t padded[HALF_BYTES + 2];
	char text[2 * HALF_BYTES];
	char how[24];
	int shift;

	for (shift = 0; shift < 3; shift++) {
		size_t n = HALF_BYTES + shift;
		size_t first = shift ? 4 : 0;

		memset(padded, 0, sizeof(padded));
		memcpy(padded + shift, key, HALF_BYTES);
		n -= n % 3;
		EVP_EncodeBlock((uint8_t *)text, padded, n);
		snprintf(how, sizeof(how), "base64+%d", shift % 3);
		add(part, how, text + first, n / 3 * 4 - first);
	}
}

static void add_json(const char *part, const uint8_t *key)
{
	char text[6 * HALF_BYTES + 1];
	size_t i;

	for (i = 0; i < HALF_BYTES; i++)
		sprintf(text + 6 * i, "\\u%04x", key[i]);
	add(part, "json", text, 6 * HALF_BYTES);
}

static void add_part(const char *part, const uint8_t *key)
{
	uint8_t reversed[HALF_BYTES];
	size_t i;

	for (i = 0; i < HALF_BYTES; i++)
		reversed[i] = key[HALF_BYTES - 1 - i];
	add(part, "raw", key, HALF_BYTES);
	add(part, "reversed", reversed, HALF_BYTES);
	add_hex(part, key);
	add_base64(part, key);
	add_json(part, key);
}

static int derive(const uint8_t *key, const uint8_t *salt, size_t salt_bytes,
		  const char *info, uint8_t ret[HALF_BYTES])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
						 "SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						  (void *)key, KEY_BYTES),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
						  (void *)salt, salt_bytes),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
						  (void *)info, strlen(info)),
		OSSL_PARAM_END,
	};
	int r;

	r = ctx && EVP_KDF_derive(ctx, ret, HALF_BYTES, params) == 1 ? 0 : -EIO;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return r;
}

/*
 * What the agent derives: the key of the header's HMAC, as agent/header.h says,
 * and the seal key, as agent/snapshot.h says.
 */
static int add_derived(const uint8_t *key, const uint8_t *uuid,
		       const char *volume_id)
{
	uint8_t derived[HALF_BYTES];
	char info[96];

	snprintf(info, sizeof(info), "envelope header v1%s", volume_id);
	if (derive(key, uuid, 16, info, derived) < 0)
		return -EIO;
	add_part("mac-key", derived);
	if (derive(key, (const uint8_t *)"", 0, "envelope seal v1",
		   derived) < 0)
		return -EIO;
	add_part("seal-key", derived);
	return 0;
}

static int read_forms(void)
{
	uint8_t in[KEY_BYTES + 16 + 64] = { 0 };
	size_t have = 0;
	ssize_t n;

	while (have < sizeof(in) - 1 &&
	       (n = read(STDIN_FILENO, in + have, sizeof(in) - 1 - have)) > 0)
		have += n;
	if (have < KEY_BYTES)
		return -EINVAL;
	add_part("half1", in);
	add_part("half2", in + HALF_BYTES);
	if (have <= KEY_BYTES + 16)
		return 0;
	return add_derived(in, in + KEY_BYTES, (char *)in + KEY_BYTES + 16);
}

/* One pass: the next form that starts with each byte, as index + 1. */
static uint8_t first[256];
static uint8_t next_form[MAX_FORMS];

static void index_forms(void)
{
	size_t i;

	for (i = form_count; i-- > 0;) {
		next_form[i] = first[forms[i].bytes[0]];
		first[forms[i].bytes[0]] = i + 1;
	}
}

static bool report(const char *path, const uint8_t *buf, size_t len)
{
	bool found = false;
	size_t at;
	size_t i;

	for (at = 0; at < len; at++) {
		for (i = first[buf[at]]; i > 0; i = next_form[i - 1]) {
			const struct form *f = &forms[i - 1];

			if (f->len > len - at ||
			    memcmp(buf + at, f->bytes, f->len) != 0)
				continue;
			printf("%s: %s\n", path, f->name);
			found = true;
		}
	}
	return found;
}

/* Windows overlap by the longest form, so nothing hides on a border. */
static bool search_file(const char *path)
{
	static uint8_t buf[WINDOW_BYTES + FORM_BYTES];
	bool found = false;
	size_t kept = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return false;
	while ((n = read(fd, buf + kept, WINDOW_BYTES)) > 0) {
		size_t have = kept + n;

		found |= report(path, buf, have);
		kept = have < FORM_BYTES ? have : FORM_BYTES;
		memmove(buf, buf + have - kept, kept);
	}
	close(fd);
	return found;
}

static int search(const char *names)
{
	char line[4096];
	int status = 0;
	FILE *f = fopen(names, "r");

	if (!f)
		return 2;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (search_file(line))
			status = 1;
	}
	fclose(f);
	return status;
}

static int plant(const char *form, const char *path)
{
	FILE *f = fopen(path, "a");
	size_t i;
	int status = 2;

	if (!f)
		return 2;
	for (i = 0; i < form_count; i++)
		if (strcmp(forms[i].name, form) == 0 &&
		    fwrite(forms[i].bytes, forms[i].len, 1, f) == 1)
			status = 0;
	return fclose(f) == 0 ? status : 2;
}

int main(int argc, char **argv)
{
	size_t i;

	/* The tool must not be the leak that it finds. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0 || read_forms() < 0)
		return 2;
	index_forms();
	if (argc == 3 && strcmp(argv[1], "search") == 0)
		return search(argv[2]);
	if (argc == 4 && strcmp(argv[1], "plant") == 0)
		return plant(argv[2], argv[3]);
	if (argc == 2 && strcmp(argv[1], "forms") == 0) {
		for (i = 0; i < form_count; i++)
			puts(forms[i].name);
		return 0;
	}
	return 2;
}
