// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The newest snapshot of a volume: as the store says, and as this host's own
 * audit has it, for who can write to the store can leave the newest one out.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "cmd.h"
#include "json.h"
#include "log.h"

/* Ids that this host has made of a volume and not deleted, in that order. */
struct made {
	const char *volume_id;
	json_t *ids;
	bool failed;		/* no memory */
};

static void forget(json_t *ids, const char *id)
{
	size_t i = json_array_size(ids);

	while (i-- > 0)
		if (strcmp(json_string_value(json_array_get(ids, i)), id) == 0)
			json_array_remove(ids, i);
}

static void on_record(void *data, const char *file, size_t line, json_t *o)
{
	struct made *m = data;
	const char *event = json_text(o, "event"), *id = json_text(o, "name");

	(void)file;
	(void)line;
	if (strcmp(json_text(o, "result"), "done") != 0)
		return;
	if (strcmp(event, "delete-snapshot") == 0)
		forget(m->ids, id);
	else if (strcmp(event, "snapshot") == 0 &&
		 strcmp(json_text(o, "volume_id"), m->volume_id) == 0 &&
		 json_array_append_new(m->ids, json_string(id)) < 0)
		m->failed = true;
}

/* The last one, or "", where this host knows none, or has no audit for us. */
static int find_made(const char *volume_id, char ret[HEADER_SNAPSHOT_ID_CHARS])
{
	struct made m = { .volume_id = volume_id, .ids = json_array() };
	const struct audit_reader reader = { .record = on_record, .data = &m };
	struct audit_mark last;
	size_t n;
	int r = m.ids ? 0 : -ENOMEM;

	ret[0] = '\0';
	if (geteuid() != 0 ||
	    access(AUDIT_PARENT "/" AUDIT_FOLDER, F_OK) < 0) {
		json_decref(m.ids);
		return 0;
	}
	if (r == 0)
		r = audit_read(NULL, NULL, &reader, &last);
	if (r == -EBADMSG)
		log_error("the audit of this host is damaged ('envelope audit verify' tells where), so nobody knows whether the store shows the newest snapshot of %s: name one by its id",
			  volume_id);
	if (r == 0 && m.failed)
		r = -ENOMEM;
	n = json_array_size(m.ids);
	if (r == 0 && n > 0)
		snprintf(ret, HEADER_SNAPSHOT_ID_CHARS, "%s",
			 json_string_value(json_array_get(m.ids, n - 1)));
	json_decref(m.ids);
	return r;
}

/* Times are of seconds: of two of the same one, ours was the later. */
static int is_older(struct snapshot_store *st, const char *id,
		    const char *than, bool *ret)
{
	struct snapshot_wrapper a = { 0 }, b = { 0 };
	int r = snapshot_store_wrapper(st, id, &a);

	if (r == 0)
		r = snapshot_store_wrapper(st, than, &b);
	*ret = r == 0 && strcmp(a.created, b.created) < 0;
	snapshot_wrapper_free(&a);
	snapshot_wrapper_free(&b);
	return r;
}

int find_newest(struct snapshot_store *st, const char *volume_id,
		char ret[HEADER_SNAPSHOT_ID_CHARS])
{
	char made[HEADER_SNAPSHOT_ID_CHARS];
	bool older = false;
	int r = snapshot_find_newest(st, volume_id, NULL, ret);

	if (r == 0)
		r = find_made(volume_id, made);
	if (r < 0 || strcmp(ret, made) == 0)
		made[0] = '\0';
	if (r == 0 && made[0] && !snapshot_store_has(st, made)) {
		log_error("'%s' has not the newest snapshot of %s that this host made, %s: it was taken away, or is in another store; to restore another one, name that by its id",
			  snapshot_store_url(st), volume_id, made);
		return -EBADMSG;
	}
	if (r == 0 && !ret[0]) {
		log_error("'%s' has no snapshot of %s", snapshot_store_url(st),
			  volume_id);
		return -ENOENT;
	}
	if (r == 0 && made[0])
		r = is_older(st, made, ret, &older);
	if (r == 0 && made[0] && !older)
		strcpy(ret, made);
	return r;
}
