#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest's part of tests/runner/test_known_answers.py: /known has the
# plaintext, the cases, and what each must put on the disk.
. /test/vm/helpers/target.bash

SECTORS=128
disks 1 $((SECTORS / 2))
key vol-known 77 > /dev/null

# open_case IV_OFFSET OPTION...
open_case()
{
	dmsetup create env --table "0 $SECTORS envelope aes-xts-plain64 \
:64:envelope:vol-known $1 /dev/ram0 0 $(($# - 1)) ${*:2}"
}

to_disk() { dd if="$1" of="$2" bs=64k oflag=direct status=none; }
same() { cmp "$1" <(dd if="$2" bs=64k iflag=direct status=none); }

# reads N IV_OFFSET OPTION...: what another implementation has encrypted
reads()
{
	local rc

	to_disk "/known/cipher$1" /dev/ram0 && open_case "${@:2}" || return 1
	same /known/plain /dev/mapper/env
	rc=$?
	dmsetup remove env
	return $rc
}

writes()
{
	to_disk /dev/zero /dev/ram0 2> /dev/null
	open_case "${@:2}" && to_disk /known/plain /dev/mapper/env
	dmsetup remove env && same "/known/cipher$1" /dev/ram0
}

while read -r n offset options; do
	# shellcheck disable=SC2086 # a list of words
	t "known answers: reads $options, iv_offset $offset" \
		reads "$n" "$offset" $options
	# shellcheck disable=SC2086
	t "known answers: writes $options, iv_offset $offset" \
		writes "$n" "$offset" $options
done < /known/cases
done_testing
