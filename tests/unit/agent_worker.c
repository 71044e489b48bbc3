// SPDX-License-Identifier: GPL-2.0-or-later
/* Workers that lie, and one that does not end: this program is theirs, too. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "header_fixture.h"
#include "messages.h"
#include "policy.h"
#include "secret_pass.h"
#include "volume.h"
#include "worker.h"

#define BOUND_SECONDS 300
#define LISTED "{\"listed\": {\"grants\": [], \"complete\": true}}"
#define RETIRED "{\"retired\": {\"names\": []}}"
#define UNWRAPPED "{\"unwrapped\": {\"slot\": 0}}"
#define GRANTED "{\"granted\": {\"id\": \"id\", \"token\": \"t0k\"}}"
#define UNGRANTED "{\"ungranted\": {\"sent\": false}}"
#define WRAPPED "{\"wrapped\": {\"key_id\": \"k\", \"ciphertext\": \"eA==\"}}"
#define REFUSED "{\"refused\": {\"cause\": \"because\", \"key_id\": \"key\"}}"
#define FAILED "{\"failed\": 3}"
#define NONSENSE "'lie': the worker answers nonsense"

/* What a worker does, in turn, beside saying a text. */
#define HEADER "header"
#define LISTEN "listen"		/* until a message came */
#define STOP "stop"		/* until it is woken */
#define KEY "key"		/* into the page */
#define OTHER_KEY "other key"
#define COUNT "count"		/* say how long the last message was */
#define STAY "stay"
#define DEVICE "device"		/* die unless it is there, for reading */

/* By the name that is its configuration's path. */
static const struct lie {
	const char *name;
	enum { OPENS, GRANTS, CHECKS } kind;
	const char *turns[5];
} lies[] = {
	{ "truth", OPENS, { HEADER, LISTEN, KEY, UNWRAPPED } },
	{ "device", OPENS, { DEVICE, HEADER, LISTEN, KEY, UNWRAPPED } },
	{ "other key", OPENS, { HEADER, LISTEN, OTHER_KEY, UNWRAPPED } },
	{ "no slot", OPENS, { HEADER, LISTEN, KEY,
			      "{\"unwrapped\": {\"slot\": 1}}" } },
	{ "unasked", OPENS, { HEADER, UNWRAPPED, STAY } },
	{ "wrapped unasked", OPENS, { HEADER, WRAPPED, STAY } },
	{ "two headers", OPENS, { HEADER, HEADER, STAY } },
	{ "unsigned", OPENS, { HEADER, GRANTED, STAY } },
	{ "unsigned, refused", OPENS, { HEADER, UNGRANTED, STAY } },
	{ "granted twice", OPENS, { HEADER, LISTEN, GRANTED, GRANTED, STAY } },
	{ "no header", OPENS, { LISTED, STAY } },
	{ "a header", GRANTS, { HEADER, STAY } },
	{ "granted", GRANTS, { GRANTED, STAY } },
	{ "unlisted", GRANTS, { RETIRED, STAY } },
	{ "two lists", GRANTS, { LISTED, LISTED, STAY } },
	{ "no JSON", GRANTS, { "{", STAY } },
	{ "death", GRANTS, { NULL } },
	{ "stays", GRANTS, { LISTED, LISTEN, RETIRED, STAY } },
	{ "denied", CHECKS, { "{\"checked\": {\"answer\": 1}}", STAY } },
	{ "no answer", CHECKS, { "{\"checked\": {\"answer\": 5}}", STAY } },
	{ "unchecked", OPENS, { HEADER, "{\"checked\": {\"answer\": 0}}", STAY } },
	{ "key of a check", CHECKS, { KEY, UNWRAPPED, STAY } },
	{ "refused", OPENS, { HEADER, LISTEN, REFUSED, FAILED } },
	{ "no denial", OPENS, { HEADER, FAILED } },
	{ "denial", OPENS, { HEADER, "{\"failed\": 3, \"denied\": true}" } },
	{ "refused unasked", OPENS, { HEADER, REFUSED, STAY } },
	{ "hangs", CHECKS, { STAY } },
	{ "slow", GRANTS, { LISTED, STOP, LISTEN, COUNT, STAY } },
};

static const struct lie *find_lie(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		if (strcmp(lies[i].name, name) == 0)
			return &lies[i];
	return NULL;
}

