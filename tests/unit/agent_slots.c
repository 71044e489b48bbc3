// SPDX-License-Identifier: GPL-2.0-or-later
/* Slots of an attached volume, with a device mapper and a KMS of ours. */
#include <stdbool.h>

#include "audit.h"
#include "call.h"
#include "grant_journal.h"
#include "grants.h"
#include "header_fixture.h"
#include "json.h"
#include "known.h"
#include "leases.h"
#include "live.h"
#include "messages.h"
#include "methods.h"
#include "policy.h"
#include "worker.h"

#define OWNER 7
#define AT_HMAC 160
#define ARN_3 "arn:aws:kms:us-east-1:111122223333:key/33333333-2222-3333-4444-555555555555"
#define CIPHERTEXT "bmV3IHNsb3Q="	/* "new slot" */
#define SET "io.envelope.Agent.SetSlot"
#define REMOVE "io.envelope.Agent.RemoveSlot"
#define WRAP "io.envelope.Agent.WrapSlot"
#define FAR "arn:aws:kms:eu-west-1:111122223333:key/"
#define SLOTS "io.envelope.Agent.Slots"

/* What the rest of the world has, and was told. */
static struct {
	char folder[32], config[64], audit[96], known[64];
	struct agent agent;
	int fd;				/* the header */
	bool gone;			/* the device */
	const struct worker_events *events;
	void *data;
	bool live;			/* the worker */
	bool asked;			/* it is to unwrap */
	json_t *proven, *wish, *answer;
	size_t from;
	struct call *called;
	void (*on_gone)(struct call *c, void *data);
	void *on_gone_data;
	int refused;
	char why[512];
} world;

static void set_volume(struct dm_volume_status *s)
{
	const struct header_core core = fixture_core();

	*s = (struct dm_volume_status){ .state = DM_STATE_ACTIVE };
	strcpy(s->volume.name, "mine");
	strcpy(s->volume.volume_id, VOLUME_ID);
	header_uuid_print(core.uuid, s->volume.uuid);
}

int __wrap_dm_volume_list(struct dm_volume_status **ret, size_t *count_ret)
{
	*ret = calloc(1, sizeof(**ret));
	assert_non_null(*ret);
	set_volume(*ret);
	*count_ret = 1;
	return 0;
}

int __wrap_dm_volume_status_get(const char *name, struct dm_volume_status *ret)
{
	assert_string_equal(name, "mine");
	if (world.gone)
		return -ENXIO;
	set_volume(ret);
	return 0;
}

int __wrap_live_open(struct call *c, const struct dm_volume *v,
		     int header_index, bool to_write, struct live *ret)
{
	(void)c;
	(void)header_index;
	(void)to_write;
	*ret = (struct live)LIVE_CLOSED;
	ret->volume = *v;
	ret->fd = dup(world.fd);
	return 0;
}

int __wrap_worker_start(struct agent *agent, const struct worker_request *q,
			const struct worker_events *events, void *data,
			struct worker **ret)
{
	(void)agent;
	assert_null(q->event);
	world.events = events;
	world.data = data;
	world.live = true;
	*ret = (struct worker *)&world;
	return 0;
}

void __wrap_worker_free(struct worker *w)
{
	if (w)
		world.live = false;
}

void __wrap_worker_prove(struct worker *w, json_t *slots)
{
	(void)w;
	json_decref(world.proven);
	world.proven = slots;
}

void __wrap_worker_unwrap(struct worker *w, size_t slot)
{
	(void)w;
	world.from = slot;
	world.asked = true;
}

void __wrap_worker_wrap(struct worker *w, json_t *wish)
{
	(void)w;
	json_decref(world.wish);
	world.wish = wish;
}

const struct kms_trace *__wrap_worker_trace(const struct worker *w)
{
	static const struct kms_trace none;

	(void)w;
	return &none;
}

const char *__wrap_worker_grant_token(const struct worker *w)
{
	(void)w;
	return NULL;
}

