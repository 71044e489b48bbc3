// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses of the other end of a connection. */
#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void name_v4(const void *address, struct peer *ret)
{
	inet_ntop(AF_INET, address, ret->address, sizeof(ret->address));
	strcpy(ret->source, ret->address);
}

static void name_v6(const struct in6_addr *address, struct peer *ret)
{
	struct in6_addr network = *address;

	/* a socket for both: policies know the address as IPv4 */
	if (IN6_IS_ADDR_V4MAPPED(address)) {
		name_v4(&address->s6_addr[12], ret);
		return;
	}
	memset(&network.s6_addr[8], 0, 8);
	inet_ntop(AF_INET6, address, ret->address, sizeof(ret->address));
	inet_ntop(AF_INET6, &network, ret->source, sizeof(ret->source));
}

static void name_unix(struct MHD_Connection *connection, struct peer *ret)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t bytes = sizeof(who);

	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED,
				&who, &bytes) < 0)
		return;
	snprintf(ret->address, sizeof(ret->address), "unix:%u", who.uid);
	strcpy(ret->source, ret->address);
}

void peer_of(struct MHD_Connection *connection, struct peer *ret)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection,
					MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = info ? info->client_addr : NULL;

	strcpy(ret->address, "unknown");
	strcpy(ret->source, ret->address);
	if (sa && sa->sa_family == AF_INET)
		name_v4(&((const struct sockaddr_in *)sa)->sin_addr, ret);
	else if (sa && sa->sa_family == AF_INET6)
		name_v6(&((const struct sockaddr_in6 *)sa)->sin6_addr, ret);
	else if (sa && sa->sa_family == AF_UNIX)
		name_unix(connection, ret);
}
