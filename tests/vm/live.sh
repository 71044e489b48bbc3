#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 96 --disk 24 --disk 16 --kms
# Snapshots of volumes that are in use: what is stored is that of one moment,
# the volume goes on meanwhile and afterwards, whatever becomes of the snapshot
# and of who takes it.
. /test/vm/helpers/attach.bash

modprobe -a dm_snapshot ext4
mkfifo "$WORK/in"

# hold NAME...: a live snapshot of them that lasts until release.
hold()
{
	vmlive hold "$@" < "$WORK/in" > "$WORK/out" 2> "$WORK/err" &
	HOLDER=$!
	exec 9> "$WORK/in"
	wait_until 120 eval "grep -q ready $WORK/out || ! kill -0 $HOLDER" &&
		grep -q ready "$WORK/out" && return
	cat "$WORK/err"
	return 1
}

release()
{
	exec 9>&-
	wait "$HOLDER"
}

# asked: what live_check() says; answers come in their order.
asked()
{
	local lines

	lines=$(wc -l < "$WORK/out")
	echo check >&9
	wait_until 60 eval "[ \$(wc -l < $WORK/out) -gt $lines ]" &&
		tail -n 1 "$WORK/out"
}

snapshot_of()
{
	awk -v id="$1" '$1 == id { print $2 }' "$WORK/out"
}

# The frozen ciphertext as a volume of its own, which nobody can write to.
open_copy()
{
	local below

	below=$(cat "/sys/block/$(basename "$(snapshot_of "$ID")")/dev")
	dmsetup create -r copy --table "$(dmsetup table x |
		sed -E "s/ [0-9]+:[0-9]+ / $below /")"
}

# stored_over DEVICE: the volume's table is directly over it.
stored_over()
{
	dmsetup table x | grep -q " $(cat "/sys/block/$1/dev") "
}

no_live()
{
	! dm_devices | grep LIVE && ! losetup -a | grep . &&
		[ -z "$(vmlive left)" ]
}

# Each file has the sum of what is in it behind its name.
sums_hold()
{
	local file

	for file in "$1"/*.*; do
		[ "$(sum_of "$file")" = "${file##*.}" ] || return 1
	done
}

add_file()
{
	head -c 200000 /dev/urandom > "$WORK/file"
	cp "$WORK/file" "/mnt/$1.$(sum_of "$WORK/file")"
}

# Rewrites a file of its own, and looks at what it has written.
load()
{
	local pass

	for ((pass = 1; ; pass++)); do
		fio --name=v --filename=/mnt/load --size=8m --bs=4k \
			--direct=1 --rw=randwrite --iodepth=8 \
			--ioengine="$1" --verify=crc32c --verify_fatal=1 \
			--randseed=$pass || return 1
		[ ! -e /run/stop ] || return 0
	done
}

writes()
{
	envelope status --json x | sed -n 's/.*"writes": *\([0-9]*\).*/\1/p'
}

flowing()
{
	[ "$(writes)" -gt $((BASE + 200)) ]
}

t "format" envelope format /dev/vda
ID=$(id_of /dev/vda)
t "attach" envelope attach --direct --allow-discards /dev/vda x
t "what the seal knows is the header's" vmlive seal "$ID" /dev/vda
t "a file system" eval "mkfs.ext4 -qF /dev/mapper/x &&
	mkdir -p /mnt && mount -o noatime /dev/mapper/x /mnt"
for n in 1 2 3 4 5; do
	add_file "before$n"
done

# While fio writes.
load io_uring > "$WORK/fio" 2>&1 &
FIO=$!
BASE=$(writes)
t "fio writes" wait_until 120 flowing
# Nothing is to be lost before that is what is tested.
ROOM=$((64 << 20))
t "a snapshot while fio writes" hold -s $ROOM x
echo "# pause: $(awk -v id="$ID" '$1 == id { print $3 }' "$WORK/out") us"
t "the volume is over an origin" eval "! stored_over vda"
BASE=$(writes)
t "fio goes on" wait_until 120 flowing
add_file after
sync -f /mnt
t "the header can be verified below" vmlive seal "$ID" "$(snapshot_of "$ID")"
t "the frozen ciphertext decrypts" open_copy
t "its file system is whole" e2fsck -fn /dev/mapper/copy
mkdir -p "$WORK/copy"
t "it mounts, read-only" mount -o ro,noload /dev/mapper/copy "$WORK/copy"
t "what was there is in it" eval \
	"[ \$(ls $WORK/copy/before* | wc -l) = 5 ] && sums_hold $WORK/copy"
