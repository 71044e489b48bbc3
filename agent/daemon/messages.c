// SPDX-License-Identifier: GPL-2.0-or-later
/* The last error and the warnings since a call began. */
#include "messages.h"

#include <stdio.h>

#define MAX_WARNINGS 16

static char last_error[2048];
static char warnings[MAX_WARNINGS][512];
static size_t warning_count;

void messages_start(void)
{
	log_set_hook(messages_add);
}

void messages_clear(void)
{
	last_error[0] = '\0';
	warning_count = 0;
}

void messages_add(enum log_level level, const char *text)
{
	if (level == LOG_LEVEL_ERROR)
		snprintf(last_error, sizeof(last_error), "%s", text);
	if (level == LOG_LEVEL_WARN && warning_count < MAX_WARNINGS)
		snprintf(warnings[warning_count++], sizeof(warnings[0]), "%s",
			 text);
}

const char *messages_error(void)
{
	return last_error;
}

json_t *messages_warnings(void)
{
	json_t *list = json_array();
	size_t i;

	/* What was cut in the middle of a character is no JSON text. */
	for (i = 0; list && i < warning_count; i++)
		json_array_append_new(list, json_string(warnings[i]));
	return list;
}
