// SPDX-License-Identifier: GPL-2.0
/*
 * The table line to configuration and back: the only parser and the only
 * printer of the grammar in uapi.h.
 */

#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/string.h>

#include "envelope.h"

#define POSITIONAL_ARGS			5
#define MAX_OPTIONS			5

/* one bit an option, to refuse a second one */
enum option_bit {
	OPTION_SECTOR_SIZE,
	OPTION_IV_LARGE_SECTORS,
	OPTION_ALLOW_DISCARDS,
	OPTION_HOLES,
	OPTION_ON_LOCK,
};

static int fail(struct dm_target *ti, const char *sentence)
{
	ti->error = (char *)sentence;
	return -EINVAL;
}

/* Decimal digits only: kstrtoull() alone would take a sign and a newline. */
static bool parse_number(const char *text, u64 *ret)
{
	const char *p;

	for (p = text; *p; p++)
		if (!isdigit(*p))
			return false;
	return !kstrtoull(text, 10, ret);
}

bool envelope_name_valid(const char *name)
{
	size_t length = strnlen(name, ENVELOPE_KEY_NAME_MAX + 1);
	const char *p;

	if (!length || length > ENVELOPE_KEY_NAME_MAX)
		return false;
	/* dm splits tables at white space and unescapes backslashes */
	for (p = name; *p; p++)
		if (*p < '!' || *p > '~' || *p == '\\')
			return false;
	return true;
}

const char *envelope_table_key(const char *reference, bool *leased_ret,
			       const char **name_ret)
{
	const char *size, *type, *name;

	if (reference[0] != ':')
		return "Raw key refused: put it in a keyring (keyctl padd envelope NAME @u) and write :64:envelope:NAME";
	size = reference + 1;
	type = strchr(size, ':');
	name = type ? strchr(type + 1, ':') : NULL;
	if (!name)
		return "Malformed key reference: write :64:envelope:NAME or :64:logon:NAME";
	if (type - size != 2 || strncmp(size, "64", 2))
		return "Invalid key size: it must be 64 bytes";
	type++;
	name++;

	if (!envelope_name_valid(name))
		return "Invalid key name: 1 to 255 printable characters without backslash are allowed";
	if (strstarts(type, ENVELOPE_KEY_TYPE_NAME ":"))
		*leased_ret = true;
	else if (strstarts(type, "logon:"))
		*leased_ret = false;
	else
		return "Unknown key type: only envelope and logon are known";
	*name_ret = name;
	return NULL;
}

static int parse_sector_size(struct dm_target *ti, const char *text,
			     struct envelope_config *config)
{
	u64 bytes;

	if (!parse_number(text, &bytes) || !is_power_of_2(bytes) ||
	    bytes < ENVELOPE_BLOCK_MIN_BYTES ||
	    bytes > ENVELOPE_BLOCK_MAX_BYTES)
		return fail(ti, "Invalid sector_size: only 512, 1024, 2048 and 4096 are known");
	config->block_bytes = bytes;
	return OPTION_SECTOR_SIZE;
}

static int parse_on_lock(struct dm_target *ti, const char *text,
			 struct envelope_config *config)
{
	if (!strcmp(text, "error"))
		config->fail_when_locked = true;
	else if (strcmp(text, "queue"))
		return fail(ti, "Invalid on_lock: only queue and error are known");
	return OPTION_ON_LOCK;
}

/* Which option it was, or -EINVAL. */
static int parse_option(struct dm_target *ti, const char *text,
			struct envelope_config *config)
{
	if (strstarts(text, "sector_size:"))
		return parse_sector_size(ti, strchr(text, ':') + 1, config);
	if (strstarts(text, "on_lock:"))
		return parse_on_lock(ti, strchr(text, ':') + 1, config);
	if (!strcmp(text, "iv_large_sectors")) {
		config->iv_large_sectors = true;
		return OPTION_IV_LARGE_SECTORS;
	}
	if (!strcmp(text, "allow_discards")) {
		config->allow_discards = true;
		return OPTION_ALLOW_DISCARDS;
	}
	if (!strcmp(text, "holes")) {
		config->holes = true;
		return OPTION_HOLES;
	}
	return fail(ti, "Unknown option");
}

