// SPDX-License-Identifier: GPL-2.0-or-later
/* One lease: the question to the KMS, and what its answer does to the volume. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "json.h"
#include "keyring.h"
#include "leases_private.h"
#include "log.h"
#include "messages.h"
#include "volume.h"

#define CHECK_MIN_MS 10000u

void held_forget_token(struct held *h)
{
	free(h->grant_token);
	h->grant_token = NULL;
}

static void tell(const struct held *h, const char *name, bool failed,
		 const char *cause)
{
	const struct attachment *a = held_attachment(h);

	events_tell(&(struct event){
		.name = name, .failed = failed, .cause = cause,
		.routine = !failed && strcmp(name, EVENT_RENEW) == 0,
		.volume_id = h->volume_id, .device = h->name,
	}, a ? a->uid : 0);
}

static void answer(struct held *h, int r, const char *why)
{
	const struct lease_terms *terms = &h->lease.terms;
	struct renewal *done;

	held_record_renewals(h, r, why);
	while ((done = h->renewals)) {
		struct call *c = done->call;

		h->renewals = done->next;
		free(done);
		if (r < 0)
			call_refuse(c, r, "'%s': %s", h->name, why);
		else
			call_reply(c, json_pack(
				"{s:s, s:s, s:I, s:I}", "name", h->name,
				"volume_id", h->volume_id, "lease",
				(json_int_t)(terms->lease_ms / 1000), "grace",
				(json_int_t)(terms->grace_ms / 1000)));
	}
}

void held_give_up(struct held *h, int r, const char *why)
{
	worker_free(h->worker);
	h->worker = NULL;
	answer(h, r, why);
}

void held_locked(struct held *h, const char *cause)
{
	h->must_lock = false;
	lease_lock(&h->lease);
	held_forget_token(h);
	snprintf(h->message, sizeof(h->message), "%s", cause);
	log_warn("'%s' is locked: %s", h->name, cause);
	tell(h, EVENT_LOCK, false, cause);
	held_give_up(h, -EKEYREVOKED, "it is locked meanwhile");
}

void held_lock(struct held *h)
{
	struct dm_volume_status s, after;
	char why[sizeof(h->message)];
	int r;

	snprintf(why, sizeof(why), "%s", h->message);
	r = dm_volume_status_get(h->name, &s);
	if (r == 0 && strcmp(s.volume.uuid, h->uuid) == 0)
		r = volume_end_key(&s, &after);
	h->must_lock = r < 0 && r != -ENXIO;
	if (h->must_lock) {
		log_error("'%s': the KMS denies its key, but it cannot be locked: trying again",
			  h->name);
		return;
	}
	log_error("'%s' is locked: the KMS denies its key, asked twice: %s",
		  h->name, why);
	held_forget_token(h);
	held_record_lock(h, why[0] ? why : "the KMS denies its key");
	tell(h, EVENT_LOCK, false, why[0] ? why : "the KMS denies its key");
	answer(h, -EACCES, "it is locked: the KMS denies its key, asked twice");
}

static const char *first_key(const json_t *header)
{
	const json_t *slots = json_object_get(json_object_get(header, "slots"),
					      "slots");
	const char *key_id;

	return json_get_string(json_array_get(slots, 0), "key_id",
			       &key_id) == 0 ? key_id : "";
}

/* Its device, and its key, may have gone by other means than the agent. */
static bool still_active(struct held *h)
{
	struct dm_volume_status s;
	int r = dm_volume_status_get(h->name, &s);
	char cause[64];

	if (r == -ENXIO || (r == 0 && strcmp(s.volume.uuid, h->uuid) != 0)) {
		h->gone = true;
		return false;
	}
	/* What cannot be seen now may be there. */
	if (r < 0 || s.state == DM_STATE_ACTIVE)
		return true;
	snprintf(cause, sizeof(cause), "its key is %s", s.reason);
	held_record_lock(h, cause);
	held_locked(h, cause);
	return false;
}

