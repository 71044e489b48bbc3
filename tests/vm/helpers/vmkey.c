// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Adds keys to the kernel whose bytes follow from a seed, and looks for them
 * in a dump of its memory: no key is ever in an argument, pipe or file.
 *
 *   vmkey add TYPE NAME KEYRING SEED   KEYRING: @u @s @us or a serial number
 *   vmkey ring                         keyring "envelope" in @u; its serial
 *   vmkey hex SEED                     for dm-crypt tables in volumes to spare
 *   vmkey dump FILE SEED...            "SEED whole N halves N rounds N":
 *       how often in one piece, how many of its 2 halves and 26 round keys
 *
 * Kinds of NAME's payload that must be refused: SEED "short", "equal".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "secret.h"

#define ROUND_KEYS	15	/* AES-256 */
#define CHUNK		(1u << 20)

static key_serial_t keyring_of(const char *name)
{
	if (!strcmp(name, "@u"))
		return KEY_SPEC_USER_KEYRING;
	if (!strcmp(name, "@s"))
		return KEY_SPEC_SESSION_KEYRING;
	if (!strcmp(name, "@us"))
		return KEY_SPEC_USER_SESSION_KEYRING;
	return atoi(name);
}

static int print_serial(key_serial_t id)
{
	if (id == -1) {
		perror("vmkey");
		return 1;
	}
	printf("%d\n", id);
	return 0;
}

static int add(char **argv)
{
	uint8_t *key = locked(4096);
	size_t bytes = KEY_BYTES;
	key_serial_t id;

	derive(strtoull(argv[3], NULL, 0), key);
	if (!strcmp(argv[3], "short"))
		bytes = HALF_BYTES;
	if (!strcmp(argv[3], "equal"))
		copy(key + HALF_BYTES, key, HALF_BYTES);
	id = add_key(argv[0], argv[1], key, bytes, keyring_of(argv[2]));
	wipe(key, KEY_BYTES);
	return print_serial(id);
}

static int hex(const char *seed)
{
	uint8_t key[KEY_BYTES];

	derive(strtoull(seed, NULL, 0), key);
	for (int i = 0; i < KEY_BYTES; i++)
		printf("%02x", key[i]);
	putchar('\n');
	return 0;
}

/* FIPS 197, 5.1.1: the S-box, computed */
static void make_sbox(uint8_t *sbox)
{
	uint8_t p = 1, q = 1;

	do {
		p = p ^ (p << 1) ^ (p & 0x80 ? 0x1b : 0);
		q ^= q << 1;
		q ^= q << 2;
		q ^= q << 4;
		q ^= q & 0x80 ? 0x09 : 0;
		sbox[p] = 0x63 ^ q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^
			  (q << 3 | q >> 5) ^ (q << 4 | q >> 4);
	} while (p != 1);
	sbox[0] = 0x63;
}

/* FIPS 197, 5.2: AES-256 key expansion, 240 bytes */
static void expand(const uint8_t *half, uint8_t *schedule)
{
	uint8_t sbox[256], t[4], rcon = 1;

	make_sbox(sbox);
	copy(schedule, half, HALF_BYTES);
	for (int i = 8; i < 4 * ROUND_KEYS; i++) {
		copy(t, schedule + 4 * (i - 1), 4);
		if (i % 8 == 0) {
			uint8_t first = t[0];

			t[0] = sbox[t[1]] ^ rcon;
			t[1] = sbox[t[2]];
			t[2] = sbox[t[3]];
			t[3] = sbox[first];
			rcon <<= 1;
		} else if (i % 8 == 4) {
			for (int j = 0; j < 4; j++)
				t[j] = sbox[t[j]];
		}
		for (int j = 0; j < 4; j++)
			schedule[4 * i + j] = schedule[4 * (i - 8) + j] ^ t[j];
	}
	wipe(t, sizeof(t));
}

/* All patterns: two halves, and the round keys after the key itself. */
struct patterns {
	uint8_t key[KEY_BYTES];
	uint8_t rounds[2 * (ROUND_KEYS - 2)][16];
	unsigned long whole;
	uint32_t halves, seen;		/* bit: found somewhere */
};

#define MAX_SEEDS	16

struct search {
	int seeds;
	struct patterns of[MAX_SEEDS];
	uint8_t first[65536 / 8];	/* bit: two first bytes of a pattern */
};

