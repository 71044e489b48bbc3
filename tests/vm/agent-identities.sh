#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --disk 8 --kms
# kernels: 6.12
# Three identities: the user grants, the host opens, the outsider gets nothing;
# and what a revoked grant or a disabled key does to a volume without a lease.
. /test/vm/helpers/attach.bash

USER=1000
OUTSIDER=1001
ARN=arn:aws:iam::111122223333:user
JOURNAL=/var/lib/envelope/agent/grants
DEV=/dev/mapper/data

[ -s /etc/machine-id ] || echo 0123456789abcdef0123456789abcdef > /etc/machine-id
echo "envelope:x:900:" >> /etc/group
chmod 755 "$WORK"

# The host may use no key; root makes the volumes as the administrator.
sed -i -e 's/^profile *=.*/profile = host/' \
	-e "/^profile/a host-principal = $ARN/host" /etc/envelope/envelope.conf
host person host kms:ListRetirableGrants > /etc/envelope/credentials
chmod 600 /etc/envelope/credentials
cat > /etc/envelope/agent.policy <<POLICY
[uid $USER]
devices = passed
names = data other
[uid 1002]
devices = /dev/links/*
names = linked
[uid $OUTSIDER]
devices = passed
names = *
[agent]
timeout = 120
POLICY

# home UID NAME ACTION...: a person of the KMS, in the home of a user.
home()
{
	mkdir -p "$WORK/$1/.aws"
	host person "${@:2}" | sed 's/^\[.*/[default]/' > \
		"$WORK/$1/.aws/credentials"
	chown -R "$1" "$WORK/$1"
}

# as UID COMMAND...: of the group that may ask the agent, with his own home.
as()
{
	setpriv --reuid "$1" --regid "$1" --groups 900 \
		env HOME="$WORK/$1" "${@:2}"
}

user()
{
	as $USER envelope "$@"
}

outsider()
{
	as $OUTSIDER envelope "$@"
}

# The host itself, by all that it has.
host_opens()
{
	AWS_SHARED_CREDENTIALS_FILE=/etc/envelope/credentials \
		envelope attach --direct --dry-run "$1"
}

grants()
{
	host aws list-grants --key-id "$KEY" --query "Grants[].[$1]" \
		--output text
}

no_grants()
{
	[ -z "$(grants GrantId)" ] && ! [ -s $JOURNAL ]
}

creations()
{
	host audit | grep '"eventName":"CreateGrant"' | grep -vc errorCode
}

# late UID COMMAND: his credentials come when that has ended.
late()
{
	local his=$WORK/$1

	awk '/ = / { key[++n] = $3 } END {
		printf "{\"Version\": 1, \"AccessKeyId\": \"%s\", ", key[1]
		printf "\"SecretAccessKey\": \"%s\"}\n", key[2] }' \
		"$his/.aws/credentials" > "$his/keys"
	rm "$his/.aws/credentials"
	printf '#!/bin/bash\n%s\ncat %s\n' "$2" "$his/keys" > "$his/late"
	chmod 755 "$his/late"
	printf '[default]\ncredential_process = %s\n' "$his/late" > \
		"$his/.aws/config"
}

# One block, to the device and back.
io_goes_on()
{
	head -c 4096 /dev/urandom > "$WORK/block"
	dd if="$WORK/block" of=$DEV bs=4k seek=9 oflag=direct status=none &&
		dd if=$DEV bs=4k skip=9 count=1 iflag=direct status=none |
		cmp - "$WORK/block"
}

home $USER user kms:CreateGrant
home $OUTSIDER outsider kms:ListAliases
t "format" envelope format --profile envelope /dev/vda
t "format another under the same key" envelope format --profile envelope \
	/dev/vdb
KEY=$(key_of /dev/vda)
ID=$(id_of /dev/vda)
NOT_HIS="key '$KEY': KMS .* refuses Decrypt: .*AccessDeniedException"
chown $USER /dev/vda /dev/vdb
mkdir -p /run/envelope
envelope-agent > "$WORK/agent.log" 2>&1 &
wait_until 120 test -S /run/envelope/agent.sock

