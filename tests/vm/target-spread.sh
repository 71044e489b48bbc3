#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --threads single
# Large requests are cut into parts for several CPUs: the same ciphertext, no
# cut where none is allowed, and a lock in the middle.
. /test/vm/helpers/target.bash

disks 2 4096
PARAM=/sys/module/dm_envelope/parameters/spread_bytes
HEX=$(vmkey hex 1)
DEV=/dev/mapper/env
key vol-a 1 > /dev/null
create env "$(table 8192 vol-a sector_size:4096 holes)"

mount -t tracefs tracefs /sys/kernel/tracing 2> /dev/null
TRACE=/sys/kernel/tracing

# parts WORD COMMAND...: by how much it makes that number of stats grow.
parts()
{
	local word=$1 before

	shift
	before=$(stat_of env "$word")
	"$@" > /dev/null && echo $(($(stat_of env "$word") - before))
}

# workers COMMAND...: in $RAN how many parts workers ran meanwhile, in $WAITED
# how many waited for one at most.
workers()
{
	local event

	echo > $TRACE/trace
	for event in queue_work execute_start; do
		echo 1 > $TRACE/events/workqueue/workqueue_$event/enable
	done
	"$@" > /dev/null
	for event in queue_work execute_start; do
		echo 0 > $TRACE/events/workqueue/workqueue_$event/enable
	done
	read -r RAN WAITED < <(awk '
		/workqueue_queue_work:.*=spread_work/ {
			if (++waiting > most)
				most = waiting
		}
		/workqueue_execute_start:.* spread_work/ { ran++; waiting-- }
		END { print ran + 0, most + 0 }' $TRACE/trace)
	echo "workers ran $RAN parts, $WAITED waited"
}

# shared PARTS COMMAND...: workers do some of them, the submitter the others,
# and the one worker that there is beside it has two at most.
shared()
{
	workers "${@:2}"
	[ "$RAN" -ge 1 ] && [ "$RAN" -lt "$1" ] && [ "$WAITED" -le 2 ]
}

# none COMMAND...: workers do nothing of it.
none()
{
	workers "$@"
	[ "$RAN" -eq 0 ]
}

is()
{
	echo "$2, want $1"
	[ "$2" = "$1" ]
}

# cut_into N WORD COMMAND...: that many parts; again where one that had to wait
# for a CPU, on a busy machine, stopped the cutting.
cut_into()
{
	local i found

	for ((i = 0; i < 20; i++)); do
		found=$(parts "${@:2}")
		[ "$found" != "$1" ] || return 0
		echo "$found, want $1"
		sleep 0.3
	done
	return 1
}

t "spread: the default" is 131072 "$(cat $PARAM)"
t "spread: a write of 1 MiB in eight parts" \
	cut_into 8 writes vmio fill $DEV 0 1048576 4
t "spread: a read of 1 MiB in eight parts" \
	cut_into 8 reads vmio check $DEV 0 1048576 4
t "spread: 128 KiB are not cut" \
	is 1 "$(parts reads vmio check $DEV 0 131072 4)"
t "spread: nor is anything with NOWAIT" \
	is 1 "$(parts reads vmio -n check $DEV 0 1048576 4)"
echo 4096 > $PARAM
sleep 0.3
t "spread: workers and the submitter share a read" \
	shared 255 vmio check $DEV 0 1048576 4
sleep 0.3
t "spread: and a write" shared 255 vmio fill $DEV 0 1048576 5
sleep 0.3
t "spread: and the next read" shared 255 vmio check $DEV 0 1048576 5
echo 0 > /sys/devices/system/cpu/cpu1/online
t "spread: none with one CPU" none vmio check $DEV 0 1048576 5
t "spread: which does all in one part" \
	is 1 "$(parts reads vmio check $DEV 0 1048576 5)"
echo 1 > /sys/devices/system/cpu/cpu1/online
sleep 0.3
t "spread: some again with two" shared 255 vmio check $DEV 0 1048576 5
echo 0 > $PARAM
t "spread: 0 means never" is 1 "$(parts reads vmio check $DEV 0 1048576 5)"
echo 5000 > $PARAM
t "spread: the size is rounded down to blocks" \
	cut_into 4 reads vmio check $DEV 0 16384 5
vmio fill $DEV 1048576 1048576 6
t "spread: small parts come together again" \
	vmio check $DEV 1048576 1048576 6
echo 131072 > $PARAM
t "spread: read with other parts, too" vmio check $DEV 1048576 1048576 6

locked_between()
{
	later read_on $DEV 7
	sleep 1
	dmsetup message env 0 key wipe && waiting_soon && unlock env vol-a &&
		enough && later_is 0
}

waiting_soon()
{
	wait_until 30 waiting env
}
vmio fill $DEV 0 1048576 7
t "spread: locked and unlocked under large reads" locked_between
t "spread: nothing failed" is 0 "$(stat_of env errors)"
dmsetup remove env

dmsetup create crypt --table "0 8192 crypt aes-xts-plain64 $HEX 0 \
/dev/ram0 0 1 sector_size:4096"
t "spread: the same ciphertext as dm-crypt's" \
	vmio check /dev/mapper/crypt 0 1048576 7
t "spread: also of small parts" \
	vmio check /dev/mapper/crypt 1048576 1048576 6
dmsetup remove crypt

# dealt COMMAND...: of the parts that interrupts bring, workers do each second,
# however many a busy machine lets a request be cut into.
dealt()
{
	local i before parts sum=0

	for ((i = 0; i < 100 && sum < 64; i++)); do
		sleep 0.3
		before=$(stat_of env reads)
		workers "$@"
		parts=$(($(stat_of env reads) - before))
		echo "of $parts parts"
		[ "$RAN" -le $(((parts + 1) / 2)) ] || return 1
		sum=$((sum + RAN))
	done
	[ "$sum" -ge 64 ]
}
modprobe null_blk nr_devices=1 memory_backed=1 gb=1 irqmode=2 \
	completion_nsec=20000 poll_queues=0
DISK=/dev/nullb0
create env "$(table 8192 vol-a sector_size:4096 holes)"
vmio fill $DEV 0 1048576 8
echo 4096 > $PARAM
t "spread: parts from interrupts are dealt out to two CPUs" \
	dealt vmio check $DEV 0 1048576 8
echo 131072 > $PARAM
sleep 0.3
t "spread: large ones, too" cut_into 8 reads vmio check $DEV 0 1048576 8
dmsetup remove env
rmmod null_blk
t "the module goes" rmmod dm_envelope
done_testing
