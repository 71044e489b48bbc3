// SPDX-License-Identifier: GPL-2.0-or-later
/* What a worker does with grants. */
#include "worker_grants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "grant_json.h"
#include "grant_send.h"
#include "json.h"
#include "log.h"
#include "worker.h"

int worker_grants_send(struct volume_kms *k, const json_t *request,
		       json_t **ret)
{
	struct kms_grant grant = { .token = NULL };
	json_t *signature, *entry;
	struct grant_entry e;
	bool sent = false;
	const char *body;
	int r = -EBADMSG;

	if (json_get_object(request, "entry", &entry) == 0 &&
	    json_get_string(request, "body", &body) == 0 &&
	    json_get_object(request, "signature", &signature) == 0)
		r = grant_from_json(entry, &e);
	if (r == 0)
		r = grant_send(k->kms, &e, body, signature, &grant, &sent);
	if (r == 0)
		r = kms_use_grant_token(k->kms, grant.token);
	if (r == 0)
		*ret = json_pack("{s:{s:s, s:s*}}", "granted", "id", grant.id,
				 "token", grant.token);
	else
		*ret = json_pack("{s:{s:b}}", "ungranted", "sent",
				 sent || grant.token);
	kms_grant_free(&grant);
	return r;
}

/* What was found before something failed counts, too. */
json_t *worker_grants_list(struct volume_kms *k, const char *prefix)
{
	const struct conf_region *region;
	struct grant_entry *list = NULL;
	json_t *found = json_array();
	size_t count = 0, i;
	bool complete = true;

	for (i = 0; (region = conf_region_at(k->conf, i)); i++)
		if (region->host_principal &&
		    grant_list(k->kms, region->name, region->host_principal,
			       prefix, &list, &count) < 0)
			complete = false;
	if (count > WORKER_MAX_GRANTS) {
		log_warn("this host has %zu grants: looking at %d of them",
			 count, WORKER_MAX_GRANTS);
		count = WORKER_MAX_GRANTS;
		complete = false;
	}
	for (i = 0; found && i < count; i++)
		if (json_array_append_new(found, grant_to_json(&list[i])) < 0)
			complete = false;
	free(list);
	return found ? json_pack("{s:{s:o, s:b}}", "listed", "grants", found,
				 "complete", complete) : NULL;
}

static bool has(const json_t *names, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach(names, i, one)
		if (strcmp(json_string_value(one), name) == 0)
			return true;
	return false;
}

json_t *worker_grants_retire(struct volume_kms *k, const json_t *grants)
{
	json_t *names = json_array();
	struct grant_entry e;
	const json_t *o;
	size_t i;

	json_array_foreach(grants, i, o) {
		if (grant_from_json(o, &e) < 0 || has(names, e.name) ||
		    kms_retire_grant(k->kms, e.key_arn, e.id) < 0)
			continue;
		log_info("key '%s': grant %s is retired", e.key_arn, e.id);
		json_array_append_new(names, json_string(e.name));
	}
	return names ? json_pack("{s:{s:o}}", "retired", "names", names) :
		       NULL;
}
