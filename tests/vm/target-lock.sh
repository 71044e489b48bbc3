#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Revocation, invalidation, expiry and wiping lock; key set unlocks, and no
# block is lost or wrong.
. /test/vm/helpers/target.bash

disks 2 12288
SECTORS=16384
DEV=/dev/mapper/env

fio_run()
{
	timeout 200 fio --name=v --filename=$DEV --direct=1 --size=6m --bs=4k \
		--rw=randwrite --iodepth=8 --ioengine="$1" --rate=700k \
		--verify=crc32c --verify_fatal=1 --randseed=7 "${@:2}"
}

in_flow()
{
	[ "$(stat_of env "$1")" -gt "${2:-20}" ]
}

# locks_at_once: counters stand still from the moment keyctl has returned.
locks_at_once()
{
	local before after

	keyctl revoke "$(serial "$1")" || return 1
	before=$(dmsetup status env)
	sleep 1
	after=$(dmsetup status env)
	echo "$before / $after"
	[ "$before" = "$after" ] &&
		[[ $before == *"envelope locked revoked revocable"* ]]
}

# writing ENGINE
writing()
{
	key "vol-$1" 1 > /dev/null
	create env "$(table $SECTORS "vol-$1" sector_size:4096)" || return 1
	later fio_run "$1"
	wait_until 100 in_flow writes && locks_at_once "vol-$1" &&
		waiting env && [ ! -e "$LATER" ] && key vol-again 1 &&
		unlock env vol-again && is_state env "active -" && later_is 0
}

for engine in libaio io_uring; do
	t "lock: revoke under writes ($engine), unlock, fio verifies" \
		writing $engine
	t "lock: no write failed ($engine)" test "$(stat_of env errors)" = 0
	dmsetup remove env
	keyctl unlink "$(serial vol-again)" "$RING"
done

reading()
{
	key vol-read 1 > /dev/null
	create env "$(table $SECTORS vol-read sector_size:4096)" &&
		vmio fill $DEV 0 1048576 4 || return 1
	later read_on $DEV 4
	wait_until 100 in_flow reads 10 && locks_at_once vol-read &&
		waiting env && [ ! -e "$LATER" ] && key vol-again 1 &&
		unlock env vol-again && enough && later_is 0
}
t "lock: revoke under reads, unlock, all reads are right" reading
t "lock: no read failed" test "$(stat_of env errors)" = 0
dmsetup remove env
keyctl unlink "$(serial vol-again)" "$RING"

# fresh NAME SEED: a volume over a key of its own
fresh()
{
	dmsetup info env > /dev/null 2>&1 && dmsetup remove env
	key "$1" 3 > /dev/null
	create env "$(table $SECTORS "$1" sector_size:4096)"
}

becomes()
{
	wait_until "$1" is_state env "$2"
}

fresh vol-expire
vmio fill $DEV 0 65536 9
keyctl timeout "$(serial vol-expire)" 8
t "expiry: active before" is_state env "active -"
t "expiry: locks with nobody touching it" becomes 30 "locked expired"
t_says 1 "expiry: a reload is refused" "Key has been revoked|Key has expired" \
	dmsetup reload env --table "$(table $SECTORS vol-expire)"
t_says 0 "expiry: and says to unlock" "Key revoked or expired: unlock first" dmesg
t "expiry: the key is gone" wait_until 100 eval '! grep -q vol-expire /proc/keys'
key vol-new 3 > /dev/null
t "expiry: unlock" unlock env vol-new
t "expiry: data are back" vmio check $DEV 0 65536 9

fresh vol-extend
EXTENDED=$(serial vol-extend)
keyctl timeout "$EXTENDED" 10
sleep 1.5
keyctl timeout "$EXTENDED" 600
sleep 11
t "expiry: extended in time" is_state env "active -"
keyctl timeout "$EXTENDED" 1
t "expiry: shortened" becomes 30 "locked expired"

fresh vol-clock
keyctl timeout "$(serial vol-clock)" 10
sleep 3
NOW=$(date +%s)
date -s "@$((NOW - 7200))" > /dev/null
t "expiry: a clock set back extends nothing" becomes 30 "locked expired"
date -s "@$((NOW + 10))" > /dev/null

# the clock set back right after the key was first seen, and then all that
# would look at it anew
set_anew()
{
	local line

	fresh vol-anew
	line=$(table $SECTORS vol-anew sector_size:4096)
	keyctl timeout "$(serial vol-anew)" 20 && sleep 1.5 &&
		NOW=$(date +%s) && date -s "@$((NOW - 7200))" > /dev/null &&
		unlock env vol-anew && dmsetup reload env --table "$line" &&
		dmsetup resume env && is_state env "active -" &&
		dmsetup remove env && create env "$line" &&
		becomes 60 "locked expired"
}
t "expiry: nor do key set and a new table under that clock" set_anew
date -s "@$((NOW + 20))" > /dev/null

