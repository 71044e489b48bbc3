#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --kms
# kernels: 6.12
# Many volumes attached at once by one agent, and many attaches of one volume:
# 8 and 12 rounds; LONG=1: 200 and 1,000.
. /test/vm/helpers/attach.bash

VOLUMES=8
ROUNDS=12
if [ -n "${LONG:-}" ]; then
	VOLUMES=${LONG_VOLUMES:-200}
	ROUNDS=${LONG_ROUNDS:-1000}
fi
SECTORS=8192

start_agent()
{
	mkdir -p /run/envelope
	envelope-agent >> "$WORK/agent.log" 2>&1 &
	AGENT=$!
	wait_until 120 test -S /run/envelope/agent.sock
}

is_idle()
{
	[ -z "$(cat "/proc/$AGENT/task/$AGENT/children")" ]
}

# field NAME: of the agent's status; kB.
field()
{
	sed -n "s/^$1:[ \t]*\([0-9]*\).*/\1/p" "/proc/$AGENT/status"
}

descriptors()
{
	find "/proc/$AGENT/fd" -mindepth 1 | wc -l
}

# Root's keys; those that are dead are collected in a while.
keys()
{
	awk '$1 == "0:" { split($3, n, "/"); print n[1] }' /proc/key-users
}

few_keys()
{
	[ "$(keys)" -le "$1" ]
}

modprobe brd rd_nr=1 rd_size=$((VOLUMES * SECTORS / 2))
for ((i = 0; i < VOLUMES; i++)); do
	dmsetup create "disk$i" --table \
		"0 $SECTORS linear /dev/ram0 $((i * SECTORS))"
done

# each COMMAND...: with the number of each volume behind it, four at a time.
each()
{
	seq 0 $((VOLUMES - 1)) | xargs -P 4 -I{} "$@"
}

t "an agent" start_agent
t "format all" each envelope format /dev/mapper/disk{}
t "attach all" each envelope attach /dev/mapper/disk{} many{}
t "all are there" [ "$(dm_devices | wc -l)" -eq "$VOLUMES" ]
t "the agent lists all" eval \
	'[ "$(envelope list | grep -c "/dev/mapper/many")" -eq $VOLUMES ]'
t "a key and a seal for each" [ "$(keys_left | wc -l)" -eq $((2 * VOLUMES)) ]
wait_until 120 is_idle
echo "# the agent with $VOLUMES volumes: $(field VmRSS) kB, of its own $(field RssAnon) kB"
t "the agent has less than 16 MB" [ "$(field VmRSS)" -lt 16384 ]
kill -9 "$AGENT"
wait "$AGENT"
rm -f /run/envelope/agent.sock
t "an agent after it" start_agent
t "it knows all" eval \
	'[ "$(envelope list | grep -c "/dev/mapper/many")" -eq $VOLUMES ]'
t "detach all" each envelope detach many{}
t "nothing left" nothing_left

# round: one attach and detach.
round()
{
	envelope attach /dev/mapper/disk0 one && envelope detach one
}

rounds()
{
	local i

	for ((i = 0; i < $1; i++)); do
		round || return 1
	done
	wait_until 120 is_idle
}

t "some rounds to begin with" rounds 3
t "nothing left of them" nothing_left
KEYS=$(keys)
FDS=$(descriptors)
OWN=$(field RssAnon)
t "$ROUNDS rounds" rounds "$ROUNDS"
echo "# after $ROUNDS rounds: $OWN kB before, $(field RssAnon) kB after"
t "memory does not grow" [ "$(field RssAnon)" -le $((OWN + 256)) ]
t "descriptors do not grow" [ "$(descriptors)" -le "$FDS" ]
t "keys do not grow" wait_until 120 few_keys "$KEYS"
t "nothing left of the rounds" nothing_left

kill "$AGENT"
wait "$AGENT"
for ((i = 0; i < VOLUMES; i++)); do
	dmsetup remove "disk$i"
done
done_testing
