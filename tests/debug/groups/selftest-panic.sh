#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# splat: a panic: Kernel panic - not syncing: selftest
# verdict: none
# A guest that dies has no verdict, whatever it had printed before.
insmod /lib/modules/envelope/selftest.ko
echo "ok 1 - alive before the panic"
echo "1..1"
echo panic > /sys/module/selftest/parameters/make
