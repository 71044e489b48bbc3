/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be done with a volume: the steps in order, each with its undo. */
#ifndef ENVELOPE_VOLUME_H
#define ENVELOPE_VOLUME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "device.h"
#include "dm.h"
#include "header.h"
#include "kms.h"
#include "secret.h"

#define VOLUME_NEXT_SLOT_MS 250u	/* of a KMS's silence */
#define VOLUME_TIMEOUT_MS 30000u	/* time budget of one use of the KMS */

/* How to reach the KMS, and how long it may take. */
struct volume_access {
	struct conf_overrides conf;
	unsigned int timeout_ms;	/* 0: VOLUME_TIMEOUT_MS */
	const struct secret *recovery;	/* this key instead of a KMS; or NULL */
};

/* Configuration and a session with the KMS, opened and closed together. */
struct volume_kms {
	struct conf *conf;
	struct kms *kms;
};

/* As conf_load() and kms_open(); prints are done. */
int volume_kms_open(const struct volume_access *access,
		    struct volume_kms *ret);
void volume_kms_close(struct volume_kms *k);

/*
 * A volume that is not necessarily attached: its device, where its header is,
 * and the header. header_file is closed unless the header is detached.
 */
struct volume {
	struct device device;
	struct device header_file;
	struct header *header;
	const char *event;	/* that a denial is, of event.h; NULL: none */
	bool denied;		/* by a KMS, when its DEK was asked for */
	struct volume_race *race; /* slots that have not answered, or NULL */
};

#define VOLUME_CLOSED { .device = DEVICE_CLOSED, .header_file = DEVICE_CLOSED }

enum volume_open_flags {
	VOLUME_WRITE_HEADER = 1 << 0,	/* the header's place is locked, and
					 * opened for writing */
	VOLUME_FORCE = 1 << 1,		/* go on if a detached header or a
					 * backup names another device; a
					 * warning then */
};

/*
 * Open @device, and @header_path if the header is detached (else NULL), and
 * read the header. Checked: the header lies where it was asked for, its data
 * fit on the device, a detached one belongs to this device and the device
 * holds no ENVELOPE magic and no plaintext signature; with a backup as
 * @header_path, no header of another volume and no plaintext signature.
 *
 * @device NULL with @header_path: the header alone; device stays closed.
 *
 * -ENODATA: no header; the message names the foreign signature found instead,
 * if there is one. -EBADMSG: damaged, does not fit, or another device's
 * header. Else as device_open() and header_read(). All prints are done.
 */
int volume_open(const char *device, const char *header_path,
		unsigned int flags, struct volume *ret);

/*
 * The same for what is open already: @device, and @header_file if the header
 * is detached (else NULL). Both belong to the volume from now on, also on
 * failure. The header is not locked: VOLUME_FORCE is the only flag.
 */
int volume_adopt(struct device *device, struct device *header_file,
		 unsigned int flags, struct volume *ret);

/* Is it the volume @wanted? NULL: any. -EBADMSG, with a sentence, of @name. */
int volume_check_id(const char *name, const char *volume_id,
		    const char *wanted);

/* Close and free; a closed one is accepted. */
void volume_close(struct volume *v);

/* Where the header is stored: what header_write() and others want. */
int volume_header_fd(const struct volume *v);
const char *volume_header_name(const struct volume *v);

/*
 * May slot @index go to the KMS? All that can be known without asking, so that
 * a forged header causes no traffic: the pin (a volume without one passes),
 * allow-keys, the provider, and the context, which the caller frees.
 *
 * -EBADMSG: pin mismatch. -EACCES: not allowed, or an unknown provider.
 * -ENOMEM. Others as known_check(). Prints are done.
 */
int volume_permit_slot(const struct volume *v, struct volume_kms *k,
		       size_t index, json_t **context_ret);