t_says 3 "the host alone opens nothing" "$NOT_HIS" \
	host_opens /dev/vda
t_says 3 "nor does the user, who never sees the data key" \
	"$NOT_HIS" \
	user attach --direct --profile default --dry-run /dev/vda
t "no grant is there" no_grants

t_says 0 "the user attaches" "^$DEV: volume $ID" user attach /dev/vda data
t "one grant, to the host, of Decrypt for this volume" eval \
	"grants 'GranteePrincipal,RetiringPrincipal,Operations[0],Constraints.EncryptionContextSubset.\"envelope:volume-id\"' |
	grep -x '$ARN/host[[:space:]]$ARN/host[[:space:]]Decrypt[[:space:]]$ID'"
t "the user made it" eval \
	"host audit | grep '\"eventName\":\"CreateGrant\"' | grep '$ARN/user' | grep -qv errorCode"
t "by it the host opens the volume" host_opens /dev/vda
t_says 3 "its constraint stops it on the other volume" \
	"$NOT_HIS" host_opens /dev/vdb
t "it takes data" io_goes_on

before=$(creations)
t_says 1 "outsider: cannot open the device" "cannot open it|Permission denied" \
	eval "cd /dev && outsider attach vda data"
t_says 3 "outsider: no policy lets him have it opened" "does not let user" \
	outsider attach /dev/vda data
t_says 8 "outsider: does not see the volume" "'data' is not attached" \
	outsider status data
t_says 8 "outsider: does not detach it" "'data' is not attached" \
	outsider detach data
cp /dev/vda "$WORK/copy"
chown $OUTSIDER "$WORK/copy"
t_says 7 "outsider: a copy of the attached volume is refused" \
	"volume $ID is attached already$" outsider attach "$WORK/copy" copy
cp /dev/vdb "$WORK/copy"
t_says 3 "outsider: his signature grants nothing" \
	"key '$KEY': $ARN/outsider lacks kms:CreateGrant" \
	outsider attach "$WORK/copy" copy
t_says 3 "outsider: nor has he the data key by himself" \
	"$NOT_HIS" \
	outsider attach --direct --profile default --dry-run "$WORK/copy"
t "outsider: no grant was made for him" [ "$(creations)" -eq "$before" ]
GRANT=$(grants GrantId)
t_says 254 "outsider: retires no grant" "AccessDenied" \
	host as outsider retire-grant --key-id "$KEY" --grant-id "$GRANT"
t_says 254 "outsider: revokes no grant" "AccessDenied" \
	host as outsider revoke-grant --key-id "$KEY" --grant-id "$GRANT"
t "outsider: the volume is as before" io_goes_on

t "the user detaches" user detach data
t "nothing left on the host" nothing_left
t "the grant is gone" wait_until 120 no_grants
# Root has made the link; who may use it cannot read what it leads to.
home 1002 linker kms:CreateGrant
mkdir /dev/links
ln -s /dev/vdb /dev/links/disk
linker()
{
	as 1002 envelope attach "$@" /dev/links/disk linked
}
t_says 3 "a link: who cannot read the volume signs nothing unknown" \
	"you cannot read which that is: say it with --volume" linker
t_says 6 "a link: to another volume than he said" \
	"'/dev/links/disk' is volume $(id_of /dev/vdb), not $ID" \
	linker --volume "$ID"
t "a link: nothing was granted" wait_until 120 no_grants
t_says 0 "a link: to the volume that he said" "^/dev/mapper/linked: volume" \
	linker --volume "$(id_of /dev/vdb)"
t_says 3 "a link: unlocked, too, he signs nothing unknown" \
	"you cannot read which that is: say it with --volume" \
	eval "as 1002 envelope lock linked && as 1002 envelope unlock linked"