static char heard[2 * WORKER_MAX_BYTES];
static size_t heard_bytes;

static void listen_to_root(void)
{
	ssize_t n;

	heard_bytes = 0;
	do {
		n = read(WORKER_FD_SOCKET, heard + heard_bytes,
			 sizeof(heard) - heard_bytes);
		if (n <= 0)
			_exit(1);
		heard_bytes += n;
	} while (heard[heard_bytes - 1] != '\0');
}

static void say(const char *text)
{
	size_t bytes = strlen(text) + 1;

	if (write(WORKER_FD_SOCKET, text, bytes) != (ssize_t)bytes)
		_exit(1);
}

static void say_header(void)
{
	struct header *h = fixture_header(fixture_dek(1));
	char uuid[2 * HEADER_UUID_BYTES + 1];
	size_t i;

	for (i = 0; i < HEADER_UUID_BYTES; i++)
		snprintf(uuid + 2 * i, 3, "%02x", header_core(h)->uuid[i]);
	say(json_dumps(json_pack("{s:{s:O, s:O, s:s}}", "header", "core",
				 header_core_json(h), "slots",
				 header_slots_json(h), "uuid", uuid), 0));
}

static void take_turn(const char *turn)
{
	char text[64];

	if (strcmp(turn, HEADER) == 0) {
		say_header();
	} else if (strcmp(turn, LISTEN) == 0) {
		listen_to_root();
	} else if (strcmp(turn, STOP) == 0) {
		raise(SIGSTOP);
	} else if (strcmp(turn, KEY) == 0) {
		secret_page_put(WORKER_FD_PAGE, fixture_dek(1));
	} else if (strcmp(turn, OTHER_KEY) == 0) {
		secret_page_put(WORKER_FD_PAGE, fixture_dek(2));
	} else if (strcmp(turn, COUNT) == 0) {
		snprintf(text, sizeof(text), "{\"retired\": {\"names\": [\"%zu\"]}}",
			 heard_bytes);
		say(text);
	} else if (strcmp(turn, DEVICE) == 0) {
		if ((fcntl(WORKER_FD_DEVICE, F_GETFL) & O_ACCMODE) != O_RDONLY)
			_exit(1);
	} else if (strcmp(turn, STAY) == 0) {
		pause();
	} else {
		say(turn);
	}
}

/* The body of the worker. */
static int lie(void)
{
	const struct lie *l;
	json_t *o, *start;
	size_t i;

	alarm(BOUND_SECONDS);
	listen_to_root();
	o = json_loads(heard, 0, NULL);
	start = json_object_get(o, "start");
	l = find_lie(json_string_value(json_object_get(start, "config")));
	for (i = 0; l && i < 5 && l->turns[i]; i++)
		take_turn(l->turns[i]);
	return 0;
}

/* The root part: what it was told. */
struct root {
	struct agent agent;
	struct worker *worker;
	size_t grants;		/* to be retired; 0: it waits */
	bool asks;		/* for the grant, then for the key */
	int device_fd;		/* 0: none */
	bool denied;		/* when it had failed */
	unsigned int checked;	/* 1 and the answer */
	uint64_t asked_ms;
	char refusal[32];
	unsigned int headers, granted, refused, listed, retired, unwrapped;
	size_t bytes;		/* that the worker has counted */
	int failed;
	char error[256];
	bool over;
};

static uint64_t now_ms;

uint64_t __wrap_volume_clock_ms(void)
{
	return now_ms;
}

static void on_header(void *data, struct header *h)
{
	struct root *t = data;

	now_ms += 11000;
	header_free(h);
	t->headers++;
	if (t->asks && strcmp(t->agent.config_path, "granted twice") == 0)
		worker_grant(t->worker, json_object());
	else if (t->asks)
		worker_unwrap(t->worker, 0);
}

static void on_granted(void *data, const char *id)
{
	struct root *t = data;

	t->granted += id != NULL;
	if (id)
		assert_string_equal(worker_grant_token(t->worker), "t0k");
	t->refused += id == NULL;
	worker_unwrap(t->worker, 0);
}

