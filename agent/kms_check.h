/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The question of a lease: may this caller still unwrap? */
#ifndef ENVELOPE_KMS_CHECK_H
#define ENVELOPE_KMS_CHECK_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "kms.h"
#include "lease.h"

/*
 * Decrypt with DryRun, then DescribeKey for the key's state, since not every
 * KMS looks at it for a DryRun. Who may not call DescribeKey learns no more than
 * Decrypt told. Arguments as of kms_decrypt(); a grant token by
 * kms_use_grant_token().
 *
 *	LEASE_GRANTED		the KMS would unwrap
 *	LEASE_DENIED		AccessDenied, key disabled, pending deletion or
 *				import, not found; and nothing else
 *	LEASE_TOKEN_REFUSED	InvalidGrantToken
 *	LEASE_ALARM		the wrapped key, kept since the attach, is
 *				another's or was changed; or the KMS lies
 *	LEASE_UNREACHABLE	all the rest: network, TLS, throttling, 5xx, an
 *				unavailable key, credentials, clock,
 *				configuration, what nobody understands
 *
 * All but a grant has printed its sentence.
 */
enum lease_answer kms_check(struct kms *kms, const char *key_arn,
			    const json_t *context, const uint8_t *wrapped,
			    size_t wrapped_bytes);

/* What the failure @r of a Decrypt, with @code of kms_last_error(), means. */
enum lease_answer kms_check_verdict(int r, const char *code);

/* What the KeyState @state of a key means, for a lease that is granted else. */
enum lease_answer kms_check_state(const char *state);

#endif
