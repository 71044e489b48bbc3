#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --kms
# kernels: 6.12
# What format refuses, what it chooses, and that it rehearses before it writes.
. /test/vm/helpers/attach.bash
modprobe ext4

# calls: the operations of the KMS so far, one a line.
calls()
{
	host audit | sed -n 's/.*"eventName":"\([A-Za-z]*\)".*/\1/p'
}

# field DEV NAME: a number or word of the header.
field()
{
	envelope inspect --json "$1" |
		sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",]*\).*/\1/p" | head -n 1
}

# refuses STATUS NAME REGEX OPTION...: and /dev/vda is as it was.
refuses()
{
	local status=$1 name=$2 regex=$3

	shift 3
	t_says "$status" "$name" "$regex" unchanged /dev/vda envelope format "$@"
}

BEFORE=$(calls | wc -l)
mkfs.ext4 -q /dev/vda
refuses 7 "ext4 on it" \
	"'/dev/vda' holds a file system \(ext4\): formatting would destroy it; --force does it" \
	/dev/vda
mount /dev/vda /mnt
t_says 7 "mounted, even with --force" "'/dev/vda' is in use: it is mounted" \
	envelope format --force /dev/vda
umount /mnt
refuses 2 "sector size" "--sector-size: 1000 is not 512, 1024, 2048 or 4096" \
	--force --sector-size 1000 /dev/vda
refuses 1 "size beyond the device" \
	"'/dev/vda' is too small: room for 7340032 bytes of data, not for 8388608" \
	--force --size 8M /dev/vda
refuses 2 "size not a multiple" \
	"--size: 1001 bytes are not a multiple of the sector size, 512" \
	--force --size 1001 /dev/vda
refuses 2 "holes both ways" "--holes and --no-holes exclude each other" \
	--force --holes --no-holes /dev/vda
refuses 2 "context of ours" "context names that begin with envelope: are reserved" \
	--force --context envelope:volume-id=vol-1 /dev/vda
refuses 2 "pair without value" "--context: 'app' is not NAME=VALUE" \
	--force --context app /dev/vda
truncate -s 1M "$WORK/small"
t_says 1 "too small" \
	"is too small: it has 1048576 bytes, and needs at least 1052672" \
	envelope format "$WORK/small"
t "none of these asked the KMS" test "$(calls | wc -l)" = "$BEFORE"

host kms-stop
refuses 4 "KMS unreachable" "cannot be reached" --force --timeout 2 /dev/vda
host kms-start
refuses 3 "no such KMS key" "does not exist there" \
	--force --kms-key alias/none /dev/vda

# Two calls: the wrapped key, and its rehearsal.
BEFORE=$(calls | wc -l)
t_says 0 "format --force" "/dev/vda: volume vol-[0-9a-f]{17}, 7.0 MiB, sectors of 512 bytes, under arn:aws:kms:us-east-1:111122223333:key/" \
	envelope format --force --context app=db --context env=test /dev/vda
t "security-11-rehearsed-before-it-was-written" test \
	"$(calls | tail -n +$((BEFORE + 1)) | tr '\n' ' ')" = \
	"GenerateDataKeyWithoutPlaintext Decrypt "
t "context in the audit" eval \
	"host audit | tail -n 1 | grep '\"app\":\"db\"' | grep '\"env\":\"test\"'"
t "the old signature is gone" eval "! blkid -p /dev/vda"
t "security-01-pinned-by-format" grep -q "$(id_of /dev/vda)" \
	/var/lib/envelope/known
refuses 7 "our own header" \
	"'/dev/vda' has an envelope header: formatting would destroy that volume" \
	/dev/vda
dd if=/dev/zero of=/dev/vda bs=128k count=1 conv=fsync status=none
refuses 7 "copy B alone" "'/dev/vda' has an envelope header" /dev/vda
t "format over itself" envelope format --force /dev/vda

t "attach" envelope attach --direct /dev/vda x
t_says 7 "attached, even with --force" "'/dev/vda' is in use" \
	envelope format --force /dev/vda
t "still attached" envelope status x
t "detach" envelope detach x

# The encryption block follows the device.
truncate -s 4M "$WORK/file"
t "file" envelope format "$WORK/file"
t "file: 4096" test "$(field "$WORK/file" sector_size)" = 4096
t "device: 512" test "$(field /dev/vda sector_size)" = 512
losetup -b 4096 /dev/loop0 "$WORK/file"
t_says 2 "below the device's block" \
	"--sector-size: '/dev/loop0' has blocks of 4096 bytes, so 512 is too" \
	envelope format --force --sector-size 512 /dev/loop0
t_says 7 "file behind a loop device" "is in use: it is behind /dev/loop0" \
	envelope format --force "$WORK/file"
t "device of 4096" envelope format --force /dev/loop0
t "device of 4096: 4096" test "$(field /dev/loop0 sector_size)" = 4096
losetup -d /dev/loop0
t "2048 when told" envelope format --force --sector-size 2048 --size 1M \
	--no-holes --iv-large-sectors "$WORK/file"
t "attach it" envelope attach --direct --allow-discards --on-lock error \
	"$WORK/file" y
t "table says so" eval "dmsetup table y | grep \
' 2048 4 sector_size:2048 iv_large_sectors allow_discards on_lock:error'"
t "size says so" test "$(blockdev --getsize64 /dev/mapper/y)" = 1048576
t "detach it" envelope detach y

# A detached header is a new file.
t "detached" envelope format --force --header "$WORK/header" /dev/vda
dd if=/dev/zero of=/dev/vda bs=256k count=1 conv=fsync status=none
t_says 7 "detached: never over a file" "header' exists: name a new file" \
	unchanged "$WORK/header" envelope format --header "$WORK/header" /dev/vda
t "detached: over a file by force" envelope format --force \
	--header "$WORK/header" /dev/vda
t "detached: over a volume" eval "envelope format --force /dev/vda &&
	envelope format --force --header $WORK/header /dev/vda"
t "detached: nothing of that volume is left" cmp -n 262144 /dev/vda /dev/zero
t "detached: attach" envelope attach --direct --header "$WORK/header" \
	/dev/vda x
t "detached: detach" envelope detach x
host kms-stop
t_says 4 "detached: KMS unreachable" "cannot be reached" \
	envelope format --timeout 2 --header "$WORK/other" /dev/vda
host kms-start
t "detached: no file is left of that" test ! -e "$WORK/other"
t_says 0 "list --all" "vol-[0-9a-f]{17} +unverified .* /dev/vda +arn:" \
	eval "envelope format --force /dev/vda && envelope list --all"
t_says 0 "list --all in JSON" '"verified": false' envelope list --all --json
t "nothing left at the end" nothing_left
done_testing
