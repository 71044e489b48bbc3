#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --disk 8 --kms
# kernels: 6.12
# Headers that are damaged, replaced, of another device, or gone: what is
# refused, before any I/O, and what still works.
. /test/vm/helpers/attach.bash
modprobe ext4

attach()
{
	envelope attach --direct "$@"
}

# save FILE, put FILE: both copies of the header of /dev/vda.
save()
{
	dd if=/dev/vda of="$1" bs=128k count=2 status=none
}

put()
{
	dd if="$1" of=/dev/vda bs=128k conv=fsync status=none
}

# damage OFFSET: flip a byte of /dev/vda.
damage()
{
	local byte

	byte=$(od -An -tu1 -j "$1" -N 1 /dev/vda)
	printf %b "\\0$(printf %o $((byte ^ 1)))" |
		dd of=/dev/vda bs=1 seek="$1" conv=notrunc,fsync status=none
}

attaches()
{
	unchanged /dev/vda attach /dev/vda x && envelope detach x
}

t "format" envelope format /dev/vda
ID=$(id_of /dev/vda)
save "$WORK/first"
t "attach" attaches

t "damage copy A" damage 5000
t "security-03-copy-b-serves-and-nothing-is-written" attaches
t "damage copy B" damage $((131072 + 200))
refused 6 "both copies damaged" "no undamaged copy of the header is left" \
	attach /dev/vda x
put "$WORK/first"

# An old header put back: first an older core, then a slot of an old key.
t "shrink" envelope resize --size 4M --force /dev/vda
BEFORE=$(decrypts)
put "$WORK/first"
refused 6 "security-01-lower-revision-refused" \
	"is pinned at revision 2, the header has 1: an old header was put back" \
	attach /dev/vda x
t "lower revision: the KMS was not asked" test "$(decrypts)" = "$BEFORE"
t "format anew" envelope format --force /dev/vda
ID=$(id_of /dev/vda)
save "$WORK/first"
NEW=$(host aws create-key --query KeyMetadata.Arn --output text)
t "rewrap" envelope rewrap --kms-key "$NEW" /dev/vda
t "attach after rewrap" attaches
put "$WORK/first"
BEFORE=$(decrypts)
refused 6 "security-01-key-not-pinned" \
	"$ID is not pinned with key .*: the header was replaced" \
	attach /dev/vda x
t "key not pinned: the KMS was not asked" test "$(decrypts)" = "$BEFORE"

# The same replaced header, on a host that has no pin: allow-keys decides.
mv /var/lib/envelope/known "$WORK/known"
sed "s|^allow-keys.*|allow-keys = $NEW|" /etc/envelope/envelope.conf \
	> "$WORK/allow.conf"
refused 3 "security-01-allow-keys-decides-without-a-pin" \
	"allow-keys does not cover it" \
	attach --config "$WORK/allow.conf" /dev/vda x
t "without a pin it attaches" attaches
t "and is pinned then" grep -q "$ID" /var/lib/envelope/known

# mkfs on the device below: both copies gone, then only one.
save "$WORK/first"
t "mkfs.ext4 on the device below" mkfs.ext4 -q -F /dev/vda
refused 5 "mkfs was run" \
	"no envelope header, but a file system \(ext4\): .*mkfs or the like was run on the device below" \
	attach /dev/vda x
dd if="$WORK/first" of=/dev/vda bs=128k skip=1 seek=1 count=1 conv=fsync \
	status=none
refused 5 "mkfs was run, copy B is whole" \
	"a file system \(ext4\) was made over the header; its copy B is whole" \
	attach /dev/vda x
dd if=/dev/zero of=/dev/vda bs=1M count=2 conv=fsync status=none
refused 5 "blank device" "'/dev/vda': no envelope header in either copy" \
	attach /dev/vda x

# Detached headers belong to one device.
HDR=$WORK/header
t "format with a detached header" envelope format --header "$HDR" /dev/vda
t "detached: the device stays blank" cmp -n 1048576 /dev/vda /dev/zero
t "detached: attach" attach --header "$HDR" /dev/vda x
t "detached: the data begin at sector 0" eval \
	"dmsetup table x | grep -E ' [0-9]+:[0-9]+ 0 [0-9]+ sector_size'"
t "detached: detach" envelope detach x
refused 5 "detached: --header left out" "no envelope header in either copy" \
	attach /dev/vda x
refused 2 "detached: header as device" "is a detached header: name it with" \
	attach "$HDR" x
truncate -s 7M "$WORK/small"
refused 6 "security-07-another-size-refused" \
	"has a smaller size, so it is not the device of" \
	attach --header "$HDR" "$WORK/small" x
t "other volume" envelope format /dev/vdb
refused 6 "security-07-magic-on-the-device-refused" \
	"'/dev/vdb' has an envelope header of its own, so it is not the device" \
	attach --header "$HDR" /dev/vdb x
t "mkfs on the other device" mkfs.ext4 -q -F /dev/vdb
refused 6 "security-07-plaintext-on-the-device-refused" \
	"'/dev/vdb' has a file system \(ext4\), so it is not the device" \
	attach --header "$HDR" /dev/vdb x
t_says 0 "security-07-force-goes-on" "so it may not be the device of" \
	attach --header "$HDR" --force --readonly /dev/vdb x
t "detach the forced one" envelope detach x
t "nothing left at the end" nothing_left
done_testing
