/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exit statuses of the programs, and the errors of the library behind them. */
#ifndef ENVELOPE_STATUS_H
#define ENVELOPE_STATUS_H

enum envelope_status {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,	 /* -EINVAL */
	STATUS_DENIED = 3,	 /* -EACCES: the KMS refused */
	STATUS_UNREACHABLE = 4,	 /* -EHOSTUNREACH: no usable answer in time */
	STATUS_NO_HEADER = 5,	 /* -ENODATA: no envelope header there */
	STATUS_TAMPERED = 6,	 /* -EBADMSG: damaged, tampered, pin mismatch */
	STATUS_BUSY = 7,	 /* -EBUSY, -EEXIST: device or name in use */
	STATUS_NOT_ATTACHED = 8, /* -ENXIO */
	STATUS_NO_MODULE = 9,	 /* -ENOPKG: missing, or refused */
	STATUS_LOCKED = 10,	 /* -EKEYREVOKED */
};

/* The exit status for a library result: 0 or -errno as listed above. */
enum envelope_status status_from_errno(int r);

#endif
