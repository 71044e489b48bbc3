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

/* look.c */
void method_status(struct call *c);
void method_list(struct call *c);

/* attach.c, detach.c */
void method_attach(struct call *c);
void method_sign(struct call *c);
void method_detach(struct call *c);

#endif
