#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 32
# Devices that complete in interrupts: decryption leaves them for a softirq or
# a queue. Data, ciphertext and locking stay right.
. /test/vm/helpers/target.bash

DEV=/dev/mapper/env
HEX=$(vmkey hex 1)

fio_run()
{
	timeout 200 fio --name=v --filename=$DEV --direct=1 --size=2m \
		--rw=randwrite --bsrange=4k-128k --iodepth=8 \
		--ioengine=io_uring --verify=crc32c --verify_fatal=1 \
		--randseed=7 "$@"
}

# as_crypt: dm-crypt reads what the target wrote to $DISK
as_crypt()
{
	vmio fill $DEV 0 1048576 4 && vmio check $DEV 0 1048576 4 &&
		vmio check $DEV 8192 4096 4 2> /dev/null
	dmsetup create crypt --table "0 16384 crypt aes-xts-plain64 $HEX 0 \
$DISK 0 1 sector_size:4096" && vmio check /dev/mapper/crypt 0 1048576 4
	local rc=$?
	dmsetup remove crypt
	return $rc
}

# locks_reads: what is read while it locks waits, and is right later
locks_reads()
{
	vmio fill $DEV 0 1048576 4 || return 1
	later read_on $DEV 4
	wait_until 100 reading && keyctl revoke "$(serial "vol-$1")" &&
		wait_until 60 waiting env && still_waiting &&
		key "vol-$1b" 1 && unlock env "vol-$1b" && enough &&
		later_is 0 && [ "$(stat_of env errors)" = 0 ]
}

reading()
{
	[ "$(stat_of env reads)" -gt $((READS + 10)) ]
}

# over DEVICE NAME
over()
{
	DISK=$1
	key "vol-$2" 1 > /dev/null
	create env "$(table 16384 "vol-$2" sector_size:4096)"
	t "$2: fio verifies" fio_run
	READS=$(stat_of env reads)
	t "$2: lock under reads, unlock, fio verifies" locks_reads "$2"
	dmsetup remove env
	keyctl unlink "$(serial "vol-$2b")" "$RING"
	key "vol-$2c" 1 > /dev/null
	create env "$(table 16384 "vol-$2c" sector_size:4096)"
	t "$2: dm-crypt reads the same" as_crypt
	dmsetup remove env
}

mount -t tracefs tracefs /sys/kernel/tracing 2> /dev/null
TRACE=/sys/kernel/tracing

# deferred BYTES: how many reads of a request of that size go to a softirq, and
# how many to the queue.
deferred()
{
	echo envelope_queue_softirq > $TRACE/set_ftrace_filter
	echo envelope_queue_crypt >> $TRACE/set_ftrace_filter
	echo > $TRACE/trace
	echo function > $TRACE/current_tracer
	vmio check $DEV 0 "$1" 4 > /dev/null || echo "failed, "
	grep -c "envelope_queue_softirq <-" $TRACE/trace
	grep -c "envelope_queue_crypt <-" $TRACE/trace
	echo nop > $TRACE/current_tracer
	echo > $TRACE/set_ftrace_filter
}

# goes SOFTIRQS QUEUED BYTES
goes()
{
	local found

	found=$(deferred "$3" | xargs)
	echo "softirqs and queued: $found, want $1 $2"
	[ "$found" = "$1 $2" ]
}

# contexts MODE: a softirq decrypts at most 16 KiB, a hard interrupt nothing.
contexts()
{
	local name=null_blk-irqmode-$1 softirqs=$(($1 - 1))

	key "vol-contexts$1" 1 > /dev/null
	create env "$(table 16384 "vol-contexts$1" sector_size:4096)"
	vmio fill $DEV 0 131072 4
	t "$name: where 4 KiB are decrypted" goes $softirqs 0 4096
	t "$name: and 16 KiB" goes $softirqs 0 16384
	t "$name: 20 KiB are decrypted by the queue" goes 0 1 20480
	t "$name: and 128 KiB" goes 0 1 131072
	dmsetup remove env
}

over /dev/vda virtio
for mode in 1 2; do
	# without queues to poll: with them irqmode 1 completes where it submits
	modprobe null_blk nr_devices=1 memory_backed=1 gb=1 irqmode=$mode \
		completion_nsec=20000 poll_queues=0
	over /dev/nullb0 null_blk-irqmode-$mode
	contexts $mode
	rmmod null_blk
done
t "the module goes" rmmod dm_envelope
done_testing