t_says 6 "a link: nor is another volume unlocked than he said" \
	"'linked' is volume $(id_of /dev/vdb), not $ID" \
	as 1002 envelope unlock --volume "$ID" linked
t_says 0 "a link: he unlocks the volume that he said" \
	"/dev/mapper/linked is active" \
	as 1002 envelope unlock --volume "$(id_of /dev/vdb)" linked
t "a link: he detaches it" as 1002 envelope detach linked
t "a link: its grant is gone" wait_until 120 no_grants

t_says 3 "the host opens it no more" "$NOT_HIS" \
	host_opens /dev/vda

# He may grant now, and asks first; but his credentials come late.
host person outsider kms:CreateGrant
HIS=$WORK/$OUTSIDER
late $OUTSIDER "touch $HIS/asked
until [ -e $HIS/given ]; do sleep 0.1; done"
cp /dev/vda "$WORK/copy"
outsider attach "$WORK/copy" copy > "$WORK/late.out" 2>&1 &
LATE=$!
t "another user's copy waits to be signed for" \
	wait_until 60 test -e "$HIS/asked"
t "attached again, whoever is about to attach a copy" user attach /dev/vda data
touch "$HIS/given"
t_says 7 "the copy comes too late, and its owner is told no name" \
	"volume $ID is attached already$" eval "wait $LATE; late=\$?
	cat $WORK/late.out; (exit \$late)"
t "only the volume's grant is left" eval \
	"wait_until 120 eval '[ \"\$(grants GrantId | wc -w)\" -eq 1 ]'"
t "the grant is revoked" host aws revoke-grant --key-id "$KEY" --grant-id \
	"$(grants GrantId)"
t "revoked grant, no lease: I/O goes on" io_goes_on
t_says 0 "revoked grant: active" "is active" user status data
t "revoked grant: detach" user detach data
t "revoked grant: nothing left on the host" nothing_left
t "revoked grant: the journal is empty" wait_until 120 no_grants
host person user kms:ListAliases
t_says 3 "who may grant no more attaches no more" \
	"CustomerKeyHasBeenRevoked: volume $ID cannot be attached: the encrypted volume was unable to access the KMS key: .*$ARN/user lacks kms:CreateGrant" \
	user attach /dev/vda data
host person user kms:CreateGrant

# The same with a lease, which asks by that grant.
is_locked()
{
	envelope status --json data > "$WORK/status"
	[ $? -eq 10 ] && grep -q '"reason": "revoked"' "$WORK/status"
}
t "attached with a lease" user attach --lease 20s --grace 1h /dev/vda data
t "renewed by that grant" user renew data
START=$SECONDS
t "the leased volume's grant is revoked" host aws revoke-grant --key-id "$KEY" \
	--grant-id "$(grants GrantId)"
t "revoked grant, lease: it locks" wait_until 300 is_locked
t "revoked grant, lease: the check had sent its token" eval "host audit |
	grep '\"eventName\":\"Decrypt\"' | grep -q InvalidGrantToken"
echo "# locked after $((SECONDS - START)) s, by a lease of 20 s"
host person user kms:ListAliases
t_says 3 "revoked grant, lease: who may grant no more does not unlock" \
	"$ARN/user lacks kms:CreateGrant" user unlock data
t "revoked grant, lease: it stays locked" is_locked
host person user kms:CreateGrant
t_says 0 "revoked grant, lease: a new grant unlocks" "$DEV is active" \
	user unlock data
t "revoked grant, lease: it takes data again" io_goes_on
t "revoked grant, lease: renewed by the new one" user renew data
t "revoked grant, lease: detach" user detach data
t "revoked grant, lease: no grant is left" wait_until 120 no_grants

t "attached once more" user attach /dev/vda data
t "the key is disabled" host aws disable-key --key-id "$KEY"
t "disabled key, no lease: I/O goes on" io_goes_on
t "disabled key: detach" user detach data
t "disabled key: nothing left on the host" nothing_left
t "disabled key: the grant is gone" wait_until 120 no_grants
t_says 3 "disabled key: the next attach fails" \
	"CustomerKeyHasBeenRevoked: volume $ID cannot be attached: the encrypted volume was unable to access the KMS key: .*is disabled" \
	user attach /dev/vda data
