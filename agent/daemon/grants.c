// SPDX-License-Identifier: GPL-2.0-or-later
/* Who holds which grant, and the retiring of those that nobody holds. */
#include "grants.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "conf.h"
#include "grant_json.h"
#include "grant_journal.h"
#include "grant_send.h"
#include "json.h"
#include "log.h"
#include "messages.h"
#include "worker.h"

/* A KMS that cannot be reached is asked again, ever less often. */
#define AGAIN_FIRST_SECONDS 30u
#define AGAIN_MOST_SECONDS 3600u

struct grant_hold {
	struct grant_entry entry;
	char *body;
	size_t slot;
	bool written;		/* in the journal */
	struct grant_hold *next;
};

static struct grant_hold *holds;

/* The retiring under way. */
static struct {
	struct worker *worker;		/* NULL: none */
	sd_event_source *timer;
	unsigned int again_seconds;	/* 0: the last one was done */
	bool once_more;			/* something ended meanwhile */
	bool complete;			/* all grants were listed */
	json_t *found;			/* they */
} tidy;

/* One name for this installation, which tells nothing else about it. */
static int host_name(char ret[static GRANT_HOST_BYTES])
{
	static const sd_id128_t ours = SD_ID128_MAKE(
		6e, 2b, 0c, 51, 9d, 3f, 4a, 17, 8c, 60, d4, 75, 1e, a9, b3, 28);
	sd_id128_t id;
	int r = sd_id128_get_machine_app_specific(ours, &id);

	if (r < 0) {
		log_error("/etc/machine-id: %s: grants of this host cannot be named; run systemd-machine-id-setup",
			  strerror(-r));
		return -EIO;
	}
	sd_id128_to_string(id, ret);
	return 0;
}

static int load_conf(const struct agent *agent, struct conf **ret)
{
	struct conf_overrides overrides = { .config = agent->config_path };

	return conf_load(&overrides, ret);
}

/* The slot that will be asked first: of a provider that has grants. */
static int choose_slot(const struct header *h, size_t *ret)
{
	size_t i;

	for (i = 0; i < header_slot_count(h); i++) {
		if (strcmp(header_slot_get(h, i).provider,
			   HEADER_PROVIDER_AWS) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

static int make_hold(const struct conf *conf, const struct header *h,
		     size_t slot, struct grant_hold **ret)
{
	struct grant_hold *hold = calloc(1, sizeof(*hold));
	char host[GRANT_HOST_BYTES];
	int r = hold ? host_name(host) : -ENOMEM;

	if (r == 0)
		r = grant_offer(conf, host, h, slot, &hold->entry,
				&hold->body);
	if (r < 0) {
		free(hold);
		return r;
	}
	hold->slot = slot;
	hold->next = holds;
	holds = hold;
	*ret = hold;
	return 0;
}

int grants_offer(struct agent *agent, const struct header *h,
		 const char *device, struct grant_hold **ret)
{
	const struct conf_region *region;
	struct conf *conf = NULL;
	size_t slot;
	int r;

	*ret = NULL;
	/* That no slot can be used is for the worker to say. */
	if (choose_slot(h, &slot) < 0)
		return 0;
	r = load_conf(agent, &conf);
	if (r == 0)
		r = conf_allow_key(conf, header_slot_get(h, slot).key_id,
				   &region);
	if (r == 0 && region->host_principal)
		r = make_hold(conf, h, slot, ret);
	if (r == -ENOMEM)
		log_error("'%s': out of memory", device);
	conf_free(conf);
	return r;
}

/* The name's random part: who knows it was told by us. */
static const char *nonce_of(const struct grant_hold *hold)
{
	return strrchr(hold->entry.name, '-') + 1;
}

json_t *grants_describe(const struct grant_hold *hold)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:s}",
			 "nonce", nonce_of(hold),
			 "volume_id", hold->entry.volume_id,
			 "key_arn", hold->entry.key_arn,
			 "slot", (int)hold->slot, "body", hold->body);
}

bool grants_awaits(const struct grant_hold *hold, const char *nonce)
{
	return hold && !hold->written && strcmp(nonce_of(hold), nonce) == 0;
}

