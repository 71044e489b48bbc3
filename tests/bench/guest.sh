#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One part of the bench, in a guest: dm-crypt and envelope side by side.
#   guest.sh count BLOCK       instructions on a RAM disk   (vm run --icount)
#   guest.sh interrupt BLOCK   the same on null_blk         (vm run --icount)
#   guest.sh wall DISK         milliseconds of requests     (2 virtual CPUs)
# Prints `RESULT device workload figure switches` lines, and fails if a hole
# was read or envelope reads anything else than dm-crypt afterwards.
set -eu

PART=$1
MIB=${3:-32}
KIB=$((MIB * 512))	# of single blocks

modprobe dm-crypt
modprobe xts
modprobe aesni_intel

# fill DISK: random bytes everywhere, because a hole would skip the cipher.
fill()
{
	openssl rand -hex 16 > /run/pass
	openssl enc -aes-128-ctr -pass file:/run/pass -nosalt -in /dev/zero \
		2> /dev/null | dd of="$1" bs=1M count="$MIB" iflag=fullblock \
		oflag=direct status=none
}

openssl rand 64 > /run/key
keyctl padd logon bench:key @u < /run/key > /dev/null
keyctl padd envelope bench @u < /run/key > /dev/null
rm -f /run/key
keyctl link @u @s

# devices DISK BLOCK: linear, plain, flags and envelope over the same bytes.
devices()
{
	local sectors=$((MIB * 2048)) size="sector_size:$2" crypt

	crypt="0 $sectors crypt aes-xts-plain64 :64:logon:bench:key 0 $1 0"
	dmsetup create linear --table "0 $sectors linear $1 0"
	dmsetup create plain --table "$crypt 1 $size"
	dmsetup create flags --table \
		"$crypt 3 $size no_read_workqueue no_write_workqueue"
	dmsetup create envelope --table "0 $sectors envelope aes-xts-plain64 \
:64:envelope:bench 0 $1 0 2 $size holes"
}

contents()
{
	dd if="/dev/mapper/$1" bs=1M iflag=direct status=none
}

# The figures count only if the cipher ran for every block, and ran right.
verify()
{
	local stats

	stats=$(dmsetup message envelope 0 stats)
	[[ $stats == *" holes 0 errors 0 "* ]] ||
		{ echo "bench: void, holes were read: $stats"; exit 1; }
	cmp <(contents envelope) <(contents plain) ||
		{ echo "bench: void, contents differ from dm-crypt's"; exit 1; }
	dmsetup remove linear plain flags envelope
	echo "VERIFIED"
}

# job NAME ENGINE DEPTH RW KIB TOTAL-KIB: one more for the next fio.
job()
{
	cat >> /run/jobs <<EOF
[$1]
ioengine=$2
iodepth=$3
rw=$4
bs=${5}k
size=${6}k
EOF
}

# mark: nanoseconds, which are instructions, and context switches so far.
cat > /run/mark <<'EOF'
date +%s%N
exec grep ctxt /proc/stat
EOF

# The nanoseconds and the switches between the marks of job $1.
between()
{
	paste -d' ' "/run/$1.prerun.txt" "/run/$1.postrun.txt" |
		awk '{ print $NF - $(NF / 2) }' | paste -sd' '
}

# measure PREFIX DEVICE: all jobs in one fio. No random map, which costs fio
# 250 instructions a request. A job of one block shows what the marks cost.
measure()
{
	local name kib bs cost cost_switches took s

	{
		cat <<EOF
[global]
filename=$2
direct=1
randrepeat=1
norandommap
stonewall
exec_prerun=sh /run/mark
exec_postrun=sh /run/mark
[marks]
ioengine=psync
rw=read
bs=4k
size=4k
EOF
		cat /run/jobs
	} > /run/fio
	(cd /run && fio fio > /run/fio.log) || { cat /run/fio.log; exit 1; }
	read -r cost cost_switches <<< "$(between marks)"
	sed -n 's/^\[\(.*\)\]$/\1/p; s/^bs=\(.*\)k$/\1/p; s/^size=\(.*\)k$/\1/p' \
		/run/jobs | paste -d' ' - - - |
		while read -r name bs kib; do
			read -r took s <<< "$(between "$name")"
			awk -v n=$((kib / bs)) -v t=$((took - cost)) \
				-v s=$((s - cost_switches)) \
				-v d="$1$(basename "$2")" -v w="$name" 'BEGIN {
				printf "RESULT %s %s %.0f %.2f\n", d, w,
					t / n, s / n }'
		done
}

jobs()
{
	job read-4k-qd1 io_uring 1 randread 4 $KIB
	job write-4k-qd1 io_uring 1 randwrite 4 $KIB
	job read-4k-qd32 io_uring 32 randread 4 $KIB
	job write-4k-qd32 io_uring 32 randwrite 4 $KIB
	job read-128k-qd4 io_uring 4 read 128 $((MIB * 1024))
	job write-128k-qd4 io_uring 4 write 128 $((MIB * 1024))
}

count()
{
	local device

	modprobe brd rd_nr=1 rd_size=$((MIB * 1024))
	fill /dev/ram0
	devices /dev/ram0 "$1"
	jobs
	job psync-read-4k psync 1 randread 4 $KIB
	job psync-write-4k psync 1 randwrite 4 $KIB
	for device in /dev/ram0 /dev/mapper/{linear,plain,flags,envelope}; do
		measure "" $device
	done
	verify
}

# Completions where they were submitted (irqmode 1, which takes a softirq only
# with several CPUs, and under -icount there is one), and from a hard interrupt
# (2).
interrupt()
{
	local mode device

	jobs
	for mode in 1 2; do
		modprobe null_blk nr_devices=1 gb=1 bs=512 memory_backed=1 \
			irqmode=$mode completion_nsec=1 queue_mode=2
		fill /dev/nullb0
		devices /dev/nullb0 "$1"
		for device in /dev/mapper/{flags,envelope}; do
			measure "irq$mode-" $device
		done
		verify
		rmmod null_blk
	done
}

# once DEVICE NAME FIO-ARGS...: its milliseconds.
once()
{
	local out

	out=$(fio --name=x --filename="/dev/mapper/$1" --direct=1 \
		--size="${MIB}M" --randrepeat=1 --output-format=terse \
		--terse-version=3 "${@:3}")
	awk -F';' -v d="$1" -v w="$2" '{
		printf "RESULT %s %s %d 0\n", d, w, $9 + $50 }' <<< "$out"
}

wall()
{
	local round device disk=$1 small=()

	if [ "$disk" = /dev/ram0 ]; then
		modprobe brd rd_nr=1 rd_size=$((MIB * 1024))
	else
		small=(--io_size=4m)
	fi
	fill "$disk"
	devices "$disk" 4096
	for round in 1 2 3 4 5 6 7; do
		for device in flags plain envelope; do
			if [ ${#small[@]} -gt 0 ]; then
				once $device read-4k-qd1 --ioengine=io_uring \
					--rw=randread --bs=4k "${small[@]}"
				once $device write-4k-qd1 --ioengine=io_uring \
					--rw=randwrite --bs=4k "${small[@]}"
				continue
			fi
			once $device read-1m --ioengine=psync --rw=read --bs=1m
			once $device write-1m --ioengine=psync --rw=write \
				--bs=1m
		done
		echo "round $round"
	done
	verify
}

"$PART" "$2"
