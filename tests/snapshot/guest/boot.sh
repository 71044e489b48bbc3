#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# /dev/vda is a volume with a partitioned image: its own init goes on from here,
# with booted.sh as a service.
. /test/vm/helpers/attach.bash

UNITS=/run/systemd/system

# What kpartx does: a volume is a device-mapper device, which has no partitions.
map_partition()
{
	local start sectors

	read -r start sectors < <(partx -gro START,SECTORS /dev/mapper/x)
	dmsetup create x1 --table \
		"0 $sectors linear /dev/mapper/x $start"
}

modprobe ext4
t "attach" envelope attach --direct /dev/vda x
t "its blocks are those that the partition table counts" \
	[ "$(blockdev --getss /dev/mapper/x)" = 512 ]
t "its partition" map_partition
t "its root" eval "mkdir -p /next && mount /dev/mapper/x1 /next"

mkdir -p "$UNITS/multi-user.target.wants"
cp /test/lib.sh /test/booted.sh /run
cat > "$UNITS/booted.service" <<UNIT
[Service]
ExecStart=/bin/bash /run/booted.sh $T_COUNT $T_FAILED
StandardOutput=file:/dev/ttyS1
StandardError=file:/dev/ttyS1
UNIT
ln -s ../booted.service "$UNITS/multi-user.target.wants"
if [ "$T_FAILED" -eq 0 ]; then
	echo /next > /run/next-root
else
	done_testing
fi
