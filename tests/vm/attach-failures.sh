#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --kms
# kernels: 6.12
# Attaches that fail: each its own status and sentence, and afterwards no
# device, no key, no loop device, and /dev/vda as it was.
. /test/vm/helpers/attach.bash

# The time budget is for a slow guest's handshake, and three tests spend all
# of one: in_vain.
attach()
{
	timeout 200 envelope attach --direct --timeout 60 "$@"
}

in_vain()
{
	timeout 200 envelope attach --direct --timeout 2 "$@"
}

set_key()
{
	host aws "$1" --key-id "$KEY" "${@:2}" > /dev/null
}

t "format" envelope format /dev/vda
KEY=$(key_of /dev/vda)
ID=$(id_of /dev/vda)

t "disable" set_key disable-key
refused 3 "key disabled" "the key is disabled \(DisabledException\)" \
	attach /dev/vda x
t "enable" set_key enable-key

t "schedule" set_key schedule-key-deletion --pending-window-in-days 7
refused 3 "key pending deletion" "the key is pending deletion" \
	attach /dev/vda x
t_says 3 "format under a key pending deletion" \
	"the key is pending deletion .*cancel the deletion" \
	envelope format --force /dev/vda
t "format under such a key wrote nothing" test "$(id_of /dev/vda)" = "$ID"
t "cancel" set_key cancel-key-deletion
t "enable after cancel" set_key enable-key

# strangers: credentials of nobody.
strangers()
{
	printf '[envelope]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n' > "$1"
	printf 'aws_secret_access_key = %040d\n' 1 >> "$1"
}
strangers "$WORK/credentials"
refused 3 "credentials of nobody" "refuses the credentials from profile" \
	env AWS_SHARED_CREDENTIALS_FILE="$WORK/credentials" \
	envelope attach --direct /dev/vda x
refused 4 "no credentials" "envelope: " \
	env AWS_SHARED_CREDENTIALS_FILE="$WORK/none" \
	envelope attach --direct /dev/vda x

t "pause the KMS" host kms-pause
refused 4 "KMS does not answer" \
	"did not answer within the time budget of 2000 ms" in_vain /dev/vda x
t "let the KMS go on" host kms-cont
t "stop the KMS" host kms-stop
refused 4 "KMS unreachable" "cannot be reached .*check the network" \
	in_vain /dev/vda x
t "start the KMS" host kms-start

t "cut the network" ip link set eth0 down
refused 4 "network cut" "cannot be reached" in_vain /dev/vda x
t "mend the network" eval "ip link set eth0 up &&
	{ ip route add default via 10.0.2.2 || true; }"

printf '[req]\ndistinguished_name = dn\n[dn]\n' > "$WORK/openssl.cnf"
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -days 2 \
	-config "$WORK/openssl.cnf" -keyout /dev/null \
	-out "$WORK/other.pem" 2> /dev/null
refused 4 "another CA" "does not prove its identity" \
	attach --ca-file "$WORK/other.pem" /dev/vda x

# All of these are refused without asking the KMS.
BEFORE=$(decrypts)
sed 's/us-east-1/eu-west-1/' /etc/envelope/envelope.conf > "$WORK/region.conf"
refused 3 "security-05-region-not-configured" \
	"region 'us-east-1' is not configured on this host" \
	attach --config "$WORK/region.conf" /dev/vda x
sed 's/^allow-keys.*/allow-keys = arn:aws:kms:us-east-1:999999999999:key\/*/' \
	/etc/envelope/envelope.conf > "$WORK/allow.conf"
refused 3 "security-01-key-not-allowed" "allow-keys does not cover it" \
	attach --config "$WORK/allow.conf" /dev/vda x
refused 4 "no agent" "no agent answers at /run/envelope/agent.sock: .*--direct" \
	envelope attach /dev/vda x
refused 2 "bad name" "'a/b' is no name for a device" attach /dev/vda a/b
refused 2 "bad on-lock" "'maybe' is neither queue nor error" \
	attach --on-lock maybe /dev/vda x
refused 1 "no such device" "'/dev/nothing': cannot open it: No such file" \
	attach /dev/nothing x
refused 1 "neither device nor file" "is neither a block device nor a file" \
	attach /dev/null x

