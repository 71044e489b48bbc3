// SPDX-License-Identifier: GPL-2.0-or-later
/* The process reads its own writable memory and looks for masked patterns. */
#include "scan.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MASK 0x55
#define PATTERNS 64
#define PATTERN_BYTES 128

static struct {
	uint8_t masked[PATTERN_BYTES];
	size_t bytes;
	int found;
} patterns[PATTERNS];
static size_t pattern_count;

static void take_patterns(const char *text)
{
	while (pattern_count < PATTERNS && *text) {
		uint8_t *at = patterns[pattern_count].masked;
		size_t n = 0;

		while (n < PATTERN_BYTES && *text && *text != ',') {
			sscanf(text, "%2hhx", &at[n++]);
			text += 2;
		}
		patterns[pattern_count++].bytes = n;
		text += *text == ',';
	}
}

static void search(const uint8_t *data, size_t bytes)
{
	size_t p, i, k;

	for (p = 0; p < pattern_count; p++) {
		for (i = 0; i + patterns[p].bytes <= bytes; i++) {
			for (k = 0; k < patterns[p].bytes; k++)
				if ((data[i + k] ^ MASK) !=
				    patterns[p].masked[k])
					break;
			if (k == patterns[p].bytes)
				patterns[p].found = 1;
		}
	}
}

static void search_mapping(int mem, unsigned long start, unsigned long end)
{
	size_t bytes = end - start;
	uint8_t *copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (copy == MAP_FAILED)
		return;
	if (pread(mem, copy, bytes, start) == (ssize_t)bytes)
		search(copy, bytes);
	munmap(copy, bytes);
}

void scan_memory(json_t *out)
{
	static char maps[1 << 20];
	const char *text = getenv("SCAN");
	json_t *found = json_array();
	char *line, *rest = maps;
	unsigned long start, end;
	size_t p;
	int mem, fd;

	if (!text) {
		json_decref(found);
		return;
	}
	take_patterns(text);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	mem = open("/proc/self/mem", O_RDONLY);
	fd = open("/proc/self/maps", O_RDONLY);
	for (p = 0; p < sizeof(maps) - 1; p++)
		if (read(fd, maps + p, 1) != 1)
			break;
	while ((line = strsep(&rest, "\n")))
		if (sscanf(line, "%lx-%lx rw", &start, &end) == 2 &&
		    strstr(line, " rw") && end - start < (64ul << 20))
			search_mapping(mem, start, end);
	close(fd);
	close(mem);
	for (p = 0; p < pattern_count; p++)
		if (patterns[p].found)
			json_array_append_new(found, json_integer(p));
	json_object_set_new(out, "found", found);
}
