#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --disk 8 --kms --file /usr/bin/udevadm:/usr/lib/systemd/systemd-udevd --file /usr/bin/udevadm:/usr/bin/udevadm --file /lib/udev/rules.d/55-dm.rules:/usr/lib/udev/rules.d/55-dm.rules --file /lib/udev/rules.d/60-persistent-storage-dm.rules:/usr/lib/udev/rules.d/60-persistent-storage-dm.rules --file /lib/udev/rules.d/95-dm-notify.rules:/usr/lib/udev/rules.d/95-dm-notify.rules --file /lib/udev/rules.d/99-systemd.rules:/usr/lib/udev/rules.d/99-systemd.rules --file /lib/systemd/systemd:/usr/lib/systemd/systemd --file /bin/systemctl:/usr/bin/systemctl --file /bin/systemd-sysusers:/usr/bin/systemd-sysusers --file /lib/systemd/system/sysinit.target:/usr/lib/systemd/system/sysinit.target --file /lib/systemd/system/basic.target:/usr/lib/systemd/system/basic.target --file /lib/systemd/system/sockets.target:/usr/lib/systemd/system/sockets.target --file /lib/systemd/system/shutdown.target:/usr/lib/systemd/system/shutdown.target --file /lib/systemd/system/umount.target:/usr/lib/systemd/system/umount.target --file /lib/systemd/system/remote-fs.target:/usr/lib/systemd/system/remote-fs.target --file /lib/systemd/system/modprobe@.service:/usr/lib/systemd/system/modprobe@.service --file scripts/systemd/envelope-agent.service:/usr/lib/systemd/system/envelope-agent.service --file scripts/systemd/envelope-agent.socket:/usr/lib/systemd/system/envelope-agent.socket --file scripts/systemd/sysusers.conf:/usr/lib/sysusers.d/dm-envelope.conf --file /lib/udev/rules.d/60-block.rules:/usr/lib/udev/rules.d/60-block.rules --file /lib/udev/rules.d/60-persistent-storage.rules:/usr/lib/udev/rules.d/60-persistent-storage.rules --file scripts/udev/61-envelope.rules:/usr/lib/udev/rules.d/61-envelope.rules
# kernels: 6.12
# What udev and its readers make of a header, and a volume that is plugged in
# while envelopetab names it.
. /test/vm/helpers/attach.bash
unset DM_DISABLE_UDEV

UDEV=/usr/lib/udev
RULES=$UDEV/rules.d/61-envelope.rules
TAB=/etc/envelope/envelopetab

systemctl()
{
	nsenter --target "$(pgrep -x systemd)" --pid --mount \
		/usr/bin/systemctl "$@"
}

# start_systemd: as the first process of a namespace, as in a container.
start_systemd()
{
	mkdir -p /run/systemd/system /run/lock /etc/systemd
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	cat > /run/systemd/system/first.target <<-'TARGET'
		[Unit]
		Requires=envelope-agent.socket
		AllowIsolate=yes
	TARGET
	env container=test unshare --pid --fork --mount --mount-proc \
		/lib/systemd/systemd --system --unit=first.target \
		--log-target=console --show-status=false \
		> "$WORK/systemd.log" 2>&1 &
	wait_until 300 eval \
		'[ "$(systemctl is-active first.target)" = active ]' ||
		{ cat "$WORK/systemd.log"; return 1; }
}

# property DEV NAME: what udev knows.
property()
{
	udevadm info --query=property "$1" | sed -n "s/^$2=//p"
}

settled()
{
	udevadm settle --timeout=60
}

# unplug and plug: /dev/vdb goes, and comes back.
unplug()
{
	SLOT=$(dirname "$(realpath /sys/block/vdb/device)")
	echo 1 > "$SLOT/remove"
	wait_until 100 test ! -e /sys/block/vdb && settled
}

plug()
{
	echo 1 > /sys/bus/pci/rescan
	wait_until 100 test -e /sys/block/vdb
}