dmsetup create x --table "0 8 zero"
t_says 7 "name in use" "'x': a device of that name exists: choose another" \
	attach /dev/vda x
t "name in use: no key left" eval "! keys_left"
t "name in use: the other device is still there" dmsetup info x
dmsetup remove x

dmsetup create holder --table "0 8 linear /dev/vda 0"
refused 7 "device in use" "'/dev/vda' is in use: it is mounted, or something" \
	attach /dev/vda x
dmsetup remove holder
t "none of these asked the KMS" test "$(decrypts)" = "$BEFORE"

# A table that the kernel refuses, when the key is in the keyring already:
# 513 blocks of 512 bytes do not fit a device with blocks of 4096.
truncate -s 2M "$WORK/odd"
t "format blocks of 512" envelope format --sector-size 512 --size 262656 \
	"$WORK/odd"
losetup -b 4096 /dev/loop0 "$WORK/odd"
for target in envelope crypt; do
	t_says 1 "table refused, target $target" "'odd': the kernel refuses|cannot resume" \
		attach --target $target /dev/loop0 odd
	t "table refused, target $target: nothing left" \
		eval "! dm_devices && ! keys_left"
done
losetup -d /dev/loop0

# A keyring that takes no key.
echo 1 > /proc/sys/kernel/keys/root_maxkeys
refused 1 "key quota" "Disk quota exceeded" attach /dev/vda x
echo 1000000 > /proc/sys/kernel/keys/root_maxkeys

asks()
{
	readlink "/proc/$1/fd/"* | grep -q socket:
}

# at_once TARGET: two attaches that have both looked for another device of the
# volume when the KMS answers. One of them comes first, either.
at_once()
{
	local first second one=0 two=0

	host kms-pause
	envelope attach --direct --timeout 100 --target "$1" /dev/vda x 2>&1 &
	first=$!
	envelope attach --direct --timeout 100 --target "$1" /dev/vda y 2>&1 &
	second=$!
	wait_until 100 asks $first && wait_until 100 asks $second || one=99
	host kms-cont
	wait $first || one=$((one + $?))
	wait $second || two=$?
	echo "exit statuses $one and $two"
	[ "$one $two" = "0 7" ] || [ "$one $two" = "7 0" ]
}

for target in envelope crypt; do
	t_says 0 "two attaches at once, target $target" \
		"volume $ID is attached already, as '[xy]'" at_once $target
	t "two attaches at once, target $target: one device" test \
		"$(dm_devices | wc -l)" = 1
	t "two attaches at once, target $target: detach" envelope detach "$ID"
	t "two attaches at once, target $target: nothing left" nothing_left
done

# At last it attaches; then a second attach of the volume id is refused.
t "attach" attach /dev/vda x
BEFORE=$(decrypts)
t_says 7 "second attach" "volume $ID is attached already, as 'x'" \
	attach /dev/vda y
cp /dev/vda "$WORK/clone"
t_says 7 "attach of a clone" "volume $ID is attached already, as 'x'" \
	attach "$WORK/clone" y
t "second attaches did not ask the KMS" test "$(decrypts)" = "$BEFORE"
t "second attaches left no loop device" eval "! losetup -a | grep ."
t "the first is as it was" eval "envelope status x"
t "detach" envelope detach x
t_says 8 "detach again" "envelope: 'x' is not attached" envelope detach x
t_says 8 "status of nothing" "envelope: 'x' is not attached" envelope status x

# A read-only device below.
blockdev --setro /dev/vda
t_says 0 "read-only device" "'/dev/vda' is read-only, and so is what is" \
	attach /dev/vda x
t "read-only device: so is the volume" test "$(blockdev --getro /dev/mapper/x)" = 1
t "read-only device: detach" envelope detach x
t_says 1 "format of a read-only device" "'/dev/vda' is read-only" \
	envelope format --force /dev/vda
blockdev --setrw /dev/vda
t_says 0 "attach --readonly" "x: volume $ID, .*, read-only" \
	attach --readonly /dev/vda x
t "attach --readonly: cannot be written" \
	eval "! dd if=/dev/zero of=/dev/mapper/x count=1 oflag=direct"
t "attach --readonly: detach" envelope detach x
t "nothing left at the end" nothing_left
done_testing
