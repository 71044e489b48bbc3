#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 12 --disk 16 --kms
# kernels: 6.12
# Snapshots restored onto devices that are full of something else: what comes
# back is what was there, and nothing where nothing was. Devices that cannot
# hold the volume, or are in use, are refused before a byte is written.
. /test/vm/helpers/attach.bash

modprobe -a ext4 sd_mod
STORE=/run/store
mkdir -p "$STORE" /mnt
# A discard of this one leaves other bytes than zeros.
modprobe scsi_debug dev_size_mb=16 sector_size=512 lbpu=1 lbpws=1 lbpws10=1 \
	lbprz=2
modprobe null_blk nr_devices=0
mount -t configfs configfs /sys/kernel/config

# snap VERB ARG...: with the store of this test.
snap()
{
	local verb=$1

	shift
	envelope-snapshot "$verb" --store "$STORE/s" "$@"
}

# memory NAME MIB BLOCK: /dev/NAME, in memory, without discards.
memory()
{
	local dir=/sys/kernel/config/nullb/$1

	mkdir "$dir" && echo "$2" > "$dir/size" &&
		echo "$3" > "$dir/blocksize" && echo 1 > "$dir/memory_backed" &&
		echo 0 > "$dir/discard" && echo 1 > "$dir/power"
}

noise()
{
	head -c "$(blockdev --getsize64 "$1")" /dev/urandom |
		dd of="$1" bs=1M iflag=fullblock oflag=direct status=none
}

discards()
{
	[ "$(cat "/sys/block/$(basename "$1")/queue/discard_max_bytes")" -gt 0 ]
}

# The bytes behind the header, as far as the source has some.
stored()
{
	tail -c +1048577 "$1" | head -c $((11 << 20))
}

# restored DEVICE KIND: onto noise there; all of it is as the source is.
restored()
{
	t "$2: full of noise" noise "$1"
	t "$2: restored" snap restore "$ONE" "$1"
	t "$2: what is stored is the source's" cmp <(stored "$1") \
		<(stored /dev/vda)
	t "$2: attached" envelope attach --direct "$1" r
	t "$2: it reads as the source" \
		[ "$(sum_of /dev/mapper/r)" = "$SUM" ]
	t "$2: the file system is whole" e2fsck -fn /dev/mapper/r
	t "$2: mounted" mount -o ro /dev/mapper/r /mnt
	t "$2: its file" cmp /mnt/file "$WORK/file"
	umount /mnt
	t "$2: detached" envelope detach r
}

# no_restore STATUS NAME REGEX DEVICE [OPTION...]: that status and sentence, and
# the device has all of its bytes.
no_restore()
{
	local status=$1 name=$2 regex=$3 device=$4

	shift 4
	t_says "$status" "$name" "$regex" unchanged "$device" \
		envelope-snapshot restore --store "$STORE/s" "$@" "$ONE" \
		"$device"
}

t "format" envelope format --sector-size 512 /dev/vda
t "attach" envelope attach --direct /dev/vda x
head -c 3000000 /dev/urandom > "$WORK/file"
t "a file system with a file, and much that is empty" eval \
	"mkfs.ext4 -qF /dev/mapper/x && mount /dev/mapper/x /mnt &&
	cp $WORK/file /mnt/file && umount /mnt"
SUM=$(sum_of /dev/mapper/x)
t "detach" envelope detach x
t "create" eval "snap create --json /dev/vda > $WORK/one"
ONE=$(sed -n 's/.*"snapshot_id": *"\([^"]*\)".*/\1/p' "$WORK/one")
t "most of it is holes" [ "$(sed -n \
	's/.*"stored_chunks": *\([0-9]*\).*/\1/p' "$WORK/one")" -lt 18 ]

t "a device without discards" eval "memory nullb0 16 512 && ! discards nullb0"
t "a disk with them" discards vdb
t "one whose discards leave no zeros" eval \
	"wait_until 100 test -b /dev/sda && discards sda"
restored /dev/nullb0 "no discards"
restored /dev/vdb "discards"
restored /dev/sda "discards that leave no zeros"

t "a device with larger blocks" memory nullb1 16 4096
no_restore 2 "larger blocks are refused" \
	"'/dev/nullb1' has blocks of 4096 bytes, and the snapshot is of a volume with blocks of 512: " \
	/dev/nullb1
t "a device that is too small" memory nullb2 11 512
noise /dev/nullb2
no_restore 1 "a small device is refused" \
	"'/dev/nullb2' is too small: it has 11534336 bytes, and the volume needs 12582912" \
	/dev/nullb2
no_restore 7 "what has a volume is not overwritten" \
	"'/dev/vdb' has an envelope header: restoring would destroy" /dev/vdb
t "attach the restored one" envelope attach --direct /dev/vdb r
no_restore 7 "nor is what is attached, by force" "'/dev/vdb' is in use" \
	/dev/vdb --force
t "detach it" envelope detach r
t "a mounted device" eval "mkfs.ext4 -qF /dev/nullb2 &&
	mount -o ro /dev/nullb2 /mnt"
no_restore 7 "is not overwritten, by force" "'/dev/nullb2' is in use" \
	/dev/nullb2 --force
umount /mnt
no_restore 1 "and afterwards it is too small still" "is too small" /dev/nullb2 \
	--force
host aws disable-key --key-id "$(key_of /dev/vda)" > "$WORK/disable"
no_restore 3 "where the KMS denies the key nothing is written" "DisabledException" \
	/dev/nullb0 --force
t "nothing is left" nothing_left
done_testing
