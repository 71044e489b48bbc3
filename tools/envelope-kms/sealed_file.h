/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file of any length sealed under the root key, as backups are:
 *
 *    0   8  "ENVKMSB" and the version, 1
 *    8  32  N, random
 *   40  16  the beginning of KDF(F, "envelope-kms backup check v1", ""), which
 *           tells another root key from damage
 *   56      pieces of 65536 bytes, the last one of 0 to 65536, each behind it
 *           its tag of 16 bytes
 *
 * F = KDF(root, "envelope-kms backup v1", N); the key of piece i is
 * KDF(F, "envelope-kms backup piece v1", big-endian u64 i ‖ 1 for the last
 * one, else 0), so no piece can be moved, and none cut off. AES-256-GCM, zero
 * IV, no additional data.
 */
#ifndef KMS_SEALED_FILE_H
#define KMS_SEALED_FILE_H

#include <stddef.h>

#include "secret.h"

struct sealed_out;
struct sealed_in;

/*
 * Writes to @fd, which stays the caller's. 0; -ENOMEM; -EIO; -errno of the
 * file. sealed_out_end() seals the last piece. sealed_out_free() accepts NULL.
 */
int sealed_out_begin(int fd, const struct secret *root,
		     struct sealed_out **ret);
int sealed_out_put(struct sealed_out *o, const void *data, size_t bytes);
int sealed_out_end(struct sealed_out *o);
void sealed_out_free(struct sealed_out *o);

/*
 * Reads the regular file @fd, which stays the caller's. -EINVAL: no such file
 * of ours; -EKEYREJECTED: another root key; -EBADMSG: damaged, or cut short;
 * -ENOMEM; -EIO; -errno of the file. What sealed_in_get() gives is authentic,
 * and all there is once it has given the last byte and sealed_in_end() 0.
 */
int sealed_in_begin(int fd, const struct secret *root,
		    struct sealed_in **ret);
int sealed_in_get(struct sealed_in *in, void *data, size_t bytes);
int sealed_in_end(struct sealed_in *in);
void sealed_in_free(struct sealed_in *in);

#endif
