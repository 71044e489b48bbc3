#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
# The target among others: several in one table, over and under other targets
# and loop devices, and a table that changes below files that are open, as a
# live snapshot needs it. dm-crypt judges what is on the disk.
. /test/vm/helpers/target.bash

DEV=/dev/mapper/env
SECTORS=16384
MIB=$((1 << 20))
HEX=$(vmkey hex 1)
HEX2=$(vmkey hex 2)
key vol-s 1 > /dev/null
key vol-t 2 > /dev/null
modprobe -a loop dm_snapshot dm_thin_pool
disks 3 16384

# over DISK OPTION...
over()
{
	create env "$(DISK=$1 table $SECTORS vol-s "${@:2}")"
}

# is_crypts DISK OFFSET BYTES SEED: dm-crypt reads that from it.
is_crypts()
{
	create crypt "0 $SECTORS crypt aes-xts-plain64 $HEX 0 $1 0 1 \
sector_size:4096" && vmio check /dev/mapper/crypt "$2" "$3" "$4"
	local rc=$?
	dmsetup remove crypt
	return $rc
}

fio_run()
{
	timeout 100 fio --name=v --filename="$1" --direct=1 --size=3m \
		--rw=randwrite --bsrange=4k-256k --ioengine=libaio --iodepth=8 \
		--verify=crc32c --verify_fatal=1 --randseed=5
}

# used DEVICE DISK: written at random and in one go, as dm-crypt would have.
used()
{
	fio_run "$1" && vmio fill "$1" $MIB $MIB 4 &&
		vmio check "$1" $MIB $MIB 4 && is_crypts "$2" $MIB $MIB 4
}

# A volume, a plain piece, another volume with an IV and a start of its own.
several()
{
	create env "0 4096 envelope aes-xts-plain64 :64:envelope:vol-s 0 /dev/ram0 0
4096 4096 linear /dev/ram1 0
8192 4096 envelope aes-xts-plain64 :64:envelope:vol-t 256 /dev/ram0 4096 1 sector_size:512" &&
		vmio fill $DEV 0 $((6 * MIB)) 3 && vmio check $DEV 0 $((6 * MIB)) 3 &&
		fio_run $DEV && vmio fill $DEV 0 $((6 * MIB)) 3
}

each_is_crypts()
{
	create crypt "0 4096 crypt aes-xts-plain64 $HEX 0 /dev/ram0 0 1 \
sector_size:4096
4096 4096 linear /dev/ram1 0
8192 4096 crypt aes-xts-plain64 $HEX2 256 /dev/ram0 4096" &&
		vmio check /dev/mapper/crypt 0 $((6 * MIB)) 3
	local rc=$?
	dmsetup remove crypt
	return $rc
}

# a message has the first sector of the target that it is for
one_locks()
{
	dmsetup message env 8192 key wipe &&
		[ "$(dmsetup status env | cut -d' ' -f1,3,4 | xargs)" = \
		"0 envelope active 4096 linear 8192 envelope locked" ] ||
		return 1
	vmio check $DEV 0 $((4 * MIB)) 3 || return 1
	later vmio check $DEV 0 $((6 * MIB)) 3
	still_waiting &&
		dmsetup message env 8192 key set :64:envelope:vol-t && later_is 0
}

t "several targets: read back" several
t "several targets: one locks, the others go on" one_locks
dmsetup remove env
t "several targets: each is what dm-crypt has" each_is_crypts

create low "0 8192 linear /dev/ram0 8192
8192 8192 linear /dev/ram1 0"
t "over linear: a table" over /dev/mapper/low
create high "0 8192 linear $DEV 8192
8192 8192 linear $DEV 0"
t "over and under linear: as dm-crypt has it" used $DEV /dev/mapper/low
t "under linear: its pieces change places" \
	cmp -i $((5 * MIB)):$MIB -n $MIB /dev/mapper/high $DEV
dmsetup remove high && dmsetup remove env && dmsetup remove low

# New blocks are provisioned by a worker, and submitted again.
vmio zero /dev/ram0 0 4096
create pool "0 32768 thin-pool /dev/ram0 /dev/ram1 128 0"
dmsetup message pool 0 "create_thin 0"
create thin "0 $SECTORS thin /dev/mapper/pool 0"
t "over thin: a table" over /dev/mapper/thin holes allow_discards
t "over thin: as dm-crypt has it" used $DEV /dev/mapper/thin
t "over thin: what was never written is a hole" \
	test "$(vmio read $DEV $((5 * MIB)) 65536)" = zeros
