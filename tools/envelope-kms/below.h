/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the state of the KMS is stored on. */
#ifndef KMS_BELOW_H
#define KMS_BELOW_H

/*
 * Warn when @dir lies on an attached envelope volume, be it under partitions,
 * loop devices or device mapper. Silent where sysfs does not tell.
 */
void below_warn(const char *dir);

#endif
