#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 16
# kernels: 6.12
# Every kind of request that meets a lock: with on_lock:queue it waits and is
# served after the unlock, with on_lock:error it fails, and works after it.
. /test/vm/helpers/target.bash

DISK=/dev/vda
DEV=/dev/mapper/env
SECTORS=16384
key vol-s 1 > /dev/null

# requests; each fails when its I/O does
direct_read() { vmio check $DEV 0 65536 7; }
direct_write() { vmio fill $DEV 65536 524288 8; }
synced() { dd if=/dev/urandom of=$DEV bs=64k seek=20 count=1 conv=fsync; }
discarded() { vmio discard $DEV 4194304 65536; }
uring()
{
	fio --name=u --filename=$DEV --direct=1 --offset=2m --size=1m \
		--rw=randwrite --bs=4k --iodepth=8 --ioengine=io_uring \
		--verify=crc32c --verify_fatal=1
}

lock() { dmsetup message env 0 key wipe; }

waits()
{
	lock || return 1
	later "$1"
	wait_until 60 waiting env && still_waiting && is_state env \
		"locked wiped" && unlock env vol-s && later_is 0 &&
		[ "$(stat_of env errors)" = 0 ]
}

fails()
{
	lock || return 1
	later "$1"
	wait_until 100 test -e "$LATER" || return 1
	cat "$LATER.out"
	[ "$(cat "$LATER")" -ne 0 ] &&
		grep -qE "EIO|Input/output error|error=5" "$LATER.out" &&
		[ "$(stat_of env waiting)" = 0 ] && unlock env vol-s && "$1"
}

# over MODE VERB: all requests
over()
{
	local what

	create env "$(table $SECTORS vol-s sector_size:4096 allow_discards \
		on_lock:"$1")"
	vmio fill $DEV 0 65536 7
	for what in direct_read direct_write synced uring discarded; do
		t "on_lock $1: ${what/_/ } $2" "$2" $what
	done
	# none of what comes next waits for ever because one of them failed
	is_state env "active -" > /dev/null || unlock env vol-s
	t "on_lock $1: what was there before" vmio check $DEV 0 65536 7
	dmsetup remove env
}
over queue waits
over error fails

# The disk has a cache, and counts how often it was told to empty it.
flushes() { awk '{ print $16 }' /sys/block/vda/stat; }
flushed()
{
	local before

	before=$(flushes)
	synced && [ "$(flushes)" -gt "$before" ]
}
create env "$(table $SECTORS vol-s sector_size:4096)"
t "fsync: the disk is told to keep it" flushed
dmsetup remove env

# A volume that somebody has open is not detached, and loses nothing by it.
busy()
{
	lock || return 1
	later vmio check $DEV 0 65536 7
	wait_until 60 waiting env && ! dmsetup remove env && still_waiting &&
		is_state env "locked wiped" && unlock env vol-s && later_is 0
}
create env "$(table $SECTORS vol-s sector_size:4096)"
t "detach: refused while locked with a read waiting" busy
lock
t "detach: a locked volume that nobody uses goes" dmsetup remove env
create env "$(table $SECTORS vol-s sector_size:4096)"
t "detach: the next attach finds the data" vmio check $DEV 0 65536 7
dmsetup remove env

# A disk that answers when it is told to: it is suspended until then.
create low "0 $SECTORS linear $DISK 0"
DISK=/dev/mapper/low create env \
	"$(DISK=/dev/mapper/low table $SECTORS vol-s sector_size:4096)"
t "half-done: data" vmio fill $DEV 0 1048576 9

silent() { dmsetup suspend --noflush low; }
answers() { dmsetup resume low; }
ENV=/sys/block/$(dmsetup info -c --noheadings -o blkdevname env)
on_the_way() { [[ $(< "$ENV/inflight") =~ [1-9] ]]; }

# half_done MODE VERB STATUS: a MiB that is on its way when the volume locks
half_done()
{
	dmsetup message env 0 on_lock "$1" && silent || return 1
	later vmio "$2" $DEV 0 1048576 9
	wait_until 60 on_the_way && sleep 2 && lock && answers || return 1
	[ "$2" = fill ] || [ "$1" = error ] || wait_until 60 waiting env ||
		return 1
	[ "$1" = queue ] || later_is "$3" || return 1
	unlock env vol-s && later_is "$3" && vmio check $DEV 0 1048576 9
}
t "half-done: a read waits for the key to be decrypted" half_done queue check 0
t "half-done: a read fails with on_lock error" half_done error check 1
t "half-done: a write had been encrypted" half_done queue fill 0
t "half-done: with on_lock error, too" half_done error fill 0

# interrupted [COMMAND...]: a noflush suspend waits for the disk, and a signal
# ends it; before it the command is true.
interrupted()
{
	local pid

	dmsetup suspend --noflush env > /tmp/suspend.out 2>&1 &
	pid=$!
	wait_until 60 in_suspend $pid && "$@" && kill $pid || return 1
	! wait $pid && dmsetup info env | grep -q "ACTIVE"
}
in_suspend() { [[ $(< "/proc/$1/wchan") == *dm_* ]]; }
none_waits() { ! waiting env; }

# What comes to wait after it is not dm's any more.
waits_after()
{
	local errors

	dmsetup message env 0 on_lock queue && silent || return 1
	errors=$(stat_of env errors)
	later vmio check $DEV 0 65536 9
	wait_until 60 on_the_way && interrupted && lock && answers &&
		wait_until 60 waiting env && still_waiting &&
		unlock env vol-s && later_is 0 &&
		[ "$(stat_of env errors)" = "$errors" ]
}
t "interrupted suspend: a read waits for the key afterwards" waits_after

# What it has taken back comes again.
waits_again()
{
	local pid

	silent || return 1
	vmio fill $DEV 65536 65536 9 &
	pid=$!
	wait_until 60 on_the_way && sleep 2 && lock || return 1
	later vmio check $DEV 0 65536 9
	wait_until 60 waiting env && interrupted none_waits &&
		wait_until 60 waiting env && answers && wait $pid &&
		still_waiting && unlock env vol-s && later_is 0
}
t "interrupted suspend: a read that waited does so again" waits_again

# A read of more than a MiB is decrypted in several sections, and a lock comes
# between two of them: what was decrypted before it is not decrypted again.
BYTES=$((8 << 20))
reads_of()
{
	local before

	before=$(stat_of env reads)
	vmio check $DEV 0 $BYTES 3 && echo $(($(stat_of env reads) - before))
}
half_decrypted()
{
	local n=0

	[ "$(reads_of)" -lt 8 ] || return 1
	later vmrace 5 50 env "$(DISK=/dev/mapper/low table $SECTORS %s \
		sector_size:4096)" wipe
	until [ -e "$LATER" ]; do
		vmio check $DEV 0 $BYTES 3 || return 1
		n=$((n + 1))
	done
	echo "$n reads"
	later_is 0
}
echo 0 > /sys/module/dm_envelope/parameters/spread_bytes
t "half-done: data of large reads" vmio fill $DEV 0 $BYTES 3
t "half-done: locks between the sections of large reads" half_decrypted
dmsetup remove env
dmsetup remove low
t "the module goes" rmmod dm_envelope
done_testing
