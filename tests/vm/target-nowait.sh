#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What may not wait does not: RWF_NOWAIT, read-ahead and on_lock error, each
# active and locked.
. /test/vm/helpers/target.bash

disks 2 8192
DEV=/dev/mapper/env
key vol-n 1 > /dev/null
create env "$(table 8192 vol-n sector_size:4096 allow_discards)"

t "nowait: write" vmio -n fill $DEV 0 65536 1
t "nowait: read" vmio -n check $DEV 0 65536 1
t_says 1 "nowait: a write that must be split says so" EAGAIN \
	vmio -n fill $DEV 0 524288 1
t "nowait: and wrote nothing" test "$(stat_of env writes)" = 1
t "the same without nowait" vmio fill $DEV 0 524288 1
t "readahead: reads" test "$(vmio readahead $DEV 0 65536)" -gt 0
t "nowait: nothing failed" test "$(stat_of env errors)" = 0

keyctl revoke "$(serial vol-n)"
# at_once ERRNO VMIO-ARGUMENT...: in the background, since what does wait for
# a lock cannot be killed
at_once()
{
	later vmio "${@:2}"
	later_is 1 && grep -qx "$1" "$LATER.out"
}
t "locked: nowait read" at_once EAGAIN -n read $DEV 0 4096
t "locked: nowait write" at_once EAGAIN -n fill $DEV 0 4096 1
t "locked: nothing waits" test "$(stat_of env waiting)" = 0
blockdev --flushbufs $DEV
readahead_fails()
{
	later vmio readahead $DEV 1048576 65536
	later_is 0 && [ "$(cat "$LATER.out")" = 0 ] &&
		[ "$(stat_of env waiting)" = 0 ]
}
t "locked: readahead fails, and nothing waits" readahead_fails
flush_goes_down()
{
	later vmio flush $DEV
	later_is 0
}
t "locked: a flush goes down" flush_goes_down

later vmio check $DEV 0 65536 1
wait_until 60 waiting env
t "locked: a read waits" still_waiting
t "locked: on_lock error" dmsetup message env 0 on_lock error
t "locked: what waited fails" later_is 1
t_says 1 "on_lock error: read" EIO vmio read $DEV 0 4096
t_says 1 "on_lock error: write" EIO vmio fill $DEV 0 4096 1
t_says 1 "on_lock error: discard" "EIO|EOPNOTSUPP" vmio discard $DEV 0 4096
t "on_lock error: flush" vmio flush $DEV
t "on_lock error: errors are counted" test "$(stat_of env errors)" -ge 3
t "on_lock queue" dmsetup message env 0 on_lock queue
later vmio check $DEV 0 65536 1
wait_until 60 waiting env
t "on_lock queue: a read waits again" still_waiting
key vol-n2 1 > /dev/null
t "unlock" unlock env vol-n2
t "unlock: the read is served" later_is 0
dmsetup remove env

# A queue of requests says EAGAIN to what it would have to split, because that
# may wait: a worker sends it instead.
modprobe null_blk nr_devices=1 gb=1 bs=512 memory_backed=1 queue_mode=2
echo 64 > /sys/block/nullb0/queue/max_sectors_kb
mount -t tracefs tracefs /sys/kernel/tracing 2> /dev/null
TRACE=/sys/kernel/tracing

# sent NAME COMMAND...: how many requests processes of that name sent to nullb0
# meanwhile
sent()
{
	local numbers name=$1

	shift

	numbers=$(lsblk -dno MAJ:MIN /dev/nullb0 | tr -d ' ' | tr : ,)
	echo > $TRACE/trace
	echo 1 > $TRACE/events/block/block_bio_queue/enable
	"$@" > /dev/null || echo "failed, "
	echo 0 > $TRACE/events/block/block_bio_queue/enable
	grep -c "^ *$name.* block_bio_queue: $numbers " $TRACE/trace
}

create env "$(DISK=/dev/nullb0 table 8192 vol-n2 sector_size:4096)"
t "nowait: what the disk takes whole is sent" \
	test "$(sent vmio vmio -n fill $DEV 0 65536 3)" = 1
t "nowait: what the disk would split a worker sends" \
	test "$(sent kworker vmio -n fill $DEV 0 131072 4)" = 1
t "nowait: it has been written" vmio check $DEV 0 131072 4
# 6.1 does not show the priority
if grep -q ioprio $TRACE/events/block/block_rq_issue/format; then
	echo 1 > $TRACE/events/block/block_rq_issue/enable
	echo > $TRACE/trace
	ionice -c 2 -n 1 vmio -n fill $DEV 0 131072 4 > /dev/null
	echo 0 > $TRACE/events/block/block_rq_issue/enable
	t "nowait: with the priority of who wrote" \
		grep -q "kworker.*block_rq_issue: .* be,0,1 " $TRACE/trace
fi
t "nowait: also a read, which is right" \
	test "$(sent kworker vmio -n check $DEV 0 131072 4)" = 1
t "nowait: no request failed" test "$(stat_of env errors)" = 0
t "the same without nowait the submitter sends" \
	test "$(sent vmio vmio fill $DEV 0 131072 3)" = 1
t "and reads back" vmio check $DEV 0 131072 3
dmsetup remove env
rmmod null_blk

# Over a device without NOWAIT nobody is promised more than it can do.
SIZE=8192
dmsetup create below --table "0 $SIZE flakey /dev/ram1 0 60 0"
DISK=/dev/mapper/below
create env "$(table $SIZE vol-n2 sector_size:4096)"
t_says 1 "nowait: over a device without it" "EAGAIN|EOPNOTSUPP" \
	vmio -n read $DEV 0 4096
t "nowait: that device works otherwise" vmio fill $DEV 0 65536 2
t "nowait: and reads back" vmio check $DEV 0 65536 2

# A failing device below: errors come up as they are, and nothing leaks.
dmsetup remove env
dmsetup reload below --table "0 $SIZE error"
dmsetup suspend below
dmsetup resume below
create env "$(table $SIZE vol-n2 sector_size:4096)"
t_says 1 "failing device: read" EIO vmio read $DEV 0 65536
t_says 1 "failing device: write" EIO vmio fill $DEV 0 65536 1
t "failing device: both are counted" test "$(stat_of env errors)" -ge 2
dmsetup remove env
dmsetup remove below
t "the module goes" rmmod dm_envelope
done_testing