void __wrap_call_reply(struct call *c, json_t *o)
{
	(void)c;
	assert_non_null(o);
	world.answer = o;
}

void __wrap_call_refuse(struct call *c, int r, const char *fmt, ...)
{
	va_list args;

	(void)c;
	world.refused = r;
	va_start(args, fmt);
	vsnprintf(world.why, sizeof(world.why), fmt, args);
	va_end(args);
}

void __wrap_call_fail(struct call *c, int r)
{
	(void)c;
	world.refused = r;
	snprintf(world.why, sizeof(world.why), "%s", messages_error());
}

void __wrap_call_on_gone(struct call *c, void (*f)(struct call *c, void *data),
			 void *data)
{
	world.called = c;
	world.on_gone = f;
	world.on_gone_data = data;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct attachment *attachment(void)
{
	return attachments_first(world.agent.attachments);
}

/* A header with @slots slots, attached with a lease by OWNER, and pinned. */
static void begin(size_t slots)
{
	struct header_slot second = fixture_slot(ARN_3);
	struct attachment new = { .uid = OWNER, .stage = ATTACHMENT_ATTACHED };
	struct header *h = fixture_header(fixture_dek(1));
	struct attachment *a = NULL;
	struct dm_volume_status s;

	memset(&world, 0, sizeof(world));
	strcpy(world.folder, "/tmp/slots-XXXXXX");
	assert_non_null(mkdtemp(world.folder));
	snprintf(world.config, sizeof(world.config), "%s/conf", world.folder);
	snprintf(world.known, sizeof(world.known), "%s/known", world.folder);
	snprintf(world.audit, sizeof(world.audit), "%s/audit/audit.log",
		 world.folder);
	write_file(world.config, "[region us-east-1]\n"
		   "allow-keys = arn:aws:kms:us-east-1:111122223333:key/*\n");
	world.agent.config_path = world.config;
	known_set_dir(world.folder);
	audit_set_parent(world.folder);
	grant_journal_set_dir(world.folder);
	assert_int_equal(sd_event_new(&world.agent.event), 0);
	assert_int_equal(attachments_load(world.folder,
					  &world.agent.attachments), 0);
	if (slots == 2)
		assert_int_equal(header_add_slot(h, &second), 0);
	world.fd = fixture_file();
	assert_int_equal(header_write(world.fd, "volume", h), 0);
	assert_int_equal(known_update(h), 0);
	set_volume(&s);
	strcpy(new.name, s.volume.name);
	strcpy(new.volume_id, s.volume.volume_id);
	strcpy(new.uuid, s.volume.uuid);
	assert_int_equal(attachments_add(world.agent.attachments, &new, &a), 0);
	assert_int_equal(json_object_set_new(a->more, LEASES_MORE_HEADER,
					     json_object()), 0);
	header_free(h);
	messages_clear();
}

static void end(void)
{
	char command[64];

	assert_false(world.live);
	json_decref(world.proven);
	json_decref(world.wish);
	policy_free(world.agent.policy);
	json_decref(world.answer);
	attachments_free(world.agent.attachments);
	sd_event_unref(world.agent.event);
	close(world.fd);
	snprintf(command, sizeof(command), "rm -r %s", world.folder);
	assert_int_equal(system(command), 0);
}

/* The user @uid calls @method; the call outlives what it brings about. */
static void call(uid_t uid, const char *method, json_t *parameters)
{
	static struct call c;

	json_decref(c.parameters);
	c = (struct call){ .agent = &world.agent, .who.uid = uid,
			   .method = method, .parameters = parameters };
	if (strcmp(method, SET) == 0)
		method_set_slot(&c);
	else if (strcmp(method, WRAP) == 0)
		method_wrap_slot(&c);
	else if (strcmp(method, REMOVE) == 0)
		method_remove_slot(&c);
	else
		method_slots(&c);
}

static void set_slot(json_t *slot, const char *key_id, const char *ciphertext)
{
	call(OWNER, SET, json_pack("{s:s, s:o*, s:s, s:s}", "name", "mine",
				   "slot", slot, "key_id", key_id,
				   "ciphertext", ciphertext));
}

static struct header *stored(void)
{
	struct header *h = NULL;

	assert_int_equal(header_read(world.fd, "volume", &h), 0);
	return h;
}

/* The worker has read the header. */
static void reads(void)
{
	assert_true(world.live);
	world.events->header(world.data, stored());
}

/* The worker has the DEK by one of the slots that it was to prove. */
static void proves(size_t slot, uint8_t seed)
{
	assert_true(world.asked);
	world.events->unwrapped(world.data, slot, fixture_dek(seed));
}

static bool file_has(const char *path, const char *text)
{
	char buffer[65536] = "";
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(buffer, 1, sizeof(buffer) - 1, f) : 0;

	if (f)
		fclose(f);
	buffer[n] = '\0';
	return strstr(buffer, text) != NULL;
}

/* The keys of what is stored, in their order, both copies verified. */
static void assert_keys(const char *first, const char *second)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = stored();

	assert_int_equal(header_slot_count(h), second ? 2 : 1);
	assert_string_equal(header_slot_get(h, 0).key_id, first);
	if (second)
		assert_string_equal(header_slot_get(h, 1).key_id, second);
	assert_true(header_copies_agree(h));
	assert_int_equal(header_verify(h, "volume", dek), 0);
	secret_free(dek);
	header_free(h);
}

