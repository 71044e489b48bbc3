// SPDX-License-Identifier: GPL-2.0-or-later
/* What a device holds, and which device it is: libblkid and sysfs. */
#include <blkid/blkid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "device.h"
#include "log.h"

#define MAX_LAYERS 16

static const char *usage_noun(const char *usage)
{
	if (usage && strcmp(usage, "raid") == 0)
		return "a RAID or LVM member";
	if (usage && strcmp(usage, "crypto") == 0)
		return "an encrypted volume";
	if (usage && strcmp(usage, "other") == 0)
		return "a signature";
	return "a file system";
}

static void describe(blkid_probe probe, char ret[DEVICE_SIGNATURE_CHARS])
{
	const char *usage = NULL;
	const char *type = NULL;

	if (blkid_probe_lookup_value(probe, "TYPE", &type, NULL) == 0) {
		blkid_probe_lookup_value(probe, "USAGE", &usage, NULL);
		snprintf(ret, DEVICE_SIGNATURE_CHARS, "%s (%s)",
			 usage_noun(usage), type);
	} else if (blkid_probe_lookup_value(probe, "PTTYPE", &type,
					    NULL) == 0) {
		snprintf(ret, DEVICE_SIGNATURE_CHARS, "a partition table (%s)",
			 type);
	}
}

int device_signature(const struct device *d, char ret[DEVICE_SIGNATURE_CHARS])
{
	blkid_probe probe = blkid_new_probe();
	int found = -1;

	ret[0] = '\0';
	if (probe && blkid_probe_set_device(probe, d->fd, 0, 0) == 0) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE |
						  BLKID_SUBLKS_USAGE);
		blkid_probe_enable_partitions(probe, 1);
		found = blkid_do_safeprobe(probe);
	}
	if (found == 0)
		describe(probe, ret);
	else if (found == -2)
		snprintf(ret, DEVICE_SIGNATURE_CHARS, "several signatures");
	blkid_free_probe(probe);
	/* Files below a sector in size hold nothing and cannot be probed. */
	if (found == -1 && d->size_bytes >= 512) {
		log_error("'%s': cannot look for signatures: %s", d->path,
			  strerror(errno));
		return -EIO;
	}
	return 0;
}

int device_wipe_signatures(const struct device *d)
{
	blkid_probe probe = blkid_new_probe();
	int r = -1;

	if (probe && blkid_probe_set_device(probe, d->fd, 0, 0) == 0) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_MAGIC);
		blkid_probe_enable_partitions(probe, 1);
		blkid_probe_set_partitions_flags(probe, BLKID_PARTS_MAGIC);
		/* One signature at a time, also one behind another. */
		while ((r = blkid_do_probe(probe)) == 0)
			if (blkid_do_wipe(probe, 0) < 0)
				break;
	}
	blkid_free_probe(probe);
	if (r != 1 && d->size_bytes >= 512) {
		log_error("'%s': cannot wipe the old signatures: %s", d->path,
			  strerror(errno));
		return -EIO;
	}
	return 0;
}

/* The first line of a sysfs file; an empty text if there is none. */
static void read_line(const char *path, char *ret, size_t bytes)
{
	FILE *f = fopen(path, "re");

	ret[0] = '\0';
	if (!f)
		return;
	if (fgets(ret, bytes, f))
		ret[strcspn(ret, "\n")] = '\0';
	fclose(f);
}

/* NVMe and recent virtio show it beside the disk, SCSI in device/. */
static void read_wwn(dev_t disk, char ret[HEADER_NAME_CHARS])
{
	static const char *const places[] = { "wwid", "device/wwid" };
	char path[80];
	size_t i;

	ret[0] = '\0';
	for (i = 0; i < sizeof(places) / sizeof(places[0]) && !ret[0]; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s",
			 major(disk), minor(disk), places[i]);
		read_line(path, ret, HEADER_NAME_CHARS);
	}
}

static void read_partuuid(dev_t partition, const char *disk_name,
			  char ret[HEADER_UUID_CHARS])
{
	char path[64];
	blkid_probe probe;
	blkid_partlist list;
	blkid_partition part;
	const char *uuid = NULL;

	snprintf(path, sizeof(path), "/dev/%.40s", disk_name);
	probe = blkid_new_probe_from_filename(path);
	list = probe ? blkid_probe_get_partitions(probe) : NULL;
	part = list ? blkid_partlist_devno_to_partition(list, partition) : NULL;
	if (part)
		uuid = blkid_partition_get_uuid(part);
	if (uuid)
		snprintf(ret, HEADER_UUID_CHARS, "%.36s", uuid);
	blkid_free_probe(probe);
}

void device_identity(const struct device *d, struct header_device *ret)
{
	dev_t dev = makedev(d->major, d->minor);
	char disk_name[64] = "";
	dev_t disk = 0;

	*ret = (struct header_device){ .size_bytes = d->size_bytes };
	if (!d->is_block ||
	    blkid_devno_to_wholedisk(dev, disk_name, sizeof(disk_name),
				     &disk) < 0)
		return;
	read_wwn(disk, ret->wwn);
	if (disk != dev)
		read_partuuid(dev, disk_name, ret->partuuid);
}

const char *device_identity_differs(const struct header_device *recorded,
				    const struct header_device *found)
{
	bool named = recorded->wwn[0] || recorded->partuuid[0];

	if (strcmp(recorded->partuuid, found->partuuid) != 0)
		return "another partition UUID";
	if (strcmp(recorded->wwn, found->wwn) != 0)
		return "another WWN";
	if (found->size_bytes < recorded->size_bytes)
		return "a smaller size";
	/* Nothing but the size tells nameless devices apart. */
	if (!named && found->size_bytes > recorded->size_bytes)
		return "another size";
	return NULL;
}

/* Does a layer with sysfs folder @path lie on @want? At most @depth below. */
static bool lies_on(const char *path, dev_t want, int depth)
{
	char text[4300];
	unsigned int major;
	unsigned int minor;
	struct dirent *e;
	bool found = false;
	struct stat st;
	DIR *dir;

	snprintf(text, sizeof(text), "%s/dev", path);
	read_line(text, text, 32);
	if (sscanf(text, "%u:%u", &major, &minor) == 2 &&
	    makedev(major, minor) == want)
		return true;
	if (depth == 0)
		return false;
	snprintf(text, sizeof(text), "%s/loop/backing_file", path);
	read_line(text, text, 4096);
	if (text[0] && stat(text, &st) == 0 && st.st_dev == want)
		return true;
	snprintf(text, sizeof(text), "%s/partition", path);
	if (access(text, F_OK) == 0) {
		snprintf(text, sizeof(text), "%s/..", path);
		return lies_on(text, want, depth - 1);
	}
	snprintf(text, sizeof(text), "%s/slaves", path);
	dir = opendir(text);
	while (dir && !found && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(text, sizeof(text), "%s/slaves/%s", path, e->d_name);
		found = lies_on(text, want, depth - 1);
	}
	if (dir)
		closedir(dir);
	return found;
}

bool device_holds(unsigned int major, unsigned int minor, const char *path)
{
	char layer[80];
	char *real;
	struct stat st;
	bool found;
	dev_t dev;

	if (stat(path, &st) < 0)
		return false;
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	snprintf(layer, sizeof(layer), "/sys/dev/block/%u:%u", major(dev),
		 minor(dev));
	/* ".." of a partition must not be that of the symbolic link. */
	real = realpath(layer, NULL);
	found = real && lies_on(real, makedev(major, minor), MAX_LAYERS);
	free(real);
	return found;
}
