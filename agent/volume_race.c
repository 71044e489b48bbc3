// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several slots asked at once: each by a process of its own, the next one when
 * the one before has been silent for VOLUME_NEXT_SLOT_MS, or did not answer at
 * all. Processes, since one that has not answered when the volume is attached
 * outlives the attach, to lock it if its KMS denies it then.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event.h"
#include "key_name.h"
#include "kms_trace.h"
#include "log.h"
#include "secret_pass.h"
#include "volume_private.h"

/* What a process has beside standard streams, which lead nowhere. */
#define FD_LINE 3
#define FD_PAGE 4		/* secret_page_put() */

enum report_kind { SAID, CALLED, ENDED };

/* What a process sends: sentences, calls of its KMS, and at last the result. */
struct report {
	enum report_kind kind;
	int result;
	bool denied;			/* by the KMS, as of struct volume */
	enum log_level level;
	struct kms_trace call;
	char text[2048];
};

struct attempt {
	size_t slot;
	pid_t pid;
	int line;
	int page;
	struct kms_trace call;	/* its last one, not yet noted */
};

struct volume_race {
	struct attempt at[HEADER_MAX_SLOTS];
	size_t count;		/* in flight */
	size_t next;		/* slot to be asked next, if any */
	uint64_t next_ms;	/* and when */
	uint64_t end_ms;	/* of all of them */
	int fault;		/* of this host; 0: none */
	struct secret *dek;	/* its answer; NULL: none yet */
	struct kms_trace call;	/* that gave it */
};

/* Nobody may be left to hear it. */
static void send_report(const struct report *report)
{
	(void)send(FD_LINE, report, sizeof(*report), MSG_NOSIGNAL);
}

static void send_sentence(enum log_level level, const char *text)
{
	struct report report = { .kind = SAID, .level = level };

	snprintf(report.text, sizeof(report.text), "%s", text);
	send_report(&report);
}

/* What a denial is to be told as: whether it came in time is not known yet. */
static struct {
	struct event event;		/* no name: none */
	char cause[EVENT_CAUSE_BYTES];
	char key_id[ARN_TEXT_BYTES];
} refusal;

static void keep_refusal(const struct event *e)
{
	snprintf(refusal.cause, sizeof(refusal.cause), "%s", e->cause);
	snprintf(refusal.key_id, sizeof(refusal.key_id), "%s", e->key_id);
	refusal.event = *e;
	refusal.event.cause = refusal.cause;
	refusal.event.key_id = refusal.key_id;
}

static void send_call(const struct kms_trace *call)
{
	const struct report report = { .kind = CALLED, .call = *call };

	send_report(&report);
}

/*
 * Nothing of the parent's is kept: neither its device, nor its lines to the
 * others, nor what whoever called it waits for the end of.
 */
