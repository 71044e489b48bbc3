// SPDX-License-Identifier: GPL-2.0-or-later
/* Listings and errors of S3, by expat. */
#include "object_s3_list.h"

#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 8
#define TEXT_BYTES 2048
#define UNKNOWN_SIZE UINT64_MAX

struct reader {
	XML_Parser parser;
	char path[MAX_DEPTH][32];
	size_t depth;
	char text[TEXT_BYTES];		/* of the element that is open */
	size_t used;
	bool too_long;
	/* Of the object that is open. */
	char key[TEXT_BYTES];
	char modified[64];
	uint64_t size;
	bool is_list;
	char *next;
	char *code;			/* where an error's code goes, or NULL */
	size_t code_room;
	int (*each)(void *user, const char *key, uint64_t size,
		    const char *modified);
	void *user;
	int result;
};

static void stop(struct reader *r, int result)
{
	r->result = result;
	XML_StopParser(r->parser, XML_FALSE);
}

static void start_element(void *user, const char *name, const char **attributes)
{
	struct reader *r = user;

	(void)attributes;
	if (r->depth == MAX_DEPTH) {
		stop(r, -EBADMSG);
		return;
	}
	snprintf(r->path[r->depth++], sizeof(r->path[0]), "%s", name);
	if (r->depth == 1)
		r->is_list = r->each && strcmp(name, "ListBucketResult") == 0;
	r->used = 0;
	r->too_long = false;
	if (r->depth == 2 && strcmp(name, "Contents") == 0) {
		r->key[0] = r->modified[0] = '\0';
		r->size = UNKNOWN_SIZE;
	}
}

static void take_text(void *user, const char *text, int bytes)
{
	struct reader *r = user;

	if (r->used + bytes >= sizeof(r->text)) {
		r->too_long = true;
		return;
	}
	memcpy(r->text + r->used, text, bytes);
	r->used += bytes;
}

static void take_member(struct reader *r, const char *name)
{
	char *end;

	if (r->too_long)
		stop(r, -EBADMSG);
	else if (strcmp(name, "Key") == 0)
		strcpy(r->key, r->text);
	else if (strcmp(name, "LastModified") == 0 &&
		 r->used < sizeof(r->modified))
		strcpy(r->modified, r->text);
	else if (strcmp(name, "Size") == 0) {
		r->size = strtoull(r->text, &end, 10);
		if (!isdigit((unsigned char)r->text[0]) || *end)
			stop(r, -EBADMSG);
	}
}

static void end_object(struct reader *r)
{
	int result;

	if (!r->key[0] || r->size == UNKNOWN_SIZE || !r->modified[0]) {
		stop(r, -EBADMSG);
		return;
	}
	result = r->each(r->user, r->key, r->size, r->modified);
	if (result != 0)
		stop(r, result);
}

static void end_element(void *user, const char *name)
{
	struct reader *r = user;

	r->text[r->used] = '\0';
	r->depth--;
	if (r->depth == 1 && strcmp(name, "Code") == 0 && r->code &&
	    strcmp(r->path[0], "Error") == 0 && r->used < r->code_room)
		strcpy(r->code, r->text);
	if (!r->is_list || r->result != 0)
		return;
	if (r->depth == 2 && strcmp(r->path[1], "Contents") == 0)
		take_member(r, name);
	else if (r->depth == 1 && strcmp(name, "Contents") == 0)
		end_object(r);
	else if (r->depth == 1 && r->too_long)
		stop(r, -EBADMSG);
	else if (r->depth == 1 && strcmp(name, "NextContinuationToken") == 0) {
		free(r->next);
		r->next = strdup(r->text);
		if (!r->next)
			stop(r, -ENOMEM);
	}
}

/* A document type may define entities, which nobody here has use for. */
static void refuse_doctype(void *user, const char *name, const char *system,
			   const char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	stop(user, -EBADMSG);
}

static int parse(struct reader *r, const uint8_t *text, size_t bytes)
{
	r->parser = XML_ParserCreate("UTF-8");
	if (!r->parser)
		return -ENOMEM;
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, start_element, end_element);
	XML_SetCharacterDataHandler(r->parser, take_text);
	XML_SetStartDoctypeDeclHandler(r->parser, refuse_doctype);
	if (XML_Parse(r->parser, (const char *)text, (int)bytes, 1) !=
	    XML_STATUS_OK && r->result == 0)
		r->result = -EBADMSG;
	XML_ParserFree(r->parser);
	return r->result;
}

int s3_list_parse(const uint8_t *text, size_t bytes,
		  int (*each)(void *user, const char *key, uint64_t size,
			      const char *modified),
		  void *user, char **next_ret)
{
	struct reader r = { .each = each, .user = user };
	int result = parse(&r, text, bytes);

	if (result == 0 && !r.is_list)
		result = -EBADMSG;
	if (result != 0) {
		free(r.next);
		r.next = NULL;
	}
	*next_ret = r.next;
	return result;
}

bool s3_says_copied(const uint8_t *text, size_t bytes)
{
	struct reader r = { 0 };

	return parse(&r, text, bytes) == 0 &&
	       strcmp(r.path[0], "CopyObjectResult") == 0;
}

void s3_error_code(const uint8_t *text, size_t bytes, char *ret, size_t room)
{
	struct reader r = { .code = ret, .code_room = room };

	ret[0] = '\0';
	if (bytes > 0)
		parse(&r, text, bytes);
	/* It goes into messages. */
	if (ret[strspn(ret, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")])
		ret[0] = '\0';
}
