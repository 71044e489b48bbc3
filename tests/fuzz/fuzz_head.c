// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Request heads: lines "name: value", the first line the method. Whatever
 * comes, no signature but the right one may hold.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void take_line(struct sigv4_request *r, char *line)
{
	char *colon = strstr(line, ": ");

	if (!r->method) {
		r->method = line;
		return;
	}
	if (!colon || r->header_count == SIGV4_HEADERS_MAX)
		return;
	*colon = '\0';
	r->headers[r->header_count].name = line;
	r->headers[r->header_count++].value = colon + 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	/* The moment at which the heads of the corpus were signed. */
	const struct sigv4_rules rules = { "us-east-1 eu-west-1", "kms",
					   1767648947 };
	struct sigv4_request r = { .method = NULL };
	char why[SIGV4_WHY_BYTES] = "";
	struct secret *key = secret_new(CRYPTO_SHA256_BYTES);
	char *text = calloc(1, bytes + 1);
	struct sigv4_claim claim;
	char *line, *rest = text, *canonical;

	if (!text || !key)
		abort();
	memcpy(text, data, bytes);
	while ((line = strsep(&rest, "\n")))
		take_line(&r, line);
	if (sigv4_read(&r, &rules, &claim, why) == ERR_NONE) {
		canonical = sigv4_canonical(&r, &claim);
		free(canonical);
		/* Nobody knows a key of random bytes. */
		if (crypto_random(secret_bytes(key),
				  CRYPTO_SHA256_BYTES) == 0 &&
		    sigv4_verify(&r, &claim, key, why) == ERR_NONE)
			abort();
	}
	free(text);
	secret_free(key);
	return 0;
}
