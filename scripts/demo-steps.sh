#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The steps of the demonstration. `host aws ARG...` asks for the KMS
# administrator's AWS CLI, `host audit` for the audit trail; DEV is the disk.

set -u
DEV=${DEV:-/dev/vda}
TREE=${TREE:-/tmp-in/tree.tar}
WORK=$(mktemp -d)
MNT=$WORK/mnt
STEP=0
mkdir -p "$MNT"

die()
{
	echo
	echo "demo: step $STEP failed: $*"
	[ ! -s "$WORK/out" ] || sed 's/^/    /' "$WORK/out"
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

prepare()
{
	say "format $DEV: the KMS makes a data key, only its wrapped form is stored"
	must envelope format "$DEV"
	must envelope inspect --json "$DEV"
	cp "$WORK/out" "$WORK/header.json"
	say "attach it as /dev/mapper/data: the KMS unwraps the key, the kernel keeps it"
	must envelope attach --direct "$DEV" data
	say "make ext4 on it, copy a real directory tree in, note its checksums"
	must mkfs.ext4 -q /dev/mapper/data
	must mount /dev/mapper/data "$MNT"
	must tar -C "$MNT" -xf "$TREE"
	(cd "$MNT" && find . -type f -print0 | sort -z |
		xargs -0 sha256sum) > "$WORK/sums"
	say "detach: $(wc -l < "$WORK/sums") files are now ciphertext only"
	must umount "$MNT"
	must envelope detach data
}

show_disk_is_opaque()
{
	say "look on the raw disk for text of these files: none"
	on_disk 'SPDX-License-Identifier' && die "plaintext on the disk"
	on_disk 'kernel' && die "plaintext on the disk"
	unwrap_as_administrator > "$WORK/dek" || die "unwrap by AWS CLI"
	[ "$(base64 -d < "$WORK/dek" | wc -c)" -eq 64 ] || die "no 64-byte key"
	say "look on the raw disk for either half of the data key: none"
	on_disk "$(half 1)" && die "first half of the key on the disk"
	on_disk "$(half 33)" && die "second half of the key on the disk"
	on_disk ENVELOPE || die "the search finds nothing at all"
}

show_refusal()
{
	say "disable the KMS key: the next attach is refused"
	must host aws disable-key --key-id "$(field key_id)"
	envelope attach --direct "$DEV" data > "$WORK/out" 2>&1
	[ $? -eq 3 ] || die "attach with a disabled key: not exit status 3"
	sed 's/^/       /' "$WORK/out"
	say "enable it again: attach works, every checksum is the same"
	must host aws enable-key --key-id "$(field key_id)"
	must envelope attach --direct "$DEV" data
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
	must envelope detach data
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

# Calls of our own client, by name; the administrator's AWS CLI is not ours.
calls()
{
	grep -v '"userAgent": *"aws-cli' "$WORK/audit" |
		grep -c "\"eventName\": *\"$1\""
}

show_audit()
{
	local good refused

	host audit > "$WORK/audit" || die "no audit trail"
	good=$(grep -v '"userAgent": *"aws-cli' "$WORK/audit" |
		grep '"eventName": *"Decrypt"' | grep -vc '"errorCode"')
	refused=$(($(calls Decrypt) - good))
	say "the audit trail: $(calls GenerateDataKeyWithoutPlaintext) key made, $good unwraps (1 format, 3 attaches, 1 export), $refused refused; none during I/O"
	[ "$good" -eq 5 ] || die "$good Decrypt calls instead of 5"
	[ "$refused" -eq 1 ] || die "$refused refused Decrypt calls, not 1"
	grep -h '"eventName": *"Decrypt"' "$WORK/audit" | head -n 1 |
		cut -c 1-300 | sed 's/^/       /'
}

modprobe loop 2> "$WORK/out"
modprobe dm-crypt 2> "$WORK/out"
prepare
show_disk_is_opaque
show_refusal
show_revocation
show_other_readers
show_audit
rm -rf "$WORK"
echo "demo: done"
