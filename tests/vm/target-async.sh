#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A cipher that answers later, and one whose queue is always full: the same
# ciphertext, and locking waits for what is under way.
. /test/vm/helpers/target.bash

without_simd()
{
	modprobe -r aesni_intel cryptd 2> /dev/null
	rmmod aesni_intel crypto_simd cryptd 2> /dev/null
	[ ! -e /sys/module/cryptd/initstate ]
}

# not at once, where the kernel still tests the ciphers that have just come
wait_until 60 without_simd
# length of the cipher daemon's queue; with 1 nearly every call is refused
mkdir -p /etc/modprobe.d
echo "install aesni_intel /bin/false" > /etc/modprobe.d/no-simd.conf
modprobe cryptd cryptd_max_cpu_qlen=1
disks 2 8192
DEV=/dev/mapper/env
HEX=$(vmkey hex 1)

# an instance that is preferred to all others, because cryptd adds to priority
t "async: a cipher that is always asynchronous" dmsetup create async --table \
	"0 8 crypt capi:cryptd(xts(ecb(aes-generic)))-plain64 $HEX 0 /dev/ram1 0"
dmsetup remove async

key vol-a 1 > /dev/null
create env "$(table 16384 vol-a sector_size:4096)"
t_says 0 "async: the target took it" "cipher cryptd\(" \
	dmsetup message env 0 stats

fio_run()
{
	timeout 200 fio --name=v --filename=$DEV --direct=1 --size=4m "$@" \
		--verify=crc32c --verify_fatal=1 --randseed=7
}

t "async: single blocks" fio_run --rw=randwrite --bs=4k --iodepth=1 \
	--ioengine=psync
t "async: a full queue" fio_run --rw=randwrite --bs=4k --iodepth=32 \
	--ioengine=libaio
t "async: io_uring, large requests" fio_run --rw=randwrite --bs=128k \
	--iodepth=4 --ioengine=io_uring
t "async: nothing failed" test "$(stat_of env errors)" = 0
vmio fill $DEV 0 1048576 4

locks()
{
	local before after

	later fio_run --rw=randwrite --bs=4k --iodepth=16 --ioengine=libaio \
		--rate=500k
	wait_until 100 flowing || return 1
	keyctl revoke "$(serial vol-a)" || return 1
	before=$(dmsetup status env | cut -d' ' -f7)
	sleep 1
	after=$(dmsetup status env | cut -d' ' -f7)
	echo "$before $after"
	is_state env "locked revoked" && [ "$before" = "$after" ] &&
		waiting env && key vol-b 1 && unlock env vol-b && later_is 0
}

BASE=$(stat_of env writes)
flowing()
{
	[ "$(stat_of env writes)" -gt $((BASE + 50)) ]
}
t "async: revoke under writes, unlock, fio verifies" locks
t "async: nothing failed after all" test "$(stat_of env errors)" = 0
vmio fill $DEV 0 1048576 4
dmsetup remove env

dmsetup create crypt --table "0 16384 crypt aes-xts-plain64 $HEX 0 \
/dev/ram0 0 1 sector_size:4096"
t "async: the same ciphertext as dm-crypt's" \
	vmio check /dev/mapper/crypt 0 1048576 4
dmsetup remove crypt
t "the module goes" rmmod dm_envelope
done_testing
