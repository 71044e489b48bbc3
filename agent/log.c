// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages: one write(2) a line, control characters from outside escaped. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_BYTES 2048

static const char *log_program = "envelope";
static void (*log_hook)(enum log_level level, const char *text);
static void (*log_taker)(enum log_level level, const char *text);
static bool log_journal;
static bool log_muted;
static _Thread_local char log_last[LOG_LINE_BYTES];

void log_init(const char *program)
{
	log_program = program;
}

void log_set_hook(void (*hook)(enum log_level level, const char *text))
{
	log_hook = hook;
}

void log_divert(void (*taker)(enum log_level level, const char *text))
{
	log_taker = taker;
}

void log_mute(bool muted)
{
	log_muted = muted;
}

const char *log_last_error(void)
{
	return log_last;
}

void log_use_journal(void)
{
	log_journal = true;
}

/* A header or a server may put escape sequences into a name we print. */
static void mask_controls(char *line)
{
	for (; *line; line++) {
		unsigned char c = line[0], next = line[1];

		/* In UTF-8 the controls U+0080 to U+009F are C2 80 to C2 9F. */
		if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			line[1] = '?';
		if (c < 0x20 || c == 0x7f || line[1] != (char)next)
			line[0] = '?';
	}
}

__attribute__((format(printf, 2, 0)))
static void log_line(enum log_level level, const char *fmt, va_list args)
{
	/* Of syslog(3): an error, a warning, information. */
	static const char *const journal[] = { "<3>", "<4>", "<6>" };
	char line[LOG_LINE_BYTES];
	size_t used;

	if (log_muted)
		return;
	used = snprintf(line, sizeof(line), "%s%s: ",
			log_journal ? journal[level] : "", log_program);
	if (level == LOG_LEVEL_WARN)
		used += snprintf(line + used, sizeof(line) - used, "warning: ");
	vsnprintf(line + used, sizeof(line) - used - 1, fmt, args);
	mask_controls(line);
	if (level == LOG_LEVEL_ERROR)
		strcpy(log_last, line + used);
	if (log_taker) {
		log_taker(level, line + used);
		return;
	}
	if (log_hook)
		log_hook(level, line + used);
	used = strlen(line);
	line[used] = '\n';
	/* Nothing useful is left to do when standard error is gone. */
	if (write(STDERR_FILENO, line, used + 1) < 0)
		return;
}

void log_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line(LOG_LEVEL_ERROR, fmt, args);
	va_end(args);
}

void log_warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line(LOG_LEVEL_WARN, fmt, args);
	va_end(args);
}

void log_info(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line(LOG_LEVEL_INFO, fmt, args);
	va_end(args);
}
