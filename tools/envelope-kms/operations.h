/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations of the API: the table, and what each answers. */
#ifndef KMS_OPERATIONS_H
#define KMS_OPERATIONS_H

#include "call.h"

/* NULL: KMS knows no operation of that name. */
const struct operation *operation_find(const char *name);

/*
 * Runs the call's operation and writes its audit record. When it returns, the
 * call holds what may leave the server: nothing but KMSInternalException if
 * the record is not on the disk.
 */
void operation_run(struct call *c);

/* keys.c */
int op_create_key(struct call *c);
int op_describe_key(struct call *c);
int op_list_keys(struct call *c);
int op_enable_key(struct call *c);
int op_disable_key(struct call *c);
int op_schedule_key_deletion(struct call *c);
int op_cancel_key_deletion(struct call *c);

/* create_grant.c, end_grant.c, list_grants.c */
int op_create_grant(struct call *c);
int op_retire_grant(struct call *c);
int op_revoke_grant(struct call *c);
int op_list_grants(struct call *c);
int op_list_retirable_grants(struct call *c);

/* tags.c */
int op_tag_resource(struct call *c);
int op_untag_resource(struct call *c);
int op_list_resource_tags(struct call *c);
int op_update_key_description(struct call *c);

/* key_policy.c */
int op_get_key_policy(struct call *c);
int op_put_key_policy(struct call *c);
int op_list_key_policies(struct call *c);

/* aliases.c */
int op_create_alias(struct call *c);
int op_update_alias(struct call *c);
int op_delete_alias(struct call *c);
int op_list_aliases(struct call *c);

/* rotation.c */
int op_enable_key_rotation(struct call *c);
int op_disable_key_rotation(struct call *c);
int op_get_key_rotation_status(struct call *c);
int op_rotate_key_on_demand(struct call *c);
int op_list_key_rotations(struct call *c);

/* replicate.c */
int op_replicate_key(struct call *c);
int op_update_primary_region(struct call *c);

/* import_token.c, import.c */
int op_get_parameters_for_import(struct call *c);
int op_import_key_material(struct call *c);
int op_delete_imported_key_material(struct call *c);

/* encrypt.c */
int op_encrypt(struct call *c);
int op_decrypt(struct call *c);
int op_reencrypt(struct call *c);

/* datakey.c */
int op_generate_data_key(struct call *c);
int op_generate_data_key_without_plaintext(struct call *c);
int op_generate_random(struct call *c);

#endif
