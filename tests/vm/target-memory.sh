#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --memory 640 --monitor --append init_on_free=0
# The secret and its key schedule are in memory while a volume is active, and
# nowhere after it has locked: QEMU's monitor dumps all of the memory, and the
# search is made outside. The same search finds all of them first.
. /test/vm/helpers/target.bash

disks 7 1024
FOUND=/tmp/found
I=0

# volume NAME SEED: active, and used
volume()
{
	key "vol-$1" "$2" > /dev/null &&
		DISK=/dev/ram$I create "$1" "$(table 1024 "vol-$1")" &&
		vmio fill "/dev/mapper/$1" 0 65536 1 &&
		vmio check "/dev/mapper/$1" 0 65536 1
	I=$((I + 1))
}

# found SEED: the payload in one piece, and all round keys of both halves
found()
{
	grep "^$1 " $FOUND
	grep -q "^$1 whole [1-9][0-9]* halves 2 rounds 26$" $FOUND
}

payload_found()
{
	grep "^$1 " $FOUND
	grep -q "^$1 whole [1-9]" $FOUND
}

absent()
{
	grep "^$1 " $FOUND
	grep -q "^$1 whole 0 halves 0 rounds 0$" $FOUND
}

# the kernel key is there, in one copy, and no schedule
no_schedule()
{
	grep "^$1 " $FOUND
	grep -q "^$1 whole 1 halves 2 rounds 0$" $FOUND
}

volume revoke 101
volume expire 103
volume invalid 104
volume detach 105
volume wipe 107
key vol-wrong 102 > /dev/null
key vol-rmmod 106 > /dev/null

host memory 101 102 103 104 105 106 107 > $FOUND
for seed in 101 103 104 105 107; do
	t "memory: key and schedule are found while active ($seed)" found $seed
done
t "memory: a key nobody uses is found" payload_found 106
t "memory: the wrong key is found" payload_found 102

keyctl timeout "$(serial vol-expire)" 1
keyctl invalidate "$(serial vol-invalid)"
keyctl revoke "$(serial vol-revoke)"
dmsetup remove detach
keyctl revoke "$(serial vol-detach)"
dmsetup message wipe 0 key wipe
t_says 1 "memory: a wrong key on key set" "Key was rejected" \
	dmsetup message revoke 0 key set :64:envelope:vol-wrong
host memory 102 > $FOUND
t "memory: a key that key set refused has left no schedule" no_schedule 102
keyctl revoke "$(serial vol-wrong)"
t "memory: expiry has locked" \
	wait_until 60 is_state expire "locked expired"
t "memory: invalidation has locked" \
	wait_until 60 is_state invalid "locked invalidated"

host memory 101 102 103 104 105 106 107 > $FOUND
t "memory: gone after revoke" absent 101
t "memory: a wrong key is gone after its revocation" absent 102
t "memory: gone after expiry" absent 103
t "memory: gone after invalidation" absent 104
t "memory: gone after detach" absent 105
t "memory: key wipe leaves the kernel key, and no schedule" no_schedule 107
t "memory: the other key is still found" payload_found 106

for name in revoke expire invalid wipe; do
	dmsetup remove $name
done
rmmod dm_envelope
host memory 106 107 > $FOUND
t "memory: a key in no use is gone after rmmod" absent 106
t "memory: the one of a wiped volume is gone after rmmod" absent 107
done_testing
