// SPDX-License-Identifier: GPL-2.0-or-later
/* ISA-L's CRC, and what it leaves behind. */
#include "crc.h"

#include <isa-l/crc.h>

#ifdef __x86_64__
#include <immintrin.h>

__attribute__((target("avx")))
static void zero_upper(void)
{
	_mm256_zeroupper();
}

/*
 * ISA-L 2.30 computes it in registers of 512 bits and leaves their upper halves
 * in use. AES and SHA-256 of OpenSSL, which use the lower ones, are then a sixth
 * slower (measured on Zen 5), until somebody clears them.
 */
static void tidy_registers(void)
{
	if (__builtin_cpu_supports("avx"))
		zero_upper();
}
#else
static void tidy_registers(void)
{
}
#endif

uint32_t crc32c(const uint8_t *p, size_t bytes)
{
	uint32_t crc = crc32_iscsi((unsigned char *)p, (int)bytes, UINT32_MAX);

	tidy_registers();
	return crc;
}
