// SPDX-License-Identifier: GPL-2.0-or-later
/* Appends digests to a region's chain so that no crash can tear it. */
#include "audit_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"

#define SIGNATURE_SUFFIX ".sig"

static char *region_file(const char *bucket, const char *prefix,
			 const char *region, const char *suffix)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s%s%s", bucket, prefix, region,
			suffix) < 0 ? NULL : path;
}

int audit_string_to_sign(const char *end_time, const char *object,
			 const char *hash, const char *previous, char **ret)
{
	return asprintf(ret, "%s\n" AUDIT_BUCKET "/%s\n%s\n%s", end_time,
			object, hash, *previous ? previous : "null") < 0 ?
	       -ENOMEM : 0;
}

static void copy_member(json_t *json, const char *name, char *ret,
			size_t bytes)
{
	const char *text = json_string_value(json_object_get(json, name));

	snprintf(ret, bytes, "%s", text ? text : "");
}

static int read_end(const char *path, struct audit_chain *ret)
{
	json_t *json;

	if (access(path, F_OK) < 0)
		return errno == ENOENT ? 0 : -errno;
	json = json_load_file(path, 0, NULL);
	copy_member(json, "object", ret->object, sizeof(ret->object));
	copy_member(json, "stamp", ret->stamp, sizeof(ret->stamp));
	copy_member(json, "hash", ret->hash, sizeof(ret->hash));
	copy_member(json, "signature", ret->signature,
		    sizeof(ret->signature));
	json_decref(json);
	return ret->signature[0] && ret->object[0] ? 0 : -EBADMSG;
}

/* The name is what makes the digest be there; its signature goes first. */
static int name_digest(const char *bucket, const char *region,
		       const char *object)
{
	char *next = region_file(bucket, AUDIT_NEXT, region, "");
	char *next_sig = region_file(bucket, AUDIT_NEXT, region,
				     SIGNATURE_SUFFIX);
	char *path = audit_object_path(bucket, object);
	char *slash, *sig = NULL;
	int rc = -ENOMEM;

	if (!next || !next_sig || !path ||
	    asprintf(&sig, "%s" SIGNATURE_SUFFIX, path) < 0)
		goto out;
	rc = 0;
	if (rename(next_sig, sig) < 0 && errno != ENOENT)
		rc = -errno;
	if (rc == 0 && rename(next, path) < 0 && errno != ENOENT)
		rc = -errno;
	slash = strrchr(path, '/');
	*slash = '\0';
	if (rc == 0)
		rc = dir_sync(path);
out:
	free(next);
	free(next_sig);
	free(path);
	free(sig);
	return rc;
}

int audit_chain_read(const char *bucket, const char *region,
		     struct audit_chain *ret)
{
	struct audit_chain chain = { "", "", "", "" };
	char *path = region_file(bucket, AUDIT_CHAIN, region, "");
	char *next = region_file(bucket, AUDIT_NEXT, region, "");
	char hash[AUDIT_HASH_HEX];
	int rc = path && next ? read_end(path, &chain) : -ENOMEM;

	if (rc == 0 && chain.object[0] &&
	    audit_gz_read(next, hash, NULL) == 0 &&
	    strcmp(hash, chain.hash) == 0)
		rc = name_digest(bucket, region, chain.object);
	free(path);
	free(next);
	if (rc == 0)
		*ret = chain;
	return rc;
}

/* Replaces a small file as a whole. */
static int replace_file(const char *bucket, const char *prefix,
			const char *region, const char *suffix,
			const char *text)
{
	char *name = NULL, *fresh = NULL, *path = NULL;
	int rc = -ENOMEM;

	if (asprintf(&name, "%s%s%s.new", prefix, region, suffix) < 0)
		return rc;
	fresh = file_path(bucket, name);
	path = region_file(bucket, prefix, region, suffix);
	if (!fresh || !path)
		goto out;
	unlink(fresh);
	rc = file_write(bucket, name, 0600, text, strlen(text));
	if (rc == 0 && rename(fresh, path) < 0)
		rc = -errno;
	if (rc == 0)
		rc = dir_sync(bucket);
out:
	free(name);
	free(fresh);
	free(path);
	return rc;
}

static int write_end(const char *bucket, const char *region,
		     const struct audit_chain *chain)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "object",
				 chain->object, "stamp", chain->stamp, "hash",
				 chain->hash, "signature", chain->signature);
	char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	int rc = text ? replace_file(bucket, AUDIT_CHAIN, region, "", text) :
			-ENOMEM;

	free(text);
	json_decref(json);
	return rc;
}

static void set_previous(json_t *body, const struct audit_chain *chain)
{
	bool first = !chain->object[0];

	json_object_set_new(body, "previousDigestS3Bucket", first ?
			    json_null() : json_string(AUDIT_BUCKET));
	json_object_set_new(body, "previousDigestS3Object", first ?
			    json_null() : json_string(chain->object));
	json_object_set_new(body, "previousDigestHashValue", first ?
			    json_null() : json_string(chain->hash));
	json_object_set_new(body, "previousDigestHashAlgorithm", first ?
			    json_null() : json_string("SHA-256"));
	json_object_set_new(body, "previousDigestSignature", first ?
			    json_null() : json_string(chain->signature));
}

static int write_next(const char *bucket, const char *region, json_t *body,
		      char *hash_ret)
{
	char *path = region_file(bucket, AUDIT_NEXT, region, "");
	char *text = json_dumps(body, JSON_COMPACT);
	struct audit_gz *gz = NULL;
	int rc = path && text ? audit_gz_begin(path, &gz) : -ENOMEM;

	if (rc == 0) {
		audit_gz_put(gz, text, strlen(text));
		rc = audit_gz_end(gz, hash_ret);
	}
	free(path);
	free(text);
	return rc;
}

static int sign(const struct audit_key *key, json_t *body, const char *hash,
		const char *previous, char *ret)
{
	char *text = NULL;
	int rc = audit_string_to_sign(
		json_string_value(json_object_get(body, "digestEndTime")),
		json_string_value(json_object_get(body, "digestS3Object")),
		hash, previous, &text);

	if (rc == 0)
		rc = audit_key_sign(key, text, ret);
	free(text);
	return rc;
}

int audit_chain_append(const char *bucket, const char *region,
		       const struct audit_key *key, json_t *body,
		       struct audit_chain *chain)
{
	struct audit_chain next = { "", "", "", "" };
	int rc;

	copy_member(body, "digestS3Object", next.object, sizeof(next.object));
	/* The last 16 characters in front of ".json.gz". */
	snprintf(next.stamp, sizeof(next.stamp), "%s",
		 next.object + strlen(next.object) - 24);
	set_previous(body, chain);
	rc = audit_make_folders(bucket, next.object);
	if (rc == 0)
		rc = write_next(bucket, region, body, next.hash);
	if (rc == 0)
		rc = sign(key, body, next.hash, chain->signature,
			  next.signature);
	if (rc == 0)
		rc = replace_file(bucket, AUDIT_NEXT, region, SIGNATURE_SUFFIX,
				  next.signature);
	if (rc == 0)
		rc = write_end(bucket, region, &next);
	if (rc == 0)
		rc = name_digest(bucket, region, next.object);
	if (rc == 0)
		*chain = next;
	return rc;
}
