// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keys that a program of the administrator's knows: one process for each
 * question, the JSON of AWS KMS on its standard input and output. envelope(8)
 * describes the protocol.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kms_provider.h"
#include "log.h"
#include "trust.h"

#define DEFAULT_USER "nobody"

struct program {
	const char *path;
	bool drop;		/* root starts it as somebody else */
	uid_t uid;
	gid_t gid;
	int in;			/* the request, to be read from its start */
	int out;		/* where its answer goes */
	pid_t parent;		/* who asks */
};

static int fault(struct kms_call *call, int error, const char *type,
		 const char *what)
{
	snprintf(call->error, sizeof(call->error), "%s", type);
	log_error("key '%s': %s: program '%s' %s", call->key, call->where,
		  call->provider->value[CONF_PROGRAM], what);
	return error;
}

static int choose_user(struct kms_call *call, struct program *p)
{
	const char *name = call->provider->value[CONF_USER];
	const struct passwd *pw;
	char what[128];

	p->drop = geteuid() == 0;
	if (!p->drop)
		return 0;
	pw = getpwnam(name ? name : DEFAULT_USER);
	if (!pw || pw->pw_uid == 0) {
		snprintf(what, sizeof(what), "was not run: user '%s' is %s; correct user",
			 name ? name : DEFAULT_USER,
			 pw ? "root" : "not known here");
		return fault(call, -EACCES, "NotAllowed", what);
	}
	p->uid = pw->pw_uid;
	p->gid = pw->pw_gid;
	return 0;
}

/* In the child: nothing of ours but the two descriptors and standard error. */
static void become(const struct program *p)
{
	static char *environment[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL,
	};
	char *const argv[] = { (char *)p->path, NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (setpgid(0, 0) < 0 || dup2(p->in, STDIN_FILENO) < 0 ||
	    dup2(p->out, STDOUT_FILENO) < 0 || chdir("/") < 0)
		_exit(126);
	closefrom(STDERR_FILENO + 1);
	if (p->drop && (setgroups(0, NULL) < 0 || setgid(p->gid) < 0 ||
			setuid(p->uid) < 0))
		_exit(126);
	/*
	 * Nobody else knows its time budget. Behind setuid(), which forgets the
	 * signal; without new privileges execve() does not.
	 */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
	    getppid() != p->parent)
		_exit(126);
	execve(p->path, argv, environment);
	_exit(127);
}

