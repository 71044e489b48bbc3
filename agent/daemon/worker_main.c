// SPDX-License-Identifier: GPL-2.0-or-later
/* The worker's side: read the header, ask the KMS, hand the DEK over. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "event.h"
#include "header_json.h"
#include "json.h"
#include "kms_trace.h"
#include "known.h"
#include "log.h"
#include "sandbox.h"
#include "secret_pass.h"
#include "status.h"
#include "varlink.h"
#include "volume.h"
#include "worker.h"
#include "worker_grants.h"
#include "worker_slots.h"

/* One a process, for the log's hook. */
static struct varlink *line;
static char last_error[2048];
static bool denied;		/* by a KMS */

static int send_message(json_t *o)
{
	struct pollfd p = { varlink_fd(line), POLLOUT, 0 };
	int r = varlink_queue(line, o, NULL, 0);

	while (r == 0) {
		r = varlink_write(line);
		if (r != -EAGAIN)
			break;
		r = poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
	}
	return r;
}

static void send_log(enum log_level level, const char *text)
{
	/* What is no UTF-8 was on standard error, at least. */
	send_message(json_pack("{s:{s:i, s:s}}", "log", "level", (int)level,
			       "text", text));
}

static void on_log(enum log_level level, const char *text)
{
	if (level == LOG_LEVEL_ERROR)
		snprintf(last_error, sizeof(last_error), "%s", text);
	send_log(level, text);
}

static void send_call(const struct kms_trace *t)
{
	send_message(json_pack("{s:{s:s, s:s, s:s, s:s, s:i, s:I}}", "called",
			       "operation", t->operation, "key", t->key,
			       "request_id", t->request_id, "error", t->error,
			       "status", t->result < 0 ?
			       (int)status_from_errno(t->result) : 0,
			       "duration_us", (json_int_t)t->duration_us));
}

/* The next message, a new reference. */
static int receive_any(json_t **ret)
{
	struct pollfd p = { varlink_fd(line), POLLIN, 0 };
	char why[JSON_WHY_BYTES];
	int r;

	while ((r = varlink_next(line, ret, why)) == -EAGAIN) {
		r = varlink_read(line);
		if (r == -EAGAIN)
			r = poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
		if (r < 0)
			return r;
	}
	return r;
}

/* The object called @name of the next message. */
static int receive(const char *name, json_t **ret)
{
	json_t *message = NULL;
	json_t *o;
	int r = receive_any(&message);

	if (r == 0 && json_get_object(message, name, &o) < 0)
		r = -EBADMSG;
	if (r == 0)
		*ret = json_incref(o);
	json_decref(message);
	return r;
}

struct start {
	json_t *message;
	struct volume_access access;
	bool header_file;
	const char *aws_dir;		/* in @message, as those below */
	const char *known_dir;
	const char *grant_prefix;	/* NULL: it reads a header */
	const char *event;		/* NULL: none */
	const char *grant_token;	/* of a check; NULL: none */
	bool check;
};

static int receive_start(struct start *s)
{
	uint64_t timeout_ms;
	int header_file, check;
	int r;

	r = receive("start", &s->message);
	if (r < 0)
		return r;
	if (json_get_string(s->message, "config",
			    &s->access.conf.config) < 0 ||
	    json_get_string(s->message, "aws_dir", &s->aws_dir) < 0 ||
	    json_get_string(s->message, "known_dir", &s->known_dir) < 0 ||
	    json_get_u64(s->message, "timeout_ms", 1, 3600000,
			 &timeout_ms) < 0 ||
	    json_get_bool(s->message, "header_file", &header_file) < 0 ||
	    json_get_bool(s->message, "check", &check) < 0)
		return -EBADMSG;
	s->access.timeout_ms = timeout_ms;
	s->header_file = header_file;
	s->check = check;
	(void)json_get_string(s->message, "grant_prefix", &s->grant_prefix);
	(void)json_get_string(s->message, "event", &s->event);
	(void)json_get_string(s->message, "grant_token", &s->grant_token);
	known_set_dir(s->known_dir);
	/* The agent has made it, and names nothing but files of root's. */
	s->access.conf.environment = true;
	return 0;
}

static int open_volume(const struct start *s, struct volume *ret)
{
	struct device device = DEVICE_CLOSED;
	struct device header = DEVICE_CLOSED;
	int r;

	r = device_adopt(WORKER_FD_DEVICE, &device);
	if (r == 0 && s->header_file)
		r = device_adopt(WORKER_FD_HEADER, &header);
	if (r == 0)
		r = volume_adopt(&device, s->header_file ? &header : NULL, 0,
				 ret);
	device_close(&device);
	device_close(&header);
	return r;
}

static int tell_header(const struct volume *v)
{
	return send_message(json_pack("{s:o}", "header",
				      header_to_json(v->header)));
}

/* Root knows which volume it is. */
static void tell_refusal(const struct event *e)
{
	send_message(json_pack("{s:{s:s, s:s}}", "refused", "cause", e->cause,
			       "key_id", e->key_id));
}

/* In EBS's words, to who attaches; why was printed where it was found. */
static void say_denied(const struct volume *v)
{
	char text[sizeof(last_error) + 256];

	snprintf(text, sizeof(text),
		 "CustomerKeyHasBeenRevoked: volume %s cannot be attached: the encrypted volume was unable to access the KMS key: %s",
		 header_core(v->header)->volume_id, last_error);
	send_log(LOG_LEVEL_ERROR, text);
}

/*
 * Until root says which slot's KMS may be asked for the DEK; a grant is before.
 * The time that the KMS has begins then: the user may have taken his.
 */
