// SPDX-License-Identifier: GPL-2.0-or-later
/* Secret buffers: how they are mapped, locked and wiped. */
#include "secret.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECRET_MAX_BYTES (1u << 20)

/* Stands at the start of the mapping, so that the bytes share its fate. */
struct secret {
	size_t len;	/* bytes that the owner asked for */
	size_t mapped;	/* bytes of the whole mapping, whole pages */
	uint8_t bytes[];
};

void wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

/* memfd_secret(2) keeps the pages out of the kernel's direct map as well. */
static void *map_secretmem(size_t mapped)
{
	void *p = MAP_FAILED;
	int fd = syscall(SYS_memfd_secret, 0);

	if (fd < 0)
		return MAP_FAILED;
	if (ftruncate(fd, mapped) == 0)
		p = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 0);
	close(fd);
	return p;
}

static void *map_locked(size_t mapped)
{
	void *p = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return p;
	if (mlock(p, mapped) < 0 || madvise(p, mapped, MADV_DONTDUMP) < 0) {
		munmap(p, mapped);
		return MAP_FAILED;
	}
	return p;
}

struct secret *secret_new(size_t bytes)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t mapped = (sizeof(struct secret) + bytes + page - 1) & -page;
	struct secret *s;

	if (bytes == 0 || bytes > SECRET_MAX_BYTES) {
		errno = EINVAL;
		return NULL;
	}
	s = map_secretmem(mapped);
	if (s == MAP_FAILED)
		s = map_locked(mapped);
	if (s == MAP_FAILED) {
		errno = ENOMEM;
		return NULL;
	}
	/* A child has no business with it: it would be a second copy. */
	if (madvise(s, mapped, MADV_DONTFORK) < 0) {
		munmap(s, mapped);
		errno = ENOMEM;
		return NULL;
	}
	s->len = bytes;
	s->mapped = mapped;
	return s;
}

void secret_free(struct secret *s)
{
	size_t mapped;

	if (!s)
		return;
	mapped = s->mapped;
	wipe(s, mapped);
	munmap(s, mapped);
}

uint8_t *secret_bytes(struct secret *s)
{
	return s->bytes;
}

const uint8_t *secret_cbytes(const struct secret *s)
{
	return s->bytes;
}

size_t secret_len(const struct secret *s)
{
	return s->len;
}

struct secret *secret_dup(const struct secret *s)
{
	struct secret *copy = secret_new(s->len);

	if (copy)
		memcpy(copy->bytes, s->bytes, s->len);
	return copy;
}
