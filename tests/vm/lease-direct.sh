#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 32 --kms
# kernels: 6.12
# Leases without an agent: what the kernel does, and what one process asks.
. /test/vm/helpers/attach.bash

aws()
{
	host aws "$1" --key-id "$KEY" "${@:2}" > /dev/null
}

is_locked()
{
	envelope status --json x > "$WORK/status"
	[ $? -eq 10 ] && grep -q "\"reason\": \"$1\"" "$WORK/status"
}

# writes: requests to write that the volume has completed.
writes()
{
	envelope status --json x | sed -n 's/.*"writes": *\([0-9]*\).*/\1/p'
}

# timeout_of: what the kernel says that the key has left, as /proc/keys has it.
timeout_of()
{
	awk -v id="$ID" '$8 == "envelope" && $9 ~ id { print $4 }' /proc/keys
}

seal_timeout()
{
	awk -v id="envelope-seal:$ID" '$8 == "user" && $9 ~ id { print $4 }' \
		/proc/keys
}

no_seal()
{
	[ -z "$(seal_timeout)" ]
}

t "format with a lease" envelope format --lease 10m --grace 20m /dev/vda
ID=$(id_of /dev/vda)
KEY=$(key_of /dev/vda)
t_says 0 "attach says what comes" \
	"it locks in 30m unless 'envelope renew --direct x' comes before" \
	envelope attach --direct /dev/vda x
t "the kernel has the time" eval "timeout_of | grep -E '^(30|29)m$'"
t "the seal has the same time" eval "seal_timeout | grep -E '^(30|29)m$'"
t_says 0 "renew" "/dev/mapper/x: renewed; locks in 2h unless" \
	envelope renew --direct --lease 1h --grace 1h x
t "the kernel has more time" eval "timeout_of | grep -E '^[12]h$'"
t "the seal has more time" eval "seal_timeout | grep -E '^[12]h$'"
t "renew, json" eval "envelope renew --direct --json x |
	grep -q '\"lease\": 600'"
t "back to what core says" eval "timeout_of | grep -E '^(30|29)m$'"

host kms-stop
t_says 4 "renew without a KMS" \
	"warning: 'x': the lease is not renewed; the key's time runs on" \
	envelope renew --direct --timeout 5 x
t "still active" envelope status x
host kms-start
t "no DEK was asked for again" eval "[ \$(decrypts) -ge 1 ]"
aws disable-key
t_says 3 "renew with a disabled key" \
	"'x' is locked: the KMS denies its key, asked twice" \
	envelope renew --direct x
t "locked: revoked" is_locked revoked
t "a locked volume has no seal" wait_until 100 no_seal
t_says 10 "renew of a locked volume" "'x' is locked \(revoked\): unlock it first" \
	envelope renew --direct x
aws enable-key
t "unlock" envelope unlock --direct x
t "unlock gives the time anew" eval "timeout_of | grep -E '^(30|29)m$'"
t "unlock gives the seal its time" eval "seal_timeout | grep -E '^(30|29)m$'"
t "detach" envelope detach x
t "each renewal, the unlock and the detach are recorded" eval \
	"[ \"\$(recorded $ID | cut -d' ' -f1,2 | paste -sd,)\" = \
	'format done,attach granted,renew done,renew done,renew unreachable,renew denied,unlock granted,detach done' ]"

# The kernel alone: no process of ours is there, and the clock is set back.
t "attach with a short lease" envelope attach --direct --lease 10s --grace 2s \
	--on-lock error /dev/vda x
t "readable" dd if=/dev/mapper/x of=/dev/null bs=4k count=1 iflag=direct
date -s "$(date -d '1 day ago' '+%F %T.%N')" > "$WORK/date"
t "locked: expired, though the clock was set back" \
	wait_until 120 is_locked expired
# Half a minute is still missing: to the keyring's clock the key is alive.
date -s "$(date -d '86370 seconds' '+%F %T.%N')" > "$WORK/date"
t "the keyring has it still" keys_left
t "I/O fails" eval "! dd if=/dev/mapper/x of=/dev/null bs=4k count=1 iflag=direct"
t_says 0 "unlock after expiry" "/dev/mapper/x is active" \
	envelope unlock --direct --lease 0 x
