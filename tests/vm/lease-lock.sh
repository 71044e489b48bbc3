#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 32 --kms
# kernels: 6.12
# Locking by hand, what is refused to be locked, and unlocking by the KMS.
. /test/vm/helpers/attach.bash
modprobe ext4

DEV=/dev/mapper/x

state_is()
{
	envelope status --json x > "$WORK/status"
	grep -q "\"state\": \"$1\"" "$WORK/status"
}

t_says 8 "lock: not attached" "'x' is not attached" envelope lock x
t_says 4 "unlock without an agent" "no agent answers at .*, or use --direct" \
	envelope unlock x
t_says 8 "unlock: not attached" "'x' is not attached" \
	envelope unlock --direct x

t "format" envelope format /dev/vda
KEY=$(key_of /dev/vda)
t "attach" envelope attach --direct /dev/vda x
t_says 0 "unlock of an active volume asks nobody" "/dev/mapper/x is active" \
	envelope unlock --direct x
t "mkfs" mkfs.ext4 -q $DEV
mount $DEV /mnt
head -c 4M /dev/urandom > /mnt/file
SUM=$(sum_of /mnt/file)

t_says 0 "lock" "/dev/mapper/x is locked: key revoked" envelope lock x
t "no key is left" wait_until 100 no_keys
t_says 10 "status of a locked volume" "is locked: key revoked" envelope status x
t_says 0 "lock of a locked volume" "is locked: key revoked" envelope lock x
t "what is cached can be read: stated in words" eval \
	"[ \$(sum_of /mnt/file) = $SUM ] &&
	envelope lock x | grep 'in memory stays what the page cache'"
dd if=$DEV of="$WORK/read" bs=4k count=1 iflag=direct 2> /dev/null &
READER=$!
t_says 3 "unlock with a disabled key" "the key is disabled" bash -c \
	"host aws disable-key --key-id $KEY && envelope unlock --direct x"
t "still locked, no key" eval "state_is locked && no_keys"
t "the reader waits" kill -0 $READER
host aws enable-key --key-id "$KEY" > /dev/null
t_says 0 "unlock" "/dev/mapper/x is active" envelope unlock --direct x
t "the reader goes on" wait $READER
t "one live key, and its seal" eval "[ \$(keys_left | wc -l) = 2 ]"
t "each lock and unlock is recorded" eval \
	"[ \"\$(recorded $(id_of /dev/vda) | cut -d' ' -f1,2 | paste -sd,)\" = \
	'format done,attach granted,lock done,lock done,lock done,unlock denied,unlock granted' ]"

# Without a KMS, by the key from the safe.
t "recovery key" eval "envelope recovery-key add --json /dev/vda |
	sed -n 's/.*\"recovery_key\": *\"\([^\"]*\)\".*/\1/p' > $WORK/key"
host kms-stop
t_says 3 "unlock by a recovery key keeps no lease" \
	"has a lease, which a recovery key cannot keep: --lease 0" \
	bash -c "envelope lock x > /dev/null && envelope unlock --direct \
		--lease 1h --recovery-key $WORK/key x"
t_says 0 "unlock by a recovery key, without a KMS" \
	"is opened by recovery key recovery:" \
	envelope unlock --direct --recovery-key "$WORK/key" x
host kms-start
dd if=/mnt/file of="$WORK/copy" bs=1M iflag=direct status=none
t "the file is right behind it" [ "$(sum_of "$WORK/copy")" = "$SUM" ]

t_says 0 "lock and drop caches" "in memory stays what programs hold" \
	envelope lock --drop-caches x
cat /mnt/file > "$WORK/copy" &
READER=$!
sleep 1
t "the file is not in the cache any more" kill -0 $READER
t "unlock, json" eval "envelope unlock --direct --json x |
	grep -q '\"state\": \"active\"'"
t "the copy goes on and is right" eval \
	"wait $READER; [ \$(sum_of $WORK/copy) = $SUM ]"

