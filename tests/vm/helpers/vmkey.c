// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Adds keys to the kernel whose bytes follow from a seed, and looks for them
 * in the memory of the kernel: no key is ever in an argument, pipe or file.
 *
 *   vmkey add TYPE NAME KEYRING SEED   KEYRING: @u @s @us or a serial number
 *   vmkey ring                         keyring "envelope" in @u; its serial
 *   vmkey hex SEED                     for dm-crypt tables in volumes to spare
 *   vmkey find SEED...                 "SEED whole N halves N rounds N"
 *
 * Kinds of NAME's payload that must be refused: SEED "short", "equal".
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEY_BYTES	64
#define HALF_BYTES	32
#define ROUND_KEYS	15	/* AES-256 */
#define CHUNK		(1u << 20)

/* what the patterns are stored under, so that the search finds no pattern */
#define MASK		0xa5

static void wipe(void *p, size_t n)
{
	volatile uint8_t *b = p;

	while (n--)
		*b++ = 0;
}

/*
 * Byte by byte: memcpy() and vectorised loops would leave the key in vector
 * registers, and so in what the kernel saves of them at a task switch.
 */
static void copy(volatile uint8_t *to, const volatile uint8_t *from, size_t n)
{
	while (n--)
		*to++ = *from++;
}

/* splitmix64: no library, so no copy of the key in anybody's context */
static void derive(uint64_t seed, uint8_t *key)
{
	/* not the step of the loop: keys would be parts of each other */
	uint64_t x = (seed + 1) * 0xd1342543de82ef95ull;

	for (int i = 0; i < KEY_BYTES / 8; i++) {
		uint64_t z = (x += 0x9e3779b97f4a7c15ull);

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
		z ^= z >> 31;
		for (int j = 0; j < 8; j++)
			((volatile uint8_t *)key)[8 * i + j] = z >> 8 * j;
	}
}

static uint8_t *locked(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED || mlock(p, bytes)) {
		perror("vmkey: locked memory");
		exit(1);
	}
	return p;
}

static key_serial_t ring(void)
{
	key_serial_t id = keyctl_search(KEY_SPEC_USER_KEYRING, "keyring",
					"envelope", 0);

	if (id == -1)
		id = add_key("keyring", "envelope", NULL, 0,
			     KEY_SPEC_USER_KEYRING);
	return id;
}

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

/* All patterns, masked: two halves, and the round keys after the key itself. */
struct patterns {
	uint8_t key[KEY_BYTES];
	uint8_t rounds[2 * (ROUND_KEYS - 2)][16];
	unsigned long whole, halves, round_hits;
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

static void mask(volatile uint8_t *to, const volatile uint8_t *from, size_t n)
{
	while (n--)
		*to++ = *from++ ^ MASK;
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
			mask(p->rounds[h * (ROUND_KEYS - 2) + r - 2],
			     schedule + 16 * r, 16);
		}
	}
	mask(p->key, work, KEY_BYTES);
	wipe(work, 4096);
}

static int same(const uint8_t *memory, const uint8_t *masked, int n)
{
	for (int i = 0; i < n; i++)
		if ((memory[i] ^ MASK) != masked[i])
			return 0;
	return 1;
}

/* p: what one seed makes */
static void look(struct patterns *p, const uint8_t *at, size_t left)
{
	if (left >= KEY_BYTES && same(at, p->key, KEY_BYTES))
		p->whole++;
	for (int h = 0; h < 2; h++)
		if (left >= HALF_BYTES &&
		    same(at, p->key + h * HALF_BYTES, HALF_BYTES))
			p->halves++;
	for (int r = 0; r < 2 * (ROUND_KEYS - 2); r++)
		if (left >= 16 && same(at, p->rounds[r], 16))
			p->round_hits++;
}

/* Chunks overlap by a page, so that nothing hides on a border. */
static void scan(struct search *s, int fd, off_t at, uint64_t bytes,
		 uint8_t *buffer)
{
	while (bytes) {
		size_t want = bytes < CHUNK ? bytes : CHUNK;
		ssize_t got = pread(fd, buffer, want, at);

		if (got <= 0)
			got = 4096;	/* a hole in the memory map */
		else
			for (ssize_t i = 0; i + 8 <= got; i += 8) {
				uint64_t word = *(uint64_t *)(buffer + i);
				unsigned int n = word & 0xffff;

				if (!word)
					continue;
				if (!(s->first[n / 8] & 1 << n % 8))
					continue;
				for (int k = 0; k < s->seeds; k++)
					look(&s->of[k], buffer + i, got - i);
			}
		if ((uint64_t)got >= bytes)
			break;
		if (got > 8192)
			got -= 4096;
		at += got;
		bytes -= got;
	}
}

/* where the kernel's text is mapped a second time; all below is the direct map */
#define KERNEL_TEXT	0xffffffff80000000ull

/*
 * /proc/kcore has all RAM in the direct map. The other segments (vmalloc,
 * modules: without a physical address; text) are the same RAM once more.
 */
static int find(int seeds, char **seed)
{
	struct search *s = (void *)locked(sizeof(*s));
	uint8_t *buffer = locked(CHUNK + 4096);
	Elf64_Ehdr head;
	Elf64_Phdr ph;
	int fd = open("/proc/kcore", O_RDONLY);

	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != sizeof(head)) {
		perror("vmkey: /proc/kcore");
		return 1;
	}
	for (int i = 0; i < seeds; i++)
		make_patterns(s, strtoull(seed[i], NULL, 0));
	for (int i = 0; i < head.e_phnum; i++) {
		off_t at = head.e_phoff + i * sizeof(ph);

		if (pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
			break;
		if (ph.p_type == PT_LOAD && ph.p_paddr != (uint64_t)-1 &&
		    ph.p_vaddr < KERNEL_TEXT)
			scan(s, fd, ph.p_offset, ph.p_memsz, buffer);
	}
	wipe(buffer, CHUNK + 4096);
	for (int i = 0; i < seeds; i++)
		printf("%s whole %lu halves %lu rounds %lu\n", seed[i],
		       s->of[i].whole, s->of[i].halves, s->of[i].round_hits);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "add"))
		return add(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "ring"))
		return print_serial(ring());
	if (argc == 3 && !strcmp(argv[1], "hex"))
		return hex(argv[2]);
	if (argc > 2 && argc <= 2 + MAX_SEEDS && !strcmp(argv[1], "find"))
		return find(argc - 2, argv + 2);
	fprintf(stderr, "usage: vmkey add|ring|hex|find ...\n");
	return 2;
}
