#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 32 --kms
# kernels: 6.12
# Leases that the agent keeps: a KMS that denies, one that is silent, an agent
# that dies, and whoever locks and unlocks by hand, under a load that verifies.
. /test/vm/helpers/attach.bash

echo "envelope:x:900:" >> /etc/group
cat > /etc/envelope/agent.policy <<POLICY
[uid 65534]
devices = passed
names = mine
[agent]
lease-cap = 90s
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

aws()
{
	host aws "$1" --key-id "$KEY" "${@:2}" > /dev/null
}

is_locked()
{
	envelope status --json mine > "$WORK/status"
	[ $? -eq 10 ] && grep -q "\"reason\": \"$1\"" "$WORK/status"
}

# lease_is STATE: as the agent sees it.
lease_is()
{
	envelope status --json mine > "$WORK/status"
	grep -q "\"state\": \"$1\"" <(sed -n '/"lease": {/,/}/p' "$WORK/status")
}

writes()
{
	envelope status --json mine |
		sed -n 's/.*"writes": *\([0-9]*\).*/\1/p'
}

# told NAME RESULT: such an event came to the user.
told()
{
	grep -q "\"name\":\"$1\",\"result\":\"$2\"" "$WORK/events"
}

# listen: the user's events, from now on.
listen()
{
	his envelope events --json >> "$WORK/events" &
	LISTENER=$!
	wait_until 120 eval "ls -l /proc/$LISTENER/fd | grep -q socket:"
}

timeout_of()
{
	awk -v id="$ID" '$8 == "envelope" && $9 ~ id { print $4 }' /proc/keys
}

t "format with a lease" envelope format --lease 30s --grace 60s /dev/vda
ID=$(id_of /dev/vda)
KEY=$(key_of /dev/vda)
chown 65534 /dev/vda
start_agent
listen
t_says 0 "attach says who renews" \
	"locks when the KMS denies, or after 90s without an answer" \
	his envelope attach /dev/vda mine
t "attachVolume is told" wait_until 100 told attachVolume succeeded
t_says 0 "the status of the lease" "lease: +30s, grace 1m, running, the KMS is asked" \
	his envelope status mine
fio --name=v --filename=/dev/mapper/mine --direct=1 --size=4m --bs=4k \
	--rw=randwrite --verify=crc32c --verify_fatal=1 --ioengine=libaio \
	--iodepth=4 --rate_iops=100 --loops=100000 > "$WORK/fio" 2>&1 &
FIO=$!
t "renewed by the agent" wait_until 300 told renewLease succeeded
t "renewed on demand" eval "his envelope renew mine |
	grep 'renewed; locks in 90s unless it is renewed again'"
t "the kernel has the time" eval "timeout_of | grep -E '^([5-9][0-9]s|1m)$'"
t_says 8 "another user cannot renew" "'mine' is not attached" \
	user 7 envelope renew mine
t_says 8 "another user cannot lock" "'mine' is not attached" \
	user 7 envelope lock mine
t_says 8 "another user cannot unlock" "'mine' is not attached" \
	user 7 envelope unlock mine

# Another key under the running lease: it is asked for from then on.
NEW=$(host aws create-key --query KeyMetadata.Arn --output text)
mkdir -p "$WORK/home/.aws"
host person user kms:ReEncryptFrom kms:ReEncryptTo |
	sed 's/^\[.*/[default]/' > "$WORK/home/.aws/credentials"
chown -R 65534 "$WORK/home"
chmod 755 "$WORK"
t_says 0 "rewrap under a lease" "$ID: slot 0 moved" \
	his env HOME="$WORK/home" envelope rewrap --kms-key "$NEW" mine
t "the header has the new key" [ "$(key_of /dev/vda)" = "$NEW" ]
aws disable-key
t_says 0 "the old key is disabled, and the lease renewed by the new one" \
	"renewed" his envelope renew mine
KEY=$NEW