static int parse_options(struct dm_target *ti, struct dm_arg_set *as,
			 struct envelope_config *config)
{
	unsigned long seen = 0;
	u64 count;

	if (!as->argc)
		return 0;
	if (!parse_number(dm_shift_arg(as), &count) || count > MAX_OPTIONS)
		return fail(ti, "Invalid number of options: 0 to 5 are possible");
	if (count > as->argc)
		return fail(ti, "Not enough options: there are fewer than their number says");
	if (count < as->argc)
		return fail(ti, "Too many arguments: there are more options than their number says");

	while (count--) {
		int bit = parse_option(ti, dm_shift_arg(as), config);

		if (bit < 0)
			return bit;
		if (__test_and_set_bit(bit, &seen))
			return fail(ti, "Option given twice");
	}
	return 0;
}

static int check_alignment(struct dm_target *ti,
			   const struct envelope_config *config)
{
	sector_t mask = (config->block_bytes >> SECTOR_SHIFT) - 1;

	if (config->iv_offset_sectors & mask)
		return fail(ti, "iv_offset is not a multiple of sector_size");
	if (ti->len & mask)
		return fail(ti, "Device size is not a multiple of sector_size");
	if (ti->begin & mask)
		return fail(ti, "Start of the target is not a multiple of sector_size");
	return 0;
}

static int parse_positional(struct dm_target *ti, struct dm_arg_set *as,
			    struct envelope_config *config)
{
	const char *sentence;

	if (as->argc < POSITIONAL_ARGS)
		return fail(ti, "Not enough arguments: cipher, key, iv_offset, device and start_sector are needed");
	if (strcmp(dm_shift_arg(as), ENVELOPE_CIPHER))
		return fail(ti, "Unknown cipher: only aes-xts-plain64 is known");

	sentence = envelope_table_key(dm_shift_arg(as), &config->leased,
				      &config->key_name);
	if (sentence)
		return fail(ti, sentence);

	if (!parse_number(dm_shift_arg(as), &config->iv_offset_sectors))
		return fail(ti, "Invalid iv_offset: a decimal number of 512-byte sectors is needed");
	config->device = dm_shift_arg(as);
	if (!parse_number(dm_shift_arg(as), &config->start_sectors) ||
	    config->start_sectors != (sector_t)config->start_sectors)
		return fail(ti, "Invalid start_sector: a decimal number of 512-byte sectors is needed");
	return 0;
}

int envelope_table_parse(struct dm_target *ti, unsigned int argc, char **argv,
			 struct envelope_config *ret)
{
	struct dm_arg_set as = { .argc = argc, .argv = argv };
	struct envelope_config config = {
		.block_bytes = ENVELOPE_BLOCK_DEFAULT_BYTES,
	};
	int r;

	/* whatever else is wrong: a raw key does not stay in the buffer */
	if (argc > 1 && argv[1][0] != ':')
		memzero_explicit(argv[1], strlen(argv[1]));
	r = parse_positional(ti, &as, &config);
	if (!r)
		r = parse_options(ti, &as, &config);
	if (!r)
		r = check_alignment(ti, &config);
	if (!r)
		*ret = config;
	return r;
}

static const char * const reason_words[] = {
	[ENVELOPE_REASON_NONE]		= "-",
	[ENVELOPE_REASON_REVOKED]	= "revoked",
	[ENVELOPE_REASON_INVALIDATED]	= "invalidated",
	[ENVELOPE_REASON_EXPIRED]	= "expired",
	[ENVELOPE_REASON_WIPED]		= "wiped",
};

/* What may change under us, read in one moment. */
struct snapshot {
	bool locked;
	bool leased;
	bool fail_when_locked;
	enum envelope_reason reason;
	char key_name[ENVELOPE_KEY_NAME_MAX + 1];
};

