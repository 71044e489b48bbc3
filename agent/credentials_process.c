// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * credential_process: a program that prints credentials. It runs without a
 * shell, its command split as Python's shlex does it, which botocore uses.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "credentials_private.h"
#include "log.h"

#define OUTPUT_MAX_BYTES 65536
#define MAX_WORDS 64

extern char **environ;

struct words {
	char *text;			/* all of them, each with its NUL */
	char *at[MAX_WORDS + 1];	/* NULL behind the last */
};

/* One word at *@from, unquoted to *@to. False: a quote stays open. */
static bool take_word(const char **from, char **to)
{
	char quote = '\0';
	const char *at = *from;

	for (; *at && (quote || !strchr(" \t\r\n", *at)); at++) {
		if (*at == quote) {
			quote = '\0';
		} else if (!quote && (*at == '"' || *at == '\'')) {
			quote = *at;
		} else if (*at == '\\' && quote != '\'') {
			if (at[1] == '\0')
				return false;
			/* Within "" it is for " and \ only. */
			if (quote && at[1] != '"' && at[1] != '\\')
				*(*to)++ = *at;
			*(*to)++ = *++at;
		} else {
			*(*to)++ = *at;
		}
	}
	*(*to)++ = '\0';
	*from = at;
	return quote == '\0';
}

/* 0 with @ret, whose text is for free(3); -EINVAL (no words); -ENOMEM. */
static int split(struct slice command, struct words *ret)
{
	struct words w = { 0 };
	char *copy = strndup(command.at, command.len);
	const char *from = copy;
	size_t count = 0;
	char *to;
	int r = -ENOMEM;

	/* Unquoting makes nothing longer, but the last word's NUL is new. */
	w.text = copy ? malloc(strlen(copy) + 2) : NULL;
	if (!w.text)
		goto out;
	to = w.text;
	r = -EINVAL;
	for (;;) {
		from += strspn(from, " \t\r\n");
		if (*from == '\0')
			break;
		if (count == MAX_WORDS)
			goto out;
		w.at[count++] = to;
		if (!take_word(&from, &to))
			goto out;
	}
	if (count == 0)
		goto out;
	*ret = w;
	w.text = NULL;
	r = 0;
out:
	free(w.text);
	free(copy);
	return r;
}

static int fault(const char *profile, const char *what)
{
	log_error("credential_process of profile '%s': %s", profile, what);
	return -EHOSTUNREACH;
}

/*
 * A daemon runs nothing that others than root could have put there, and
 * nobody runs as root what another user's file names.
 */
static int may_run(const struct credentials_run *run, const char *profile,
		   const char *program, bool own)
{
	struct stat st;

	if (!own && geteuid() == 0)
		return fault(profile, "others than root can change the file that names it, so root does not run it; run chown root and chmod go-w on the file");
	if (run->query->environment)
		return 0;
	if (program[0] != '/')
		return fault(profile, "it has to be named by its absolute path here; write that");
	if (stat(program, &st) == 0 &&
	    ((st.st_uid != 0 && st.st_uid != geteuid()) ||
	     (st.st_mode & (S_IWGRP | S_IWOTH)) != 0))
		return fault(profile, "others than root can change the program, so it is not run; run chown root and chmod go-w on it");
	return 0;
}

/* Nothing of ours but standard error, no blocked signals, a group to kill. */
static int set_up(posix_spawn_file_actions_t *files, posix_spawnattr_t *attr,
		  int out)
{
	sigset_t none, all;
	int e;

	sigemptyset(&none);
	sigfillset(&all);
	e = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null",
					     O_RDONLY, 0);
	if (!e)
		e = posix_spawn_file_actions_adddup2(files, out,
						     STDOUT_FILENO);
	if (!e)
		e = posix_spawn_file_actions_addclosefrom_np(
			files, STDERR_FILENO + 1);
	if (!e)
		e = posix_spawnattr_setsigmask(attr, &none);
	if (!e)
		e = posix_spawnattr_setsigdefault(attr, &all);
	if (!e)
		e = posix_spawnattr_setpgroup(attr, 0);
	if (!e)
		e = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK |
					     POSIX_SPAWN_SETSIGDEF |
					     POSIX_SPAWN_SETPGROUP);
	return -e;
}