# Writers that never notice, but for the time it takes.
fio --name=v --directory=/mnt --direct=1 --size=4m --bs=4k --rw=randwrite \
	--verify=crc32c --verify_fatal=1 --ioengine=libaio --iodepth=8 \
	--loops=3 > "$WORK/fio" 2>&1 &
FIO=$!
for _ in 1 2 3; do
	sleep 1
	envelope lock --json x >> "$WORK/lock" || break
	sleep 0.5
	envelope unlock --direct x >> "$WORK/lock" || break
done
t "fio verifies over lock and unlock" wait $FIO
t "locked three times" eval "[ \$(grep -c '\"reason\": \"revoked\"' \
	$WORK/lock) = 3 ]"
t "umount" umount /mnt

# Another volume's header below: its DEK is not this volume's.
cp /dev/vda "$WORK/image"
t "lock again" envelope lock x
t "format of another volume" eval "truncate -s 4M $WORK/other &&
	envelope format $WORK/other"
dd if="$WORK/other" of=/dev/vda bs=256k count=1 conv=notrunc 2> /dev/null
t_says 6 "unlock by a foreign header" "but the header is that of vol-" \
	envelope unlock --direct x
dd if="$WORK/image" of=/dev/vda bs=256k count=1 conv=notrunc 2> /dev/null
t "unlock by its own" envelope unlock --direct x

# Whoever unlocks may need pages behind the lock.
t "swap on the volume" eval "mkswap $DEV && swapon $DEV"
t_says 7 "lock: swap" "'x' holds swap space that is in use: .*; swapoff first" \
	envelope lock x
t_says 7 "lock --force: swap" "'x' holds swap space" envelope lock --force x
t "still active" state_is active
t "swapoff" swapoff $DEV
mkfs.ext4 -qF -E lazy_itable_init=0,lazy_journal_init=0 $DEV
mkdir -p /var/lib/envelope
cp -a /var/lib/envelope "$WORK/lib"
# Who unlocks reads the pins: that must not want the journal, which waits.
mount -o noatime $DEV /var/lib/envelope
cp -a "$WORK"/lib/. /var/lib/envelope
t_says 7 "lock: the state of this host" \
	"'x' holds /var/lib/envelope: .*: --force does it nevertheless" \
	envelope lock x
sync -f /var/lib/envelope
t_says 0 "lock --force" \
	"'x' has this host's audit, which has no record of the lock" \
	envelope lock --force x
# The record would wait for an unlock.
t_says 7 "lock again does not wait for its own record" \
	"'x' has this host's audit, which has no record of the lock" \
	timeout 60 envelope lock x
t_says 7 "nor does detach" \
	"'x' has this host's audit, which has no record of the detach" \
	timeout 60 envelope detach x
t_says 10 "nor does resize" \
	"'x' has this host's audit, which has no record of the resize" \
	timeout 60 envelope resize x
t "unlock --force'd" envelope unlock --direct x
umount /var/lib/envelope
t "detach" envelope detach x

t "attach by dm-crypt" eval "modprobe dm-crypt &&
	envelope attach --direct --target crypt /dev/vda x"
t_says 1 "lock: dm-crypt" "'x' cannot be locked: its target does not lock" \
	envelope lock x
t "detach dm-crypt" envelope detach x

t "format with a detached header" eval "wipefs -qa /dev/vda;
	dd if=/dev/zero of=/dev/vda bs=1M count=1 2> /dev/null
	envelope format --header $WORK/header /dev/vda"
t "attach it" envelope attach --direct --header "$WORK/header" /dev/vda x
t "lock it" envelope lock x
t_says 5 "unlock without its header" "no envelope header" \
	envelope unlock --direct x
t "unlock with it" envelope unlock --direct --header "$WORK/header" x
t "detach it" envelope detach x
t "nothing left" nothing_left
done_testing
