#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever is done to a volume while fio writes and verifies: no block is lost
# or wrong, no request fails, and nothing hangs.
. /test/debug-lib.sh

DEV=/dev/mapper/env
SECTORS=16384
ROUNDS=${ROUNDS:-10}
disks 1 $((SECTORS / 2))
key vol-a 1 > /dev/null
LINE=$(table $SECTORS vol-a sector_size:4096)

# Passes of fio, each with seed and range of its own, until /run/stop is there.
load()
{
	local pass

	for ((pass = 1; ; pass++)); do
		echo "pass $pass"
		fio --name=v --filename=$DEV --direct=1 --size=8m --io_size=2m \
			--bsrange=4k-128k --rw=randwrite --iodepth=8 \
			--ioengine=libaio --verify=crc32c --verify_fatal=1 \
			--randseed=$pass || return 1
		[ ! -e /run/stop ] || return 0
	done
}

wipe_and_set()
{
	dmsetup message env 0 key wipe && sleep 0.01 && unlock env vol-a
}

revoke_and_set()
{
	keyctl revoke "$(serial vol-a)" && is_state env "locked revoked" &&
		key vol-a 1 > /dev/null && unlock env vol-a
}

invalidate_and_set()
{
	keyctl invalidate "$(serial vol-a)" &&
		wait_until 5 is_state env "locked invalidated" &&
		key vol-a 1 > /dev/null && unlock env vol-a
}

exchange_key() { unlock env vol-a; }

suspend_and_resume()
{
	dmsetup suspend env && dmsetup resume env
}

noflush_and_resume()
{
	dmsetup suspend --noflush env && dmsetup resume env
}

reload()
{
	dmsetup reload env --table "$LINE" && dmsetup resume env
}

# Held requests go back to dm core, and come again.
noflush_while_locked()
{
	dmsetup message env 0 key wipe && sleep 0.01 &&
		dmsetup suspend --noflush env && unlock env vol-a &&
		dmsetup resume env
}

flush_while_locked()
{
	dmsetup message env 0 key wipe
	later dmsetup suspend env
	sleep 0.02
	unlock env vol-a && later_is 0 && dmsetup resume env
}

flowing() { [ "$(stat_of env writes)" -gt 50 ]; }

# rounds COMMAND: ROUNDS of it, and fio still runs and goes on.
rounds()
{
	local n before

	for ((n = 1; n <= ROUNDS; n++)); do
		"$1" || { echo "round $n"; return 1; }
	done
	kill -0 $FIO || return 1
	before=$(stat_of env writes)
	wait_until 20 more_than "$before"
}

more_than() { [ "$(stat_of env writes)" -gt "$1" ]; }

# The pass that runs comes to its end, and no pass found anything wrong.
verified()
{
	touch /run/stop
	wait $FIO || { cat /run/fio; return 1; }
	grep -c ^pass /run/fio
	[ "$(stat_of env errors)" -eq 0 ]
}

create env "$LINE"
load > /run/fio 2>&1 &
FIO=$!
t "under load: fio runs" wait_until 100 flowing
for round in wipe_and_set revoke_and_set invalidate_and_set exchange_key \
		suspend_and_resume noflush_and_resume reload \
		noflush_while_locked flush_while_locked; do
	t "under load: ${round//_/ }" rounds $round
done
t "under load: fio found nothing wrong" verified
dmsetup remove env

t "nothing leaks" no_leaks
done_testing
