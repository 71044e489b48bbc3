#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A block that lies in several pieces of memory, as drivers in the kernel may
# have it: the same ciphertext, the same holes, and an error where there are
# too many pieces.
. /test/debug-lib.sh

RUN=/sys/module/selftest_pieces/parameters/run
SECTORS=8192
disks 1 $((SECTORS / 2))
key vol-a 1 > /dev/null
create env "$(table $SECTORS vol-a sector_size:4096 holes)"
dmsetup create crypt --table "0 $SECTORS crypt aes-xts-plain64 \
$(vmkey hex 1) 0 /dev/ram0 0 1 sector_size:4096"
insmod /lib/modules/envelope/selftest_pieces.ko

# block VERB DEVICE SECTOR PIECE_BYTES
block()
{
	echo "$1 /dev/mapper/$2 $3 $4" > $RUN
}

for bytes in 512 1024 456; do
	vmio zero /dev/mapper/crypt 0 4096
	t "written in pieces of $bytes" block write env 0 $bytes
	t "pieces of $bytes: read in one" block read env 0 4096
	t "pieces of $bytes: dm-crypt reads the same" block read crypt 0 4096
done
t "read in pieces of 512" block read env 0 512
t "a hole in pieces of 512" block zeros env 64 512
t "a hole: is counted" test "$(stat_of env holes)" = 1
t_says 1 "ten pieces: refused" "Input/output error" block write env 0 420
t_says 0 "ten pieces: and says so" \
	"block in more than 9 pieces of memory" dmesg
t "ten pieces: nothing is written" block read env 0 4096
t "ten pieces: counted" test "$(stat_of env errors)" = 1
dmsetup remove crypt
dmsetup remove env
rmmod selftest_pieces
t "nothing leaks" no_leaks
done_testing
