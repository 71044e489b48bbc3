#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# on: uml smp
# Every allocation that the module makes fails once, or a sample of them unless
# LONG=1, in everything that it does: errors are reported, nothing is lost or
# leaks, and the next try works.
. /test/debug-lib.sh

MODULE=/lib/modules/envelope/dm-envelope.ko
SECTORS=8192
DEV=/dev/mapper/env
disks 1 $((SECTORS / 2))
filled /dev/ram0
LINE=$(table $SECTORS vol-a sector_size:4096)

rmmod dm_envelope
limit_faults_to_function do_one_initcall
t "memory fails in loading the module: it is not loaded" \
	walk 20/12 module $MODULE

insmod $MODULE
limit_faults_to_module
t "memory fails in adding a key: there is none" walk 1 key vol-x

key vol-a 1 > /dev/null
t "memory fails in ctr: no device is made" walk 20/11 create env "$LINE"

create env "$LINE"
vmio fill $DEV 0 65536 7
t "memory fails in a reload: it is refused" walk 20/17 load env "$LINE"
t "memory fails in a reload: the running table goes on" \
	vmio check $DEV 0 65536 7

# Memory for writes comes from the reserve: none fails, none is wrong.
t "memory fails in a write: the reserve serves it" \
	walk 1 fill env 1048576
t "memory fails in a write with NOWAIT: EAGAIN, nothing is written" \
	walk 1 nowait env 65536
t "memory fails in a read: it needs none" walk 0 read env 1048576

vmio fill $DEV 0 65536 7
t "memory fails in key set: the volume stays locked" \
	walk 0 message env "key set :64:envelope:vol-a"
t "memory fails in key set: it is active in the end" \
	vmio check $DEV 0 65536 7
t "memory fails in key wipe: it locks all the same" walk 0 wipe env
t "memory fails in key wipe: it is locked in the end" \
	is_state env "locked wiped"
unlock env vol-a

revoke()
{
	starve on
	keyctl revoke "$(serial vol-a)"
	starve off
	is_state env "locked revoked"
}
t "memory fails in a revocation: it locks all the same" revoke
dmsetup remove env

# All of the reserve is under a write to a disk that does not answer yet. Who
# may not wait is told so, and has written nothing; who may waits, and both are
# served when the pages come back.
exhausted()
{
	local pid again=0 said

	dmsetup suspend --noflush low && starve on || return 1
	vmio fill $DEV 0 262144 1 &
	pid=$!
	wait_until 60 on_the_way || return 1
	while ((again++ < 20)); do
		said=$(vmio -n fill $DEV 1048576 4096 2)
		[ "$said" = EAGAIN ] || { echo "said '$said'"; return 1; }
	done
	later vmio fill $DEV 2097152 262144 3
	still_waiting && dmsetup resume low && wait $pid && later_is 0 &&
		vmio -n fill $DEV 1048576 4096 4
}
on_the_way()
{
	local env

	env=$(dmsetup info -c --noheadings -o blkdevname env)
	[[ $(< "/sys/block/$env/inflight") =~ [1-9] ]]
}
all_there()
{
	starve off
	vmio check $DEV 0 262144 1 && vmio check $DEV 1048576 4096 4 &&
		vmio check $DEV 2097152 262144 3 &&
		[ "$(stat_of env errors)" = 0 ]
}
create low "0 $SECTORS linear /dev/ram0 0"
# used pages, that need no allocation, go with the module
rmmod dm_envelope
insmod $MODULE
limit_faults_to_module
key vol-c 3 > /dev/null
DISK=/dev/mapper/low create env \
	"$(DISK=/dev/mapper/low table $SECTORS vol-c)"
t "the reserve is used up: NOWAIT gets EAGAIN, others wait for it" exhausted
t "the reserve is used up: all that was accepted is there" all_there

# A locked volume tells a writer so at once: it does not wait for such pages.
locked_exhausted()
{
	local pid

	dmsetup suspend --noflush low && starve on || return 1
	vmio fill $DEV 0 262144 5 &
	pid=$!
	wait_until 60 on_the_way && dmsetup message env 0 on_lock error &&
		dmsetup message env 0 key wipe || return 1
	later vmio fill $DEV 2097152 4096 6
	later_is 1 && grep -x EIO "$LATER.out" && dmsetup resume low &&
		wait $pid && starve off && dmsetup message env 0 on_lock queue &&
		unlock env vol-c && vmio check $DEV 0 262144 5 &&
		vmio check $DEV 2097152 262144 3
}
t "the reserve is used up: a locked volume fails at once" locked_exhausted
starve off
dmsetup resume low
dmsetup remove env
dmsetup remove low

# Four writers who all live on the reserve, over a disk that takes its time: two
# that each held half of it would wait for each other for ever. io_uring asks
# with NOWAIT first.
starved()
{
	local rc=0 before

	before=$(faults)
	starve on
	later fio --name=v --filename=$DEV --direct=1 --size=2m --bsrange=4k-1m \
		--numjobs=4 --offset_increment=16m --rw=randwrite \
		--iodepth=16 --ioengine="$1" --verify=crc32c \
		--verify_fatal=1 --randseed=3
	wait_until 40 test -e "$LATER" || rc=1
	starve off
	later_is 0 || rc=1
	echo "$(($(faults) - before)) faults"
	[ $rc -eq 0 ] && [ $(($(faults) - before)) -gt 100 ] &&
		[ "$(stat_of env errors)" = 0 ]
}

rmmod dm_envelope
insmod $MODULE
limit_faults_to_module
modprobe -r null_blk
modprobe null_blk nr_devices=1 memory_backed=1 irqmode=2 gb=1 \
	completion_nsec=200000
# its own memory first, which it would ask for under our functions, and fail
dd if=/dev/zero of=/dev/nullb0 bs=1M count=72 oflag=direct status=none
key vol-b 2 > /dev/null
DISK=/dev/nullb0 create env "$(DISK=/dev/nullb0 table 131072 vol-b)"
t "no memory but the reserve: fio writes and verifies" starved libaio
t "no memory but the reserve: so it does with io_uring" starved io_uring

dmsetup remove env
modprobe -r null_blk
t "nothing leaks" no_leaks
done_testing
