#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --disk 8 --kms --file /usr/bin/udevadm:/usr/lib/systemd/systemd-udevd --file /usr/bin/udevadm:/usr/bin/udevadm --file /lib/udev/rules.d/55-dm.rules:/usr/lib/udev/rules.d/55-dm.rules --file /lib/udev/rules.d/60-persistent-storage-dm.rules:/usr/lib/udev/rules.d/60-persistent-storage-dm.rules --file /lib/udev/rules.d/95-dm-notify.rules:/usr/lib/udev/rules.d/95-dm-notify.rules --file /lib/udev/rules.d/99-systemd.rules:/usr/lib/udev/rules.d/99-systemd.rules --file /lib/systemd/systemd:/usr/lib/systemd/systemd --file /bin/systemctl:/usr/bin/systemctl --file /bin/systemd-sysusers:/usr/bin/systemd-sysusers --file /lib/systemd/system/sysinit.target:/usr/lib/systemd/system/sysinit.target --file /lib/systemd/system/basic.target:/usr/lib/systemd/system/basic.target --file /lib/systemd/system/sockets.target:/usr/lib/systemd/system/sockets.target --file /lib/systemd/system/shutdown.target:/usr/lib/systemd/system/shutdown.target --file /lib/systemd/system/umount.target:/usr/lib/systemd/system/umount.target --file /lib/systemd/system/remote-fs.target:/usr/lib/systemd/system/remote-fs.target --file /lib/systemd/system/modprobe@.service:/usr/lib/systemd/system/modprobe@.service --file scripts/systemd/envelope-agent.service:/usr/lib/systemd/system/envelope-agent.service --file scripts/systemd/envelope-agent.socket:/usr/lib/systemd/system/envelope-agent.socket --file scripts/systemd/sysusers.conf:/usr/lib/sysusers.d/dm-envelope.conf
# kernels: 6.12
# What envelopetab names, as systemd itself attaches and detaches it, by the
# units that the generator makes for it.
. /test/vm/helpers/attach.bash
unset DM_DISABLE_UDEV

GENERATORS=/usr/lib/systemd/system-generators
TAB=/etc/envelope/envelopetab
LOG=/run/attach.log

# It talks only to who sees its process ids.
systemctl()
{
	nsenter --target "$(pgrep -x systemd)" --pid --mount \
		/usr/bin/systemctl "$@"
}

unit()
{
	systemctl "$1" "envelope-attach@$2.service" && return
	cat "$LOG"
	return 1
}

is()
{
	[ "$(systemctl is-active "envelope-attach@$1.service")" = "$2" ] ||
		{ cat "$LOG"; return 1; }
}

booted()
{
	[ "$(systemctl is-active remote-fs.target)" = active ]
}

# systemd as the first process of a namespace, as in a container.
start_systemd()
{
	mkdir -p /run/systemd/system /run/lock /etc/systemd
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir -p /run/systemd/system/envelope-attach@.service.d
	printf '[Service]\nStandardOutput=append:%s\nStandardError=append:%s\n' \
		"$LOG" "$LOG" > /run/systemd/system/envelope-attach@.service.d/log.conf
	# Nobody may start that target by hand.
	printf '[Unit]\nDefaultDependencies=no\nRequires=umount.target\nAfter=umount.target\n' \
		> /run/systemd/system/away.target
	cat > /run/systemd/system/first.target <<-'TARGET'
		[Unit]
		Requires=envelope-agent.socket
		Wants=remote-fs.target
		After=remote-fs.target
		AllowIsolate=yes
	TARGET
	env container=test unshare --pid --fork --mount --mount-proc \
		/lib/systemd/systemd --system --unit=first.target \
		--log-target=console --show-status=false \
		> "$WORK/systemd.log" 2>&1 &
	wait_until 300 booted || { cat "$WORK/systemd.log"; return 1; }
}

no_device()
{
	! dm_devices
}

mkdir -p /run/udev
/usr/lib/systemd/systemd-udevd --daemon 2> "$WORK/udevd"
systemd-sysusers || exit 1
wait_until 100 test -S /run/udev/control
udevadm trigger && udevadm settle --timeout=30
mkdir -p "$GENERATORS"
ln -s /usr/local/sbin/envelope-generator "$GENERATORS"
truncate -s 4M /root/disk
for disk in /dev/vda /dev/vdb /root/disk; do
	envelope format "$disk" > "$WORK/format" 2>&1 ||
		{ cat "$WORK/format"; exit 1; }
done
ID=$(id_of /dev/vda)
OTHER=$(id_of /dev/vdb)
cat > "$TAB" <<LINES
data $ID
spare /dev/vdb noauto,lease=15m,x-systemd.device-timeout=1m
file /root/disk direct,noauto,_netdev
wrong /dev/vdb luks
gone vol-00000000000000000 nofail,tries=1
LINES

t "systemd boots" start_systemd
t "the boot has attached what it waits for" is data active
t "by the agent" eval "envelope status data | grep 'attached by: user 0'"
t "not what is noauto" is spare inactive
t "nofail has failed, and is seen to" wait_until 60 is gone failed
t "the broken line has no unit" test ! -e \
	"/proc/$(pgrep -x systemd)/root/run/systemd/generator/envelope-attach@wrong.service"
t "the device takes data" dd if=/dev/urandom of=/dev/mapper/data bs=64K \
	count=1 oflag=direct conv=nocreat
t_says 0 "again: it is there already" "volume $ID, attached already" \
	envelope tab attach data
t "noauto, on demand" unit start spare
t "with its lease" eval "envelope status spare | grep -i 'lease.*15m'"
t "a file, without the agent" unit start file
t_says 1 "check: attached, and what is not there" \
	"data: volume $ID, attached" envelope tab check
sed -i "s/^data .*/data $OTHER/" "$TAB"
t_says 7 "the name is another volume's" "volume $ID is attached by that name" \
	envelope tab attach data
sed -i "s/^data .*/data $ID/" "$TAB"
systemctl daemon-reload

t "stop" unit stop spare
t "it is detached" test ! -e /dev/mapper/spare
t "detach again" envelope tab detach spare
t "start again" unit start spare
t "lock" envelope lock spare
t_says 0 "a locked one is attached" "attached already, locked" \
	envelope tab attach spare
t "systemd unmounts all, as for a shutdown" systemctl start away.target
t "all are detached, the locked one, too" no_device
t "and have ended well" eval "is data inactive && is spare inactive &&
	is file inactive"
t "nothing left" nothing_left

t "once more" unit start data
systemctl stop envelope-agent.socket envelope-agent.service
t "without an agent, root detaches it" envelope tab detach data
t "nothing left after that" nothing_left
systemctl exit > "$WORK/exit" 2>&1
done_testing
