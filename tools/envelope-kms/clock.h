/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A clock that tests can move: months pass while they wait. Only a directory
 * that init made with --test is ever served with one.
 */
#ifndef KMS_CLOCK_H
#define KMS_CLOCK_H

#include <stdbool.h>

/*
 * From here on server_now_ms() is off by the seconds that @path holds as a
 * decimal number, read anew each time; an absent file is 0. Before threads
 * start; @path outlives the process. NULL: the real time.
 */
void clock_set_test_file(const char *path);

bool clock_is_test(void);

#endif
