#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The table line: each malformed one has its own sentence, a good one comes out
# as it went in, and messages are as strict.
. /test/vm/helpers/target.bash

disks 1 1024
key vol-a 1 > /dev/null
NAME="env"
KEY=:64:envelope:vol-a
LINE="envelope aes-xts-plain64 $KEY 0 /dev/ram0 0"

# refused SENTENCE TABLE: the load fails, and the kernel's log says why.
refused()
{
	t "table: $1" says "$1" "$2"
}

says()
{
	dmesg -C
	if dmsetup create $NAME --table "$2"; then
		dmsetup remove $NAME
		return 1
	fi
	dmesg | tee /dev/stderr | grep -qF "envelope: $1 (-E"
}

ARGS="Not enough arguments: cipher, key, iv_offset, device and start_sector are needed"
CIPHER="Unknown cipher: only aes-xts-plain64 is known"
RAW="Raw key refused: put it in a keyring (keyctl padd envelope NAME @u) and write :64:envelope:NAME"
REFERENCE="Malformed key reference: write :64:envelope:NAME or :64:logon:NAME"
KEYSIZE="Invalid key size: it must be 64 bytes"
KEYNAME="Invalid key name: 1 to 255 printable characters without backslash are allowed"
KEYTYPE="Unknown key type: only envelope and logon are known"
IV="Invalid iv_offset: a decimal number of 512-byte sectors is needed"
START="Invalid start_sector: a decimal number of 512-byte sectors is needed"
COUNT="Invalid number of options: 0 to 5 are possible"
SIZE="Invalid sector_size: only 512, 1024, 2048 and 4096 are known"
HEX=$(vmkey hex 1)
LONG=$(printf 'x%.0s' $(seq 256))

refused "$ARGS" "0 1024 envelope aes-xts-plain64 $KEY 0 /dev/ram0"
refused "$CIPHER" "0 1024 envelope aes-cbc-essiv:sha256 $KEY 0 /dev/ram0 0"
refused "$RAW" "0 1024 envelope aes-xts-plain64 $HEX 0 /dev/ram0 0"
refused "$REFERENCE" "0 1024 envelope aes-xts-plain64 :64:vol-a 0 /dev/ram0 0"
refused "$KEYSIZE" \
	"0 1024 envelope aes-xts-plain64 :32:envelope:vol-a 0 /dev/ram0 0"
refused "$KEYNAME" "0 1024 envelope aes-xts-plain64 :64:envelope: 0 /dev/ram0 0"
t "table: a key name too long" says "$KEYNAME" \
	"0 1024 envelope aes-xts-plain64 :64:envelope:$LONG 0 /dev/ram0 0"
refused "$KEYTYPE" "0 1024 envelope aes-xts-plain64 :64:user:vol-a 0 /dev/ram0 0"
refused "$IV" "0 1024 envelope aes-xts-plain64 $KEY -8 /dev/ram0 0"
t "table: iv_offset too large for 64 bits" says "$IV" \
	"0 1024 envelope aes-xts-plain64 $KEY 18446744073709551616 /dev/ram0 0"
refused "Device lookup failed" \
	"0 1024 envelope aes-xts-plain64 $KEY 0 /dev/nothing 0"
refused "$START" "0 1024 envelope aes-xts-plain64 $KEY 0 /dev/ram0 8x"
refused "$COUNT" "0 1024 $LINE 6 holes"
t "table: number of options is no number" says "$COUNT" "0 1024 $LINE holes"
refused "Not enough options: there are fewer than their number says" \
	"0 1024 $LINE 2 holes"
refused "Too many arguments: there are more options than their number says" \
	"0 1024 $LINE 1 holes allow_discards"
refused "Unknown option" "0 1024 $LINE 1 same_cpu_crypt"
refused "Option given twice" "0 1024 $LINE 2 holes holes"
refused "$SIZE" "0 1024 $LINE 1 sector_size:8192"
t "table: sector_size that is no power of two" says "$SIZE" \
	"0 1024 $LINE 1 sector_size:1536"
refused "Invalid on_lock: only queue and error are known" \
	"0 1024 $LINE 1 on_lock:wait"
refused "iv_offset is not a multiple of sector_size" \
	"0 1024 envelope aes-xts-plain64 $KEY 4 /dev/ram0 0"
refused "Device size is not a multiple of sector_size" "0 1023 $LINE"
refused "Start of the target is not a multiple of sector_size" "0 4 zero
4 1024 $LINE"
refused "Key not found in the session or user keyring" \
	"0 1024 envelope aes-xts-plain64 :64:envelope:vol-none 0 /dev/ram0 0"

