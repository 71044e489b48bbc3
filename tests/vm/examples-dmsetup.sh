#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --disk 8 --kms --file scripts/examples:/test/examples --file scripts/systemd/envelope-snapshot-nightly.service:/test/nightly.service
# kernels: 6.12
# The examples that work with dmsetup and keyctl alone, beside the command.
. /test/vm/helpers/attach.bash

EXAMPLES=/test/examples

# The volume's key, as an administrator gets it of the KMS.
dek()
{
	local blob id

	blob=$(dd if=/dev/vda bs=128K count=1 status=none | tr -d '\0' |
		grep -ao '"ciphertext": *"[^"]*"' | cut -d '"' -f 4)
	id=$(id_of /dev/vda)
	host aws decrypt --key-id "$(key_of /dev/vda)" --ciphertext-blob "$blob" \
		--encryption-context "envelope:volume-id=$id,envelope:generation=1" \
		--query Plaintext --output text | base64 -d
}

t "format" envelope format /dev/vda
t "attach, the normal way" envelope attach --direct /dev/vda x
dd if=/dev/urandom of=/dev/mapper/x bs=64K count=3 seek=2 oflag=direct \
	status=none
SUM=$(sum_of /dev/mapper/x)
TABLE=$(dmsetup table x | sed 's/:64:envelope:[^ ]*/KEY/')
t "detach" envelope detach x

t "attach by hand" eval 'dek | "$EXAMPLES/volume-attach" /dev/vda x'
t "the table is the same" eval \
	'[ "$(dmsetup table x | sed "s/:64:envelope:[^ ]*/KEY/")" = "$TABLE" ]'
t "the data are" eval '[ "$(sum_of /dev/mapper/x)" = "$SUM" ]'
t "envelope does not take it for verified" eval '! envelope list | grep -w x'
t "detach by hand" "$EXAMPLES/volume-detach" x
t "nothing left" nothing_left
t_fails 1 "a key that is none" eval \
	'head -c 63 /dev/zero | "$EXAMPLES/volume-attach" /dev/vda x'
t "nothing left of that" nothing_left

# The service's command, with systemd's reading of its variables.
nightly()
{
	local command

	command=$(sed -n 's/^ExecStart=//p' /test/nightly.service)
	OPTIONS="--store dir:/run/store" VOLUMES=x sh -c "$command"
}

t "attach the normal way again" envelope attach --direct /dev/vda x
t "a nightly snapshot" nightly
t "and the next night's" nightly
t "the store has both" eval '[ "$(envelope-snapshot list \
	--store dir:/run/store | grep -c ^snap-)" = 2 ]'
t "detach again" envelope detach x
t "nothing left behind that" nothing_left

t "scratch" "$EXAMPLES/volume-scratch" /dev/vdb y
t "it takes data" eval 'mkfs.ext4 -q /dev/mapper/y && blkid /dev/mapper/y'
t "detach scratch" "$EXAMPLES/volume-detach" y
t_fails 2 "nobody sees them below" blkid -p /dev/vdb
t "nothing left at the end" eval 'nothing_left && ! grep scratch: /proc/keys'
done_testing
