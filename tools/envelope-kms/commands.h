/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs of the command line. */
#ifndef KMS_COMMANDS_H
#define KMS_COMMANDS_H

#include <stddef.h>

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
};

struct serve_options {
	const char *dir;
	const char *listen;           /* NULL: as init was told */
	char regions[REGIONS_BYTES];  /* "": as init was told */
	int rotation_limit;           /* on demand, of a key */
	int port;                     /* -1: as init was told; 0: any */
	const char *test_clock;       /* NULL: the real time */
};

/* 0; -errno with a message printed. */
int cmd_init(const struct init_options *o);

/* Returns after SIGTERM or SIGINT. 0; -errno with a message printed. */
int cmd_serve(const struct serve_options *o);

#endif
