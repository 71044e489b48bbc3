/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kms-call does with grants of volumes, as agent and as client. */
#ifndef TESTS_GRANT_CALLS_H
#define TESTS_GRANT_CALLS_H

#include <jansson.h>

#include "conf.h"
#include "kms.h"

struct call {
	const struct conf *conf;
	struct kms *kms;
	json_t *out;
	char **args;		/* behind the operation's name */
};

/* offer DEVICE HOST: name, key, volume and body of a new grant. */
int call_offer(struct call *c);

/* answer DEVICE BODY SLOT: the signature. */
int call_answer(struct call *c);

/* send OFFER SIGNATURE: id, token, and whether one may exist. */
int call_send(struct call *c);

/* sweep REGION PRINCIPAL PREFIX WANTED-NAME: list, and retire the others. */
int call_sweep(struct call *c);

#endif
