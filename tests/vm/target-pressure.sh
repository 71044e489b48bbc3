#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
# vm: --memory 512 --disk 256 --disk 32 --append init_on_alloc=0
# Hardly any memory: swap on a volume, a program that needs more than there is,
# and writers meanwhile. Nothing hangs, no page and no block is wrong.
. /test/vm/helpers/target.bash

# It is about swapped pages. To look for large ones among them takes an emulated
# processor minutes, and so would zeroing each page that is tried.
echo never > /sys/kernel/mm/transparent_hugepage/enabled
echo 0 > /proc/sys/vm/compaction_proactiveness

DEV=/dev/mapper/env
key vol-swap 1 > /dev/null
key vol-data 2 > /dev/null
create swap "$(DISK=/dev/vda table 524288 vol-swap)"
create env "$(DISK=/dev/vdb table 65536 vol-data)"
mkswap /dev/mapper/swap > /dev/null
t "pressure: swap on a volume" swapon /dev/mapper/swap

# The guest's root needs more than this to boot; huge pages are not swapped.
leave()
{
	echo $((($(available) - $1) / 2)) > /proc/sys/vm/nr_hugepages &&
		[ "$(available)" -lt $(($1 + 16)) ]
}

available()
{
	awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo
}

swapped()
{
	awk '/^pswpout/ { out = $2 } END { exit !(out > 8192) }' /proc/vmstat ||
		{ grep -E "^pswp" /proc/vmstat; return 1; }
}

# nowait_writes: each is done or told to try again, until the hog has ended.
nowait_writes()
{
	local said done=0 again=0

	until [ -e "$LATER" ]; do
		if said=$(vmio -n fill $DEV $((24 << 20)) 131072 $((done + 1))); then
			done=$((done + 1))
			vmio check $DEV $((24 << 20)) 131072 $done || return 1
		elif [ "$said" = EAGAIN ]; then
			again=$((again + 1))
		else
			echo "$said"
			return 1
		fi
	done
	echo "# $done writes with NOWAIT done, $again told to try again" |
		tee /dev/ttyS1
	[ $done -gt 0 ]
}

t "pressure: there are 200 MiB left" leave 200
HOG=$(($(available) + 96))
later hog $HOG 2
timeout 1000 fio --name=v --filename=$DEV --direct=1 --size=16m --rw=randwrite \
	--bsrange=4k-1m --iodepth=16 --ioengine=libaio --verify=crc32c \
	--verify_fatal=1 --randseed=5 > /tmp/fio.out 2>&1 &
FIO=$!
t "pressure: NOWAIT is done, or told to try again" nowait_writes
t "pressure: fio found nothing wrong" wait $FIO
t "pressure: the hog found all its pages" later_is 0
t "pressure: much was swapped out" swapped
t "pressure: nothing failed" \
	test "$(stat_of env errors) $(stat_of swap errors)" = "0 0"
t "pressure: all is swapped in again" swapoff /dev/mapper/swap
dmsetup remove swap
dmsetup remove env
t "the module goes" rmmod dm_envelope
done_testing