date -s "$(date -d '30 seconds' '+%F %T.%N')" > "$WORK/date"
t "no time left to run" eval "timeout_of | grep perm"
t_says 2 "renew needs a lease" "'x' has no lease to renew: --lease gives it one" \
	envelope renew --direct --lease 0 x
t "detach after expiry" envelope detach x

# Under load: revoked, or without a KMS, it locks; the writer just waits.
t "attach under load" envelope attach --direct --lease 5m --grace 1m /dev/vda x
fio --name=v --filename=/dev/mapper/x --direct=1 --size=4m --bs=4k \
	--rw=randwrite --verify=crc32c --verify_fatal=1 --ioengine=libaio \
	--iodepth=8 --loops=1000 > "$WORK/fio" 2>&1 &
FIO=$!
t "renew under load" envelope renew --direct --lease 5m x
aws disable-key
t_fails 3 "revoked under load" envelope renew --direct x
t "no write is acknowledged behind the lock" eval "is_locked revoked &&
	before=\$(writes) && sleep 2 && [ \$(writes) = \$before ]"
aws enable-key
host kms-stop
t_fails 4 "no unlock without a KMS" envelope unlock --direct --timeout 5 x
host kms-start
t "unlock under load" envelope unlock --direct --lease 10s --grace 0 x
host kms-stop
t "without a KMS the kernel locks in time" wait_until 120 is_locked expired
host kms-start
t "the writer still waits" kill -0 $FIO
t "unlock for the end" envelope unlock --direct --lease 0 x
kill -INT $FIO
wait $FIO
t "fio has read back what was acknowledged" eval \
	"! grep -iE 'verify: bad|verify failed|err=[^ ]*[1-9]' $WORK/fio"
t "detach after the load" envelope detach x

refused 2 "dm-crypt" "volume $ID has a lease, which dm-crypt cannot keep.*or with --lease 0" \
	envelope attach --direct --target crypt /dev/vda x
t "dm-crypt without the lease" eval "modprobe dm-crypt &&
	envelope attach --direct --target crypt --lease 0 /dev/vda x &&
	envelope detach x"
refused 2 "a lease too short" "this lease cannot be kept: a lease has at least 10s" \
	envelope attach --direct --lease 9s /dev/vda x

# What must not be locked.
t "attach without its lease" envelope attach --direct --lease 0 /dev/vda x
t "mkswap" mkswap /dev/mapper/x
t "detach the swap" envelope detach x
refused 7 "swap" "'x' holds swap space, which must not be locked" \
	envelope attach --direct /dev/vda x
t "swap without a lease" envelope attach --direct --lease 0 /dev/vda x
t "detach it again" eval "wipefs -qa /dev/mapper/x; envelope detach x"
echo "/dev/mapper/x /usr ext4 defaults 0 0" > /etc/fstab
refused 7 "/usr" "'x' holds what this system runs from, by /etc/fstab" \
	envelope attach --direct /dev/vda x
t "/usr, forced" envelope attach --direct --force /dev/vda x
t "the last detach" envelope detach x
: > /etc/fstab

# Two slots. The first one's KMS, a program here, answers when it may, and denies.
cat > /usr/bin/slow-keys <<'END'
#!/bin/sh
q=$(cat)
of()
{
	echo "$q" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}
KEY='"KeyId":"program:slow/x"'
case $q in
*'"GenerateDataKeyWithoutPlaintext"'*)
	blob=$(head -c 64 /dev/urandom | base64 | tr -d '\n')
	echo "{$KEY,\"CiphertextBlob\":\"$blob\"}";;
*'"Decrypt"'*)
	while [ -e /run/slow ]; do
		sleep 0.2
	done
	[ ! -e /run/deny ] || {
		echo '{"__type":"AccessDeniedException"}'
		exit 1
	}
	echo "{$KEY,\"Plaintext\":\"$(of CiphertextBlob)\"}";;
*)
	echo '{"__type":"UnsupportedOperationException"}'
	exit 1;;
