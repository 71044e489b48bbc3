/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Little-endian numbers at places that need not be aligned. */
#ifndef ENVELOPE_BYTES_H
#define ENVELOPE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline void put_le32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_le64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

#endif