static void assert_refused(int r, const char *why)
{
	assert_int_equal(world.refused, r);
	if (!strstr(world.why, why))
		fail_msg("refused: %s", world.why);
	assert_null(world.answer);
	assert_false(world.live);
}

static const char *remembered_key(size_t slot)
{
	json_t *h = json_object_get(attachment()->more, LEASES_MORE_HEADER);

	return json_string_value(json_object_get(json_array_get(
		json_object_get(json_object_get(h, "slots"), "slots"), slot),
		"key_id"));
}

static const char *answered(const char *name)
{
	return json_string_value(json_object_get(world.answer, name));
}

static bool image_has(const char *text)
{
	static uint8_t image[HEADER_BYTES];

	assert_int_equal(pread(world.fd, image, sizeof(image), 0),
			 sizeof(image));
	return memmem(image, sizeof(image), text, strlen(text)) != NULL;
}

static void agent_slots_rewrap(void **state)
{
	(void)state;
	begin(1);
	assert_true(image_has("d3JhcHBlZ"));
	set_slot(json_integer(0), ARN_3, CIPHERTEXT);
	reads();
	assert_int_equal(json_array_size(json_object_get(world.proven,
							 "slots")), 1);
	assert_keys(ARN_1, NULL);
	proves(0, 1);
	assert_keys(ARN_3, NULL);
	assert_true(image_has(CIPHERTEXT));
	assert_false(image_has("d3JhcHBlZ"));
	assert_string_equal(answered("old_key_id"), ARN_1);
	assert_string_equal(remembered_key(0), ARN_3);
	assert_true(file_has(world.known, ARN_3));
	assert_false(file_has(world.known, ARN_1));
	assert_true(file_has(world.audit, "\"event\":\"rewrap\""));
	end();
}

static void agent_slots_add(void **state)
{
	(void)state;
	begin(1);
	set_slot(NULL, ARN_3, CIPHERTEXT);
	reads();
	assert_int_equal(json_array_size(json_object_get(world.proven,
							 "slots")), 1);
	proves(0, 1);
	assert_keys(ARN_1, ARN_3);
	assert_string_equal(remembered_key(1), ARN_3);
	assert_true(file_has(world.known, ARN_3));
	assert_true(file_has(world.known, ARN_1));
	assert_true(file_has(world.audit, "\"event\":\"slot-add\""));
	end();
}

