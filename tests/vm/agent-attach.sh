#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --disk 8 --kms --file /usr/bin/flock:/usr/bin/flock
# The agent attaches for a user what root's policy lets him, remembers it over
# its own death, and shows it to nobody else.
. /test/vm/helpers/attach.bash

STATE=/var/lib/envelope/agent/volumes.json

echo "envelope:x:900:" >> /etc/group
cat > /etc/envelope/agent.policy <<POLICY
[uid 65534]
devices = passed /dev/links/his*
names = mine vol-*
POLICY

start_agent()
{
	mkdir -p /run/envelope
	envelope-agent >> "$WORK/agent.log" 2>&1 &
	AGENT=$!
	wait_until 120 test -S /run/envelope/agent.sock
}

kill_agent()
{
	kill -9 "$AGENT"
	wait "$AGENT" 2> "$WORK/waited"
	rm -f /run/envelope/agent.sock
}

# user UID COMMAND...: as that user, of the group that may ask the agent.
user()
{
	local uid=$1

	shift
	setpriv --reuid "$uid" --regid "$uid" --groups 900 "$@"
}

his()
{
	user 65534 "$@"
}

no_volumes()
{
	grep -q '"volumes":\[\]' "$STATE"
}

t "format" envelope format /dev/vda
t "format another" envelope format /dev/vdb
ID=$(id_of /dev/vda)
OTHER=$(id_of /dev/vdb)
chown 65534 /dev/vda
t_says 4 "no agent: another user is told what to do" \
	"no agent answers at /run/envelope/agent.sock" his envelope list
t "no agent: root needs none to look" envelope list
start_agent

t_says 0 "a user attaches" "^/dev/mapper/mine: volume $ID, 7.0 MiB" \
	his envelope attach /dev/vda mine
t "the key is in the keyring" eval "keys_left | grep ' envelope  *$ID'"
t "it takes data" dd if=/dev/urandom of=/dev/mapper/mine bs=64K count=1 \
	oflag=direct
t_says 0 "the metrics have it" "^envelope_volume_state.*name=\"mine\".*1$" \
	eval "envelope metrics | grep 'state=\"active\"'"
t_says 0 "with what was written" "name=\"mine\".* 65536$" \
	eval "envelope metrics | grep '^envelope_volume_written_bytes_total{'"
t_says 0 "its lineage" "$ID +remembered +attached as mine" envelope lineage
t_says 0 "his status" "attached by: user 65534" his envelope status mine
t_says 0 "by volume id" "/dev/mapper/mine is active" his envelope status "$ID"
t_says 0 "by path" "/dev/mapper/mine is active" \
	his envelope status /dev/mapper/mine
t_says 0 "his list" "$ID +active .*/dev/mapper/mine" his envelope list
t_says 0 "root's list" "$ID" envelope list

t_says 8 "another user's status" "'mine' is not attached" \
	user 7 envelope status mine
t_says 8 "another user's status by id" "'$ID' is not attached" \
	user 7 envelope status "$ID"
t_says 8 "the same of what is not there" "'none' is not attached" \
	user 7 envelope status none
t "another user's list is empty" eval "! user 7 envelope list | grep ."
t_says 8 "another user cannot detach" "'mine' is not attached" \
	user 7 envelope detach mine
t_says 1 "another user cannot even open it" "cannot open it|policy" \
	eval "user 7 envelope attach vda mine"
t_says 3 "another user is in no section" "does not let user 7 attach '/dev/vda'" \
	user 7 envelope attach /dev/vda mine
t "it is still there" dmsetup info mine

t_says 7 "a second attach of the volume" "volume $ID is attached already" \
	envelope attach /dev/vda other
t_says 7 "a name that is taken" "'mine': a device of that name exists" \
	envelope attach /dev/vdb mine
t_says 3 "a name that is not his" "under the name '?theirs" \
	his envelope attach /dev/vda theirs
t_says 3 "a device that he cannot open" "not let user 65534 attach '/dev/vdb'" \
	his envelope attach /dev/vdb

# Root has made the link; the user cannot open what it leads to.
mkdir /dev/links
ln -s /dev/vdb /dev/links/his-disk
t_says 0 "a link of root's" "^/dev/mapper/$OTHER: volume $OTHER" \
	his envelope attach /dev/links/his-disk
t "its owner detaches it" his envelope detach "$OTHER"
# He cannot open it: that it is his, the agent alone can say.
dmsetup create below --table "0 $(cat /sys/block/vdb/size) linear /dev/vdb 0"
ln -s /dev/mapper/below /dev/links/his-linear
t "a link to a device of device mapper's" his envelope attach /dev/links/his-linear
t_says 0 "found by the device below it" "^ +0 .*$(key_of /dev/vdb)" \
	his envelope slot list /dev/mapper/below