static void on_listed(void *data, const json_t *o)
{
	struct root *t = data;
	json_t *list = json_array();
	siginfo_t stopped;
	char name[201];
	size_t i;

	(void)o;
	t->listed++;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (i = 0; i < t->grants; i++)
		json_array_append_new(list, json_string(name));
	if (strcmp(t->agent.config_path, "slow") == 0) {
		assert_int_equal(waitid(P_ALL, 0, &stopped, WSTOPPED), 0);
		worker_retire(t->worker, json_incref(list));
		kill(stopped.si_pid, SIGCONT);
	} else if (t->grants > 0) {
		worker_retire(t->worker, json_incref(list));
	}
	json_decref(list);
}

static void on_retired(void *data, const json_t *o)
{
	struct root *t = data;
	const char *text = json_string_value(json_array_get(
		json_object_get(o, "names"), 0));

	t->retired++;
	t->bytes = text ? strtoul(text, NULL, 10) : 0;
	t->over = true;
}

static void on_unwrapped(void *data, size_t slot, struct secret *dek)
{
	struct root *t = data;

	secret_free(dek);
	now_ms += 1000;
	t->asked_ms = worker_asked_ms(t->worker);
	t->unwrapped += slot == 0;
	t->over = true;
}

static void on_checked(void *data, enum lease_answer answer)
{
	struct root *t = data;

	t->checked = 1 + answer;
	t->over = true;
}

static void on_refused(void *data, const char *cause, const char *key_id)
{
	struct root *t = data;

	snprintf(t->refusal, sizeof(t->refusal), "%s %s", cause, key_id);
}

static void on_failed(void *data, int r)
{
	struct root *t = data;

	t->failed = r;
	t->denied = worker_denied(t->worker);
	snprintf(t->error, sizeof(t->error), "%s", messages_error());
	t->over = true;
}

/* The end of the loop, when no process is left. */
static void end(struct agent *agent)
{
	siginfo_t left;

	/* One that was not killed would be seen as not yet ended. */
	while (waitid(P_ALL, 0, &left, WEXITED | WNOHANG | WNOWAIT) == 0)
		assert_true(sd_event_run(agent->event, UINT64_MAX) >= 0);
	assert_int_equal(errno, ECHILD);
	while (sd_event_run(agent->event, 0) > 0)
		;
	policy_free(agent->policy);
	sd_event_unref(agent->event);
}

/* Hear the lie called @name to its end; no process is left of it. */
static void hear(const char *name, struct root *t)
{
	static const struct worker_events events = {
		.header = on_header, .granted = on_granted,
		.listed = on_listed, .retired = on_retired,
		.unwrapped = on_unwrapped, .failed = on_failed,
		.checked = on_checked, .refused = on_refused,
	};
	json_t *check = json_object();
	struct worker_request request = {
		.name = "lie", .header_fd = -1, .event = "attachVolume",
		.device_fd = t->device_fd ? t->device_fd : -1,
		.check = find_lie(name)->kind == CHECKS ? check : NULL,
		.grant_prefix = find_lie(name)->kind == GRANTS ? "prefix" : NULL,
	};

	alarm(BOUND_SECONDS);
	t->agent = (struct agent){ .config_path = name, .aws_dir = "",
				   .known_dir = "" };
	assert_int_equal(sd_event_new(&t->agent.event), 0);
	assert_int_equal(policy_parse("policy", "", 0, &t->agent.policy), 0);
	assert_int_equal(worker_start(&t->agent, &request, &events, t,
				      &t->worker), 0);
	json_decref(check);
	while (!t->over)
		assert_true(sd_event_run(t->agent.event, UINT64_MAX) >= 0);
	worker_free(t->worker);
	end(&t->agent);
}

static void refuse(const char *name, struct root *t, int r, const char *error)
{
	hear(name, t);
	assert_string_equal(t->error, error);
	assert_int_equal(t->failed, r);
	assert_int_equal(t->unwrapped, 0);
	assert_int_equal(t->retired, 0);
}

static void agent_worker_key(void **state)
{
	struct root t = { .asks = true };
	struct root other = { .asks = true };
	struct root slot = { .asks = true };

	(void)state;
	hear("truth", &t);
	assert_int_equal(t.unwrapped, 1);
	assert_int_equal(t.failed, 0);
	refuse("other key", &other, -EBADMSG,
	       "'lie': the worker's key is not the header's");
	refuse("no slot", &slot, -EIO, NONSENSE);
}

/* After the wait for the header, and before the one for the KMS. */
static void agent_worker_question(void **state)
{
	struct root t = { .asks = true };

	(void)state;
	now_ms = 5000;
	hear("truth", &t);
	assert_int_equal(t.unwrapped, 1);
	assert_int_equal(t.asked_ms, 16000);
}

