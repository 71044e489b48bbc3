// SPDX-License-Identifier: GPL-2.0-or-later
/* Opens the listening socket. */
#include "listen.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "log.h"
#include "unix_socket.h"

#define BACKLOG 128
#define GROUP "envelope"

static int passed_socket(void)
{
	int n = sd_listen_fds(1);

	if (n == 0)
		return -ENOENT;
	if (n != 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1,
					NULL, 0) <= 0) {
		log_error("the service manager passes what is not one listening UNIX stream socket");
		return -EINVAL;
	}
	return SD_LISTEN_FDS_START;
}

/* Nobody gets in between, as the umask lets in nobody but us. */
static int make_socket(const struct sockaddr_un *sa)
{
	const struct group *group = getgrnam(GROUP);
	mode_t before;
	bool bound;
	int fd;
	int r = unix_socket_remove_stale(sa);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	before = umask(0177);
	bound = bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0;
	r = bound ? 0 : -errno;
	umask(before);
	if (r == 0 &&
	    ((group && chown(sa->sun_path, -1, group->gr_gid) < 0) ||
	     chmod(sa->sun_path, 0660) < 0 || listen(fd, BACKLOG) < 0))
		r = -errno;
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

int listen_open(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = passed_socket();

	if (fd != -ENOENT)
		return fd;
	if (path[0] != '/' || strlen(path) >= sizeof(sa.sun_path)) {
		log_error("--socket %s: not an absolute path of at most %zu characters",
			  path, sizeof(sa.sun_path) - 1);
		return -EINVAL;
	}
	strcpy(sa.sun_path, path);
	fd = make_socket(&sa);
	if (fd == -EADDRINUSE)
		log_error("%s: another agent answers there", path);
	else if (fd == -EEXIST)
		log_error("%s: there is a file that is no socket", path);
	else if (fd < 0)
		log_error("%s: cannot listen: %s", path, strerror(-fd));
	return fd < 0 && fd != -EADDRINUSE ? -EIO : fd;
}