static void answered(struct held *h, enum lease_answer a)
{
	struct lease_actions actions;

	snprintf(h->message, sizeof(h->message), "%s",
		 a == LEASE_GRANTED ? "" : messages_error());
	h->trace = *worker_trace(h->worker);
	worker_free(h->worker);
	h->worker = NULL;
	if (still_active(h)) {
		actions = lease_answered(&h->lease, a, volume_clock_ms(),
					 volume_random());
		held_obey(h, &actions);
	}
	leases_run();
}

static void on_checked(void *data, enum lease_answer a)
{
	answered(data, a);
}

static void on_failed(void *data, int r)
{
	(void)r;
	answered(data, LEASE_UNREACHABLE);
}

/* Long enough for a KMS that is slow, and short enough for another try. */
static unsigned int check_ms(const struct held *h)
{
	uint64_t ms = h->lease.terms.lease_ms / 2;

	if (ms < CHECK_MIN_MS)
		return CHECK_MIN_MS;
	return ms < VOLUME_TIMEOUT_MS ? ms : VOLUME_TIMEOUT_MS;
}

static int start_check(struct held *h, bool with_token)
{
	static const struct worker_events events = {
		.checked = on_checked,
		.failed = on_failed,
	};
	const struct attachment *a = held_attachment(h);
	char lane[WORKER_LANE_BYTES];
	struct worker_request request = {
		.name = h->name,
		.device_fd = -1,
		.header_fd = -1,
		.timeout_ms = check_ms(h),
		.lane = lane,
	};

	/* A KMS that has refused it once does not know it later. */
	if (!with_token)
		held_forget_token(h);
	request.grant_token = h->grant_token;
	held_look_for_audit(h);
	h->trace = (struct kms_trace){ .result = 0 };
	request.check = a ? json_object_get(a->more, LEASES_MORE_HEADER) :
			    NULL;
	if (!json_is_object(request.check)) {
		log_error("'%s': nothing is remembered of its header", h->name);
		return -EIO;
	}
	worker_print_lane("", first_key(request.check), lane);
	return worker_start(h->agent, &request, &events, h, &h->worker);
}

static void ask(struct held *h, bool with_token)
{
	struct lease_actions actions;

	if (start_check(h, with_token) == 0)
		return;
	actions = lease_answered(&h->lease, LEASE_UNREACHABLE,
				 volume_clock_ms(), volume_random());
	held_obey(h, &actions);
}

static void renewed(struct held *h, uint64_t timeout_ms)
{
	int r = keyring_set_timeout(h->volume_id, timeout_ms);

	if (r < 0) {
		snprintf(h->message, sizeof(h->message), "%s",
			 messages_error());
		/* A key whose end the target has not seen yet. */
		if (still_active(h)) {
			tell(h, EVENT_RENEW, true, h->message);
			answer(h, r, h->message);
		}
		return;
	}
	held_record_check(h, LEASE_GRANTED, NULL);
	tell(h, EVENT_RENEW, false, NULL);
	answer(h, 0, NULL);
}

static void not_renewed(struct held *h, enum lease_answer a, const char *why)
{
	char cause[sizeof(h->message)];

	snprintf(cause, sizeof(cause), "%s", h->message[0] ? h->message : why);
	held_record_check(h, a, cause);
	tell(h, EVENT_RENEW, true, cause);
}

void held_obey(struct held *h, const struct lease_actions *actions)
{
	switch (actions->event) {
	case LEASE_EVENT_NONE:
		break;
	case LEASE_EVENT_RENEWED:
		renewed(h, actions->timeout_ms);
		break;
	case LEASE_EVENT_DENIED:
		not_renewed(h, LEASE_DENIED, "denied");
		break;
	case LEASE_EVENT_ALARM:
	case LEASE_EVENT_UNREACHABLE:
		not_renewed(h, actions->event == LEASE_EVENT_ALARM ?
			    LEASE_ALARM : LEASE_UNREACHABLE, "no answer");
		answer(h, -EHOSTUNREACH, h->message[0] ? h->message :
		       "the KMS does not answer");
		break;
	case LEASE_EVENT_REVOKED:
		held_lock(h);
		break;
	case LEASE_EVENT_EXPIRED:
		held_record_lock(h, "no grant came in time");
		held_locked(h, "no grant came in time");
		break;
	}
	if (actions->ask)
		ask(h, actions->with_token);
}
