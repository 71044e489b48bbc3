#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# How keys are found, whatever the session; logon keys; permissions.
. /test/vm/helpers/target.bash

disks 1 4096
DEV=/dev/mapper/env
key vol-k 1 > /dev/null
LINE=$(table 4096 vol-k sector_size:4096)

# private SCRIPT: under a session keyring of its own, as systemd gives a unit
private()
{
	keyctl session - bash -c "$1"
}

t "private session: the user keyring is not linked in it" \
	private '! keyctl show @s | grep -q _uid.0'
t "private session: attach" private "dmsetup create env --table '$LINE'"
t "private session: reload" \
	private "dmsetup reload env --table '$LINE' && dmsetup resume env"
dmsetup message env 0 key wipe
t "private session: unlock" \
	private "dmsetup message env 0 key set :64:envelope:vol-k"
dmsetup remove env

# what sudo leaves: root, and somebody else's session keyring
by_sudo()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups \
		--inh-caps=+all --ambient-caps=+all \
		keyctl session - setpriv --reuid 0 --regid 0 --clear-groups \
		dmsetup create env --table "$LINE"
}
t "session of another user, as under sudo: attach" by_sudo
dmsetup remove env

in_session()
{
	keyctl session - bash -c "vmkey add envelope vol-s @s 2 &&
		dmsetup create env --table '$(table 4096 vol-s sector_size:4096)'"
}
t "a key of the session keyring alone: attach" in_session
dmsetup remove env

dead_in_session()
{
	keyctl session - bash -c "s=\$(vmkey add envelope vol-k @s 2) &&
		keyctl revoke \$s && dmsetup create env --table '$LINE'"
}
t "a dead key in the session does not hide the live one" dead_in_session
dmsetup remove env

# logon
vmkey add logon vm:logon @u 1 > /dev/null
LOGON=$(keyctl search @u logon vm:logon)
t "logon: attach" create env "0 4096 envelope aes-xts-plain64 \
:64:logon:vm:logon 0 /dev/ram0 0 1 sector_size:4096"
t "logon: status says unleased" test "$(dmsetup status env)" = \
	"0 4096 envelope active - unleased 0 0 0 0"
vmio fill $DEV 0 65536 4
keyctl revoke "$LOGON"
sleep 1.5
t "logon: its revocation has no effect" vmio check $DEV 0 65536 4
t "logon: wipe locks" dmsetup message env 0 key wipe
t "logon: unlock by a key that can be revoked" \
	dmsetup message env 0 key set :64:envelope:vol-k
t "logon: status says revocable now" test "$(dmsetup status env |
	cut -d' ' -f4-6)" = "active - revocable"
t "logon: table names the new key" eval "dmsetup table env |
	grep -q ' :64:envelope:vol-k '"
t "logon: data are the same" vmio check $DEV 0 65536 4
vmkey add logon vm:two @u 1 > /dev/null
t "logon: exchanged while active" dmsetup message env 0 key set :64:logon:vm:two
keyctl revoke "$(serial vol-k)"
t "logon: the former key counts no more" is_state env "active -"
dmsetup remove env

# permissions
key vol-p 1 > /dev/null
t "permissions: possessor and owner may view, search, link, set" \
	keyctl setperm "$(serial vol-p)" 0x3d0d0000
t "permissions: attach" create env "$(table 4096 vol-p)"
t_fails 1 "permissions: nobody else can revoke" \
	setpriv --reuid 65534 --regid 65534 --clear-groups \
	keyctl revoke "$(serial vol-p)"
t "permissions: still active" is_state env "active -"
dmsetup remove env

# hibernation would write the key to disk
hibernation_refused()
{
	dmesg -C
	! echo disk > /sys/power/state &&
		dmesg | grep -q "hibernation refused: it would write"
}
t "hibernation: refused while a key is loaded" hibernation_refused

# prepared: as a program would that writes the image itself; no more than asking
# the drivers is done until it says so.
prepared()
{
	bash -c 'true < /dev/snapshot'
}
ALLOW=/sys/module/dm_envelope/parameters/allow_hibernation
t_says 1 "hibernation: refused to a program, too" "busy" prepared
echo 1 > $ALLOW
t "hibernation: not when it has been allowed" prepared
echo 0 > $ALLOW
t_says 1 "hibernation: refused again" "busy" prepared
done_testing
