#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --kms --file /usr/bin/udevadm:/usr/lib/systemd/systemd-udevd --file /usr/bin/udevadm:/usr/bin/udevadm --file /lib/udev/rules.d/55-dm.rules:/usr/lib/udev/rules.d/55-dm.rules --file /lib/udev/rules.d/60-persistent-storage-dm.rules:/usr/lib/udev/rules.d/60-persistent-storage-dm.rules --file /lib/udev/rules.d/95-dm-notify.rules:/usr/lib/udev/rules.d/95-dm-notify.rules
# kernels: 6.12
# With udev running: it makes and removes the links, no cookie stays, and its
# probing does not get into the way of a detach.
. /test/vm/helpers/attach.bash
unset DM_DISABLE_UDEV

no_cookies()
{
	! dmsetup udevcookies --noheadings 2> /dev/null | grep -i 0x
}

often()
{
	local i

	for ((i = 0; i < 5; i++)); do
		envelope attach --direct /dev/vda x &&
			[ -L /dev/mapper/x ] && envelope detach x &&
			[ ! -e /dev/mapper/x ] || return 1
	done
}

mkdir -p /run/udev
/usr/lib/systemd/systemd-udevd --daemon 2> "$WORK/udevd"
t "udev runs" wait_until 100 test -S /run/udev/control
t "udev settles" eval "udevadm trigger && udevadm settle --timeout=30"

t "format" envelope format --size 4M /dev/vda
t "attach" envelope attach --direct /dev/vda x
t "udev made the link" test -L /dev/mapper/x
t "udev knows the volume" eval "udevadm info /dev/mapper/x |
	grep DM_UUID=ENVELOPE-.*-x"
t "no cookie after attach" no_cookies
t "resize" envelope resize x
t "no cookie after resize" no_cookies
t "detach" envelope detach x
t "udev removed the link" test ! -e /dev/mapper/x
t "no cookie after detach" no_cookies
t "nothing left" nothing_left
t "five times over" often

truncate -s 2M "$WORK/odd"
t "format blocks of 512" envelope format --sector-size 512 --size 262656 \
	"$WORK/odd"
losetup -b 4096 /dev/loop0 "$WORK/odd"
t_fails 1 "table refused" envelope attach --direct /dev/loop0 odd
t "no cookie after a failure" no_cookies
losetup -d /dev/loop0
t "nothing left at the end" nothing_left
done_testing