int grants_signed(struct grant_hold *hold, json_t *signature, json_t **ret)
{
	json_t *request = json_pack("{s:o, s:s, s:o}", "entry",
				    grant_to_json(&hold->entry), "body",
				    hold->body, "signature", signature);
	int r;

	if (!request)
		return -ENOMEM;
	r = grant_journal_put(&hold->entry);
	if (r < 0) {
		json_decref(request);
		return r;
	}
	hold->written = true;
	*ret = request;
	return 0;
}

bool grants_sent(const struct grant_hold *hold)
{
	return hold && hold->written;
}

int grants_made(struct grant_hold *hold, const char *id)
{
	snprintf(hold->entry.id, sizeof(hold->entry.id), "%s", id);
	return grant_journal_put(&hold->entry);
}

void grants_refused(struct grant_hold *hold)
{
	if (hold->written && grant_journal_drop(hold->entry.name) == 0)
		hold->written = false;
}

int grants_cover(struct agent *agent, const struct header *header,
		 size_t slot, const struct grant_hold *hold,
		 const char *device)
{
	const struct header_slot s = header_slot_get(header, slot);
	const struct conf_region *region;
	struct conf *conf = NULL;
	int r;

	if ((hold && hold->slot == slot) ||
	    strcmp(s.provider, HEADER_PROVIDER_AWS) != 0)
		return 0;
	r = load_conf(agent, &conf);
	if (r == 0)
		r = conf_allow_key(conf, s.key_id, &region);
	if (r == 0 && region->host_principal) {
		log_error("'%s': key %s answered, but who attaches it was to sign for another slot; attach it again when that one's KMS answers",
			  device, s.key_id);
		r = -EACCES;
	}
	conf_free(conf);
	return r;
}

int grants_keep(const struct grant_hold *hold, struct attachment *a)
{
	if (!hold)
		return 0;
	return json_object_set_new(a->more, GRANTS_MORE,
				   json_string(hold->entry.name)) < 0 ?
	       -ENOMEM : 0;
}

void grants_release(struct agent *agent, struct grant_hold *hold)
{
	struct grant_hold **at = &holds;
	bool written;

	if (!hold)
		return;
	while (*at && *at != hold)
		at = &(*at)->next;
	if (*at)
		*at = hold->next;
	written = hold->written;
	free(hold->body);
	free(hold);
	if (written)
		grants_tidy(agent);
}

/* By an attach under way, or by a volume that is attached. */
static bool is_wanted(const struct agent *agent, const char *name)
{
	const struct grant_hold *hold;
	const struct attachment *a;
	const char *kept;

	for (hold = holds; hold; hold = hold->next)
		if (strcmp(hold->entry.name, name) == 0)
			return true;
	for (a = attachments_first(agent->attachments); a; a = a->next)
		if (json_get_string(a->more, GRANTS_MORE, &kept) == 0 &&
		    strcmp(kept, name) == 0)
			return true;
	return false;
}

static int append_unwanted(const struct agent *agent, json_t *list,
			   const struct grant_entry *e)
{
	if (!e->id[0] || is_wanted(agent, e->name))
		return 0;
	return json_array_append_new(list, grant_to_json(e)) < 0 ? -ENOMEM : 0;
}

/* What the journal knows, and what the KMS has shown: some of it twice. */
static int choose_retired(const struct agent *agent, const json_t *found,
			  json_t *list)
{
	struct grant_entry *entries = NULL, e;
	const json_t *o;
	size_t count = 0, i;
	int r;

	r = grant_journal_read(&entries, &count);
	for (i = 0; i < count && r == 0; i++)
		r = append_unwanted(agent, list, &entries[i]);
	free(entries);
	if (r < 0)
		return r;
	json_array_foreach(found, i, o)
		if (r == 0 && grant_from_json(o, &e) == 0)
			r = append_unwanted(agent, list, &e);
	return r;
}

static void try_again(struct agent *agent);

static void finish(struct agent *agent, bool done)
{
	worker_free(tidy.worker);
	tidy.worker = NULL;
	json_decref(tidy.found);
	tidy.found = NULL;
	if (!done) {
		try_again(agent);
		return;
	}
	tidy.again_seconds = 0;
	if (tidy.once_more)
		grants_tidy(agent);
}

static void on_listed(void *data, const json_t *o)
{
	struct agent *agent = data;
	json_t *list = json_array();
	int complete = 0;
	int r = list ? 0 : -ENOMEM;

	(void)json_get_bool(o, "complete", &complete);
	tidy.complete = complete;
	tidy.found = json_incref(json_object_get(o, "grants"));
	if (r == 0)
		r = choose_retired(agent, tidy.found, list);
	if (r == 0)
		worker_retire(tidy.worker, list);
	else
		json_decref(list);
	if (r < 0)
		finish(agent, false);
}

