/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages to people: one line each on standard error, program name first. */
#ifndef ENVELOPE_LOG_H
#define ENVELOPE_LOG_H

/* @program must outlive the process; it stands before every line. */
void log_init(const char *program);

/* Something failed: lower case, no full stop, cause last. Never a secret. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Something to know, and the program goes on. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Progress and state changes. */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
