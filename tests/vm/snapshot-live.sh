#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 96 --disk 24 --disk 96 --kms
# kernels: 6.12
# Snapshots of attached volumes by envelope-snapshot: restored, they have what
# the volume had at that moment, whatever was written meanwhile; no KMS is asked.
. /test/vm/helpers/attach.bash

modprobe -a dm_snapshot ext4
STORE=/run/store
mkdir -p "$STORE"

# snap VERB ARG...: with the store of this test.
snap()
{
	local verb=$1

	shift
	envelope-snapshot "$verb" --store "$STORE/s" "$@"
}

# id_in FILE: the snapshot's id in what create --json has printed.
id_in()
{
	sed -n 's/.*"snapshot_id": *"\([^"]*\)".*/\1/p' "$1"
}

number_in()
{
	sed -n "s/.*\"$2\": *\([0-9]*\).*/\1/p" "$1"
}

sums_hold()
{
	local file

	for file in "$1"/*.*; do
		[ "$(sum_of "$file")" = "${file##*.}" ] || return 1
	done
}

add_file()
{
	head -c 200000 /dev/urandom > "$WORK/file"
	cp "$WORK/file" "/mnt/$1.$(sum_of "$WORK/file")"
}

t "format" envelope format /dev/vda
ID=$(id_of /dev/vda)
t "attach" envelope attach --direct --allow-discards /dev/vda x
t "a file system" eval "mkfs.ext4 -qF /dev/mapper/x &&
	mkdir -p /mnt /mnt2 && mount -o noatime /dev/mapper/x /mnt"
add_file before
sync

# What is written meanwhile is verified by who writes it.
fio --name=v --filename=/mnt/load --size=8m --bs=4k --direct=1 \
	--rw=randwrite --iodepth=8 --ioengine=io_uring --verify=crc32c \
	--verify_fatal=1 --time_based --runtime=20 > "$WORK/fio" 2>&1 &
FIO=$!
CALLS=$(host audit | wc -l)
# With room for all that a slow machine lets them write meanwhile.
t "create: of a mounted volume" \
	eval "snap create --json --cow 64M x > $WORK/one"
t "create: no KMS was asked" [ "$(host audit | wc -l)" = "$CALLS" ]
ONE=$(id_in "$WORK/one")
echo "# its I/O was held for $(number_in "$WORK/one" pause_us) us"
t "create: the volume is back on its device, nothing is left" \
	eval "! dm_devices | grep LIVE && ! losetup -a | grep ."
t "create: who wrote meanwhile reads what he wrote" wait "$FIO"
t "the volume knows discards again" fstrim /mnt
add_file after
sync

t "create: incremental" eval "snap create --json /dev/vda > $WORK/two"
TWO=$(id_in "$WORK/two")
t "incremental: less than all has changed" eval \
	"[ $(number_in "$WORK/two" changed_chunks) -lt $(number_in "$WORK/two" stored_chunks) ]"
t "verify: made by who had the key" snap verify "$ONE"
t "verify: the second one, too" snap verify "$TWO"
t "the audit has both" eval \
	"recorded $ID | grep -c '^snapshot done 0' | grep -qx 2"

modprobe brd rd_nr=1 rd_size=$((96 * 1024))
head -c $((96 << 20)) /dev/urandom > /dev/ram0
t "restore: onto a device full of something else" \
	snap restore "$ONE" /dev/ram0
t "restored: attached" envelope attach --direct /dev/ram0 r
t "restored: the file system recovers" e2fsck -fy /dev/mapper/r
t "restored: mounted" mount /dev/mapper/r /mnt2
t "restored: what was there before" sums_hold /mnt2
t "restored: nothing that came after" eval "! ls /mnt2/after.*"
umount /mnt2
t "restored: detached" envelope detach r
t_says 7 "restore without force" "has an envelope header: restoring would destroy" \
	envelope-snapshot restore --store "$STORE/s" "$TWO" /dev/ram0
t "restore: the newest one of the volume, by force" \
	snap restore --force "$ID" /dev/ram0
t "restored: attached again" envelope attach --direct /dev/ram0 r
t "restored: mounted again" eval \
	"e2fsck -fy /dev/mapper/r > /dev/null; mount /dev/mapper/r /mnt2"
t "restored: with what came after" eval \
	"sums_hold /mnt2 && ls /mnt2/after.*"
umount /mnt2
envelope detach r

# A COW area that is too small.
fio --name=w --filename=/mnt/load --size=8m --bs=64k --direct=1 \
	--rw=randwrite --time_based --runtime=60 > /dev/null 2>&1 &
FIO=$!
refused_cow()
{
	local rc=0

	snap create --cow 1M --limit 2M x > "$WORK/out" 2>&1 || rc=$?
	cat "$WORK/out"
	[ "$rc" = 1 ] && grep -q "1048576 bytes for old data" "$WORK/out"
}
t "create: a COW area that is full fails the snapshot, with the figure" \
	refused_cow
kill "$FIO"
wait "$FIO" 2> /dev/null
t "and not the volume" eval "sync && sums_hold /mnt"
t "no half snapshot is listed" eval \
	"[ \"\$(snap list | wc -l)\" = 2 ]"

# Killed in the middle.
envelope-snapshot create --store "$STORE/s" --limit 1M x > /dev/null 2>&1 &
CREATE=$!
live()
{
	dm_devices | grep -q LIVE
}
t "a slow create is at work" wait_until 60 live
kill -9 "$CREATE"
wait "$CREATE" 2> /dev/null
t "killed: the volume works on" eval "add_file later && sync && sums_hold /mnt"
t "killed: doctor finds what was left" eval \
	"envelope doctor /dev/vda > $WORK/doctor 2>&1; grep -q 'envelope-snapshot clean' $WORK/doctor"
t "killed: clean" envelope-snapshot clean
t "killed: nothing is left" eval "! live && ! losetup -a | grep ."
t "killed: no half snapshot is listed" eval \
	"[ \"\$(snap list | wc -l)\" = 2 ]"

# Two volumes at one moment.
t "a second volume" eval "envelope format /dev/vdb &&
	envelope attach --direct /dev/vdb y"
t "create: two of them at once" eval \
	"snap create --group --json x y > $WORK/group"
t "create: both are there" eval \
	"[ $(grep -c snapshot_id "$WORK/group") = 2 ] && [ \"\$(snap list | wc -l)\" = 4 ]"
t_says 2 "create x y" "group takes them at one moment" \
	envelope-snapshot create --store "$STORE/s" x y
t "lock" envelope lock y
t_says 10 "create of a locked one" "locked" \
	envelope-snapshot create --store "$STORE/s" y
t "unlock" envelope unlock --direct y
t "create: unlocked" snap create y

# Overwritten while it is read, and before its end is.
head -c $((23 << 20)) /dev/urandom > "$WORK/noise"
dd if="$WORK/noise" of=/dev/mapper/y bs=1M oflag=direct status=none
snap create --json --cow 8M --limit 2M y > "$WORK/slow" 2>&1 &
CREATE=$!
t "a slow create reads" wait_until 60 live
dd if=/dev/zero of=/dev/mapper/y bs=1M seek=22 count=1 oflag=direct status=none
wait "$CREATE"
t_ok $? "the slow create ends"
t "restore: what was overwritten meanwhile" \
	snap restore --force "$(id_in "$WORK/slow")" /dev/ram0
t "restored: attached once more" envelope attach --direct /dev/ram0 r
t "restored: it is what it was at the moment" \
	cmp /dev/mapper/r "$WORK/noise"
t "restored: detached once more" envelope detach r
t "detach" eval "umount /mnt && envelope detach x && envelope detach y"
t "nothing is left" nothing_left
done_testing
