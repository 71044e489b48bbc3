// SPDX-License-Identifier: GPL-2.0-or-later
/* How far long work is, on standard error. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "log.h"

#define TERMINAL_SECONDS 1
#define LINE_SECONDS 10

bool cli_progress_wanted;

/* What is shown now. Its work began with the first call for it. */
static struct {
	const char *what;
	struct timespec began;
	double last;		/* shown so many seconds later */
	bool shown;
} show;

static atomic_bool open_line;	/* on the terminal, without its end */

/* A message has a line of its own; it may be of any thread. */
static void end_line(enum log_level level, const char *text)
{
	(void)level;
	(void)text;
	if (atomic_exchange(&open_line, false))
		fputc('\n', stderr);
}

static double seconds_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - then->tv_sec + (now.tv_nsec - then->tv_nsec) / 1e9;
}

/* "01:02", "3:04:05", "100 days". @ret has 32 bytes. */
static void print_time(double seconds, char *ret)
{
	uint64_t n = seconds < 1e15 ? (uint64_t)(seconds + 0.5) : UINT64_MAX;

	if (n < 3600)
		snprintf(ret, 32, "%02u:%02u", (unsigned int)(n / 60),
			 (unsigned int)(n % 60));
	else if (n < 3 * 86400)
		snprintf(ret, 32, "%u:%02u:%02u", (unsigned int)(n / 3600),
			 (unsigned int)(n / 60 % 60), (unsigned int)(n % 60));
	else
		snprintf(ret, 32, "%llu days", (unsigned long long)(n / 86400));
}

/* ", 1.2 MiB/s, 00:07 left"; of what is done, how long it took. */
static void print_pace(const struct pipeline_progress *now, double seconds)
{
	bool ended = now->done_bytes >= now->total_bytes;
	char rate[16], left[32];

	if (seconds <= 0 || now->done_bytes == 0)
		return;
	cli_print_size(now->moved_bytes / seconds, rate);
	print_time(ended ? seconds : seconds / now->done_bytes *
		   (now->total_bytes - now->done_bytes), left);
	fprintf(stderr, ", %s/s, %s%s%s", rate, ended ? "in " : "", left,
		ended ? "" : " left");
}

static void print_line(const struct pipeline_progress *now, double seconds,
		       bool terminal)
{
	bool ended = now->done_bytes >= now->total_bytes;
	char done[16], total[16];

	cli_print_size(now->done_bytes, done);
	cli_print_size(now->total_bytes, total);
	fprintf(stderr, "%s%s: %s of %s (%u %%)", terminal ? "\r" : "",
		now->what, done, total, now->total_bytes ?
		(unsigned int)(100.0 * now->done_bytes / now->total_bytes) :
		100);
	print_pace(now, seconds);
	/* What is shorter than the line before leaves nothing of it. */
	fprintf(stderr, "%s%s", terminal ? "\033[K" : "",
		ended || !terminal ? "\n" : "");
	log_set_hook(end_line);
	open_line = terminal && !ended;
}

void cli_progress(const struct pipeline_progress *now)
{
	bool terminal = isatty(STDERR_FILENO);
	bool ended = now->done_bytes >= now->total_bytes;
	double seconds;

	if (!terminal && !cli_progress_wanted)
		return;
	if (!show.what || strcmp(show.what, now->what) != 0) {
		memset(&show, 0, sizeof(show));
		show.what = now->what;
		clock_gettime(CLOCK_MONOTONIC, &show.began);
	}
	seconds = seconds_since(&show.began);
	if (ended ? !show.shown && !cli_progress_wanted :
	    seconds - show.last < (terminal ? TERMINAL_SECONDS : LINE_SECONDS))
		return;
	print_line(now, seconds, terminal);
	show.last = seconds;
	show.shown = true;
	if (ended)
		show.what = NULL;
}
