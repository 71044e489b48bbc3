// SPDX-License-Identifier: GPL-2.0-or-later
/* Opens the listening socket, and knows where plain HTTP may be spoken. */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"
#include "unix_socket.h"

#define BACKLOG 128

bool listen_is_unix(const char *address)
{
	return strncmp(address, LISTEN_UNIX, strlen(LISTEN_UNIX)) == 0;
}

static bool is_loopback(const struct sockaddr *sa)
{
	const struct in6_addr *six =
		&((const struct sockaddr_in6 *)sa)->sin6_addr;

	if (sa->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)sa)
			     ->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return sa->sa_family == AF_INET6 &&
	       (IN6_IS_ADDR_LOOPBACK(six) ||
		(IN6_IS_ADDR_V4MAPPED(six) &&
		 six->s6_addr[12] == IN_LOOPBACKNET));
}

/* What anybody on a network could read must have TLS. */
static int check_plain(const struct listen_options *o,
		       const struct sockaddr *sa, const char *name)
{
	if (!o->plain || sa->sa_family == AF_UNIX || is_loopback(sa))
		return 0;
	log_error("--plain-http: %s can be reached from elsewhere; listen on 127.0.0.1, ::1 or a UNIX socket, or use TLS",
		  name);
	return -EINVAL;
}

static int bind_address(const struct sockaddr *sa, socklen_t bytes)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	if ((sa->sa_family != AF_UNIX &&
	     setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) ||
	    bind(fd, sa, bytes) < 0 || listen(fd, BACKLOG) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int bind_tcp(const struct listen_options *o, struct listener *l)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *ai = NULL;
	char port[16];
	int rc;

	snprintf(port, sizeof(port), "%d", o->port);
	if (getaddrinfo(o->address, port, &hints, &ai) != 0) {
		log_error("--listen %s: not an IP address", o->address);
		return -EINVAL;
	}
	rc = check_plain(o, ai->ai_addr, o->address);
	if (rc == 0) {
		l->fd = bind_address(ai->ai_addr, ai->ai_addrlen);
		rc = l->fd < 0 ? l->fd : 0;
		if (rc < 0)
			log_error("cannot listen on %s port %d: %s",
				  o->address, o->port, strerror(-rc));
	}
	freeaddrinfo(ai);
	return rc;
}

/* Nobody gets in between, as the umask lets in nobody but us. */
static int make_unix(const struct listen_options *o,
		     const struct sockaddr_un *sa, struct listener *l)
{
	struct stat st;
	int rc = unix_socket_remove_stale(sa);

	if (rc < 0)
		return rc;
	rc = bind_address((const struct sockaddr *)sa, sizeof(*sa));
	if (rc < 0)
		return rc;
	l->fd = rc;
	if (chmod(sa->sun_path, o->mode) < 0 || lstat(sa->sun_path, &st) < 0)
		return -errno;
	l->made = true;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return 0;
}

static int bind_unix(const struct listen_options *o, struct listener *l)
{
	const char *path = o->address + strlen(LISTEN_UNIX);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int rc;

	if (*path != '/' || strlen(path) >= sizeof(sa.sun_path)) {
		log_error("--listen %s: not an absolute path of at most %zu characters",
			  o->address, sizeof(sa.sun_path) - 1);
		return -EINVAL;
	}
	strcpy(sa.sun_path, path);
	rc = make_unix(o, &sa, l);
	if (rc == -EADDRINUSE)
		log_error("cannot listen on %s: another server answers there",
			  path);
	else if (rc == -EEXIST)
		log_error("cannot listen on %s: there is a file that is no socket",
			  path);
	else if (rc < 0)
		log_error("cannot listen on %s: %s", path, strerror(-rc));
	return rc;
}

/* What the socket itself says it is, whoever has made it. */
static int describe(const struct listen_options *o, struct listener *l)
{
	struct sockaddr_storage storage = { .ss_family = AF_UNSPEC };
	struct sockaddr *sa = (struct sockaddr *)&storage;
	char host[INET6_ADDRSTRLEN] = "", port[16] = "";
	socklen_t bytes = sizeof(storage);
	int rc;

	if (getsockname(l->fd, sa, &bytes) < 0)
		return -errno;
	if (sa->sa_family == AF_UNIX) {
		l->path = strndup(((struct sockaddr_un *)sa)->sun_path,
				  sizeof(((struct sockaddr_un *)sa)
					 ->sun_path));
		return l->path ? 0 : -ENOMEM;
	}
	if (getnameinfo(sa, bytes, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		log_error("the listening socket is neither TCP nor UNIX");
		return -EINVAL;
	}
	rc = check_plain(o, sa, host);
	l->port = atoi(port);
	return rc;
}

int listen_open(const struct listen_options *o, struct listener *ret)
{
	int rc = notify_socket();

	if (rc == -EINVAL)
		return rc;
	ret->fd = rc;
	if (rc >= 0)
		rc = 0;
	else if (listen_is_unix(o->address))
		rc = bind_unix(o, ret);
	else
		rc = bind_tcp(o, ret);
	return rc < 0 ? rc : describe(o, ret);
}

void listen_close(struct listener *l)
{
	struct stat st;

	if (l->fd >= 0)
		close(l->fd);
	/* Not the one of a next server that has come already. */
	if (l->made && lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		unlink(l->path);
	free(l->path);
}
