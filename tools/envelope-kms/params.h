/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The members of a request body, with AWS's own complaints about them. A
 * handler fetches all it knows, then asks params_check() once, so that one
 * answer names every mistake.
 */
#ifndef KMS_PARAMS_H
#define KMS_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "context.h"
#include "secret.h"

#define PARAM_KEY_ID_MAX 2048
#define PARAM_PLAINTEXT_MAX 4096
#define PARAM_RANDOM_MAX 1024

enum param_need { PARAM_OPTIONAL, PARAM_REQUIRED };

/*
 * Text of @min to @max characters, owned by the call. NULL: absent or wrong.
 * param_enum(): also one of @set, which ends with NULL.
 */
const char *param_string(struct call *c, const char *name,
			 enum param_need need, size_t min, size_t max);
const char *param_enum(struct call *c, const char *name,
		       const char *const *set);

/* True with the number in *@ret; false: absent or wrong. */
bool param_int(struct call *c, const char *name, int64_t min, int64_t max,
	       int64_t *ret);

/* False when absent. */
bool param_bool(struct call *c, const char *name);

/* Present, whatever its type. */
bool param_given(const struct call *c, const char *name);

/*
 * Base64 of 1 to @max bytes, always required. The value is never repeated in
 * a message. A secret that the caller owns; NULL: absent or wrong.
 */
struct secret *param_blob(struct call *c, const char *name, size_t max);

/*
 * The canonical form of an encryption context. 0 with context_free() owed,
 * also where the member is wrong, which params_check() then tells; -ENOMEM.
 */
int param_context(struct call *c, const char *name, struct context *ret);

/* Checks GrantTokens; what they are worth: grant_tokens_check(). */
void param_grant_tokens(struct call *c);

/* Records a violation: "Value … at '@name' failed …: Member must @rule". */
void param_violation(struct call *c, const char *name, const char *value,
		     const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Characters of UTF-8 text, which is how AWS counts. */
size_t param_chars(const char *text);

/* Records the violation of a required member that is absent. */
void param_missing(struct call *c, const char *name);

/* 0; call_fail()'s error for what the getters above have found; -ENOMEM. */
int params_check(struct call *c);

#endif