static void agent_slots_remove(void **state)
{
	(void)state;
	begin(2);
	call(OWNER, REMOVE, json_pack("{s:s, s:i}", "name", "mine", "slot", 0));
	reads();
	assert_int_equal(json_array_size(json_object_get(world.proven,
							 "slots")), 1);
	proves(0, 1);
	assert_keys(ARN_3, NULL);
	assert_string_equal(answered("key_id"), ARN_1);
	assert_false(file_has(world.known, ARN_1));
	assert_true(file_has(world.audit, "\"event\":\"slot-remove\""));
	end();
}

static void allow_keys(const char *text)
{
	assert_int_equal(policy_parse("policy", text, strlen(text),
				      &world.agent.policy), 0);
}

static void wrap(uid_t uid, size_t from, const char *key_id)
{
	call(uid, WRAP, json_pack("{s:s, s:i, s:s, s:{s:s}}", "name", "mine",
				  "from", (int)from, "key_id", key_id,
				  "context", "team", "red"));
}

/* By slot 1, which it may: what the worker makes is the answer. */
static void agent_slots_wrap(void **state)
{
	(void)state;
	begin(2);
	allow_keys("[everyone]\nkeys = " FAR "a*\n");
	wrap(OWNER, 1, FAR "abc");
	reads();
	assert_true(world.asked);
	assert_int_equal(world.from, 1);
	assert_null(world.proven);
	assert_string_equal(json_text(world.wish, "key_id"), FAR "abc");
	assert_string_equal(json_text(json_object_get(world.wish, "context"),
				      "team"), "red");
	world.events->wrapped(world.data, FAR "abc", CIPHERTEXT);
	assert_string_equal(answered("ciphertext"), CIPHERTEXT);
	assert_string_equal(answered("key_id"), FAR "abc");
	assert_keys(ARN_1, ARN_3);
	assert_true(file_has(world.audit, "\"event\":\"slot-wrap\""));
	end();
}

static void agent_slots_wrap_policy(void **state)
{
	static const char *const policies[] = {
		"", "[everyone]\ndevices = passed\nnames = *\n",
		"[everyone]\nkeys = " FAR "b*\n", "[uid 8]\nkeys = *:*\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		begin(1);
		allow_keys(policies[i]);
		wrap(OWNER, 0, FAR "abc");
		assert_refused(-EACCES, "the agent's policy does not let user 7 have slots made for it");
		assert_null(world.events);
		end();
	}
	/* Root needs no leave. */
	begin(1);
	allow_keys("");
	wrap(0, 0, FAR "abc");
	reads();
	assert_true(world.asked);
	world.events->failed(world.data, -EHOSTUNREACH);
	assert_refused(-EHOSTUNREACH, "");
	end();
}

static void agent_slots_wrap_wrong(void **state)
{
	(void)state;
	begin(1);
	allow_keys("[everyone]\nkeys = *:*\n");
	wrap(OWNER, 0, "arn:aws:kms:eu-west-1:111122223333:alias/x");
	assert_refused(-EINVAL, "is no alias");
	end();
	begin(1);
	allow_keys("[everyone]\nkeys = *:*\n");
	wrap(OWNER, 1, FAR "abc");
	reads();
	assert_refused(-EINVAL, "no slot 1");
	assert_false(world.asked);
	end();
	begin(1);
	allow_keys("[everyone]\nkeys = *:*\n");
	wrap(OWNER, 0, ARN_1);
	reads();
	assert_refused(-EEXIST, "has key " ARN_1);
	assert_false(world.asked);
	end();
	/* A worker, or a KMS, that does not do as it was told. */
	begin(1);
	allow_keys("[everyone]\nkeys = " FAR "abc\n");
	wrap(OWNER, 0, FAR "abc");
	reads();
	world.events->wrapped(world.data, FAR "xyz", CIPHERTEXT);
	assert_refused(-EBADMSG, "wrapped under " FAR "xyz in place of");
	end();
}

