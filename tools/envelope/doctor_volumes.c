// SPDX-License-Identifier: GPL-2.0-or-later
/* The doctor's look at headers: both copies, the pin, and may it be unwrapped? */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "live.h"

static const char *state_text(enum header_copy_state state)
{
	static const char *const texts[] = {
		[HEADER_COPY_ABSENT] = "is not there",
		[HEADER_COPY_DAMAGED] = "is damaged",
		[HEADER_COPY_GOOD] = "is good",
		[HEADER_COPY_VERIFIED] = "is good",
		[HEADER_COPY_TAMPERED] = "was tampered with",
	};

	return texts[state];
}

static void check_copies(struct doctor *d, const struct volume *v)
{
	const struct header_copy_info a = header_copy(v->header, 0);
	const struct header_copy_info b = header_copy(v->header, 1);
	const char *name = volume_header_name(v);
	const char *id = header_core(v->header)->volume_id;

	if (header_copies_agree(v->header))
		doctor_say(d, DOCTOR_OK, "header", NULL,
			   "%s: %s, both copies good, revision %" PRIu64 ", sequence %" PRIu64,
			   name, id, a.revision, a.sequence);
	else if (a.sequence && b.sequence)
		doctor_say(d, DOCTOR_WARN, "header",
			   "mend it with 'envelope check --repair'",
			   "%s: %s, an update was interrupted: copy A has sequence %" PRIu64 ", copy B %" PRIu64,
			   name, id, a.sequence, b.sequence);
	else
		doctor_say(d, DOCTOR_FAIL, "header",
			   "mend it with 'envelope check --repair' before the other copy goes, too",
			   "%s: %s, copy A %s, copy B %s", name, id,
			   state_text(a.state), state_text(b.state));
}

static void judge(struct doctor *d, const char *name, const char *key_id,
		  int r)
{
	if (r < 0)
		doctor_said(d, DOCTOR_FAIL, "volume");
	else
		doctor_say(d, DOCTOR_OK, "volume", NULL,
			   "%s: the KMS would unwrap it under %s", name,
			   key_id);
}

/* Of a wrong context hears nobody but who may ask with every context. */
static void judge_host(struct doctor *d, const char *name, const char *key_id,
		       int r)
{
	const char *code = kms_last_error(d->k.kms);

	if (r == 0 || strcmp(code, "InvalidCiphertextException") == 0)
		doctor_say(d, DOCTOR_WARN, "volume", DOCTOR_STANDING_ADVICE,
			   "%s: the host may do kms:Decrypt with key %s by itself, so with any volume's key",
			   name, key_id);
	else if (strcmp(code, "AccessDeniedException") == 0)
		doctor_say(d, DOCTOR_OK, "volume", NULL,
			   "%s: the host opens it under %s by grants only",
			   name, key_id);
	else
		doctor_said(d, DOCTOR_FAIL, "volume");
}

/* The context of a volume that is never made, so that no grant covers it. */
static int make_foreign(json_t *context)
{
	struct header_core core = { 0 };
	int r = header_new_identity(&core);

	if (r == 0 && json_object_set_new(context, "envelope:volume-id",
					  json_string(core.volume_id)) < 0)
		r = -ENOMEM;
	return r;
}

/* Are we who opens this slot by grants? */
static bool is_host(const struct doctor *d, const struct volume *v,
		    size_t index)
{
	return doctor_is_host(d, header_slot_get(v->header, index).key_id);
}

/* Would an attach get its key? The pin and allow-keys come before the KMS. */
static void check_slot(struct doctor *d, struct volume *v, size_t index)
{
	struct header_slot slot = header_slot_get(v->header, index);
	bool host = is_host(d, v, index);
	json_t *context = NULL;
	int r;

	doctor_restart(d);
	r = volume_permit_slot(v, &d->k, index, &context);
	if (r == 0 && host)
		r = make_foreign(context);
	if (r < 0) {
		doctor_said(d, DOCTOR_FAIL, "volume");
		goto out;
	}
	r = kms_try_decrypt(d->k.kms, slot.key_id, context, slot.ciphertext,
			    slot.ciphertext_bytes);
	(host ? judge_host : judge)(d, volume_header_name(v), slot.key_id, r);
out:
	json_decref(context);
}

