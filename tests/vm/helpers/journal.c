// SPDX-License-Identifier: GPL-2.0-or-later
/* A journal that writes what it is sent to standard output, till it is ended. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FOLDER "/run/systemd/journal"

int main(void)
{
	const struct sockaddr_un at = {
		.sun_family = AF_UNIX, .sun_path = FOLDER "/socket",
	};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char text[16384];
	ssize_t n;

	mkdir("/run/systemd", 0755);
	mkdir(FOLDER, 0755);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		perror(at.sun_path);
		return 1;
	}
	while ((n = recv(fd, text, sizeof(text), 0)) >= 0)
		if (write(STDOUT_FILENO, text, n) != n)
			break;
	perror("journal");
	return 1;
}
