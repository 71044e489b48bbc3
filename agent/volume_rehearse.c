// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rehearsal of a format, in a process of its own: with credentials read
 * anew and over a new connection, the wrapped DEK is unwrapped once as every
 * attach will do it. That is also the moment in which core is sealed, so no
 * other process of the format ever sees the DEK.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "key_name.h"
#include "known.h"
#include "log.h"
#include "status.h"
#include "volume_private.h"

/* Standard input becomes the pipe; the descriptors stay open behind exec. */
static void become_rehearsal(const struct rehearsal *q, int pipe_fd)
{
	static char *argv[] = { "envelope", VOLUME_REHEARSE_VERB, NULL };

	if (dup2(pipe_fd, STDIN_FILENO) < 0 ||
	    fcntl(q->header_fd, F_SETFD, 0) < 0 ||
	    (q->wipe_fd >= 0 && fcntl(q->wipe_fd, F_SETFD, 0) < 0))
		_exit(STATUS_FAILED);
	execv("/proc/self/exe", argv);
	_exit(STATUS_FAILED);
}

/* All of @p through the pipe, in the one direction or the other. */
static int transfer(int fd, void *p, size_t bytes, bool send)
{
	char *at = p;
	ssize_t n;

	while (bytes > 0) {
		n = send ? write(fd, at, bytes) : read(fd, at, bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		at += n;
		bytes -= n;
	}
	return 0;
}

/* The -errno behind an exit status: status_from_errno() the other way. */
static int errno_from_status(int status)
{
	static const int codes[] = {
		[STATUS_DONE] = 0, [STATUS_FAILED] = -EIO,
		[STATUS_USAGE] = -EINVAL, [STATUS_DENIED] = -EACCES,
		[STATUS_UNREACHABLE] = -EHOSTUNREACH,
		[STATUS_NO_HEADER] = -ENODATA, [STATUS_TAMPERED] = -EBADMSG,
		[STATUS_BUSY] = -EBUSY, [STATUS_NOT_ATTACHED] = -ENXIO,
		[STATUS_NO_MODULE] = -ENOPKG, [STATUS_LOCKED] = -EKEYREVOKED,
	};

	if (status < 0 || status >= (int)(sizeof(codes) / sizeof(codes[0])))
		return -EIO;
	return codes[status];
}

static int await(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -ECHILD;
	if (!WIFEXITED(status)) {
		log_error("the rehearsal of the unwrap died by signal %d: nothing is known to be written",
			  WTERMSIG(status));
		return -EIO;
	}
	return errno_from_status(WEXITSTATUS(status));
}

int rehearsal_run(const struct rehearsal *request)
{
	int ends[2];
	pid_t pid;
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		log_error("cannot start the rehearsal: %s", strerror(errno));
		return -EIO;
	}
	pid = fork();
	if (pid == 0)
		become_rehearsal(request, ends[0]);
	close(ends[0]);
	if (pid < 0) {
		log_error("cannot start the rehearsal: %s", strerror(errno));
		close(ends[1]);
		return -EIO;
	}
	/* A child that died early says so by its status. */
	r = transfer(ends[1], (void *)request, sizeof(*request), true);
	close(ends[1]);
	if (r < 0)
		log_error("cannot talk to the rehearsal: %s", strerror(EPIPE));
	if (r == 0)
		return await(pid);
	await(pid);
	return r;
}

static const char *text_or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static int compose_header(const struct rehearsal *q, struct header **ret)
{
	struct header_slot slot = {
		.provider = key_provider(key_kind(q->key_arn)),
		.key_id = q->key_arn,
		.ciphertext = q->wrapped,
		.ciphertext_bytes = q->wrapped_bytes,
	};
	struct header *h = NULL;
	int r;

	if (q->context[0])
		slot.context = json_loads(q->context, 0, NULL);
	r = header_new(&q->core, &h);
	if (r == 0)
		r = header_add_slot(h, &slot);
	json_decref(slot.context);
	if (r == 0)
		*ret = h;
	else
		header_free(h);
	return r;
}

/* Here, and nowhere else in a format, the DEK is in memory: milliseconds. */
static int unwrap_and_seal(const struct rehearsal *q, struct header *h)
{
	struct volume_access access = {
		.conf = {
			.config = text_or_null(q->config),
			.endpoint = text_or_null(q->endpoint),
			.ca_file = text_or_null(q->ca_file),
			.profile = text_or_null(q->profile),
			.region = text_or_null(q->region),
			.environment = true,
		},
		.timeout_ms = q->timeout_ms,
	};
	struct header_slot slot = header_slot_get(h, 0);
	struct volume_kms k = { 0 };
	struct secret *dek = NULL;
	json_t *context = NULL;
	int r;

	r = volume_kms_open(&access, &k);
	if (r == 0)
		r = header_context(h, 0, &context);
	if (r == 0)
		r = kms_decrypt(k.kms, slot.key_id, context, slot.ciphertext,
				slot.ciphertext_bytes, &dek);
	if (r == 0)
		r = header_seal(h, dek);
	secret_free(dek);
	json_decref(context);
	volume_kms_close(&k);
	return r;
}

/*
 * What a forced format finds: signatures, and where the new header is detached
 * also the header of the volume that was here, which libblkid does not know.
 */
static int wipe_old(const struct rehearsal *q)
{
	struct device d = {
		.fd = q->wipe_fd,
		.path = (char *)q->wipe_name,
		.size_bytes = q->core.size_bytes,
	};
	bool a;
	bool b;
	int r;

	r = device_wipe_signatures(&d);
	if (r == 0 && q->wipe_fd != q->header_fd) {
		r = header_magic_at(d.fd, d.path, &a, &b);
		if (r == 0 && (a || b))
			r = header_erase(d.fd, d.path);
	}
	return r;
}

/* The pin first: it fails where /var is full, and then nothing is written. */
static int write_header(const struct rehearsal *q, struct header *h)
{
	int r;

	r = known_update(h);
	if (r == 0 && q->wipe_fd >= 0)
		r = wipe_old(q);
	if (r == 0)
		r = header_write(q->header_fd, q->header_name, h);
	return r;
}

int volume_rehearse(void)
{
	struct rehearsal *q = calloc(1, sizeof(*q));
	struct header *h = NULL;
	int r = q ? 0 : -ENOMEM;

	if (r == 0 && (transfer(STDIN_FILENO, q, sizeof(*q), false) < 0 ||
		       q->magic != REHEARSAL_MAGIC)) {
		log_error("%s is for envelope's own use", VOLUME_REHEARSE_VERB);
		r = -EINVAL;
	}
	if (r == 0)
		r = compose_header(q, &h);
	if (r == 0)
		r = unwrap_and_seal(q, h);
	if (r == 0)
		r = write_header(q, h);
	header_free(h);
	free(q);
	return r;
}
