#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --kms
# kernels: 6.12
# Without the module, and with one that the kernel refuses: a sentence that
# helps, and stock dm-crypt as the fallback.
. /test/vm/helpers/attach.bash
modprobe dm_crypt

attach()
{
	envelope attach --direct "$@"
}

PLAIN=$WORK/plain
head -c 1M /dev/urandom > "$PLAIN"

holds_plain()
{
	cmp -n 1048576 "$PLAIN" "/dev/mapper/$1"
}

# no_key_in_table NAME: the table names a key, and nobody printed one.
names_its_key()
{
	dmsetup table --showkeys "$1" | grep -F " :64:$2$(id_of /dev/vda) "
}

t "format" envelope format /dev/vda
t "attach" attach /dev/vda x
t "fill" dd if="$PLAIN" of=/dev/mapper/x bs=64k oflag=direct status=none
t "key by name" names_its_key x envelope:
t "detach" envelope detach x

t "unload the module" rmmod dm-envelope
BEFORE=$(decrypts)
refused 9 "module missing" \
	"has no module dm-envelope: build it with 'make module' .*sign it .*modprobe dm-envelope.*--target crypt" \
	attach /dev/vda x
t "module missing: the KMS was not asked" test "$(decrypts)" = "$BEFORE"

dry_run()
{
	unchanged /dev/vda attach --dry-run "$@" /dev/vda x
}

# A dry run needs no kernel, but all the rest.
t_says 0 "dry run" "^/dev/vda: volume vol-.*, can be unwrapped; nothing attached" \
	dry_run
t "dry run: one Decrypt" test "$(decrypts)" = $((BEFORE + 1))
t_says 0 "dry run in JSON" '"dry_run": true' dry_run --json
t "dry run: nothing left" nothing_left
KEY=$(key_of /dev/vda)
host aws disable-key --key-id "$KEY" > /dev/null
t_says 3 "dry run, key disabled" "the key is disabled" dry_run
host aws enable-key --key-id "$KEY" > /dev/null

t_says 0 "target crypt" \
	"warning: '/dev/vda': dm-crypt knows no holes: blocks that were never" \
	attach --target crypt /dev/vda x
t "target crypt: same data" holds_plain x
t "target crypt: key by name" names_its_key x logon:envelope:
t "target crypt: no key stays" eval "! keys_left"
t_says 0 "target crypt: status" "crypt, does not lock when its key ends" \
	envelope status x
t_says 0 "target crypt: status in JSON" '"target": "crypt"' \
	envelope status --json x
t "target crypt: write" dd if="$PLAIN" of=/dev/mapper/x bs=64k seek=16 \
	oflag=direct status=none
t "target crypt: detach" envelope detach x
t "target crypt: nothing left" nothing_left

# Installed where modprobe finds it, it is loaded by the attach itself.
mkdir -p "/lib/modules/$(uname -r)/updates"
cp /lib/modules/envelope/dm-envelope.ko "/lib/modules/$(uname -r)/updates/"
depmod -a
t "attach loads the module" attach /dev/vda x
t "what dm-crypt wrote is there" eval \
	"dd if=/dev/mapper/x bs=1M skip=1 count=1 status=none | cmp - $PLAIN"
t "detach after that" envelope detach x
t "unload it again" rmmod dm-envelope

# What Secure Boot does to a module without a signature.
echo 1 > /sys/module/module/parameters/sig_enforce
refused 9 "module refused" \
	"refuses the module dm-envelope, as Secure Boot .*sign-file.*--target crypt" \
	attach /dev/vda x

# A volume without holes has nothing to warn of.
t_says 0 "format --no-holes, in JSON" '"holes": false' \
	envelope format --json --force --no-holes /dev/vda
t_says 0 "target crypt without holes" "^/dev/mapper/y: volume" \
	eval "attach --target crypt /dev/vda y 2>&1 | grep -v warning"
t "no warning" eval "envelope detach y &&
	! attach --target crypt /dev/vda y 2>&1 | grep warning"
t "detach at the end" envelope detach y
t_says 0 "open is attach" '"device": "/dev/mapper/y"' \
	envelope open --direct --json --target crypt /dev/vda y
t "close is detach" envelope close y
t "nothing left at the end" nothing_left
done_testing
