/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies of records to the system's journal, as far as it takes them. */
#ifndef KMS_AUDIT_JOURNAL_H
#define KMS_AUDIT_JOURNAL_H

#include <stddef.h>

struct audit_journal;

/* 0; -ENOMEM; -errno. audit_journal_close() accepts NULL. */
int audit_journal_open(struct audit_journal **ret);
void audit_journal_close(struct audit_journal *j);

/*
 * Sends one record, a line of JSON of @bytes, with fields of its own for what
 * one looks for. Never waits, and nothing depends on it: what the journal does
 * not take is counted on standard error. Any thread.
 */
void audit_journal_send(struct audit_journal *j, const char *line,
			size_t bytes);

#endif
