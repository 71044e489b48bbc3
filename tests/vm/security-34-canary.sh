#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 16 --kms
# kernels: 6.12
# The data key and what derives from it appear nowhere outside the kernel:
# files, logs, tables, environments, command lines, the device, live memory.
set -u
. /test/lib.sh

LOGS=/run/logs
PLACES=/run/places
mkdir -p $LOGS

# verb NAME ARG...: run envelope, keep all it says.
verb()
{
	local name=$1

	shift
	envelope "$@" > "$LOGS/$name" 2>&1
}

run_everything()
{
	verb format format /dev/vda &&
		note_wrapped &&
		verb inspect inspect --json /dev/vda &&
		verb check check --unwrap /dev/vda &&
		verb attach attach --direct /dev/vda data &&
		verb status status --json data &&
		verb list list --json &&
		verb rewrap rewrap --kms-key alias/envelope /dev/vda &&
		verb backup header-backup /dev/vda $LOGS/header.bak &&
		mkfs.ext4 -q /dev/mapper/data &&
		dmsetup table --showkeys > $LOGS/table &&
		dmsetup info -c > $LOGS/info &&
		cat /proc/keys /proc/key-users > $LOGS/keys
}

# A failing attach, and one under way, stopped inside its KMS call.
run_failures()
{
	verb busy attach --direct /dev/vda data
	host aws disable-key --key-id "$(field key_id)" > $LOGS/disable 2>&1
	verb denied check --unwrap /dev/vda
	host aws enable-key --key-id "$(field key_id)" >> $LOGS/disable 2>&1
}

field()
{
	sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" $LOGS/inspect | head -n 1
}

# The wrapped key, as it stood in the header before the rewrap.
note_wrapped()
{
	dd if=/dev/vda bs=4096 skip=1 count=4 status=none | tr -d '\0' |
		sed -n 's/.*"ciphertext": *"\([^"]*\)".*/\1/p' > $LOGS/wrapped
	[ -s $LOGS/wrapped ]
}

# The key as the KMS administrator sees it; kept in this shell's memory alone.
unwrap()
{
	KEY=$(host aws decrypt --key-id "$(field key_id)" --output text \
		--query Plaintext --ciphertext-blob "$(cat $LOGS/wrapped)" \
		--encryption-context \
"envelope:volume-id=$(field volume_id),envelope:generation=1") &&
		[ "$(key | head -c 64 | wc -c)" -eq 64 ]
}

# What the search tool reads on standard input: key, UUID, volume id.
key()
{
	printf %s "$KEY" | base64 -d
	dd if=/dev/vda bs=1 skip=24 count=16 status=none
	printf %s "$(field volume_id)"
}

# Every place in which a key could lie: one path a line.
list_places()
{
	dmesg > $LOGS/dmesg
	host audit > $LOGS/audit
	find /run /tmp /var /etc /root -type f > $PLACES
	echo /dev/vda >> $PLACES
	find /proc/[0-9]*/environ /proc/[0-9]*/cmdline >> $PLACES
}

search()
{
	list_places
	key | canary search $PLACES
}

found_nowhere()
{
	local out

	out=$(search)
	[ -z "$out" ] || { echo "$out"; return 1; }
}

# The same search must find each form in a place of each kind.
finds_planted()
{
	local form bad=0

	for form in $(key | canary forms); do
		key | canary plant "$form" "/var/lib/planted-$form"
	done
	search > /tmp/found
	for form in $(key | canary forms); do
		grep -q "planted-$form: $form" /tmp/found ||
			{ echo "$form was not found"; bad=1; }
		rm -f "/var/lib/planted-$form"
	done
	return $bad
}

finds_in_kernel_log()
{
	local hex

	hex=$(key | head -c 32 | od -An -v -tx1 | tr -d ' \n')
	echo "planted $hex" > /dev/kmsg
	search > /tmp/found
	dmesg -C
	rm -f $LOGS/dmesg
	grep -q 'dmesg: half1-hex' /tmp/found
}

finds_in_environment()
{
	local hex sleeper

	hex=$(key | head -c 32 | od -An -v -tx1 | tr -d ' \n')
	PLANTED=$hex sleep 900 &
	sleeper=$!
	wait_until 60 grep -q PLANTED /proc/$sleeper/environ
	search > /tmp/found
	kill $sleeper
	grep -q 'environ: half1-hex' /tmp/found
}

finds_on_device()
{
	local hex

	hex=$(key | head -c 32 | od -An -v -tx1 | tr -d ' \n')
	# The area kept for a journal is nobody's yet.
	printf %s "$hex" | dd of=/dev/vda bs=1 seek=300000 conv=notrunc \
		status=none
	search > /tmp/found
	dd if=/dev/zero of=/dev/vda bs=1 seek=300000 count=64 conv=notrunc \
		status=none
	grep -q '/dev/vda: half1-hex' /tmp/found
}

t "security-34-canary: the verbs run" run_everything
unwrap || exit 1
run_failures
t "security-34-canary: a planted key is found in every form" finds_planted
t "security-34-canary: a planted key is found in the kernel log" \
	finds_in_kernel_log
t "security-34-canary: a planted key is found in an environment" \
	finds_in_environment
t "security-34-canary: a planted key is found on the device" finds_on_device
rm -f /tmp/found
t "security-34-canary: the data key is nowhere" found_nowhere
t "security-34-canary: detach" verb detach detach data
t "security-34-canary: the data key is nowhere after detach" found_nowhere
done_testing
