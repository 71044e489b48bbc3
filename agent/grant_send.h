/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Grants between the agent and the KMS: a signed one is sent, those that
 * nobody needs any more are retired. Who remembers them is grant_journal.h.
 */
#ifndef ENVELOPE_GRANT_SEND_H
#define ENVELOPE_GRANT_SEND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf.h"
#include "grant_journal.h"
#include "header.h"
#include "kms.h"

/*
 * The principal to which a grant on @key_arn goes: host-principal of the key's
 * region. -EACCES with a sentence: not configured, or the key is not allowed;
 * -EINVAL.
 */
int grant_principal(const struct conf *conf, const char *key_arn,
		    const char **ret);

/*
 * What the agent asks to be signed for slot @index of @header: a new name in
 * @entry_ret, without id, and the body, for free(3). @host as grant_prefix().
 * As grant_principal() and grant_compose(), prints are done.
 */
int grant_offer(const struct conf *conf, const char *host,
		const struct header *header, size_t index,
		struct grant_entry *entry_ret, char **body_ret);

/*
 * The user's answer, @signature: {"date", "authorization",
 * "dry_run_authorization", "session_token" (optional)}. First the dry run,
 * so that a denial has made nothing; then the grant, whose id and token go to
 * @ret, for kms_grant_free().
 *
 * As kms_create_grant(). *@sent_ret: the grant may exist although this failed.
 * -EINVAL with a sentence: @signature is none.
 */
int grant_send(struct kms *kms, const struct grant_entry *entry,
	       const char *body, const json_t *signature,
	       struct kms_grant *ret, bool *sent_ret);

/*
 * The grants in @region that @principal may retire and whose name has @prefix,
 * behind those that *@list has already, for free(3). AWS may show a grant
 * minutes after it was made only. As kms_each_retirable(); on failure what was
 * found stays.
 */
int grant_list(struct kms *kms, const char *region, const char *principal,
	       const char *prefix, struct grant_entry **list, size_t *count);

/*
 * The user's side: answer the agent's offer @body for slot @index of @header,
 * which this process has read from @device itself: check it and sign it with
 * the credentials of @conf, which was loaded as signer. *@ret: as grant_send()
 * takes it. As grant_check() and kms_sign_grant(), prints are done.
 */
int grant_answer(const struct conf *conf, const char *device,
		 const struct header *header, size_t index, const char *body,
		 json_t **ret);

/*
 * The same of who cannot read @device, but knows that it is to be @volume_id:
 * as grant_check_unread(), on a key that @conf allows.
 */
int grant_answer_unread(const struct conf *conf, const char *device,
			const char *volume_id, const char *body,
			json_t **ret);

#endif
