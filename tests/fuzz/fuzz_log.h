/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In place of agent/log.c: sentences are made and counted, and not printed. */
#ifndef ENVELOPE_FUZZ_LOG_H
#define ENVELOPE_FUZZ_LOG_H

#include <stdarg.h>
#include <stdio.h>

#include "log.h"

static size_t fuzz_errors;
static char fuzz_sentence[2048];	/* the last error */
static void (*fuzz_hook)(enum log_level level, const char *text);

#define FUZZ_SAY(level, fmt) \
	do { \
		char line[2048]; \
		va_list args; \
		va_start(args, fmt); \
		vsnprintf(line, sizeof(line), fmt, args); \
		va_end(args); \
		if ((level) == LOG_LEVEL_ERROR) { \
			fuzz_errors++; \
			memcpy(fuzz_sentence, line, sizeof(line)); \
		} \
		if (fuzz_hook) \
			fuzz_hook(level, line); \
	} while (0)

void log_init(const char *program)
{
	(void)program;
}

void log_set_hook(void (*hook)(enum log_level level, const char *text))
{
	fuzz_hook = hook;
}

void log_divert(void (*taker)(enum log_level level, const char *text))
{
	(void)taker;
}

void log_mute(bool muted)
{
	(void)muted;
}

const char *log_last_error(void)
{
	return fuzz_sentence;
}

void log_use_journal(void)
{
}

void log_error(const char *fmt, ...)
{
	FUZZ_SAY(LOG_LEVEL_ERROR, fmt);
}

void log_warn(const char *fmt, ...)
{
	FUZZ_SAY(LOG_LEVEL_WARN, fmt);
}

void log_info(const char *fmt, ...)
{
	FUZZ_SAY(LOG_LEVEL_INFO, fmt);
}

#endif
