#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 16
# Holes: blocks that were never written or were discarded read as zeros;
# zeros that were written are stored encrypted.
. /test/vm/helpers/target.bash

DISK=/dev/vda
DEV=/dev/mapper/env
SECTORS=16384
key vol-h 1 > /dev/null

holes()
{
	stat_of env holes
}

create env "$(table $SECTORS vol-h sector_size:4096 allow_discards)"
t "without holes: blank blocks read as noise" \
	test "$(vmio read $DEV 0 65536)" = data
t "without holes: none is counted" test "$(holes)" = 0
dmsetup remove env

create env "$(table $SECTORS vol-h sector_size:4096 allow_discards holes)"
t "holes: blank blocks read as zeros" test "$(vmio read $DEV 0 65536)" = zeros
t "holes: sixteen blocks are counted" test "$(holes)" = 16
vmio fill $DEV 8192 16384 5
t "holes: written blocks read back" vmio check $DEV 8192 16384 5
t "holes: the block before is one still" test "$(vmio read $DEV 4096 4096)" = zeros
t "holes: the block behind is one still" \
	test "$(vmio read $DEV 24576 4096)" = zeros

COUNT=$(holes)
vmio zero $DEV 65536 32768
t "written zeros: read as zeros" test "$(vmio read $DEV 65536 32768)" = zeros
t "written zeros: are no holes" test "$(holes)" = "$COUNT"
t "written zeros: are stored encrypted" \
	test "$(vmio read $DISK 65536 32768)" = data

t "write zeroes: works" blkdiscard -z -o 131072 -l 65536 $DEV
COUNT=$(holes)
t "write zeroes: read as zeros" test "$(vmio read $DEV 131072 65536)" = zeros
t "write zeroes: is stored encrypted" \
	test "$(vmio read $DISK 131072 65536)" = data
t "write zeroes: are no holes" test "$(holes)" = "$COUNT"

t "discard: is passed down" vmio discard $DEV 12288 8192
t "discard: below there are zeros" \
	test "$(vmio read $DISK 12288 8192)" = zeros
t "discard: read as zeros" test "$(vmio read $DEV 12288 8192)" = zeros
t "discard: neighbours stay" vmio check $DEV 8192 4096 5
t "flush: works" vmio flush $DEV
dmsetup remove env

create env "$(table $SECTORS vol-h sector_size:512 holes)"
t_says 1 "no allow_discards: a discard is refused" EOPNOTSUPP \
	vmio discard $DEV 0 8192
vmio fill $DEV 262144 512 6
vmio fill $DEV 263168 512 7
t "small blocks: first written" vmio check $DEV 262144 512 6
t "small blocks: hole between" test "$(vmio read $DEV 262656 512)" = zeros
t "small blocks: second written" vmio check $DEV 263168 512 7
COUNT=$(holes)
vmio read $DEV 262144 4096 > /dev/null
t "small blocks: six of eight are holes" test $(($(holes) - COUNT)) = 6
dmsetup remove env
done_testing
