/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /etc/envelope/envelopetab: which volumes this host attaches, and how.
 *
 * One volume a line, words between blanks, # begins a comment line:
 *
 *	NAME DEVICE [OPTION,OPTION...]
 *
 *	NAME	of the attached device, as dm_volume_name_valid()
 *	DEVICE	an absolute path; PARTUUID=, PARTLABEL=, LABEL= (udev's links);
 *		UUID= or a volume id (what the header itself says)
 *	-	in place of the options: none
 *
 * A blank in DEVICE or header= is \040, a tab \011, a backslash \134, as in
 * fstab(5). No value has a control character, so that none of them can end the
 * line of a unit file that it is written into.
 *
 * Each line stands alone: one that is wrong has its sentence, and is left out.
 */
#ifndef ENVELOPE_TAB_H
#define ENVELOPE_TAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dm.h"
#include "lease.h"

#define TAB_PATH "/etc/envelope/envelopetab"
#define TAB_TIMEOUT_MS 90000u	/* where a line has no timeout= */
#define TAB_MAX_LINES 4096	/* volumes */

/* How the device is found. */
enum tab_by {
	TAB_BY_PATH,		/* @device is an absolute path */
	TAB_BY_UUID,		/* the volume's UUID, in lower case */
	TAB_BY_VOLUME,		/* its volume id */
};

/* x-systemd.WORD=UNIT, and what systemd is told. */
enum tab_relation_kind {
	TAB_REQUIRES,
	TAB_AFTER,
	TAB_BEFORE,
	TAB_WANTED_BY,
	TAB_REQUIRED_BY,
	TAB_MOUNTS_FOR,
};

struct tab_relation {
	enum tab_relation_kind kind;
	char *what;		/* a unit's name, or an absolute path */
};

struct tab_line {
	size_t number;		/* in the file, from 1 */
	char name[DM_VOLUME_NAME_CHARS];
	char *spec;		/* DEVICE as it stands there, decoded */
	char *device;		/* see @by */
	enum tab_by by;
	bool nofail;		/* a boot goes on without it */
	bool noauto;		/* a boot does not attach it */
	bool netdev;		/* given: it needs the network */
	bool direct;		/* without the agent */
	bool read_only;
	bool allow_discards;
	enum dm_on_lock on_lock;
	struct lease_wish lease;
	uint64_t timeout_ms;	/* for all tries together; 0: for ever */
	uint32_t tries;		/* 0: as many as there is time for */
	char *header;		/* of a detached header; or NULL */
	char *volume_id;	/* that it must have; or NULL */
	/* How long systemd waits for the device, in seconds; 0: for ever. */
	bool device_timeout_given;
	uint64_t device_timeout_s;
	struct tab_relation *relations;
	size_t relation_count;
	uint32_t seen;		/* the parser's: which options it has */
};

struct tab {
	struct tab_line *at;
	size_t count;
	size_t broken;		/* lines that were left out */
};

/*
 * Read @path, TAB_PATH if that is NULL, which may be missing then: no lines.
 * With @only, lines of other names are checked in silence, and @ret has one
 * line at most.
 *
 * 0, also with broken lines, which are counted and have their sentences;
 * -EINVAL, -EACCES (others than root can change it), -ENOMEM with one.
 */
int tab_read(const char *path, const char *only, struct tab *ret);

/* The same of @text, which is changed; @path is for messages. -ENOMEM. */
int tab_parse(const char *path, char *text, const char *only,
	      struct tab *ret);

/* One of zeros is accepted. */
void tab_free(struct tab *tab);

/*
 * Does it start after the local file systems, as what needs the network does?
 * So does all that is attached by the agent, which itself starts then.
 */
bool tab_is_remote(const struct tab_line *line);

/*
 * How long to wait after the try number @tries (from 1): longer each time, at
 * most TAB_WAIT_CAP_MS, and at least half of that; @random spreads the hosts
 * that one KMS was away for.
 */
#define TAB_WAIT_BASE_MS 1000u
#define TAB_WAIT_CAP_MS 15000u
unsigned int tab_wait_ms(unsigned int tries, uint32_t random);

/*
 * tab_options.c: the options @text, which is changed, into @line. -EINVAL with
 * a sentence that begins with @where; -ENOMEM.
 */
int tab_options(const char *where, char *text, struct tab_line *line);

/*
 * An absolute path without "." and ".." in it, which would name another place
 * than they seem to, without control characters, and with no / at its end?
 */
bool tab_path_valid(const char *path);

/* \040, \011 and \134 to what they stand for, in place. */
void tab_decode(char *text);

#endif
