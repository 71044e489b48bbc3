/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages to people: one line each on standard error, program name first. */
#ifndef ENVELOPE_LOG_H
#define ENVELOPE_LOG_H

/* @program must outlive the process; it stands before every line. */
void log_init(const char *program);

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO };

/*
 * Also hand each sentence, without the program's name and the line's end, to
 * @hook, for a program that answers others. NULL: no more.
 */
void log_set_hook(void (*hook)(enum log_level level, const char *text));

/* Begin each line with its level as the journal reads it, "<3>" and so on. */
void log_use_journal(void);

/* Something failed: lower case, no full stop, cause last. Never a secret. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Something to know, and the program goes on. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Progress and state changes. */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