START=$SECONDS
aws disable-key
t "a disabled key locks" wait_until 300 is_locked revoked
echo "# locked after $((SECONDS - START)) s, by a lease of 30 s"
t "no write is acknowledged behind the lock" eval "before=\$(writes) &&
	sleep 2 && [ \$(writes) = \$before ] && is_locked revoked"
t "lockVolume is told" wait_until 100 told lockVolume succeeded
t "renewLease failed is told" told renewLease failed
t_says 10 "the status says why" "because: .*disabled" his envelope status mine
t_says 10 "a locked volume is not renewed" "'mine' is locked \(revoked\): unlock it first" \
	his envelope renew mine
t_says 3 "no unlock with a disabled key" "disabled" his envelope unlock mine
t "reattachVolume failed is told" eval "told reattachVolume failed &&
	grep -q '\"cause\":\"$KEY is disabled.\"' $WORK/events"
aws enable-key
t_says 0 "unlock" "/dev/mapper/mine is active" his envelope unlock mine
t "reattachVolume is told" wait_until 100 told reattachVolume succeeded
t_says 0 "unlock of an active volume" "is active" his envelope unlock mine
t "it writes again" eval "before=\$(writes) &&
	wait_until 300 eval '[ \$(writes) -gt '\$before' ]'"

t_says 0 "its user locks it" "/dev/mapper/mine is locked: key revoked" \
	his envelope lock mine
t_says 3 "only root locks by force" "only root may lock by force" \
	his envelope lock --force mine
mv /var/lib/envelope/audit "$WORK/audit"
touch /var/lib/envelope/audit
t_says 1 "what cannot be recorded is not unlocked" \
	"nothing is done that cannot be recorded" his envelope unlock mine
t "it is locked still" is_locked revoked
rm /var/lib/envelope/audit
mv "$WORK/audit" /var/lib/envelope/audit
t_says 0 "its user unlocks it" "is active" his envelope unlock mine
t_says 0 "root locks and drops caches" "what programs hold" \
	envelope lock --drop-caches mine
t_says 0 "root unlocks it" "is active" envelope unlock mine

# A restart goes on: the first check is at once.
kill_agent
wait $LISTENER
t "the listener is told that the agent has gone" eval "[ $? -eq 4 ]"
start_agent
t "after a restart the lease runs" wait_until 300 lease_is running
t_says 0 "and is renewed" "renewed" his envelope renew mine

# Silence, which ends in time.
host kms-stop
t "without a KMS it is retried" wait_until 300 lease_is retrying
t_says 0 "what is wrong is in the status" "no answer: +[0-9]+ times in a row" \
	his envelope status mine
t_says 4 "a renewal without a KMS" "'mine': " his envelope renew mine
host kms-start
t "a KMS that comes back renews it" wait_until 300 lease_is running
t "the writer has not ended" kill -0 $FIO
kill -INT $FIO
wait $FIO
t "fio has read back what was acknowledged" eval \
	"! grep -iE 'verify: bad|verify failed|err=[^ ]*[1-9]' $WORK/fio"
t "detach" his envelope detach mine
t "nothing left" nothing_left
for record in "attach granted 65534" "renew done 65534" "lease-check denied 0" \
	"lock done 0" "unlock denied 65534" "unlock granted 65534" \
	"lock done 65534" "lock denied 65534" "unlock granted 0" \
	"lease-check unreachable 0" "lease-check granted 0" \
	"renew unreachable 65534" "detach done 65534"; do
	t "recorded: $record" grep -qx "$record" <(recorded "$ID")
done
t "a renewal by the agent is no record" eval \
	"[ \$(recorded $ID | grep -c 'lease-check granted') -le 4 ]"
t "the audit is as it was written" envelope audit verify