/*
 * Unwrap the DEK through the first slot that can: pin and allow-keys are
 * checked before anything goes to the network, then Decrypt, then the HMAC of
 * every good copy. The next slot is tried only when a KMS was unreachable, or
 * silent for VOLUME_NEXT_SLOT_MS; a denial by any of them is the result.
 * Nothing is pinned: known_update() does that.
 *
 * *@dek_ret is the caller's, who frees it as soon as possible.
 *
 * -EBADMSG: pin mismatch or tampered. -EACCES: denied, or no allowed key.
 * -EHOSTUNREACH. Others from the configuration: -EINVAL. Prints are done.
 */
int volume_unwrap(struct volume *v, const struct volume_access *access,
		  struct secret **dek_ret);

/*
 * The same with a session that is open, @k. The index of the slot that gave
 * the DEK goes to *@slot_ret.
 */
int volume_unwrap_with(struct volume *v, struct volume_kms *k,
		       size_t *slot_ret, struct secret **dek_ret);

/* The same by slot number @slot alone. -EINVAL, silent: there is none. */
int volume_unwrap_by(struct volume *v, struct volume_kms *k, size_t slot,
		     struct secret **dek_ret);

/*
 * volume_slots.c
 *
 * @v was opened with VOLUME_WRITE_HEADER. None of these writes where the two
 * copies of the header differ in core: -EBADMSG.
 */

#define VOLUME_KEY_ID_CHARS 2049	/* a key id fits, with the NUL */

int volume_check_cores(const struct volume *v);

/*
 * Of @h, called @name: is there room for one more slot, is there more than one,
 * is there one of a KMS? -EINVAL with a sentence.
 */
int volume_check_room(const struct header *h, const char *name);
int volume_check_not_last(const struct header *h, const char *name);
int volume_check_any_kms(const struct header *h, const char *name);

/*
 * Write @v's header, whose slots were changed, and the pin: @old_key (NULL:
 * none) goes where no slot has it any more, @new_key (NULL: none) comes.
 * Errors as header_write() and known_replace_key().
 */
int volume_store_slots(struct volume *v, const char *old_key,
		       const char *new_key);

/*
 * The same for who must not parse what is stored: @v's header came by
 * header_from_parts(), and @dek, which was verified with it, seals it anew. As
 * header_seal() and header_write_slots().
 */
int volume_store_sealed_slots(struct volume *v, const struct secret *dek,
			      const char *old_key, const char *new_key);

/* Has a slot of @h that key already? -EEXIST with a sentence about @name. */
int volume_check_new_key(const struct header *h, const char *name,
			 const char *key_id);

/*
 * Slot @index of @v as @key would have it, wrapped anew inside the KMS under
 * @context (NULL: its own), which is a whole one, to *@ret. Nothing is changed.
 * As kms_reencrypt() and conf_allow_key(); *@ret is the caller's also when the
 * key that it came to is not allowed.
 */
int volume_reencrypt_slot(const struct volume *v, struct volume_kms *k,
			  size_t index, const json_t *context, const char *key,
			  struct kms_wrapped *ret);

struct volume_slot_options {
	const char *kms_key;	/* id, ARN, alias, or as key_name.h */
	json_t *context;	/* extra pairs; NULL: none. Borrowed */
	struct volume_access access;
};

/*
 * Another slot, behind those that are there: the DEK is unwrapped, wrapped
 * under the key by its KMS, and unwrapped again over a new connection before
 * the header is written. The number of the slot goes to *@slot_ret.
 *
 * -EINVAL: no slot is free. -EEXIST: a slot has that key already. -EBADMSG:
 * the KMS gives back another DEK. Else as volume_unwrap() and kms_encrypt().
 */
int volume_slot_add(struct volume *v, const struct volume_slot_options *o,
		    size_t *slot_ret);

/*
 * Remove slot @index, below header_slot_count(); both copies are overwritten.
 * Never the last one; without @force another one has to open the volume first.
 *
 * -EINVAL: the last, or the last of a KMS. Else as volume_unwrap().
 */
