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
#include "leases.h"
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
	uid_t uid;		/* who is to sign it */
	struct worker *worker;	/* that sends it then; NULL: not yet asked */
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

int grants_offer_slot(struct agent *agent, const struct header *h, size_t slot,
		      const char *device, struct grant_hold **ret)
{
	const struct conf_region *region;
	struct conf *conf = NULL;
	int r;

	*ret = NULL;
	if (strcmp(header_slot_get(h, slot).provider, HEADER_PROVIDER_AWS) != 0)
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

int grants_offer(struct agent *agent, const struct header *h,
		 const char *device, struct grant_hold **ret)
{
	size_t slot;

	*ret = NULL;
	/* That no slot can be used is for the worker to say. */
	if (choose_slot(h, &slot) < 0)
		return 0;
	return grants_offer_slot(agent, h, slot, device, ret);
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

void grants_wait(struct grant_hold *hold, uid_t uid, struct worker *w)
{
	hold->uid = uid;
	hold->worker = w;
}

struct grant_hold *grants_unsigned(const char *nonce, uid_t uid,
				   struct worker **ret)
{
	struct grant_hold *hold;

	for (hold = holds; hold; hold = hold->next) {
		if (hold->written || !hold->worker || hold->uid != uid ||
		    strcmp(nonce_of(hold), nonce) != 0)
			continue;
		*ret = hold->worker;
		return hold;
	}
	return NULL;
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

int grants_made(struct grant_hold *hold, const char *id)
{
	snprintf(hold->entry.id, sizeof(hold->entry.id), "%s", id);
	return grant_journal_put(&hold->entry);
}

void grants_refused(struct grant_hold *hold)
{
	/* Nobody waits for a signature any more. */
	hold->worker = NULL;
	if (hold->written && grant_journal_drop(hold->entry.name) == 0)
		hold->written = false;
}

/* Does the key of @slot answer this host without a grant? */
static bool needs_none(const struct conf *conf, const struct header *h,
		       size_t slot)
{
	const struct header_slot s = header_slot_get(h, slot);
	const struct conf_region *region;

	if (strcmp(s.provider, HEADER_PROVIDER_AWS) != 0)
		return true;
	return conf_allow_key(conf, s.key_id, &region) == 0 &&
	       !region->host_principal;
}

int grants_cover(struct agent *agent, const struct header *header,
		 size_t slot, const struct grant_hold *hold,
		 const char *device)
{
	struct conf *conf = NULL;
	int r = load_conf(agent, &conf);

	if (r == 0 && !(hold && hold->slot == slot) &&
	    !needs_none(conf, header, slot)) {
		log_error("'%s': key %s answered, but who attaches it was to sign for another slot; attach it again when that one's KMS answers",
			  device, header_slot_get(header, slot).key_id);
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

/* One, or several since its slots were changed. */
static bool keeps(const struct attachment *a, const char *name)
{
	const json_t *kept = json_object_get(a->more, GRANTS_MORE), *one;
	size_t i;

	json_array_foreach(kept, i, one)
		if (json_is_string(one) &&
		    strcmp(json_string_value(one), name) == 0)
			return true;
	return json_is_string(kept) &&
	       strcmp(json_string_value(kept), name) == 0;
}

static bool names_key(const struct header *h, const char *key_arn)
{
	size_t i;

	for (i = 0; i < header_slot_count(h); i++)
		if (strcmp(header_slot_get(h, i).key_id, key_arn) == 0)
			return true;
	return false;
}

int grants_change(const struct grant_hold *hold, const struct header *header,
		  struct attachment *a)
{
	struct grant_entry *entries = NULL;
	json_t *list = json_array();
	size_t count = 0, i;
	int r;

	r = grant_journal_read(&entries, &count);
	for (i = 0; r == 0 && i < count; i++) {
		const struct grant_entry *e = &entries[i];

		if (!keeps(a, e->name) || !names_key(header, e->key_arn) ||
		    (hold && strcmp(hold->entry.key_arn, e->key_arn) == 0))
			continue;
		if (json_array_append_new(list, json_string(e->name)) < 0)
			r = -ENOMEM;
	}
	free(entries);
	if (r == 0 && hold &&
	    json_array_append_new(list, json_string(hold->entry.name)) < 0)
		r = -ENOMEM;
	if (r == 0 && json_object_set(a->more, GRANTS_MORE, list) < 0)
		r = -ENOMEM;
	if (r == -ENOMEM)
		log_error("out of memory");
	json_decref(list);
	return r;
}

/* Does @a keep one of @entries that is on the key @key_id? */
static bool keeps_one_on(const struct attachment *a,
			 const struct grant_entry *entries, size_t count,
			 const char *key_id)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(entries[i].key_arn, key_id) == 0 &&
		    keeps(a, entries[i].name))
			return true;
	return false;
}

int grants_narrow(struct agent *agent, const struct header *h,
		  struct attachment *a)
{
	json_t *slots = json_object_get(json_object_get(json_object_get(
		a->more, LEASES_MORE_HEADER), "slots"), "slots");
	struct grant_entry *entries = NULL;
	size_t i = json_array_size(slots), count = 0;
	struct conf *conf = NULL;
	int r = 0;

	if (i == 0)
		return 0;
	r = grant_journal_read(&entries, &count);
	if (r == 0)
		r = load_conf(agent, &conf);
	/* That a key is not allowed is nobody's mistake now. */
	log_mute(true);
	while (r == 0 && i-- > 0)
		if (!keeps_one_on(a, entries, count,
				  header_slot_get(h, i).key_id) &&
		    !needs_none(conf, h, i))
			r = json_array_remove(slots, i);
	log_mute(false);
	conf_free(conf);
	free(entries);
	return r;
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

	for (hold = holds; hold; hold = hold->next)
		if (strcmp(hold->entry.name, name) == 0)
			return true;
	for (a = attachments_first(agent->attachments); a; a = a->next)
		if (keeps(a, name))
			return true;
	return false;
}

static int append_unwanted(const struct agent *agent, json_t *list,
			   const struct grant_entry *e)
{
	if (!e->id[0] || is_wanted(agent, e->name) ||
	    json_array_size(list) == WORKER_MAX_GRANTS)
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
	const json_t *names = json_object_get(o, "names");
	bool all = strike_out(agent, names);

	/* It is a matter of some more rounds, and not of waiting. */
	if (json_array_size(names) > 0)
		tidy.again_seconds = 0;
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
