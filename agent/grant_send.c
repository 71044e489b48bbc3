// SPDX-License-Identifier: GPL-2.0-or-later
/* An offer made, answered, sent; and grants that nobody needs, retired. */
#include "grant_send.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "log.h"

#define SIGNING_TIMEOUT_MS 30000u

int grant_principal(const struct conf *conf, const char *key_arn,
		    const char **ret)
{
	const struct conf_region *region;
	int r = conf_allow_key(conf, key_arn, &region);

	if (r < 0)
		return r;
	if (!region->host_principal) {
		log_error("key '%s': nobody can grant this host its use, as region %s has no host-principal; write who the profile of the region is at the KMS",
			  key_arn, region->name);
		return -EACCES;
	}
	*ret = region->host_principal;
	return 0;
}

int grant_offer(const struct conf *conf, const char *host,
		const struct header *header, size_t index,
		struct grant_entry *entry_ret, char **body_ret)
{
	const struct header_core *core = header_core(header);
	const char *key_arn = header_slot_get(header, index).key_id;
	struct grant_entry entry = { .id = "" };
	struct grant g = {
		.key_arn = key_arn,
		.volume_id = core->volume_id,
		.generation = core->generation,
		.name = entry.name,
	};
	int r;

	r = grant_principal(conf, key_arn, &g.principal);
	if (r < 0)
		return r;
	r = grant_new_name(host, entry.name);
	if (r == 0)
		r = grant_compose(&g, false, body_ret);
	if (r < 0) {
		log_error("key '%s': no grant can be composed for volume %s: %s",
			  key_arn, core->volume_id, strerror(-r));
		return r;
	}
	snprintf(entry.volume_id, sizeof(entry.volume_id), "%s",
		 core->volume_id);
	snprintf(entry.key_arn, sizeof(entry.key_arn), "%s", key_arn);
	*entry_ret = entry;
	return 0;
}

/* Header lines are made of them: no line ends, nothing that is no text. */
static bool header_value_valid(const char *text, size_t max_bytes)
{
	size_t len = strlen(text);
	size_t i;

	for (i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return len > 0 && len <= max_bytes;
}

#define TOKEN_MAX_BYTES 16384	/* of STS; it says nothing of a limit */

static bool take(const json_t *o, const char *name, size_t max_bytes,
		 const char **ret)
{
	return json_get_string(o, name, ret) == 0 &&
	       header_value_valid(*ret, max_bytes);
}

static int take_signature(const json_t *o, struct kms_signed_grant *dry,
			  struct kms_signed_grant *real)
{
	const char *token = NULL;
	bool sound;

	sound = take(o, "date", SIGV4_DATE_BYTES - 1, &real->date) &&
		take(o, "authorization", SIGV4_AUTHORIZATION_BYTES - 1,
		     &real->authorization) &&
		take(o, "dry_run_authorization",
		     SIGV4_AUTHORIZATION_BYTES - 1, &dry->authorization);
	if (sound && json_object_get(o, "session_token"))
		sound = take(o, "session_token", TOKEN_MAX_BYTES, &token);
	if (!sound) {
		log_error("key '%s': the signature of the grant is none",
			  real->key_arn);
		return -EINVAL;
	}
	dry->date = real->date;
	real->session_token = token;
	dry->session_token = token;
	return 0;
}

int grant_send(struct kms *kms, const struct grant_entry *entry,
	       const char *body, const json_t *signature,
	       struct kms_grant *ret, bool *sent_ret)
{
	struct kms_signed_grant real = { .key_arn = entry->key_arn,
					 .body = body };
	struct kms_signed_grant dry = { .key_arn = entry->key_arn,
					.dry_run = true };
	char *dry_body = NULL;
	int r;

	*sent_ret = false;
	r = take_signature(signature, &dry, &real);
	if (r == 0)
		r = grant_dry_run(body, &dry_body);
	if (r < 0)
		return r;
	dry.body = dry_body;
	r = kms_create_grant(kms, &dry, NULL);
	free(dry_body);
	if (r < 0)
		return r;
	r = kms_create_grant(kms, &real, ret);
	/* A refusal is one; but silence and garbage may hide a grant. */
	*sent_ret = r == -EHOSTUNREACH || r == -EBADMSG || r == -ENOMEM;
	return r;
}

struct listing {
	const char *prefix;
	struct grant_entry **list;
	size_t *count;
};

/* A name that is too long for one of ours is somebody else's. */
static int note(void *user, const char *key_arn, const char *id,
		const char *name)
{
	struct listing *l = user;
	struct grant_entry *longer, *e;

	if (strncmp(name, l->prefix, strlen(l->prefix)) != 0 ||
	    strlen(name) >= GRANT_NAME_BYTES || !arn_is_key(key_arn))
		return 0;
	longer = realloc(*l->list, (*l->count + 1) * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	*l->list = longer;
	e = &longer[(*l->count)++];
	*e = (struct grant_entry){ .volume_id = "" };
	snprintf(e->name, sizeof(e->name), "%s", name);
	snprintf(e->key_arn, sizeof(e->key_arn), "%s", key_arn);
	snprintf(e->id, sizeof(e->id), "%s", id);
	return 0;
}

int grant_list(struct kms *kms, const char *region, const char *principal,
	       const char *prefix, struct grant_entry **list, size_t *count)
{
	struct listing l = { prefix, list, count };

	return kms_each_retirable(kms, region, principal, note, &l);
}

static json_t *pack(const struct grant_signature *s, const char *token)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "date", s->date,
			      "authorization", s->authorization,
			      "dry_run_authorization",
			      s->dry_run_authorization);

	if (o && token && json_object_set_new(o, "session_token",
					      json_string(token)) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* @body was checked. */
static int sign(const struct conf *conf, const char *key_arn, const char *body,
		json_t **ret)
{
	struct grant_signature signature;
	const char *token = NULL;
	struct kms *kms = NULL;
	int r;

	r = kms_open(conf, SIGNING_TIMEOUT_MS, &kms);
	if (r == 0)
		r = kms_sign_grant(kms, key_arn, body, &signature, &token);
	if (r == 0) {
		*ret = pack(&signature, token);
		r = *ret ? 0 : -ENOMEM;
	}
	kms_free(kms);
	return r;
}

int grant_answer(const struct conf *conf, const char *device,
		 const struct header *header, size_t index, const char *body,
		 json_t **ret)
{
	const char *key_arn = header_slot_get(header, index).key_id;
	const char *principal;
	int r;

	r = grant_principal(conf, key_arn, &principal);
	if (r == 0)
		r = grant_check(body, device, header, index, principal);
	return r == 0 ? sign(conf, key_arn, body, ret) : r;
}

int grant_answer_unread(const struct conf *conf, const char *device,
			const char *volume_id, const char *body, json_t **ret)
{
	char key_arn[ARN_TEXT_BYTES];
	const char *principal;
	int r;

	r = grant_read_key(body, device, key_arn);
	if (r == 0)
		r = grant_principal(conf, key_arn, &principal);
	if (r == 0)
		r = grant_check_unread(body, device, volume_id, key_arn,
				       principal);
	return r == 0 ? sign(conf, key_arn, body, ret) : r;
}
