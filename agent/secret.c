// SPDX-License-Identifier: GPL-2.0-or-later
/* Secret buffers: how they are mapped, locked and wiped. */
#include "secret.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECRET_MAX_BYTES (1u << 20)
#define SPARE_PAGES 256 /* as many as a hundred requests hold at once */

/* Stands at the start of the mapping, so that the bytes share its fate. */
struct secret {
	size_t len;	/* bytes that the owner asked for */
	size_t mapped;	/* bytes of the whole mapping, whole pages */
	uint8_t bytes[];
};

/*
 * Wiped pages that stay mapped and locked for the next secret of one page: a
 * server makes a dozen a request, and each mapping costs the whole process.
 */
static struct {
	pthread_mutex_t lock;
	size_t count;
	struct secret *page[SPARE_PAGES];
} spare = { .lock = PTHREAD_MUTEX_INITIALIZER };

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

static size_t page_bytes(void)
{
	static size_t bytes;

	if (!bytes)
		bytes = (size_t)sysconf(_SC_PAGESIZE);
	return bytes;
}

/* Children do not have the pages, nor a thread that could hold the lock. */
static void forget_spare(void)
{
	pthread_mutex_init(&spare.lock, NULL);
	spare.count = 0;
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_spare);
}

static struct secret *take_spare(void)
{
	struct secret *s = NULL;

	pthread_mutex_lock(&spare.lock);
	if (spare.count)
		s = spare.page[--spare.count];
	pthread_mutex_unlock(&spare.lock);
	return s;
}

/* False: there are enough. @s is wiped already. */
static bool keep_spare(struct secret *s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	bool kept;

	pthread_once(&once, watch_forks);
	pthread_mutex_lock(&spare.lock);
	kept = spare.count < SPARE_PAGES;
	if (kept)
		spare.page[spare.count++] = s;
	pthread_mutex_unlock(&spare.lock);
	return kept;
}

/* What lies idle must not keep a large secret from being locked. */
static void release_spare(void)
{
	struct secret *s;

	while ((s = take_spare()))
		munmap(s, page_bytes());
}

static struct secret *map_pages(size_t mapped)
{
	struct secret *s = map_secretmem(mapped);

	if (s == MAP_FAILED)
		s = map_locked(mapped);
	if (s == MAP_FAILED)
		return NULL;
	/* A child has no business with it: it would be a second copy. */
	if (madvise(s, mapped, MADV_DONTFORK) < 0) {
		munmap(s, mapped);
		return NULL;
	}
	return s;
}

struct secret *secret_new(size_t bytes)
{
	size_t page = page_bytes();
	size_t mapped = (sizeof(struct secret) + bytes + page - 1) & -page;
	struct secret *s;

	if (bytes == 0 || bytes > SECRET_MAX_BYTES) {
		errno = EINVAL;
		return NULL;
	}
	s = mapped == page ? take_spare() : NULL;
	if (!s)
		s = map_pages(mapped);
	if (!s) {
		release_spare();
		s = map_pages(mapped);
	}
	if (!s) {
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
	/* What lies behind the owner's bytes has never been written. */
	wipe(s, sizeof(*s) + s->len);
	if (mapped != page_bytes() || !keep_spare(s))
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
