/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages to people: one line each on standard error, program name first. */
#ifndef ENVELOPE_LOG_H
#define ENVELOPE_LOG_H

#include <stdbool.h>

/* @program must outlive the process; it stands before every line. */
void log_init(const char *program);

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO };

/*
 * Also hand each sentence, without the program's name and the line's end, to
 * @hook, for a program that answers others. NULL: no more.
 */
void log_set_hook(void (*hook)(enum log_level level, const char *text));

/*
 * Hand each sentence to @taker and to nobody else, for a program that reports
 * in its own way. NULL: no more.
 */
void log_divert(void (*taker)(enum log_level level, const char *text));

/*
 * Say nothing, to nobody, until it is taken back: for a question on the side,
 * whose failure is none.
 */
void log_mute(bool muted);

/* The last error of this thread, as the hook or taker has it; "" if there was none. */
const char *log_last_error(void);

/* Begin each line with its level as the journal reads it, "<3>" and so on. */
void log_use_journal(void);

/* Something failed: lower case, no full stop, cause last. Never a secret. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Something to know, and the program goes on. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Progress and state changes. */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