static void agent_worker_device(void **state)
{
	struct root t = { .asks = true, .device_fd = open("/dev/null", O_RDWR) };

	(void)state;
	hear("device", &t);
	assert_int_equal(t.unwrapped, 1);
	close(t.device_fd);
}

static void agent_worker_denied(void **state)
{
	struct root denial = { .asks = true };
	struct root other = { .asks = true };

	(void)state;
	hear("denial", &denial);
	assert_int_equal(denial.failed, -EACCES);
	assert_true(denial.denied);
	hear("no denial", &other);
	assert_int_equal(other.failed, -EACCES);
	assert_false(other.denied);
}

static void agent_worker_unasked(void **state)
{
	static const char *const names[] = {
		"unasked", "two headers", "unsigned", "unsigned, refused",
		"no header", "a header", "granted", "unlisted", "two lists",
		"no JSON", "unchecked", "no answer", "key of a check",
		"refused unasked", "wrapped unasked",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct root t = { .grants = 0 };
		bool opens = find_lie(names[i])->kind == OPENS;

		refuse(names[i], &t, -EIO, NONSENSE);
		assert_int_equal(t.granted + t.refused + t.checked, 0);
		assert_string_equal(t.refusal, "");
		assert_int_equal(t.headers, opens && i != 4);
		assert_int_equal(t.listed, strcmp(names[i], "two lists") == 0);
	}
}

static void agent_worker_granted_twice(void **state)
{
	struct root t = { .asks = true };

	(void)state;
	refuse("granted twice", &t, -EIO, NONSENSE);
	assert_int_equal(t.granted, 1);
}

static void agent_worker_dies(void **state)
{
	struct root t = { .grants = 0 };

	(void)state;
	refuse("death", &t, -EIO,
	       "'lie': the worker died: the journal may say why");
}

static void agent_worker_judges(void **state)
{
	struct root denied = { .grants = 0 };
	struct root refused = { .asks = true };

	(void)state;
	hear("denied", &denied);
	assert_int_equal(denied.checked, 1 + LEASE_DENIED);
	hear("refused", &refused);
	assert_string_equal(refused.refusal, "because key");
	assert_int_equal(refused.failed, -EACCES);
}

/* Processes of this one's that live. */
static size_t children(void)
{
	char path[64], text[65536];
	size_t n = 0, i;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children",
		 (int)getpid());
	f = fopen(path, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	for (i = 0; text[i]; i++)
		n += text[i] == ' ';
	return n;
}

#define CROWD 100

/* A KMS that hangs has as many as it may, and nobody else waits for it. */
static void agent_worker_crowd(void **state)
{
	static const char policy[] = "[agent]\nworkers = 3\n";
	static const struct worker_events events = {
		.checked = on_checked, .failed = on_failed,
	};
	struct worker *hanging[CROWD];
	struct root slow = { .grants = 0 }, quick = { .grants = 0 };
	json_t *check = json_object();
	struct worker_request request = {
		.name = "lie", .device_fd = -1, .header_fd = -1,
		.check = check, .lane = "slow",
	};
	siginfo_t left;
	size_t i;

	(void)state;
	alarm(BOUND_SECONDS);
	slow.agent = (struct agent){ .config_path = "hangs", .aws_dir = "",
				     .known_dir = "" };
	assert_int_equal(sd_event_new(&slow.agent.event), 0);
	assert_int_equal(policy_parse("policy", policy, strlen(policy),
				      &slow.agent.policy), 0);
	quick.agent = slow.agent;
	quick.agent.config_path = "denied";
	for (i = 0; i < CROWD; i++)
		assert_int_equal(worker_start(&slow.agent, &request, &events,
					      &slow, &hanging[i]), 0);
	while (sd_event_run(slow.agent.event, 0) > 0)
		;
	assert_int_equal(children(), 3);
	request.lane = "quick";
	assert_int_equal(worker_start(&quick.agent, &request, &events, &quick,
				      &quick.worker), 0);
	while (!quick.over)
		assert_true(sd_event_run(slow.agent.event, UINT64_MAX) >= 0);
	assert_int_equal(quick.checked, 1 + LEASE_DENIED);
	worker_free(quick.worker);
	/* One that ends makes room for one. */
	worker_free(hanging[0]);
	while (children() != 3 || sd_event_run(slow.agent.event, 0) > 0)
		sd_event_run(slow.agent.event, 100000);
	assert_false(slow.over);
	for (i = CROWD - 1; i > 0; i--)
		worker_free(hanging[i]);
	while (waitid(P_ALL, 0, &left, WEXITED | WNOHANG | WNOWAIT) == 0)
		assert_true(sd_event_run(slow.agent.event, 100000) >= 0);
	while (sd_event_run(slow.agent.event, 0) > 0)
		;
	json_decref(check);
	policy_free(slow.agent.policy);
	sd_event_unref(slow.agent.event);
}