static void agent_slots_last(void **state)
{
	(void)state;
	begin(1);
	call(OWNER, REMOVE, json_pack("{s:s, s:i}", "name", "mine", "slot", 0));
	reads();
	assert_refused(-EINVAL, "slot 0 is the last one: without it the data are lost");
	assert_false(world.asked);
	assert_keys(ARN_1, NULL);
	end();
}

static void agent_slots_others(void **state)
{
	const char *const methods[] = { SLOTS, SET, REMOVE, WRAP };
	json_t *parameters;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		begin(2);
		parameters = json_pack("{s:s}", "name", "mine");
		if (i > 0)
			json_object_set_new(parameters, "slot",
					    json_integer(0));
		if (i == 3)
			json_object_update_new(parameters, json_pack(
				"{s:i, s:s}", "from", 0, "key_id", ARN_3));
		if (i == 1)
			json_object_update_new(parameters, json_pack(
				"{s:s, s:s}", "key_id", ARN_3, "ciphertext",
				CIPHERTEXT));
		call(OWNER + 1, methods[i], parameters);
		assert_refused(-ENXIO, "'mine' is not attached");
		assert_null(world.events);
		end();
	}
}

static void agent_slots_wrong(void **state)
{
	(void)state;
	begin(2);
	set_slot(json_integer(2), ARN_3, CIPHERTEXT);
	reads();
	assert_refused(-EINVAL, "'mine': no slot 2: 'envelope slot list' lists them");
	set_slot(NULL, ARN_3, CIPHERTEXT);
	reads();
	assert_refused(-EEXIST, "'mine': slot 1 has key " ARN_3 " already");
	set_slot(json_integer(0), ARN_3, "no base64");
	reads();
	assert_refused(-EINVAL, "ciphertext is not base64 of 1 to 6144 bytes");
	set_slot(json_integer(0), "alias/other", CIPHERTEXT);
	reads();
	assert_refused(-EINVAL, "key_id is not the full ARN of a KMS key");
	assert_false(world.asked);
	assert_keys(ARN_1, ARN_3);
	end();
}

/* Whatever the worker has told: nothing is stored that is not this volume's. */
static void agent_slots_unproven(void **state)
{
	uint8_t before[32], after[32];

	(void)state;
	begin(1);
	fixture_digest(world.fd, before);
	set_slot(json_integer(0), ARN_3, CIPHERTEXT);
	reads();
	proves(0, 2);
	assert_refused(-EBADMSG, "the unwrapped key is not this volume's");
	set_slot(json_integer(0), ARN_3, CIPHERTEXT);
	reads();
	world.events->failed(world.data, -EACCES);
	assert_refused(-EACCES, "");
	world.gone = true;
	set_slot(json_integer(0), ARN_3, CIPHERTEXT);
	reads();
	proves(0, 1);
	assert_refused(-ENXIO, "");
	fixture_digest(world.fd, after);
	assert_memory_equal(before, after, sizeof(before));
	end();
}

/* Who goes leaves the header as it was, and a record. */
static void agent_slots_gone(void **state)
{
	(void)state;
	begin(1);
	set_slot(json_integer(0), ARN_3, CIPHERTEXT);
	reads();
	world.on_gone(world.called, world.on_gone_data);
	assert_false(world.live);
	assert_keys(ARN_1, NULL);
	assert_true(file_has(world.audit, "\"event\":\"rewrap\""));
	assert_true(file_has(world.audit, "who wanted its slots has gone"));
	end();
}

