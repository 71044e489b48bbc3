/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is at the other end of a connection, as far as the network knows. */
#ifndef KMS_PEER_H
#define KMS_PEER_H

#include <microhttpd.h>

#include "call.h"

struct peer {
	char address[CALL_ADDRESS_BYTES]; /* IP address; unix:UID; "unknown" */
	/*
	 * What one stranger cannot easily have more than one of: the address,
	 * or of IPv6 the network of 64 bits that a host chooses its own in.
	 */
	char source[CALL_ADDRESS_BYTES];
};

void peer_of(struct MHD_Connection *connection, struct peer *ret);

#endif
