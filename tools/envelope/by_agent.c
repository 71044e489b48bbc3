// SPDX-License-Identifier: GPL-2.0-or-later
/* Verbs that the agent does for us. */
#include "by_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "grant_send.h"
#include "json.h"
#include "log.h"

int by_agent_connect(struct by_agent *b)
{
	int r;

	if (b->direct)
		return 1;
	r = agent_connect(b->socket, &b->client);
	if (r != -ENOENT)
		return r;
	/* A rescue shell has no agent, and root needs none. */
	if (geteuid() == 0 && !b->socket)
		return 1;
	return agent_explain_missing(b->socket);
}

const char *by_agent_name(const char *name)
{
	static const char folder[] = "/dev/mapper/";

	return strncmp(name, folder, strlen(folder)) == 0 ?
	       name + strlen(folder) : name;
}

void by_agent_close(struct by_agent *b)
{
	agent_disconnect(b->client);
	b->client = NULL;
}

int by_agent_call(struct by_agent *b, const char *method, json_t *parameters,
		  json_t **ret)
{
	return agent_call(b->client, method, parameters, NULL, 0,
			  BY_AGENT_SECONDS * 1000, ret);
}

static int open_error(const char *path, int code)
{
	log_error("'%s': cannot open it: %s", path, strerror(code));
	return code == ENOENT || code == ENOMEM ? -code : -EIO;
}

/*
 * A device that root alone can open may be one whose link the policy names:
 * then *@fd_ret stays -1.
 */
static int open_device(const char *path, int *fd_ret)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	/* What is read-only is passed so, and root may have it attached. */
	if (fd < 0 && errno == EROFS)
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && (errno == EACCES || errno == EPERM) && path[0] == '/')
		return 0;
	if (fd < 0)
		return open_error(path, errno);
	*fd_ret = fd;
	return 0;
}

static int open_header(const char *path, int *fd_ret)
{
	int fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;

	if (path && fd < 0)
		return open_error(path, errno);
	*fd_ret = fd;
	return 0;
}

static json_t *compose(const struct volume_attach_options *o, bool passed,
		       bool header)
{
	json_t *p = json_pack("{s:s?, s:b, s:b, s:s, s:b}", "name", o->name,
			      "read_only", o->read_only,
			      "allow_discards", o->allow_discards, "on_lock",
			      o->on_lock == DM_ON_LOCK_ERROR ? "error" :
							       "queue",
			      "dry_run", o->dry_run);
	int r = p ? 0 : -1;

	if (r == 0 && passed)
		r = json_object_set_new(p, "device_fd", json_integer(0));
	else if (r == 0)
		r = json_object_set_new(p, "link", json_string(o->device));
	if (r == 0 && header)
		r = json_object_set_new(p, "header_fd",
					json_integer(passed ? 1 : 0));
	if (r < 0)
		json_decref(p);
	return r < 0 ? NULL : p;
}

static void print_warnings(const json_t *answer)
{
	json_t *list = json_object_get(answer, "warnings");
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		log_warn("%s", json_string_value(one));
}

struct signing {
	struct by_agent *b;
	const struct volume_attach_options *options;
};

/* On a connection of its own: this one waits for the attach. */
static int send_signature(struct by_agent *b, const char *nonce,
			  json_t *signature)
{
	struct agent_client *client = NULL;
	json_t *unused = NULL;
	int r;

	r = json_object_set_new(signature, "nonce", json_string(nonce)) < 0 ?
	    -ENOMEM : agent_connect(b->socket, &client);
	if (r == -ENOENT)
		r = agent_explain_missing(b->socket);
	if (r == 0)
		r = agent_call(client, "Sign", json_incref(signature), NULL,
			       0, BY_AGENT_SECONDS * 1000, &unused);
	json_decref(unused);
	agent_disconnect(client);
	return r;
}

/* Root's file alone says where, but the credentials are the caller's. */
static int sign(const struct volume_attach_options *o, const struct volume *v,
		const json_t *grant, json_t **ret)
{
	struct conf_overrides overrides = { .signer = true };
	struct conf *conf = NULL;
	const char *body;
	uint64_t slot;
	int r;

	if (json_get_string(grant, "body", &body) < 0 ||
	    json_get_u64(grant, "slot", 0, header_slot_count(v->header) - 1,
			 &slot) < 0) {
		log_error("'%s': the agent wants something signed that is no grant for a slot of its header",
			  o->device);
		return -EBADMSG;
	}
	r = conf_load(&overrides, &conf);
	if (r == 0)
		r = grant_answer(conf, o->device, v->header, slot, body, ret);
	conf_free(conf);
	return r;
}

/* What the agent asks while it attaches: the header is read here anew. */
static int on_question(void *user, const json_t *parameters)
{
	const struct signing *s = user;
	const struct volume_attach_options *o = s->options;
	struct volume v = VOLUME_CLOSED;
	json_t *signature = NULL;
	const char *nonce;
	json_t *grant;
	int r;

	if (json_get_object(parameters, "grant", &grant) < 0 ||
	    json_get_string(grant, "nonce", &nonce) < 0) {
		log_error("'%s': the agent asks what this version does not know",
			  o->device);
		return -EIO;
	}
	r = volume_open(o->device, o->header_path, 0, &v);
	if (r == 0)
		r = sign(o, &v, grant, &signature);
	if (r == 0)
		r = send_signature(s->b, nonce, signature);
	json_decref(signature);
	volume_close(&v);
	return r;
}

int by_agent_attach(struct by_agent *b, const struct volume_attach_options *o,
		    json_t **ret)
{
	struct signing signing = { b, o };
	int device = -1, header = -1;
	json_t *parameters;
	int fds[2];
	size_t n = 0;
	int r;

	r = open_device(o->device, &device);
	if (r == 0)
		r = open_header(o->header_path, &header);
	if (r < 0)
		goto out;
	if (device >= 0)
		fds[n++] = device;
	if (header >= 0)
		fds[n++] = header;
	parameters = compose(o, device >= 0, header >= 0);
	if (!parameters) {
		log_error("'%s': no UTF-8, or out of memory",
			  o->name ? o->name : o->device);
		r = -EINVAL;
		goto out;
	}
	r = agent_call_more(b->client, "Attach", parameters, fds, n,
			    BY_AGENT_SECONDS * 1000, on_question, &signing,
			    ret);
	if (r == 0)
		print_warnings(*ret);
out:
	if (device >= 0)
		close(device);
	if (header >= 0)
		close(header);
	return r;
}
