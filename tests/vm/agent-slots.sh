#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --kms
# kernels: 6.12
# A slot in another region, made for a user by the agent: its KMS, here in the
# guest, opens the volume when that of the first region is gone.
. /test/vm/helpers/attach.bash

USER=65534
FAR=arn:aws:kms:eu-west-1:111122223333

echo "envelope:x:900:" >> /etc/group
chmod 755 "$WORK"

envelope-kms init "$WORK/kms" --port 9443 --region eu-west-1 > "$WORK/init" 2>&1
envelope-kms serve "$WORK/kms" --region eu-west-1 > "$WORK/serve" 2>&1 &
KMS=$!
wait_until 120 grep -q listening "$WORK/serve"
printf '[region eu-west-1]\nendpoint = https://127.0.0.1:9443\nca-file = %s\nprofile = near\naccount = 111122223333\n' \
	"$WORK/kms/ca.pem" >> /etc/envelope/envelope.conf
sed 's/^\[envelope\]/[near]/' "$WORK/kms/credentials" > "$WORK/near"
cat "$WORK/near" >> /root/.aws/credentials
cat "$WORK/near" >> /etc/envelope/credentials
truncate -s 4M "$WORK/scratch"
t "a volume of the other region, for its key's name" \
	envelope format --kms-key $FAR:alias/envelope "$WORK/scratch"
FAR_KEY=$(key_of "$WORK/scratch")

# policy [LINE]: what the user may.
policy()
{
	printf '[uid %s]\ndevices = passed\nnames = mine\n%s\n' $USER "${1-}" > \
		/etc/envelope/agent.policy
}

his()
{
	setpriv --reuid $USER --regid $USER --groups 900 "$@"
}

t "format" envelope format /dev/vda
ID=$(id_of /dev/vda)
chown $USER /dev/vda
policy
mkdir -p /run/envelope
envelope-agent >> "$WORK/agent.log" 2>&1 &
AGENT=$!
wait_until 120 test -S /run/envelope/agent.sock
t "attach" his envelope attach /dev/vda mine
SUM=$(head -c 64K /dev/urandom | tee "$WORK/data" | sha256sum)
dd if="$WORK/data" of=/dev/mapper/mine oflag=direct bs=64K status=none
t_says 2 "an alias of another region is no key id" "is no alias" \
	his envelope slot add --kms-key $FAR:alias/other mine
t_says 3 "the policy says nothing about that key" \
	"the agent's policy does not let user $USER" \
	his envelope slot add --kms-key "$FAR_KEY" mine
policy "keys = $FAR:key/*"
kill -HUP "$AGENT"
added()
{
	his envelope slot add --kms-key "$FAR_KEY" mine > "$WORK/added" 2>&1
}
t "a slot of another region, by its user" wait_until 120 added
t "as it says" grep "$ID: slot 1 added, $FAR_KEY" "$WORK/added"
t_says 0 "the audit has both steps" "slot-wrap +done" envelope audit show
t_says 0 "and what was stored" "slot-add +done" envelope audit show
t "detach" his envelope detach mine

host kms-stop
t "attach, when the first region is gone" his envelope attach /dev/vda mine
t "with its data" [ "$(head -c 64K /dev/mapper/mine | sha256sum)" = "$SUM" ]
host kms-start
t "detach again" his envelope detach mine
kill "$KMS"
t "in the end nothing left" nothing_left
done_testing
