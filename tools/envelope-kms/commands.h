/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs of the command line. */
#ifndef KMS_COMMANDS_H
#define KMS_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "region.h"

#define DEFAULT_PORT 8443
#define DEFAULT_REGION "us-east-1"
#define DEFAULT_ACCOUNT "111122223333"
#define DEFAULT_LISTEN "127.0.0.1"
#define HOSTS_MAX 32

struct init_options {
	const char *dir;
	const char *account, *listen;
	char regions[REGIONS_BYTES];  /* region.h */
	const char *hosts[HOSTS_MAX]; /* more names of the server */
	size_t host_count;
	int port;
	int test;                     /* may be served with a test clock */
	const char *seed;             /* seed.h; NULL: none; wants test */
};

struct serve_options {
	const char *dir;
	const char *listen;           /* NULL: as init was told */
	char regions[REGIONS_BYTES];  /* "": as init was told */
	int rotation_limit;           /* on demand, of a key */
	int port;                     /* -1: as init was told; 0: any */
	unsigned int rate;            /* calls a second of an account; 0: any */
	int digest_seconds;           /* between digests of the audit trail */
	const char *test_clock;       /* NULL: the real time */
	bool journal;                 /* gets a copy of each record */
	bool plain_http;              /* in place of TLS */
	mode_t socket_mode;           /* of a UNIX socket */
	const char *client_ca;        /* file; NULL: no certificates asked */
};

struct audit_verify_options {
	const char *dir;
	const char *key;              /* public, in PEM; NULL: the one in dir */
	bool json;                    /* one object in place of lines */
	struct json_t **report;       /* with json: put there, not printed */
};

/*
 * Says on standard output what is wrong with the audit trail, and how much of
 * it is proved. 0; -EBADMSG: something is wrong; -errno with a message.
 */
int cmd_audit_verify(const struct audit_verify_options *o);

/*
 * Everything behind "envelope-kms audit", argv[0] being "audit". Sets
 * *@usage_ret when it is used wrongly.
 */
int cmd_audit(int argc, char **argv, bool *usage_ret);

/* 0; -errno with a message printed. */
int cmd_init(const struct init_options *o);

/* Returns after SIGTERM or SIGINT; SIGHUP takes a new certificate. 0; -errno with a message printed. */
int cmd_serve(const struct serve_options *o);

/*
 * Verbs with a command line of their own, which @argv begins with their name.
 * 0; -EINVAL (wrong usage); -EIO; with a message printed.
 */
int cmd_identity(int argc, char **argv);
int cmd_policy_lint(int argc, char **argv);
int cmd_backup(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_check(int argc, char **argv);

#endif
