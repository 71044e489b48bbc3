#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --kms
# Where the key is, who may do what with it, and what becomes of the volume
# when it ends.
. /test/vm/helpers/attach.bash

# In a session keyring of its own, as under sudo or KeyringMode=private, the
# user keyring is not linked.
private()
{
	keyctl session - "$@"
}

serial()
{
	keyctl search "$(keyctl search @u keyring envelope)" envelope "$ID"
}

seal()
{
	keyctl search "$(keyctl search @u keyring envelope)" user \
		"envelope-seal:$ID"
}

# key_line: permissions and owner, of /proc/keys.
key_line()
{
	grep -E " envelope +$ID" /proc/keys
}

is_locked()
{
	envelope status --json x > "$WORK/status"
	[ $? -eq 10 ] && grep -q "\"reason\": \"$1\"" "$WORK/status"
}

t "format" envelope format /dev/vda
ID=$(id_of /dev/vda)

t "attach in a private session keyring" \
	private envelope attach --direct /dev/vda x
t "permissions" eval "key_line | grep ' 39390000 '"
t "in the keyring named envelope" eval \
	"keyctl show @u | grep -A1 'keyring: envelope' | grep 'envelope: $ID'"
t "keyring permissions" eval \
	"grep -E ' 3f3f0000 +0 +0 keyring +envelope' /proc/keys"
t "nobody can read it" eval "! keyctl read $(serial)"
t "nobody can update it" eval "! head -c 64 /dev/urandom |
	keyctl pupdate $(serial)"
t "another user cannot see it" eval \
	"! setpriv --reuid 65534 --clear-groups keyctl describe $(serial)"
t "the seal is beside it, and has its permissions" eval \
	"grep -E ' 292b0000 +0 +0 user +envelope-seal:$ID' /proc/keys"
t "root can read the seal" eval "keyctl pipe $(seal) | grep -aq '^ENVSEAL1'"
t "nobody can update the seal" eval "! echo forged | keyctl pupdate $(seal)"
t "another user cannot see the seal" eval \
	"! setpriv --reuid 65534 --clear-groups keyctl describe $(seal)"
t "reload in a private session keyring" private bash -c \
	"dmsetup reload x --table \"\$(dmsetup table x)\" && dmsetup resume x"
t "detach in a private session keyring" private envelope detach x
t "nothing left" nothing_left

# Revoked by root in yet another session, which does not possess the key.
t "attach to be revoked" envelope attach --direct --on-lock error /dev/vda x
t "revoke in a private session keyring" private keyctl revoke "$(serial)"
t "locked: revoked" is_locked revoked
t "I/O fails" eval "! dd if=/dev/mapper/x count=8 iflag=direct of=/dev/null"
t_says 10 "resize while locked" "'x' is locked \(revoked\): unlock it first" \
	envelope resize x
t_says 10 "status in text" "/dev/mapper/x is locked: key revoked" \
	envelope status x
t "detach while locked" envelope detach x
t "nothing left after revoke" nothing_left

t "attach to expire" envelope attach --direct /dev/vda x
t "it has a seal, too" seal
t "set a timeout" keyctl timeout "$(serial)" 1
t "locked: expired" wait_until 100 is_locked expired
t "detach after expiry" envelope detach x
t "attach after expiry" envelope attach --direct /dev/vda x

# Removed behind our back.
dmsetup remove x
t "its key is left" keys_left
t_says 7 "attach with a key left" \
	"a live key $ID is in the keyring 'envelope'.*envelope detach $ID" \
	envelope attach --direct /dev/vda x
t "the key is still there" keys_left
t_says 0 "detach by id drops the key" "its key is revoked" \
	envelope detach "$ID"
t "nothing left after that" nothing_left
t "attach again" envelope attach --direct /dev/vda
t "default name is the volume id" test -e "/dev/mapper/$ID"
t "detach by volume id" envelope detach "$ID"

# The module has gone while a key is in use by nobody; two at a time.
t "format a file" eval "truncate -s 4M $WORK/file &&
	envelope format $WORK/file"
t "attach device" envelope attach --direct /dev/vda x
t "attach file" envelope attach --direct "$WORK/file" y
t "both listed" eval "envelope list --json | grep -c '\"state\": \"active\"' |
	grep -x 2"
t "detach one" envelope detach x
t "the other is active" envelope status y
t "detach the other" envelope detach y
t "no loop device is left" nothing_left
done_testing