int volume_slot_remove(struct volume *v, size_t index,
		       const struct volume_access *access, bool force);

/*
 * volume_recovery.c
 */

/*
 * The DEK by the slot of the recovery key @key (recovery.h), which no KMS hears
 * of; volume_unwrap() calls it. The journal gets it, as event.h says.
 *
 * -EACCES: not root, or no slot of that key. -EBADMSG: pin mismatch, or the
 * header was tampered with. Prints are done.
 */
int volume_recover(struct volume *v, const struct secret *key,
		   struct secret **dek_ret);

/*
 * A slot for a new recovery key, as volume_slot_add(). Before the header is
 * written, @tell hands the key, its id and the slot's number to whoever writes
 * it down; if that fails (-errno), nothing is written.
 */
int volume_recovery_add(struct volume *v, const struct volume_access *access,
			int (*tell)(void *user, const struct secret *key,
				    const char *key_id, size_t slot),
			void *user);

/*
 * volume_format.c
 */

struct volume_format_options {
	const char *device;
	const char *header_path;	/* detached header; NULL: on @device */
	struct volume_access access;
	const char *kms_key;	/* id, ARN or alias; NULL: configuration */
	json_t *context;	/* extra pairs; NULL: none. Borrowed */
	struct lease_wish lease; /* kept in core, for every attach */
	uint64_t size_bytes;	/* of the data; 0: all there is */
	uint32_t sector_size;	/* bytes; 0: by the device */
	bool no_holes;
	bool iv_large_sectors;
	bool force;		/* overwrite a signature; -EBUSY stays */
};

/* Which key a new volume was given, and why: the rules of EBS. */
struct volume_rule {
	char key[2049];		/* as it was named: id, ARN, alias */
	char region[ARN_WORD_BYTES]; /* "" where the key is in none */
	char conf[1024];	/* the configuration file */
	bool given;		/* it was named by an option */
	enum conf_key_from from; /* who named it else */
	bool encryption_by_default; /* of the region */
};

/*
 * The rule for what is made with the key @given (NULL: none), for people:
 * whether the key may be used is the session's matter. -EINVAL with a sentence:
 * no key is given, and there is no default key.
 */
int volume_find_rule(const char *given, const struct conf *conf,
		     struct volume_rule *ret);

struct volume_format_result {
	struct header_core core;
	char key_id[2049];	/* ARN */
	struct volume_rule rule;
};

/*
 * Make a volume: a wrapped data key from the KMS, its rehearsal in a process
 * of its own (which alone sees the DEK, seals the header and writes it), the
 * pin. Nothing is written before the rehearsal has succeeded.
 *
 * The program must hand VOLUME_REHEARSE_VERB to volume_rehearse() in main().
 *
 * -EEXIST: a signature or one of our headers is there, and no force. -EBUSY:
 * in use. -ENOSPC: too small. -EINVAL, -EACCES, -EHOSTUNREACH, -EIO.
 */
int volume_format(const struct volume_format_options *o,
		  struct volume_format_result *ret);

/* The verb, in no help text, by which volume_format() starts its rehearsal. */
#define VOLUME_REHEARSE_VERB "--rehearse"

/*
 * The body of that process: the request on standard input, which has no
 * secrets, and the descriptor that the header goes to, which it names.
 */
int volume_rehearse(void);

/*
 * volume_attach.c
 */

struct volume_attach_options {
	const char *device;
	const char *header_path;
	const char *name;	/* NULL: the volume id */
	const char *volume_id;	/* that it must have; NULL: whatever it has */
	struct volume_access access;
	enum dm_target target;
	enum dm_on_lock on_lock;
	bool read_only;
	bool allow_discards;
	bool dry_run;		/* header, pin, KMS and HMAC; not the kernel */
	bool force;		/* as VOLUME_FORCE; a lease for what is needed */
	struct lease_wish lease; /* in place of core's */
};

