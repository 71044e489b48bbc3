/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was done with volumes on this host, by the agent and by root without
 * it, in a form that shows when it was changed.
 *
 * /var/lib/envelope/audit (root, 0700) holds audit.log, the files that it was
 * before (audit-N.log, N the number of their first record, 20 digits) and the
 * head. One JSON object a line, compact, names sorted but for the last:
 *
 *	{"event":"attach","prev":"HEX","result":"granted","seq":7,
 *	 "time":"2026-01-31T23:59:59.123Z","uid":1000,...,"sum":"HEX"}
 *
 * sum is the SHA-256 of the line without ,"sum":"HEX"; prev is the sum of the
 * record before, 64 zeros in the first; seq counts from 1, over all files. The
 * head is SEQ, a blank, SUM and a line's end, of the last record that was
 * flushed: it is written after it, so it shows when records at the end were cut
 * off.
 *
 * There are no keys in it: whoever is root can write all of it anew. What
 * proves that it was not is a head that was noted somewhere else.
 */
#ifndef ENVELOPE_AUDIT_H
#define ENVELOPE_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AUDIT_PARENT "/var/lib/envelope"
#define AUDIT_FOLDER "audit"
#define AUDIT_FILE "audit.log"
#define AUDIT_HEAD "head"
#define AUDIT_SUM_CHARS 64		/* without the NUL */
#define AUDIT_LINE_BYTES 16384		/* of one record, at most */
#define AUDIT_FILE_BYTES (8u << 20)	/* then comes another file */
#define AUDIT_FILES 16			/* of those that are full */

/* One thing that was done, or was not. NULL: not known, or there is none. */
struct audit_record {
	const char *event;		/* "attach", "detach", ... */
	const char *result;		/* "granted", "done", "denied", ... */
	uid_t uid;			/* who wanted it */
	const char *by;			/* the program */
	const char *name;		/* of the attached device, or what a
					 * verb was called with */
	const char *device;		/* below it */
	const char *volume_id;
	const char *key_id;
	const char *request_id;		/* the KMS's name of its answer */
	const char *why;		/* of a failure: its sentence */
	uint64_t left_out;		/* failures before it, not written */
};

enum audit_flags {
	/* Not flushed to the disk: with the next record that is. */
	AUDIT_LAZY = 1 << 0,
	/* Only warn when it cannot be written: it has happened already. */
	AUDIT_AFTERWARDS = 1 << 1,
};

/* How something ended, by a library's result: "denied" and so on. */
const char *audit_result(int r, const char *success);

/*
 * Append a record: on the disk when 0 is returned; else nothing of it is there.
 * What a killed writer left of a line is cut off, of which a record and a
 * warning tell. -EIO, with a sentence; -ENOMEM.
 */
int audit_write(const struct audit_record *r, unsigned int flags);

/*
 * The same for a verb without the agent, before it gives a key out: what the
 * last call of a KMS was about. Who is not root has no audit of this host: 0.
 */
int audit_verb(const char *event, const char *name, const char *volume_id);

/* The same about @key_id, which is not what a KMS was asked about last. */
int audit_verb_key(const char *event, const char *name, const char *volume_id,
		   const char *key_id);

/* The same of one that has ended with @r, 0 or -errno; at most a warning. */
void audit_verb_ended(const char *event, const char *name,
		      const char *volume_id, int r);

/* The same about @key_id; NULL: as audit_verb_ended(). */
void audit_verb_key_ended(const char *event, const char *name,
			  const char *volume_id, const char *key_id, int r);

/* For tests and other places: the folder above it, which outlives its use. */
void audit_set_parent(const char *dir);

/* For tests: bytes of a file, and how many full ones are kept. */
void audit_set_limits(size_t file_bytes, unsigned int files);

/*
 * audit_line.c
 */

struct audit_mark {
	uint64_t seq;			/* 0: of no record */
	char sum[AUDIT_SUM_CHARS + 1];
};

/* The mark before the first record. */
#define AUDIT_START { 0, \
	"0000000000000000000000000000000000000000000000000000000000000000" }

/*
 * @o with seq, prev and sum behind @before, and a line's end: for free(3). Its
 * own mark goes to *@ret. NULL: no memory. Takes no reference.
 */
char *audit_line_make(json_t *o, const struct audit_mark *before,
		      struct audit_mark *ret);

/*
 * A line of @bytes without its end. 0 with a new reference, the mark of the
 * record and (unless NULL) what it says that comes before; -EBADMSG: it was
 * changed; -ENOMEM. Prints nothing.
 */
int audit_line_parse(const char *line, size_t bytes, json_t **ret,
		     struct audit_mark *mark_ret,
		     char prev_ret[AUDIT_SUM_CHARS + 1]);

/* "SEQ SUM" or "SEQ:SUM", the whole text. -EBADMSG. */
int audit_mark_parse(const char *text, struct audit_mark *ret);

/*
 * audit_verify.c
 */

struct audit_reader {
	/* A record, or (@o NULL) a line that is none. */
	void (*record)(void *data, const char *file, size_t line, json_t *o);
	/* Something that is wrong, or (@wrong false) worth knowing. */
	void (*finding)(void *data, bool wrong, const char *text);
	void *data;
};

/*
 * Read all records in their order, and compare everything that can be: of @path
 * alone (a copy of one file), or, if that is NULL, of the folder with its head.
 * @noted (or NULL) is a head that was noted once. *@last_ret is the last
 * record's, which is on the disk (of a copy: as that is), and its findings were
 * told. Either function may be NULL.
 *
 * 0: nothing is wrong. -EBADMSG: something is. -ENOENT, -EIO, -ENOMEM: it could
 * not be read, with a sentence.
 */
int audit_read(const char *path, const struct audit_mark *noted,
	       const struct audit_reader *reader, struct audit_mark *last_ret);

#endif
