// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages of a list; a marker is the name that the next page follows. */
#include "page.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "params.h"

#define MARKER_MAX 1024

/* "kind:name" in base64: opaque enough that nobody builds one. */
static int read_marker(struct call *c, const char *marker, struct page *p)
{
	uint8_t raw[MARKER_MAX];
	size_t kind = strlen(p->kind);
	/* the parameter's limit counts characters, not bytes */
	size_t bytes = strlen(marker);
	long n = bytes <= sizeof(raw) ? base64_decode(marker, bytes, raw) : -1;

	if (n <= (long)kind + 1 ||
	    n - (long)kind - 1 >= (long)sizeof(p->after) ||
	    memcmp(raw, p->kind, kind) != 0 || raw[kind] != ':' ||
	    memchr(raw, '\0', (size_t)n))
		return call_fail(c, ERR_INVALID_MARKER, "%s", "");
	memcpy(p->after, raw + kind + 1, (size_t)n - kind - 1);
	return 0;
}

int page_begin(struct call *c, const char *kind, int usual, int max,
	       struct page *p)
{
	const char *marker;
	int64_t limit = usual;
	int rc = 0;

	memset(p, 0, sizeof(*p));
	p->kind = kind;
	param_int(c, "Limit", 1, max, &limit);
	marker = param_string(c, "Marker", PARAM_OPTIONAL, 1, MARKER_MAX);
	p->limit = (int)limit;
	if (marker)
		rc = read_marker(c, marker, p);
	if (rc < 0)
		return rc;
	p->items = json_array();
	return p->items ? 0 : -ENOMEM;
}

int page_take(struct page *p, const char *name, json_t *item)
{
	if (!item)
		return -ENOMEM;
	if (json_array_size(p->items) == (size_t)p->limit) {
		p->more = true;
		json_decref(item);
		return 0;
	}
	snprintf(p->last, sizeof(p->last), "%s", name);
	return json_array_append_new(p->items, item) < 0 ? -ENOMEM : 0;
}

int page_answer(struct call *c, struct page *p, const char *member)
{
	char name[PAGE_NAME_BYTES + 16];
	char marker[BASE64_TEXT_BYTES(sizeof(name)) + 1];

	c->answer = json_pack("{s:O, s:b}", member, p->items, "Truncated",
			      p->more);
	if (!c->answer)
		return -ENOMEM;
	if (!p->more)
		return 0;
	snprintf(name, sizeof(name), "%s:%s", p->kind, p->last);
	base64_encode((const uint8_t *)name, strlen(name), marker);
	return json_object_set_new(c->answer, "NextMarker",
				   json_string(marker)) < 0 ? -ENOMEM : 0;
}

void page_free(struct page *p)
{
	json_decref(p->items);
	p->items = NULL;
}
