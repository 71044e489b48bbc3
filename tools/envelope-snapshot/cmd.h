/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs of envelope-snapshot, and the options that they share. */
#ifndef ENVELOPE_SNAPSHOT_CMD_H
#define ENVELOPE_SNAPSHOT_CMD_H

#include "cli.h"
#include "snapshot_ops.h"

/* Where snapshots are, as the options say. */
struct store_wish {
	const char *url;	/* NULL: SNAPSHOT_DEFAULT_STORE */
	struct object_access access;
};

#define STORE_OPTIONS(w) \
	{ "store", "STORE", cli_set_text, &(w)->url, \
	  "dir:PATH or s3://BUCKET/PREFIX (default\n" \
	  "                           " SNAPSHOT_DEFAULT_STORE ")" }, \
	{ "store-endpoint", "URL", cli_set_text, &(w)->access.endpoint, \
	  "of a store in S3 that is not Amazon's" }, \
	{ "store-region", "REGION", cli_set_text, &(w)->access.region, \
	  "of a store in S3" }, \
	{ "store-profile", "NAME", cli_set_text, &(w)->access.profile, \
	  "of the AWS credentials for it" }, \
	{ "store-ca-file", "FILE", cli_set_text, &(w)->access.ca_file, \
	  "certificates that it must chain to" }

/* Where a copy goes; @w is a struct store_wish *. */
#define TO_STORE_OPTIONS(w) \
	{ "to-store", "STORE", cli_set_text, &(w)->url, \
	  "where the copy goes (default: the same store)" }, \
	{ "to-endpoint", "URL", cli_set_text, &(w)->access.endpoint, \
	  "of that, as --store-endpoint" }, \
	{ "to-region", "REGION", cli_set_text, &(w)->access.region, \
	  "as --store-region" }, \
	{ "to-profile", "NAME", cli_set_text, &(w)->access.profile, \
	  "as --store-profile" }, \
	{ "to-ca-file", "FILE", cli_set_text, &(w)->access.ca_file, \
	  "as --store-ca-file" }

/* For the key of the source, where that wants somebody else; @a as above. */
#define SOURCE_OPTIONS(a) \
	{ "source-config", "FILE", cli_set_text, &(a)->conf.config, \
	  "configuration for the snapshot's own key" }, \
	{ "source-profile", "NAME", cli_set_text, &(a)->conf.profile, \
	  "profile of the AWS credentials for it" }, \
	{ "source-endpoint", "URL", cli_set_text, &(a)->conf.endpoint, \
	  "https address of its KMS" }, \
	{ "source-ca-file", "FILE", cli_set_text, &(a)->conf.ca_file, \
	  "certificates that its KMS must chain to" }, \
	{ "source-region", "REGION", cli_set_text, &(a)->conf.region, \
	  "region of its KMS" }

/* @w is a struct snapshot_work *. */
#define WORK_OPTIONS(w) \
	{ "jobs", "N", cli_set_number, &(w)->jobs, \
	  "threads (default: one a processor, to 8)" }, \
	{ "limit", "BYTES", cli_set_bytes, &(w)->bytes_per_second, \
	  "at most that many bytes a second" }, \
	CLI_PROGRESS_OPTION

/* The store of @w; with @create a new one, if there is none. */
int store_open(const struct store_wish *w, bool create,
	       struct snapshot_store **ret);

/* Is there a store, or something in its place? */
bool store_exists(const struct store_wish *w);

/* What no option said of the source is as for everything else. */
void source_default(struct volume_access *source,
		    const struct volume_access *access);

/* What a wrapper says, for people and for --json. -ENOMEM: NULL. */
json_t *wrapper_json(const struct snapshot_wrapper *w);

/* Is @text an id? STATUS_USAGE with a sentence of @verb, or CLI_GO_ON. */
int check_id(const char *verb, const char *text);

/*
 * The newest snapshot of @volume_id in @st (newest.c). Prints its errors.
 * -ENOENT: there is none. -EBADMSG: this host has made one that is not there, or
 * its audit is damaged.
 */
int find_newest(struct snapshot_store *st, const char *volume_id,
		char ret[HEADER_SNAPSHOT_ID_CHARS]);

int cmd_create(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_copy(int argc, char **argv);
int cmd_rewrap(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_gc(int argc, char **argv);
int cmd_clean(int argc, char **argv);
int cmd_share(int argc, char **argv);

#endif
