// SPDX-License-Identifier: GPL-2.0-or-later
/* Metrics: of volumes that are not there, and of a KMS that was not asked. */
#include <stdbool.h>

#include "header_fixture.h"
#include "leases.h"
#include "metrics.h"
#include "volume.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define LABELS "{volume_id=\"" VOLUME_ID "\",name=\"data\""

static char *text;

/* Is there such a line, from its beginning? */
static bool has(const char *line)
{
	char wanted[512];

	snprintf(wanted, sizeof(wanted), "\n%s", line);
	return strstr(text, wanted) != NULL;
}

static void look(struct agent *agent, const struct dm_volume_status *list,
		 size_t count)
{
	free(text);
	text = metrics_text(agent, list, count);
	assert_non_null(text);
}

/* How many lines begin with @line? */
static size_t count_of(const char *line)
{
	const char *at = text;
	size_t n = 0;

	while ((at = strstr(at, line))) {
		n += at == text || at[-1] == '\n';
		at++;
	}
	return n;
}

static void volumes(void **state)
{
	static const struct lease_terms terms = { 900000, 3600000 };
	static char folder[] = "/tmp/metrics-XXXXXX";
	struct attachment new = { .uid = 7, .stage = ATTACHMENT_ATTACHED };
	struct dm_volume_status s = { .counted = true, .holes = 3,
				      .errors = 4, .state = DM_STATE_LOCKED };
	struct header *h = fixture_header(fixture_dek(1));
	struct attachment *a;
	struct agent agent = { 0 };
	char command[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(sd_event_new(&agent.event), 0);
	assert_int_equal(attachments_load(folder, &agent.attachments), 0);
	strcpy(new.name, "data");
	strcpy(new.uuid, UUID);
	strcpy(new.volume_id, VOLUME_ID);
	assert_int_equal(attachments_add(agent.attachments, &new, &a), 0);
	strcpy(s.volume.name, "data");
	strcpy(s.volume.uuid, UUID);
	strcpy(s.volume.volume_id, VOLUME_ID);
	s.volume.size_sectors = 16384;
	look(&agent, &s, 1);
	assert_true(has("envelope_volume_state" LABELS ",state=\"active\"} 0\n"));
	assert_true(has("envelope_volume_state" LABELS ",state=\"locked\"} 1\n"));
	assert_true(has("envelope_volume_size_bytes" LABELS "} 8388608\n"));
	assert_true(has("envelope_volume_hole_blocks_read_total" LABELS "} 3\n"));
	assert_true(has("envelope_volume_io_errors_total" LABELS "} 4\n"));
	/* No device, no lease: no series, and not 0. */
	assert_false(has("envelope_volume_read_bytes_total{"));
	assert_false(has("envelope_volume_lease_seconds{"));
	assert_int_equal(leases_begin(&agent, a, h, &terms,
				      volume_clock_ms() - 100000), 0);
	s.counted = false;
	look(&agent, &s, 1);
	assert_false(has("envelope_volume_io_errors_total{"));
	assert_true(has("envelope_volume_lease_seconds" LABELS "} 900\n"));
	assert_true(has("envelope_volume_lease_age_seconds" LABELS "} 1"));
	assert_true(has("envelope_volume_lease_remaining_seconds" LABELS "} 4"));
	assert_true(has("envelope_volume_lease_unanswered_checks" LABELS
			"} 0\n"));
	leases_end(&agent, a);
	attachments_free(agent.attachments);
	sd_event_unref(agent.event);
	header_free(h);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

static void escaped(void **state)
{
	struct dm_volume_status s = { 0 };
	struct agent agent = { 0 };
	static char folder[] = "/tmp/metrics-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(attachments_load(folder, &agent.attachments), 0);
	strcpy(s.volume.name, "a\"b\\c\nd\xff");
	look(&agent, &s, 1);
	assert_true(has("envelope_volume_size_bytes{volume_id=\"\",name=\"a\\\"b\\\\c?d?\"} 0\n"));
	attachments_free(agent.attachments);
	rmdir(folder);
}

#define SECONDS "envelope_kms_request_duration_seconds"
#define ROW "{kms=\"us-east-1\",operation=\"Decrypt\""

static void kms(void **state)
{
	struct kms_trace t = { .operation = "Decrypt", .key = ARN_1 };
	struct agent agent = { 0 };

	(void)state;
	t.duration_us = 5000;
	metrics_kms(&t);
	t.duration_us = 5001;
	metrics_kms(&t);
	t.duration_us = UINT64_MAX;
	t.result = -EACCES;
	metrics_kms(&t);
	t.result = -EHOSTUNREACH;
	t.duration_us = 1500000;
	metrics_kms(&t);
	look(&agent, NULL, 0);
	assert_true(has(SECONDS "_bucket" ROW ",le=\"0.005\"} 1\n"));
	assert_true(has(SECONDS "_bucket" ROW ",le=\"0.01\"} 2\n"));
	assert_true(has(SECONDS "_bucket" ROW ",le=\"1\"} 2\n"));
	assert_true(has(SECONDS "_bucket" ROW ",le=\"2.5\"} 3\n"));
	assert_true(has(SECONDS "_bucket" ROW ",le=\"30\"} 3\n"));
	assert_true(has(SECONDS "_bucket" ROW ",le=\"+Inf\"} 4\n"));
	assert_true(has(SECONDS "_sum" ROW "} 3601.510001\n"));
	assert_true(has(SECONDS "_count" ROW "} 4\n"));
	assert_true(has("envelope_kms_request_errors_total" ROW ",result=\"denied\"} 1\n"));
	assert_true(has("envelope_kms_request_errors_total" ROW ",result=\"unreachable\"} 1\n"));
	assert_true(has("envelope_kms_request_errors_total" ROW ",result=\"failed\"} 0\n"));
}

/* A worker that a header has taken over may name what it likes. */
static void kms_bounded(void **state)
{
	struct kms_trace t = { .operation = "a\"} 1\nx", .key = "?\n" };
	struct agent agent = { 0 };
	unsigned int i;

	(void)state;
	metrics_kms(&t);
	look(&agent, NULL, 0);
	assert_true(has(SECONDS "_count{kms=\"other\",operation=\"other\"} 1\n"));
	for (i = 0; i < 26 * 26; i++) {
		snprintf(t.operation, sizeof(t.operation), "Op%c%c",
			 'a' + i / 26, 'a' + i % 26);
		metrics_kms(&t);
	}
	look(&agent, NULL, 0);
	assert_int_equal(count_of(SECONDS "_count{"), METRICS_KMS_ROWS);
	for (i = 0; i < 2 * METRICS_OPERATIONS; i++) {
		static char names[2 * METRICS_OPERATIONS][8];

		snprintf(names[i], sizeof(names[i]), "op-%u", i);
		metrics_operation(names[i], "done");
		metrics_operation(names[i], "done");
	}
	look(&agent, NULL, 0);
	assert_true(has("envelope_operations_total{operation=\"op-1\",result=\"done\"} 2\n"));
	assert_int_equal(count_of("envelope_operations_total{"),
			 METRICS_OPERATIONS);
}

#define NAMED(text, test) { text, test, NULL, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("agent-metrics-of-volumes-and-leases", volumes),
		NAMED("agent-metrics-names-are-escaped", escaped),
		NAMED("agent-metrics-latency-and-errors-of-a-kms", kms),
		NAMED("agent-metrics-nobody-makes-more-series", kms_bounded),
	};
	int r = cmocka_run_group_tests_name("agent_metrics", tests, NULL, NULL);

	free(text);
	return r;
}