t "over thin: a discard" vmio discard $DEV $MIB 65536
t "over thin: discarded is a hole" \
	test "$(vmio read $DEV $MIB 65536)" = zeros
t "over thin: the block behind it stays" \
	is_crypts /dev/mapper/thin $((MIB + 65536)) 0 4
dmsetup remove env && dmsetup remove thin && dmsetup remove pool

truncate -s 8M /tmp/disk
loop=$(losetup --show -f /tmp/disk)
t "over loop: a table" over "$loop"
t "over loop: as dm-crypt has it" used $DEV "$loop"
upper=$(losetup --show -f --direct-io=on $DEV)
t "under loop: reads" vmio check "$upper" $MIB $MIB 4
t "under loop: writes" vmio fill "$upper" $((3 * MIB)) $MIB 6
losetup -d "$upper"
t "under loop: they arrive" vmio check $DEV $((3 * MIB)) $MIB 6
dmsetup remove env && losetup -d "$loop"

# Copy on write of the ciphertext, while the volume is in use: its table moves
# onto an origin between a suspend and a resume. The origin must be suspended,
# too: it learns the size of the chunks when it is resumed.
filled /dev/ram0
over /dev/ram0 holes allow_discards
vmio fill $DEV 0 $MIB 7
# passes of fio, each with a seed of its own, until there is /run/stop
load()
{
	local pass

	for ((pass = 1; ; pass++)); do
		fio --name=v --filename=$DEV --direct=1 --rw=randwrite \
			--offset=2m --size=1m --bs=4k --iodepth=8 \
			--ioengine=io_uring --verify=crc32c --verify_fatal=1 \
			--randseed=$pass || return 1
		[ ! -e /run/stop ] || return 0
	done
}
load > /tmp/fio.out 2>&1 &
FIO=$!
flowing() { [ "$(stat_of env writes)" -gt $((BASE + 50)) ]; }
BASE=$(stat_of env writes)
t "live snapshot: fio runs" wait_until 100 flowing

swap()
{
	create origin "0 $SECTORS snapshot-origin /dev/ram0" &&
		dmsetup reload env --table \
			"$(DISK=/dev/mapper/origin table $SECTORS vol-s holes)" &&
		dmsetup suspend env && dmsetup suspend origin && create snap \
			"0 $SECTORS snapshot /dev/ram0 /dev/ram2 N 8" &&
		dmsetup resume origin && dmsetup resume env
}
t "live snapshot: the table moves onto the origin" swap
BASE=$(stat_of env writes)
t "live snapshot: the volume goes on" wait_until 100 flowing
vmio fill $DEV 0 $MIB 8
t "live snapshot: the snapshot has what was there" \
	is_crypts /dev/mapper/snap 0 $MIB 7
t "live snapshot: the volume has what was written since" \
	vmio check $DEV 0 $MIB 8
# An origin does neither. Before 6.11 dm core says so to whoever asks, and
# io_uring takes that for "try again", too.
refusal=EAGAIN
[[ $(uname -r) != 6.1.* ]] || refusal=EOPNOTSUPP
t_says 1 "live snapshot: NOWAIT is refused" $refusal vmio -n read $DEV 0 4096
t_says 1 "live snapshot: discards are not possible" EOPNOTSUPP \
	vmio discard $DEV 0 4096
snapshot_volume()
{
	create copy "$(DISK=/dev/mapper/snap table $SECTORS vol-s)" &&
		vmio check /dev/mapper/copy 0 $MIB 7 &&
		vmio fill /dev/mapper/copy 4096 65536 9 &&
		vmio check /dev/mapper/copy 4096 65536 9 &&
		vmio check $DEV 0 $MIB 8
}
t "over snapshot: a volume of its own" snapshot_volume
dmsetup remove copy

back()
{
	dmsetup reload env --table "$(DISK=/dev/ram0 table $SECTORS vol-s \
holes allow_discards)" && dmsetup suspend env && dmsetup remove snap &&
		dmsetup resume env && dmsetup remove origin
}
t "live snapshot: and back again" back
t "live snapshot: NOWAIT is served again" \
	vmio -n read $DEV 0 4096
verified()
{
	touch /run/stop
	wait $FIO || { cat /tmp/fio.out; return 1; }
}
t "live snapshot: fio found nothing wrong" verified
t "live snapshot: nothing failed" test "$(stat_of env errors)" = 0
t "live snapshot: the data are there" vmio check $DEV 0 $MIB 8
dmsetup remove env
t "live snapshot: as dm-crypt has it" is_crypts /dev/ram0 0 $MIB 8
t "the module goes" rmmod dm_envelope
done_testing
