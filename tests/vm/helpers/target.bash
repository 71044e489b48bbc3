# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What the tests of the kernel target share: keys, tables, status.

set -u
. /test/lib.sh

modprobe -a aesni_intel xts dm_crypt
RING=$(vmkey ring)

# disks COUNT KIB: RAM disks /dev/ram0 and so on.
disks()
{
	modprobe brd rd_nr="$1" rd_size="$2"
}

# filled DEV: no byte of a small device is left blank.
filled()
{
	openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 < /dev/zero 2> /dev/null |
		head -c "$(blockdev --getsize64 "$1")" |
		dd of="$1" bs=64k iflag=fullblock status=none conv=fsync
}

# key NAME SEED: a key in the keyring "envelope"; prints its serial number.
key()
{
	vmkey add envelope "$1" "$RING" "$2"
}

serial()
{
	keyctl search "$RING" envelope "$1"
}

# table SECTORS KEYNAME [OPTION...]: a line over /dev/ram0 from sector 0.
table()
{
	local sectors=$1 name=$2

	shift 2
	echo "0 $sectors envelope aes-xts-plain64 :64:envelope:$name 0" \
		"${DISK:-/dev/ram0} 0 $# $*"
}

create()
{
	dmsetup create "$1" --table "$2"
}

# state NAME: "active -" or "locked REASON".
state()
{
	dmsetup status "$1" | cut -d' ' -f4,5
}

is_state()
{
	[ "$(state "$1")" = "$2" ] || { dmsetup status "$1"; return 1; }
}

# stat_of NAME WORD: a number of the message "stats".
stat_of()
{
	dmsetup message "$1" 0 stats | sed "s/.*$2 \([0-9]*\).*/\1/"
}

unlock()
{
	dmsetup message "$1" 0 key set ":64:envelope:$2"
}

# later COMMAND...: in the background; its status comes in $LATER.
LATER=$(mktemp -u)
later()
{
	rm -f "$LATER"
	{
		"$@" > "$LATER.out" 2>&1
		echo $? > "$LATER.new"
		mv "$LATER.new" "$LATER"
	} &
}

# later_is STATUS: within 100 seconds.
later_is()
{
	wait_until 100 test -e "$LATER" || { echo "still running"; return 1; }
	[ "$(cat "$LATER")" -eq "$1" ] ||
		{ cat "$LATER.out"; echo "status $(cat "$LATER")"; return 1; }
}

still_waiting()
{
	sleep 0.7
	[ ! -e "$LATER" ]
}

waiting()
{
	[ "$(stat_of "$1" waiting)" -gt 0 ]
}

# read_on DEV SEED: check the first MiB, that vmio fill wrote, in requests of
# all sizes until there is a file /tmp/enough.
read_on()
{
	local bytes

	rm -f /tmp/enough
	until [ -e /tmp/enough ]; do
		for bytes in 4096 16384 131072 1048576; do
			vmio check "$1" 0 $bytes "$2" || return 1
		done
	done
}

# ... and a few more of them
enough()
{
	sleep 1
	touch /tmp/enough
}
