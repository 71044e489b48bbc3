// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * envelopetab. Each line of the input is a volume or has one sentence that
 * begins with its place; nothing that was taken could end a line or a word of
 * a unit file, and no line changes what another one comes to.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_log.h"
#include "tab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_text(const char *text)
{
	for (; text && *text; text++)
		if (iscntrl((unsigned char)*text))
			abort();
}

static void check_line(const struct tab_line *line)
{
	size_t i;

	if (!dm_volume_name_valid(line->name) || !line->device || !line->spec)
		abort();
	if (line->by == TAB_BY_PATH && line->device[0] != '/')
		abort();
	if (line->by == TAB_BY_VOLUME && !header_volume_id_valid(line->device))
		abort();
	check_text(line->spec);
	check_text(line->device);
	check_text(line->header);
	check_text(line->volume_id);
	for (i = 0; i < line->relation_count; i++)
		check_text(line->relations[i].what);
}

/* Asked for alone, it is the same. */
static void check_alone(const char *text, const struct tab_line *line)
{
	char *copy = strdup(text);
	struct tab tab;

	if (!copy || tab_parse("tab", copy, line->name, &tab) != 0)
		abort();
	if (tab.count != 1 || tab.at[0].number != line->number ||
	    strcmp(tab.at[0].device, line->device) != 0)
		abort();
	tab_free(&tab);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *text = calloc(1, bytes + 1);
	char *copy;
	struct tab tab;
	size_t i;

	if (!text)
		abort();
	memcpy(text, data, bytes);
	copy = strdup(text);
	fuzz_errors = 0;
	if (!copy || tab_parse("tab", copy, NULL, &tab) != 0)
		abort();
	if (tab.broken != fuzz_errors)
		abort();
	if (fuzz_errors && strncmp(fuzz_sentence, "tab:", 4) != 0)
		abort();
	for (i = 0; i < tab.count; i++) {
		check_line(&tab.at[i]);
		if (i < 16)
			check_alone(text, &tab.at[i]);
	}
	tab_free(&tab);
	free(copy);
	free(text);
	return 0;
}