t "disabled key: nothing left of that" nothing_left
t "disabled key: no grant of that" wait_until 120 no_grants
host aws enable-key --key-id "$KEY"
t "enabled again: attached" user attach /dev/vda data
t "with its data" eval "dd if=$DEV bs=4k skip=9 count=1 iflag=direct status=none |
	cmp - $WORK/block"

# Other slots while it is attached: the KMS makes them, for the user, and the
# host proves them by a grant of his.
grants_of()
{
	host aws list-grants --key-id "$1" --query "length(Grants)"
}

grants_are()
{
	[ "$(grants_of "$KEY") $(grants_of "$NEW")" = "$1 $2" ]
}

NEW=$(host aws create-key --query KeyMetadata.Arn --output text)
OLD=$(envelope header-backup /dev/vda "$WORK/backup" > /dev/null &&
	strings -n 100 "$WORK/backup" | grep -o '"ciphertext":"[^"]*"' | head -n 1)
t_says 3 "rewrap: who may not have it wrapped anew" \
	"refuses ReEncrypt.*AccessDenied" user rewrap --kms-key "$NEW" data
host person user kms:CreateGrant kms:ReEncryptFrom kms:ReEncryptTo
t_says 2 "rewrap: whose KMS it is, the agent knows" \
	"--profile is for --direct: the agent has it from /etc/envelope" \
	user rewrap --profile x --kms-key "$NEW" data
t_says 2 "rewrap: no such slot" "no slot 1: 'envelope slot list' lists them" \
	user rewrap --slot 1 --kms-key "$NEW" data
BEFORE=$(decrypts)
t_says 0 "rewrap of an attached volume, by its user" "$ID: slot 0 moved" \
	user rewrap --kms-key "$NEW" data
t "rewrap: one Decrypt, the host's" eval "[ $((BEFORE + 1)) -eq \$(decrypts) ] &&
	host audit | grep '\"eventName\":\"Decrypt\"' | tail -n 1 | grep '$ARN/host'"
t "rewrap: the grant is on the new key" wait_until 120 grants_are 0 1
t "rewrap: the old slot is overwritten" eval "[ -n '$OLD' ] &&
	! head -c 1M /dev/vda | grep -aqF '$OLD'"
t "rewrap: the volume goes on" io_goes_on
t_says 0 "a slot of the old key again, by the device" "$ID: slot 1 added, $KEY" \
	user slot add --kms-key "$KEY" /dev/vda
t "slot add: a grant on either key" wait_until 120 grants_are 1 1
t_says 7 "slot add: each key once" "slot 1 has key $KEY already" \
	user slot add --kms-key "$KEY" data
t_says 0 "slot list, by the agent" "1 .*$KEY" user slot list data
t_says 8 "outsider: has no such volume" "'data' is not attached" \
	outsider slot list data
t_says 2 "slot remove: by force without the agent only" \
	"--force is for --direct" user slot remove --slot 0 --force data
t_says 0 "slot remove" "$ID: slot 0 removed, $NEW" \
	user slot remove --slot 0 data
t "slot remove: the grant on its key is gone" wait_until 120 grants_are 1 0
t_says 2 "slot remove: the last one stays" "slot 0 is the last one" \
	user slot remove --slot 0 data
t_says 0 "the audit has it" "slot-remove.*done" envelope audit show
t "with its data still" io_goes_on
t "detached" user detach data
# His time is no part of the lease, which counts from the question.
late $USER "sleep 16"
t "he signs for longer than the lease" user attach --lease 10s --grace 5s \
	/dev/vda data
t_says 0 "and it is not locked" "is active" user status data
t "detached at the end" user detach data
t "nothing left at the end" nothing_left

done_testing
