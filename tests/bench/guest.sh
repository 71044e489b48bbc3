#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Instructions and context switches per I/O, side by side on a RAM disk.
# Meant for `scripts/vm run --icount`, where one guest nanosecond is one
# instruction. Prints `RESULT device workload instructions switches` lines.
set -eu

MIB=${1:-32}
LOOPS=${2:-1}

sectors=$((MIB * 2048))
modprobe brd rd_nr=1 rd_size=$((MIB * 1024))
modprobe dm-crypt
modprobe xts
modprobe aesni_intel
DISK=/dev/ram0

# Random bytes everywhere: a hole would skip the cipher.
openssl rand -hex 16 > /run/pass
openssl enc -aes-128-ctr -pass file:/run/pass -nosalt -in /dev/zero \
	2> /dev/null | dd of=$DISK bs=1M count="$MIB" iflag=fullblock status=none

openssl rand 64 > /run/key
keyctl padd logon bench:key @u < /run/key > /dev/null
keyctl padd envelope bench @u < /run/key > /dev/null
rm -f /run/key
keyctl link @u @s

dmsetup create linear --table "0 $sectors linear $DISK 0"
crypt="0 $sectors crypt aes-xts-plain64 :64:logon:bench:key 0 $DISK 0"
dmsetup create plain --table "$crypt 1 sector_size:4096"
dmsetup create flags --table \
	"$crypt 3 sector_size:4096 no_read_workqueue no_write_workqueue"
dmsetup create envelope --table \
	"0 $sectors envelope aes-xts-plain64 :64:envelope:bench 0 $DISK 0 2 sector_size:4096 holes"

switches()
{
	awk '$1 == "ctxt" { print $2 }' /proc/stat
}

# measure DEVICE NAME FIO-ARGS...
measure()
{
	local device=$1 name=$2 before after out iops total

	shift 2
	before=$(switches)
	out=$(fio --name=x --filename="$device" --direct=1 --size="${MIB}M" \
		--loops="$LOOPS" --randrepeat=1 --norandommap=0 \
		--output-format=terse --terse-version=3 "$@")
	after=$(switches)
	# Terse version 3: read total KiB 6, IOPS 8, runtime ms 9; write 47, 49.
	iops=$(awk -F';' '{ print $8 + $49 }' <<< "$out")
	total=$(awk -F';' '{ print $6 + $47 }' <<< "$out")
	awk -v d="$(basename "$device")" -v w="$name" -v iops="$iops" \
		-v kib="$total" -v bs="$(sed -n 's/.*--bs=\([0-9]*\)k.*/\1/p' <<< "$*")" \
		-v s=$((after - before)) 'BEGIN {
		printf "RESULT %s %s %.0f %.2f\n", d, w,
			1e9 / iops, s / (kib / bs) }'
}

for device in $DISK /dev/mapper/linear /dev/mapper/plain /dev/mapper/flags \
		/dev/mapper/envelope; do
	u="--ioengine=io_uring --iodepth=1"
	measure $device read-4k-qd1 $u --rw=randread --bs=4k
	measure $device write-4k-qd1 $u --rw=randwrite --bs=4k
	u="--ioengine=io_uring --iodepth=32"
	measure $device read-4k-qd32 $u --rw=randread --bs=4k
	measure $device write-4k-qd32 $u --rw=randwrite --bs=4k
	u="--ioengine=io_uring --iodepth=4"
	measure $device read-128k-qd4 $u --rw=read --bs=128k
	measure $device write-128k-qd4 $u --rw=write --bs=128k
	measure $device psync-read-4k --ioengine=psync --rw=randread --bs=4k
	measure $device psync-write-4k --ioengine=psync --rw=randwrite --bs=4k
done
dmsetup status envelope | awk '{ print "STATUS " $0 }'