struct volume_attach_result {
	char name[DM_VOLUME_NAME_CHARS];
	struct header_core core;
	bool read_only;
	struct lease_terms lease; /* as it applies */
};

/*
 * Make the plaintext device: pin and allow-keys, Decrypt, HMAC, kernel key,
 * table. With a lease, the key ends lease + grace after the KMS was asked,
 * unless somebody renews it. A failure undoes what was done: no device and no key are left.
 *
 * -EEXIST: the name is in use, or the volume is attached. -ENOPKG: the module
 * is missing or was refused. Else as volume_open() and volume_unwrap().
 */
int volume_attach(const struct volume_attach_options *o,
		  struct volume_attach_result *ret);

/* What is decided before the KMS is asked. */
struct volume_attach_plan {
	char name[DM_VOLUME_NAME_CHARS];
	struct lease_terms lease;
	uint64_t asked_ms;	/* volume_clock_ms() */
};

/*
 * The two halves of volume_attach(), for who has the header and the DEK of @v
 * from another process; @o->device is for messages, @o->access for its conf.
 *
 * Before the KMS is asked: the name, the lease, the module, and that name,
 * volume and device are free. The lease counts from here.
 */
int volume_attach_prepare(const struct volume_attach_options *o,
			  const struct volume *v,
			  struct volume_attach_plan *ret);

/* With the DEK: key, table, pin. The DEK stays the caller's. */
int volume_attach_finish(const struct volume_attach_options *o,
			 struct volume *v,
			 const struct volume_attach_plan *plan,
			 const struct secret *dek,
			 struct volume_attach_result *ret);

/*
 * Remove @name (as volume_find()), revoke and unlink the key. The volume id of
 * a device that was removed by other means drops the key it has left.
 * -ENXIO: not attached. -EBUSY: in use.
 */
int volume_detach(const char *name);

/*
 * volume_resize.c
 */

struct volume_resize_options {
	const char *target;	/* as volume_find(), or the device below */
	const char *header_path;
	struct volume_access access;
	uint64_t size_bytes;	/* 0: all the device has */
	bool force;		/* shrinking is meant */
};

struct volume_resize_result {
	char volume_id[HEADER_VOLUME_ID_CHARS];
	uint64_t old_bytes;
	uint64_t new_bytes;
	bool attached;
};

/*
 * Grow a volume, attached or not, or shrink a detached one. The header is
 * sealed and written before the device grows, and core.revision grows.
 *
 * -ENOSPC: the device is too small. -EBUSY: shrinking while attached, or
 * attached from another device than @target. -EINVAL: not a multiple of the
 * block, or shrinking without force. -EKEYREVOKED: the
 * volume is locked.
 */
int volume_resize(const struct volume_resize_options *o,
		  struct volume_resize_result *ret);

/*
 * volume_lock.c
 */

struct volume_lock_options {
	const char *name;	/* as volume_find() */
	bool drop_caches;	/* write back first; drop what is clean then */
	bool force;		/* also the volume that this system runs from */
};

/*
 * Does the audit of this host lie on the attached @s? While that is locked a
 * record would wait for its unlock, and the unlock for the record.
 */
bool volume_holds_audit(const struct dm_volume_status *s);

/*
 * As audit_verb_ended(), of a verb after which a volume may be locked. If the
 * audit lies on one that is, there is a warning in its place.
 */
void volume_verb_ended(const char *event, const char *name,
		       const char *volume_id, int r);

/*
 * Revoke the key of an attached volume: when this returns 0, DEK and key
 * schedule are gone from the kernel and I/O waits or fails. One that is locked
 * already is fine. The status of the volume then goes to *@ret.
 *
 * -ENXIO: not attached. -EBUSY: it holds swap space or, without force, what
 * this system runs from, so that nobody might be able to unlock it. -EOPNOTSUPP:
 * its target cannot lock.
 */
