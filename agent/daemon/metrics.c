// SPDX-License-Identifier: GPL-2.0-or-later
/* Metrics: counters, and how they and the volumes are printed. */
#include "metrics.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arn.h"
#include "audit.h"
#include "key_name.h"
#include "leases.h"
#include "methods.h"
#include "volume.h"
#include "volume_json.h"

#define PREFIX "envelope_"
#define LABEL_BYTES 65
#define LONGEST_US (3600 * UINT64_C(1000000))	/* no call lasts so long */

/* Upper ends in microseconds; as text for the label, since le is one. */
static const struct {
	uint64_t us;
	const char *le;
} buckets[] = {
	{ 5000, "0.005" }, { 10000, "0.01" }, { 25000, "0.025" },
	{ 50000, "0.05" }, { 100000, "0.1" }, { 250000, "0.25" },
	{ 500000, "0.5" }, { 1000000, "1" }, { 2500000, "2.5" },
	{ 5000000, "5" }, { 10000000, "10" }, { 30000000, "30" },
};

#define BUCKETS (sizeof(buckets) / sizeof(buckets[0]))

static const char *const bad_results[] = {
	"denied", "unreachable", "tampered", "failed",
};

#define BAD_RESULTS (sizeof(bad_results) / sizeof(bad_results[0]))

/* The calls of one operation at one KMS. */
struct kms_row {
	char kms[LABEL_BYTES];
	char operation[LABEL_BYTES];
	uint64_t in[BUCKETS];		/* each without those below it */
	uint64_t count;
	uint64_t sum_us;
	uint64_t bad[BAD_RESULTS];
};

struct operation_row {
	const char *operation;
	const char *result;
	uint64_t count;
};

static struct kms_row kms_rows[METRICS_KMS_ROWS];
static size_t kms_count;
static struct operation_row operations[METRICS_OPERATIONS];
static size_t operation_count;

void metrics_operation(const char *operation, const char *result)
{
	size_t i = 0;

	while (i < operation_count &&
	       (strcmp(operations[i].operation, operation) != 0 ||
		strcmp(operations[i].result, result) != 0))
		i++;
	if (i == METRICS_OPERATIONS)
		return;
	if (i == operation_count)
		operations[operation_count++] = (struct operation_row){
			.operation = operation, .result = result,
		};
	operations[i].count++;
}

/* The region of a key, or the section's kind: "us-east-1", "vault". */
static void name_kms(const char *key, char ret[LABEL_BYTES])
{
	enum key_kind kind = key_kind(key);
	struct arn arn;

	if (kind != KEY_AWS)
		snprintf(ret, LABEL_BYTES, "%s", key_section(kind));
	else if (arn_parse(key, &arn) == 0)
		snprintf(ret, LABEL_BYTES, "%s", arn.region);
	else
		snprintf(ret, LABEL_BYTES, "other");
}

static void name_operation(const char *operation, char ret[LABEL_BYTES])
{
	const char *c = operation;

	while (isalpha((unsigned char)*c))
		c++;
	snprintf(ret, LABEL_BYTES, "%s",
		 *operation && !*c ? operation : "other");
}

/* The last row is of all that found no room. */
static struct kms_row *find_row(const char *kms, const char *operation)
{
	size_t i;

	for (i = 0; i < kms_count; i++)
		if (strcmp(kms_rows[i].kms, kms) == 0 &&
		    strcmp(kms_rows[i].operation, operation) == 0)
			return &kms_rows[i];
	if (kms_count == METRICS_KMS_ROWS)
		return &kms_rows[METRICS_KMS_ROWS - 1];
	if (++kms_count == METRICS_KMS_ROWS)
		kms = operation = "other";
	strcpy(kms_rows[i].kms, kms);
	strcpy(kms_rows[i].operation, operation);
	return &kms_rows[i];
}

void metrics_kms(const struct kms_trace *t)
{
	uint64_t us = t->duration_us < LONGEST_US ? t->duration_us : LONGEST_US;
	char kms[LABEL_BYTES], operation[LABEL_BYTES];
	struct kms_row *row;
	size_t i;

	name_kms(t->key, kms);
	name_operation(t->operation, operation);
	row = find_row(kms, operation);
	row->count++;
	row->sum_us += us;
	for (i = 0; i < BUCKETS; i++)
		if (us <= buckets[i].us)
			break;
	if (i < BUCKETS)
		row->in[i]++;
	for (i = 0; i < BAD_RESULTS; i++)
		row->bad[i] += strcmp(audit_result(t->result, ""),
				      bad_results[i]) == 0;
}

