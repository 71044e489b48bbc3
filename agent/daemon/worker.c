// SPDX-License-Identifier: GPL-2.0-or-later
/* The root part's side of its workers: starting, hearing, ending them. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent_client.h"
#include "header_json.h"
#include "json.h"
#include "log.h"
#include "messages.h"
#include "metrics.h"
#include "policy.h"
#include "secret_pass.h"
#include "varlink.h"
#include "volume.h"

/* Beyond the time of the KMS: a device that is slow, a machine that is. */
#define GRACE_MS 60000u
#define MAX_WARNINGS 8

/* What it may say beside what it logs, and that it failed: one thing. */
enum answer {
	NO_ANSWER, HEADER, GRANTED, UNWRAPPED, WRAPPED, LISTED, RETIRED,
	CHECKED
};

struct worker {
	struct agent *agent;
	struct worker_request request;	/* texts owned */
	const struct worker_events *events;
	void *data;
	struct varlink *line;		/* NULL: waits for its turn */
	sd_event_source *io;
	sd_event_source *timer;
	int pidfd;			/* -1: none */
	int page;			/* -1: none */
	enum answer awaited;
	uint64_t asked_ms;		/* volume_clock_ms() of worker_unwrap() */
	bool over;			/* failed or done */
	bool in_event;			/* free it later */
	bool freed;
	size_t slots;			/* to be proven */
	json_t *proven;			/* these slots, or NULL */
	json_t *wish;			/* under which it wraps, or NULL */
	size_t slot;			/* that it is to unwrap */
	char *grant_token;		/* of the grant it has made, or NULL */
	bool denied;
	char lineage[HEADER_LINEAGE_CHARS];
	char error[2048];
	struct kms_trace trace;
	char *warnings[MAX_WARNINGS];
	size_t warning_count;
	struct worker *next;
};

/* All that live, in the order in which they came. */
static struct worker *workers;

