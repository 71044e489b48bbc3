/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC-32C, by ISA-L. */
#ifndef ENVELOPE_CRC_H
#define ENVELOPE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Of at most INT_MAX bytes; begun with all bits set, not inverted at the end. */
uint32_t crc32c(const uint8_t *p, size_t bytes);

#endif
