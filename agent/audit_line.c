// SPDX-License-Identifier: GPL-2.0-or-later
/* A record of the audit as text: its sum, and the one before it. */
#include "audit.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define SUM_HEAD ",\"sum\":\""
#define SUM_TAIL "\"}"
#define SUM_BYTES (sizeof(SUM_HEAD) - 1 + AUDIT_SUM_CHARS + \
		   sizeof(SUM_TAIL) - 1)
#define MAX_DEPTH 2

/* Of @bytes at @text and the brace that the sum stands before. */
static int checksum(const char *text, size_t bytes,
		    char ret[AUDIT_SUM_CHARS + 1])
{
	uint8_t digest[AUDIT_SUM_CHARS / 2];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t i;
	int r = -ENOMEM;

	if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, text, bytes) == 1 &&
	    EVP_DigestUpdate(ctx, "}", 1) == 1 &&
	    EVP_DigestFinal_ex(ctx, digest, NULL) == 1)
		r = 0;
	EVP_MD_CTX_free(ctx);
	for (i = 0; r == 0 && i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return r;
}

static bool is_sum(const char *text)
{
	return strspn(text, "0123456789abcdef") == AUDIT_SUM_CHARS &&
	       text[AUDIT_SUM_CHARS] == '\0';
}

char *audit_line_make(json_t *o, const struct audit_mark *before,
		      struct audit_mark *ret)
{
	struct audit_mark mark = { .seq = before->seq + 1 };
	char *text = NULL, *line = NULL;

	if (json_object_set_new(o, "seq", json_integer(mark.seq)) == 0 &&
	    json_object_set_new(o, "prev", json_string(before->sum)) == 0)
		text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	if (text && checksum(text, strlen(text) - 1, mark.sum) == 0 &&
	    asprintf(&line, "%.*s" SUM_HEAD "%s" SUM_TAIL "\n",
		     (int)strlen(text) - 1, text, mark.sum) < 0)
		line = NULL;
	free(text);
	if (line)
		*ret = mark;
	return line;
}

int audit_line_parse(const char *line, size_t bytes, json_t **ret,
		     struct audit_mark *mark_ret,
		     char prev_ret[AUDIT_SUM_CHARS + 1])
{
	struct audit_mark mark = { 0 };
	char why[JSON_WHY_BYTES], sum[AUDIT_SUM_CHARS + 1];
	const char *stated, *prev;
	json_t *o = NULL;
	int r;

	if (bytes <= SUM_BYTES || bytes > AUDIT_LINE_BYTES)
		return -EBADMSG;
	r = checksum(line, bytes - SUM_BYTES, mark.sum);
	if (r == 0)
		r = json_parse_strict(line, bytes, MAX_DEPTH, &o, why);
	if (r < 0)
		return r;
	/* Where it stands counts, not what a parser makes of it. */
	memcpy(sum, line + bytes - SUM_BYTES + strlen(SUM_HEAD),
	       AUDIT_SUM_CHARS);
	sum[AUDIT_SUM_CHARS] = '\0';
	if (json_get_string(o, "sum", &stated) < 0 ||
	    strcmp(stated, sum) != 0 || strcmp(sum, mark.sum) != 0 ||
	    json_get_string(o, "prev", &prev) < 0 || !is_sum(prev) ||
	    json_get_u64(o, "seq", 1, INT64_MAX, &mark.seq) < 0) {
		json_decref(o);
		return -EBADMSG;
	}
	*mark_ret = mark;
	if (prev_ret)
		strcpy(prev_ret, prev);
	*ret = o;
	return 0;
}

int audit_mark_parse(const char *text, struct audit_mark *ret)
{
	size_t digits = strspn(text, "0123456789");
	struct audit_mark mark = { 0 };

	if (digits == 0 || digits > 20 ||
	    (text[digits] != ' ' && text[digits] != ':') ||
	    !is_sum(text + digits + 1))
		return -EBADMSG;
	mark.seq = strtoull(text, NULL, 10);
	strcpy(mark.sum, text + digits + 1);
	*ret = mark;
	return 0;
}
