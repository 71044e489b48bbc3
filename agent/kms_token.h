/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to kms_pkcs11: p11-kit in our terms. A token is a module loaded, a
 * session opened and the PIN given; all errors have their sentence.
 */
#ifndef ENVELOPE_KMS_TOKEN_H
#define ENVELOPE_KMS_TOKEN_H

#include <p11-kit/p11-kit.h>

#include "kms_provider.h"

struct token {
	CK_FUNCTION_LIST *module;
	bool initialized;
	CK_SESSION_HANDLE session;	/* CK_INVALID_HANDLE: none */
	/* The PIN was refused: it is not tried again, since tokens count. */
	bool pin_refused;
};

/* What *@call->state knows of the token, nothing at first. NULL: no memory. */
struct token *token_state(struct kms_call *call);

/*
 * The token of @call's section, ready for use, in *@ret, which is
 * *@call->state.
 * -EACCES: module or pin-file not to be trusted, PIN refused or locked.
 * -EHOSTUNREACH: no module, no token. -EINVAL, -ENOMEM, -EIO, -ENOTSUP.
 */
int token_get(struct kms_call *call, struct token **ret);

/* Logs out, unloads. NULL is accepted. */
void token_end(void *token);

/* kms_token_apart.c */

/* As the provider's ask(), but for what is a copy of the question. */
typedef int token_answer_fn(struct kms_call *call,
			    const struct kms_question *question,
			    struct kms_answer *answer);

/*
 * @answer, called in a process of its own, which is killed when the time budget
 * is spent: -EHOSTUNREACH then, and when it dies. A PIN that was refused there
 * is known here. Else as @answer.
 */
int token_ask_apart(struct kms_call *call, const struct kms_question *question,
		    token_answer_fn *answer, struct kms_answer *ret);

/* kms_token_error.c */

/* Says what @rv, not CKR_OK, means for @call; its -errno as in kms.h. */
int token_fail(struct kms_call *call, CK_RV rv);

/* Says @what, with @type for kms_last_error(); returns @error. */
int token_refuse(struct kms_call *call, int error, const char *type,
		 const char *what);

#endif
