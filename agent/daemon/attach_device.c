// SPDX-License-Identifier: GPL-2.0-or-later
/* The device of an attach: passed by its opener, or a link of root's. */
#include "attach_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"
#include "log.h"
#include "policy.h"

void attach_device_close(struct attach_device *d)
{
	if (d->fd >= 0)
		close(d->fd);
	if (d->header_fd >= 0)
		close(d->header_fd);
	free(d->link);
	free(d->shown);
	*d = (struct attach_device)ATTACH_DEVICE_CLOSED;
}

static int take_fd(struct call *c, int index, const char *what)
{
	int fd = call_take_fd(c, index);

	if (fd >= 0)
		return fd;
	log_error("%s is %d, but no such descriptor came with the call", what,
		  index);
	return -EINVAL;
}

/* Who can write the ciphertext may have the plaintext: not who can read it. */
static int check_mode(const struct call *c, const struct attach_device *d)
{
	int mode = fcntl(d->fd, F_GETFL);

	if (mode >= 0 && !(mode & O_PATH) &&
	    ((mode & O_ACCMODE) == O_RDWR || call_caller(c)->uid == 0))
		return 0;
	log_error("'%s' was not opened for reading and writing", d->shown);
	return -EACCES;
}

/* What the kernel calls it. */
static char *shown_path(int fd)
{
	struct device d = DEVICE_CLOSED;
	char *shown = NULL;
	int copy = dup(fd);

	if (copy >= 0 && device_adopt(copy, &d) == 0)
		shown = strdup(d.path);
	device_close(&d);
	return shown;
}

/* Who can write a folder can replace what is in it, save where it is sticky. */
static bool is_roots(const struct stat *st)
{
	return st->st_uid == 0 &&
	       (!S_ISDIR(st->st_mode) || !(st->st_mode & 022) ||
		st->st_mode & S_ISVTX);
}

/* Others could make it lead elsewhere: by the link, or any folder on the way. */
static int check_links_owner(const char *path)
{
	char *prefix = strdup(path);
	size_t len = prefix ? strlen(prefix) : 0;
	struct stat st, to;
	int r = prefix ? 0 : -ENOMEM;

	while (r == 0 && len > 0) {
		bool folder = prefix[len] == '/';

		prefix[len] = '\0';
		if (lstat(prefix, &st) < 0 ||
		    (folder && stat(prefix, &to) < 0)) {
			log_error("'%s': %s", path, strerror(errno));
			r = errno == ENOENT ? -ENOENT : -EIO;
		} else if (!is_roots(&st) || (folder && !is_roots(&to))) {
			log_error("'%s': others than root can make it lead elsewhere",
				  path);
			r = -EACCES;
		}
		while (len > 0 && prefix[--len] != '/')
			;
	}
	free(prefix);
	return r;
}

static int open_link(const char *path, struct attach_device *d)
{
	struct stat st;
	int r;

	d->link = strdup(path);
	d->shown = strdup(path);
	if (!d->link || !d->shown)
		return -ENOMEM;
	r = check_links_owner(path);
	if (r < 0)
		return r;
	d->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (d->fd < 0 && errno == EROFS)
		d->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (d->fd < 0) {
		log_error("'%s': cannot open it: %s", path, strerror(errno));
		return -EIO;
	}
	if (fstat(d->fd, &st) < 0 || !S_ISBLK(st.st_mode)) {
		log_error("'%s' is no block device", path);
		return -EACCES;
	}
	return 0;
}

static int open_passed(struct call *c, int index, struct attach_device *d)
{
	d->fd = take_fd(c, index, "device_fd");
	if (d->fd < 0)
		return d->fd;
	/* It says why: neither block device nor file, not readable. */
	d->shown = shown_path(d->fd);
	return d->shown ? check_mode(c, d) : -EACCES;
}

/* It is opened anew by root, whom it must not lead where its owner may not. */
int attach_header_open(struct call *c, int index, int *fd_ret)
{
	char *shown;
	int r;

	*fd_ret = take_fd(c, index, "header_fd");
	if (*fd_ret < 0)
		return *fd_ret;
	/* It says why, as of a device. */
	shown = shown_path(*fd_ret);
	r = shown ? 0 : -EACCES;
	free(shown);
	return r;
}

static int permit(struct call *c, const char *link, const char *name)
{
	const struct caller *who = call_caller(c);

	if (policy_allows(call_agent(c)->policy, who, link, name))
		return 0;
	log_error("the policy does not let user %u attach %s%s%s%s%s",
		  (unsigned int)who->uid, link ? "'" : "a device that he opened",
		  link ? link : "", link ? "'" : "",
		  name ? " under the name " : "", name ? name : "");
	return -EACCES;
}

/* Whose device root's link leads to, he may not say what is on it. */
static int permit_header(struct call *c, const struct attach_device_request *q)
{
	if (!q->link || q->header_fd < 0 || call_caller(c)->uid == 0)
		return 0;
	log_error("'%s': only root may attach what a link leads to with a header of his own; open the device yourself, or keep the header on it",
		  q->link);
	return -EACCES;
}

int attach_device_open(struct call *c, const struct attach_device_request *q,
		       const char *name, struct attach_device *ret)
{
	struct attach_device d = ATTACH_DEVICE_CLOSED;
	int r = 0;

	if ((q->fd < 0) == !q->link) {
		log_error("Attach wants either device_fd or link");
		return -EINVAL;
	}
	/* Before anything is opened: nobody learns what is there. */
	r = permit(c, q->link, name);
	if (r == 0)
		r = permit_header(c, q);
	if (r == 0)
		r = q->link ? open_link(q->link, &d) :
			      open_passed(c, q->fd, &d);
	if (r == 0 && q->header_fd >= 0)
		r = attach_header_open(c, q->header_fd, &d.header_fd);
	if (r < 0)
		attach_device_close(&d);
	else
		*ret = d;
	return r;
}
