/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a person needs next: envelope.conf and the commands, as text. */
#ifndef KMS_GUIDE_H
#define KMS_GUIDE_H

#include <stdbool.h>

#define DEFAULT_ALIAS "alias/envelope"
#define DEFAULT_PROFILE "envelope"

struct guide {
	const char *dir;      /* absolute */
	const char *endpoint; /* https://host:port */
	const char *regions;  /* region.h; one section each */
	const char *account;
};

/* The text of envelope.conf for free(3); NULL: no memory. */
char *guide_conf(const struct guide *g);

/* Prints the way on, to standard output; @serving: the server runs already. */
void guide_print(const struct guide *g, bool serving);

#endif
