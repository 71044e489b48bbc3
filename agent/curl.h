/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcurl, loaded when the first request is made: with the thirty libraries
 * that it brings it is most of a program's start, and who attaches through the
 * agent, lists or detaches asks nobody.
 */
#ifndef ENVELOPE_CURL_H
#define ENVELOPE_CURL_H

#include <curl/curl.h>

/* Its functions, by their names without curl_. */
struct curl_calls {
	typeof(curl_global_init_mem) *global_init_mem;
	typeof(curl_easy_init) *easy_init;
	typeof(curl_easy_cleanup) *easy_cleanup;
	typeof(curl_easy_reset) *easy_reset;
	typeof(curl_easy_setopt) *easy_setopt;
	typeof(curl_easy_perform) *easy_perform;
	typeof(curl_easy_getinfo) *easy_getinfo;
	typeof(curl_easy_header) *easy_header;
	typeof(curl_easy_strerror) *easy_strerror;
	typeof(curl_getdate) *getdate;
	typeof(curl_slist_append) *slist_append;
	typeof(curl_slist_free_all) *slist_free_all;
};

/* Only after curl_load(). */
extern struct curl_calls curl;

/*
 * Load it, once in a process, with allocators that wipe what they free: curl
 * and, through it, OpenSSL put answers into buffers of theirs. -EIO: it is not
 * there or is too old, with a sentence. -ENOMEM.
 */
int curl_load(void);

#endif
