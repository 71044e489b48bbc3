/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the library says while a call is served, for the call's answer. */
#ifndef ENVELOPE_MESSAGES_H
#define ENVELOPE_MESSAGES_H

#include <jansson.h>

#include "log.h"

/* Listen to log.h from now on. */
void messages_start(void);

/* Forget what was said: another call begins. */
void messages_clear(void);

/* As if it had been said here: what a worker said. */
void messages_add(enum log_level level, const char *text);

/* The last error; "" if there was none. */
const char *messages_error(void);

/* The warnings, an array of texts; new reference, NULL: no memory. */
json_t *messages_warnings(void);

#endif
