// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets that nobody listens on any more. */
#include "unix_socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* One that a killed server has left refuses connections. */
int unix_socket_remove_stale(const struct sockaddr_un *sa)
{
	struct stat st;
	int fd;
	int r;

	if (lstat(sa->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ?
	    -errno : -EADDRINUSE;
	close(fd);
	/* A queue that is full is somebody's, too. */
	if (r == -EAGAIN)
		r = -EADDRINUSE;
	if (r == -ECONNREFUSED)
		r = unlink(sa->sun_path) < 0 ? -errno : 0;
	return r;
}
