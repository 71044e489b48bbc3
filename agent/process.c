// SPDX-License-Identifier: GPL-2.0-or-later
/* Start-up hardening: environment, core dumps, allocators that wipe. */
#include "process.h"

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "secret.h"

extern char **environ;

void *wiping_malloc(size_t bytes)
{
	return malloc(bytes);
}

void *wiping_calloc(size_t count, size_t bytes)
{
	return calloc(count, bytes);
}

void wiping_free(void *p)
{
	if (!p)
		return;
	wipe(p, malloc_usable_size(p));
	free(p);
}

/* realloc(3) may move the block and leave the old one behind as it was. */
void *wiping_realloc(void *p, size_t bytes)
{
	size_t old = p ? malloc_usable_size(p) : 0;
	void *q;

	if (bytes == 0) {
		wiping_free(p);
		return NULL;
	}
	q = malloc(bytes);
	if (!q)
		return NULL;
	if (p)
		memcpy(q, p, old < bytes ? old : bytes);
	wiping_free(p);
	return q;
}

char *wiping_strdup(const char *text)
{
	return strdup(text);
}

static void *openssl_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(n);
}

static void *openssl_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return wiping_realloc(p, n);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	wiping_free(p);
}

/* unsetenv() moves the rest of the list up, so the same slot is read again. */
static void drop_prefix(const char *prefix)
{
	char name[256];
	size_t i = 0;

	while (environ && environ[i]) {
		size_t len = strcspn(environ[i], "=");

		if (strncmp(environ[i], prefix, strlen(prefix)) != 0 ||
		    len >= sizeof(name)) {
			i++;
			continue;
		}
		memcpy(name, environ[i], len);
		name[len] = '\0';
		unsetenv(name);
	}
}

static void drop_environment(void)
{
	static const char *const names[] = {
		"SSLKEYLOGFILE", "OPENSSL_CONF", "OPENSSL_MODULES",
		"OPENSSL_ENGINES", "OPENSSL_CONF_INCLUDE",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	drop_prefix("CURL_");
}

int process_harden(void)
{
	struct rlimit none = { 0, 0 };

	drop_environment();
	if (setrlimit(RLIMIT_CORE, &none) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -EPERM;
	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc,
				     openssl_free) != 1)
		return -EIO;
	json_set_alloc_funcs(wiping_malloc, wiping_free);
	return 0;
}