held()
{
	! /usr/bin/python3 -c 'import os
os.open("/dev/vdb", os.O_RDONLY | os.O_EXCL)' 2> /dev/null
}

gone()
{
	! test -e "/dev/disk/by-uuid/$UUID"
}

is()
{
	[ "$(systemctl is-active "envelope-attach@$1.service")" = "$2" ]
}

mkdir -p /run/udev "$UDEV" /usr/lib/systemd/system-generators
ln -s /usr/local/sbin/envelope-id "$UDEV"
ln -s /usr/local/sbin/envelope-generator /usr/lib/systemd/system-generators
/usr/lib/systemd/systemd-udevd --daemon 2> "$WORK/udevd"
systemd-sysusers || exit 1
wait_until 100 test -S /run/udev/control
udevadm trigger && settled

t "a blank disk has no type" eval '[ -z "$(property /dev/vdb ID_FS_TYPE)" ]'
t "format" envelope format /dev/vdb
UUID=$(envelope inspect --json /dev/vdb |
	sed -n 's/.*"uuid": *"\([0-9a-f-]*\)".*/\1/p' | head -n 1)
ID=$(id_of /dev/vdb)
t "udev looks again by itself" wait_until 100 \
	test -e "/dev/disk/by-uuid/$UUID"
settled
t "type" eval '[ "$(property /dev/vdb ID_FS_TYPE)" = dm_envelope ]'
t "usage" eval '[ "$(property /dev/vdb ID_FS_USAGE)" = crypto ]'
t "link by volume id" eval \
	'[ "$(realpath "/dev/disk/by-id/envelope-$ID")" = /dev/vdb ]'
t "lsblk says so" eval 'lsblk -nro FSTYPE,UUID /dev/vdb |
	grep -qx "dm_envelope $UUID"'
t_fails 2 "blkid alone knows nothing" blkid -p /dev/vdb
udevadm test /sys/block/vdb > "$WORK/test" 2>&1
t "the rules have no fault" eval '! grep -E "61-envelope.*(rror|nvalid|nknown)" \
	"$WORK/test"'
mkfs.ext4 -Fq /dev/vda
dd if=/dev/vdb of=/dev/vda bs=128K skip=1 seek=1 count=1 conv=notrunc \
	status=none
udevadm trigger --settle /sys/block/vda
t "a file system over an old copy stays one" eval \
	'[ "$(property /dev/vda ID_FS_TYPE)" = ext4 ]'

cat > "$TAB" <<LINES
data UUID=$UUID nofail
LINES
t "unplug" unplug
t "its link goes" wait_until 100 gone
t "systemd starts" start_systemd
t "nothing is attached" test ! -e /dev/mapper/data
t "plug" plug
t "it is attached" wait_until 60 test -e /dev/mapper/data
t "by its unit" wait_until 100 is data active
t "by-id links of the attached device" eval \
	'test -e /dev/disk/by-id/dm-name-data &&
	test -e "/dev/disk/by-id/dm-uuid-ENVELOPE-$UUID-data"'
t "the device below is held" held
t "and refuses another use" eval '! mkfs.ext4 -q /dev/vdb < /dev/null'
t "stop" systemctl stop envelope-attach@data.service
t "it is detached" test ! -e /dev/mapper/data
udevadm trigger --settle /sys/block/vdb
t "another look attaches nothing" test ! -e /dev/mapper/data
t "unplug again" unplug
sed -i 's/nofail/noauto/' "$TAB"
systemctl daemon-reload
t "plug again" eval 'plug && settled'
t "not what is noauto" eval 'wait_until 100 test -e "/dev/disk/by-uuid/$UUID" &&
	is data inactive'
t "but on demand" systemctl start envelope-attach@data.service
t "detach" systemctl stop envelope-attach@data.service
systemctl stop envelope-agent.socket envelope-agent.service
t "nothing left" nothing_left
systemctl exit > "$WORK/exit" 2>&1
done_testing
