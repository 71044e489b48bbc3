// SPDX-License-Identifier: GPL-2.0-or-later
/* Counts the open connections of networks. */
#include "crowd.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define NETWORKS 256   /* those that share a number share its connections */
#define NETWORK_BYTES 8

static atomic_int open_now[NETWORKS];

/* NULL: not of a network that is counted. */
static atomic_int *count_of(const struct sockaddr *sa)
{
	const struct in6_addr *six =
		&((const struct sockaddr_in6 *)sa)->sin6_addr;
	uint32_t h = 2166136261u; /* FNV-1a */
	size_t i;

	if (sa->sa_family != AF_INET6 || IN6_IS_ADDR_V4MAPPED(six))
		return NULL;
	for (i = 0; i < NETWORK_BYTES; i++)
		h = (h ^ six->s6_addr[i]) * 16777619u;
	return &open_now[h % NETWORKS];
}

enum MHD_Result crowd_accept(void *unused, const struct sockaddr *sa,
			     socklen_t bytes)
{
	const atomic_int *count = count_of(sa);

	(void)unused;
	(void)bytes;
	return !count || atomic_load(count) < CROWD_CONNECTIONS_MAX ?
	       MHD_YES : MHD_NO;
}

void crowd_notify(struct MHD_Connection *connection,
		  enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	atomic_int *count = info ? count_of(info->client_addr) : NULL;

	if (count)
		atomic_fetch_add(count, what == MHD_CONNECTION_NOTIFY_STARTED ?
				 1 : -1);
}
