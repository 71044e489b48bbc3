/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many connections are open from each network of IPv6, which one host has
 * as many addresses of as it likes. libmicrohttpd counts by address, which is
 * enough for all others.
 */
#ifndef KMS_CROWD_H
#define KMS_CROWD_H

#include <microhttpd.h>

#define CROWD_CONNECTIONS_MAX 64 /* from one network, or one address */

/*
 * libmicrohttpd's callbacks, of all daemons of the process: MHD_NO for an
 * address whose network has its connections; counts them.
 */
enum MHD_Result crowd_accept(void *unused, const struct sockaddr *sa,
			     socklen_t bytes);
void crowd_notify(struct MHD_Connection *connection,
		  enum MHD_ConnectionNotificationCode what);

#endif