static bool is_named(const json_t *names, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach(names, i, one)
		if (json_is_string(one) &&
		    strcmp(json_string_value(one), name) == 0)
			return true;
	return false;
}

static bool is_found(const char *name)
{
	struct grant_entry e;
	const json_t *o;
	size_t i;

	json_array_foreach(tidy.found, i, o)
		if (grant_from_json(o, &e) == 0 && strcmp(e.name, name) == 0)
			return true;
	return false;
}

/*
 * Strike out what is retired, and what a complete list does not show: it never
 * was, or somebody else has ended it. False: some are left.
 */
static bool strike_out(const struct agent *agent, const json_t *retired)
{
	struct grant_entry *entries = NULL;
	size_t count = 0, i;
	bool all = true;

	if (grant_journal_read(&entries, &count) < 0)
		return false;
	for (i = 0; i < count; i++) {
		const struct grant_entry *e = &entries[i];

		if (is_wanted(agent, e->name))
			continue;
		/* Ended since the list was made: it is none of that list. */
		if (!is_named(retired, e->name) && tidy.once_more)
			continue;
		if (!is_named(retired, e->name) &&
		    (!tidy.complete || is_found(e->name)))
			all = false;
		else if (grant_journal_drop(e->name) < 0)
			all = false;
	}
	free(entries);
	return all;
}

static void on_retired(void *data, const json_t *o)
{
	struct agent *agent = data;
	bool all = strike_out(agent, json_object_get(o, "names"));

	finish(agent, all && tidy.complete);
}

static void on_failed(void *data, int r)
{
	(void)r;
	finish(data, false);
}

/* Without a grant that is or was, nobody need be asked. */
static bool is_needed(const struct agent *agent)
{
	const struct conf_region *region;
	struct grant_entry *entries = NULL;
	struct conf *conf = NULL;
	size_t count = 0, i;
	bool needed;

	if (grant_journal_read(&entries, &count) < 0)
		return false;
	free(entries);
	needed = count > 0;
	if (load_conf(agent, &conf) < 0)
		return needed;
	for (i = 0; (region = conf_region_at(conf, i)); i++)
		needed |= region->host_principal != NULL;
	conf_free(conf);
	return needed;
}

static int start(struct agent *agent)
{
	static const struct worker_events events = {
		.listed = on_listed,
		.retired = on_retired,
		.failed = on_failed,
	};
	char host[GRANT_HOST_BYTES], prefix[GRANT_NAME_BYTES];
	struct worker_request request = {
		.name = "grants",
		.device_fd = -1,
		.header_fd = -1,
		.grant_prefix = prefix,
	};
	int r = host_name(host);

	if (r == 0)
		r = grant_prefix(host, prefix);
	if (r == 0)
		r = worker_start(agent, &request, &events, agent,
				 &tidy.worker);
	return r;
}

static int on_time(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source;
	(void)usec;
	tidy.timer = sd_event_source_disable_unref(tidy.timer);
	grants_tidy(data);
	return 0;
}

static void try_again(struct agent *agent)
{
	unsigned int s = 2 * tidy.again_seconds;

	s = s < AGAIN_FIRST_SECONDS ? AGAIN_FIRST_SECONDS : s;
	s = s > AGAIN_MOST_SECONDS ? AGAIN_MOST_SECONDS : s;
	tidy.again_seconds = s;
	tidy.timer = sd_event_source_disable_unref(tidy.timer);
	log_warn("not all grants that nobody needs could be retired: retrying in %u s",
		 s);
	if (sd_event_add_time_relative(agent->event, &tidy.timer,
				       CLOCK_BOOTTIME, s * 1000000ull, 0,
				       on_time, agent) < 0)
		log_warn("out of memory: grants are retired at the next start");
}

void grants_tidy(struct agent *agent)
{
	tidy.once_more = tidy.worker != NULL;
	if (tidy.worker)
		return;
	if (is_needed(agent) && start(agent) < 0)
		try_again(agent);
}

void grants_stop(void)
{
	worker_free(tidy.worker);
	tidy.worker = NULL;
	json_decref(tidy.found);
	tidy.found = NULL;
	tidy.timer = sd_event_source_disable_unref(tidy.timer);
}
