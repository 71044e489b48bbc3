/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * dm-envelope: the border between the kernel module and everybody else.
 *
 * This file is the manual of the device-mapper target "envelope" and of the
 * key type "envelope". It includes nothing and may be used by any program.
 *
 * Words
 * -----
 * sector: always 512 bytes. block: the encryption unit, sector_size bytes.
 * secret: the 64-byte AES-256-XTS key of one volume, two different halves.
 *
 * Table line
 * ----------
 *   <start> <len> envelope <cipher> <key> <iv_offset> <device> <start_sector>
 *           [<n> <option>...]
 *
 *   cipher        aes-xts-plain64, nothing else
 *   key           :64:envelope:<name> or :64:logon:<name>: the type and name
 *                 of a key in a keyring. <name> has 1 to 255 characters from
 *                 '!' to '~', no backslash. A key in hexadecimal is refused,
 *                 so no table that anybody prints can show one.
 *   iv_offset     sectors added to the sector number before it becomes the
 *                 IV; a multiple of the block. As in dm-crypt it counts
 *                 sectors also with iv_large_sectors, where the sum is
 *                 divided by the sectors of a block.
 *   device        path or major:minor of the device below
 *   start_sector  first sector of it that is used
 *
 *   options (n is their number, each at most once)
 *     sector_size:<512|1024|2048|4096>  the block in bytes; default 4096.
 *                 start and len of the line must be multiples of it.
 *     iv_large_sectors   the IV counts blocks instead of sectors
 *     allow_discards     discards go to the device below
 *     holes       a block whose stored bytes are all zero reads as zeros
 *     on_lock:<queue|error>  what happens to I/O while locked; default queue
 *
 * Every block that was written is byte for byte what dm-crypt's
 * aes-xts-plain64 writes with the same key, sector_size, iv_offset and
 * iv_large_sectors.
 *
 * The table that the kernel prints has sector_size always, then the other
 * options that are on, in the order above. Such a line is accepted again and
 * prints the same. Write sector_size out: dm-crypt's default is 512.
 *
 * Which key is found: request_key() (thread, process and session keyring),
 * then the user keyring @u of the caller and all keyrings linked in it. A
 * volume locked now cannot be reloaded: ctr says "Key revoked or expired:
 * unlock first".
 *
 * Key type "envelope"
 * -------------------
 * The payload has 64 bytes and two different halves, else EINVAL. The name is
 * as above, else EINVAL. Nobody can read it, and it cannot be updated
 * (EEXIST): a second add_key() of the same name would otherwise replace the
 * link, and a later revocation would hit a key nobody uses.
 *
 *   keyctl revoke      locks every volume that uses the key before it returns
 *   keyctl invalidate  locks them within a second
 *   keyctl timeout     they lock within a second after it has passed; setting
 *                      it again before that moves it. The time runs on the
 *                      clock of the wall and on the clock since boot, and the
 *                      earlier counts: setting the wall clock back extends
 *                      nothing. Once locked, only "key set" unlocks.
 *   keyctl unlink      locks nothing
 *
 * A key of type logon is read once, when the table is loaded. The kernel tells
 * nobody of its revocation: such a volume never locks by itself, and its
 * status says "unleased".
 *
 * Status (STATUSTYPE_INFO, `dmsetup status`)
 * ------------------------------------------
 *   <state> <reason> <lease> <reads> <writes> <holes> <errors>
 *
 *   state   active | locked
 *   reason  - | revoked | invalidated | expired | wiped
 *   lease   revocable (key type envelope) | unleased (logon)
 *   reads, writes  requests completed; a large one may be counted in parts
 *   holes   blocks that were read as zeros because they are holes
 *   errors  requests that failed
 *
 * Every change of state is a device-mapper event (`dmsetup wait`).
 *
 * While locked the secret and its key schedule are gone from the memory of
 * the kernel module, no block is encrypted or decrypted, and
 *   - a request with REQ_NOWAIT (RWF_NOWAIT, io_uring) gets EAGAIN;
 *   - read-ahead fails;
 *   - other reads, writes and discards wait (queue) or fail with EIO (error);
 *   - an empty flush goes down; so do writes that were already encrypted.
 * A suspend without flush (`dmsetup suspend --noflush`, `dmsetup remove
 * --force`) takes the waiting requests back. A suspend with flush waits for
 * "key set" or "on_lock error".
 *
 * Messages (`dmsetup message <device> 0 ...`)
 * -------------------------------------------
 *   key set :64:envelope:<name>   unlock; while active: use this key from now
 *           (also :64:logon:<name>)
 *       EKEYREJECTED   it is not the key of this volume; nothing has changed
 *       ENOKEY         there is no such key
 *       EKEYREVOKED, EKEYEXPIRED  it is dead
 *       EINVAL         the reference is malformed, or the payload is not a key
 *       ENODEV         the cipher was lost on locking: remove the device
 *   key wipe                      lock, reason wiped; the key itself stays
 *           Both also act on a table that is loaded but not resumed yet, if it
 *           is of the same secret: key set unlocks it, key wipe locks it.
 *   on_lock queue | on_lock error takes effect at once, also for what waits
 *   stats                         returns "reads N writes N holes N errors N
 *                                 waiting N pages N of N cipher DRIVER"
 *   anything else                 EINVAL
 *
 * Errors of the table line: each has its own sentence in the kernel log,
 * printed by device-mapper as "envelope: SENTENCE". They are part of this
 * interface; kernel/table.c has those of the line itself.
 *
 * A table may have several lines of this target, each with a key of its own.
 * A message goes to the line that holds the sector given in place of the 0.
 *
 * Measurement: the kernel's IMA gets of each line, for func=CRITICAL_DATA,
 *   cipher_string, iv_offset, sector_size, iv_large_sectors, allow_discards,
 *   holes and on_lock. No table, status or measurement shows a key.
 *
 * What the device offers
 * ----------------------
 * Its limits are those of the device below, but for these:
 *   logical, physical and smallest good request  not less than sector_size
 *   dma_alignment        memory of requests lies on logical blocks
 *   discards             with allow_discards, in blocks at least
 *   write zeroes         never offered: zeros are written, and so encrypted
 *   polling              never offered from Linux 6.11 on; before it, dm core
 *                        offers it, and the requests are served by interrupts
 *   NOWAIT               from 6.11 on always offered, and refused by EAGAIN
 *                        while the device below has none; before it, dm core
 *                        offers what the device below has, else EOPNOTSUPP.
 *                        A write of more than one part gets EAGAIN as well.
 *                        What a queue of requests below would have to cut,
 *                        for which it may wait, is sent by a worker.
 * Zoned devices are refused. start_sector must be a multiple of the logical
 * block of the device below, and flushes and FUA go down to it: what has been
 * synced is there after a crash. A write that a crash tears is torn as if it
 * had not been encrypted, at sectors of the disk; but in a hole (see holes)
 * the sectors that were not written yet read as noise, not as zeros.
 *
 * The device below may change while the volume is in use: load a table with
 * the same key, suspend, resume. For a live snapshot of the ciphertext:
 *   1. a zeroed device for the copies; snapshot-origin on the backing device
 *   2. load the volume's table on the origin (the volume must be unlocked)
 *   3. suspend the volume, then the origin
 *   4. create the snapshot; resume the origin, which only then learns the size
 *      of its chunks; resume the volume
 * A snapshot-origin has neither discards nor NOWAIT.
 *
 * Limits and memory
 * -----------------
 * A write is split into parts of at most ENVELOPE_WRITE_MAX_BYTES, and needs a
 * page of memory for each of its pages until it is on the disk. Each volume
 * keeps ENVELOPE_RESERVE_PAGES pages for that, and takes at most a share of
 * 1/ENVELOPE_PAGES_SHARE of all memory or ENVELOPE_PAGES_MIN pages, whichever
 * is more, give or take 64 pages a CPU; then writes wait for others to end.
 * "stats" shows the pages held now "of" that limit. Reads need none. The
 * module keeps at most ENVELOPE_STASH_PAGES used pages on every CPU.
 *
 * Module parameter spread_bytes (131072, writable, rounded down to 4096): a
 * larger read or write is cut into parts of this size. Workers on other CPUs
 * have two parts a CPU at most; while they do, whoever sent the request
 * decrypts or encrypts further parts, and the last. This as long as the other
 * CPUs are idle: when a part has waited for one for much longer than it took,
 * nothing is cut for a tenth of a second. 0: never. With the default, handing a
 * part over costs 3 % of the instructions that decrypting it takes. What a disk
 * completes by an interrupt is decrypted by workers only. Requests with
 * REQ_NOWAIT are not cut.
 *
 * Module parameter allow_hibernation (0, writable): hibernation would write
 * the secret to disk, so it is refused while one is loaded, unless this is 1.
 */

