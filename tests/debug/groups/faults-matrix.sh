#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# on: uml smp
# Each kind of fault (memory for objects, memory by pages, requests to the disk),
# all the time, in ctr, map, key set, reload and the other messages: errors are
# reported, nothing crashes or leaks, and afterwards everything works.
. /test/debug-lib.sh

SECTORS=8192
DEV=/dev/mapper/env
disks 1 $((SECTORS / 2))
filled /dev/ram0
limit_faults_to_module
echo 1 > /sys/block/ram0/make-it-fail
echo 0 > $FAULTS/fail_make_request/verbose
echo 1000000 > $FAULTS/fail_make_request/times
key vol-a 1 > /dev/null
LINE=$(table $SECTORS vol-a sector_size:4096 on_lock:queue)

# The cipher is put together before: without memory, the crypto API finds that
# there is none of that name.
dmsetup create crypt --table "0 $SECTORS crypt aes-xts-plain64 \
$(vmkey hex 1) 0 /dev/ram0 0 1 sector_size:4096"
dmsetup remove crypt

# during KIND COMMAND...: all that can fail so does, as long as it runs.
during()
{
	local kind=$1 rc=0

	shift
	KIND=$kind
	BEFORE=$(< "$FAULTS/$kind/times")
	echo 100 > "$FAULTS/$kind/probability"
	"$@" || rc=$?
	echo 0 > "$FAULTS/$kind/probability"
	return $rc
}

# Of the last one: how many faults there were.
struck()
{
	echo $((BEFORE - $(< "$FAULTS/$KIND/times")))
}

some() { [ "$(struck)" -gt 0 ]; }
none() { [ "$(struck)" -eq 0 ]; }

both_ways()
{
	vmio fill $DEV 0 1048576 "$1" && vmio check $DEV 0 1048576 "$1"
}

# All messages but key set.
messages()
{
	dmsetup message env 0 on_lock error &&
		dmsetup message env 0 on_lock queue &&
		dmsetup message env 0 stats &&
		dmsetup message env 0 key wipe && is_state env "locked wiped"
}

# pages first: once there were some, the module has used ones
for kind in fail_page_alloc failslab; do
	t_says 1 "$kind, ctr: refused" "Cannot allocate memory" \
		during $kind create env "$LINE"
	t "$kind, ctr: by a fault" some
	t_fails 1 "$kind, ctr: no device" dmsetup info -c --noheadings env
	t "$kind, ctr: made afterwards" create env "$LINE"

	t "$kind, map: served from the reserves" during $kind both_ways 6
	t "$kind, map: though there were faults" some
	t "$kind, map: none failed" test "$(stat_of env errors)" = 0

	t_says 1 "$kind, reload: refused" "Cannot allocate memory" \
		during $kind dmsetup reload env --table "$LINE"
	t "$kind, reload: by a fault" some
	t "$kind, reload: the running table goes on" both_ways 6

	t "$kind, messages: they do all the same" during $kind messages
	t "$kind, messages: they need no memory" none
	t "$kind, key set: unlocks" during $kind unlock env vol-a
	t "$kind, key set: it needs no memory" none
	t "$kind: the data are there" vmio check $DEV 0 1048576 6
	t "$kind: removed" dmsetup remove env
done

kind=fail_make_request
t "$kind, ctr: asks nothing of the disk" during $kind create env "$LINE"
t "$kind, ctr: no fault" none
both_ways 7
for verb in check fill; do
	for bytes in 4096 1048576; do
		t_says 1 "$kind, map: $verb of $bytes" EIO \
			during $kind vmio $verb $DEV 0 $bytes 7
		t "$kind, map: $verb of $bytes: by a fault" some
	done
done
t "$kind, map: counted" test "$(stat_of env errors)" -ge 4
t "$kind, map: it works again" both_ways 8

reloaded()
{
	dmsetup reload env --table "$LINE" && dmsetup resume env
}
t "$kind, reload: asks nothing of the disk" during $kind reloaded
t "$kind, reload: no fault" none
t "$kind, reload: the data are there" vmio check $DEV 0 1048576 8

t "$kind, messages: they do all the same" during $kind messages
t "$kind, messages: they ask nothing of the disk" none

# What waited meets the fault when the key is set.
met()
{
	unlock env vol-a && is_state env "active -" && later_is 1 &&
		grep -x EIO "$LATER.out"
}
for verb in check fill; do
	dmsetup message env 0 key wipe
	later vmio $verb $DEV 0 65536 8
	wait_until 60 waiting env
	t "$kind, key set: unlocks, a waiting $verb fails" during $kind met
	t "$kind, key set: by a fault ($verb)" some
done
t "$kind, key set: it works again" both_ways 9

dmsetup remove env
t "nothing leaks" no_leaks
done_testing
