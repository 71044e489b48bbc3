#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --disk 32 --file README.md:/readme
# kernels: 6.12
# What the README tells to type works as it stands there, with a KMS of the
# guest's own.
. /test/vm/helpers/attach.bash
modprobe ext4
mkdir -p /srv

# The set-up, which is a line of its own, has been done outside.
commands()
{
	sed -n '/^## Use it/,/^Whoever loses/s/^    //p' /readme |
		grep -v '^scripts/setup' | sed 's/ *#.*//' | grep .
}

t "there are commands" test "$(commands | wc -l)" -gt 9
while read -r line; do
	t "$line" eval "$line"
	[[ $line != *serve*'&' ]] ||
		t "it listens" wait_until 60 test -e /srv/kms/endpoint
	[[ $line != mount* ]] || t "it is ext4 and can be written" \
		eval "grep '/mnt ext4 rw' /proc/mounts && cp /readme /mnt"
done < <(commands)
t "nothing is left" nothing_left
kill %?serve
done_testing
