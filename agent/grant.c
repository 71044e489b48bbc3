// SPDX-License-Identifier: GPL-2.0-or-later
/* Grants composed, checked and signed; who sends them is not known here. */
#include "grant.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "arn.h"
#include "json.h"
#include "log.h"

#define BODY_MAX_DEPTH 4
#define LOWER_DIGIT "abcdefghijklmnopqrstuvwxyz0123456789"

int grant_prefix(const char *host, char ret[static GRANT_NAME_BYTES])
{
	size_t len = strlen(host);

	if (len == 0 || len >= GRANT_HOST_BYTES ||
	    strspn(host, LOWER_DIGIT) != len)
		return -EINVAL;
	snprintf(ret, GRANT_NAME_BYTES, GRANT_NAME_PREFIX "%s-", host);
	return 0;
}

int grant_new_name(const char *host, char ret[static GRANT_NAME_BYTES])
{
	uint8_t nonce[(GRANT_NONCE_BYTES - 1) / 2];
	char name[GRANT_NAME_BYTES];
	size_t used, i;
	int r = grant_prefix(host, name);

	if (r < 0)
		return r;
	if (getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
		return -EIO;
	used = strlen(name);
	for (i = 0; i < sizeof(nonce); i++, used += 2)
		snprintf(name + used, sizeof(name) - used, "%02x", nonce[i]);
	strcpy(ret, name);
	return 0;
}

/* Both parts behind the prefix are there, and nothing else. */
static bool name_valid(const char *name)
{
	const char *at = name + strlen(GRANT_NAME_PREFIX);
	size_t len;

	if (strlen(name) >= GRANT_NAME_BYTES ||
	    strncmp(name, GRANT_NAME_PREFIX, strlen(GRANT_NAME_PREFIX)) != 0)
		return false;
	len = strspn(at, LOWER_DIGIT);
	if (len == 0 || len >= GRANT_HOST_BYTES || at[len] != '-')
		return false;
	at += len + 1;
	return strlen(at) == GRANT_NONCE_BYTES - 1 &&
	       strspn(at, "0123456789abcdef") == strlen(at);
}

/*
 * Name and generation, as header_context() writes them. A slot's extra pairs
 * are not in it: a subset does without, and they may change by a rewrap.
 */
static json_t *make_constraint(const struct grant *g)
{
	char generation[16];

	snprintf(generation, sizeof(generation), "%u", g->generation);
	return json_pack("{s:{s:s, s:s}}", "EncryptionContextSubset",
			 "envelope:volume-id", g->volume_id,
			 "envelope:generation", generation);
}

int grant_compose(const struct grant *g, bool dry_run, char **ret)
{
	json_t *o;
	char *body;

	if (!arn_is_key(g->key_arn) || !header_volume_id_valid(g->volume_id) ||
	    g->generation == 0 || !arn_is_principal(g->principal) ||
	    !name_valid(g->name))
		return -EINVAL;
	o = json_pack("{s:o, s:s, s:s, s:s, s:[s], s:s}",
		      "Constraints", make_constraint(g),
		      "GranteePrincipal", g->principal, "KeyId", g->key_arn,
		      "Name", g->name, "Operations", "Decrypt",
		      "RetiringPrincipal", g->principal);
	if (o && dry_run)
		json_object_set_new(o, "DryRun", json_true());
	body = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(o);
	if (!body)
		return -ENOMEM;
	*ret = body;
	return 0;
}

/* What it asks for that it must not, as a phrase; NULL: nothing found. */
static const char *differs(const json_t *o, const struct grant *g)
{
	const char *text;
	json_t *constraint = make_constraint(g);
	bool bound = json_equal(json_object_get(o, "Constraints"), constraint);

	json_decref(constraint);
	if (json_get_string(o, "KeyId", &text) < 0 ||
	    strcmp(text, g->key_arn) != 0)
		return "is not for the volume's KMS key";
	if (json_get_string(o, "GranteePrincipal", &text) < 0 ||
	    strcmp(text, g->principal) != 0)
		return "goes to another principal than this host's";
	if (json_get_string(o, "RetiringPrincipal", &text) < 0 ||
	    strcmp(text, g->principal) != 0)
		return "can be retired by another principal than this host's";
	if (!bound)
		return "is not bound to this volume and its generation";
	return NULL;
}

/* Its operations, and what no field of ours has: the bytes tell. */
static int compare_bytes(const char *body, const struct grant *g,
			 const char **why_ret)
{
	char *expected = NULL;
	int r = grant_compose(g, false, &expected);

	if (r == -ENOMEM)
		return r;
	*why_ret = r == 0 && strcmp(expected, body) == 0 ? NULL :
		   "asks for more than to decrypt this volume's key";
	free(expected);
	return 0;
}

static int parse_body(const char *body, json_t **ret)
{
	char unused[JSON_WHY_BYTES];

	if (strlen(body) > GRANT_BODY_MAX_BYTES)
		return -EBADMSG;
	return json_parse_strict(body, strlen(body), BODY_MAX_DEPTH, ret,
				 unused);
}

static int unsound(const char *device, const char *why)
{
	log_error("'%s': the grant that the agent wants signed %s, so it is not signed; check host-principal and that the agent can be trusted",
		  device, why);
	return -EBADMSG;
}

/* @g has no name yet: that is the agent's to choose. */
static int check(const char *body, const char *device, struct grant *g)
{
	const char *why = "is no JSON of a grant";
	json_t *o = NULL;
	int r = parse_body(body, &o);

	if (r == -ENOMEM)
		return r;
	if (o && json_get_string(o, "Name", &g->name) == 0)
		why = differs(o, g);
	r = why ? 0 : compare_bytes(body, g, &why);
	json_decref(o);
	if (r < 0 || !why)
		return r;
	return unsound(device, why);
}

int grant_check(const char *body, const char *device,
		const struct header *header, size_t index,
		const char *principal)
{
	struct grant g = {
		.key_arn = header_slot_get(header, index).key_id,
		.volume_id = header_core(header)->volume_id,
		.generation = header_core(header)->generation,
		.principal = principal,
	};

	return check(body, device, &g);
}

/* What differs() and compare_bytes() then hold against the whole body. */
static uint32_t read_generation(const char *body)
{
	const char *text = "";
	json_t *o = NULL;
	unsigned long n;

	if (parse_body(body, &o) == 0)
		(void)json_get_string(json_object_get(
			json_object_get(o, "Constraints"),
			"EncryptionContextSubset"), "envelope:generation",
			&text);
	n = strtoul(text, NULL, 10);
	json_decref(o);
	return n <= UINT32_MAX ? n : 0;
}

int grant_check_unread(const char *body, const char *device,
		       const char *volume_id, const char *key_arn,
		       const char *principal)
{
	struct grant g = {
		.key_arn = key_arn,
		.volume_id = volume_id,
		.generation = read_generation(body),
		.principal = principal,
	};

	return check(body, device, &g);
}

int grant_read_key(const char *body, const char *device,
		   char ret[static ARN_TEXT_BYTES])
{
	const char *key_arn = "";
	json_t *o = NULL;
	int r = parse_body(body, &o);

	if (r == 0)
		(void)json_get_string(o, "KeyId", &key_arn);
	if (r != -ENOMEM && arn_is_key(key_arn))
		snprintf(ret, ARN_TEXT_BYTES, "%s", key_arn);
	else if (r != -ENOMEM)
		r = unsound(device, "is no JSON of a grant");
	json_decref(o);
	return r;
}

int grant_dry_run(const char *body, char **ret)
{
	char unused[JSON_WHY_BYTES];
	json_t *o = NULL;
	int r;

	r = json_parse_strict(body, strlen(body), BODY_MAX_DEPTH, &o, unused);
	if (r < 0)
		return r;
	r = -EBADMSG;
	if (!json_is_object(o))
		goto out;
	r = -ENOMEM;
	if (json_object_set_new(o, "DryRun", json_true()) < 0)
		goto out;
	*ret = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	r = *ret ? 0 : -ENOMEM;
out:
	json_decref(o);
	return r;
}

int grant_sign(const char *body, const char *host, const char *region,
	       const struct credentials *credentials,
	       struct grant_signature *ret)
{
	struct grant_signature signature;
	struct sigv4_request request = {
		.host = host,
		.region = region,
		.service = "kms",
		.target = GRANT_TARGET,
		.content_type = GRANT_CONTENT_TYPE,
		.body = body,
		.body_bytes = strlen(body),
	};
	time_t now = time(NULL);
	char *dry_run = NULL;
	int r;

	r = grant_dry_run(body, &dry_run);
	if (r < 0)
		return r;
	r = sigv4_sign(&request, credentials, now, signature.date,
		       signature.authorization);
	if (r < 0)
		goto out;
	request.body = dry_run;
	request.body_bytes = strlen(dry_run);
	r = sigv4_sign(&request, credentials, now, signature.date,
		       signature.dry_run_authorization);
	if (r == 0)
		*ret = signature;
out:
	free(dry_run);
	return r;
}
