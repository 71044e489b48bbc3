// SPDX-License-Identifier: GPL-2.0-or-later
/* libcurl by dlopen(3). */
#include "curl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>

#include "log.h"
#include "process.h"

#define CURL_FILE "libcurl.so.4"

struct curl_calls curl;

#define CURL_CALL(name) { "curl_" #name, (void **)&curl.name }

static const struct {
	const char *name;
	void **at;
} calls[] = {
	CURL_CALL(global_init_mem), CURL_CALL(easy_init),
	CURL_CALL(easy_cleanup), CURL_CALL(easy_reset),
	CURL_CALL(easy_setopt), CURL_CALL(easy_perform),
	CURL_CALL(easy_getinfo), CURL_CALL(easy_header),
	CURL_CALL(easy_strerror), CURL_CALL(getdate),
	CURL_CALL(slist_append), CURL_CALL(slist_free_all),
};

static int find_calls(void)
{
	void *library = dlopen(CURL_FILE, RTLD_NOW | RTLD_LOCAL);
	bool all = library;
	size_t i;

	for (i = 0; all && i < sizeof(calls) / sizeof(*calls); i++) {
		*calls[i].at = dlsym(library, calls[i].name);
		all = *calls[i].at;
	}
	if (!all) {
		log_error("cannot load " CURL_FILE " (%s): install libcurl 7.85 or later, Debian's libcurl4",
			  dlerror());
		if (library)
			dlclose(library);
	}
	return all ? 0 : -EIO;
}

int curl_load(void)
{
	static bool loaded;
	int r = 0;

	if (loaded)
		return 0;
	r = find_calls();
	if (r == 0 &&
	    curl.global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc,
				 wiping_free, wiping_realloc, wiping_strdup,
				 wiping_calloc) != CURLE_OK)
		r = -ENOMEM;
	loaded = r == 0;
	return r;
}