static void take_snapshot(struct envelope_target *target, struct snapshot *ret)
{
	spin_lock_irq(&target->hold_lock);
	ret->locked = target->state == ENVELOPE_LOCKED;
	ret->leased = target->leased;
	ret->fail_when_locked = target->fail_when_locked;
	ret->reason = target->reason;
	strscpy(ret->key_name, target->key_name, sizeof(ret->key_name));
	spin_unlock_irq(&target->hold_lock);
}

static void sum_stats(struct envelope_target *target,
		      struct envelope_stats *ret)
{
	int cpu;

	memset(ret, 0, sizeof(*ret));
	for_each_possible_cpu(cpu) {
		const struct envelope_stats *stats =
			per_cpu_ptr(target->stats, cpu);

		/* counted on meanwhile */
		ret->reads += READ_ONCE(stats->reads);
		ret->writes += READ_ONCE(stats->writes);
		ret->holes += READ_ONCE(stats->holes);
		ret->errors += READ_ONCE(stats->errors);
	}
}

static void print_info(struct envelope_target *target,
		       const struct snapshot *now, char *result,
		       unsigned int maxlen)
{
	struct envelope_stats stats;
	unsigned int sz = 0;

	sum_stats(target, &stats);
	DMEMIT("%s %s %s %llu %llu %llu %llu",
	       now->locked ? "locked" : "active", reason_words[now->reason],
	       now->leased ? "revocable" : "unleased",
	       stats.reads, stats.writes, stats.holes, stats.errors);
}

static void print_table(struct envelope_target *target,
			const struct snapshot *now, char *result,
			unsigned int maxlen)
{
	bool discards = target->ti->num_discard_bios;
	unsigned int sz = 0;

	DMEMIT("%s :%u:%s:%s %llu %s %llu", ENVELOPE_CIPHER,
	       ENVELOPE_SECRET_BYTES,
	       now->leased ? ENVELOPE_KEY_TYPE_NAME : "logon", now->key_name,
	       target->iv_offset_sectors, target->dev->name,
	       target->start_sectors);
	DMEMIT(" %d sector_size:%u",
	       1 + target->iv_large_sectors + discards + target->holes +
	       now->fail_when_locked, target->block_bytes);
	if (target->iv_large_sectors)
		DMEMIT(" iv_large_sectors");
	if (discards)
		DMEMIT(" allow_discards");
	if (target->holes)
		DMEMIT(" holes");
	if (now->fail_when_locked)
		DMEMIT(" on_lock:error");
}

static void print_ima(struct envelope_target *target,
		      const struct snapshot *now, char *result,
		      unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT_TARGET_NAME_VERSION(target->ti->type);
	DMEMIT(",cipher_string=%s,iv_offset=%llu,sector_size=%u",
	       ENVELOPE_CIPHER, target->iv_offset_sectors, target->block_bytes);
	DMEMIT(",iv_large_sectors=%c,allow_discards=%c,holes=%c,on_lock=%s;",
	       target->iv_large_sectors ? 'y' : 'n',
	       target->ti->num_discard_bios ? 'y' : 'n',
	       target->holes ? 'y' : 'n',
	       now->fail_when_locked ? "error" : "queue");
}

void envelope_table_status(struct envelope_target *target, status_type_t type,
			   char *result, unsigned int maxlen)
{
	struct snapshot now;

	take_snapshot(target, &now);
	switch (type) {
	case STATUSTYPE_INFO:
		print_info(target, &now, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		print_table(target, &now, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		print_ima(target, &now, result, maxlen);
		break;
	}
}

int envelope_table_stats(struct envelope_target *target, char *result,
			 unsigned int maxlen)
{
	struct envelope_stats stats;
	unsigned int waiting, sz = 0;

	spin_lock_irq(&target->hold_lock);
	waiting = bio_list_size(&target->held) +
		  bio_list_size(&target->restarting);
	spin_unlock_irq(&target->hold_lock);

	sum_stats(target, &stats);
	DMEMIT("reads %llu writes %llu holes %llu errors %llu waiting %u pages %llu of %lld cipher %s",
	       stats.reads, stats.writes, stats.holes, stats.errors, waiting,
	       envelope_reserve_held(&target->pages), target->pages.limit,
	       target->cipher.driver);
	return 1;
}
