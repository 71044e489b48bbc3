#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 40 --disk 350 --kms
# Growing under a mounted ext4 and XFS, shrinking, and what is refused.
. /test/vm/helpers/attach.bash
modprobe -a ext4 xfs

# below NAME DEV MIB: a device of MIB, over the first part of DEV.
below()
{
	local table="0 $(($3 * 2048)) linear $2 0"

	if [ -e "/dev/mapper/$1" ]; then
		dmsetup reload "$1" --table "$table" && dmsetup resume "$1"
	else
		dmsetup create "$1" --table "$table"
	fi
}

fill()
{
	head -c 3000001 /dev/urandom > /mnt/file &&
		sha256sum /mnt/file > "$WORK/sum"
}

mib_of()
{
	echo $(($(blockdev --getsize64 "$1") >> 20))
}

# grows NAME DEV MKFS OLD NEW GROW FSCK
grows()
{
	local name=$1 node=/dev/mapper/$1

	t "$name: device of $4 MiB" below "low-$name" "$2" "$4"
	t "$name: format" envelope format "/dev/mapper/low-$name"
	t "$name: attach" envelope attach --direct "/dev/mapper/low-$name" \
		"$name"
	t "$name: mkfs" eval "$3 $node"
	t "$name: mount" mount "$node" /mnt
	t "$name: fill" fill
	t_says 0 "$name: nothing to grow yet" "has $((($4 - 1) << 20)) bytes already" \
		envelope resize "$name"
	t "$name: the device grows" below "low-$name" "$2" "$5"
	t_says 0 "$name: resize" \
		"from $((($4 - 1) << 20)) to $((($5 - 1) << 20)) bytes" \
		envelope resize "$name"
	t "$name: the volume has grown" test "$(mib_of "$node")" = $(($5 - 1))
	t "$name: the file system grows" eval "$6"
	t "$name: it has grown" test "$(df -m --output=size /mnt |
		tail -n 1)" -gt $(($5 * 2 / 3))
	t "$name: the file is the same" sha256sum --quiet -c "$WORK/sum"
	t "$name: umount" umount /mnt
	t "$name: detach" envelope detach "$name"
	t "$name: attach again" envelope attach --direct \
		"/dev/mapper/low-$name" "$name"
	t "$name: still grown" test "$(mib_of "$node")" = $(($5 - 1))
	t "$name: fsck" eval "$7 $node"
	t "$name: detach again" envelope detach "$name"
	t "$name: nothing left" nothing_left
}

grows ext4 /dev/vda "mkfs.ext4 -q" 16 40 "resize2fs /dev/mapper/ext4" \
	"e2fsck -fn"
grows xfs /dev/vdb "mkfs.xfs -q" 310 350 "xfs_growfs /mnt" "xfs_repair -n"

LOW=/dev/mapper/low-ext4
BEFORE=$(decrypts)
t_says 2 "shrink without --force" \
	"would shrink from 40894464 to 8388608 bytes, and lose .*--force does it" \
	envelope resize --size 8M $LOW
t "attach" envelope attach --direct $LOW x
BEFORE=$((BEFORE + 1))
t_says 7 "shrink while attached" \
	"'x' is attached, and would shrink from 40894464 to 8388608 bytes: shrink the file system, detach the volume" \
	envelope resize --force --size 8M x
t_says 7 "shrink by device while attached" "'x' is attached, and would" \
	envelope resize --force --size 8M $LOW
t_says 1 "more than there is" \
	"'/dev/dm-[0-9]*' is too small: room for 40894464 bytes of data, not for" \
	envelope resize --size 1G x
t_says 2 "not a multiple" "are not a multiple of the sector size, 512" \
	envelope resize --size 1000 x
t "none of these asked the KMS" test "$(decrypts)" = "$BEFORE"
t "detach" envelope detach x

KEY=$(key_of $LOW)
host aws disable-key --key-id "$KEY" > /dev/null
t_says 3 "shrink when the KMS denies" "the key is disabled" \
	unchanged $LOW envelope resize --force --size 8M $LOW
host aws enable-key --key-id "$KEY" > /dev/null
t_says 0 "shrink" "from 40894464 to 8388608 bytes" \
	envelope resize --force --size 8M $LOW
t_says 0 "grow with dm-crypt" "/dev/mapper/x: volume" \
	envelope attach --direct --target crypt $LOW x
t_says 0 "grow with dm-crypt: resize" '"new_size": 16777216' \
	envelope resize --json --size 16M x
t "grow with dm-crypt: grown" test "$(mib_of /dev/mapper/x)" = 16
t "grow with dm-crypt: no key stays" eval "! keys_left"
t "detach from dm-crypt" envelope detach x

# A file behind a loop device, and a detached header.
truncate -s 4M "$WORK/file"
t "file: format" envelope format --header "$WORK/header" "$WORK/file"
t "file: attach" envelope attach --direct --header "$WORK/header" \
	"$WORK/file" x
truncate -s 6M "$WORK/file"
t_says 5 "file: its header is elsewhere" "no envelope header" \
	envelope resize x
t_says 6 "security-07-size-of-a-nameless-device-differs" \
	"has another size, so it is not the device of" \
	envelope resize --header "$WORK/header" x
t_says 0 "file: resize" "from 4194304 to 6291456 bytes" \
	envelope resize --force --header "$WORK/header" x
t "file: grown" test "$(mib_of /dev/mapper/x)" = 6
t "file: detach" envelope detach x
t "file: attach again" envelope attach --direct --header "$WORK/header" \
	"$WORK/file" x
t "file: detach again" envelope detach x

# The file, or another device with the same header, instead of the name.
truncate -s 4M "$WORK/own"
t "by file: format" envelope format "$WORK/own"
t "by file: attach" envelope attach --direct "$WORK/own" x
cp "$WORK/own" "$WORK/copy"
truncate -s 6M "$WORK/own" "$WORK/copy"
t_says 7 "a copy of what is attached" \
	"copy': volume vol-.* is attached from another device, as 'x'" \
	unchanged "$WORK/copy" envelope resize "$WORK/copy"
losetup /dev/loop7 "$WORK/copy"
t_says 7 "a copy of what is attached, a device" \
	"'/dev/loop7': volume vol-.* is attached from another device" \
	unchanged "$WORK/copy" envelope resize /dev/loop7
losetup -d /dev/loop7
t_says 0 "by file: resize" "from 3145728 to 5242880 bytes" \
	envelope resize "$WORK/own"
t "by file: grown" test "$(mib_of /dev/mapper/x)" = 5
t "by file: detach" envelope detach x
t "nothing left at the end" nothing_left
done_testing
