// SPDX-License-Identifier: GPL-2.0-or-later
/* libkeyutils in our terms: its -1 and errno become -errno with a reason. */
#include "keyring.h"

#include <errno.h>
#include <keyutils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lock.h"
#include "log.h"

/* Two processes that make the keyring at once would replace each other's. */
#define LOCK_PATH "/run/envelope-keyring.lock"

/* Setting attributes is what revoking and unlinking by another session needs:
 * root's own keys are not possessed there. */
#define DEK_PERM (KEY_POS_VIEW | KEY_POS_SEARCH | KEY_POS_LINK | \
		  KEY_POS_SETATTR | KEY_USR_VIEW | KEY_USR_SEARCH | \
		  KEY_USR_LINK | KEY_USR_SETATTR)
/* Read by root, written once. */
#define SEAL_PERM (KEY_POS_VIEW | KEY_POS_SEARCH | KEY_POS_SETATTR | \
		   KEY_USR_VIEW | KEY_USR_READ | KEY_USR_SEARCH | \
		   KEY_USR_SETATTR)
/* A keyring is written to when keys come and go, and read by keyctl show. */
#define KEYRING_PERM (DEK_PERM | KEY_POS_READ | KEY_POS_WRITE | \
		      KEY_USR_READ | KEY_USR_WRITE)

/* The prefix, a volume id, and NUL. */
#define SEAL_NAME_CHARS 64

static int key_error(void)
{
	switch (errno) {
	case EACCES:
		return -EPERM;
	case ENODEV:
		return -ENOPKG;
	default:
		return -errno;
	}
}

/*
 * Under sudo, in a unit with KeyringMode=private or in an initramfs, @u is not
 * linked to the session, and a new key's attributes could not be set. The
 * keyring of the process makes us possess what is below @u.
 */
static int possess_user_keyring(void)
{
	if (keyctl_link(KEY_SPEC_USER_KEYRING, KEY_SPEC_PROCESS_KEYRING) < 0)
		return key_error();
	return 0;
}

static int find_keyring(key_serial_t *ret)
{
	long id = keyctl_search(KEY_SPEC_USER_KEYRING, "keyring", KEYRING_NAME,
				0);

	if (id < 0)
		return errno == EKEYREVOKED || errno == EKEYEXPIRED ?
		       -ENOKEY : key_error();
	*ret = id;
	return 0;
}

static int make_keyring(key_serial_t *ret)
{
	key_serial_t id = add_key("keyring", KEYRING_NAME, NULL, 0,
				  KEY_SPEC_USER_KEYRING);
	int r;

	if (id < 0)
		return key_error();
	if (keyctl_setperm(id, KEYRING_PERM) < 0) {
		r = key_error();
		keyctl_unlink(id, KEY_SPEC_USER_KEYRING);
		return r;
	}
	*ret = id;
	return 0;
}

static int find_or_make_keyring(key_serial_t *ret)
{
	int lock;
	int r;

	r = possess_user_keyring();
	if (r < 0)
		return r;
	lock = lock_take(LOCK_PATH);
	r = find_keyring(ret);
	if (r == -ENOKEY)
		r = make_keyring(ret);
	lock_drop(lock);
	return r;
}

/* Only live keys can be described: -EKEYREVOKED, -EKEYEXPIRED, -ENOKEY. */
static int is_key(key_serial_t id, const char *type, const char *name)
{
	size_t chars = strlen(type);
	char *text = NULL;
	char *description;
	int yes;

	if (keyctl_describe_alloc(id, &text) < 0)
		return -errno;
	/* type;uid;gid;perm;description, where only the last may have a ; */
	description = strrchr(text, ';');
	yes = strncmp(text, type, chars) == 0 && text[chars] == ';' &&
	      description && strcmp(description + 1, name) == 0;
	free(text);
	return yes;
}

/*
 * The live key of @type and @name. Dead ones are unlinked on the way, whosever they are:
 * they have no name any more, lock what used them for good, and would show up
 * in `keyctl show` until the kernel collects them.
 */
