/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one kind of buffer that may hold a secret in user space: pages of its
 * own, locked in memory, left out of core dumps and of children, wiped before
 * they go back to the kernel.
 */
#ifndef ENVELOPE_SECRET_H
#define ENVELOPE_SECRET_H

#include <stddef.h>
#include <stdint.h>

struct secret;

/*
 * A zeroed secret of @bytes (1 to 1 MiB). The caller owns it and ends it with
 * secret_free(). The size lives inside, so nobody can wipe too little.
 *
 * memfd_secret(2) pages where the kernel has them enabled, mlock(2)ed ones
 * otherwise; never unlocked ones. Up to 64 pages of secrets that have been
 * freed stay locked and zeroed for later ones.
 *
 * NULL with errno: EINVAL (size), ENOMEM (no memory, or the lock limit
 * RLIMIT_MEMLOCK is spent).
 */
struct secret *secret_new(size_t bytes);

/* Wipe and release. NULL is accepted. */
void secret_free(struct secret *s);

uint8_t *secret_bytes(struct secret *s);
const uint8_t *secret_cbytes(const struct secret *s);

/* Size in bytes, as asked for in secret_new(). */
size_t secret_len(const struct secret *s);

/* A copy as a secret of its own. NULL with errno as secret_new(). */
struct secret *secret_dup(const struct secret *s);

/*
 * memcpy(3) for a data key between secrets, byte by byte: that leaves it in
 * vector registers, and where a library binds a function at its first call the
 * dynamic linker saves those on the stack.
 */
void secret_copy(void *to, const void *from, size_t n);

/* Overwrite @n bytes at @p with zeros; the compiler cannot drop it. */
void wipe(void *p, size_t n);

#endif
