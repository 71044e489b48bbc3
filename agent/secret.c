// SPDX-License-Identifier: GPL-2.0-or-later
/* Secret buffers: how they are mapped, locked and wiped. */
#include "secret.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECRET_MAX_BYTES (1u << 20)
#define SHARES 4       /* of the spare pages; a processor uses one */
#define SPARE_PAGES 64 /* of a share; all as many as a hundred requests hold */

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
static struct share {
	_Alignas(64) pthread_mutex_t lock; /* in no other's cache line */
	size_t count;
	struct secret *page[SPARE_PAGES];
} spare[SHARES] = {
	[0 ... SHARES - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER },
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

static size_t page_bytes(void)
{
	static size_t bytes;

	if (!bytes)
		bytes = (size_t)sysconf(_SC_PAGESIZE);
	return bytes;
}

/* Children do not have the pages, nor a thread that could hold a lock. */
static void forget_spare(void)
{
	size_t i;

	for (i = 0; i < SHARES; i++) {
		pthread_mutex_init(&spare[i].lock, NULL);
		spare[i].count = 0;
	}
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_spare);
}

/* The share of this processor, whose caches have what it used last. */
static size_t own_share(void)
{
	int processor = sched_getcpu();

	return processor < 0 ? 0 : (size_t)processor % SHARES;
}

static struct secret *take_from(struct share *share)
{
	struct secret *s = NULL;

	pthread_mutex_lock(&share->lock);
	if (share->count)
		s = share->page[--share->count];
	pthread_mutex_unlock(&share->lock);
	return s;
}

static struct secret *take_spare(void)
{
	size_t own = own_share(), i;
	struct secret *s = NULL;

	for (i = 0; !s && i < SHARES; i++)
		s = take_from(&spare[(own + i) % SHARES]);
	return s;
}

/* False: there are enough. */
static bool give_to(struct share *share, struct secret *s)
{
	bool kept;

	pthread_mutex_lock(&share->lock);
	kept = share->count < SPARE_PAGES;
	if (kept)
		share->page[share->count++] = s;
	pthread_mutex_unlock(&share->lock);
	return kept;
}

/* As give_to(). @s is wiped already. */
static bool keep_spare(struct secret *s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	size_t own = own_share(), i;
	bool kept = false;

	pthread_once(&once, watch_forks);
	for (i = 0; !kept && i < SHARES; i++)
		kept = give_to(&spare[(own + i) % SHARES], s);
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
		secret_copy(copy->bytes, s->bytes, s->len);
	return copy;
}

void secret_copy(void *to, const void *from, size_t n)
{
	const volatile uint8_t *source = from;
	volatile uint8_t *target = to;

	while (n--)
		*target++ = *source++;
}