/* By descriptor: a number may be another process's by now. */
static void kill_worker(const struct worker *w)
{
	if (w->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
}

static void destroy(struct worker *w)
{
	struct worker **at = &workers;
	size_t i;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
	sd_event_source_disable_unref(w->io);
	sd_event_source_disable_unref(w->timer);
	/* Also one that has said its last word: it may not have meant it. */
	kill_worker(w);
	if (w->pidfd >= 0)
		close(w->pidfd);
	varlink_free(w->line);
	if (w->page >= 0)
		close(w->page);
	for (i = 0; i < w->warning_count; i++)
		free(w->warnings[i]);
	free((char *)w->request.name);
	free((char *)w->request.grant_prefix);
	free((char *)w->request.lane);
	free((char *)w->request.grant_token);
	free(w->grant_token);
	json_decref(w->request.check);
	json_decref(w->proven);
	json_decref(w->wish);
	free(w);
}

/* What it said becomes what is said of the call that it works for. */
static void replay_messages(const struct worker *w)
{
	size_t i;

	messages_clear();
	for (i = 0; i < w->warning_count; i++)
		messages_add(LOG_LEVEL_WARN, w->warnings[i]);
	if (w->error[0])
		messages_add(LOG_LEVEL_ERROR, w->error);
}

/* What is said of it was said already. */
static void give_up(struct worker *w, int r)
{
	w->over = true;
	w->events->failed(w->data, r);
}

static void fail(struct worker *w, int r, const char *why)
{
	if (w->over)
		return;
	replay_messages(w);
	if (why)
		log_error("'%s': %s", w->request.name, why);
	give_up(w, r);
}

/* Once, and only when it was asked for. */
static bool is_awaited(struct worker *w, enum answer answer)
{
	bool awaited = w->awaited == answer;

	if (awaited)
		w->awaited = NO_ANSWER;
	return awaited;
}

static void take_log(struct worker *w, const json_t *o)
{
	const char *text;
	uint64_t level;

	if (json_get_u64(o, "level", 0, LOG_LEVEL_INFO, &level) < 0 ||
	    json_get_string(o, "text", &text) < 0)
		return;
	if (level == LOG_LEVEL_ERROR)
		snprintf(w->error, sizeof(w->error), "%s", text);
	if (level == LOG_LEVEL_WARN && w->warning_count < MAX_WARNINGS) {
		w->warnings[w->warning_count] = strdup(text);
		w->warning_count += w->warnings[w->warning_count] != NULL;
	}
}

static bool copy_text(const json_t *o, const char *name, char *ret,
		      size_t bytes)
{
	const char *text;

	return json_get_string(o, name, &text) == 0 &&
	       (size_t)snprintf(ret, bytes, "%s", text) < bytes;
}

/* It may say anything: it is no more than what it was asked to do. */
static void take_call(struct worker *w, const json_t *o)
{
	struct kms_trace t = { .result = 0 };
	uint64_t status;

	if (!copy_text(o, "operation", t.operation, sizeof(t.operation)) ||
	    !copy_text(o, "key", t.key, sizeof(t.key)) ||
	    !copy_text(o, "request_id", t.request_id,
		       sizeof(t.request_id)) ||
	    !copy_text(o, "error", t.error, sizeof(t.error)) ||
	    json_get_u64(o, "status", 0, 255, &status) < 0 ||
	    json_get_u64(o, "duration_us", 0, INT64_MAX,
			 &t.duration_us) < 0) {
		fail(w, -EIO, "the worker answers nonsense");
		return;
	}
	t.result = status ? agent_errno(status) : 0;
	metrics_kms(&t);
	if (strcmp(t.operation, "DescribeKey") != 0)
		w->trace = t;
}

static void take_header(struct worker *w, const json_t *o)
{
	struct header *h = NULL;
	int r = -EINVAL;

	if (is_awaited(w, HEADER)) {
		replay_messages(w);
		r = header_from_json(w->request.name, o, &h);
	}
	if (r == -EINVAL)
		fail(w, -EIO, "the worker answers nonsense");
	else if (r < 0)
		give_up(w, r);
	if (r < 0)
		return;
	memcpy(w->lineage, header_core(h)->lineage, sizeof(w->lineage));
	w->events->header(w->data, h);
}

/* Why the KMS denied; which volume it is about, root knows best. */
static bool take_refusal(struct worker *w, const json_t *o)
{
	const char *cause, *key_id;

	if (w->awaited != UNWRAPPED || !w->request.event ||
	    json_get_string(o, "cause", &cause) < 0 ||
	    json_get_string(o, "key_id", &key_id) < 0)
		return false;
	w->events->refused(w->data, cause, key_id);
	return true;
}

static bool take_checked(struct worker *w, const json_t *o)
{
	uint64_t answer;

	if (json_get_u64(o, "answer", 0, LEASE_ALARM, &answer) < 0 ||
	    !is_awaited(w, CHECKED))
		return false;
	w->over = true;
	replay_messages(w);
	w->events->checked(w->data, answer);
	return true;
}

/* A worker that a header has taken over must not name another lineage. */
static void take_unwrapped(struct worker *w, const json_t *o)
{
	char lineage[HEADER_LINEAGE_CHARS];
	struct secret *dek = NULL;
	uint64_t slot;
	int r;

	if (!is_awaited(w, UNWRAPPED) ||
	    json_get_u64(o, "slot", w->proven ? 0 : w->slot,
			 w->proven ? w->slots - 1 : w->slot, &slot) < 0) {
		fail(w, -EIO, "the worker answers nonsense");
		return;
	}
	r = secret_page_take(w->page, HEADER_DEK_BYTES, &dek);
	if (r == 0)
		r = header_lineage(dek, lineage);
	if (r == 0 && strcmp(lineage, w->lineage) != 0)
		r = -EBADMSG;
	if (r < 0) {
		secret_free(dek);
		fail(w, r, "the worker's key is not the header's");
		return;
	}
	w->over = true;
	replay_messages(w);
	w->events->unwrapped(w->data, slot, dek);
}

static bool take_wrapped(struct worker *w, const json_t *o)
{
	const char *key_id, *ciphertext;

	if (json_get_string(o, "key_id", &key_id) < 0 ||
	    json_get_string(o, "ciphertext", &ciphertext) < 0 ||
	    !is_awaited(w, WRAPPED))
		return false;
	w->over = true;
	replay_messages(w);
	w->events->wrapped(w->data, key_id, ciphertext);
	return true;
}

/* What a KMS thinks of a volume. */
static bool take_judgement(struct worker *w, const json_t *message)
{
	json_t *o;

	if (json_get_object(message, "refused", &o) == 0)
		return take_refusal(w, o);
	if (json_get_object(message, "wrapped", &o) == 0)
		return take_wrapped(w, o);
	return json_get_object(message, "checked", &o) == 0 &&
	       take_checked(w, o);
}

/* Once, as it was asked for; a KMS that gives no token needs none. */
static bool take_granted(struct worker *w, const json_t *o)
{
	const char *id, *token = NULL;

	(void)json_get_string(o, "token", &token);
	if (json_get_string(o, "id", &id) < 0 ||
	    (token && strlen(token) > WORKER_MAX_TOKEN_CHARS) ||
	    !is_awaited(w, GRANTED))
		return false;
	/* Without memory for it the grant may have to be waited for. */
	free(w->grant_token);
	w->grant_token = token ? strdup(token) : NULL;
	w->events->granted(w->data, id);
	return true;
}

/* Grants: what they are is for the events' owner to judge. */
static bool take_grants(struct worker *w, const json_t *message)
{
	int sent = 0;
	json_t *o;

	if (json_get_object(message, "granted", &o) == 0) {
		return take_granted(w, o);
	} else if (json_get_object(message, "ungranted", &o) == 0) {
		if (json_get_bool(o, "sent", &sent) < 0 ||
		    !is_awaited(w, GRANTED))
			return false;
		if (!sent)
			w->events->granted(w->data, NULL);
	} else if (json_get_object(message, "listed", &o) == 0) {
		if (!is_awaited(w, LISTED))
			return false;
		w->events->listed(w->data, o);
	} else if (json_get_object(message, "retired", &o) == 0) {
		if (!is_awaited(w, RETIRED))
			return false;
		w->over = true;
		w->events->retired(w->data, o);
	} else {
		return false;
	}
	return true;
}

static void take_message(struct worker *w, const json_t *message)
{
	uint64_t status;
	int denied = 0;
	json_t *o;

	(void)json_get_bool(message, "denied", &denied);
	w->denied = denied;
	if (json_get_object(message, "log", &o) == 0)
		take_log(w, o);
	else if (json_get_object(message, "called", &o) == 0)
		take_call(w, o);
	else if (json_get_object(message, "header", &o) == 0)
		take_header(w, o);
	else if (json_get_object(message, "unwrapped", &o) == 0)
		take_unwrapped(w, o);
	else if (json_get_u64(message, "failed", 1, 255, &status) == 0)
		fail(w, agent_errno(status), NULL);
	else if (!take_judgement(w, message) && !take_grants(w, message))
		fail(w, -EIO, "the worker answers nonsense");
}

static int hear(struct worker *w)
{
	char why[JSON_WHY_BYTES];
	json_t *message = NULL;
	int r = 0;

	while (r == 0 && !w->over && !w->freed) {
		r = varlink_next(w->line, &message, why);
		if (r == 0) {
			take_message(w, message);
			json_decref(message);
		}
	}
	return r == -EAGAIN ? 0 : r;
}

/* What does not fit into the socket follows when it has read: on_line(). */
static int send_waiting(struct worker *w)
{
	int r = varlink_write(w->line);

	if (r == 0 || r == -EAGAIN)
		r = sd_event_source_set_io_events(
			w->io, EPOLLIN | (r == -EAGAIN ? EPOLLOUT : 0));
	return r < 0 ? r : 0;
}

static int on_line(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct worker *w = data;
	int r;

	(void)source;
	(void)fd;
	w->in_event = true;
	/* That nobody is there shows when all that he said was read. */
	if (events & EPOLLOUT)
		send_waiting(w);
	r = varlink_read(w->line);
	if (r == 0)
		r = hear(w);
	if (r < 0 && r != -EAGAIN && !w->freed)
		fail(w, -EIO, r == -EBADMSG || r == -EMSGSIZE ?
		     "the worker answers nonsense" : w->error[0] ? NULL :
		     "the worker died: the journal may say why");
	w->in_event = false;
	if (w->over && !w->freed)
		sd_event_source_set_enabled(w->io, SD_EVENT_OFF);
	if (w->freed)
		destroy(w);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *data)
{
	struct worker *w = data;

	(void)source;
	(void)usec;
	w->in_event = true;
	if (!w->over)
		kill_worker(w);
	fail(w, -EHOSTUNREACH, "the time for it is over");
	w->in_event = false;
	if (w->freed)
		destroy(w);
	return 0;
}

/* Reaps, whether somebody still waits for the worker or not. */
static int on_child(sd_event_source *source, const siginfo_t *si, void *data)
{
	(void)si;
	(void)data;
	sd_event_source_unref(source);
	return 0;
}

/* For reading only, and with a position of its own. */
static int reopen(int fd)
{
	char link[32];

	if (fd < 0)
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return open(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

/* In the child, between fork and exec. */
static void become_worker(const int fds[4], const char *aws_dir)
{
	static char *argv[] = { "envelope-agent", WORKER_VERB, NULL };
	char credentials[4200], config[4200];
	char *env[] = {
		"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		credentials, config, NULL
	};
	int high[4];
	sigset_t none;
	size_t i;

	/* First out of the way of the numbers that they shall have. */
	for (i = 0; i < 4; i++)
		high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD, 16);
	for (i = 0; i < 4; i++) {
		close(WORKER_FD_SOCKET + i);
		if (fds[i] >= 0 && dup2(high[i], WORKER_FD_SOCKET + i) < 0)
			_exit(1);
	}
	close_range(WORKER_FD_HEADER + 1, ~0u, 0);
	snprintf(credentials, sizeof(credentials),
		 "AWS_SHARED_CREDENTIALS_FILE=%s/credentials", aws_dir);
	snprintf(config, sizeof(config), "AWS_CONFIG_FILE=%s/config", aws_dir);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/proc/self/exe", argv, env);
	_exit(1);
}

static int launch(struct worker *w, int device, int header)
{
	sd_event_source *child = NULL;
	int ends[2];
	pid_t pid;
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		become_worker((int[4]){ ends[1], w->page, device, header },
			      w->agent->aws_dir);
	close(ends[1]);
	if (pid < 0) {
		r = -errno;
		close(ends[0]);
		return r;
	}
	w->pidfd = syscall(SYS_pidfd_open, pid, 0);
	r = sd_event_add_child(w->agent->event, &child, pid, WEXITED,
			       on_child, NULL);
	if (r >= 0)
		r = varlink_new(ends[0], WORKER_MAX_BYTES, WORKER_MAX_BYTES,
				&w->line);
	else
		close(ends[0]);
	if (r >= 0)
		r = sd_event_add_io(w->agent->event, &w->io,
				    varlink_fd(w->line), EPOLLIN, on_line, w);
	if (r < 0)
		kill_worker(w);
	return r < 0 ? r : 0;
}

static int spawn(struct worker *w)
{
	int device = reopen(w->request.device_fd);
	int header = reopen(w->request.header_fd);
	int r = 0;

	w->page = secret_page_open();
	if (w->page < 0)
		r = w->page;
	if (r == 0 && ((w->request.device_fd >= 0 && device < 0) ||
		       (w->request.header_fd >= 0 && header < 0)))
		r = -errno;
	if (r == 0)
		r = launch(w, device, header);
	if (r == 0)
		r = sd_event_add_time_relative(
			w->agent->event, &w->timer, CLOCK_BOOTTIME,
			(w->request.timeout_ms + GRACE_MS) * 1000ull, 0,
			on_time, w);
	if (device >= 0)
		close(device);
	if (header >= 0)
		close(header);
	if (r < 0) {
		log_error("'%s': cannot start a worker: %s", w->request.name,
			  strerror(-r));
		return r;
	}
	w->awaited = w->request.check ? CHECKED :
		     w->request.grant_prefix ? LISTED : HEADER;
	r = varlink_queue(w->line, json_pack(
		"{s:{s:s, s:s, s:s, s:i, s:b, s:b, s:s*, s:s*, s:s*}}", "start",
		"config", w->agent->config_path, "aws_dir", w->agent->aws_dir,
		"known_dir", w->agent->known_dir,
		"timeout_ms", w->request.timeout_ms,
		"header_file", w->request.header_fd >= 0,
		"check", w->request.check != NULL,
		"event", w->request.event,
		"grant_token", w->request.grant_token,
		"grant_prefix", w->request.grant_prefix), NULL, 0);
	if (r == 0 && w->request.check)
		r = varlink_queue(w->line, json_pack("{s:O}", "header",
						     w->request.check),
				  NULL, 0);
	return r == 0 ? send_waiting(w) : r;
}

static bool same_lane(const struct worker *a, const struct worker *b)
{
	const char *x = a->request.lane, *y = b->request.lane;

	return x == y || (x && y && strcmp(x, y) == 0);
}

/* In the lane of @of: all, or those of its user. */
static size_t running(const struct worker *of, bool of_user)
{
	const struct worker *w;
	size_t n = 0;

	for (w = workers; w; w = w->next)
		n += w->line && !w->over && same_lane(w, of) &&
		     (!of_user || w->request.uid == of->request.uid);
	return n;
}

/*
 * A worker whose caller has yet to sign is as busy as one that works: who
 * takes his time must not have those of the others, too.
 */
static bool has_room(const struct worker *w)
{
	size_t most = policy_workers(w->agent->policy);

	return running(w, false) < most &&
	       (w->request.uid == 0 || running(w, true) < (most + 1) / 2);
}

/* Those that wait, in their order, as long as there is room. */
static void start_waiting(void)
{
	struct worker *w = workers;

	while (w) {
		if (w->line || w->over || !has_room(w)) {
			w = w->next;
			continue;
		}
		messages_clear();
		if (spawn(w) < 0)
			give_up(w, -EIO);
		/* Whoever failed may have taken others with him. */
		w = workers;
	}
}

static int on_room(sd_event_source *source, void *data)
{
	(void)data;
	sd_event_source_unref(source);
	start_waiting();
	return 0;
}

/* From the loop: who calls is in the middle of something. */
static int start_later(struct agent *agent)
{
	return sd_event_add_defer(agent->event, &(sd_event_source *){ NULL },
				  on_room, NULL);
}

/* NULL stays; false: no memory, and it is NULL. */
static bool keep_text(const char **text)
{
	bool given = *text != NULL;

	*text = given ? strdup(*text) : NULL;
	return !given || *text;
}

int worker_start(struct agent *agent, const struct worker_request *request,
		 const struct worker_events *events, void *data,
		 struct worker **ret)
{
	struct worker *w = calloc(1, sizeof(*w));
	struct worker **at = &workers;
	int r;

	if (!w)
		goto no_memory;
	*w = (struct worker){
		.agent = agent, .request = *request, .events = events,
		.data = data, .page = -1, .pidfd = -1,
	};
	if (w->request.timeout_ms == 0 ||
	    w->request.timeout_ms > policy_timeout_ms(agent->policy))
		w->request.timeout_ms = policy_timeout_ms(agent->policy);
	json_incref(w->request.check);
	if (!keep_text(&w->request.name) | !keep_text(&w->request.lane) |
	    !keep_text(&w->request.grant_token) |
	    !keep_text(&w->request.grant_prefix)) {
		destroy(w);
		goto no_memory;
	}
	while (*at)
		at = &(*at)->next;
	*at = w;
	r = start_later(agent);
	if (r < 0) {
		destroy(w);
		goto no_memory;
	}
	*ret = w;
	return 0;
no_memory:
	log_error("out of memory");
	return -ENOMEM;
}

/* One that cannot be told dies, so that its end of the line says so. */
static void tell(struct worker *w, enum answer awaited, json_t *message)
{
	int r = varlink_queue(w->line, message, NULL, 0);

	w->awaited = awaited;
	if (r == 0)
		r = send_waiting(w);
	if (r < 0) {
		log_warn("'%s': the worker does not listen", w->request.name);
		kill_worker(w);
	}
	if (awaited != RETIRED && w->events->asked)
		w->events->asked(w->data);
}

void worker_unwrap(struct worker *w, size_t slot)
{
	w->asked_ms = volume_clock_ms();
	w->slot = slot;
	if (w->wish) {
		tell(w, WRAPPED, json_pack("{s:{s:i, s:O}}", "unwrap", "slot",
					   (int)slot, "wrap", w->wish));
		return;
	}
	tell(w, UNWRAPPED, w->proven ?
	     json_pack("{s:{s:O}}", "unwrap", "slots", w->proven) :
	     json_pack("{s:{s:i}}", "unwrap", "slot", (int)slot));
}

void worker_prove(struct worker *w, json_t *slots)
{
	json_decref(w->proven);
	w->proven = slots;
	w->slots = json_array_size(json_object_get(slots, "slots"));
}

void worker_wrap(struct worker *w, json_t *wish)
{
	json_decref(w->wish);
	w->wish = wish;
}

bool worker_denied(const struct worker *w)
{
	return w->denied;
}

void worker_linger(struct worker *w)
{
	const char *lane = strdup("nobody waits");

	/* Without memory it counts where it did. */
	if (!lane)
		return;
	free((char *)w->request.lane);
	w->request.lane = lane;
	start_later(w->agent);
}

void worker_print_lane(const char *kind, const char *key_id,
		       char ret[WORKER_LANE_BYTES])
{
	size_t len = strcspn(key_id, ";/");
	int colons = 0;

	if (strncmp(key_id, "arn:", 4) == 0)
		for (len = 0; key_id[len] && colons < 4; len++)
			colons += key_id[len] == ':';
	snprintf(ret, WORKER_LANE_BYTES, "%s%.*s", kind, (int)len, key_id);
}

uint64_t worker_asked_ms(const struct worker *w)
{
	return w->asked_ms;
}

const char *worker_grant_token(const struct worker *w)
{
	return w->grant_token;
}

void worker_grant(struct worker *w, json_t *request)
{
	tell(w, GRANTED, json_pack("{s:o}", "grant", request));
}

void worker_retire(struct worker *w, json_t *grants)
{
	tell(w, RETIRED, json_pack("{s:{s:o}}", "retire", "grants", grants));
}

const struct kms_trace *worker_trace(const struct worker *w)
{
	static const struct kms_trace none;

	return w ? &w->trace : &none;
}

void worker_free(struct worker *w)
{
	struct agent *agent;

	if (!w)
		return;
	agent = w->agent;
	w->freed = true;
	if (!w->in_event)
		destroy(w);
	start_later(agent);
}
