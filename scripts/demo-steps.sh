#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The steps of the demonstration. `host aws ARG...` asks for the KMS
# administrator's AWS CLI, `host audit` for the audit trail; DEV is the disk,
# IN has a tree of files, and what alice and this host are at the KMS.

set -u
DEV=${DEV:-/dev/vda}
IN=${IN:-/tmp-in}
WORK=$(mktemp -d)
MNT=$WORK/mnt
CONSTRAINED='Constraints.EncryptionContextSubset."envelope:volume-id"'
STEP=0
AGENT=
mkdir -p "$MNT"
# Root's own commands are the administrator's; the file's profile is the host's.
export AWS_PROFILE=envelope

clean()
{
	mountpoint -q "$MNT" && umount "$MNT"
	dmsetup info data > "$WORK/out" 2>&1 && envelope detach data
	[ -z "$AGENT" ] || kill "$AGENT" 2> "$WORK/out"
	rm -rf "$WORK"
}
trap clean EXIT

die()
{
	echo
	echo "demo: step $STEP failed: $*"
	[ ! -s "$WORK/out" ] || sed 's/^/    /' "$WORK/out"
	[ ! -s "$WORK/agent.log" ] || sed 's/^/    /' "$WORK/agent.log"
	exit 1
}

# say TEXT: one line a step.
say()
{
	STEP=$((STEP + 1))
	printf '%2d. %s\n' "$STEP" "$*"
}

# must COMMAND...: it succeeds, or the demo ends and shows why.
must()
{
	"$@" > "$WORK/out" 2>&1 || die "$* (exit status $?)"
}

# as NAME COMMAND...: that user, with his own credentials.
as()
{
	local name=$1

	shift
	setpriv --reuid "$name" --regid "$name" --init-groups \
		env AWS_PROFILE="$name" HOME="$WORK/$name" \
		AWS_SHARED_CREDENTIALS_FILE="$WORK/$name/credentials" "$@"
}

# refused STATUS COMMAND...: it ends with that status; its last sentence is shown.
refused()
{
	local want=$1 rc=0

	shift
	"$@" > "$WORK/out" 2>&1 || rc=$?
	[ $rc -eq "$want" ] || die "$*: exit status $rc, not $want"
	grep '^envelope' "$WORK/out" | tail -n 1 | sed 's/^/       /'
}

check_sums()
{
	(cd "$MNT" && sha256sum --quiet -c "$WORK/sums")
}

field()
{
	sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$WORK/header.json" |
		head -n 1
}

# The wrapped key, as it stands in the header.
wrapped()
{
	dd if="$DEV" bs=4096 skip=1 count=4 status=none | tr -d '\0' |
		sed -n 's/.*"ciphertext": *"\([^"]*\)".*/\1/p'
}

# The DEK in base64, as the KMS administrator gets it: to look for it on disk.
unwrap_as_administrator()
{
	local context

	context="envelope:volume-id=$(field volume_id),envelope:generation=1"
	host aws decrypt --key-id "$(field key_id)" \
		--encryption-context "$context" \
		--ciphertext-blob "$(wrapped)" \
		--query Plaintext --output text
}

# Bytes that grep -P finds, for one half of the DEK.
half()
{
	base64 -d < "$WORK/dek" | tail -c +"$1" | head -c 32 |
		od -An -v -tx1 | tr -d '\n' | sed 's/ /\\x/g'
}

on_disk()
{
	LC_ALL=C grep -qaP "$1" "$DEV"
}

# The grants of the key: what each allows, and for which volume.
grants()
{
	host aws list-grants --key-id "$(field key_id)" --output text \
		--query "Grants[].[Operations[0],$CONSTRAINED]" > "$WORK/grants"
}

a_grant()
{
	grants && [ -s "$WORK/grants" ]
}

no_grants()
{
	grants && [ ! -s "$WORK/grants" ]
}

# until_true COMMAND...: for a minute at most.
until_true()
{
	local end=$((SECONDS + 60))

	until "$@"; do
		[ $SECONDS -lt $end ] || die "$*: not within a minute"
		sleep 0.1
	done
}

