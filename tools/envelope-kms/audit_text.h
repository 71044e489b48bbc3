/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One record of the audit trail as it is written, member by member: a tree of
 * JSON values for each would cost as much as the cryptography.
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

/* A member whose @value is valid UTF-8. @name needs no escapes. */
void audit_text_string(struct audit_text *t, const char *name,
		       const char *value);

/* The value is text in JSON already. */
void audit_text_raw(struct audit_text *t, const char *name,
		    const char *json);

/* Steals @value; NULL counts as no memory. */
void audit_text_json(struct audit_text *t, const char *name, json_t *value);

/* Closes the object and its line. 0; -ENOMEM if anything has failed. */
int audit_text_end(struct audit_text *t);

void audit_text_free(struct audit_text *t);

#endif
