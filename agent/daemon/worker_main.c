// SPDX-License-Identifier: GPL-2.0-or-later
/* The worker's side: read the header, ask the KMS, hand the DEK over. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "json.h"
#include "known.h"
#include "log.h"
#include "sandbox.h"
#include "secret_pass.h"
#include "status.h"
#include "varlink.h"
#include "volume.h"
#include "worker.h"
#include "worker_grants.h"

/* One a process, for the log's hook. */
static struct varlink *line;

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
};

static int receive_start(struct start *s)
{
	uint64_t timeout_ms;
	int header_file;
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
	    json_get_bool(s->message, "header_file", &header_file) < 0)
		return -EBADMSG;
	s->access.timeout_ms = timeout_ms;
	s->header_file = header_file;
	(void)json_get_string(s->message, "grant_prefix", &s->grant_prefix);
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
	char uuid[2 * HEADER_UUID_BYTES + 1];
	size_t i;

	for (i = 0; i < HEADER_UUID_BYTES; i++)
		snprintf(uuid + 2 * i, 3, "%02x",
			 header_core(v->header)->uuid[i]);
	return send_message(json_pack(
		"{s:{s:O, s:O, s:s}}", "header",
		"core", header_core_json(v->header),
		"slots", header_slots_json(v->header), "uuid", uuid));
}

/* Until root says that the KMS may be asked for the DEK; a grant is before. */
static int await_unwrap(struct volume_kms *k)
{
	json_t *message, *request, *answer;
	bool go = false;
	int r = 0;

	while (r == 0 && !go) {
		message = answer = NULL;
		r = receive_any(&message);
		go = r == 0 && json_object_get(message, "unwrap");
		if (r == 0 && !go &&
		    json_get_object(message, "grant", &request) < 0)
			r = -EBADMSG;
		if (r == 0 && !go) {
			r = worker_grants_send(k, request, &answer);
			if (send_message(answer) < 0)
				r = r < 0 ? r : -EPIPE;
		}
		json_decref(message);
	}
	return r;
}

static int unwrap(struct volume *v, struct volume_kms *k)
{
	struct secret *dek = NULL;
	size_t slot = 0;
	int r;

	r = await_unwrap(k);
	if (r == 0)
		r = volume_unwrap_with(v, k, &slot, &dek);
	if (r == 0)
		r = secret_page_put(WORKER_FD_PAGE, dek);
	if (r == 0)
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
	if (r == 0)
		r = tell_header(&v);
	if (r == 0)
		r = unwrap(&v, k);
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
		r = sandbox_enter(k.conf, s.aws_dir, s.known_dir);
	if (r == 0)
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
	log_set_hook(send_log);
	r = work();
	log_set_hook(NULL);
	if (r < 0)
		send_message(json_pack("{s:i}", "failed",
				       (int)status_from_errno(r)));
	varlink_free(line);
	return status_from_errno(r);
}
