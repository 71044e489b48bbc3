#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --kms --file /lib/systemd/systemd:/usr/lib/systemd/systemd --file /bin/systemctl:/usr/bin/systemctl --file /bin/systemd-sysusers:/usr/bin/systemd-sysusers --file /lib/systemd/system/sysinit.target:/usr/lib/systemd/system/sysinit.target --file /lib/systemd/system/basic.target:/usr/lib/systemd/system/basic.target --file /lib/systemd/system/sockets.target:/usr/lib/systemd/system/sockets.target --file /lib/systemd/system/shutdown.target:/usr/lib/systemd/system/shutdown.target --file /lib/systemd/system/modprobe@.service:/usr/lib/systemd/system/modprobe@.service --file scripts/systemd/envelope-agent.service:/usr/lib/systemd/system/envelope-agent.service --file scripts/systemd/envelope-agent.socket:/usr/lib/systemd/system/envelope-agent.socket --file scripts/systemd/envelope-metrics-http.service:/usr/lib/systemd/system/envelope-metrics-http.service --file scripts/systemd/envelope-metrics-http.socket:/usr/lib/systemd/system/envelope-metrics-http.socket --file scripts/systemd/sysusers.conf:/usr/lib/sysusers.d/dm-envelope.conf
# kernels: 6.12
# The agent as systemd itself runs it, by the units as they are installed.
. /test/vm/helpers/attach.bash

UNIT=envelope-agent.service
DROP=/run/systemd/system/$UNIT.d

user()
{
	setpriv --reuid 65534 --regid 65534 --groups "$GROUP" "$@"
}

agent_pid()
{
	pgrep -o -x envelope-agent
}

# It talks only to who sees its process ids.
systemctl()
{
	nsenter --target "$(pgrep -x systemd)" --pid --mount \
		/usr/bin/systemctl "$@"
}

show()
{
	systemctl show --value --property "$1" "$UNIT"
}

is()
{
	[ "$(show "$1")" = "$2" ] || { systemctl status "$UNIT"; return 1; }
}

# The socket's file is there before it has its owner and mode.
listening()
{
	[ "$(systemctl is-active envelope-agent.socket)" = active ]
}

# systemd as the first process of a namespace, as in a container.
start_systemd()
{
	mkdir -p "$DROP" /run/lock /etc/systemd
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	cat > /run/systemd/system/first.target <<-'TARGET'
		[Unit]
		Requires=envelope-agent.socket
		AllowIsolate=yes
	TARGET
	printf '[Service]\nStandardError=append:/run/agent.log\n' \
		> "$DROP/log.conf"
	env container=test unshare --pid --fork --mount --mount-proc \
		/lib/systemd/systemd --system --unit=first.target \
		--log-target=console --show-status=false \
		> "$WORK/systemd.log" 2>&1 &
	wait_until 300 listening ||
		{ cat "$WORK/systemd.log"; return 1; }
}

socket_is_the_groups()
{
	[ "$(stat -c "%U %g %a" /run/envelope/agent.sock)" = \
		"root $GROUP 660" ]
}

confined()
{
	grep -q "^Seccomp:.*2$" "/proc/$(agent_pid)/status" &&
		grep -q "^NoNewPrivs:.*1$" "/proc/$(agent_pid)/status"
}

# What the port of the metrics answers, to anybody.
scrape()
{
	setpriv --reuid 7 --regid 7 --clear-groups timeout 120 bash -c '
		exec 3<>/dev/tcp/127.0.0.1/9755
		printf "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" >&3
		cat <&3'
}

metrics_confined()
{
	local pid

	pid=$(pgrep -f -o "envelope metrics --http") &&
		grep -q "^Seccomp:.*2$" "/proc/$pid/status" &&
		[ "$(readlink "/proc/$pid/ns/net")" != \
			"$(readlink /proc/self/ns/net)" ]
}

watchdog_bites()
{
	printf '[Service]\nWatchdogSec=15s\n' > "$DROP/watchdog.conf"
	systemctl daemon-reload && systemctl restart "$UNIT" &&
		kill -STOP "$(agent_pid)" &&
		wait_until 300 is NRestarts 1
}

systemd-sysusers || exit 1
GROUP=$(sed -n 's/^envelope:x:\([0-9]*\):.*/\1/p' /etc/group)
cat > /etc/envelope/agent.policy <<POLICY
[uid 65534]
devices = passed
names = mine
POLICY
envelope format /dev/vda > "$WORK/format" 2>&1 || { cat "$WORK/format"; exit 1; }
ID=$(id_of /dev/vda)
chown 65534 /dev/vda

t "systemd listens for the agent" start_systemd
t "the socket is the group's" socket_is_the_groups
t "the agent does not run yet" is ActiveState inactive
t "the first call starts it" user envelope list
t "it has said that it is ready" is SubState running
t "it runs confined" confined
t "it may not dump its memory" grep -qE '^Max core file size +0 +0 ' \
	"/proc/$(agent_pid)/limits"
t_says 0 "a user attaches under the unit's confinement" \
	"^/dev/mapper/mine: volume $ID" user envelope attach /dev/vda mine
# No udev runs here, which makes the nodes of what the agent attaches.
t "its node" dmsetup mknodes mine
t "the device takes data" dd if=/dev/urandom of=/dev/mapper/mine bs=64K \
	count=1 oflag=direct conv=nocreat
t "systemd listens for the metrics" systemctl start envelope-metrics-http.socket
t_says 0 "they come by HTTP" "envelope_volume_state.*$ID" scrape
t "from a process without a network" metrics_confined
t "its state is where the unit says" \
	grep -q "$ID" /var/lib/envelope/agent/volumes.json
sed -i 's/names = mine/names = other/' /etc/envelope/agent.policy
t "reload" systemctl reload "$UNIT"
t_says 3 "the new policy counts" "does not let user 65534" \
	user envelope attach /dev/vda mine
t "restart" systemctl restart "$UNIT"
t_says 0 "the volume is his still" "attached by: user 65534" \
	user envelope status mine
t "the watchdog ends an agent that hangs, and starts another" watchdog_bites
t_says 0 "the volume is his after that, too" "attached by: user 65534" \
	user envelope status mine
t "he detaches it" user envelope detach mine
t "nothing left" nothing_left
t "stop" systemctl stop "$UNIT"
t "it ended well" is Result success
t "the next call starts it again" user envelope list
systemctl exit > "$WORK/exit" 2>&1
done_testing
