// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One question to a token, in a process of its own: a module is a library that
 * may hang, and there is no other way to end that.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kms_token.h"
#include "log.h"
#include "secret_pass.h"

#define SENTENCE_BYTES 1024

/* What the process leaves, in memory of both; no secret is in it. */
static struct reply {
	bool done;
	int result;
	bool pin_refused;
	bool plaintext;			/* is in the page */
	char error[KMS_ERROR_BYTES];
	char sentence[SENTENCE_BYTES];	/* of the failure */
	struct kms_key_info info;
	size_t blob_bytes;
	uint8_t blob[KMS_WRAPPED_MAX_BYTES];
} *reply;

/* Who started it says it: he may have others to tell, or nobody. */
static void take_sentence(enum log_level level, const char *text)
{
	if (level == LOG_LEVEL_ERROR)
		snprintf(reply->sentence, sizeof(reply->sentence), "%s", text);
}

static int leave(const struct kms_answer *a, int page)
{
	reply->info = a->info;
	reply->blob_bytes = a->blob_bytes;
	if (a->blob)
		memcpy(reply->blob, a->blob, a->blob_bytes);
	reply->plaintext = a->plaintext;
	return a->plaintext ? secret_page_put(page, a->plaintext) : 0;
}

/* In the process. Secrets are in no fork: what is to be wrapped comes anew. */
static void become(struct kms_call *call, struct kms_question q, int page,
		   token_answer_fn *answer, pid_t parent)
{
	struct secret *plaintext = NULL;
	struct kms_answer a = { 0 };
	struct token *t = token_state(call);
	int r = 0;

	log_divert(take_sentence);
	/* It may have died before. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
	    getppid() != parent)
		_exit(1);
	if (q.plaintext)
		r = secret_page_take(page, KMS_DEK_BYTES, &plaintext);
	q.plaintext = plaintext;
	if (r == 0)
		r = answer(call, &q, &a);
	if (r == 0)
		r = leave(&a, page);
	secret_free(plaintext);
	kms_answer_free(&a);
	reply->result = r;
	reply->pin_refused = t->pin_refused;
	strcpy(reply->error, call->error);
	token_end(t);
	reply->done = true;
	_exit(0);
}

/* Until its end, or the budget's. 0; -EHOSTUNREACH. */
static int await(struct kms_call *call, pid_t pid)
{
	int pidfd = pidfd_open(pid, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int ready = 0, status = 0;

	while (pidfd >= 0 &&
	       (ready = poll(&p, 1, http_left_ms(call->http))) < 0 &&
	       errno == EINTR)
		;
	if (pidfd >= 0)
		close(pidfd);
	if (ready <= 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ready <= 0)
		return token_refuse(call, -EHOSTUNREACH, "Timeout",
			     "the token has not answered within the time budget, so its module was killed; see what the token does or raise --timeout");
	if (!reply->done)
		return token_refuse(call, -EHOSTUNREACH, "NoConnection",
			     "the token's module has died while it was asked; try the token's own tools");
	return 0;
}

static int out_of_memory(struct kms_call *call)
{
	return token_fail(call, CKR_HOST_MEMORY);
}

static int take(struct kms_call *call, const struct kms_question *q, int page,
		struct kms_answer *a)
{
	struct token *t = *call->state;

	t->pin_refused = reply->pin_refused;
	strcpy(call->error, reply->error);
	if (reply->result < 0) {
		if (reply->sentence[0])
			log_error("%s", reply->sentence);
		return reply->result;
	}
	a->info = reply->info;
	a->blob_bytes = reply->blob_bytes;
	a->key_id = strdup(q->key);
	if (q->source_key)
		a->source_key_id = strdup(q->source_key);
	if (a->blob_bytes)
		a->blob = malloc(a->blob_bytes);
	if (!a->key_id || (q->source_key && !a->source_key_id) ||
	    (a->blob_bytes && !a->blob))
		return out_of_memory(call);
	if (a->blob)
		memcpy(a->blob, reply->blob, a->blob_bytes);
	return reply->plaintext ?
	       secret_page_take(page, KMS_DEK_BYTES, &a->plaintext) : 0;
}

static int run(struct kms_call *call, const struct kms_question *q, int page,
	       token_answer_fn *answer, struct kms_answer *a)
{
	pid_t parent = getpid();
	pid_t pid;
	int r = 0;

	if (q->plaintext)
		r = secret_page_put(page, q->plaintext);
	if (r < 0)
		return r;
	pid = fork();
	if (pid == 0)
		become(call, *q, page, answer, parent);
	if (pid < 0)
		return token_refuse(call, -EIO, "Internal",
			     "no process can be started for the token");
	r = await(call, pid);
	return r == 0 ? take(call, q, page, a) : r;
}

/* What a process that was killed has left, or has not fetched. */
static void clear(int page)
{
	struct secret *left = NULL;

	secret_page_take(page, KMS_DEK_BYTES, &left);
	secret_free(left);
}

int token_ask_apart(struct kms_call *call, const struct kms_question *q,
		    token_answer_fn *answer, struct kms_answer *ret)
{
	struct kms_answer a = { 0 };
	int page = -1, r;

	if (!token_state(call))
		return out_of_memory(call);
	reply = mmap(NULL, sizeof(*reply), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reply == MAP_FAILED)
		return out_of_memory(call);
	page = secret_page_open();
	r = page < 0 ? page : run(call, q, page, answer, &a);
	if (r == 0) {
		*ret = a;
		a = (struct kms_answer){ 0 };
	}
	kms_answer_free(&a);
	if (page >= 0 && r < 0)
		clear(page);
	if (page >= 0)
		close(page);
	munmap(reply, sizeof(*reply));
	return r;
}