# Its time ends while no volume has it, by the clock since boot only.
unused()
{
	local line

	fresh vol-unused
	line=$(table $SECTORS vol-unused sector_size:4096)
	keyctl timeout "$(serial vol-unused)" 20 && sleep 5 &&
		dmsetup remove env && NOW=$(date +%s) &&
		date -s "@$((NOW - 7200))" > /dev/null && sleep 17 || return 0
	create env "$line"
}
t_says 1 "expiry: no volume takes a key whose time is over" \
	"Key has expired" unused
key vol-other 3 > /dev/null
create env "$(table $SECTORS vol-other sector_size:4096)"
t_says 1 "expiry: nor does key set" "Key has expired" unlock env vol-unused
t "expiry: which changes nothing" is_state env "active -"
date -s "@$((NOW + 20))" > /dev/null

fresh vol-invalid
keyctl invalidate "$(serial vol-invalid)"
t "invalidate: locks within a second or so" becomes 15 "locked invalidated"
key vol-invalid2 3 > /dev/null
t "invalidate: unlock" unlock env vol-invalid2

# Nobody waits for the second that the poll takes: the next request sees it.
at_once()
{
	fresh "$1" && "${@:2}" "$(serial "$1")" && later vmio -n read $DEV 0 4096 &&
		later_is 1 && grep -x EAGAIN "$LATER.out"
}
t "invalidate: the next request is not served" \
	at_once vol-next keyctl invalidate
expired()
{
	keyctl timeout "$1" 1 && sleep 1.1
}
t "expiry: nor is the next one after it" at_once vol-next2 expired

fresh vol-wipe
t "wipe: locks" dmsetup message env 0 key wipe
t "wipe: reason" is_state env "locked wiped"
key vol-wrong 4 > /dev/null
t_says 1 "wrong key: refused" "Key was rejected by service" unlock env vol-wrong
t "wrong key: changes nothing" is_state env "locked wiped"
t_says 1 "no key: refused" "Required key not available" unlock env vol-none
key vol-dead 3 > /dev/null
keyctl revoke "$(serial vol-dead)"
t_says 1 "dead key: refused" "Key has been revoked" unlock env vol-dead
t "dead key: changes nothing" is_state env "locked wiped"
t "right key: unlocks" unlock env vol-wipe
t_says 1 "wrong key while active: refused" "Key was rejected by service" \
	unlock env vol-wrong
t "wrong key while active: still active" is_state env "active -"

exchange()
{
	key vol-wipe2 3 > /dev/null && unlock env vol-wipe2 &&
		keyctl revoke "$(serial vol-wipe)" && is_state env "active -" &&
		keyctl revoke "$(serial vol-wipe2)" &&
		is_state env "locked revoked"
}
t "key set while active: the new key counts" exchange

two_volumes()
{
	fresh vol-two && DISK=/dev/ram1 &&
		create env2 "$(table $SECTORS vol-two)" &&
		keyctl revoke "$(serial vol-two)" &&
		is_state env "locked revoked" && is_state env2 "locked revoked"
}
t "revoke: locks every volume of the key" two_volumes
dmsetup remove env2
DISK=/dev/ram0

inactive()
{
	fresh vol-in && dmsetup reload env --table "$(table $SECTORS vol-in)" &&
		keyctl revoke "$(serial vol-in)" && dmsetup resume env &&
		is_state env "locked revoked"
}
t "revoke: locks a table that is not active yet" inactive

wiped_inactive()
{
	fresh vol-in2 && dmsetup reload env --table "$(table $SECTORS vol-in2)" &&
		dmsetup message env 0 key wipe && dmsetup resume env &&
		is_state env "locked wiped" && unlock env vol-in2 &&
		is_state env "active -"
}
t "wipe: locks such a table, too" wiped_inactive

set_inactive()
{
	fresh vol-in3 && dmsetup reload env --table "$(table $SECTORS vol-in3)" &&
		dmsetup message env 0 key wipe && unlock env vol-in3 &&
		dmsetup resume env && is_state env "active -"
}
t "key set: unlocks such a table, too" set_inactive

other_inactive()
{
	key vol-in5 4 > /dev/null
	fresh vol-in4 && dmsetup reload env --table "$(table $SECTORS vol-in5)" &&
		keyctl revoke "$(serial vol-in5)" &&
		dmsetup message env 0 key wipe && unlock env vol-in4 &&
		dmsetup resume env && is_state env "locked revoked"
}
t "key set: but not one of another secret" other_inactive

# events NAME: how many so far; waiting for the next one then misses none.
events()
{
	dmsetup info -c --noheadings -o events "$1"
}

fresh vol-event
later dmsetup wait env "$(events env)"
keyctl revoke "$(serial vol-event)"
t "lock: is a device-mapper event" later_is 0
key vol-event2 3 > /dev/null
later dmsetup wait env "$(events env)"
unlock env vol-event2
t "unlock: is a device-mapper event" later_is 0

dmsetup remove env
for name in vol-event2 vol-wrong; do
	keyctl revoke "$(serial $name)"
	keyctl unlink "$(serial $name)" "$RING" 2> /dev/null
done
keyctl clear "$RING"
t "detach: no key is left" wait_until 60 eval '! grep -q vol- /proc/keys'
t "detach: the module goes" rmmod dm_envelope

done_testing