t_says 0 "found by the link" "^ +0 .*$(key_of /dev/vdb)" \
	his envelope slot list /dev/links/his-linear
t "detached from device mapper's" his envelope detach "$OTHER"
dmsetup remove below
ln -s /dev/vdb /dev/links/theirs
t_says 3 "a link that the policy does not name" "attach '/dev/links/theirs'" \
	his envelope attach /dev/links/theirs
chown -h 7 /dev/links/his-disk
t_says 3 "a link of another's" "others than root can make it lead elsewhere" \
	his envelope attach /dev/links/his-disk
chown -h 0 /dev/links/his-disk

kill_agent
start_agent
t_says 0 "after a restart it is his still" "attached by: user 65534" \
	his envelope status mine
t_says 8 "after a restart others do not see it" "is not attached" \
	user 7 envelope status mine
t_says 0 "the journal says so" "volume $ID is attached as 'mine' still" \
	cat "$WORK/agent.log"

exec 9< /dev/mapper/mine
t_says 7 "in use: not detached" "'mine' is in use: unmount it" \
	his envelope detach mine
exec 9<&-
t "and his still" his envelope status mine
t "he detaches it" his envelope detach mine
t "nothing left" nothing_left
t "nothing remembered" no_volumes

t "attach again" his envelope attach /dev/vda mine
dmsetup remove mine
t "removed by other means: detach drops the key" his envelope detach mine
t "removed by other means: nothing left" nothing_left
t "removed by other means: nothing remembered" no_volumes

t "attach once more" his envelope attach /dev/vda mine
kill_agent
dmsetup remove mine
start_agent
t "removed while the agent was dead: forgotten" no_volumes
t "removed while the agent was dead: nothing left" nothing_left

t "root attaches directly" envelope attach --direct /dev/vda root
t_says 8 "what root attached is nobody else's" "is not attached" \
	his envelope status root
t "root detaches it by the agent" envelope detach root
t "root detached it: nothing left" nothing_left

host aws disable-key --key-id "$(key_of /dev/vda)"
t_says 3 "a disabled key: refused" "is disabled" his envelope attach /dev/vda mine
host aws enable-key --key-id "$(key_of /dev/vda)"
t "a disabled key: nothing left" nothing_left
t "a disabled key: nothing remembered" no_volumes

truncate -s 8M "$WORK/file"
t "format a file" envelope format "$WORK/file"
chmod 755 "$WORK"
chown 65534 "$WORK/file"
t "a user attaches his file" his envelope attach "$WORK/file" mine
t "and detaches it" his envelope detach mine
t "the file: nothing left" nothing_left

# An attach that waits for its KMS has the volume and the name.
asks_the_kms()
{
	grep -q ' 0202000A:[0-9A-F]* 01 ' /proc/net/tcp
}

# at_once: a detach and an attach; either may come first.
at_once()
{
	local detach rc=0

	his envelope detach mine &
	detach=$!
	his envelope attach /dev/vda mine || rc=$?
	wait "$detach" || return 1
	case $rc in
	0)
		his envelope status mine && his envelope detach mine
		;;
	7)
		! his envelope status mine
		;;
	*)
		return 1
		;;
	esac
}

host kms-pause
his envelope attach /dev/vda mine > "$WORK/first" 2>&1 &
FIRST=$!
t "an attach waits for the KMS" wait_until 120 asks_the_kms
t_says 7 "two attaches of one volume: the second is told" \
	"volume $ID or the name 'mine' is being attached already" \
	his envelope attach /dev/vda mine
t_says 7 "another volume under that name is told, too" \
	"volume $OTHER or the name 'mine' is being attached already" \
	his envelope attach /dev/links/his-disk mine
t_says 8 "a detach meanwhile finds nothing" "'mine' is not attached" \
	his envelope detach mine
host kms-cont
t "the first comes to its end" wait "$FIRST"
t "and is attached" his envelope status mine
t "detach and attach at once" at_once
t "at once: nothing left" nothing_left
t "at once: nothing remembered" no_volumes

# Another process has the header: who writes is told, who reads need not wait.
exec 9< /dev/vda
t "another process locks the header" flock -n 9
t_says 7 "a locked header: rewrap is told" \
	"another program holds the header's lock: try again when it is done" \
	timeout 300 envelope rewrap --kms-key "$(key_of /dev/vda)" /dev/vda
t "a locked header: attach does not wait" his envelope attach /dev/vda mine
t "a locked header: nor does detach" his envelope detach mine
exec 9<&-
t "a free one: rewrap" envelope rewrap --kms-key "$(key_of /dev/vda)" /dev/vda
t "and attach" his envelope attach /dev/vda mine
t "and detach" his envelope detach mine
t "the header: nothing left" nothing_left

done_testing
