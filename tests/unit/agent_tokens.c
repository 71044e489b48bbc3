// SPDX-License-Identifier: GPL-2.0-or-later
/* How long a lease sends the token of its grant, with a clock of ours. */
#include <stdbool.h>

#include "header_fixture.h"
#include "keyring.h"
#include "leases_private.h"
#include "messages.h"
#include "volume.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define SECOND 1000ull

static uint64_t now_ms;
static char sent[16];			/* with the last check; "none" */
static const struct worker_events *events;	/* of it; NULL: none runs */
static void *events_data;

uint64_t __wrap_volume_clock_ms(void)
{
	return now_ms;
}

int __wrap_dm_volume_status_get(const char *name, struct dm_volume_status *ret)
{
	(void)name;
	*ret = (struct dm_volume_status){ .state = DM_STATE_ACTIVE };
	strcpy(ret->volume.uuid, UUID);
	return 0;
}

int __wrap_volume_end_key(const struct dm_volume_status *s,
			  struct dm_volume_status *ret)
{
	(void)s;
	(void)ret;
	return 0;
}

int __wrap_keyring_set_timeout(const char *volume_id, uint64_t timeout_ms)
{
	(void)volume_id;
	(void)timeout_ms;
	return 0;
}

bool __wrap_volume_holds_audit(const struct dm_volume_status *s)
{
	(void)s;
	return true;
}

int __wrap_worker_start(struct agent *agent, const struct worker_request *q,
			const struct worker_events *ours, void *data,
			struct worker **ret)
{
	(void)agent;
	snprintf(sent, sizeof(sent), "%s",
		 q->grant_token ? q->grant_token : "none");
	events = ours;
	events_data = data;
	*ret = (struct worker *)&events;
	return 0;
}

void __wrap_worker_free(struct worker *w)
{
	if (w)
		events = NULL;
}

const struct kms_trace *__wrap_worker_trace(const struct worker *w)
{
	static const struct kms_trace none;

	(void)w;
	return &none;
}

static struct agent agent;
static char folder[] = "/tmp/tokens-XXXXXX";
static struct attachment *volume;

static int begin(void **state)
{
	static const struct lease_terms terms = { 100 * SECOND, 50 * SECOND };
	struct header *h = fixture_header(fixture_dek(1));
	struct attachment new = { .stage = ATTACHMENT_ATTACHED };

	(void)state;
	now_ms = 1000 * SECOND;
	events = NULL;
	strcpy(new.name, "v");
	strcpy(new.uuid, UUID);
	strcpy(new.volume_id, VOLUME_ID);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(sd_event_new(&agent.event), 0);
	assert_int_equal(attachments_load(folder, &agent.attachments), 0);
	assert_int_equal(attachments_add(agent.attachments, &new, &volume), 0);
	assert_int_equal(leases_begin(&agent, volume, h, &terms, now_ms), 0);
	header_free(h);
	return 0;
}

static int end(void **state)
{
	char command[64];

	(void)state;
	leases_stop();
	attachments_free(agent.attachments);
	sd_event_unref(agent.event);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	return 0;
}

/* With the next check. */
static const char *token(void)
{
	while (!events) {
		assert_true(now_ms < 3000 * SECOND);
		now_ms += 100;
		leases_run();
	}
	return sent;
}

static void answers(enum lease_answer a)
{
	messages_clear();
	events->checked(events_data, a);
}

/* A KMS of many parts learns of a grant in its own time. */
static void some_minutes(void **state)
{
	(void)state;
	leases_use_token(volume, "t0k");
	for (; now_ms < 1240 * SECOND; answers(LEASE_GRANTED))
		assert_string_equal(token(), "t0k");
	while (now_ms < 1300 * SECOND) {
		token();
		answers(LEASE_GRANTED);
	}
	assert_string_equal(token(), "none");
}

static void denied(void **state)
{
	(void)state;
	leases_use_token(volume, "t0k");
	assert_string_equal(token(), "t0k");
	answers(LEASE_DENIED);
	assert_null(events);
	assert_string_equal(token(), "t0k");
}

static void refused(void **state)
{
	(void)state;
	leases_use_token(volume, "t0k");
	token();
	answers(LEASE_TOKEN_REFUSED);
	/* Asked again at once. */
	assert_non_null(events);
	assert_string_equal(sent, "none");
	answers(LEASE_GRANTED);
	assert_string_equal(token(), "none");
	answers(LEASE_GRANTED);
	/* Of its slots, one was changed. */
	leases_use_token(volume, NULL);
	assert_string_equal(token(), "none");
	answers(LEASE_GRANTED);
	leases_use_token(volume, "other");
	assert_string_equal(token(), "other");
}

/* An unlock may be by a grant without one, or by none. */
static void unlocked(void **state)
{
	static const struct lease_terms terms = { 100 * SECOND, 50 * SECOND };
	struct header *h = fixture_header(fixture_dek(1));

	(void)state;
	leases_use_token(volume, "t0k");
	leases_locked(&agent, volume, "somebody's wish");
	assert_int_equal(leases_begin(&agent, volume, h, &terms, now_ms), 0);
	header_free(h);
	assert_string_equal(token(), "none");
}

static void on_disk(void **state)
{
	char command[64];

	(void)state;
	leases_use_token(volume, "t0k");
	assert_int_equal(attachments_save(agent.attachments), 0);
	snprintf(command, sizeof(command), "grep -rq %s %s", VOLUME_ID, folder);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "grep -rq t0k %s", folder);
	assert_int_not_equal(system(command), 0);
}

#define NAMED(text, test) { text, test, begin, end, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("agent-tokens-are-sent-for-some-minutes", some_minutes),
		NAMED("agent-tokens-are-sent-to-confirm-a-denial", denied),
		NAMED("agent-tokens-that-are-refused-are-sent-no-more",
		      refused),
		NAMED("agent-tokens-end-with-the-key", unlocked),
		NAMED("agent-tokens-never-reach-the-disk", on_disk),
	};

	messages_start();
	return cmocka_run_group_tests_name("agent_tokens", tests, NULL, NULL);
}
