// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading both copies and choosing one; never writing. */
#include "header_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* The two copies of one device on their way to becoming one header. */
struct candidates {
	uint8_t *stored;
	struct header_copy_info info[HEADER_COPIES];
	struct header *parsed[HEADER_COPIES];
};

/* Revision first: it is under the HMAC, the sequence can be forged. */
bool header_copy_beats(const struct header_copy_info *a,
		       const struct header_copy_info *b)
{
	if (a->revision != b->revision)
		return a->revision > b->revision;
	return a->sequence > b->sequence;
}

int header_copy_parse(const uint8_t *copy, unsigned int index,
		      struct header_copy_info *info, struct header **ret,
		      char why[static HEADER_WHY_BYTES])
{
	int r;

	*info = header_copy_probe(copy, index);
	if (info->state != HEADER_COPY_GOOD)
		return 0;
	r = header_unpack(copy, ret, why);
	if (r == 0)
		info->revision = (*ret)->core.revision;
	return r;
}

/* Is there anything to parse at all? */
static int check_states(const struct candidates *c, const char *name)
{
	enum header_copy_state a = c->info[0].state, b = c->info[1].state;

	if (a == HEADER_COPY_ABSENT && b == HEADER_COPY_ABSENT) {
		log_error("'%s': no envelope header", name);
		return -ENODATA;
	}
	if (a < HEADER_COPY_GOOD && b < HEADER_COPY_GOOD) {
		log_error("'%s': no undamaged copy of the header is left: restore a header backup",
			  name);
		return -EBADMSG;
	}
	return 0;
}

static int parse_copy(struct candidates *c, const char *name, unsigned int i)
{
	char why[HEADER_WHY_BYTES];
	int r;

	r = header_copy_parse(c->stored + i * HEADER_COPY_BYTES, i, &c->info[i],
			      &c->parsed[i], why);
	if (r == -EBADMSG)
		log_error("'%s': copy %c of the header was tampered with: %s",
			  name, 'A' + i, why);
	else if (r == -EOPNOTSUPP)
		log_error("'%s': %s", name, why);
	return r;
}

static bool same_volume(const struct header *a, const struct header *b)
{
	return strcmp(a->core.volume_id, b->core.volume_id) == 0 &&
	       memcmp(a->core.uuid, b->core.uuid, HEADER_UUID_BYTES) == 0;
}

/* @copies: bit 0 for A, bit 1 for B; the others count as absent. */
static int read_copies(int fd, const char *name, unsigned int copies,
		       struct header **ret)
{
	struct candidates c = { 0 };
	unsigned int used, i;
	int r;

	c.stored = malloc(HEADER_BYTES);
	if (!c.stored)
		return -ENOMEM;
	r = header_pread_all(fd, name, c.stored, HEADER_BYTES, 0);
	for (i = 0; i < HEADER_COPIES && r == 0; i++)
		if (copies & 1u << i)
			r = parse_copy(&c, name, i);
	if (r == 0)
		r = check_states(&c, name);
	if (r < 0)
		goto out;
	if (c.parsed[0] && c.parsed[1] &&
	    !same_volume(c.parsed[0], c.parsed[1])) {
		log_error("'%s': the copies of the header name different volumes: tampered with",
			  name);
		r = -EBADMSG;
		goto out;
	}
	used = header_copy_beats(&c.info[0], &c.info[1]) ? 0 : 1;
	c.info[used].used = true;
	c.parsed[used]->stored = c.stored;
	memcpy(c.parsed[used]->copies, c.info, sizeof(c.info));
	*ret = c.parsed[used];
	c.parsed[used] = NULL;
	c.stored = NULL;
out:
	header_free(c.parsed[0]);
	header_free(c.parsed[1]);
	free(c.stored);
	return r;
}

int header_read(int fd, const char *name, struct header **ret)
{
	return read_copies(fd, name, 3, ret);
}

int header_read_copy(int fd, const char *name, unsigned int index,
		     struct header **ret)
{
	return read_copies(fd, name, 1u << index, ret);
}

bool header_cores_agree(const struct header *h)
{
	const uint8_t *a = h->stored, *b = h->stored + HEADER_COPY_BYTES;

	return h->copies[0].state >= HEADER_COPY_GOOD &&
	       h->copies[1].state >= HEADER_COPY_GOOD &&
	       memcmp(a, b, AT_SEQUENCE) == 0 &&
	       memcmp(a + AT_HMAC, b + AT_HMAC,
		      AT_CORE + h->core_bytes - AT_HMAC) == 0;
}

int header_magic_at(int fd, const char *name, bool *a_ret, bool *b_ret)
{
	uint8_t magic[HEADER_COPIES][8];
	unsigned int i;
	int r;

	for (i = 0; i < HEADER_COPIES; i++) {
		r = header_pread_all(fd, name, magic[i], sizeof(magic[i]),
				     i * HEADER_COPY_BYTES);
		if (r < 0)
			return r;
	}
	*a_ret = memcmp(magic[0], HEADER_MAGIC, 8) == 0;
	*b_ret = memcmp(magic[1], HEADER_MAGIC, 8) == 0;
	return 0;
}

int header_check_fit(const struct header *h, const char *name,
		     uint64_t device_bytes)
{
	uint64_t end = h->core.data_offset_bytes + h->core.size_bytes;

	if (end <= device_bytes)
		return 0;
	log_error("'%s': the volume ends at byte %llu, the device at %llu: the device shrank, or the header is another's",
		  name, (unsigned long long)end,
		  (unsigned long long)device_bytes);
	return -EBADMSG;
}