t "what came later is not" eval "! ls $WORK/copy/after*"
t "what came later is on the volume" eval "ls /mnt/after* && sums_hold /mnt"
umount "$WORK/copy"
dmsetup remove copy
t "old data were copied" test "$(asked)" -gt 0
t_fails 16 "a second one at once" vmlive hold x < /dev/null
t "somebody who lives leaves nothing" eval "[ -z \"\$(vmlive left)\" ]"
t_says 0 "and is not cleaned" "removed what 0 interrupted" envelope-snapshot clean
t "the end" release
t "the volume is where it was" stored_over vda
t "nothing is left of it" no_live
BASE=$(writes)
t "fio still goes on" wait_until 120 flowing

# An origin passes neither on; where it is back, both are. A busy disk may
# refuse NOWAIT at times, an origin always does.
nowait()
{
	vmio -n read /dev/mapper/x 0 4096
}

never_nowait()
{
	local n

	for n in {1..50}; do
		nowait | grep -E 'EAGAIN|EOPNOTSUPP' || return 1
	done
}

t "NOWAIT before" wait_until 120 nowait
t "fstrim before" fstrim /mnt
t "another snapshot" hold -s $ROOM x
t "NOWAIT is refused, and not waited for" never_nowait
t "fstrim is refused" eval "! fstrim /mnt"
BASE=$(writes)
t "io_uring goes on" wait_until 120 flowing
t "the end of it" release
t "NOWAIT afterwards" wait_until 120 nowait
t "fstrim afterwards" fstrim /mnt

# More is written than the old data have room for.
t "a snapshot with little room" hold -s 1048576 x
lost()
{
	[ "$(asked)" = lost ]
}
t "it is lost" wait_until 120 lost
t "with the figure" grep -q "than the 1048576 bytes for old data hold" \
	"$WORK/err"
BASE=$(writes)
t "the volume is not" wait_until 120 flowing
t "the end of the lost one" release
t "nothing is left of the lost one" no_live

t "a device for the old data" hold -c /dev/vdb x
BASE=$(writes)
t "fio writes on" wait_until 120 flowing
t "old data are on it" test "$(asked)" -gt 0
t "the end of that" release
touch /run/stop
wait "$FIO"
t_ok $? "fio has found nothing wrong"
rm /run/stop
sync -f /mnt
t_fails 16 "old data where a file system is" vmlive hold -c /dev/mapper/x x \
	< /dev/null
mkdir -p /var/lib/envelope/cow
mount --bind /mnt /var/lib/envelope/cow
t_fails 22 "old data in a file on it" vmlive hold x < /dev/null
umount /var/lib/envelope/cow
t "the volume is where it was after refusals" stored_over vda
t "nothing is left of refusals" no_live

# Several volumes at one moment: whoever writes to the first, then to the second
# is never found to be further with the second.
t "a second volume" eval "envelope format /dev/vdb &&
	envelope attach --direct /dev/vdb y"
t "a third one" eval "envelope format /dev/vdc &&
	envelope attach --direct /dev/vdc z"
number()
{
	dd if="$1" bs=4096 count=1 iflag=direct status=none | tr -dc 0-9
}

counting()
{
	local n=100000

	until [ -e /run/stop ]; do
		n=$((n + 1))
		printf '%-4096d' $n > "$WORK/n"
		dd if="$WORK/n" of=/dev/mapper/y bs=4096 oflag=direct \
			conv=notrunc status=none || return 1
		dd if="$WORK/n" of=/dev/mapper/z bs=4096 oflag=direct \
			conv=notrunc status=none || return 1
	done
}

# frozen NAME ID: the number that its snapshot has.
frozen()
{
	local below

	below=$(cat "/sys/block/$(basename "$(snapshot_of "$2")")/dev")
	dmsetup create -r copy --table "$(dmsetup table "$1" |
		sed -E "s/ [0-9]+:[0-9]+ / $below /")" || return
	number /dev/mapper/copy
	dmsetup remove copy
}

one_moment()
{
	local y z

	hold "$@" || return
	y=$(frozen y "$IDY")
	z=$(frozen z "$IDZ")
	release || return
	echo "first $y, second $z"
	[ "$y" -gt 100000 ] && { [ "$y" -eq "$z" ] || [ "$y" -eq $((z + 1)) ]; }
}

