// SPDX-License-Identifier: GPL-2.0-or-later
/* The doctor's look at what a boot starts, in which order. */
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "doctor.h"
#include "tab.h"

#define UNITS "/etc/systemd/system"
#define MAPPER "/dev/mapper/"

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void check_socket(struct doctor *d)
{
	if (exists(UNITS "/sockets.target.wants/envelope-agent.socket"))
		doctor_say(d, DOCTOR_OK, "boot", NULL,
			   "systemd listens for the agent");
	else
		doctor_say(d, DOCTOR_WARN, "boot",
			   exists("/usr/lib/systemd/system/envelope-agent.socket") ?
			   "systemctl enable envelope-agent.socket" :
			   "make install in dm-envelope's sources",
			   "no boot starts envelope-agent.socket");
}

static void check_module_list(struct doctor *d)
{
	if (exists("/usr/lib/modules-load.d/dm-envelope.conf") ||
	    exists("/etc/modules-load.d/dm-envelope.conf"))
		doctor_say(d, DOCTOR_OK, "boot", NULL,
			   "systemd loads dm-envelope early");
	else
		doctor_say(d, DOCTOR_WARN, "boot",
			   "echo dm-envelope > /etc/modules-load.d/dm-envelope.conf",
			   "no boot loads dm-envelope before keys are made");
}

static bool is_loopback(const char *endpoint)
{
	const char *host = endpoint + strlen("https://");

	return strncmp(host, "127.", 4) == 0 ||
	       strncmp(host, "[::1]", 5) == 0 ||
	       strncmp(host, "localhost", 9) == 0;
}

/* A KMS on this very host has to be there before its volumes. */
static void check_own_kms(struct doctor *d)
{
	const struct conf_region *region = NULL;
	size_t i;

	for (i = 0; d->k.conf && (region = conf_region_at(d->k.conf, i)); i++)
		if (is_loopback(region->endpoint))
			break;
	if (!region)
		return;
	if (exists(UNITS "/multi-user.target.wants/envelope-kms.service") ||
	    exists(UNITS "/sockets.target.wants/envelope-kms.socket"))
		doctor_say(d, DOCTOR_OK, "boot", NULL,
			   "systemd starts the KMS of region %s on this host",
			   region->name);
	else
		doctor_say(d, DOCTOR_WARN, "boot",
			   "systemctl enable envelope-kms.socket",
			   "the KMS of region %s is on this host, and no boot starts it",
			   region->name);
}

/* Attached now, or called as an attach without a name calls it. */
static bool is_volume(const char *name, const struct dm_volume_status *list,
		      size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(list[i].volume.name, name) == 0)
			return true;
	return header_volume_id_valid(name);
}

static const struct tab_line *in_tab(const struct tab *tab, const char *name)
{
	size_t i;

	for (i = 0; i < tab->count; i++)
		if (strcmp(tab->at[i].name, name) == 0)
			return &tab->at[i];
	return NULL;
}

/* A mount that a boot waits for, of the volume of @line (NULL: of none). */
static void check_waiting(struct doctor *d, const char *device,
			  const struct tab_line *line, bool netdev)
{
	if (!line)
		doctor_say(d, DOCTOR_FAIL, "boot",
			   "add noauto or nofail to its options, or a line to " TAB_PATH,
			   "/etc/fstab waits for %s, which nothing attaches at boot: the boot ends in a rescue shell",
			   device);
	else if (tab_is_remote(line) && !netdev)
		doctor_say(d, DOCTOR_FAIL, "boot",
			   "add _netdev to its options in /etc/fstab",
			   "/etc/fstab waits for %s before the network is there, and line %zu of " TAB_PATH " attaches it later: no boot can have both",
			   device, line->number);
	else
		doctor_say(d, DOCTOR_OK, "boot", NULL,
			   "/etc/fstab waits for %s, which line %zu of "
			   TAB_PATH " attaches", device, line->number);
}

static void check_mount(struct doctor *d, const struct mntent *m,
			const struct tab *tab)
{
	const char *name = m->mnt_fsname + strlen(MAPPER);

	if (hasmntopt(m, "noauto") || hasmntopt(m, "nofail"))
		doctor_say(d, DOCTOR_OK, "boot", NULL,
			   "/etc/fstab does not wait for %s", m->mnt_fsname);
	else
		check_waiting(d, m->mnt_fsname, in_tab(tab, name),
			      hasmntopt(m, "_netdev"));
}

static void check_fstab(struct doctor *d, const struct tab *tab)
{
	struct dm_volume_status *list = NULL;
	FILE *f = setmntent("/etc/fstab", "re");
	struct mntent *m;
	size_t count = 0;

	if (geteuid() == 0)
		(void)dm_volume_list(&list, &count);
	while (f && (m = getmntent(f))) {
		const char *name = m->mnt_fsname + strlen(MAPPER);

		if (strncmp(m->mnt_fsname, MAPPER, strlen(MAPPER)) == 0 &&
		    (in_tab(tab, name) || is_volume(name, list, count)))
			check_mount(d, m, tab);
	}
	if (f)
		endmntent(f);
	free(list);
}

/* Its lines; what is wrong with them is for another verb to say. */
static void read_tab(struct doctor *d, struct tab *ret)
{
	int r = tab_read(NULL, NULL, ret);

	if (r < 0)
		doctor_said(d, DOCTOR_FAIL, "boot");
	else if (ret->broken)
		doctor_say(d, DOCTOR_FAIL, "boot", "envelope tab check",
			   "%zu of the lines of " TAB_PATH " are wrong, and nothing attaches what they name",
			   ret->broken);
	else if (ret->count)
		doctor_say(d, DOCTOR_OK, "boot", NULL,
			   TAB_PATH " names %zu volumes", ret->count);
}

void doctor_boot(struct doctor *d)
{
	struct tab tab;

	check_socket(d);
	check_module_list(d);
	check_own_kms(d);
	read_tab(d, &tab);
	check_fstab(d, &tab);
	tab_free(&tab);
}