static int find_in(key_serial_t keyring, const char *type, const char *name,
		   key_serial_t *ret)
{
	void *content = NULL;
	key_serial_t *ids;
	long bytes;
	long i;
	int yes;
	int r = -ENOKEY;

	bytes = keyctl_read_alloc(keyring, &content);
	if (bytes < 0)
		return key_error();
	ids = content;
	for (i = 0; i < bytes / (long)sizeof(*ids); i++) {
		yes = is_key(ids[i], type, name);
		if (yes == -EKEYREVOKED || yes == -EKEYEXPIRED)
			keyctl_unlink(ids[i], keyring);
		if (yes <= 0)
			continue;
		*ret = ids[i];
		r = 0;
	}
	free(content);
	return r;
}

int keyring_find(const char *volume_id, int32_t *serial_ret)
{
	key_serial_t keyring = 0;
	key_serial_t id = 0;
	int r;

	r = find_keyring(&keyring);
	if (r == 0)
		r = find_in(keyring, KEYRING_TYPE, volume_id, &id);
	if (r == 0)
		*serial_ret = id;
	return r == 0 ? 0 : -ENOKEY;
}

static int add_key_to(key_serial_t keyring, const char *type, const char *name,
		      const struct secret *payload, key_perm_t perm,
		      int32_t *serial_ret)
{
	key_serial_t id;
	int r;

	id = add_key(type, name, secret_cbytes(payload), secret_len(payload),
		     keyring);
	if (id < 0)
		return key_error();
	if (keyctl_setperm(id, perm) < 0) {
		r = key_error();
		keyctl_revoke(id);
		keyctl_unlink(id, keyring);
		return r;
	}
	*serial_ret = id;
	return 0;
}

static int add_to(key_serial_t keyring, const char *volume_id,
		  const struct secret *dek, int32_t *serial_ret)
{
	key_serial_t id = 0;
	int r;

	/* An expired key would stop add_key(2): it is not ours to update. */
	r = find_in(keyring, KEYRING_TYPE, volume_id, &id);
	if (r != -ENOKEY)
		return r == 0 ? -EEXIST : r;
	return add_key_to(keyring, KEYRING_TYPE, volume_id, dek, DEK_PERM,
			  serial_ret);
}

int keyring_add_dek(const char *volume_id, const struct secret *dek,
		    int32_t *serial_ret)
{
	key_serial_t keyring = 0;
	int r;

	r = find_or_make_keyring(&keyring);
	if (r == 0)
		r = add_to(keyring, volume_id, dek, serial_ret);
	if (r == -ENOPKG)
		log_error("the kernel knows no keys of type '%s': load the module first, with modprobe dm-envelope",
			  KEYRING_TYPE);
	else if (r == -EEXIST)
		log_error("a live key %s is in the keyring '%s': the volume is being attached, or a device that is gone left it: 'envelope detach %s' removes it",
			  volume_id, KEYRING_NAME, volume_id);
	else if (r < 0)
		log_error("cannot put the key of %s into the keyring '%s': %s",
			  volume_id, KEYRING_NAME, strerror(-r));
	return r;
}

/* Revoked first: it ends for whoever has found it already. */
static int drop_from(key_serial_t keyring, const char *type, const char *name)
{
	key_serial_t id = 0;
	int r;

	r = find_in(keyring, type, name, &id);
	if (r == -ENOKEY)
		return 0;
	if (r == 0 && keyctl_revoke(id) < 0 && errno != EKEYREVOKED)
		r = key_error();
	if (r == 0 && keyctl_unlink(id, keyring) < 0 && errno != ENOENT &&
	    errno != ENOKEY)
		r = key_error();
	return r;
}

static int drop(const char *type, const char *name)
{
	key_serial_t keyring = 0;
	int r;

	r = possess_user_keyring();
	if (r == 0)
		r = find_keyring(&keyring);
	if (r == 0)
		r = drop_from(keyring, type, name);
	return r == -ENOKEY ? 0 : r;
}

static void seal_name(const char *volume_id, char ret[SEAL_NAME_CHARS])
{
	snprintf(ret, SEAL_NAME_CHARS, "%s%s", KEYRING_SEAL_PREFIX, volume_id);
}

int keyring_drop_seal(const char *volume_id)
{
	char name[SEAL_NAME_CHARS];
	int r;

	seal_name(volume_id, name);
	r = drop("user", name);
	if (r < 0)
		log_error("cannot revoke the seal key of %s: %s", volume_id,
			  strerror(-r));
	return r;
}

