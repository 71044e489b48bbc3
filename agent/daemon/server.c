// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections of clients: who they are, their messages, their limits. */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent_client.h"
#include "call.h"
#include "log.h"
#include "messages.h"

#define MAX_PEERS 512
#define MAX_PEERS_OF_ONE 32	/* of one user but root */
#define MAX_WAITING_BYTES (16u << 20)	/* answers that nobody reads */

struct server {
	struct agent *agent;
	sd_event_source *io;
	int fd;
	struct peer *peers;
};

static void peer_free(struct peer *p)
{
	if (p->call)
		call_abandon(p->call);
	sd_event_source_disable_unref(p->io);
	sd_event_source_disable_unref(p->later);
	*p->link_at = p->next;
	if (p->next)
		p->next->link_at = p->link_at;
	varlink_free(p->link);
	free(p->who.groups);
	free(p);
}

void peer_send(struct peer *p, json_t *o)
{
	/* Who does not read is let go, rather than remembered for ever. */
	if (varlink_queue(p->link, o, NULL, 0) < 0)
		p->broken = true;
}

static void complain(const struct peer *p, const char *why)
{
	log_warn("process %d of user %u: %s: connection closed",
		 (int)p->who.pid, (unsigned int)p->who.uid, why);
}

/* One message. False: there is none, or the connection is over. */
static bool serve_one(struct peer *p)
{
	char why[JSON_WHY_BYTES] = "a message too long";
	json_t *message = NULL;
	int r;

	r = varlink_next(p->link, &message, why);
	if (r == -EAGAIN)
		return false;
	messages_clear();
	if (r == 0) {
		r = call_new(p, message, &p->call);
		if (r == -EBADMSG)
			strcpy(why, "no Varlink call");
	}
	if (r < 0) {
		complain(p, r == -ENOMEM ? "out of memory" : why);
		p->broken = true;
		return false;
	}
	p->call->agent = p->server->agent;
	methods_run(p->call);
	return true;
}

/* Send what there is, and listen to what may come next; @p may be gone. */
static void settle(struct peer *p)
{
	uint32_t events;
	int r = p->broken ? -EPIPE : varlink_write(p->link);

	if ((r < 0 && r != -EAGAIN) ||
	    (p->ended && !p->call && !varlink_pending(p->link))) {
		peer_free(p);
		return;
	}
	/* A call at a time: the next ones wait in the socket. */
	events = p->call || p->ended ? 0 : EPOLLIN;
	if (varlink_pending(p->link))
		events |= EPOLLOUT;
	sd_event_source_set_io_events(p->io, events);
}

static void serve(struct peer *p)
{
	p->serving = true;
	while (!p->call && !p->broken && serve_one(p))
		;
	p->serving = false;
	settle(p);
}

static int on_later(sd_event_source *source, void *data)
{
	(void)source;
	serve(data);
	return 0;
}

/* Who answers is in the middle of something, and so may the next call be. */
void peer_resume(struct peer *p)
{
	if (!p->serving)
		sd_event_source_set_enabled(p->later, SD_EVENT_ONESHOT);
}

static int on_peer(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct peer *p = data;
	int r = 0;

	(void)source;
	(void)fd;
	if (events & EPOLLIN && !p->call)
		r = varlink_read(p->link);
	if (r == -EMSGSIZE)
		complain(p, "a message too long, or too many descriptors");
	if (r == -EPIPE)
		p->ended = true;
	else if (r < 0 && r != -EAGAIN)
		p->broken = true;
	if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN))
		p->broken = true;
	serve(p);
	return 0;
}

static int learn_caller(int fd, struct caller *ret)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0)
		return -errno;
	*ret = (struct caller){ .uid = cred.uid, .gid = cred.gid,
				.pid = cred.pid };
	bytes = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) == 0)
		return 0;
	if (errno != ERANGE)
		return -errno;
	ret->groups = malloc(bytes);
	if (!ret->groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, ret->groups,
		       &bytes) < 0) {
		free(ret->groups);
		ret->groups = NULL;
		return -errno;
	}
	ret->group_count = bytes / sizeof(gid_t);
	return 0;
}

static bool too_many(const struct server *s, uid_t uid)
{
	size_t all = 0, same = 0;
	const struct peer *p;

	for (p = s->peers; p; p = p->next) {
		all++;
		same += p->who.uid == uid;
	}
	return all >= MAX_PEERS || (uid != 0 && same >= MAX_PEERS_OF_ONE);
}

static int peer_new(struct server *s, int fd)
{
	struct peer *p = calloc(1, sizeof(*p));
	int r = p ? learn_caller(fd, &p->who) : -ENOMEM;

	if (r == 0 && too_many(s, p->who.uid))
		r = -EMFILE;
	if (r < 0) {
		close(fd);
		goto bad;
	}
	r = varlink_new(fd, AGENT_MAX_MESSAGE_BYTES, MAX_WAITING_BYTES,
			&p->link);
	if (r < 0)
		goto bad;
	r = sd_event_add_io(s->agent->event, &p->io, fd, EPOLLIN, on_peer, p);
	if (r >= 0)
		r = sd_event_add_defer(s->agent->event, &p->later, on_later,
				       p);
	if (r >= 0)
		r = sd_event_source_set_enabled(p->later, SD_EVENT_OFF);
	if (r < 0)
		goto bad;
	p->server = s;
	p->next = s->peers;
	p->link_at = &s->peers;
	if (p->next)
		p->next->link_at = &p->next;
	s->peers = p;
	return 0;
bad:
	if (p) {
		sd_event_source_disable_unref(p->io);
		sd_event_source_disable_unref(p->later);
		varlink_free(p->link);
		free(p->who.groups);
	}
	free(p);
	return r;
}

static int on_listen(sd_event_source *source, int fd, uint32_t events,
		     void *data)
{
	struct server *s = data;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	(void)source;
	(void)events;
	/* Who has gone again while he waited is no concern of ours. */
	if (peer < 0)
		return 0;
	r = peer_new(s, peer);
	if (r < 0)
		log_warn("a connection was refused: %s",
			 r == -EMFILE ? "there are too many" : strerror(-r));
	return 0;
}

int server_new(struct agent *agent, int fd, struct server **ret)
{
	struct server *s = calloc(1, sizeof(*s));
	int r = s ? 0 : -ENOMEM;

	if (r == 0)
		r = sd_event_add_io(agent->event, &s->io, fd, EPOLLIN,
				    on_listen, s);
	if (r < 0) {
		log_error("cannot serve: %s", strerror(-r));
		close(fd);
		free(s);
		return r;
	}
	s->agent = agent;
	s->fd = fd;
	*ret = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	while (s->peers) {
		/* What was answered in the loop's last turn. */
		varlink_write(s->peers->link);
		peer_free(s->peers);
	}
	sd_event_source_disable_unref(s->io);
	close(s->fd);
	free(s);
}
