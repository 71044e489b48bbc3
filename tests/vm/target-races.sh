#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
# Whatever is done to a volume while fio writes and verifies: no block is lost
# or wrong, no request fails, and nothing hangs. 50 rounds each, 10 on the debug
# kernel; LONG=1: 1,000.
. /test/vm/helpers/target.bash

DEV=/dev/mapper/env
DISK=/dev/nullb0
SECTORS=16384
ROUNDS=50
[ ! -e /test/debug-lib.sh ] || ROUNDS=10
[ -z "${LONG:-}" ] || ROUNDS=1000
SEED=${SEED:-$RANDOM}
# completes in timer interrupts, and takes long enough to be met on the way
modprobe null_blk nr_devices=1 memory_backed=1 gb=1 irqmode=2 \
	completion_nsec=200000
LINE=$(table $SECTORS %s sector_size:4096)
key first 1 > /dev/null
echo "# races: seed $SEED, $ROUNDS rounds"

# Passes of fio, each with a seed of its own, until /run/stop is there.
load()
{
	local pass

	for ((pass = 1; ; pass++)); do
		echo "pass $pass"
		fio --name=v --filename=$DEV --direct=1 --size=8m --io_size=2m \
			--bsrange=4k-128k --rw=randwrite --iodepth=8 \
			--ioengine=libaio --verify=crc32c --verify_fatal=1 \
			--randseed=$((SEED + pass)) || return 1
		[ ! -e /run/stop ] || return 0
	done
}

more_than() { [ "$(stat_of env writes)" -gt "$1" ]; }

# rounds VERB [ROUNDS]: they all go well, and fio still runs and goes on.
rounds()
{
	local before

	vmrace "$SEED" "${2:-$ROUNDS}" env "$LINE" "$1" || return 1
	kill -0 $FIO || return 1
	before=$(stat_of env writes)
	wait_until 60 more_than "$before"
}

# The pass that runs comes to its end, and no pass found anything wrong.
verified()
{
	touch /run/stop
	# what a failed round has left locked holds nobody up
	is_state env "active -" || dmsetup message env 0 on_lock error
	wait $FIO || { cat /run/fio; return 1; }
	grep -c ^pass /run/fio
	[ "$(stat_of env errors)" -eq 0 ]
}

for verb in forced deferred; do
	t "races: $verb removal under I/O" \
		vmrace "$SEED" "$ROUNDS" env "$LINE" $verb
done

create env "$(table $SECTORS first sector_size:4096)"
load > /run/fio 2>&1 &
FIO=$!
t "races: fio runs" wait_until 60 more_than 50
for verb in wipe exchange revoke invalidate renew suspend noflush reload \
		reload-locked noflush-locked flush-locked interrupt unload expire; do
	t "races: $verb under fio" rounds $verb
done

t "races: fio found nothing wrong" verified
dmsetup remove env
modprobe -r null_blk
if [ -e /test/debug-lib.sh ]; then
	t "races: nothing leaks" bash -c ". /test/debug-lib.sh && no_leaks"
else
	t "the module goes" rmmod dm_envelope
fi
done_testing
