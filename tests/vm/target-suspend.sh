#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Suspend, reload, forced removal and plain removal, with I/O under way and
# with I/O waiting behind a lock.
. /test/vm/helpers/target.bash

disks 1 16384
DEV=/dev/mapper/env
SECTORS=16384
N=0

# fresh [OPTION...]: an active volume with 64 KiB written, key vol-$N
fresh()
{
	dmsetup info env > /dev/null 2>&1 && dmsetup remove env
	N=$((N + 1))
	key vol-$N 3 > /dev/null
	create env "$(table $SECTORS vol-$N sector_size:4096 "$@")"
	vmio fill $DEV 0 65536 $N
}

lock()
{
	keyctl revoke "$(serial vol-$N)"
}

# unlocked: with a fresh key of the same secret
unlocked()
{
	key vol-$N-again 3 > /dev/null && unlock env vol-$N-again
}

held_read()
{
	later vmio check $DEV 0 65536 $N
	wait_until 60 waiting env
}

held_write()
{
	later vmio fill $DEV 65536 524288 $N
	wait_until 60 waiting env
}

background_io()
{
	timeout 150 fio --name=bg --filename=$DEV --direct=1 --rw=randrw \
		--bs=4k --iodepth=8 --ioengine=io_uring --size=8m \
		--time_based --runtime="$1" "${@:2}" > /tmp/bg.out 2>&1 &
	BG=$!
	wait_until 100 flowing
}

flowing()
{
	[ "$(stat_of env writes)" -gt 50 ]
}

# noflush while locked: what waits goes back to dm, and comes again.
noflush()
{
	fresh && lock && "held_$1" && timeout 60 dmsetup suspend --noflush env &&
		[ "$(stat_of env waiting)" = 0 ] && still_waiting &&
		dmsetup resume env && wait_until 60 waiting env &&
		unlocked && later_is 0 && [ "$(stat_of env errors)" = 0 ]
}
t "suspend: noflush takes back a waiting read" noflush read
t "suspend: noflush takes back waiting writes" noflush write
t "suspend: the write arrived" vmio check $DEV 65536 524288 $N

flush()
{
	fresh && lock && held_read || return 1
	dmsetup suspend env &
	local pid=$!
	sleep 1
	kill -0 $pid && still_waiting && "$@" && wait $pid &&
		dmsetup resume env
}
t "suspend: with flush it waits for key set" flush unlocked
t "suspend: the waiting read was served" later_is 0
t "suspend: with flush it waits for on_lock error" \
	flush dmsetup message env 0 on_lock error
t "suspend: the waiting read failed" later_is 1

while_running()
{
	fresh && background_io 4 --verify=crc32c && timeout 60 dmsetup suspend env &&
		sleep 0.5 && dmsetup resume env && timeout 60 dmsetup suspend --noflush env &&
		sleep 0.5 && dmsetup resume env && wait $BG &&
		[ "$(stat_of env errors)" = 0 ]
}
t "suspend: both kinds under running I/O" while_running

reload_running()
{
	fresh && background_io 20 && dmsetup reload env --table \
		"$(table $SECTORS vol-$N sector_size:4096 holes)" &&
		dmsetup resume env && wait_until 60 flowing && wait $BG &&
		dmsetup table env | grep -q holes
}
t "reload: under running I/O" reload_running

lock_suspended()
{
	fresh && timeout 60 dmsetup suspend env && lock &&
		is_state env "locked revoked" && unlocked &&
		is_state env "active -" && dmsetup resume env &&
		vmio check $DEV 0 65536 $N
}
t "lock and unlock while suspended" lock_suspended

forced()
{
	dmsetup remove --force env > /tmp/force.out 2>&1
	later_is 1 && grep -q EIO "$LATER.out" && wait_until 60 gone
}

gone()
{
	! dmsetup info env > /dev/null 2>&1 || ! dmsetup remove env
}

force_locked()
{
	fresh && lock && held_read && forced
}
t "remove --force: while locked, with a read waiting" force_locked

force_locked_write()
{
	fresh && lock && held_write && forced
}
t "remove --force: while locked, with writes waiting" force_locked_write

force_running()
{
	fresh && background_io 20 || return 1
	dmsetup remove --force env > /tmp/force.out 2>&1
	wait $BG && return 1
	wait_until 60 gone
}
t "remove --force: while I/O runs" force_running

wipe_table()
{
	fresh && lock && held_read && timeout 60 dmsetup wipe_table --noflush env && later_is 1 &&
		dmsetup table env | grep -q error && dmsetup remove env
}
t "wipe_table: while locked, with a read waiting" wipe_table

plain()
{
	fresh && lock && dmsetup remove env
}
t "remove: a locked volume nobody has open" plain

lock_running()
{
	fresh && background_io 15 --verify=crc32c && lock && sleep 0.5 &&
		timeout 60 dmsetup suspend --noflush env && dmsetup resume env &&
		wait_until 60 waiting env && unlocked && wait $BG &&
		[ "$(stat_of env errors)" = 0 ] && return
	cat /tmp/bg.out
	dmsetup message env 0 stats
	return 1
}
t "lock under running I/O, noflush suspend, unlock" lock_running

dmsetup remove env
t "the module goes" rmmod dm_envelope
done_testing
