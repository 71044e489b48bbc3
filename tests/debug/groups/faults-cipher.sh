#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# on: uml smp
# A cipher that fails: when it is to take a key, when it is to forget one, and
# in the middle of a request. No schedule stays, and no block is wrong.
. /test/debug-lib.sh

PARAMETERS=/sys/module/selftest_cipher/parameters
SECTORS=8192
DEV=/dev/mapper/env
disks 1 $((SECTORS / 2))
filled /dev/ram0
key vol-a 1 > /dev/null
LINE=$(table $SECTORS vol-a sector_size:4096)

# fail WHAT TIMES: so many of the next calls
fail() { echo "$2" > "$PARAMETERS/fail_$1"; }

# The fault has struck as often as it was to.
all_struck()
{
	[ "$(< "$PARAMETERS/fail_$1")" = 0 ]
}

t "a cipher that can fail" insmod /lib/modules/envelope/selftest_cipher.ko
# the kernel tests a cipher before its first use: not to fail in that
create env "$LINE"
t_says 0 "the target takes it" "cipher selftest-xts" \
	dmsetup message env 0 stats
dmsetup remove env
fail setkey 1
t_says 1 "ctr: no key is taken: refused" "Input/output error" \
	create env "$LINE"
t_says 0 "ctr: and says so" "Key cannot be used: the error code says why" dmesg
t "ctr: works afterwards" create env "$LINE"

# the first block is to be the first that meets a fault: no other CPU helps
echo 0 > /sys/module/dm_envelope/parameters/spread_bytes
for bytes in 4096 1048576; do
	t "requests of $bytes: before" vmio fill $DEV 0 $bytes 2
	fail crypt 1
	t_says 1 "requests of $bytes: a read that cannot be decrypted" EIO \
		vmio check $DEV 0 $bytes 2
	t "requests of $bytes: the next one is right" \
		vmio check $DEV 0 $bytes 2
	fail crypt 1
	t_says 1 "requests of $bytes: a write that cannot be encrypted" EIO \
		vmio fill $DEV 0 $bytes 3
	t "requests of $bytes: fails before it reaches the disk" \
		vmio check $DEV 0 4096 2
	vmio fill $DEV 0 $bytes 2
done
t "requests: counted" test "$(stat_of env errors)" -ge 4

dmsetup message env 0 key wipe
fail setkey 1
t_says 1 "key set: the key is not taken" "Input/output error" unlock env vol-a
t "key set: the volume stays locked" is_state env "locked wiped"
t "key set: unlocks afterwards" unlock env vol-a
t "key set: the data are there" vmio check $DEV 0 1048576 2

fail setkey 1
t_says 1 "key set while active: the key is not taken" "Input/output error" \
	unlock env vol-a
t "key set while active: locks" is_state env "locked wiped"
later vmio check $DEV 0 1048576 2
t "key set while active: what comes waits" wait_until 10 waiting env
t "key set while active: unlocks afterwards" unlock env vol-a
t "key set while active: what waited is right" later_is 0

# The schedule cannot be overwritten, so it goes with the cipher.
fail setkey 1
t "lock: the key is not forgotten, and it locks" \
	keyctl revoke "$(serial vol-a)"
t "lock: by that fault" all_struck setkey
t "lock: the state" is_state env "locked revoked"
t_says 0 "lock: and says what it did" \
	"cipher refused to forget its key: freeing it" dmesg
key vol-b 1 > /dev/null
t_says 1 "lock: it can never be unlocked" "No such device" unlock env vol-b
t "lock: it stays locked" is_state env "locked revoked"
later vmio check $DEV 0 4096 2
t "lock: requests wait" wait_until 10 waiting env
t "lock: on_lock error" dmsetup message env 0 on_lock error
t "lock: what waited fails" later_is 1
t "lock: a second lock" dmsetup message env 0 key wipe
t "lock: it can be removed" dmsetup remove env

LINE=$(table $SECTORS vol-b sector_size:4096)
t "the next volume has a cipher of its own" create env "$LINE"
t "all data are there" vmio check $DEV 0 1048576 2
dmsetup remove env
t "no one uses the cipher" rmmod selftest_cipher
t "nothing leaks" no_leaks
done_testing
