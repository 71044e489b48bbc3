// SPDX-License-Identifier: GPL-2.0-or-later
/* The one mapping from library errors to exit statuses. */
#include "status.h"

#include <errno.h>

enum envelope_status status_from_errno(int r)
{
	switch (r) {
	case 0:
		return STATUS_DONE;
	case -EINVAL:
		return STATUS_USAGE;
	case -EACCES:
		return STATUS_DENIED;
	case -EHOSTUNREACH:
		return STATUS_UNREACHABLE;
	case -ENODATA:
		return STATUS_NO_HEADER;
	case -EBADMSG:
		return STATUS_TAMPERED;
	case -EBUSY:
	case -EEXIST:
		return STATUS_BUSY;
	case -ENXIO:
		return STATUS_NOT_ATTACHED;
	case -ENOPKG:
		return STATUS_NO_MODULE;
	case -EKEYREVOKED:
		return STATUS_LOCKED;
	default:
		return STATUS_FAILED;
	}
}
