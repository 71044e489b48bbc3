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
/* A keyring is written to when keys come and go, and read by keyctl show. */
#define KEYRING_PERM (DEK_PERM | KEY_POS_READ | KEY_POS_WRITE | \
		      KEY_USR_READ | KEY_USR_WRITE)

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
static int is_key(key_serial_t id, const char *name)
{
	char *text = NULL;
	char *description;
	int yes;

	if (keyctl_describe_alloc(id, &text) < 0)
		return -errno;
	/* type;uid;gid;perm;description, where only the last may have a ; */
	description = strrchr(text, ';');
	yes = strncmp(text, KEYRING_TYPE ";", strlen(KEYRING_TYPE) + 1) == 0 &&
	      description && strcmp(description + 1, name) == 0;
	free(text);
	return yes;
}

/*
 * The live key of @name. Dead ones are unlinked on the way, whosever they are:
 * they have no name any more, lock what used them for good, and would show up
 * in `keyctl show` until the kernel collects them.
 */
static int find_in(key_serial_t keyring, const char *name, key_serial_t *ret)
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
		yes = is_key(ids[i], name);
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
		r = find_in(keyring, volume_id, &id);
	if (r == 0)
		*serial_ret = id;
	return r == 0 ? 0 : -ENOKEY;
}

static int add_to(key_serial_t keyring, const char *volume_id,
		  const struct secret *dek, int32_t *serial_ret)
{
	key_serial_t id = 0;
	int r;

	/* An expired key would stop add_key(2): it is not ours to update. */
	r = find_in(keyring, volume_id, &id);
	if (r != -ENOKEY)
		return r == 0 ? -EEXIST : r;
	id = add_key(KEYRING_TYPE, volume_id, secret_cbytes(dek),
		     secret_len(dek), keyring);
	if (id < 0)
		return key_error();
	if (keyctl_setperm(id, DEK_PERM) < 0) {
		r = key_error();
		keyctl_revoke(id);
		keyctl_unlink(id, keyring);
		return r;
	}
	*serial_ret = id;
	return 0;
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

int keyring_drop_dek(const char *volume_id)
{
	key_serial_t keyring = 0;
	key_serial_t id = 0;
	int r;

	r = possess_user_keyring();
	if (r == 0)
		r = find_keyring(&keyring);
	if (r == 0)
		r = find_in(keyring, volume_id, &id);
	if (r == -ENOKEY)
		return 0;
	if (r == 0 && keyctl_revoke(id) < 0 && errno != EKEYREVOKED)
		r = key_error();
	if (r == 0 && keyctl_unlink(id, keyring) < 0 && errno != ENOENT &&
	    errno != ENOKEY)
		r = key_error();
	if (r < 0)
		log_error("cannot revoke the key of %s: %s", volume_id,
			  strerror(-r));
	return r;
}

int keyring_set_timeout(const char *volume_id, uint64_t timeout_ms)
{
	unsigned int seconds = timeout_ms < 1000 ? 1 : timeout_ms / 1000;
	key_serial_t id = 0;
	int r;

	r = keyring_find(volume_id, &id);
	if (r == 0 && keyctl_set_timeout(id, seconds) < 0)
		r = key_error();
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
