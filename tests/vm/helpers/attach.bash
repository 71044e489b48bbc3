# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What the tests of attaching share: what may be left over, and what may not.

set -u
. /test/lib.sh

modprobe -a aesni_intel xts loop
WORK=$(mktemp -d)
LEFT=$WORK/left
: > "$LEFT"

# dm_devices: uuids of all devices of ours.
dm_devices()
{
	dmsetup info -c --noheadings -o uuid 2> /dev/null | grep '^ENVELOPE-'
}

# keys_left: keys of volumes, and their seals, in any keyring of any process.
keys_left()
{
	grep -E ' (envelope|logon|user) +(envelope:|envelope-seal:)?vol-' /proc/keys |
		grep -vF -f "$LEFT"
}

no_keys()
{
	! keys_left
}

# nothing_left: no device, no key, no loop device. A dead key's last reference
# goes with a worker of the kernel, within moments. What stays is waited for
# once: the next tests are about what they leave themselves.
nothing_left()
{
	! dm_devices && ! losetup -a | grep . || return 1
	wait_until 100 no_keys && return
	keys_left | cut -d ' ' -f 1 >> "$LEFT"
	return 1
}

# id_of DEV: the volume id.
id_of()
{
	envelope inspect --json "$1" |
		sed -n 's/.*"volume_id": *"\(vol-[0-9a-f]*\)".*/\1/p' | head -n 1
}

# key_of DEV: the ARN of the KMS key of its first slot.
key_of()
{
	envelope inspect --json "$1" |
		sed -n 's/.*"key_id": *"\([^"]*\)".*/\1/p' | head -n 1
}

# recorded ID: what the audit has of the volume, "event result uid" a line.
recorded()
{
	envelope audit show --volume "$1" | awk '{ print $3, $4, $6 }'
}

# sum_of FILE: its SHA-256.
sum_of()
{
	sha256sum < "$1" | cut -d' ' -f1
}

# unchanged FILE COMMAND...: the command leaves FILE's bytes alone; its status.
unchanged()
{
	local file=$1 before rc=0

	shift
	before=$(sum_of "$file")
	"$@" || rc=$?
	[ "$(sum_of "$file")" = "$before" ] || { echo "$file changed"; rc=99; }
	return $rc
}

# refused STATUS NAME REGEX COMMAND...: that status and sentence, nothing left
# behind, /dev/vda as before.
refused()
{
	local status=$1 name=$2 regex=$3

	shift 3
	t_says "$status" "$name" "$regex" unchanged /dev/vda "$@"
	t "$name: nothing left" nothing_left
}

decrypts()
{
	host audit | grep -c '"eventName":"Decrypt"'
}
