/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does a known secret still stand anywhere in this process? */
#ifndef TESTS_SCAN_H
#define TESTS_SCAN_H

#include <jansson.h>

/*
 * When SCAN is in the environment: patterns in hexadecimal, each byte XORed
 * with 0x55 so that neither environment nor this program holds them,
 * separated by commas. "found" in @out becomes the list of their numbers
 * that a writable mapping still has.
 */
void scan_memory(json_t *out);

#endif