/* It was read by another process: it must be what is stored now. */
static void agent_slots_changed(void **state)
{
	uint8_t *copy;

	(void)state;
	begin(1);
	set_slot(json_integer(0), ARN_3, CIPHERTEXT);
	reads();
	fixture_flip(world.fd, HEADER_COPY_BYTES + 5000);
	proves(0, 1);
	assert_refused(-EBADMSG, "copy B of the header is damaged, or another one than was read");
	end();
	begin(1);
	set_slot(json_integer(0), ARN_3, CIPHERTEXT);
	reads();
	copy = malloc(HEADER_COPY_BYTES);
	fixture_load(world.fd, 0, copy);
	copy[AT_HMAC] ^= 1;
	fixture_fix_sha(copy);
	fixture_store(world.fd, 0, copy);
	free(copy);
	proves(0, 1);
	assert_refused(-EBADMSG, "copy A of the header is damaged, or another one than was read");
	end();
}

static void agent_slots_shown(void **state)
{
	(void)state;
	begin(2);
	call(OWNER, SLOTS, json_pack("{s:s}", "name", "mine"));
	reads();
	assert_int_equal(json_array_size(json_object_get(world.answer,
							 "slots")), 2);
	assert_string_equal(answered("volume_id"), VOLUME_ID);
	assert_false(file_has(world.audit, "slot"));
	end();
}

/* Of two grants, that of a key which no slot has any more is not kept. */
static void agent_slots_grants(void **state)
{
	static const char *const keys[] = { ARN_1, ARN_3 };
	struct grant_entry e = { .volume_id = VOLUME_ID };
	struct header *h;
	json_t *kept;
	size_t i;

	(void)state;
	begin(1);
	kept = json_array();
	for (i = 0; i < 2; i++) {
		snprintf(e.name, sizeof(e.name),
			 "envelope-host-%032zu", i);
		strcpy(e.key_arn, keys[i]);
		snprintf(e.id, sizeof(e.id), "%064zu", i);
		assert_int_equal(grant_journal_put(&e), 0);
		json_array_append_new(kept, json_string(e.name));
	}
	json_object_set_new(attachment()->more, GRANTS_MORE, kept);
	h = stored();
	assert_int_equal(grants_change(NULL, h, attachment()), 0);
	kept = json_object_get(attachment()->more, GRANTS_MORE);
	assert_int_equal(json_array_size(kept), 1);
	assert_string_equal(json_string_value(json_array_get(kept, 0)),
			    "envelope-host-00000000000000000000000000000000");
	header_free(h);
	end();
}

/* A slot that is there by another's grant denies nobody's lease. */
static void agent_slots_lease(void **state)
{
	struct grant_entry e = { .volume_id = VOLUME_ID, .key_arn = ARN_1 };
	struct header *h;

	(void)state;
	begin(2);
	h = stored();
	strcpy(e.name, "envelope-host-00000000000000000000000000000000");
	assert_int_equal(grant_journal_put(&e), 0);
	json_object_set_new(attachment()->more, GRANTS_MORE,
			    json_string(e.name));
	assert_int_equal(leases_change(attachment(), h), 0);
	assert_int_equal(grants_narrow(&world.agent, h, attachment()), 0);
	assert_string_equal(remembered_key(1), ARN_3);

	write_file(world.config, "[region us-east-1]\naccount = 111122223333\n"
		   "profile = host\n"
		   "host-principal = arn:aws:iam::111122223333:user/host\n");
	assert_int_equal(grants_narrow(&world.agent, h, attachment()), 0);
	assert_string_equal(remembered_key(0), ARN_1);
	assert_null(remembered_key(1));
	assert_string_equal(header_slot_get(h, 1).key_id, ARN_3);
	header_free(h);
	end();
}

/*
 * What the agent cannot write down, or read, with @broken in its folder: the
 * checks go on by the slot, and the grant, of before.
 */
