#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the target writes is byte for byte what dm-crypt writes, and each reads
# what the other wrote.
. /test/vm/helpers/target.bash

disks 2 192
HEX=$(vmkey hex 1)
key vol-oracle 1 > /dev/null
SECTORS=256
BYTES=$((SECTORS * 512))

# both IV_OFFSET START OPTIONS: "envelope" on ram0 and "crypt" on ram1.
both()
{
	local options=${*:3}
	local count
	count=$(wc -w <<< "$options")

	create envelope "0 $SECTORS envelope aes-xts-plain64 \
:64:envelope:vol-oracle $1 /dev/ram0 $2 $count $options" &&
		create crypt "0 $SECTORS crypt aes-xts-plain64 \
$HEX $1 /dev/ram1 $2 $count $options"
}

remove_both()
{
	dmsetup remove envelope
	dmsetup remove crypt
}

# In one request of 8 KiB, in many, and in single blocks here and there.
write_all()
{
	vmio fill "$1" 0 $BYTES "$2" && vmio fill "$1" 8192 8192 "$3" &&
		vmio fill "$1" $((BYTES - $4)) "$4" "$3" &&
		vmio fill "$1" $((5 * $4)) "$4" "$3"
}

same_ciphertext()
{
	write_all /dev/mapper/envelope 10 11 "$1" &&
		write_all /dev/mapper/crypt 10 11 "$1" &&
		blockdev --flushbufs /dev/ram0 /dev/ram1 &&
		cmp /dev/ram0 /dev/ram1
}

# swap: each target over what the other wrote, read by both.
each_reads_the_other()
{
	vmio fill /dev/mapper/crypt 0 $BYTES 12 &&
		dd if=/dev/ram1 of=/dev/ram0 bs=64k oflag=direct iflag=direct \
			status=none &&
		vmio check /dev/mapper/envelope 0 $BYTES 12 &&
		vmio fill /dev/mapper/envelope 0 $BYTES 13 &&
		dd if=/dev/ram0 of=/dev/ram1 bs=64k oflag=direct iflag=direct \
			status=none &&
		vmio check /dev/mapper/crypt 0 $BYTES 13
}

# compare IV_OFFSET START SECTOR_SIZE [iv_large_sectors]
compare()
{
	local what="sector_size $3${4:+ $4}, iv_offset $1, start $2"

	filled /dev/ram0
	dd if=/dev/ram0 of=/dev/ram1 bs=64k status=none
	t "oracle: tables for $what" both "$1" "$2" "sector_size:$3" "${@:4}"
	t "oracle: same ciphertext, $what" same_ciphertext "$3"
	t "oracle: each reads the other, $what" each_reads_the_other
	remove_both
}

for size in 512 1024 2048 4096; do
	compare $((size / 512 * 12345)) 8 $size
	compare $((size / 512 * 777)) 24 $size iv_large_sectors
done
compare 0 0 4096
compare 1099511627776 1 512

done_testing
