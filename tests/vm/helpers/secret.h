/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Secrets that follow from a seed, and where tests put them: no key is ever
 * in an argument, a pipe or a file. One file a program includes this.
 */
#ifndef SECRET_H
#define SECRET_H

#include <keyutils.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define KEY_BYTES	64
#define HALF_BYTES	32

static inline void wipe(void *p, size_t n)
{
	volatile uint8_t *b = p;

	while (n--)
		*b++ = 0;
}

/*
 * Byte by byte: memcpy() and vectorised loops would leave the key in vector
 * registers, and so in what the kernel saves of them at a task switch.
 */
static inline void copy(volatile uint8_t *to, const volatile uint8_t *from,
			size_t n)
{
	while (n--)
		*to++ = *from++;
}

/* splitmix64: no library, so no copy of the key in anybody's context */
static inline void derive(uint64_t seed, uint8_t *key)
{
	/* not the step of the loop: keys would be parts of each other */
	uint64_t x = (seed + 1) * 0xd1342543de82ef95ull;

	for (int i = 0; i < KEY_BYTES / 8; i++) {
		uint64_t z = (x += 0x9e3779b97f4a7c15ull);

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
		z ^= z >> 31;
		for (int j = 0; j < 8; j++)
			((volatile uint8_t *)key)[8 * i + j] = z >> 8 * j;
	}
}

/* Pages that are never swapped out; ends the program when there are none. */
static inline uint8_t *locked(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED || mlock(p, bytes)) {
		perror("locked memory");
		exit(1);
	}
	return p;
}

/* The keyring "envelope" of the user, made if there is none. */
static inline key_serial_t ring(void)
{
	key_serial_t id = keyctl_search(KEY_SPEC_USER_KEYRING, "keyring",
					"envelope", 0);

	if (id == -1)
		id = add_key("keyring", "envelope", NULL, 0,
			     KEY_SPEC_USER_KEYRING);
	return id;
}

#endif