static void note_first(struct search *s, const uint8_t *plain)
{
	unsigned int n = plain[0] | plain[1] << 8;

	s->first[n / 8] |= 1 << n % 8;
}

static void make_patterns(struct search *s, uint64_t seed)
{
	struct patterns *p = &s->of[s->seeds++];
	uint8_t *work = locked(4096);
	uint8_t *schedule = work + KEY_BYTES;

	derive(seed, work);
	for (int h = 0; h < 2; h++) {
		expand(work + h * HALF_BYTES, schedule);
		note_first(s, work + h * HALF_BYTES);
		for (int r = 2; r < ROUND_KEYS; r++) {
			note_first(s, schedule + 16 * r);
			memcpy(p->rounds[h * (ROUND_KEYS - 2) + r - 2],
			       schedule + 16 * r, 16);
		}
	}
	memcpy(p->key, work, KEY_BYTES);
	wipe(work, 4096);
}

/* p: what one seed makes */
static void look(struct patterns *p, const uint8_t *at, size_t left)
{
	if (left >= KEY_BYTES && !memcmp(at, p->key, KEY_BYTES))
		p->whole++;
	for (int h = 0; h < 2; h++)
		if (left >= HALF_BYTES &&
		    !memcmp(at, p->key + h * HALF_BYTES, HALF_BYTES))
			p->halves |= 1u << h;
	for (int r = 0; r < 2 * (ROUND_KEYS - 2); r++)
		if (left >= 16 && !memcmp(at, p->rounds[r], 16))
			p->seen |= 1u << r;
}

#define OVERLAP		4096

/* Chunks overlap, so that nothing hides on a border, and nothing counts twice. */
static void scan(struct search *s, int fd, off_t at, uint64_t bytes,
		 uint8_t *buffer)
{
	while (bytes) {
		size_t want = bytes < CHUNK ? bytes : CHUNK;
		ssize_t got = pread(fd, buffer, want, at);
		int last;

		if (got != (ssize_t)want) {
			perror("vmkey: the dump");
			exit(1);
		}
		last = (uint64_t)got >= bytes;
		for (ssize_t i = 0; i + (last ? 8 : OVERLAP) <= got; i += 8) {
			uint64_t word = *(uint64_t *)(buffer + i);
			unsigned int n = word & 0xffff;

			if (!word || !(s->first[n / 8] & 1 << n % 8))
				continue;
			for (int k = 0; k < s->seeds; k++)
				look(&s->of[k], buffer + i, got - i);
		}
		/* the last place looked at was OVERLAP before the end */
		got -= OVERLAP - 8;
		at += got;
		bytes -= last ? bytes : (uint64_t)got;
	}
}

static struct search *search_for(int seeds, char **seed)
{
	struct search *s = (void *)locked(sizeof(*s));

	for (int i = 0; i < seeds; i++)
		make_patterns(s, strtoull(seed[i], NULL, 0));
	return s;
}

static int report(const struct search *s, char **seed)
{
	for (int i = 0; i < s->seeds; i++)
		printf("%s whole %lu halves %d rounds %d\n", seed[i],
		       s->of[i].whole, __builtin_popcount(s->of[i].halves),
		       __builtin_popcount(s->of[i].seen));
	return 0;
}

/* Outside of the guest: what this program knows is not in the memory searched. */
static int dump(const char *path, int seeds, char **seed)
{
	uint8_t *buffer = malloc(CHUNK);
	int fd = open(path, O_RDONLY);
	off_t bytes = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	struct search *s;

	if (bytes <= 0 || !buffer) {
		perror("vmkey: the dump");
		return 1;
	}
	s = search_for(seeds, seed);
	scan(s, fd, 0, bytes, buffer);
	free(buffer);
	return report(s, seed);
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "add"))
		return add(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "ring"))
		return print_serial(ring());
	if (argc == 3 && !strcmp(argv[1], "hex"))
		return hex(argv[2]);
	if (argc > 3 && argc <= 3 + MAX_SEEDS && !strcmp(argv[1], "dump"))
		return dump(argv[2], argc - 3, argv + 3);
	fprintf(stderr, "usage: vmkey add|ring|hex|dump ...\n");
	return 2;
}
