#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# on: kcsan
# splat: a data race: BUG: KCSAN: data-race in make_race
# splat: a lock inversion: WARNING: possible circular locking dependency
# splat: a sleep in atomic context: BUG: sleeping function called from invalid
# splat: lockdep that has switched itself off: lockdep is turned off
# The rig proves itself: each bug made on purpose must be on the console.
set -u
. /test/debug-lib.sh

t_says 0 "the search for data races is on" "^enabled: 1" \
	cat /sys/kernel/debug/kcsan
make_bug() { echo "$1" > /sys/module/selftest/parameters/make; }

t "the module with the bugs loads" insmod /lib/modules/envelope/selftest.ko
for bug in data-race lock-inversion sleep-in-atomic; do
	t "a bug to be found: $bug" make_bug $bug
done
done_testing
