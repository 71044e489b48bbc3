#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 48 --disk 340 --kms
# ext4 and XFS made, filled, checked after detach and attach.
. /test/vm/helpers/attach.bash
modprobe -a ext4 xfs

# fill FOLDER: files of odd sizes, and their checksums beside them.
fill()
{
	local i

	for i in 1 2 3 4 5 6 7 8; do
		head -c $((i * 70001)) /dev/urandom > "$1/file$i" || return 1
	done
	mkdir -p "$1/deep/er" && cp /bin/bash "$1/deep/er/" &&
		(cd "$1" && sha256sum file? deep/er/bash) > "$WORK/sums"
}

mounted()
{
	mount "/dev/mapper/$1" /mnt || return 1
	shift
	"$@"
	local rc=$?

	umount /mnt && return $rc
}

same_files()
{
	(cd /mnt && sha256sum --quiet -c "$WORK/sums")
}

# life_of DEV NAME MKFS FSCK
life_of()
{
	local dev=$1 name=$2

	t "$name: format" envelope format "$dev"
	t "$name: attach" envelope attach --direct "$dev" "$name"
	t "$name: mkfs" eval "$3 /dev/mapper/$name"
	t "$name: fill" mounted "$name" fill /mnt
	t_says 7 "$name: detach while mounted is refused" \
		"envelope: '$name' is in use: unmount it" \
		mounted "$name" envelope detach "$name"
	t "$name: detach" envelope detach "$name"
	t "$name: nothing left" nothing_left
	t "$name: unreadable on disk" no_file_system "$dev"
	t "$name: attach again" envelope attach --direct "$dev" "$name"
	t "$name: fsck" eval "$4 /dev/mapper/$name"
	t "$name: files are the same" mounted "$name" same_files
	t "$name: detach again" envelope detach "/dev/mapper/$name"
	t "$name: nothing left at the end" nothing_left
}

# Neither a signature nor a name of a file is on the device.
no_file_system()
{
	! blkid -p "$1" && ! grep -q -a -e file1 -e lost+found "$1"
}

life_of /dev/vda ext4 "mkfs.ext4 -q" "e2fsck -fn"
life_of /dev/vdb xfs "mkfs.xfs -q" "xfs_repair -n"
done_testing