int volume_lock(const struct volume_lock_options *o,
		struct dm_volume_status *ret);

/*
 * Drop the clean pages of the whole host, for who has another process lock:
 * @before it, all is written back first, which waits where a volume is locked.
 * -EIO and others of proc(5), printed.
 */
int volume_drop_caches(bool before);

struct volume_unlock_options {
	const char *name;	/* as volume_find() */
	const char *volume_id;	/* that it must have; NULL: whatever it has */
	const char *header_path;
	struct volume_access access;
	struct lease_wish lease; /* in place of core's */
};

/*
 * Ask the KMS for the DEK again, and give it to the target. One that is not
 * locked is fine, and asks nobody.
 *
 * -ENXIO: not attached. Else as volume_open() and volume_unwrap(); a failure
 * leaves it locked, and no key.
 */
int volume_unlock(const struct volume_unlock_options *o,
		  struct dm_volume_status *ret);

/*
 * Take the key of @s out of the kernel, whatever depends on it: as
 * volume_lock(), for who has been told to by a KMS.
 */
int volume_end_key(const struct dm_volume_status *s,
		   struct dm_volume_status *ret);

/*
 * Give @dek to the target of @live, which is locked, for the time that @terms
 * leave since @asked_ms. A failure leaves it locked, and no key. The DEK stays
 * the caller's.
 */
int volume_give_key(const struct dm_volume *live, const struct secret *dek,
		    const struct lease_terms *terms, uint64_t asked_ms);

/*
 * volume_lease.c
 */

/* Milliseconds of CLOCK_BOOTTIME: what a lease counts in. */
uint64_t volume_clock_ms(void);

/* Spread for a lease; no secret. */
uint32_t volume_random(void);

/*
 * May this caller, by the session @k, still unwrap @v, of which the header is
 * enough? kms_check() of one slot after the other: the next one is asked only
 * where a KMS was no help. All but a grant has printed its sentence.
 */
enum lease_answer volume_check_with(struct volume *v, struct volume_kms *k);

struct volume_renew_options {
	const char *name;	/* as volume_find() */
	const char *header_path;
	struct volume_access access;
	struct lease_wish lease; /* in place of core's */
};

struct volume_renew_result {
	struct dm_volume_status status;
	struct lease_terms lease;
};

/*
 * Ask the KMS whether the volume may stay usable, without unwrapping; granted,
 * its key lives for lease + grace from now on. A denial is confirmed once, after
 * LEASE_CONFIRM_MS, and revokes the key: -EACCES.
 *
 * -ENXIO: not attached. -EKEYREVOKED: locked. -EINVAL: no lease, neither in
 * @o nor in core. -EHOSTUNREACH: no answer, and the key's time runs on. Else as
 * volume_open().
 */
int volume_renew(const struct volume_renew_options *o,
		 struct volume_renew_result *ret);

/*
 * volume_find.c
 */

/*
 * An attached volume by device name, path of its device, or volume id.
 * -ENXIO: none; prints its own error.
 */
int volume_find(const char *name, struct dm_volume_status *ret);

/* The same; prints nothing but errors of device mapper itself. */
int volume_find_quietly(const char *name, struct dm_volume_status *ret);

/* Is a volume of that id attached? Its status then. -ENXIO; prints nothing. */
int volume_find_id(const char *volume_id, struct dm_volume_status *ret);

/* The node of the device that @v's table has below. -ENXIO with a sentence. */
#define VOLUME_NODE_CHARS 280
int volume_node_below(const struct dm_volume *v, char ret[VOLUME_NODE_CHARS]);

/*
 * volume_self.c
 *
 * Warn if a CA file of @conf (may be NULL), or the state of a KMS that runs on
 * this machine, is stored on the attached volume @s.
 */
void volume_warn_self(const struct conf *conf,
		      const struct dm_volume_status *s);

#endif
