// SPDX-License-Identifier: GPL-2.0-or-later
/* What the verbs do alike. */
#include <stdio.h>

#include "cmd.h"

int store_open(const struct store_wish *w, bool create,
	       struct snapshot_store **ret)
{
	return snapshot_store_open(w->url ? w->url : SNAPSHOT_DEFAULT_STORE,
				   &w->access, create, ret);
}

bool store_exists(const struct store_wish *w)
{
	return object_store_exists(w->url ? w->url : SNAPSHOT_DEFAULT_STORE);
}

static void take(const char **to, const char *from)
{
	if (!*to)
		*to = from;
}

void source_default(struct volume_access *source,
		    const struct volume_access *access)
{
	struct conf_overrides *c = &source->conf;

	/* Another configuration is another host's: nothing of ours fits. */
	if (!c->config) {
		take(&c->endpoint, access->conf.endpoint);
		take(&c->ca_file, access->conf.ca_file);
		take(&c->profile, access->conf.profile);
		take(&c->region, access->conf.region);
	}
	take(&c->config, access->conf.config);
	if (!source->timeout_ms)
		source->timeout_ms = access->timeout_ms;
}

json_t *wrapper_json(const struct snapshot_wrapper *w)
{
	return json_pack("{ss ss ss ss ss sI ss ss sO}", "snapshot_id",
			 w->snapshot_id, "created", w->created, "volume_id",
			 w->volume_id, "region", w->region, "lineage",
			 w->lineage, "size", (json_int_t)w->size_bytes, "kind",
			 w->binding == SNAPSHOT_COPY ? "copy" : "snapshot",
			 "body", w->body, "slots",
			 json_object_get(w->slots, "slots"));
}

int check_id(const char *verb, const char *text)
{
	if (snapshot_id_valid(text))
		return CLI_GO_ON;
	return cli_usage_error(verb, "'%s' is no snapshot id: snap- and 17 digits of 0-9a-f",
			       text);
}
