#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A service of the image's own systemd: has it booted? Its arguments are how many
# results there were before, and how many of them were failures.
. /run/lib.sh
T_COUNT=$1
T_FAILED=$2

t "the image's init runs" [ "$(cat /proc/1/comm)" = systemd ]
t "it reaches its target" wait_until 300 \
	systemctl is-active --quiet multi-user.target
t "none of its units has failed" eval \
	"! systemctl list-units --failed --plain --no-legend | grep ."
t "its root is the partition of the volume" \
	[ "$(findmnt --noheadings --output SOURCE /)" = /dev/mapper/x1 ]
t "it is named as the image is" [ "$(cat /proc/sys/kernel/hostname)" = image ]
cd / || exit
t "its files are those of Debian's packages" md5sum --quiet --check \
	--ignore-missing var/lib/dpkg/info/{bash,systemd,udev}.md5sums \
	var/lib/dpkg/info/libc6:amd64.md5sums
t "it can be written to" eval "date > /root/booted && sync"
done_testing
echo "VM-VERDICT $?"
systemctl reboot --force --force