/* The next one of those that a KMS opens, from @from on; -1: none. */
static int next_slot(const struct volume *v, size_t from)
{
	enum key_kind kind;

	for (; from < header_slot_count(v->header); from++)
		if (key_provider_find(header_slot_get(v->header, from).provider,
				      &kind) == 0)
			return from;
	return -1;
}

static void check_slots(struct doctor *d, struct volume *v)
{
	int i;

	for (i = next_slot(v, 0); i >= 0; i = next_slot(v, i + 1))
		check_slot(d, v, i);
}

/* An attach takes them in their order, and so does the drill. */
static void check_keys(struct doctor *d, struct volume *v)
{
	int first = next_slot(v, 0);

	if (d->drill && first >= 0 && is_host(d, v, first))
		doctor_drill_refused(d, v);
	if (first < 0)
		doctor_say(d, DOCTOR_FAIL, "volume",
			   "where it has a recovery key: 'envelope slot add --recovery-key FILE'",
			   "%s: it has no slot of a KMS that this version can ask",
			   volume_header_name(v));
	else if (d->drill && !is_host(d, v, first))
		doctor_drill(d, v);
	else
		check_slots(d, v);
}

static void check_volume(struct doctor *d, const char *device,
			 const char *header)
{
	struct volume v = VOLUME_CLOSED;

	if (volume_open(device, header, VOLUME_FORCE, &v) < 0) {
		doctor_said(d, DOCTOR_FAIL, "header");
		return;
	}
	d->volumes++;
	check_copies(d, &v);
	check_keys(d, &v);
	volume_close(&v);
}

/* -EPERM: it cannot be read. What has no node, or no header, is not ours. */
static int scan_device(struct doctor *d, const char *name)
{
	char path[128];
	bool a, b;
	int fd, r;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? -EPERM : 0;
	r = header_magic_at(fd, path, &a, &b);
	close(fd);
	if (r == 0 && (a || b))
		check_volume(d, path, NULL);
	return 0;
}

static void scan(struct doctor *d)
{
	FILE *f = fopen("/proc/partitions", "re");
	bool refused = false;
	char line[256], name[64];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*u %*u %*u %63s", name) == 1)
			refused |= scan_device(d, name) == -EPERM;
	if (f)
		fclose(f);
	if (refused)
		doctor_say(d, DOCTOR_WARN, "volumes",
			   geteuid() == 0 ? NULL : "run it as root",
			   "some devices cannot be read, so there may be volumes on them");
	else if (d->volumes == 0)
		doctor_say(d, DOCTOR_OK, "volumes", NULL,
			   "no device here has an envelope header; name files and other devices to have them looked at");
}

static int say_left(const struct live_leftover *left, void *data)
{
	const char *advice = "'envelope-snapshot clean' removes it, while the volume goes on";

	if (left->in_use)
		doctor_say(data, DOCTOR_WARN, "snapshot", advice,
			   "%s: what an interrupted snapshot of '%s' has left is still below it: no discards, no NOWAIT%s",
			   left->volume_id, left->name,
			   left->copying ? ", and writes are slower" : "");
	else
		doctor_say(data, DOCTOR_WARN, "snapshot", advice,
			   "%s: an interrupted snapshot has left devices",
			   left->volume_id);
	return 0;
}

void doctor_volumes(struct doctor *d)
{
	char **device;

	if (geteuid() == 0 && live_leftovers(say_left, d) < 0)
		doctor_said(d, DOCTOR_FAIL, "snapshot");
	if (d->header)
		check_volume(d, d->devices[0], d->header);
	for (device = d->devices; !d->header && *device; device++)
		check_volume(d, *device, NULL);
	if (!d->header && !d->devices[0])
		scan(d);
}