static void print_head(FILE *f, const char *name, const char *type,
		       const char *help)
{
	fprintf(f, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name,
		help, name, type);
}

/* Device names are root's to choose, also such as no verb of ours makes. */
static void print_value(FILE *f, const char *value)
{
	for (; *value; value++)
		if (*value == '"' || *value == '\\')
			fprintf(f, "\\%c", *value);
		else
			fputc(*value < ' ' || *value > '~' ? '?' : *value, f);
}

static void print_volume(FILE *f, const char *name,
			 const struct dm_volume_status *s)
{
	fprintf(f, PREFIX "%s{volume_id=\"", name);
	print_value(f, s->volume.volume_id);
	fputs("\",name=\"", f);
	print_value(f, s->volume.name);
	fputc('"', f);
}

/* One figure of a volume. False: it has none. */
typedef bool (*figure)(struct agent *agent, const struct dm_volume_status *s,
		       uint64_t *ret);

static bool get_size(struct agent *agent, const struct dm_volume_status *s,
		     uint64_t *ret)
{
	(void)agent;
	*ret = s->volume.size_sectors * 512;
	return true;
}

/* Number @index of what the kernel counts of each block device, from 0. */
static bool get_stat(const struct dm_volume_status *s, unsigned int index,
		     uint64_t *ret)
{
	char path[64];
	bool found = true;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat",
		 s->device_major, s->device_minor);
	f = fopen(path, "re");
	if (!f)
		return false;
	for (index++; found && index > 0; index--)
		found = fscanf(f, "%" SCNu64, ret) == 1;
	fclose(f);
	if (found)
		*ret *= 512;
	return found;
}

static bool get_read(struct agent *agent, const struct dm_volume_status *s,
		     uint64_t *ret)
{
	(void)agent;
	return get_stat(s, 2, ret);
}

static bool get_written(struct agent *agent, const struct dm_volume_status *s,
			uint64_t *ret)
{
	(void)agent;
	return get_stat(s, 6, ret);
}

static bool get_holes(struct agent *agent, const struct dm_volume_status *s,
		      uint64_t *ret)
{
	(void)agent;
	*ret = s->holes;
	return s->counted;
}

static bool get_errors(struct agent *agent, const struct dm_volume_status *s,
		       uint64_t *ret)
{
	(void)agent;
	*ret = s->errors;
	return s->counted;
}

static const struct lease *lease_of(struct agent *agent,
				    const struct dm_volume_status *s)
{
	const struct attachment *a = attachments_of(agent->attachments,
						    &s->volume);

	return a ? leases_find(a) : NULL;
}

static bool get_lease(struct agent *agent, const struct dm_volume_status *s,
		      uint64_t *ret)
{
	const struct lease *l = lease_of(agent, s);

	*ret = l ? l->terms.lease_ms / 1000 : 0;
	return l;
}

static bool get_age(struct agent *agent, const struct dm_volume_status *s,
		    uint64_t *ret)
{
	const struct lease *l = lease_of(agent, s);
	uint64_t now = volume_clock_ms();

	/* After a restart nobody knows, until the next grant. */
	if (!l || !l->granted_ms)
		return false;
	*ret = now > l->granted_ms ? (now - l->granted_ms) / 1000 : 0;
	return true;
}

static bool get_remaining(struct agent *agent, const struct dm_volume_status *s,
			  uint64_t *ret)
{
	const struct lease *l = lease_of(agent, s);
	uint64_t now = volume_clock_ms();

	*ret = l && l->state != LEASE_LOCKED && l->until_ms > now ?
	       (l->until_ms - now) / 1000 : 0;
	return l;
}

static bool get_failures(struct agent *agent, const struct dm_volume_status *s,
			 uint64_t *ret)
{
	const struct lease *l = lease_of(agent, s);

	*ret = l ? l->failures : 0;
	return l;
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	figure get;
} figures[] = {
	{ "volume_size_bytes", "gauge", "Size of the attached volume.",
	  get_size },
	{ "volume_read_bytes_total", "counter",
	  "Bytes read from the attached volume.", get_read },
	{ "volume_written_bytes_total", "counter",
	  "Bytes written to the attached volume.", get_written },
	{ "volume_hole_blocks_read_total", "counter",
	  "Blocks that were read as zeros, since they were never written.",
	  get_holes },
	{ "volume_io_errors_total", "counter",
	  "Requests that the target let fail.", get_errors },
	{ "volume_lease_seconds", "gauge",
	  "How long a grant of the KMS holds; no lease, no series.",
	  get_lease },
	{ "volume_lease_age_seconds", "gauge",
	  "Since the KMS was asked for the last grant.", get_age },
	{ "volume_lease_remaining_seconds", "gauge",
	  "Until the kernel locks the volume, if no grant comes.",
	  get_remaining },
	{ "volume_lease_unanswered_checks", "gauge",
	  "Questions in a row that the KMS has not answered.", get_failures },
};

