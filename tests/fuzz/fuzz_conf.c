// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * envelope.conf, and keys that it is asked about. The input is text:
 *
 *   KEY ID			any number of lines
 *   (an empty line)
 *   the file
 *
 * A file is taken or refused with a sentence; no endpoint is anything but
 * https, and no key is let through to a region that is not in the file.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "conf.h"
#include "fuzz_log.h"

#define MAX_KEYS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_regions(const struct conf *conf)
{
	const struct conf_region *region;
	size_t i;

	for (i = 0; (region = conf_region_at(conf, i)); i++)
		if (strncmp(region->endpoint, "https://", 8) != 0 ||
		    strncmp(region->sts_endpoint, "https://", 8) != 0 ||
		    !region->name[0])
			abort();
}

static void ask(const struct conf *conf, const char *key, const char *text)
{
	const struct conf_region *region = NULL;
	size_t errors = fuzz_errors;
	int r = conf_allow_key(conf, key, &region);

	if (r < 0 && fuzz_errors == errors)
		abort();
	if (r == 0 && region && !strstr(text, region->name))
		abort();
	if (r == 0 && !region && !conf_provider_of(conf, key))
		abort();
}

static void load(const char *text, size_t len, char *const *keys, size_t count)
{
	struct conf_overrides overrides = { 0 };
	struct conf *conf = NULL;
	const char *key;
	char path[32];
	int fd = memfd_create("conf", MFD_CLOEXEC);
	size_t i;
	int r;

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	overrides.config = path;
	fuzz_errors = 0;
	r = conf_load(&overrides, &conf);
	if (r < 0 && fuzz_errors == 0)
		abort();
	if (r == 0) {
		check_regions(conf);
		conf_default_key(conf, &key);
		for (i = 0; i < count; i++)
			ask(conf, keys[i], text);
		conf_free(conf);
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *text = calloc(1, bytes + 1);
	char *keys[MAX_KEYS];
	char *rest = text;
	size_t count = 0;
	char *line;

	if (!text)
		abort();
	memcpy(text, data, bytes);
	while (rest && (line = strsep(&rest, "\n")) && *line)
		if (count < MAX_KEYS)
			keys[count++] = line;
	load(rest ? rest : "", rest ? text + bytes - rest : 0, keys, count);
	free(text);
	return 0;
}