revoked()
{
	key vol-dead 2 > /dev/null && keyctl revoke "$(serial vol-dead)"
}
revoked
refused "Key revoked or expired: unlock first" \
	"0 1024 envelope aes-xts-plain64 :64:envelope:vol-dead 0 /dev/ram0 0"
keyctl padd logon vm:short @u < <(printf 'twelve bytes') > /dev/null
refused "Invalid key: it must have 64 bytes and two different halves" \
	"0 1024 envelope aes-xts-plain64 :64:logon:vm:short 0 /dev/ram0 0"
vmkey add logon vm:equal @u equal > /dev/null
t "table: a logon key with equal halves" \
	says "Invalid key: it must have 64 bytes and two different halves" \
	"0 1024 envelope aes-xts-plain64 :64:logon:vm:equal 0 /dev/ram0 0"

# round_trip OPTIONS: the table comes out as it went in, and goes in again.
round_trip()
{
	local line="0 1024 envelope aes-xts-plain64 $KEY $1" out

	create $NAME "$line" && out=$(dmsetup table $NAME) || return 1
	[ "$out" = "$line" ] || echo "came out: $out"
	dmsetup reload $NAME --table "$out" && dmsetup resume $NAME &&
		[ "$(dmsetup table $NAME)" = "$line" ]
	local rc=$?
	dmsetup remove $NAME
	[ "$out" = "$line" ] && [ $rc -eq 0 ]
}

for options in "1 sector_size:4096" "1 sector_size:512" \
	"2 sector_size:512 iv_large_sectors" "2 sector_size:1024 allow_discards" \
	"3 sector_size:2048 holes on_lock:error" \
	"5 sector_size:4096 iv_large_sectors allow_discards holes on_lock:error"
do
	t "table: round trip of $options" round_trip "16 1:0 8 $options"
done

defaults()
{
	create $NAME "0 1024 $LINE" && dmsetup table $NAME | tee /dev/stderr |
		grep -qx "0 1024 $LINE 1 sector_size:4096"
}
LINE="envelope aes-xts-plain64 $KEY 0 1:0 0"
t "table: defaults are written out" defaults
t "status: a fresh volume" \
	test "$(dmsetup status $NAME)" = "0 1024 envelope active - revocable 0 0 0 0"

t_says 1 "message: unknown" "Invalid argument" dmsetup message $NAME 0 hello
t_says 1 "message: key alone" "Invalid argument" dmsetup message $NAME 0 key
t_says 1 "message: key set with a raw key" "Invalid argument" \
	dmsetup message $NAME 0 key set "$HEX"
t_says 1 "message: key set without key" "Invalid argument" \
	dmsetup message $NAME 0 key set
t_says 1 "message: on_lock wait" "Invalid argument" \
	dmsetup message $NAME 0 on_lock wait
t_says 0 "message: stats" \
	"^reads 0 writes 0 holes 0 errors 0 waiting 0 pages 64 of [0-9]+ cipher xts[(-]" \
	dmsetup message $NAME 0 stats

on_lock_shows()
{
	dmsetup message $NAME 0 on_lock error &&
		dmsetup table $NAME | grep -q "2 sector_size:4096 on_lock:error" &&
		dmsetup message $NAME 0 on_lock queue &&
		dmsetup table $NAME | grep -q "1 sector_size:4096$"
}
t "message: on_lock shows in the table" on_lock_shows

hint()
{
	cat "/sys/dev/block/$(dmsetup info -c --noheadings --separator : \
		-o major,minor $NAME)/queue/$1"
}
t "hints: logical block" test "$(hint logical_block_size)" = 4096
t "hints: physical block" test "$(hint physical_block_size)" = 4096
t "hints: smallest good request" test "$(hint minimum_io_size)" = 4096
t "hints: no discards unless allowed" test "$(hint discard_max_bytes)" = 0
dmsetup remove $NAME

# keys
t_says 1 "key: too short" "Invalid argument" vmkey add envelope vol-x "$RING" short
t_says 1 "key: equal halves" "Invalid argument" \
	vmkey add envelope vol-x "$RING" equal
t_says 1 "key: white space in its name" "Invalid argument" \
	vmkey add envelope "vol x" "$RING" 1
t_says 1 "key: cannot be updated" "File exists" vmkey add envelope vol-a "$RING" 2
t "key: is what it was after a refused update" create $NAME "0 1024 $LINE"
dmsetup remove $NAME
t_says 1 "key: cannot be read" "Permission denied|not supported" \
	keyctl read "$(serial vol-a)"
t_says 0 "modinfo: version" "^1.0.0$" \
	cat /sys/module/dm_envelope/version

done_testing