static void print_states(FILE *f, const struct dm_volume_status *list,
			 size_t count)
{
	static const char *const states[] = { "active", "locked" };
	size_t i, j;

	print_head(f, "volume_state", "gauge",
		   "1 for the state in which the attached volume is.");
	for (i = 0; i < count; i++)
		for (j = 0; j < 2; j++) {
			print_volume(f, "volume_state", &list[i]);
			fprintf(f, ",state=\"%s\"} %d\n", states[j],
				strcmp(states[j],
				       volume_state_name(&list[i])) == 0);
		}
}

static void print_figures(FILE *f, struct agent *agent,
			  const struct dm_volume_status *list, size_t count)
{
	uint64_t value;
	size_t i, j;

	for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		print_head(f, figures[i].name, figures[i].type,
			   figures[i].help);
		for (j = 0; j < count; j++) {
			if (!figures[i].get(agent, &list[j], &value))
				continue;
			print_volume(f, figures[i].name, &list[j]);
			fprintf(f, "} %" PRIu64 "\n", value);
		}
	}
}

static void print_operations(FILE *f)
{
	size_t i;

	print_head(f, "operations_total", "counter",
		   "What the audit records, by its result.");
	for (i = 0; i < operation_count; i++)
		fprintf(f, PREFIX "operations_total{operation=\"%s\",result=\"%s\"} %"
			PRIu64 "\n", operations[i].operation,
			operations[i].result, operations[i].count);
}

static void print_row(FILE *f, const struct kms_row *row)
{
	char labels[2 * LABEL_BYTES + 32];
	uint64_t sum = 0;
	size_t i;

	snprintf(labels, sizeof(labels), "kms=\"%.64s\",operation=\"%.64s\"",
		 row->kms, row->operation);
	for (i = 0; i < BUCKETS; i++) {
		sum += row->in[i];
		fprintf(f, PREFIX "kms_request_duration_seconds_bucket{%s,le=\"%s\"} %"
			PRIu64 "\n", labels, buckets[i].le, sum);
	}
	fprintf(f, PREFIX "kms_request_duration_seconds_bucket{%s,le=\"+Inf\"} %"
		PRIu64 "\n" PREFIX "kms_request_duration_seconds_sum{%s} %"
		PRIu64 ".%06" PRIu64 "\n"
		PREFIX "kms_request_duration_seconds_count{%s} %" PRIu64 "\n",
		labels, row->count, labels, row->sum_us / 1000000,
		row->sum_us % 1000000, labels, row->count);
}

static void print_kms(FILE *f)
{
	size_t i, j;

	print_head(f, "kms_request_duration_seconds", "histogram",
		   "How long calls of a KMS took, with their retries.");
	for (i = 0; i < kms_count; i++)
		print_row(f, &kms_rows[i]);
	print_head(f, "kms_request_errors_total", "counter",
		   "Calls of a KMS that did not succeed.");
	for (i = 0; i < kms_count; i++)
		for (j = 0; j < BAD_RESULTS; j++)
			fprintf(f, PREFIX "kms_request_errors_total{kms=\"%s\",operation=\"%s\",result=\"%s\"} %"
				PRIu64 "\n", kms_rows[i].kms,
				kms_rows[i].operation, bad_results[j],
				kms_rows[i].bad[j]);
}

char *metrics_text(struct agent *agent, const struct dm_volume_status *list,
		   size_t count)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return NULL;
	print_states(f, list, count);
	print_figures(f, agent, list, count);
	print_operations(f);
	print_kms(f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

void method_metrics(struct call *c)
{
	const struct param none[] = { { 0 } };
	struct dm_volume_status *list = NULL;
	size_t count = 0;
	char *text;
	int r;

	if (call_params(c, none) < 0)
		return;
	if (call_caller(c)->uid != 0) {
		call_refuse(c, -EACCES, "the metrics are of all volumes, and for root alone");
		return;
	}
	r = dm_volume_list(&list, &count);
	if (r < 0) {
		call_fail(c, r);
		return;
	}
	text = metrics_text(call_agent(c), list, count);
	call_reply(c, text ? json_pack("{s:s}", "text", text) : NULL);
	free(text);
	free(list);
}
