#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --disk 8 --kms
# kernels: 6.12
# The verbs of the header on block devices, attached ones among them.
. /test/vm/helpers/attach.bash

attach()
{
	envelope attach --direct "$@"
}

# plain FILE: the attached volume's bytes are FILE's.
plain()
{
	sync
	echo 3 > /proc/sys/vm/drop_caches
	cmp "$1" /dev/mapper/x
}

t "format" envelope format /dev/vda
ID=$(id_of /dev/vda)
t "attach" attach /dev/vda x
dd if=/dev/urandom of="$WORK/plain" bs=1M count=3 status=none
truncate -s "$(blockdev --getsize64 /dev/mapper/x)" "$WORK/plain"
t "write" dd if="$WORK/plain" of=/dev/mapper/x bs=1M count=3 conv=fsync \
	status=none
t "header-backup while attached" \
	envelope header-backup /dev/vda "$WORK/backup"

# What would pull the header from under an attached volume.
t_says 7 "erase while attached" "'/dev/vda' is in use" \
	unchanged /dev/vda envelope erase --force /dev/vda
t_says 7 "header-restore while attached" "'/dev/vda' is in use" \
	unchanged /dev/vda envelope header-restore --force /dev/vda \
	"$WORK/backup"

# What may happen meanwhile.
NEW=$(host aws create-key --query KeyMetadata.Arn --output text)
BEFORE=$(decrypts)
t_says 0 "rewrap while attached" "$ID: slot 0 moved" \
	envelope rewrap --kms-key "$NEW" /dev/vda
t "rewrap: no Decrypt" test "$(decrypts)" = "$BEFORE"
t "rewrap: the data stay" plain "$WORK/plain"
t "rewrap: the new key is there" test "$(key_of /dev/vda)" = "$NEW"
t "check --unwrap while attached" envelope check --unwrap /dev/vda
t_says 0 "export while attached" "$ID is attached as 'x'" \
	envelope export /dev/vda "$WORK/out"
t "export: the same plaintext" cmp "$WORK/plain" "$WORK/out"
t "detach" envelope detach x
t "attach under the new key" attach /dev/vda x
t "the data are there" plain "$WORK/plain"
t "detach again" envelope detach x

# The backup from before the rewrap still opens it, as rewrap said: the pin
# does not let it through unless root takes it out.
t_says 6 "header-restore of the old slot" "is not pinned with key" \
	unchanged /dev/vda envelope header-restore /dev/vda "$WORK/backup"
t "a backup of now" envelope header-backup /dev/vda "$WORK/backup2"
t_says 0 "erase" "both copies of the header are overwritten" \
	envelope erase --yes /dev/vda
t "erase: all of both copies" cmp -n 262144 /dev/vda /dev/zero
t_fails 5 "erased: no attach" attach /dev/vda x
t_fails 5 "erased: no export" envelope export /dev/vda "$WORK/out2"
t "header-restore" envelope header-restore --force /dev/vda "$WORK/backup2"
t "restored: attach" attach /dev/vda x
t "restored: the data are there" plain "$WORK/plain"
t "restored: detach" envelope detach x

# A detached header is not held by anybody, but its volume is attached.
t "format with a detached header" \
	envelope format --header "$WORK/header" /dev/vdb
t "attach with it" attach --header "$WORK/header" /dev/vdb x
t_says 7 "erase of a detached header in use" \
	"is attached as 'x': detach it first" \
	unchanged "$WORK/header" envelope erase --yes --header "$WORK/header"
t "detach its volume" envelope detach x
t "erase the detached header" envelope erase --yes --header "$WORK/header"
t "nothing left at the end" nothing_left
done_testing
