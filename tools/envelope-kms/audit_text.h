/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One record of the audit trail as it is written, member by member: a tree of
 * JSON values for each would cost as much as the cryptography. The same
 * writer, for values that are a tree already, makes the answers: it does not
 * look at each character of each text a second time.
 */
#ifndef KMS_AUDIT_TEXT_H
#define KMS_AUDIT_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Starts as { 0 }. Errors are kept for audit_text_end(). */
struct audit_text {
	char *data;
	size_t used, size; /* bytes */
	bool no_memory;
};

/* Of a number with a fraction: milliseconds of a time, and no noise. */
#define AUDIT_TEXT_DIGITS 14

/* Any value, which jansson has found or made valid UTF-8; NULL is null. */
void audit_text_value(struct audit_text *t, json_t *value);

/* A member whose @value is valid UTF-8. */
void audit_text_string(struct audit_text *t, const char *name,
		       const char *value);

/* The members up to audit_text_close() are those of the object @name. */
void audit_text_open(struct audit_text *t, const char *name);
void audit_text_close(struct audit_text *t);

/* The value is text in JSON already. */
void audit_text_raw(struct audit_text *t, const char *name,
		    const char *json);

/* Steals @value; NULL counts as no memory. */
void audit_text_json(struct audit_text *t, const char *name, json_t *value);

/* Closes the object and its line. 0; -ENOMEM if anything has failed. */
int audit_text_end(struct audit_text *t);

void audit_text_free(struct audit_text *t);

#endif
