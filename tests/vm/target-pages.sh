#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --memory 640
# The memory of one volume is bounded: beyond the limit writes wait for others,
# and all of them end. What is kept afterwards is bounded, too.
. /test/vm/helpers/target.bash

disks 1 32768
DEV=/dev/mapper/env
dmsetup create slow --table "0 65536 linear /dev/ram0 0"
key vol-a 1 > /dev/null
DISK=/dev/mapper/slow
create env "$(table 65536 vol-a)"

held()
{
	stat_of env pages
}

LIMIT=$(dmsetup message env 0 stats | sed 's/.*pages [0-9]* of \([0-9]*\).*/\1/')
PAGES=$(($(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo) / 4))
t "pages: the limit is a fiftieth of memory" test "$LIMIT" -le $((PAGES / 49)) \
	-a "$LIMIT" -ge $((PAGES / 60))
t "pages: an idle volume holds its reserve" test "$(held)" = 64

# Nothing written comes back while the device below is suspended: 24 MiB want
# to be under way, where the limit is about 12.
write_much()
{
	timeout 200 fio --name=v --filename=$DEV --direct=1 --size=24m \
		--rw=write --bs=256k --iodepth=96 --ioengine=libaio \
		--verify=crc32c --verify_fatal=1 --randseed=7
}

at_limit()
{
	[ "$(held)" -gt $((LIMIT - 128)) ]
}

stays_there()
{
	sleep 2
	held
	at_limit && [ "$(held)" -le $((LIMIT + 128)) ]
}

all_written()
{
	dmsetup resume slow && wait_until 200 test -e "$LATER" && later_is 0
}

dmsetup suspend --nolockfs slow
later write_much
t "pages: the limit is reached" wait_until 120 at_limit
t "pages: and not passed" stays_there
t "pages: all is written in the end, and reads back" all_written
t "pages: an idle volume holds its reserve again" test "$(held)" = 64
t "pages: nothing failed" test "$(stat_of env errors)" = 0
dmsetup remove env
dmsetup remove slow

# free KiB; what the kernel itself keeps for a CPU is given back first
memory_free()
{
	sync
	echo 3 > /proc/sys/vm/drop_caches
	awk '$1 == "MemFree:" { print $2 }' /proc/meminfo
}

# The pages it has kept, 256 a CPU, come back when the module goes; twice that
# is allowed for all else.
little_was_kept()
{
	local before kept

	before=$(memory_free)
	rmmod dm_envelope || return 1
	kept=$(($(memory_free) - before))
	echo "$kept KiB"
	[ $kept -le $((2 * 256 * 4 * $(nproc))) ]
}
t "pages: the module goes, and has kept 256 pages a CPU" little_was_kept
done_testing
