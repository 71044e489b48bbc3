#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Attach beside cryptsetup open, in a guest with its own KMS on loopback:
#   attach.sh ROUNDS
# Prints `RESULT what nanoseconds` lines, a round after the other.
set -eu

ROUNDS=$1

modprobe -a dm-crypt xts aesni_intel loop
mkdir -p /run/bench /run/envelope /etc/envelope
cd /run/bench

# The KMS.
envelope-kms init kms --host 127.0.0.1 > init.log
envelope-kms serve kms --port 0 > kms.log 2>&1 &
KMS=$!
until grep -q 'listening on' kms.log; do sleep 0.1; done
PORT=$(sed -n 's/.*listening on https:[^ ]*:\([0-9]*\).*/\1/p' kms.log)
sed -e "s|^endpoint *=.*|endpoint = https://127.0.0.1:$PORT|" \
	-e 's|^ca-file *=.*|ca-file = /etc/envelope/ca.pem|' \
	kms/envelope.conf > /etc/envelope/envelope.conf
cp kms/ca.pem /etc/envelope/ca.pem
install -m 600 kms/credentials /etc/envelope/credentials
install -D -m 600 kms/credentials /root/.aws/credentials

# Three disks, of which each way has its own.
truncate -s 32M argon pbkdf2 ours
for disk in argon pbkdf2 ours; do
	losetup -f --show "$disk" > "$disk.dev"
done
ARGON=$(cat argon.dev)
PBKDF2=$(cat pbkdf2.dev)
OURS=$(cat ours.dev)
printf 'correct horse battery staple' > passphrase
openssl rand 64 > keyfile
cryptsetup luksFormat -q --type luks2 --key-file passphrase "$ARGON"
cryptsetup luksFormat -q --type luks2 --key-file keyfile --pbkdf pbkdf2 \
	--pbkdf-force-iterations 1000 "$PBKDF2"
envelope format "$OURS" > format.log
cryptsetup luksDump "$ARGON" | sed -n 's/^[ \t]*\(PBKDF\|Time cost\|Memory\|Threads\): */RESULT-KDF \1 /p' |
	head -n 4

envelope-agent > agent.log 2>&1 &
AGENT=$!
until [ -S /run/envelope/agent.sock ]; do sleep 0.1; done

# timed WHAT COMMAND...: what it takes until the command is over.
timed()
{
	local what=$1 begin end

	shift
	begin=$(date +%s%N)
	"$@" > said 2>&1 < /dev/null || { cat said; exit 1; }
	end=$(date +%s%N)
	echo "RESULT $what $((end - begin))"
}

round()
{
	timed argon cryptsetup open --key-file passphrase "$ARGON" a
	timed keyfile cryptsetup open --key-file keyfile "$PBKDF2" b
	timed agent envelope attach "$OURS" c
	[ -b /dev/mapper/a ] && [ -b /dev/mapper/b ] && [ -b /dev/mapper/c ]
	envelope detach c
	timed direct envelope attach --direct "$OURS" c
	envelope detach c
	cryptsetup close a
	cryptsetup close b
	timed rehearsal envelope attach --direct --dry-run "$OURS" c
	timed header envelope inspect "$OURS"
	timed handshake openssl s_client -connect "127.0.0.1:$PORT" \
		-CAfile kms/ca.pem -verify_return_error -brief
	timed openssl openssl version
	timed nothing true
}

for ((i = 0; i < ROUNDS; i++)); do
	round
done
kill "$AGENT" "$KMS"
wait
echo "VERIFIED"
