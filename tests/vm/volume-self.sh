#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 32 --kms
# kernels: 6.12
# A volume that holds what is needed to attach it: the CA file, or the state of
# the KMS.
. /test/vm/helpers/attach.bash
modprobe ext4
modprobe loop

on_volume()
{
	sed 's|^ca-file.*|ca-file = /mnt/ca.pem|' /etc/envelope/envelope.conf
}

t "format" envelope format /dev/vda
t "attach" envelope attach --direct /dev/vda data
t "mkfs" mkfs.ext4 -q /dev/mapper/data
mount /dev/mapper/data /mnt
t "nothing to warn of" eval "! envelope status data 2>&1 | grep warning"

cp /etc/envelope/envelope.conf "$WORK/envelope.conf"
cp /etc/envelope/ca.pem /mnt/ca.pem
on_volume > "$WORK/self.conf"
cp "$WORK/self.conf" /etc/envelope/envelope.conf
t_says 0 "CA file on the volume" \
	"warning: ca-file '/mnt/ca.pem' is on the volume 'data' itself" \
	envelope status data

envelope-kms init /mnt/kms --port 9443 > "$WORK/init" 2>&1
envelope-kms serve /mnt/kms > "$WORK/serve" 2>&1 &
KMS=$!
wait_until 60 grep -q listening "$WORK/serve"
t_says 0 "KMS state on the volume" \
	"warning: the KMS that runs here \(process $KMS\) keeps its state on the volume 'data'" \
	envelope status data
t "the KMS says so, too" \
	grep -q "warning: /mnt/kms is on the encrypted volume 'data': if its key is in this KMS, it can never be attached again" \
	"$WORK/serve"
kill $KMS
wait $KMS

# A KMS whose state is in a file system in a file on the volume.
mkdir "$WORK/image"
truncate -s 12M /mnt/image
mkfs.ext4 -q /mnt/image
t "mount of an image on the volume" mount -o loop /mnt/image "$WORK/image"
envelope-kms init "$WORK/image/kms" --port 9443 > "$WORK/init" 2>&1
envelope-kms serve "$WORK/image/kms" > "$WORK/serve" 2>&1 &
KMS=$!
wait_until 60 grep -q listening "$WORK/serve"
t "the KMS sees through a loop device" \
	grep -q "kms is on the encrypted volume 'data'" "$WORK/serve"
kill $KMS
wait $KMS
t "umount of the image" umount "$WORK/image"

envelope-kms init "$WORK/kms" --port 9443 > "$WORK/init" 2>&1
envelope-kms serve "$WORK/kms" > "$WORK/serve" 2>&1 &
KMS=$!
wait_until 60 grep -q listening "$WORK/serve"
t "the KMS does not warn elsewhere" \
	eval '! grep -q "encrypted volume" "$WORK/serve"'
kill $KMS
wait $KMS

t "umount" umount /mnt
t "detach" envelope detach data
echo "/dev/mapper/data /mnt ext4 noauto 0 0" > /etc/fstab
BEFORE=$(decrypts)
refused 2 "attach without its CA file" \
	"ca-file '/mnt/ca.pem' is on the volume 'data' itself, by /etc/fstab, so the volume can never be attached with it: put a copy elsewhere" \
	envelope attach --direct /dev/vda data
t "the KMS was not asked" test "$(decrypts)" = "$BEFORE"
cp "$WORK/envelope.conf" /etc/envelope/envelope.conf
t "attach with a copy" envelope attach --direct /dev/vda data
t "detach at the end" envelope detach data
t "nothing left at the end" nothing_left
done_testing
