// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The agent's policy, and one question to it. The input is text:
 *
 *   UID GID LINK NAME		LINK - : a descriptor; NAME - : none is given
 *   the policy
 *
 * A policy is taken or refused with a sentence; it gives the same answer to
 * the same question, and lets nobody in who stands nowhere in it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_log.h"
#include "policy.h"

#define PATH "policy"
#define WORDS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *none_if_dash(const char *word)
{
	return word && strcmp(word, "-") != 0 ? word : NULL;
}

static void ask(const struct policy *p, const char *text, char *words[WORDS])
{
	gid_t groups[] = { 6, words[1] ? atoi(words[1]) : 0 };
	struct caller who = {
		.uid = words[0] ? atoi(words[0]) : 0,
		.gid = 5,
		.groups = groups,
		.group_count = 2,
	};
	const char *link = none_if_dash(words[2]);
	const char *name = none_if_dash(words[3]);
	bool may = policy_allows(p, &who, link, name);

	if (may != policy_allows(p, &who, link, name))
		abort();
	if (who.uid == 0 ? !may : may && (!strstr(text, "devices") ||
					  !strstr(text, "names") ||
					  !strchr(text, '[')))
		abort();
	if (policy_workers(p) < 1 || policy_workers(p) > 64)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *words[WORDS] = { NULL };
	struct policy *p = NULL;
	char *text = calloc(1, bytes + 1);
	char *rest = text;
	char *line;
	size_t i, len;
	int r;

	if (!text)
		abort();
	memcpy(text, data, bytes);
	line = strsep(&rest, "\n");
	for (i = 0; i < WORDS; i++)
		words[i] = strsep(&line, " ");
	len = rest ? text + bytes - rest : 0;
	fuzz_errors = 0;
	r = policy_parse(PATH, rest ? rest : "", len, &p);
	if (r == 0)
		ask(p, rest ? rest : "", words);
	else if (r != -EINVAL || fuzz_errors != 1 ||
		 strncmp(fuzz_sentence, PATH ":", strlen(PATH ":")) != 0)
		abort();
	policy_free(r == 0 ? p : NULL);
	free(text);
	return 0;
}