static int await_unwrap(const struct start *s, struct volume *v,
			struct volume_kms *k, json_t **order_ret)
{
	json_t *message, *request, *answer, *order;
	uint64_t slot;
	bool go = false;
	int r = 0;

	while (r == 0 && !go) {
		message = answer = NULL;
		r = receive_any(&message);
		go = r == 0 && json_get_object(message, "unwrap", &order) == 0;
		if (go)
			go = json_object_get(order, "slots") ||
			     json_get_u64(order, "slot", 0,
					  HEADER_MAX_SLOTS - 1, &slot) == 0;
		if (go)
			*order_ret = json_incref(order);
		if (r == 0 && !go &&
		    json_get_object(message, "grant", &request) < 0)
			r = -EBADMSG;
		if (r == 0 && !go)
			r = kms_restart(k->kms, s->access.timeout_ms);
		if (r == 0 && !go) {
			r = worker_grants_send(k, request, &answer);
			v->denied = r == -EACCES &&
				    event_is_denial(kms_last_error(k->kms));
			if (send_message(answer) < 0)
				r = r < 0 ? r : -EPIPE;
		}
		json_decref(message);
	}
	return r;
}

/* The DEK goes to root, or, wrapped under another key, nowhere. */
static int follow(struct volume *v, struct volume_kms *k, const json_t *order,
		  size_t *slot_ret, struct secret **dek_ret)
{
	json_t *slots = json_object_get(order, "slots");
	json_t *wish = json_object_get(order, "wrap");
	json_t *answer = NULL;
	int r;

	if (slots)
		return worker_slots_unwrap(v, k, slots, slot_ret, dek_ret);
	*slot_ret = json_integer_value(json_object_get(order, "slot"));
	if (!wish)
		return volume_unwrap_by(v, k, *slot_ret, dek_ret);
	r = worker_slots_wrap(v, k, *slot_ret, wish, &answer);
	return r == 0 ? send_message(answer) : r;
}

static int unwrap(const struct start *s, struct volume *v,
		  struct volume_kms *k)
{
	struct secret *dek = NULL;
	json_t *order = NULL;
	size_t slot = 0;
	int r;

	r = await_unwrap(s, v, k, &order);
	if (r == 0)
		r = follow(v, k, order, &slot, &dek);
	json_decref(order);
	denied = r == -EACCES && v->denied;
	if (denied && s->event)
		say_denied(v);
	if (r == 0 && dek)
		r = secret_page_put(WORKER_FD_PAGE, dek);
	if (r == 0 && dek)
		r = send_message(json_pack("{s:{s:i}}", "unwrapped", "slot",
					   (int)slot));
	secret_free(dek);
	return r;
}

static int end_grants(const struct start *s, struct volume_kms *k)
{
	json_t *o = NULL;
	int r;

	r = send_message(worker_grants_list(k, s->grant_prefix));
	if (r == 0)
		r = receive("retire", &o);
	if (r == 0)
		r = send_message(worker_grants_retire(
			k, json_object_get(o, "grants")));
	json_decref(o);
	return r;
}

static int open_header(const struct start *s, struct volume_kms *k)
{
	struct volume v = VOLUME_CLOSED;
	int r;

	r = open_volume(s, &v);
	v.event = s->event;
	if (r == 0)
		r = tell_header(&v);
	/* Its KMS may outlast the volume, whose device must not be busy. */
	device_let_go(&v.device);
	device_let_go(&v.header_file);
	if (r == 0)
		r = unwrap(s, &v, k);
	volume_close(&v);
	return r;
}

/* By what the header said when the volume was attached or unlocked. */
static int check_lease(const struct start *s, struct volume_kms *k)
{
	struct volume v = VOLUME_CLOSED;
	json_t *o = NULL;
	int r;

	r = receive("header", &o);
	v.device.path = strdup("the header of the attached volume");
	if (r == 0 && !v.device.path)
		r = -ENOMEM;
	if (r == 0)
		r = header_from_json(v.device.path, o, &v.header);
	if (r == 0 && s->grant_token)
		r = kms_use_grant_token(k->kms, s->grant_token);
	if (r == 0)
		r = send_message(json_pack("{s:{s:i}}", "checked", "answer",
					   (int)volume_check_with(&v, k)));
	json_decref(o);
	volume_close(&v);
	return r;
}

static int work(void)
{
	struct start s = { 0 };
	struct volume_kms k = { 0 };
	int r;

	r = receive_start(&s);
	if (r == 0)
		r = volume_kms_open(&s.access, &k);
	if (r == 0)
		kms_forbid_local(k.kms);
	if (r == 0)
		r = sandbox_enter(k.conf, s.aws_dir, s.known_dir);
	if (r == 0 && s.check)
		r = check_lease(&s, &k);
	else if (r == 0)
		r = s.grant_prefix ? end_grants(&s, &k) : open_header(&s, &k);
	volume_kms_close(&k);
	json_decref(s.message);
	return r;
}

int worker_main(void)
{
	int r;

	if (varlink_new(WORKER_FD_SOCKET, WORKER_MAX_BYTES, WORKER_MAX_BYTES,
			&line) < 0)
		return STATUS_FAILED;
	log_set_hook(on_log);
	kms_trace_set_hook(send_call);
	event_set_sink(tell_refusal);
	r = work();
	kms_trace_set_hook(NULL);
	log_set_hook(NULL);
	if (r < 0)
		send_message(json_pack("{s:i, s:b}", "failed",
				       (int)status_from_errno(r),
				       "denied", denied));
	varlink_free(line);
	return status_from_errno(r);
}
