// SPDX-License-Identifier: GPL-2.0-or-later
/* Records of the audit, and how many failures a user can write. */
#include "evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "messages.h"
#include "metrics.h"
#include "volume.h"

#define FAILURES 60		/* and routine, that a user has at once */
#define FAILURE_MS 1000u	/* until he has one more */
#define MAX_BUCKETS 256		/* users; the rest share the last */

/* What a user may still write. */
struct bucket {
	uid_t uid;
	unsigned int left;
	uint64_t filled_ms;
	uint64_t left_out;	/* since his last record */
};

static struct bucket buckets[MAX_BUCKETS];
static size_t bucket_count;

static struct bucket *find_bucket(uid_t uid)
{
	size_t i;

	for (i = 0; i < bucket_count; i++)
		if (buckets[i].uid == uid)
			return &buckets[i];
	if (bucket_count == MAX_BUCKETS)
		return &buckets[MAX_BUCKETS - 1];
	buckets[bucket_count] = (struct bucket){
		.uid = uid, .left = FAILURES, .filled_ms = volume_clock_ms(),
	};
	return &buckets[bucket_count++];
}

/* May another failure be written? */
static bool take_one(struct bucket *b)
{
	uint64_t more = (volume_clock_ms() - b->filled_ms) / FAILURE_MS;

	b->filled_ms += more * FAILURE_MS;
	b->left = b->left + more < FAILURES ? b->left + more : FAILURES;
	if (b->left == 0) {
		b->left_out++;
		return false;
	}
	b->left--;
	return true;
}

static struct audit_record compose(uid_t uid, const struct evidence *e,
				   const char *result)
{
	return (struct audit_record){
		.event = e->event,
		.result = result,
		.uid = uid,
		.by = "envelope-agent",
		.name = e->name,
		.device = e->device,
		.volume_id = e->volume_id,
		.key_id = e->key_id,
		.request_id = e->request_id,
	};
}

int evidence_granted(uid_t uid, const struct evidence *e)
{
	struct audit_record record = compose(uid, e, "granted");
	int r = audit_write(&record, 0);

	if (r == 0)
		metrics_operation(e->event, record.result);
	return r;
}

void evidence_ended(uid_t uid, const struct evidence *e, int r)
{
	struct audit_record record = compose(uid, e, audit_result(r,
					     e->success ? e->success : "done"));
	bool lazy = r < 0 || e->routine;
	struct bucket *b = uid && lazy ? find_bucket(uid) : NULL;
	char why[512] = "";

	metrics_operation(e->event, record.result);
	if (b && !take_one(b))
		return;
	if (b)
		record.left_out = b->left_out;
	/* A copy: what the record itself has to say comes behind it. */
	if (r < 0 && !e->why)
		snprintf(why, sizeof(why), "%s", messages_error());
	record.why = e->why ? e->why : why;
	/* A failure waits for no disk; the next that gives a key out does. */
	if (audit_write(&record, AUDIT_AFTERWARDS |
			(lazy ? AUDIT_LAZY : 0)) == 0 && b)
		b->left_out = 0;
	/* The caller hears of what he asked for. */
	if (why[0])
		messages_add(LOG_LEVEL_ERROR, why);
}

void evidence_self(const char *event)
{
	const struct audit_record record = {
		.event = event,
		.result = "done",
		.by = "envelope-agent",
	};

	audit_write(&record, AUDIT_AFTERWARDS);
}