/* 0 with a process; -errno. */
static int start(char **words, bool environment, int out, pid_t *ret)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	struct passwd *pw = getpwuid(geteuid());
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	char home[256];
	char *closed[] = { path, home, NULL };
	int r;

	snprintf(home, sizeof(home), "HOME=%s", pw ? pw->pw_dir : "/root");
	if (posix_spawn_file_actions_init(&files) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attr) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return -ENOMEM;
	}
	r = set_up(&files, &attr, out);
	if (r == 0)
		r = -posix_spawnp(ret, words[0], &files, &attr, words,
				  environment ? environ : closed);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return r;
}

/*
 * What the program prints, up to its end. 0 with a NUL behind *@used_ret;
 * -ETIMEDOUT; -EFBIG; -errno.
 */
static int collect(const struct credentials_run *run, int in,
		   struct secret *output, size_t *used_ret)
{
	struct pollfd p = { .fd = in, .events = POLLIN };
	size_t used = 0;
	ssize_t n = 1;

	while (n > 0) {
		int ready = poll(&p, 1, http_left_ms(run->http));

		if (ready == 0)
			return -ETIMEDOUT;
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready < 0)
			continue;
		n = read(in, secret_bytes(output) + used,
			 OUTPUT_MAX_BYTES + 1 - used);
		if (n < 0)
			return -errno;
		used += n;
		if (used > OUTPUT_MAX_BYTES)
			return -EFBIG;
	}
	secret_bytes(output)[used] = '\0';
	*used_ret = used;
	return 0;
}

/*
 * Its end, waited for as long as there is time: it may have closed its output
 * and gone on. 0 with a status of wait(2); -ETIMEDOUT.
 */
static int await(const struct credentials_run *run, pid_t pid, int *ret)
{
	struct timespec pause = { 0, 5000000 };
	pid_t done;

	for (;;) {
		done = waitpid(pid, ret, WNOHANG);
		if (done == pid)
			return 0;
		if (done < 0 && errno != EINTR)
			return -errno;
		if (http_left_ms(run->http) == 0)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
}

/* It, and what it started. */
static void end(pid_t pid)
{
	kill(-pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int judge(const char *profile, int status)
{
	char what[96];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status))
		snprintf(what, sizeof(what),
			 "it ended with status %d; run it by hand to see why",
			 WEXITSTATUS(status));
	else
		snprintf(what, sizeof(what),
			 "signal %d killed it; run it by hand to see why",
			 WTERMSIG(status));
	return fault(profile, what);
}

static int run_program(const struct credentials_run *run, const char *profile,
		       char **words, struct secret *output, size_t *used_ret)
{
	int pipes[2] = { -1, -1 };
	char what[256];
	int status = 0;
	pid_t pid;
	int r;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return fault(profile, "no pipe for its output; close some files");
	r = start(words, run->query->environment, pipes[1], &pid);
	close(pipes[1]);
	if (r < 0) {
		snprintf(what, sizeof(what),
			 "'%.128s' cannot be started: %s; correct its path",
			 words[0], strerror(-r));
		close(pipes[0]);
		return fault(profile, what);
	}
	r = collect(run, pipes[0], output, used_ret);
	if (r == 0)
		r = await(run, pid, &status);
	close(pipes[0]);
	if (r == 0)
		return judge(profile, status);
	end(pid);
	if (r == -ETIMEDOUT)
		return fault(profile, "it did not end within the time budget; it was killed, run it by hand to see why");
	if (r == -EFBIG)
		return fault(profile, "it printed more than 65536 bytes, so it was killed; correct it");
	return fault(profile, "its output cannot be read; run it by hand to see why");
}

int credentials_from_process(struct credentials_run *run, const char *profile,
			     struct slice command, bool own,
			     struct credentials **ret)
{
	struct secret *output = secret_new(OUTPUT_MAX_BYTES + 1);
	struct words words = { 0 };
	char *source = NULL;
	size_t used = 0;
	int r = -ENOMEM;

	if (!output)
		goto out;
	r = split(command, &words);
	if (r == -EINVAL)
		r = fault(profile, "its command has an open quote or over 64 words; correct it");
	if (r == 0)
		r = may_run(run, profile, words.at[0], own);
	if (r == 0)
		r = run_program(run, profile, words.at, output, &used);
	if (r < 0)
		goto out;
	if (asprintf(&source, "credential_process of profile '%s'",
		     profile) < 0) {
		source = NULL;
		r = -ENOMEM;
		goto out;
	}
	r = credentials_from_json((const char *)secret_cbytes(output), used,
				  "SessionToken", true, source, ret);
out:
	free(source);
	free(words.text);
	secret_free(output);
	return r;
}
