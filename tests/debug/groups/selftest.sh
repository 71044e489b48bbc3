#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# on: uml smp
# splat: a lock inversion: WARNING: possible circular locking dependency
# splat: a sleep in atomic context: BUG: sleeping function called from invalid
# splat: a shift out of range: UBSAN: shift-out-of-bounds
# splat: freed memory with a timer in it: ODEBUG: free active
# splat: a use after free: BUG: KASAN: slab-use-after-free
# splat: a read out of bounds: BUG: KASAN: slab-out-of-bounds
# splat: lockdep that has switched itself off: lockdep is turned off
# splat: a leak: kmemleak: [1-9][0-9]* new suspected memory leaks
# The rig proves itself: each bug made on purpose must be on the console.
set -u
. /test/debug-lib.sh

make_bug() { echo "$1" > /sys/module/selftest/parameters/make; }

t "the module with the bugs loads" insmod /lib/modules/envelope/selftest.ko
for bug in lock-inversion sleep-in-atomic bad-shift freed-work \
		use-after-free out-of-bounds leak; do
	t "a bug to be found: $bug" make_bug $bug
done
t_fails 1 "the leak is found" leaks
done_testing