static void assert_remembers(const char *broken, int r, const char *why)
{
	struct grant_entry e = { .volume_id = VOLUME_ID, .key_arn = ARN_1 };
	struct header *h;
	char path[96];

	begin(1);
	strcpy(e.name, "envelope-host-00000000000000000000000000000000");
	assert_int_equal(grant_journal_put(&e), 0);
	json_object_set_new(attachment()->more, GRANTS_MORE,
			    json_string(e.name));
	h = stored();
	assert_int_equal(leases_change(attachment(), h), 0);
	header_free(h);
	set_slot(json_integer(0), ARN_3, CIPHERTEXT);
	reads();
	snprintf(path, sizeof(path), "%s/%s", world.folder, broken);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	proves(0, 1);
	assert_refused(r, why);
	assert_keys(ARN_3, NULL);
	assert_string_equal(remembered_key(0), ARN_1);
	assert_string_equal(json_string_value(json_object_get(
		attachment()->more, GRANTS_MORE)), e.name);
	end();
}

static void agent_slots_unwritten(void **state)
{
	(void)state;
	assert_remembers("volumes.json.new", -EIO, "Is a directory");
	assert_remembers(GRANT_JOURNAL_FILE, -EBADMSG,
			 "not the agent's own file");
}

/* The worker of a grant that was refused dies: nobody's word reaches it. */
static void agent_slots_refused(void **state)
{
	struct worker *w = (struct worker *)&world;
	struct grant_hold *hold = NULL;
	json_t *grant, *request = NULL;
	const char *nonce;
	struct header *h;

	(void)state;
	begin(1);
	write_file(world.config, "[region us-east-1]\naccount = 111122223333\n"
		   "profile = host\n"
		   "host-principal = arn:aws:iam::111122223333:user/host\n");
	h = stored();
	assert_int_equal(grants_offer_slot(&world.agent, h, 0, "volume", &hold),
			 0);
	assert_non_null(hold);
	grants_wait(hold, OWNER, w);
	grant = grants_describe(hold);
	nonce = json_string_value(json_object_get(grant, "nonce"));
	assert_ptr_equal(grants_unsigned(nonce, OWNER, &w), hold);
	assert_int_equal(grants_signed(hold, json_object(), &request), 0);
	grants_refused(hold);
	assert_null(grants_unsigned(nonce, OWNER, &w));
	grants_release(&world.agent, hold);
	assert_null(world.events);
	json_decref(grant);
	json_decref(request);
	header_free(h);
	end();
}

#define NAMED(text, f) { text, f, NULL, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("agent-slots-rewrap-is-proven-then-stored",
		      agent_slots_rewrap),
		NAMED("agent-slots-one-more", agent_slots_add),
		NAMED("agent-slots-one-less", agent_slots_remove),
		NAMED("agent-slots-another-region-is-wrapped-by-the-host",
		      agent_slots_wrap),
		NAMED("agent-slots-another-region-wants-the-policys-leave",
		      agent_slots_wrap_policy),
		NAMED("agent-slots-another-region-and-what-cannot-be",
		      agent_slots_wrap_wrong),
		NAMED("agent-slots-the-last-one-stays", agent_slots_last),
		NAMED("agent-slots-others-volumes-are-invisible",
		      agent_slots_others),
		NAMED("agent-slots-what-cannot-be-one", agent_slots_wrong),
		NAMED("agent-slots-nothing-unproven-is-stored",
		      agent_slots_unproven),
		NAMED("agent-slots-a-header-that-has-changed",
		      agent_slots_changed),
		NAMED("agent-slots-who-goes-changes-nothing",
		      agent_slots_gone),
		NAMED("agent-slots-are-shown", agent_slots_shown),
		NAMED("agent-slots-a-lease-asks-by-granted-slots-alone",
		      agent_slots_lease),
		NAMED("agent-slots-grants-go-with-their-keys",
		      agent_slots_grants),
		NAMED("agent-slots-what-was-is-remembered-if-the-new-cannot-be",
		      agent_slots_unwritten),
		NAMED("agent-slots-a-refused-grant-waits-for-nobody",
		      agent_slots_refused),
	};

	messages_start();
	return cmocka_run_group_tests_name("agent_slots", tests, NULL, NULL);
}