/* A file in memory: a program that does not read cannot hold us up. */
static int put_request(const char *text)
{
	size_t bytes = strlen(text);
	int fd = memfd_create("request", MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	if (write(fd, text, bytes) != (ssize_t)bytes ||
	    lseek(fd, 0, SEEK_SET) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * One with a secret in it stays in a pipe, which is never swapped out; it fits,
 * since no such request is as large as an empty pipe.
 */
static int put_secret(const struct secret *text)
{
	size_t bytes = strlen((const char *)secret_cbytes(text));
	int ends[2];
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	n = write(ends[1], secret_cbytes(text), bytes);
	close(ends[1]);
	if (n == (ssize_t)bytes && fcntl(ends[0], F_SETFL, 0) == 0)
		return ends[0];
	close(ends[0]);
	return -1;
}

/* All that it prints. 0; -ETIMEDOUT; -EFBIG; -EIO. */
static int collect(struct kms_call *call, int in, struct http_answer *answer)
{
	struct pollfd p = { .fd = in, .events = POLLIN };
	size_t used = 0;
	ssize_t n = 1;

	while (n > 0) {
		int ready = poll(&p, 1, http_left_ms(call->http));

		if (ready == 0)
			return -ETIMEDOUT;
		if (ready < 0)
			continue;
		n = read(in, secret_bytes(answer->body) + used,
			 HTTP_ANSWER_MAX_BYTES + 1 - used);
		if (n < 0)
			return -EIO;
		used += n;
		if (used > HTTP_ANSWER_MAX_BYTES)
			return -EFBIG;
	}
	secret_bytes(answer->body)[used] = '\0';
	answer->body_bytes = used;
	return 0;
}

/* It may have closed its output and gone on. 0; -ETIMEDOUT. */
static int await(struct kms_call *call, pid_t pid, int *ret)
{
	struct timespec pause = { 0, 5000000 };

	for (;;) {
		pid_t done = waitpid(pid, ret, WNOHANG);

		if (done == pid)
			return 0;
		if (http_left_ms(call->http) == 0)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
}

/* It, and what it started. */
static void end(pid_t pid)
{
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int judge(struct kms_call *call, int status, struct http_answer *answer)
{
	char what[96];

	if (WIFEXITED(status) && WEXITSTATUS(status) < 126) {
		/* 200 is what success is called in answers. */
		answer->status = WEXITSTATUS(status) == 0 ?
				 200 : WEXITSTATUS(status);
		return 0;
	}
	if (WIFEXITED(status))
		snprintf(what, sizeof(what), "cannot be run as it should (status %d); check that its user may",
			 WEXITSTATUS(status));
	else
		snprintf(what, sizeof(what), "died by signal %d; run it by hand to see why",
			 WTERMSIG(status));
	return fault(call, -EHOSTUNREACH, "NoConnection", what);
}

static int finish(struct kms_call *call, pid_t pid, int in,
		  struct http_answer *answer)
{
	int status = 0;
	int r;

	r = collect(call, in, answer);
	if (r == 0)
		r = await(call, pid, &status);
	if (r == 0)
		return judge(call, status, answer);
	end(pid);
	if (r == -ETIMEDOUT)
		return fault(call, -EHOSTUNREACH, "Timeout",
			     "did not end within the time budget, so it was killed; run it by hand or raise --timeout");
	if (r == -EFBIG)
		return fault(call, -EHOSTUNREACH, "Oversized",
			     "printed more than 65536 bytes, so it was killed; correct it");
	return fault(call, -EHOSTUNREACH, "NoConnection",
		     "printed what cannot be read; run it by hand to see why");
}

/* One question, one process; @whole, if any, is the request. */
static int run(struct kms_call *call, const char *request,
	       const struct secret *whole, struct http_answer *answer)
{
	struct program p = { .path = call->provider->value[CONF_PROGRAM],
			     .in = -1, .out = -1, .parent = getpid() };
	int ends[2] = { -1, -1 };
	pid_t pid = -1;
	int r;

	r = trust_code(p.path, "program");
	if (r < 0) {
		snprintf(call->error, sizeof(call->error), "%s",
			 r == -EACCES ? "NotAllowed" : "NoConnection");
		return r == -ENOENT ? -EHOSTUNREACH : r;
	}
	r = choose_user(call, &p);
	if (r < 0)
		return r;
	p.in = whole ? put_secret(whole) : put_request(request);
	if (p.in >= 0 && pipe2(ends, O_CLOEXEC) == 0) {
		p.out = ends[1];
		pid = fork();
	}
	if (pid == 0)
		become(&p);
	if (ends[1] >= 0)
		close(ends[1]);
	r = pid > 0 ? finish(call, pid, ends[0], answer) :
		      fault(call, -EIO, "Internal", "cannot be started");
	if (ends[0] >= 0)
		close(ends[0]);
	if (p.in >= 0)
		close(p.in);
	return r;
}

static int ask(struct kms_call *call, const struct kms_question *q,
	       struct kms_answer *ret)
{
	struct http_answer answer = { 0 };
	struct kms_answer a = { 0 };
	struct secret *whole = NULL;
	char *request = NULL;
	int r = -ENOMEM;

	call->operation = kms_operation_name(q->operation);
	answer.body = secret_new(HTTP_ANSWER_MAX_BYTES + 2);
	request = kms_make_body(q, true);
	if (request && q->plaintext)
		whole = kms_put_plaintext(request, q->plaintext);
	if (!answer.body || !request || (q->plaintext && !whole)) {
		log_error("key '%s': no memory for %s, or the limit of locked memory is spent",
			  call->key, call->operation);
		goto out;
	}
	r = run(call, request, whole, &answer);
	if (r == 0)
		r = kms_take_answer(call, q, &answer, &a);
	if (r == 0) {
		*ret = a;
		a = (struct kms_answer){ 0 };
	}
out:
	secret_free(whole);
	free(request);
	kms_answer_free(&a);
	http_answer_wipe(&answer);
	return r;
}

const struct kms_provider kms_provider_program = {
	.ask = ask,
	.local = true,
};