# Two users, and the group of those who may ask the agent.
make_users()
{
	local name id=4900

	echo "envelope:x:$id:alice,bob" >> /etc/group
	chmod 711 "$WORK"
	for name in alice bob; do
		id=$((id + 1))
		echo "$name:x:$id:" >> /etc/group
		echo "$name:x:$id:$id::/nonexistent:/bin/sh" >> /etc/passwd
		mkdir "$WORK/$name"
		chown "$name" "$WORK/$name"
	done
	install -o alice -m 600 "$IN/alice" "$WORK/alice/credentials"
}

prepare()
{
	say "format $DEV: the KMS makes a data key, only its wrapped form is stored"
	must envelope format "$DEV"
	must envelope inspect --json "$DEV"
	cp "$WORK/out" "$WORK/header.json"
}

start_agent()
{
	say "start the agent: its policy lets alice attach a disk of hers as 'data'"
	must make_users
	must chown alice "$DEV"
	cat > /etc/envelope/agent.policy <<-'POLICY'
		[user alice]
		devices = passed
		names = data
	POLICY
	install -m 600 "$IN/host" /etc/envelope/credentials
	must sed -i '/^profile/c\
profile = host\
account = 111122223333\
host-principal = arn:aws:iam::111122223333:user/host' \
		/etc/envelope/envelope.conf
	# A guest without systemd has no id; grants carry it.
	[ -s /etc/machine-id ] ||
		tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id
	mkdir -p /run/envelope
	envelope-agent > "$WORK/agent.log" 2>&1 &
	AGENT=$!
	until_true test -S /run/envelope/agent.sock
}

show_users()
{
	say "the KMS gives alice herself no key: she may only grant a host its use"
	refused 3 as alice envelope check --unwrap "$DEV"
	say "alice attaches her disk as /dev/mapper/data: she signs a grant, the agent has the KMS unwrap the key, the kernel keeps it"
	must as alice envelope attach "$DEV" data
	until_true a_grant
	say "the grant: this host may Decrypt for this volume"
	sed 's/^/       /' "$WORK/grants"
	say "bob sees no volume, and may attach none"
	must as bob envelope list
	[ ! -s "$WORK/out" ] || die "bob sees a volume"
	refused 3 as bob envelope attach "$DEV" data
}

fill()
{
	say "make ext4 on it, copy a real directory tree in, note its checksums"
	must mkfs.ext4 -q /dev/mapper/data
	must mount /dev/mapper/data "$MNT"
	must tar -C "$MNT" -xf "$IN/tree.tar"
	(cd "$MNT" && find . -type f -print0 | sort -z |
		xargs -0 sha256sum) > "$WORK/sums"
	say "alice detaches: $(wc -l < "$WORK/sums") files are now ciphertext only, and the grant is gone"
	must umount "$MNT"
	must as alice envelope detach data
	until_true no_grants
}

show_disk_is_opaque()
{
	say "look on the raw disk for text of these files: none"
	on_disk 'SPDX-License-Identifier' && die "plaintext on the disk"
	on_disk 'kernel' && die "plaintext on the disk"
	install -m 600 /dev/null "$WORK/dek"
	unwrap_as_administrator > "$WORK/dek" || die "unwrap by AWS CLI"
	[ "$(base64 -d < "$WORK/dek" | wc -c)" -eq 64 ] || die "no 64-byte key"
	say "look on the raw disk for either half of the data key: none"
	on_disk "$(half 1)" && die "first half of the key on the disk"
	on_disk "$(half 33)" && die "second half of the key on the disk"
	on_disk ENVELOPE || die "the search finds nothing at all"
}

show_refusal()
{
	say "disable the KMS key: alice's next attach is refused"
	must host aws disable-key --key-id "$(field key_id)"
	refused 3 as alice envelope attach "$DEV" data
	say "enable it again: attach works, every checksum is the same"
	must host aws enable-key --key-id "$(field key_id)"
	must as alice envelope attach "$DEV" data
	must mount /dev/mapper/data "$MNT"
	must check_sums
}