#ifndef ENVELOPE_UAPI_H
#define ENVELOPE_UAPI_H

#define ENVELOPE_TARGET_NAME		"envelope"
#define ENVELOPE_KEY_TYPE_NAME		"envelope"

/* version of the target: changes with every change of this border */
#define ENVELOPE_VERSION_MAJOR		1
#define ENVELOPE_VERSION_MINOR		0
#define ENVELOPE_VERSION_PATCH		0
#define ENVELOPE_VERSION_TEXT		"1.0.0"

#define ENVELOPE_CIPHER			"aes-xts-plain64"

#define ENVELOPE_SECRET_BYTES		64
#define ENVELOPE_KEY_NAME_MAX		255	/* characters */

#define ENVELOPE_BLOCK_MIN_BYTES	512
#define ENVELOPE_BLOCK_MAX_BYTES	4096
#define ENVELOPE_BLOCK_DEFAULT_BYTES	4096

#define ENVELOPE_WRITE_MAX_BYTES	262144	/* one part of a write */
#define ENVELOPE_SPREAD_BYTES		131072	/* default of spread_bytes */
#define ENVELOPE_PAGES_SHARE		50	/* a volume: of all memory, */
#define ENVELOPE_PAGES_MIN		1024	/* or as many, if that is more */
#define ENVELOPE_RESERVE_PAGES		64	/* a volume: one such part */
#define ENVELOPE_STASH_PAGES		256	/* a CPU, all volumes together */

#endif