# Silence, and then nobody who could ask: the kernel's own timer.
t "a short lease" his envelope attach --lease 10s --grace 5s /dev/vda mine
host kms-stop
kill_agent
t "with the agent dead the kernel locks" wait_until 600 is_locked expired
start_agent
t_says 10 "a restart sees the lock" "lease: .* locked" his envelope status mine
# An unlock that nobody waits for any more, while the KMS is silent: one that
# cannot be reached would end it soon. How soon it reaches the agent is the
# machine's business, so that who wants it has more patience each time.
host kms-start
host kms-pause
given_up()
{
	envelope audit show --json | tr -d '\n' |
		grep -q '"unlock"[^{]*who wanted it unlocked has gone'
}
gives_up()
{
	for patience in 3 6 12; do
		his timeout -s KILL $patience envelope unlock mine > /dev/null 2>&1
		wait_until 15 given_up && return
	done
	return 1
}
t "recorded: who wanted it unlocked has gone" gives_up
host kms-cont
host kms-stop
t_says 4 "no unlock without a KMS" "'mine'|KMS|connect" \
	his envelope unlock mine
host kms-start
t_says 0 "unlock after that" "is active" his envelope unlock mine
t "detach what was locked" his envelope detach mine

t_says 0 "the policy's cap" \
	"by lease-cap of the policy, its lease is 50s and its grace 40s" \
	his envelope attach --lease 50s --grace 1h /dev/vda mine
t "and detach" his envelope detach mine
t_says 0 "no lease, but for the cap" "its lease is 90s and its grace 0" \
	his envelope attach --lease 0 /dev/vda mine
t_says 2 "attached without the agent: no unlock by it" \
	"was attached without the agent: unlock it with --direct" \
	bash -c "envelope detach mine &&
		envelope attach --direct --lease 0 /dev/vda mine > /dev/null &&
		envelope lock mine > /dev/null; envelope unlock mine"
t "the last detach" envelope detach mine

# Two slots: that of a KMS in this guest, which stops, and denies when it goes
# on; and that of the one outside, which opens the volume meanwhile.
envelope-kms init "$WORK/kms" --port 9443 --region eu-west-1 > "$WORK/init" 2>&1
envelope-kms serve "$WORK/kms" --region eu-west-1 > "$WORK/serve" 2>&1 &
KMS=$!
wait_until 120 grep -q listening "$WORK/serve"
printf '[region eu-west-1]\nendpoint = https://127.0.0.1:9443\nca-file = %s\nprofile = near\naccount = 111122223333\n' \
	"$WORK/kms/ca.pem" >> /etc/envelope/envelope.conf
sed 's/^\[envelope\]/[near]/' "$WORK/kms/credentials" >> /root/.aws/credentials
envelope-kms identity create-user "$WORK/kms" nobody --account 111122223333 \
	> "$WORK/user"
envelope-kms identity create-access-key "$WORK/kms" nobody \
	--account 111122223333 --json > "$WORK/key"
made()
{
	sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$WORK/key"
}
printf '[near]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
	"$(made AccessKeyId)" "$(made SecretAccessKey)" >> /etc/envelope/credentials
t "format under the KMS here" envelope format --force \
	--kms-key arn:aws:kms:eu-west-1:111122223333:alias/envelope /dev/vda
t "a slot of the one outside" envelope slot add --kms-key "$KEY" /dev/vda
kill -STOP "$KMS"
t "the second slot opens it" envelope attach /dev/vda mine
kill -CONT "$KMS"
t "security-19-agent-a-denial-that-comes-later-locks" \
	wait_until 300 is_locked revoked
t "the agent says whose denial it was" \
	grep -q "'mine' is locked: the KMS of slot 0 denies its key" \
	"$WORK/agent.log"
t "the audit has the lock, that KMS's key and why" eval "envelope audit show --json |
	tr -d '\n' | grep -q '\"lock\"[^{]*arn:aws:kms:eu-west-1:[^{]*denies its key'"
t "detach what a late denial has locked" envelope detach mine
kill "$KMS"
t "in the end nothing left" nothing_left
t "the agent lives" kill -0 "$AGENT"
done_testing