static int let_go(const struct attempt *mine, int line)
{
	int page = fcntl(mine->page, F_DUPFD, 16);
	int null = open("/dev/null", O_RDWR);
	int i;

	/* Before its descriptor's number is another one's. */
	dm_let_go();
	line = fcntl(line, F_DUPFD, 16);
	if (page < 0 || null < 0 || line < 0)
		return -EIO;
	for (i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (dup2(null, i) < 0)
			return -EIO;
	if (dup2(line, FD_LINE) < 0 || dup2(page, FD_PAGE) < 0)
		return -EIO;
	closefrom(FD_PAGE + 1);
	return 0;
}

/* Without one the parent has ended its attempt, or was killed. */
static void await_order(const struct report *end)
{
	struct late_order order;
	ssize_t n;

	/* ECONNRESET: it went without the result, but its order is there. */
	do
		n = recv(FD_LINE, &order, sizeof(order), 0);
	while (n < 0 && (errno == ECONNRESET || errno == EINTR));
	if (n == sizeof(order) && end->denied)
		volume_lock_late(&order, log_last_error());
	else if (refusal.event.name)
		event_to_journal(&refusal.event);
}

/* Who was to take it may have gone without. */
static void take_back(void)
{
	struct secret *dek = NULL;

	if (secret_page_take(FD_PAGE, HEADER_DEK_BYTES, &dek) == 0)
		secret_free(dek);
}

static void run(struct volume *v, const struct conf *conf,
		unsigned int timeout_ms, size_t slot)
{
	struct report report = { .kind = ENDED };
	/* Connections and sessions of the parent's stay the parent's. */
	struct volume_kms k = { .conf = (struct conf *)conf };
	struct secret *dek = NULL;
	int r;

	log_divert(NULL);
	log_set_hook(send_sentence);
	kms_trace_set_hook(send_call);
	event_set_sink(keep_refusal);
	r = kms_open(conf, timeout_ms, &k.kms);
	if (r == 0)
		r = volume_unwrap_by(v, &k, slot, &dek);
	if (r == 0)
		r = secret_page_put(FD_PAGE, dek);
	secret_free(dek);
	kms_free(k.kms);
	log_set_hook(NULL);
	kms_trace_set_hook(NULL);
	report.result = r;
	report.denied = v->denied;
	send_report(&report);
	await_order(&report);
	if (r == 0)
		take_back();
}

static int start(struct volume_race *race, struct volume *v,
		 const struct conf *conf, size_t slot)
{
	struct attempt a = { .slot = slot, .page = secret_page_open() };
	uint64_t now_ms = volume_clock_ms();
	unsigned int left_ms = race->end_ms > now_ms ? race->end_ms - now_ms :
						       1;
	int ends[2] = { -1, -1 };

	if (a.page < 0)
		return a.page;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		goto failed;
	a.pid = fork();
	if (a.pid == 0) {
		if (let_go(&a, ends[1]) == 0)
			run(v, conf, left_ms, slot);
		_exit(0);
	}
	close(ends[1]);
	if (a.pid < 0) {
		close(ends[0]);
		goto failed;
	}
	a.line = ends[0];
	race->at[race->count++] = a;
	return 0;
failed:
	log_error("'%s': cannot start a process for slot %zu: %s",
		  volume_header_name(v), slot, strerror(errno));
	close(a.page);
	return -EIO;
}

/* It has ended, or does so now; what it has left in its page, too. */
static void forget(struct volume_race *race, size_t i)
{
	struct attempt *a = &race->at[i];
	struct secret *dek = NULL;

	close(a->line);
	waitpid(a->pid, NULL, 0);
	if (secret_page_take(a->page, HEADER_DEK_BYTES, &dek) == 0)
		secret_free(dek);
	close(a->page);
	*a = race->at[--race->count];
}

void volume_race_end(struct volume_race *race)
{
	if (!race)
		return;
	while (race->count > 0) {
		kill(race->at[0].pid, SIGKILL);
		forget(race, 0);
	}
	secret_free(race->dek);
	free(race);
}

/* The next slot of a provider that this program can speak to, from @i on. */
static size_t usable(const struct volume *v, size_t i)
{
	enum key_kind kind;

	while (i < header_slot_count(v->header) &&
	       key_provider_find(header_slot_get(v->header, i).provider,
				 &kind) < 0)
		i++;
	return i;
}

/*
 * What this host itself refuses or gets wrong is no answer of a KMS: nobody
 * else is asked then, but who has been asked may still open the volume, or has.
 * 1: wait for them.
 */
static int at_fault(struct volume_race *race, const struct volume *v, int r)
{
	if (race->count == 0 && !race->dek)
		return r;
	race->fault = r;
	race->next = header_slot_count(v->header);
	return 1;
}

static int ask_next(struct volume_race *race, struct volume *v,
		    const struct conf *conf)
{
	struct volume_kms k = { .conf = (struct conf *)conf };
	size_t slot = race->next;
	json_t *context = NULL;
	int r;

	race->next = usable(v, slot + 1);
	r = volume_permit_slot(v, &k, slot, &context);
	json_decref(context);
	if (r < 0)
		return at_fault(race, v, r);
	if (slot > usable(v, 0))
		log_info("'%s': trying the next slot, %zu of %zu",
			 volume_header_name(v), slot + 1,
			 header_slot_count(v->header));
	race->next_ms = volume_clock_ms() + VOLUME_NEXT_SLOT_MS;
	r = start(race, v, conf, slot);
	return r < 0 ? at_fault(race, v, r) : 1;
}

static void say(const struct report *report)
{
	if (report->level == LOG_LEVEL_ERROR)
		log_error("%s", report->text);
	else if (report->level == LOG_LEVEL_WARN)
		log_warn("%s", report->text);
	else
		log_info("%s", report->text);
}

static void note_call(struct attempt *a)
{
	if (a->call.operation[0])
		kms_trace_note(&a->call);
	a->call.operation[0] = '\0';
}

/* That call is noted last: it is the one that the audit names. */
static int keep(struct volume_race *race, struct attempt *a)
{
	race->call = a->call;
	a->call.operation[0] = '\0';
	return secret_page_take(a->page, HEADER_DEK_BYTES, &race->dek);
}

static void take(struct attempt *a, struct report *report)
{
	report->text[sizeof(report->text) - 1] = '\0';
	if (report->kind == SAID) {
		say(report);
		return;
	}
	note_call(a);
	a->call = report->call;
}

/*
 * 1: it has said something, and works on. Else its result, and it is over. Of
 * two DEKs the first is kept, and forget() wipes the other.
 */
static int hear(struct volume_race *race, struct volume *v, size_t i)
{
	struct report report = { .kind = ENDED };
	ssize_t n = recv(race->at[i].line, &report, sizeof(report), 0);
	int r = -EIO;

	if (n == sizeof(report) && report.kind != ENDED) {
		take(&race->at[i], &report);
		return 1;
	}
	if (n == sizeof(report)) {
		r = report.result;
		v->denied = report.denied;
	} else {
		log_error("'%s': the process for slot %zu died",
			  volume_header_name(v), race->at[i].slot);
	}
	if (r == 0 && !race->dek)
		r = keep(race, &race->at[i]);
	note_call(&race->at[i]);
	forget(race, i);
	return r;
}

/* 1: nothing that ends it. A denial counts more than a DEK of the same time. */
static int hear_all(struct volume_race *race, struct volume *v, int wait_ms)
{
	struct pollfd p[HEADER_MAX_SLOTS];
	int best = 1, r;
	size_t i;

	for (i = 0; i < race->count; i++)
		p[i] = (struct pollfd){ race->at[i].line, POLLIN, 0 };
	if (poll(p, race->count, wait_ms) < 0)
		return errno == EINTR ? 1 : -EIO;
	/* Backwards: forget() moves the last one into the gap. */
	for (i = race->count; i-- > 0;) {
		r = p[i].revents ? hear(race, v, i) : 1;
		if (r == -EHOSTUNREACH)
			race->next_ms = 0;
		else if (r < 0 && r != -EBADMSG && !v->denied)
			r = at_fault(race, v, r);
		if (r != -EHOSTUNREACH && (r < 0 || best == 1))
			best = r;
	}
	return best;
}

/* Until the next one's turn; without one as long as it takes. */
static int wait_ms(const struct volume_race *race, const struct volume *v)
{
	uint64_t now_ms = volume_clock_ms();

	if (race->next >= header_slot_count(v->header))
		return -1;
	return race->next_ms > now_ms ? (int)(race->next_ms - now_ms) : 0;
}

int volume_race(struct volume *v, const struct conf *conf,
		unsigned int timeout_ms, struct secret **dek_ret)
{
	struct volume_race *race = calloc(1, sizeof(*race));
	int r = 1;

	if (!race)
		return -ENOMEM;
	race->next = usable(v, 0);
	race->end_ms = volume_clock_ms() + timeout_ms;
	while (r == 1) {
		if (wait_ms(race, v) == 0)
			r = ask_next(race, v, conf);
		else if (race->count == 0)
			r = race->fault ? race->fault : -EHOSTUNREACH;
		else
			r = hear_all(race, v, wait_ms(race, v));
	}
	if (r < 0) {
		volume_race_end(race);
		return r;
	}
	kms_trace_note(&race->call);
	*dek_ret = race->dek;
	race->dek = NULL;
	v->race = race;
	return 0;
}

bool volume_race_wanted(const struct volume *v)
{
	return usable(v, usable(v, 0) + 1) < header_slot_count(v->header);
}

int volume_race_leave(struct volume *v, const char *name)
{
	struct volume_race *race = v->race;
	struct late_order order = { .name = "" };
	size_t i;
	int r = 1;

	if (!race)
		return 0;
	strcpy(order.volume_id, header_core(v->header)->volume_id);
	snprintf(order.name, sizeof(order.name), "%s", name);
	for (i = race->count; i-- > 0;) {
		struct pollfd p = { race->at[i].line, POLLIN, 0 };

		for (r = 1; r == 1 && poll(&p, 1, 0) > 0;)
			r = hear(race, v, i);
		/* As a lease: this host's own faults take nothing away. */
		if (r == -EACCES && v->denied)
			return r;
		if (r == 1)
			(void)send(race->at[i].line, &order, sizeof(order),
				   MSG_NOSIGNAL);
	}
	/* From now on they are their own masters. */
	for (i = 0; i < race->count; i++) {
		close(race->at[i].line);
		close(race->at[i].page);
	}
	race->count = 0;
	return 0;
}
