/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker's side of grants: sent, listed, retired. */
#ifndef ENVELOPE_WORKER_GRANTS_H
#define ENVELOPE_WORKER_GRANTS_H

#include <jansson.h>

#include "volume.h"

/*
 * Send the grant of @request (worker.h) and use it from now on. The answer for
 * root, {"granted": ...} or {"ungranted": ...}, goes to *@ret, NULL: no memory.
 * As grant_send().
 */
int worker_grants_send(struct volume_kms *k, const json_t *request,
		       json_t **ret);

/* {"listed": ...} of all regions with a host-principal; NULL: no memory. */
json_t *worker_grants_list(struct volume_kms *k, const char *prefix);

/* Retire what @grants, an array, has. {"retired": ...}; NULL: no memory. */
json_t *worker_grants_retire(struct volume_kms *k, const json_t *grants);

#endif
