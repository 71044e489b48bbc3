#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# on: uml smp
# Disks that fail: errors reach the caller for just the blocks concerned, and
# nothing hangs; a lock does not wait for a disk.
. /test/debug-lib.sh

DEV=/dev/mapper/env
SECTORS=8192
disks 1 $((SECTORS / 2))
filled /dev/ram0
key vol-a 1 > /dev/null

# One request to the disk fails.
fail_next()
{
	echo 1 > /sys/block/ram0/make-it-fail
	echo 0 > $FAULTS/fail_make_request/verbose
	echo 1 > $FAULTS/fail_make_request/times
	echo 100 > $FAULTS/fail_make_request/probability
}

one_fails()
{
	local before

	before=$(stat_of env errors)
	fail_next
	[ "$("$@")" = EIO ] && [ "$(stat_of env errors)" -gt "$before" ] &&
		"$@"
}

create env "$(table $SECTORS vol-a)"
for range in "4096 4096" "1048576 1048576"; do
	# shellcheck disable=SC2086 # two words
	t "a request fails: before it, $range" vmio fill $DEV $range 1
	t "a request fails: read of $range" one_fails vmio check $DEV $range 1
	t "a request fails: write of $range" one_fails vmio fill $DEV $range 1
done
dmsetup remove env

# Every third island of eight sectors is bad.
islands()
{
	local at

	for ((at = 0; at < 240; at += 8)); do
		if ((at / 8 % 3 == 1)); then
			echo "$at 8 error"
		else
			echo "$at 8 linear /dev/ram0 $at"
		fi
	done
}

# just_those VERB: by single blocks, and what fails is what is bad.
just_those()
{
	local block said want

	for ((block = 0; block < 30; block++)); do
		want=
		((block % 3 != 1)) || want=EIO
		said=$(vmio "$1" $DEV $((block * 4096)) 4096 5)
		[ "$said" = "$want" ] || { echo "$block: $said"; return 1; }
	done
}
dmsetup create low < <(islands)
DISK=/dev/mapper/low create env "$(DISK=/dev/mapper/low table 240 vol-a)"
t "bad islands: writes to them fail, and no others" just_those fill
t "bad islands: reads of them fail, and no others" just_those check
t "bad islands: a large read fails" \
	test "$(vmio check $DEV 0 122880 5)" = EIO
dmsetup remove env
dmsetup remove low

# flakey FEATURES: a disk that always has them.
flakey()
{
	dmsetup create low --table "0 $SECTORS linear /dev/ram0 0" &&
		DISK=/dev/mapper/low create env \
			"$(DISK=/dev/mapper/low table $SECTORS vol-a)" &&
		vmio fill $DEV 0 65536 8 &&
		dmsetup suspend low && dmsetup reload low --table \
			"0 $SECTORS flakey /dev/ram0 0 0 60 $1" &&
		dmsetup resume low
}

t "a disk that drops writes" flakey "1 drop_writes"
vmio fill $DEV 0 65536 9
t "a disk that drops writes: the old data are read" \
	vmio check $DEV 0 65536 8
dmsetup remove env && dmsetup remove low

t "a disk that fails writes" flakey "1 error_writes"
t "a disk that fails writes: EIO" test "$(vmio fill $DEV 0 65536 9)" = EIO
t "a disk that fails writes: reads go on" vmio check $DEV 0 65536 8
dmsetup remove env && dmsetup remove low

t "a disk that fails reads" flakey "1 error_reads"
t "a disk that fails reads: EIO" test "$(vmio check $DEV 0 65536 8)" = EIO
t "a disk that fails reads: writes go on" vmio fill $DEV 0 65536 9
dmsetup remove env && dmsetup remove low

# Up for a second, down for a second: fio meets both, and comes to its end.
comes_and_goes()
{
	local rc=0

	create low "0 $SECTORS flakey /dev/ram0 0 1 1" &&
		DISK=/dev/mapper/low create env \
			"$(DISK=/dev/mapper/low table $SECTORS vol-a)" ||
		return 1
	timeout 100 fio --name=f --filename=$DEV --direct=1 --rw=randrw \
		--bsrange=4k-256k --size=4m --iodepth=8 --ioengine=libaio \
		--continue_on_error=all --time_based --runtime=6 > /tmp/fio.out ||
		rc=$?
	[ $rc -ne 124 ] && [ "$(stat_of env errors)" -gt 0 ] &&
		[ "$(stat_of env reads)" -gt 0 ] &&
		[ "$(stat_of env writes)" -gt 0 ] && dmsetup suspend low &&
		dmsetup reload low --table "0 $SECTORS linear /dev/ram0 0" &&
		dmsetup resume low && vmio fill $DEV 0 1048576 8 &&
		vmio check $DEV 0 1048576 8
}
t "a disk that comes and goes: nothing hangs, and it works again" comes_and_goes
dmsetup remove env && dmsetup remove low

# A disk that takes fifteen seconds, and a lock in the midst of it.
slow()
{
	dmsetup create low --table "0 $SECTORS delay /dev/ram0 0 $1" &&
		DISK=/dev/mapper/low create env \
			"$(DISK=/dev/mapper/low table $SECTORS vol-a)"
}

# Given to the disk, which has not answered.
on_the_way()
{
	local env

	env=$(dmsetup info -c --noheadings -o blkdevname env)
	[[ $(< "/sys/block/$env/inflight") =~ [1-9] ]] && ! waiting env
}

lock_at_once()
{
	wait_until 10 on_the_way && dmsetup message env 0 key wipe &&
		is_state env "locked wiped" && on_the_way
}

for verb in check fill; do
	t "a slow disk, $verb" slow 15000
	later vmio $verb $DEV 0 65536 8
	t "a slow disk, $verb: a lock does not wait for it" lock_at_once
	if [ $verb = check ]; then
		t "a slow disk: the read waits for the key" \
			wait_until 10 waiting env
	else
		t "a slow disk: the write had been encrypted" later_is 0
	fi
	unlock env vol-a
	t "a slow disk, $verb: done after the key is set" later_is 0
	dmsetup remove env && dmsetup remove low
done

t "nothing leaks" no_leaks
done_testing
