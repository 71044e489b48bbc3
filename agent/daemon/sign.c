// SPDX-License-Identifier: GPL-2.0-or-later
/* Sign: the caller's signature of a grant, on a second connection of his. */
#include "sign.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "methods.h"
#include "opening.h"

/* What calls the method of @c as it wants to be called. */
static const char *verb_of(const char *method)
{
	static const char *const verbs[][2] = {
		{ "Unlock", "unlock" },
		{ "SetSlot", "rewrap" },
		{ "WrapSlot", "slot add" },
		{ "RemoveSlot", "slot remove" },
	};
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i][0], method) == 0)
			return verbs[i][1];
	return "attach";
}

/* @hold is the offer; NULL: none is needed. */
static int ask(struct call *c, struct worker *w, size_t slot, const char *shown,
	       struct grant_hold *hold)
{
	const char *method = strrchr(call_method(c), '.') + 1;

	if (!hold) {
		worker_unwrap(w, slot);
		return 0;
	}
	if (!call_more(c)) {
		log_error("'%s': who attaches it must sign a grant, so %s wants to be called with `more`, as 'envelope %s' does",
			  shown, method, verb_of(method));
		return -EACCES;
	}
	grants_wait(hold, call_caller(c)->uid, w);
	call_stream(c, json_pack("{s:o}", "grant", grants_describe(hold)));
	return 0;
}

int sign_ask(struct call *c, struct worker *w, const struct header *h,
	     const char *shown, struct grant_hold **ret)
{
	int r = grants_offer(call_agent(c), h, shown, ret);

	return r == 0 ? ask(c, w, 0, shown, *ret) : r;
}

int sign_ask_slot(struct call *c, struct worker *w, const struct header *h,
		  size_t slot, const char *shown, struct grant_hold **ret)
{
	int r = grants_offer_slot(call_agent(c), h, slot, shown, ret);

	return r == 0 ? ask(c, w, slot, shown, *ret) : r;
}

int sign_made(struct grant_hold *hold, struct worker *w, size_t slot,
	      const char *id)
{
	int r;

	if (!id) {
		grants_refused(hold);
		return 0;
	}
	r = grants_made(hold, id);
	if (r == 0)
		worker_unwrap(w, slot);
	return r;
}

void method_sign(struct call *c)
{
	const char *nonce = NULL, *date = NULL, *token = NULL;
	const char *authorization = NULL, *dry_run = NULL;
	const struct param params[] = {
		{ "nonce", PARAM_TEXT, true, &nonce },
		{ "date", PARAM_TEXT, true, &date },
		{ "authorization", PARAM_TEXT, true, &authorization },
		{ "dry_run_authorization", PARAM_TEXT, true, &dry_run },
		{ "session_token", PARAM_TEXT, false, &token },
		{ 0 }
	};
	json_t *request = NULL;
	struct worker *worker;
	struct grant_hold *hold;
	int r;

	if (call_params(c, params) < 0)
		return;
	/* A stranger's call waits for nothing. */
	hold = grants_unsigned(nonce, call_caller(c)->uid, &worker);
	if (!hold) {
		call_refuse(c, -EACCES, "no attach of yours waits for this signature");
		return;
	}
	r = grants_signed(hold, json_pack(
		"{s:s, s:s, s:s, s:s*}", "date", date,
		"authorization", authorization,
		"dry_run_authorization", dry_run, "session_token", token),
		&request);
	if (r < 0) {
		call_fail(c, r);
		return;
	}
	worker_grant(worker, request);
	call_reply(c, json_object());
}

void method_decline(struct call *c)
{
	const char *nonce = NULL;
	const struct param params[] = {
		{ "nonce", PARAM_TEXT, true, &nonce },
		{ 0 }
	};
	uid_t uid = call_caller(c)->uid;
	struct worker *worker;

	if (call_params(c, params) < 0)
		return;
	if (!grants_unsigned(nonce, uid, &worker)) {
		call_refuse(c, -EACCES, "no attach of yours waits for this signature");
		return;
	}
	opening_declined(worker);
	call_reply(c, json_object());
}