esac
END
chmod 755 / /usr /usr/bin /usr/bin/slow-keys
printf '[program slow]\npath = /usr/bin/slow-keys\n' >> \
	/etc/envelope/envelope.conf

# opened_by_the_second VERB...: while the first one has not answered.
opened_by_the_second()
{
	touch /run/slow
	envelope "$@" 2> "$WORK/said" &&
		grep -q "trying the next slot, 2 of 2" "$WORK/said" &&
		envelope status x
}

nobody_asks()
{
	! grep -qsx envelope /proc/[0-9]*/comm
}

# told: what the journal has of late locks, key and volume with them.
told()
{
	grep -A 9 '^MESSAGE=lockVolume' "$WORK/journal"
}

journal > "$WORK/journal" 2>&1 &
wait_until 60 test -S /run/systemd/journal/socket

t "format under a program's key" envelope format --force \
	--kms-key program:slow/x /dev/vda
t "a second slot" envelope slot add --kms-key "$KEY" /dev/vda
ID=$(id_of /dev/vda)
touch /run/deny
t "the second slot opens it" opened_by_the_second attach --direct /dev/vda x
rm /run/slow
t "security-19-a-denial-that-comes-later-locks" \
	wait_until 300 is_locked revoked
t "who locked it has gone" wait_until 120 nobody_asks
t "the audit has the lock, its key and why" eval "envelope audit show --json |
	tr -d '\n' | grep -q '\"lock\"[^{]*program:slow/x[^{]*AccessDenied'"
t "the event, too" eval "told | grep -q '^MESSAGE=lockVolume of $ID succeeded: .*AccessDenied' &&
	told | grep -q '^ENVELOPE_KEY_ID=program:slow/x'"
rm /run/deny
t "the second slot unlocks it" opened_by_the_second unlock --direct x
rm /run/slow
t "the first one answers, too" wait_until 120 nobody_asks
t "nobody denies: it stays active" envelope status x
touch /run/deny
t "lock" envelope lock x
t "the second slot unlocks it again" opened_by_the_second unlock --direct x
rm /run/slow
t "a denial that comes later locks what was unlocked" \
	wait_until 300 is_locked revoked
t "detach what is locked" envelope detach x

# What is not attached any more is not locked, and nobody says that it was.
LOCKS=$(recorded "$ID" | grep -c '^lock done')
TOLD=$(told | grep -c ^MESSAGE)
t "the second slot opens what goes at once" \
	opened_by_the_second attach --direct /dev/vda x
t "detached before the denial" envelope detach x
rm /run/slow
t "who asked has gone" wait_until 120 nobody_asks
t "no record of a lock" eval "[ \$(recorded $ID | grep -c '^lock done') = $LOCKS ]"
t "no event of a lock" eval "[ \$(told | grep -c ^MESSAGE) = $TOLD ]"

# A record on the volume itself would wait for its unlock.
t "the second slot opens what has the audit" \
	opened_by_the_second attach --direct /dev/vda x
mkfs.ext4 -qF -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/x
cp -a /var/lib/envelope "$WORK/lib"
mount -o noatime /dev/mapper/x /var/lib/envelope
cp -a "$WORK"/lib/. /var/lib/envelope
sync -f /var/lib/envelope
rm /run/slow
t "a late denial locks the audit, too" wait_until 300 is_locked revoked
t "who locked it does not wait for its own record" wait_until 120 nobody_asks
rm /run/deny
t "the second slot unlocks the audit" opened_by_the_second unlock --direct x
rm /run/slow
t "nobody asks any more" wait_until 120 nobody_asks
t "the audit has no record of that lock" eval \
	"[ \$(recorded $ID | grep -c '^lock done') = $LOCKS ]"
t "but the event was told" eval "[ \$(told | grep -c ^MESSAGE) = $((TOLD + 1)) ]"
umount /var/lib/envelope
t "detach what had the audit" envelope detach x
touch /run/deny
host kms-stop
refused 3 "a denial in time" "AccessDeniedException" \
	envelope attach --direct /dev/vda x
host kms-start
t "nothing left" nothing_left
done_testing
