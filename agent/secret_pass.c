// SPDX-License-Identifier: GPL-2.0-or-later
/* The one page through which a secret goes from process to process. */
#include "secret_pass.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

#define PAGE_BYTES 4096
#define MAX_BYTES 4000

int secret_page_open(void)
{
	int fd = syscall(SYS_memfd_secret, O_CLOEXEC);
	bool sealable = fd < 0;

	/* Not enabled: a page that whoever uses it locks. */
	if (sealable)
		fd = memfd_create("secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* Were it shortened, whoever reads it would die; memfd_secret(2)'s size
	 * is set once. */
	if (fd >= 0 && ftruncate(fd, PAGE_BYTES) == 0 &&
	    (!sealable || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
				F_SEAL_SEAL) == 0))
		return fd;
	log_error("no memory to pass a secret in: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -EIO;
}

static int map(int fd, uint8_t **ret)
{
	/* Only those of memfd_create(2) have seals; the pages of
	 * memfd_secret(2) are locked by their nature, and mlock(2) fails. */
	bool lock = fcntl(fd, F_GET_SEALS) >= 0;
	void *p = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		       fd, 0);

	if (p != MAP_FAILED && lock && mlock(p, PAGE_BYTES) < 0) {
		munmap(p, PAGE_BYTES);
		p = MAP_FAILED;
	}
	if (p == MAP_FAILED) {
		log_error("cannot lock the memory that a secret is passed in: %s",
			  strerror(errno));
		return -EIO;
	}
	*ret = p;
	return 0;
}

int secret_page_put(int fd, const struct secret *s)
{
	uint8_t *page = NULL;
	int r = secret_len(s) <= MAX_BYTES ? map(fd, &page) : -EINVAL;

	if (r < 0)
		return r;
	memcpy(page, secret_cbytes(s), secret_len(s));
	munmap(page, PAGE_BYTES);
	return 0;
}

int secret_page_take(int fd, size_t bytes, struct secret **ret)
{
	struct secret *s = NULL;
	uint8_t *page = NULL;
	int r = bytes <= MAX_BYTES ? map(fd, &page) : -EINVAL;

	if (r < 0)
		return r;
	s = secret_new(bytes);
	if (s) {
		memcpy(secret_bytes(s), page, bytes);
		*ret = s;
	} else {
		log_error("no locked memory for a secret: %s",
			  strerror(errno));
		r = -ENOMEM;
	}
	wipe(page, PAGE_BYTES);
	munmap(page, PAGE_BYTES);
	return r;
}
