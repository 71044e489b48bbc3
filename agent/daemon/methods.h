/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The methods, one function each. A function answers the call, or keeps it and
 * answers later.
 */
#ifndef ENVELOPE_METHODS_H
#define ENVELOPE_METHODS_H

#include "server.h"

/* service.c: org.varlink.service */
void method_get_info(struct call *c);
void method_get_interface_description(struct call *c);

/* look.c, metrics.c */
void method_status(struct call *c);
void method_list(struct call *c);
void method_metrics(struct call *c);

/* attach.c, sign.c, detach.c */
void method_attach(struct call *c);
void method_sign(struct call *c);
void method_decline(struct call *c);
void method_detach(struct call *c);

/* lock.c, unlock.c, events.c */
void method_lock(struct call *c);
void method_renew(struct call *c);
void method_unlock(struct call *c);
void method_subscribe(struct call *c);

/* slots.c */
void method_slots(struct call *c);
void method_wrap_slot(struct call *c);
void method_set_slot(struct call *c);
void method_remove_slot(struct call *c);

#endif
