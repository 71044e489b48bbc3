// SPDX-License-Identifier: GPL-2.0-or-later
/* Tokens over p11-kit: module, session, and the PIN. */
#include "kms_token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "trust.h"

#define MAX_SLOTS 64

static const char *setting(const struct kms_call *call, enum conf_value what)
{
	return call->provider->value[what];
}

static int load_module(struct kms_call *call, struct token *t)
{
	const char *path = setting(call, CONF_MODULE);
	CK_RV rv;
	int r;

	if (t->initialized)
		return 0;
	r = trust_code(path, "PKCS#11 module");
	if (r < 0) {
		snprintf(call->error, sizeof(call->error), "%s",
			 r == -EACCES ? "NotAllowed" : "NoConnection");
		return r == -ENOENT ? -EHOSTUNREACH : r;
	}
	/* Its sentences go to standard error, beside ours. */
	p11_kit_be_quiet();
	t->module = p11_kit_module_load(path, 0);
	if (!t->module) {
		snprintf(call->error, sizeof(call->error), "NoConnection");
		log_error("key '%s': %s: '%s' cannot be loaded as a PKCS#11 module (%s); correct module",
			  call->key, call->where, path,
			  p11_kit_message() ? p11_kit_message() : "no reason");
		return -EHOSTUNREACH;
	}
	rv = p11_kit_module_initialize(t->module);
	if (rv != CKR_OK) {
		p11_kit_module_release(t->module);
		t->module = NULL;
		return token_fail(call, rv);
	}
	t->initialized = true;
	return 0;
}

/* Labels are padded with blanks to 32 bytes. */
static bool is_label(const CK_UTF8CHAR label[32], const char *text)
{
	size_t len = strlen(text);
	size_t i;

	if (len > 32 || memcmp(label, text, len) != 0)
		return false;
	for (i = len; i < 32; i++)
		if (label[i] != ' ')
			return false;
	return true;
}

/* The one slot whose token has the label of the section. */
static int find_slot(struct kms_call *call, struct token *t,
		     CK_SLOT_ID *slot_ret, CK_TOKEN_INFO *info_ret)
{
	const char *label = conf_provider_place(call->provider);
	CK_SLOT_ID slots[MAX_SLOTS];
	CK_ULONG count = MAX_SLOTS, i;
	CK_TOKEN_INFO info;
	bool found = false;
	char what[160];
	CK_RV rv;

	rv = t->module->C_GetSlotList(CK_TRUE, slots, &count);
	if (rv != CKR_OK)
		return token_fail(call, rv);
	for (i = 0; i < count; i++) {
		if (t->module->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
		    !is_label(info.label, label))
			continue;
		if (found)
			return token_refuse(call, -EINVAL, "NotAllowed",
					    "two tokens have the label; give one of them another");
		found = true;
		*slot_ret = slots[i];
		*info_ret = info;
	}
	if (found)
		return 0;
	snprintf(what, sizeof(what), "no token has the label '%s'; see that it is there and that the module finds it",
		 label);
	return token_refuse(call, -EHOSTUNREACH, "CKR_TOKEN_NOT_PRESENT",
			    what);
}

/* What the token says by itself, so that no try is spent on learning it. */
static int check_pin_state(struct kms_call *call, const CK_TOKEN_INFO *info)
{
	if (!(info->flags & CKF_USER_PIN_INITIALIZED) &&
	    !(info->flags & CKF_PROTECTED_AUTHENTICATION_PATH))
		return token_fail(call, CKR_USER_PIN_NOT_INITIALIZED);
	if (info->flags & CKF_USER_PIN_LOCKED)
		return token_fail(call, CKR_PIN_LOCKED);
	if (info->flags & CKF_USER_PIN_FINAL_TRY)
		return token_refuse(call, -EACCES, "CKR_PIN_INCORRECT",
				    "one wrong PIN more locks the token, so none is tried; log in once with the token's own tools");
	return 0;
}

static int give_pin(struct kms_call *call, struct token *t,
		    const CK_TOKEN_INFO *info)
{
	bool by_itself = info->flags & CKF_PROTECTED_AUTHENTICATION_PATH;
	const char *path = setting(call, CONF_PIN_FILE);
	struct secret *pin = NULL;
	CK_RV rv;
	int r = 0;

	if (!path && !by_itself)
		return token_refuse(call, -EACCES, "NotAllowed",
				    "the token wants a PIN; set pin-file");
	if (path) {
		r = trust_read_secret(path, "pin-file", &pin);
		if (r < 0) {
			snprintf(call->error, sizeof(call->error),
				 "NotAllowed");
			return r;
		}
	}
	rv = t->module->C_Login(t->session, CKU_USER,
				pin ? secret_bytes(pin) : NULL,
				pin ? secret_len(pin) - 1 : 0);
	secret_free(pin);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
		return 0;
	r = token_fail(call, rv);
	t->pin_refused = r == -EACCES;
	return r;
}

static int open_session(struct kms_call *call, struct token *t)
{
	CK_TOKEN_INFO info = { 0 };
	CK_SLOT_ID slot = 0;
	CK_RV rv;
	int r;

	if (t->session != CK_INVALID_HANDLE)
		return 0;
	r = find_slot(call, t, &slot, &info);
	if (r == 0 && info.flags & CKF_LOGIN_REQUIRED)
		r = check_pin_state(call, &info);
	if (r < 0)
		return r;
	rv = t->module->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL,
				      &t->session);
	if (rv != CKR_OK) {
		t->session = CK_INVALID_HANDLE;
		return token_fail(call, rv);
	}
	if (info.flags & CKF_LOGIN_REQUIRED)
		r = give_pin(call, t, &info);
	if (r < 0) {
		t->module->C_CloseSession(t->session);
		t->session = CK_INVALID_HANDLE;
	}
	return r;
}

struct token *token_state(struct kms_call *call)
{
	struct token *t = *call->state;

	if (!t) {
		t = calloc(1, sizeof(*t));
		if (t)
			t->session = CK_INVALID_HANDLE;
		*call->state = t;
	}
	return t;
}

int token_get(struct kms_call *call, struct token **ret)
{
	struct token *t = token_state(call);
	int r;

	if (!t)
		return token_fail(call, CKR_HOST_MEMORY);
	if (t->pin_refused)
		return token_refuse(call, -EACCES, "CKR_PIN_INCORRECT",
				    "the PIN was refused before and is not tried again");
	r = load_module(call, t);
	if (r == 0)
		r = open_session(call, t);
	if (r == 0)
		*ret = t;
	return r;
}

void token_end(void *token)
{
	struct token *t = token;

	if (!t)
		return;
	if (t->session != CK_INVALID_HANDLE)
		t->module->C_CloseSession(t->session);
	if (t->initialized)
		p11_kit_module_finalize(t->module);
	if (t->module)
		p11_kit_module_release(t->module);
	free(t);
}
