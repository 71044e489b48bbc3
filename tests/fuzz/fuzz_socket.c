// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The agent's socket: its server and its methods, as nobody sees them who has
 * no worker, and clients A and B. The input is lines:
 *
 *   A BYTES		A sends these; $ is the NUL that ends a message
 *   A3 BYTES		the same with so many descriptors
 *   A-			A goes
 *
 * Each answer is a strict object with parameters or an error; when all have
 * gone, no connection and no descriptor is left, and the next client is served.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent.h"
#include "attachments.h"
#include "fuzz_log.h"
#include "grants.h"
#include "json.h"
#include "messages.h"
#include "policy.h"
#include "server.h"

#define NOBODY 65534
#define CLIENTS 2
#define MAX_FDS 8
#define ANSWER_DEPTH 16

static const char policy[] =
	"[uid 65534]\ndevices = passed /dev/fuzz-*\nnames = mine-* vol-*\n";

static struct sockaddr_un address;
static socklen_t address_bytes = sizeof(sa_family_t);
static struct agent agent = {
	.state_dir = "state", .policy_path = "policy",
	.config_path = "envelope.conf", .aws_dir = "aws", .known_dir = "known",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct client {
	int fd;			/* -1: not connected */
	char *heard;		/* since the last NUL */
	size_t used;
};

/* No worker is started: neither a header nor a KMS is looked at here. */
pid_t fork(void)
{
	errno = EAGAIN;
	return -1;
}

static void must(int r)
{
	if (r < 0)
		abort();
}

static void start_agent(void)
{
	char state[] = "/tmp/fuzz-state-XXXXXX";
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* The kernel makes an address without a file. */
	address.sun_family = AF_UNIX;
	must(bind(fd, (struct sockaddr *)&address, address_bytes));
	address_bytes = sizeof(address);
	must(getsockname(fd, (struct sockaddr *)&address, &address_bytes));
	must(listen(fd, 8));
	must(sd_event_new(&agent.event));
	must(policy_parse("policy", policy, strlen(policy), &agent.policy));
	if (!mkdtemp(state))
		abort();
	must(attachments_load(state, &agent.attachments));
	must(rmdir(state));
	must(server_new(&agent, fd, &agent.server));
	messages_start();
}

static void run_loop(void)
{
	while (sd_event_run(agent.event, 0) > 0)
		;
}

static void check_answer(const char *text, size_t len)
{
	char why[JSON_WHY_BYTES];
	json_t *o = NULL;

	if (json_parse_strict(text, len, ANSWER_DEPTH, &o, why) < 0 ||
	    !json_is_object(o) || !json_object_get(o, "parameters"))
		abort();
	json_decref(o);
}

/* All that is there; whole answers are looked at. */
static void hear(struct client *c)
{
	char part[4096];
	ssize_t n;
	char *end;

	while (c->fd >= 0 &&
	       (n = recv(c->fd, part, sizeof(part), MSG_DONTWAIT)) > 0) {
		c->heard = realloc(c->heard, c->used + n);
		if (!c->heard)
			abort();
		memcpy(c->heard + c->used, part, n);
		c->used += n;
		while ((end = memchr(c->heard, '\0', c->used))) {
			check_answer(c->heard, end - c->heard);
			c->used -= end + 1 - c->heard;
			memmove(c->heard, end + 1, c->used);
		}
		run_loop();
	}
}

static void leave(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->heard);
	*c = (struct client){ .fd = -1 };
	run_loop();
}

static void send_bytes(struct client *c, char *text, size_t len, int count)
{
	union {
		char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct iovec iov = { text, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int i;

	if (count > 0) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		for (i = 0; i < count; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int),
			       &fd, sizeof(fd));
	}
	/* Who was thrown out meanwhile finds nobody there. */
	if (sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		i = errno;
	close(fd);
	run_loop();
	hear(c);
}

static void take_line(struct client clients[CLIENTS], char *line, size_t len)
{
	struct client *c;
	int count = 0;
	size_t i;

	if (len < 2 || line[0] < 'A' || line[0] >= 'A' + CLIENTS)
		return;
	c = &clients[line[0] - 'A'];
	if (line[1] == '-') {
		leave(c);
		return;
	}
	if (line[1] >= '0' && line[1] <= '0' + MAX_FDS)
		count = line[1] - '0';
	if (c->fd < 0) {
		c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		must(connect(c->fd, (struct sockaddr *)&address,
			     address_bytes));
		run_loop();
	}
	for (i = 2; i < len; i++)
		if (line[i] == '$')
			line[i] = '\0';
	if (len > 2)
		send_bytes(c, line + 2, len - 2, count);
}

/* The lowest number that is free: as many are open as before, then. */
static int lowest_fd(void)
{
	int fd = fcntl(0, F_DUPFD, 0);

	must(fd);
	close(fd);
	return fd;
}

static void serve_one_more(void)
{
	static char info[] = "A {\"method\": \"org.varlink.service.GetInfo\"}$";
	struct client clients[CLIENTS] = { { .fd = -1 }, { .fd = -1 } };
	char line[sizeof(info)];
	int r;

	memcpy(line, info, sizeof(info));
	take_line(clients, line, strlen(line));
	r = recv(clients[0].fd, line, 1, MSG_DONTWAIT);
	if (r == 0 || clients[0].used > 0)
		abort();
	leave(&clients[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct client clients[CLIENTS] = { { .fd = -1 }, { .fd = -1 } };
	char *text = malloc(bytes + 1);
	char *at = text, *end;
	int before, i;

	if (!text)
		abort();
	memcpy(text, data, bytes);
	text[bytes] = '\n';
	if (!agent.server)
		start_agent();
	/* What a caller may who is not root; and no device here is touched. */
	if (getuid() == 0)
		must(seteuid(NOBODY));
	before = lowest_fd();
	for (; at < text + bytes; at = end + 1) {
		end = memchr(at, '\n', text + bytes + 1 - at);
		take_line(clients, at, end - at);
	}
	for (i = 0; i < CLIENTS; i++)
		leave(&clients[i]);
	serve_one_more();
	if (lowest_fd() != before)
		abort();
	if (getuid() == 0)
		must(seteuid(0));
	free(text);
	return 0;
}
