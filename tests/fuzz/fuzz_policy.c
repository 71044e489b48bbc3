// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Policies and what they are asked. The input is text:
 *
 *   KIND ACTION RESOURCE ARN [ROLE-ARN]
 *   condition key=value        any number; of one key, a list
 *   (an empty line)
 *   the document
 *
 * KIND is key, identity or trust. A document that grants must say so, and it
 * gives the same answer to the same question.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#define WORDS 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct question {
	char *words[WORDS]; /* of the first line; "" where there is none */
	enum policy_kind kind;
	json_t *facts;
};

static void add_fact(json_t *facts, char *line)
{
	char *equals = strchr(line, '=');
	json_t *list;

	if (!equals)
		return;
	*equals = '\0';
	list = json_object_get(facts, line);
	if (!list) {
		list = json_array();
		json_object_set_new(facts, line, list);
	}
	json_array_append_new(list, json_string(equals + 1));
}

/* Steals all lines but the document, which it returns. */
static char *read_question(char *text, struct question *q)
{
	static char none[] = "";
	char *line = strsep(&text, "\n");
	int i;

	for (i = 0; i < WORDS; i++) {
		char *word = strsep(&line, " ");

		q->words[i] = word ? word : none;
	}
	q->kind = strcmp(q->words[0], "trust") == 0 ? POLICY_TRUST :
		  strcmp(q->words[0], "identity") == 0 ? POLICY_IDENTITY :
		  POLICY_KEY;
	q->facts = json_object();
	while (text && (line = strsep(&text, "\n")) && *line)
		add_fact(q->facts, line);
	return text ? text : none;
}

static int value_of(void *arg, const char *name, json_t **ret)
{
	const struct question *q = arg;

	*ret = json_incref(json_object_get(q->facts, name));
	return 0;
}

/* Nothing but these words, or an escape that could hide them, can do it. */
static int could(const char *text, const char *effect)
{
	return strstr(text, effect) || strchr(text, '\\');
}

static void ask(const struct policy *p, const char *text, struct question *q)
{
	/* The account of the ARN, in a place of its own as in a call. */
	char account[13] = "";
	struct policy_request r = {
		.action = q->words[1],
		.resource = q->words[2],
		.caller = { account, q->words[3],
			    *q->words[4] ? q->words[4] : NULL },
		.value = value_of,
		.arg = q,
	};
	int verdict;

	if (strlen(q->words[3]) > 25)
		memcpy(account, q->words[3] + 13, 12);
	verdict = policy_evaluate(p, &r);
	if (verdict < 0 || verdict != policy_evaluate(p, &r))
		abort();
	if ((verdict & POLICY_DENIES) && !could(text, "Deny"))
		abort();
	if ((verdict & (POLICY_ALLOWS | POLICY_DELEGATES)) &&
	    !could(text, "Allow"))
		abort();
	if ((verdict & POLICY_DELEGATES) && q->kind == POLICY_IDENTITY)
		abort();
}

static int note_principal(const char *arn, void *arg)
{
	size_t *total = arg;

	*total += strlen(arn);
	return 0;
}

static int note_broad(const char *sid, size_t index, const char *why,
		      void *arg)
{
	size_t *total = arg;

	*total += (sid ? strlen(sid) : index) + strlen(why);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct question q = { .facts = NULL };
	char why[POLICY_WHY_BYTES] = "";
	char *text = calloc(1, bytes + 1);
	struct policy *p = NULL;
	size_t total = 0;
	char *document;

	if (!text)
		abort();
	memcpy(text, data, bytes);
	document = read_question(text, &q);
	if (policy_parse(document, strlen(document), q.kind, &p, why) == 0) {
		ask(p, document, &q);
		policy_principals(p, note_principal, &total);
		policy_broad(p, q.words[1], note_broad, &total);
	} else if (strlen(why) >= sizeof(why)) {
		abort();
	}
	policy_free(p);
	json_decref(q.facts);
	free(text);
	return 0;
}