IDY=$(id_of /dev/vdb)
IDZ=$(id_of /dev/vdc)
counting > "$WORK/counting" 2>&1 &
COUNTING=$!
has_begun()
{
	[ "$(number /dev/mapper/z)" -gt 100003 ]
}
t "somebody counts" wait_until 120 has_begun
for n in 1 2 3; do
	t "two volumes at one moment, $n" one_moment y z
	t "two volumes in another order, $n" one_moment z y
done
t_fails 22 "old data on the volume itself" vmlive hold -c /dev/mapper/y y \
	< /dev/null
t_fails 22 "a volume twice" vmlive hold y y < /dev/null
t_fails 22 "one device for two" vmlive hold -c /dev/ram0 y z < /dev/null
touch /run/stop
wait "$COUNTING"
t_ok $? "counting went on"
t "nothing is left of any" no_live
t "detach" eval "envelope detach y && envelope detach z"

# Killed, or the process that it has for the moment, at each step.
works()
{
	[ "$(dmsetup info -c --noheadings -o suspended x)" = Active ] &&
		envelope status x && add_file "kill$1" && sync -f /mnt &&
		echo 3 > /proc/sys/vm/drop_caches && sums_hold /mnt
}

# It goes on when the watchdog has seen that who took the snapshot is dead.
cleaned()
{
	envelope-snapshot clean "$ID" && no_live && stored_over vda
}

killed_at()
{
	local rc

	echo "$1" > /run/kill-at
	LD_PRELOAD=/usr/local/sbin/killat.so vmlive hold x < /dev/null \
		> "$WORK/out" 2> "$WORK/err"
	rc=$?
	rm -f /run/kill-at
	grep -q '^killed at' "$WORK/err" || return 1
	echo "# step $1: $(sed -n 's/^killed at //p' "$WORK/err"), status $rc"
}

STEP=1
while killed_at $STEP; do
	t "killed at step $STEP: the volume works" \
		wait_until 120 works "$STEP"
	t "killed at step $STEP: what is left is cleaned" \
		wait_until 60 cleaned
	t "killed at step $STEP: the cleaned volume works" works "$STEP"
	STEP=$((STEP + 1))
	[ $STEP -lt 60 ] || break
done
t "it dies at each step" test $STEP -gt 11 -a $STEP -lt 60

# Nobody is left to resume it.
killed_at 8
dmsetup suspend x
t "killed with its watchdog: cleaned" wait_until 60 cleaned
t "killed with its watchdog: the volume works" works none
hold x
kill -9 "$HOLDER"
wait "$HOLDER"
exec 9>&-
dmsetup suspend x
t "killed and suspended: cleaned" wait_until 60 cleaned
t "killed and suspended: the volume works" works over

# What is left of one is no hindrance for the next one.
t "one to be killed" hold x
kill -9 "$HOLDER"
wait "$HOLDER"
exec 9>&-
t_says 0 "it is found" "^$ID x in-use copying$" vmlive left
t_says 0 "the doctor finds it" \
	"warn  snapshot: $ID: what an interrupted snapshot of 'x' has left" \
	envelope doctor /dev/vda
t "the next one removes it" hold x
t "with a word" grep -q "what an interrupted snapshot has left is removed" \
	"$WORK/err"
t "and ends" release
t "nothing is left of both" no_live

# Locked: nothing can be begun, and what was begun waits for the unlock.
t "one to be locked" hold x
t "lock" envelope lock x
t_fails 128 "its end cannot move the volume" release
t_says 0 "it is left" "^$ID x in-use$" vmlive left
t_fails 10 "nor can somebody clean it" envelope-snapshot clean
t "unlock" envelope unlock --direct x
t_says 0 "then it is cleaned" "removed what 1 interrupted" envelope-snapshot clean
t "the volume is where it was after the lock" stored_over vda
t "lock again" envelope lock x
t_fails 128 "a locked volume" vmlive hold x < /dev/null
t "unlock again" envelope unlock --direct x
t "all files are there" sums_hold /mnt
umount /mnt
t "the file system is whole in the end" e2fsck -fn /dev/mapper/x

# Detached, or gone, while it is read.
t "one of what will be detached" hold x
t "detach meanwhile" envelope detach x
t "its end finds no volume" release
t_fails 6 "not attached" vmlive hold x < /dev/null
t "nothing left" nothing_left
done_testing
