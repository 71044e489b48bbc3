// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections and their calls, with methods that answer when we like. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "call.h"
#include "header_fixture.h"

#define TURNS 1000
#define FIRST "{\"method\":\"first\"}"
#define SECOND "{\"method\":\"second\"}"

static struct agent agent;
static int client;
static struct call *calls[2];
static size_t count;		/* of them */
static size_t gone;

void __wrap_methods_run(struct call *c)
{
	assert_true(count < 2);
	calls[count++] = c;
}

static void turn(void)
{
	assert_true(sd_event_run(agent.event, 1000000) >= 0);
}

static void until_called(size_t times)
{
	int i;

	for (i = 0; count < times && i < TURNS; i++)
		turn();
	assert_int_equal(count, times);
}

/* Two calls wait, and the first of them is being answered. */
static void begin(void)
{
	static const char both[] = FIRST "\0" SECOND;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(sa);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	count = gone = 0;
	assert_int_equal(sd_event_new(&agent.event), 0);
	/* A name of the kernel's choice. */
	assert_int_equal(bind(fd, (struct sockaddr *)&sa,
			      sizeof(sa.sun_family)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &bytes), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(server_new(&agent, fd, &agent.server), 0);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&sa, bytes), 0);
	assert_int_equal(write(client, both, sizeof(both)), sizeof(both));
	until_called(1);
	assert_string_equal(call_method(calls[0]), "first");
}

static void end(void)
{
	server_free(agent.server);
	sd_event_unref(agent.event);
	close(client);
}

static void assert_answered(const char *expected)
{
	char text[256] = "";

	assert_true(read(client, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, expected);
}

static void on_gone(struct call *c, void *data)
{
	(void)data;
	gone++;
	call_reply(c, json_object());
}

/* Who answers holds what the next call may free. */
static void next_call(void **state)
{
	(void)state;
	begin();
	call_refuse(calls[0], -EACCES, "no");
	assert_int_equal(count, 1);
	until_called(2);
	assert_string_equal(call_method(calls[1]), "second");
	assert_answered("{\"error\":\"io.envelope.Agent.Denied\",\"parameters\":{\"message\":\"no\",\"status\":3}}");
	call_on_gone(calls[1], on_gone, NULL);
	end();
	assert_int_equal(gone, 1);
}

static void stream(void **state)
{
	int i;

	(void)state;
	begin();
	call_on_gone(calls[0], on_gone, NULL);
	close(client);
	client = -1;
	call_stream(calls[0], json_object());
	/* Nobody is there, but the call is, until the loop has its turn. */
	assert_int_equal(gone, 0);
	assert_false(call_abandoned(calls[0]));
	for (i = 0; !gone && i < TURNS; i++)
		turn();
	assert_int_equal(gone, 1);
	end();
}

static void last_answer(void **state)
{
	(void)state;
	begin();
	call_reply(calls[0], json_object());
	server_free(agent.server);
	agent.server = NULL;
	assert_answered("{\"parameters\":{}}");
	assert_int_equal(count, 1);
	end();
}

#define NAMED(text, test) { text, test, NULL, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("agent-server-the-next-call-waits-for-the-loop",
		      next_call),
		NAMED("agent-server-who-streams-has-its-call-still", stream),
		NAMED("agent-server-an-answer-before-the-end-is-sent",
		      last_answer),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("agent_server", tests, NULL, NULL);
}
