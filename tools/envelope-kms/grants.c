// SPDX-License-Identifier: GPL-2.0-or-later
/* Which grants allow a call. */
#include "grants.h"

int grant_allows(struct call *c, const struct key_row *key,
		 const struct facts *f)
{
	(void)c;
	(void)key;
	(void)f;
	return 0;
}