show_revocation()
{
	local id reader

	id=$(field volume_id)
	say "revoke the key in the kernel: I/O stops at once"
	must keyctl revoke "$(keyctl search @u envelope "$id")"
	must sh -c 'envelope status data | grep -q locked'
	dd if=/dev/mapper/data of="$WORK/read" bs=4096 count=1 iflag=direct \
		2> "$WORK/out" &
	reader=$!
	sleep 1
	kill -0 $reader 2> "$WORK/out" || die "a locked volume answered a read"
	say "give the kernel the key again (key set): the waiting read completes"
	base64 -d < "$WORK/dek" | keyctl padd envelope "$id" @u \
		> "$WORK/serial" || die "keyctl padd"
	must dmsetup message data 0 key set ":64:envelope:$id"
	wait $reader || die "the read failed after key set"
	must check_sums
	must umount "$MNT"
	must as alice envelope detach data
	keyctl revoke "$(cat "$WORK/serial")" > /dev/null 2>&1
	keyctl unlink "$(cat "$WORK/serial")" @u > /dev/null 2>&1
}

show_other_readers()
{
	say "stock dm-crypt opens the same volume: every file reads the same"
	must envelope attach --direct --target crypt "$DEV" data
	must mount -o ro /dev/mapper/data "$MNT"
	must check_sums
	must umount "$MNT"
	must envelope detach data
	say "export decrypts it without any kernel help: every file reads the same"
	must envelope export "$DEV" "$WORK/plain.img"
	must mount -o ro,loop "$WORK/plain.img" "$MNT"
	must check_sums
	must umount "$MNT"
	rm -f "$WORK/plain.img"
}

# The id that was printed first.
printed_id()
{
	sed -n 's/^\(snap-[0-9a-f]*\):.*/\1/p' "$WORK/out" | head -n 1
}

show_snapshots()
{
	local key id copy

	say "make a snapshot: ciphertext, in chunks that are kept once"
	must envelope-snapshot create --store "$WORK/store" "$DEV"
	id=$(printed_id)
	must host aws create-key --query KeyMetadata.Arn --output text
	key=$(cat "$WORK/out")
	say "copy it under another key: everything is encrypted anew, read back and compared"
	must envelope-snapshot copy --store "$WORK/store" --kms-key "$key" "$id"
	copy=$(printed_id)
	say "disable the first key and restore the copy: every checksum is the same"
	must host aws disable-key --key-id "$(field key_id)"
	refused 3 envelope-snapshot verify --store "$WORK/store" "$id"
	must envelope-snapshot restore --store "$WORK/store" "$copy" \
		"$WORK/new.img"
	must envelope attach --direct "$WORK/new.img" data
	must mount -o ro /dev/mapper/data "$MNT"
	must check_sums
	must umount "$MNT"
	must envelope detach data
	must host aws enable-key --key-id "$(field key_id)"
	rm -rf "$WORK/new.img" "$WORK/store"
}

# count WHO CALL [ERROR]: calls in the audit trail; the administrator's AWS CLI
# is not ours.
count()
{
	grep -v '"userAgent": *"aws-cli' "$WORK/audit" |
		grep "\"arn\": *\"[^\"]*:user/$1\"" |
		grep "\"eventName\": *\"$2\"" |
		if [ $# -eq 3 ]; then
			grep -c "\"errorCode\": *\"$3"
		else
			grep -vc '"errorCode"'
		fi
}

# counted NUMBER WHO CALL [ERROR]
counted()
{
	local want=$1

	shift
	[ "$(count "$@")" -eq "$want" ] || die "$*: $(count "$@"), not $want"
}

show_audit()
{
	until_true no_grants
	host audit > "$WORK/audit" || die "no audit trail"
	say "the audit trail: alice granted twice and was refused twice, the host unwrapped twice; none during I/O"
	counted 2 alice CreateGrant
	counted 1 alice CreateGrant Disabled
	counted 1 alice Decrypt AccessDenied
	counted 2 host Decrypt
	counted 2 host RetireGrant
	counted 2 administrator GenerateDataKeyWithoutPlaintext
	counted 9 administrator Decrypt
	grep -h '"eventName": *"Decrypt"' "$WORK/audit" |
		grep ':user/host"' | head -n 1 | cut -c 1-300 |
		sed 's/^/       /'
}

modprobe -a loop dm-crypt 2> "$WORK/out"
prepare
start_agent
show_users
fill
show_disk_is_opaque
show_refusal
show_revocation
show_other_readers
show_snapshots
show_audit
echo "demo: done"
