/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs of envelope, and what they share beside the frame. */
#ifndef ENVELOPE_CMD_H
#define ENVELOPE_CMD_H

#include "cli.h"

/*
 * The recovery key in the file @path; "-": standard input, where somebody at a
 * terminal has three tries. @path NULL: none, and *@ret stays as it is.
 * -EINVAL: none is in it, or with typing errors, whose groups are named. -EIO,
 * -ENOMEM. Prints its own error.
 */
int cli_read_recovery(const char *path, struct secret **ret);

int cmd_format(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_detach(int argc, char **argv);
int cmd_lock(int argc, char **argv);
int cmd_unlock(int argc, char **argv);
int cmd_renew(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_resize(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_slot(int argc, char **argv);
int cmd_recovery_key(int argc, char **argv);
int cmd_rewrap(int argc, char **argv);
int cmd_header_backup(int argc, char **argv);
int cmd_header_restore(int argc, char **argv);
int cmd_erase(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_default(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_audit(int argc, char **argv);
int cmd_lineage(int argc, char **argv);
int cmd_tab(int argc, char **argv);
int cmd_metrics(int argc, char **argv);

#endif
