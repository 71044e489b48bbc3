// SPDX-License-Identifier: GPL-2.0-or-later
/* The client's end of the agent's socket. */
#include "agent_client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "log.h"
#include "varlink.h"

#define ANSWER_MAX_BYTES (16u << 20)	/* a list of many volumes */

struct agent_client {
	struct varlink *link;
	const char *socket;
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	[STATUS_FAILED] = { "Failed", -EIO },
	[STATUS_USAGE] = { "InvalidRequest", -EINVAL },
	[STATUS_DENIED] = { "Denied", -EACCES },
	[STATUS_UNREACHABLE] = { "Unreachable", -EHOSTUNREACH },
	[STATUS_NO_HEADER] = { "NoHeader", -ENODATA },
	[STATUS_TAMPERED] = { "Tampered", -EBADMSG },
	[STATUS_BUSY] = { "Busy", -EBUSY },
	[STATUS_NOT_ATTACHED] = { "NotAttached", -ENXIO },
	[STATUS_NO_MODULE] = { "NoModule", -ENOPKG },
	[STATUS_LOCKED] = { "Locked", -EKEYREVOKED },
};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))

const char *agent_error_name(enum envelope_status status)
{
	return (size_t)status < ERRORS ? errors[status].name : NULL;
}

int agent_errno(enum envelope_status status)
{
	return (size_t)status < ERRORS ? errors[status].error : -EIO;
}

int agent_explain_missing(const char *socket)
{
	log_error("no agent answers at %s: start it with 'systemctl start envelope-agent.socket', or use --direct, which asks the KMS with your own credentials",
		  socket ? socket : AGENT_SOCKET);
	return -EHOSTUNREACH;
}

static int connect_error(const char *path, int code)
{
	if (code == ENOENT || code == ECONNREFUSED)
		return -ENOENT;
	if (code == EACCES || code == EPERM) {
		log_error("%s: permission denied: only root and the group 'envelope' may ask the agent",
			  path);
		return -EACCES;
	}
	log_error("%s: cannot connect to the agent: %s", path, strerror(code));
	return -EHOSTUNREACH;
}

int agent_connect(const char *path, struct agent_client **ret)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct agent_client *c;
	int fd;
	int r;

	path = path ? path : AGENT_SOCKET;
	if (strlen(path) >= sizeof(sa.sun_path))
		return connect_error(path, ENAMETOOLONG);
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return connect_error(path, errno);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		r = connect_error(path, errno);
		close(fd);
		return r;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->socket = path;
	r = varlink_new(fd, ANSWER_MAX_BYTES, AGENT_MAX_MESSAGE_BYTES, &c->link);
	if (r < 0)
		free(c);
	else
		*ret = c;
	return r;
}

void agent_disconnect(struct agent_client *c)
{
	if (!c)
		return;
	varlink_free(c->link);
	free(c);
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Until @events, or -ETIMEDOUT. */
static int await(struct agent_client *c, short events, long long deadline_ms)
{
	struct pollfd p = { varlink_fd(c->link), events, 0 };
	long long left = deadline_ms - now_ms();
	int n;

	if (left <= 0)
		return -ETIMEDOUT;
	n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
	return n < 0 && errno != EINTR ? -errno : 0;
}

static long long deadline(unsigned int timeout_ms)
{
	return timeout_ms == AGENT_FOREVER ? LLONG_MAX : now_ms() + timeout_ms;
}

static int exchange(struct agent_client *c, long long deadline_ms,
		    json_t **ret)
{
	char why[JSON_WHY_BYTES] = "";
	int r = 0;

	while (r == 0 && varlink_pending(c->link)) {
		r = varlink_write(c->link);
		if (r == -EAGAIN)
			r = await(c, POLLOUT, deadline_ms);
	}
	while (r == 0) {
		r = varlink_next(c->link, ret, why);
		if (r != -EAGAIN)
			break;
		r = varlink_read(c->link);
		if (r == -EAGAIN)
			r = await(c, POLLIN, deadline_ms);
	}
	if (r == 0 || r == -ENOMEM)
		return r;
	if (r == -EBADMSG)
		log_error("the agent at %s answers with what is no Varlink: %s",
			  c->socket, why);
	else if (r == -ETIMEDOUT)
		log_error("the agent at %s does not answer in time",
			  c->socket);
	else
		log_error("the agent at %s has ended the connection: 'journalctl -u envelope-agent' says more",
			  c->socket);
	return -EHOSTUNREACH;
}

/* An error's name, with its sentence if it has one. */
static int take_error(const char *name, const json_t *parameters)
{
	static const char prefix[] = AGENT_INTERFACE ".";
	const char *message;
	size_t i;

	if (json_get_string(parameters, "message", &message) < 0)
		message = name;
	log_error("%s", message);
	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return strcmp(name, "org.varlink.service.InvalidParameter") ?
		       -EIO : -EINVAL;
	for (i = 0; i < ERRORS; i++)
		if (errors[i].name &&
		    strcmp(errors[i].name, name + strlen(prefix)) == 0)
			return errors[i].error;
	return -EIO;
}

/* The parameters of @answer, or its error; an object, a new reference. */
static int take_answer(const json_t *answer, json_t **ret)
{
	json_t *got = json_incref(json_object_get(answer, "parameters"));
	const char *name;
	int r = 0;

	if (!json_is_object(got)) {
		json_decref(got);
		got = json_object();
	}
	if (json_get_string(answer, "error", &name) == 0) {
		r = take_error(name, got);
		json_decref(got);
	} else {
		*ret = got;
	}
	return r;
}

static int ask(struct agent_client *c, const char *method, json_t *parameters,
	       const int *fds, size_t count, bool more)
{
	char full[128];

	/* What has a dot names its interface itself. */
	if (strchr(method, '.'))
		snprintf(full, sizeof(full), "%s", method);
	else
		snprintf(full, sizeof(full), "%s.%s", AGENT_INTERFACE, method);
	return varlink_queue(c->link, json_pack("{s:s, s:o, s:b}", "method",
						full, "parameters",
						parameters ? parameters :
							     json_object(),
						"more", (int)more),
			     fds, count);
}

int agent_call(struct agent_client *c, const char *method, json_t *parameters,
	       const int *fds, size_t count, unsigned int timeout_ms,
	       json_t **ret)
{
	json_t *answer = NULL;
	int r;

	r = ask(c, method, parameters, fds, count, false);
	if (r == 0)
		r = exchange(c, deadline(timeout_ms), &answer);
	if (r == 0)
		r = take_answer(answer, ret);
	json_decref(answer);
	return r;
}

int agent_call_more(struct agent_client *c, const char *method,
		    json_t *parameters, const int *fds, size_t count,
		    unsigned int timeout_ms,
		    int (*each)(void *user, const json_t *parameters),
		    void *user, json_t **ret)
{
	long long deadline_ms = deadline(timeout_ms);
	json_t *answer = NULL, *got = NULL;
	bool more = true;
	int r;

	r = ask(c, method, parameters, fds, count, true);
	while (r == 0 && more) {
		r = exchange(c, deadline_ms, &answer);
		if (r == 0)
			r = take_answer(answer, &got);
		more = r == 0 && json_is_true(json_object_get(answer,
							      "continues"));
		json_decref(answer);
		answer = NULL;
		if (more) {
			r = each(user, got);
			json_decref(got);
			got = NULL;
		}
	}
	if (r == 0)
		*ret = got;
	else
		json_decref(got);
	return r;
}
