#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
# vm: --time 1800
# A machine that dies: whatever is cut off, ext4 and XFS on a volume recover,
# are clean, and have all that was synced. The disk stops at a flush or a write
# with FUA; with ext4 on large blocks also some pieces are there of what it had
# and did not have to keep, so that blocks are torn.
#
#   target-crash.sh [SEED [POINTS]]   points are those of one volume
. /test/vm/helpers/target.bash

SEED=${1:-$((RANDOM + 1))}
POINTS=${2:-75}
echo "# seed $SEED"
RANDOM=$SEED
MIB=24
BYTES=$((MIB << 20))
SECTORS=$((MIB * 2048))
LOG=/dev/ram1
BASE=/dev/ram2
CRASHED=/dev/ram3
mkdir -p /tmp/fs
disks 4 $((128 << 10))
modprobe -a dm_log_writes ext4 xfs
key vol-c 1 > /dev/null

make_ext4()
{
	mkfs.ext4 -q -b "$1" -J size=4 \
		-E lazy_itable_init=0,lazy_journal_init=0,nodiscard "$2"
}

check_ext4()
{
	e2fsck -fn "$1"
}

# sectors as small as the volume's, and smaller than mkfs likes
make_xfs()
{
	mkfs.xfs --unsupported -q -f -K -s size="$1" "$2"
}

check_xfs()
{
	# it has one allocation group only
	xfs_repair -n -o force_geometry "$1"
}

# volume DEVICE OPTION...: the volume whose disk it is.
volume()
{
	DISK=$1 table $SECTORS vol-c "${@:2}"
}

# recorded FS SECTOR_SIZE STEPS: BASE has the volume before the work, LOG the
# work.
recorded()
{
	blkdiscard $LOG
	create env "$(volume /dev/ram0 "sector_size:$2" holes)" &&
		"make_$1" "$((FS_BLOCK))" /dev/mapper/env &&
		dmsetup remove env &&
		dd if=/dev/ram0 of=$BASE bs=1M count=$MIB iflag=direct \
			oflag=direct status=none &&
		create logged "0 $SECTORS log-writes /dev/ram0 $LOG" &&
		create env "$(volume /dev/mapper/logged "sector_size:$2" holes)" &&
		mount -t "$1" /dev/mapper/env /tmp/fs &&
		crashfs work /tmp/fs "$3" "$SEED" logged
	local rc=$?
	umount /tmp/fs
	dmsetup remove env && dmsetup remove logged && [ $rc -eq 0 ]
}

# recovers FS DONE: what the crash left, after its log was played.
recovers()
{
	mount -t "$1" /dev/mapper/crashed /tmp/fs &&
		crashfs check /tmp/fs "$2" "$SEED"
	local rc=$?
	umount /tmp/fs && [ $rc -eq 0 ] && "check_$1" /dev/mapper/crashed
}

# all_recover FS POINTS TEAR: as many of its points as are asked for.
all_recover()
{
	local total step point mark tear="" from=0 count=0

	total=$(logwrites points $LOG)
	step=$(((total - 1) * 100 / $2))
	[ $step -ge 100 ] || { echo "only $total points"; return 1; }
	while ((count++ < $2)); do
		point=$((1 + (count - 1) * step / 100 +
			RANDOM % (step / 100)))
		[ -z "$3" ] || tear=$((RANDOM + 1))
		# shellcheck disable=SC2086 # perhaps no word
		mark=$(logwrites replay $LOG $BASE $from $point $CRASHED \
			$BYTES $tear) || return 1
		recovers "$1" "$mark" > /tmp/recovery 2>&1 || {
			cat /tmp/recovery
			echo "point $point of $total, mark $mark, tear $tear"
			return 1
		}
		from=$point
	done
	echo "# $2 of $total points" > /dev/ttyS1
}

# crashes FS SECTOR_SIZE FS_BLOCK STEPS [torn]
crashes()
{
	local what="$1 on blocks of $2${5:+, torn}"

	FS_BLOCK=$3
	t "crash: $what, work is recorded" recorded "$1" "$2" "$4"
	create crashed "$(volume $CRASHED "sector_size:$2" holes)"
	t "crash: $what, clean and complete at every point" \
		all_recover "$1" "$POINTS" "$5"
	dmsetup remove crashed
}

crashes ext4 4096 4096 40 torn
crashes ext4 512 1024 40 ""
crashes xfs 4096 4096 40 ""
crashes xfs 512 512 40 ""
t "the module goes" rmmod dm_envelope
done_testing
