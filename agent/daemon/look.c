// SPDX-License-Identifier: GPL-2.0-or-later
/* Status and List: what is attached, as far as the caller may know. */
#include "look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "leases.h"
#include "methods.h"
#include "volume_json.h"

uid_t look_owner(struct agent *agent, const struct dm_volume_status *s)
{
	const struct attachment *a = attachments_of(agent->attachments,
						    &s->volume);

	return a ? a->uid : 0;
}

bool look_visible(struct agent *agent, const struct caller *who,
		  const struct dm_volume_status *s)
{
	return who->uid == 0 || who->uid == look_owner(agent, s);
}

static bool is_called(const struct dm_volume *v, const char *name, bool by_id)
{
	return strcmp(by_id ? v->volume_id : v->name, name) == 0;
}

/* The name first: a volume may be called like another volume's id. */
int look_find(struct call *c, const char *name, struct dm_volume_status *ret)
{
	struct dm_volume_status *list = NULL;
	size_t count = 0;
	size_t i;
	int r;

	r = dm_volume_list(&list, &count);
	if (r < 0)
		return r;
	r = -ENXIO;
	for (i = 0; r < 0 && i < 2 * count; i++) {
		const struct dm_volume_status *s = &list[i % count];

		if (!is_called(&s->volume, name, i >= count) ||
		    !look_visible(call_agent(c), call_caller(c), s))
			continue;
		*ret = *s;
		r = 0;
	}
	free(list);
	return r;
}

void look_missing(struct call *c, const char *name, int r)
{
	if (r == -ENXIO)
		call_refuse(c, r, "'%s' is not attached", name);
	else
		call_fail(c, r);
}

json_t *look_describe(struct agent *agent, const struct dm_volume_status *s)
{
	const struct attachment *a = attachments_of(agent->attachments,
						    &s->volume);
	json_t *lease = a ? leases_describe(a) : NULL;
	json_t *o = volume_to_json(s);

	if (json_object_set_new(o, "uid",
				json_integer(look_owner(agent, s))) < 0 ||
	    (lease && json_object_set(o, "lease", lease) < 0)) {
		json_decref(o);
		o = NULL;
	}
	json_decref(lease);
	return o;
}

void method_status(struct call *c)
{
	struct dm_volume_status s;
	const char *name = NULL;
	const struct param params[] = {
		{ "name", PARAM_TEXT, true, &name },
		{ 0 }
	};

	int r;

	if (call_params(c, params) < 0)
		return;
	r = look_find(c, name, &s);
	if (r < 0)
		look_missing(c, name, r);
	else
		call_reply(c, json_pack("{s:o}", "volume",
					look_describe(call_agent(c), &s)));
}

void method_list(struct call *c)
{
	const struct param none[] = { { 0 } };
	struct dm_volume_status *list = NULL;
	json_t *volumes;
	size_t count = 0;
	size_t i;
	int r;

	if (call_params(c, none) < 0)
		return;
	r = dm_volume_list(&list, &count);
	if (r < 0) {
		call_fail(c, r);
		return;
	}
	volumes = json_array();
	for (i = 0; i < count; i++)
		if (look_visible(call_agent(c), call_caller(c), &list[i]) &&
		    json_array_append_new(volumes, look_describe(call_agent(c),
							 &list[i])) < 0)
			r = -ENOMEM;
	free(list);
	if (r < 0) {
		json_decref(volumes);
		volumes = NULL;
	}
	call_reply(c, volumes ? json_pack("{s:o}", "volumes", volumes) : NULL);
}