/* hear() would not end. */
static void agent_worker_stays(void **state)
{
	struct root t = { .grants = 1 };

	(void)state;
	hear("stays", &t);
	assert_int_equal(t.retired, 1);
}

static void agent_worker_slow(void **state)
{
	struct root t = { .grants = 4000 };

	(void)state;
	hear("slow", &t);
	assert_int_equal(t.failed, 0);
	assert_true(t.bytes > 4000 * 200);
}

static void agent_worker_too_much(void **state)
{
	struct root t = { .grants = 6000 };

	(void)state;
	refuse("stays", &t, -EIO,
	       "'lie': the worker died: the journal may say why");
}

/* Two of one user, then one of another: there is room for one of each. */
static void agent_worker_share(void **state)
{
	static const uid_t users[] = { 7, 7, 8 };
	static const struct worker_events events = {
		.listed = on_listed, .failed = on_failed,
	};
	struct worker_request request = {
		.name = "lie", .device_fd = -1, .header_fd = -1,
		.grant_prefix = "prefix",
	};
	struct root t[3] = { 0 };
	struct agent agent = { .config_path = "two lists", .aws_dir = "",
			       .known_dir = "" };
	size_t i;

	(void)state;
	alarm(BOUND_SECONDS);
	assert_int_equal(sd_event_new(&agent.event), 0);
	assert_int_equal(policy_parse("policy", "[agent]\nworkers = 2\n", 20,
				      &agent.policy), 0);
	for (i = 0; i < 3; i++) {
		t[i].agent = agent;
		request.uid = users[i];
		assert_int_equal(worker_start(&agent, &request, &events, &t[i],
					      &t[i].worker), 0);
	}
	while (!t[0].over || (!t[1].over && !t[2].over))
		assert_true(sd_event_run(agent.event, UINT64_MAX) >= 0);
	assert_int_equal(t[1].listed, 0);
	worker_free(t[0].worker);
	while (!t[1].over)
		assert_true(sd_event_run(agent.event, UINT64_MAX) >= 0);
	worker_free(t[1].worker);
	worker_free(t[2].worker);
	end(&agent);
}

#define NAMED(text, test) { text, test, NULL, NULL, NULL }

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		NAMED("agent-worker-a-key-must-be-the-headers",
		      agent_worker_key),
		NAMED("agent-worker-a-lease-begins-with-the-question",
		      agent_worker_question),
		NAMED("agent-worker-it-reads-the-device-only",
		      agent_worker_device),
		NAMED("agent-worker-what-is-no-denial-of-a-kms-is-none",
		      agent_worker_denied),
		NAMED("agent-worker-what-was-not-asked-for-ends-it",
		      agent_worker_unasked),
		NAMED("agent-worker-a-grant-is-made-once",
		      agent_worker_granted_twice),
		NAMED("agent-worker-one-that-dies-is-named",
		      agent_worker_dies),
		NAMED("agent-worker-a-denial-is-told", agent_worker_judges),
		NAMED("agent-worker-a-slow-kms-keeps-no-other-waiting",
		      agent_worker_crowd),
		NAMED("agent-worker-one-that-stays-is-killed",
		      agent_worker_stays),
		NAMED("agent-worker-a-user-has-half-of-them",
		      agent_worker_share),
		NAMED("agent-worker-a-slow-one-hears-all",
		      agent_worker_slow),
		NAMED("agent-worker-one-that-cannot-be-told-dies",
		      agent_worker_too_much),
	};
	sigset_t child;

	if (argc == 2 && strcmp(argv[1], WORKER_VERB) == 0)
		_exit(lie());
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	messages_start();
	return cmocka_run_group_tests_name("agent_worker", tests, NULL, NULL);
}
