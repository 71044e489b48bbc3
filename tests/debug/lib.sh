# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For the scripts of tests/debug/groups: faults to order, leaks, a volume.

. /test/vm/helpers/target.bash

FAULTS=/sys/kernel/debug

# leaks: what kmemleak finds, where the kernel has it; objects younger than five
# seconds do not count.
leaks()
{
	[ -e $FAULTS/kmemleak ] || return 0
	echo scan > $FAULTS/kmemleak
	sleep 6
	echo scan > $FAULTS/kmemleak
	cat $FAULTS/kmemleak
	! grep -q . $FAULTS/kmemleak
}

# The module must go, and leave nothing behind.
no_leaks()
{
	dmsetup remove_all --force
	rmmod dm_envelope && leaks
}

# A range of kernel text for the faults: only what has it on its stack fails.
limit_faults()
{
	local which

	for which in failslab fail_page_alloc; do
		echo "$1" > $FAULTS/$which/require-start
		echo "$2" > $FAULTS/$which/require-end
		echo 32 > $FAULTS/$which/stacktrace-depth
		echo N > $FAULTS/$which/ignore-gfp-wait
		echo 0 > $FAULTS/$which/verbose
		echo 0 > $FAULTS/$which/probability
		echo 1000000 > $FAULTS/$which/times
	done
	echo N > $FAULTS/fail_page_alloc/ignore-gfp-highmem
	echo 0 > $FAULTS/fail_page_alloc/min-order
}

limit_faults_to_module()
{
	local start size

	start=$(cat /sys/module/dm_envelope/sections/.text)
	size=$(size -A /lib/modules/envelope/dm-envelope.ko |
		awk '$1 == ".text" { print $2 }')
	# not as a decimal: where modules lie at the top it would be negative
	limit_faults "$start" "$(printf 0x%x $((start + size)))"
}

# limit_faults_to_function NAME: of the kernel itself. The list is in the order
# of addresses, and slow to read: once, and no further than needed.
limit_faults_to_function()
{
	local range

	range=$(awk -v f="$1" 'at != "" && $1 != at { print $1; exit }
		$3 == f { print $1; at = $1 }' /proc/kallsyms)
	limit_faults "0x${range%$'\n'*}" "0x${range#*$'\n'}"
}

# How many faults have struck; each uses up one of the times.
faults()
{
	echo $((2000000 - $(< $FAULTS/failslab/times) -
		$(< $FAULTS/fail_page_alloc/times)))
}

# walk MIN[/STEP] VERB...: faultwalk, with its figures shown. LONG=1 walks every
# allocation; else a sample, every STEP-th from a random one.
exec 3>&1
walk()
{
	local said rc=0 sample=$1

	shift
	if [ -n "$LONG" ]; then
		sample=${sample%/*}
	elif [[ $sample = */* ]]; then
		sample+=+$((RANDOM % ${sample#*/} + 1))
	fi
	said=$(faultwalk "$sample" "$@") || rc=$?
	echo "# memory fails in $1: $said" | tee /dev/kmsg >&3
	return $rc
}

# starve on|off: all allocations in the range fail, as long as it is on.
starve()
{
	local which percent=0

	[ "$1" = off ] || percent=100
	for which in failslab fail_page_alloc; do
		echo $percent > $FAULTS/$which/probability
	done
}
