#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 16 --append ima_policy=critical_data
# What the target tells the kernel about itself: queue limits that follow the
# device below, no zones, no polling, no key in any table or measurement.
. /test/vm/helpers/target.bash

DEV=/dev/mapper/env
SECTORS=16384
HEX=$(vmkey hex 1)
key vol-l 1 > /dev/null
modprobe -a loop null_blk
truncate -s 8M /tmp/disk

# limit DEVICE NAME
limit()
{
	cat "/sys/dev/block/$(lsblk -dno MAJ:MIN "$1" | tr -d ' ')/queue/$2"
}

# same_limits DEVICE NAME...: as the device below has them.
same_limits()
{
	local name

	for name in "${@:2}"; do
		echo "$name: $(limit "$1" "$name") below, $(limit $DEV "$name")"
		[ "$(limit "$1" "$name")" = "$(limit $DEV "$name")" ] || return 1
	done
}

# over DISK OPTION...
over()
{
	DISK=$1 create env "$(DISK=$1 table $SECTORS vol-l "${@:2}")"
}

# has NAME VALUE...
has()
{
	local rc=0

	while [ $# -gt 0 ]; do
		echo "$1: $(limit $DEV "$1"), not $2"
		[ "$(limit $DEV "$1")" = "$2" ] || rc=1
		shift 2
	done
	return $rc
}

over /dev/vda sector_size:4096 allow_discards
t "limits: large blocks make the logical and physical ones" \
	has logical_block_size 4096 physical_block_size 4096 minimum_io_size 4096
t "limits: memory may lie on any logical block" has dma_alignment 4095
t "limits: zeros are written, not handed down" has write_zeroes_max_bytes 0
t "limits: what the disk can take in one request" \
	same_limits /dev/vda max_segments max_segment_size write_cache rotational
t "limits: discards as large as below" \
	same_limits /dev/vda discard_max_hw_bytes
t "limits: a discard is a block at least" has discard_granularity 4096
dmsetup remove env

over /dev/vda sector_size:512
t "limits: small blocks over small ones stay small" \
	has logical_block_size 512 dma_alignment 511
t "limits: no discards unless allowed" has discard_max_hw_bytes 0
dmsetup remove env

loop=$(losetup --show -f -b 4096 --direct-io=off /tmp/disk)
over "$loop" sector_size:512
t "limits: small blocks over large ones are as large" \
	has logical_block_size 4096 physical_block_size 4096 minimum_io_size 4096
small_over_large()
{
	vmio fill $DEV 0 1048576 3 && vmio check $DEV 0 1048576 3 &&
		dmsetup remove env && create crypt "0 $SECTORS crypt \
aes-xts-plain64 $HEX 0 $loop 0" && vmio check /dev/mapper/crypt 0 1048576 3
	local rc=$?
	dmsetup remove crypt
	return $rc
}
t "limits: small blocks over large ones are as dm-crypt's" small_over_large
crooked()
{
	! create env "0 $((SECTORS - 8)) envelope aes-xts-plain64 \
:64:envelope:vol-l 0 $loop 1 1 sector_size:512"
}
t "limits: a start amid a block of the device is refused" crooked
losetup -d "$loop"

# A pool of chunks of 64 KiB, that can be discarded.
modprobe brd rd_nr=2 rd_size=16384
create pool "0 32768 thin-pool /dev/ram0 /dev/ram1 128 0"
dmsetup message pool 0 "create_thin 0"
create thin "0 $SECTORS thin /dev/mapper/pool 0"
over /dev/mapper/thin allow_discards
t "limits: discards in chunks where the device has them" \
	same_limits /dev/mapper/thin discard_granularity discard_max_hw_bytes
t "limits: these chunks are large" has discard_granularity 65536
dmsetup remove env && dmsetup remove thin && dmsetup remove pool

# A polled queue raises no interrupt: what is sent to it must be polled for,
# and a bounced write is nobody's to poll for.
modprobe -r null_blk
modprobe null_blk nr_devices=1 memory_backed=1 gb=1 irqmode=1 submit_queues=1 \
	poll_queues=1
over /dev/nullb0
polled()
{
	timeout 100 fio --name=v --filename=$DEV --direct=1 --size=2m \
		--rw=randwrite --bsrange=4k-64k --ioengine="$1" --hipri \
		--iodepth="$2" --verify=crc32c --verify_fatal=1 --randseed=7
}
t "polling: the device below offers it" test "$(limit /dev/nullb0 io_poll)" = 1
t "polling: one request after the other" polled pvsync2 1
# before 6.11 a target has no say in what dm core offers
if [[ $(uname -r) == 6.1.* ]]; then
	t "polling: io_uring" polled io_uring 8
else
	t "polling: is not offered" has io_poll 0
	t_says 1 "polling: io_uring is told so" "Operation not supported" \
		polled io_uring 8
fi
t "polling: nothing failed" test "$(stat_of env errors)" = 0
dmsetup remove env
modprobe -r null_blk

modprobe null_blk nr_devices=1 gb=1 zoned=1 zone_size=4 memory_backed=1
zoned()
{
	dmesg -C
	! over /dev/nullb0 &&
		dmesg | grep -F "envelope: Zoned devices are not supported (-EINVAL)"
}
t "zones: a zoned device is refused" zoned

# Loading and renaming a table is measured; so is what a key would look like.
mount -t securityfs none /sys/kernel/security
measured()
{
	grep -w "$1" /sys/kernel/security/ima/ascii_runtime_measurements |
		awk '{ print $NF }' | while read -r hex; do
			printf "%b\n" "$(sed 's/../\\x&/g' <<< "$hex")"
		done
}
over /dev/vda sector_size:2048 holes on_lock:error
dmsetup rename env envelope-renamed
t_says 0 "measurement: the table, without a key" "target_name=envelope,\
target_version=1\.0\.0,cipher_string=aes-xts-plain64,iv_offset=0,\
sector_size=2048,iv_large_sectors=n,allow_discards=n,holes=y,on_lock=error;" \
	measured dm_table_load
no_key()
{
	dmsetup table --showkeys envelope-renamed
	! dmsetup table --showkeys envelope-renamed | grep -qiE '[0-9a-f]{32}' &&
		! measured "dm_.*" | tr -d '\0' | grep -qi "${HEX:0:32}"
}
t "keys: neither a table nor a measurement shows one" no_key
dmsetup remove envelope-renamed
t "the module goes" rmmod dm_envelope
done_testing