int keyring_drop_dek(const char *volume_id)
{
	int r = drop(KEYRING_TYPE, volume_id);
	int seal;

	if (r < 0)
		log_error("cannot revoke the key of %s: %s", volume_id,
			  strerror(-r));
	seal = keyring_drop_seal(volume_id);
	return r < 0 ? r : seal;
}

int keyring_add_seal(const char *volume_id, const struct secret *seal)
{
	char name[SEAL_NAME_CHARS];
	key_serial_t keyring = 0;
	int32_t serial;
	int r;

	seal_name(volume_id, name);
	r = find_or_make_keyring(&keyring);
	/* Nobody may write to it, so it could not be updated. */
	if (r == 0)
		r = drop_from(keyring, "user", name);
	if (r == 0)
		r = add_key_to(keyring, "user", name, seal, SEAL_PERM,
			       &serial);
	if (r < 0)
		log_error("cannot put the seal key of %s into the keyring '%s': %s",
			  volume_id, KEYRING_NAME, strerror(-r));
	return r;
}

static int find_seal(const char *volume_id, key_serial_t *ret)
{
	char name[SEAL_NAME_CHARS];
	key_serial_t keyring = 0;
	int r;

	seal_name(volume_id, name);
	r = find_keyring(&keyring);
	if (r == 0)
		r = find_in(keyring, "user", name, ret);
	return r;
}

int keyring_read_seal(const char *volume_id, size_t bytes,
		      struct secret **ret)
{
	struct secret *seal;
	key_serial_t id = 0;
	long n;
	int r;

	if (find_seal(volume_id, &id) < 0)
		return -ENOKEY;
	seal = secret_new(bytes);
	if (!seal) {
		log_error("no locked memory for a key: %s", strerror(errno));
		return -ENOMEM;
	}
	n = keyctl_read(id, (char *)secret_bytes(seal), bytes);
	r = n < 0 ? key_error() : n != (long)bytes ? -EBADMSG : 0;
	if (r == 0) {
		*ret = seal;
		return 0;
	}
	secret_free(seal);
	/* It may have ended since. */
	if (r == -EKEYREVOKED || r == -EKEYEXPIRED)
		return -ENOKEY;
	log_error("cannot read the seal key of %s: %s", volume_id,
		  strerror(-r));
	return r;
}

/* The DEK first: its seal must not outlive it. */
static int set_timeouts(const char *volume_id, unsigned int seconds)
{
	key_serial_t id = 0;
	int r;

	r = keyring_find(volume_id, &id);
	if (r < 0)
		return r;
	if (keyctl_set_timeout(id, seconds) < 0)
		return key_error();
	r = find_seal(volume_id, &id);
	if (r == 0 && keyctl_set_timeout(id, seconds) < 0)
		return key_error();
	return r == -ENOKEY ? 0 : r;
}

int keyring_set_timeout(const char *volume_id, uint64_t timeout_ms)
{
	unsigned int seconds = timeout_ms < 1000 ? 1 : timeout_ms / 1000;
	int r = set_timeouts(volume_id, seconds);

	if (r == -EKEYEXPIRED || r == -ENOKEY)
		r = -EKEYREVOKED;
	if (r == -EKEYREVOKED)
		log_error("the key of %s is dead already: the volume is locked",
			  volume_id);
	else if (r < 0)
		log_error("cannot set the time that the key of %s lives: %s",
			  volume_id, strerror(-r));
	return r;
}

int keyring_add_logon(const char *volume_id, const struct secret *dek,
		      int32_t *serial_ret)
{
	char name[128];
	key_serial_t id = 0;
	int r;

	snprintf(name, sizeof(name), "%s%s", KEYRING_LOGON_PREFIX, volume_id);
	id = add_key("logon", name, secret_cbytes(dek), secret_len(dek),
		     KEY_SPEC_PROCESS_KEYRING);
	if (id < 0) {
		r = key_error();
		log_error("cannot add the logon key %s: %s", name,
			  strerror(-r));
		return r;
	}
	*serial_ret = id;
	return 0;
}

void keyring_drop_logon(int32_t serial)
{
	keyctl_revoke(serial);
	keyctl_unlink(serial, KEY_SPEC_PROCESS_KEYRING);
}
