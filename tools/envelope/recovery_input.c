// SPDX-License-Identifier: GPL-2.0-or-later
/* A recovery key as somebody types it, or has it in a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cmd.h"
#include "daemon/policy.h"
#include "log.h"
#include "recovery.h"

#define INPUT_BYTES 1024
#define TRIES 3
#define NO_MEMORY "out of memory, or the limit of locked memory is spent"

/* The first line of @fd into @text; its characters to *@chars_ret. */
static int read_line(int fd, const char *name, struct secret *text,
		     size_t *chars_ret)
{
	char *at = (char *)secret_bytes(text);
	size_t n = 0;
	ssize_t got;

	while (n < secret_len(text)) {
		got = read(fd, at + n, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			log_error("'%s': cannot read the recovery key: %s",
				  name, strerror(errno));
			return -EIO;
		}
		if (got == 0 || at[n] == '\n')
			break;
		n++;
	}
	*chars_ret = n;
	return 0;
}

static void complain(const char *name, unsigned int wrong)
{
	char list[RECOVERY_GROUPS * 4] = "";
	size_t at = 0;
	unsigned int n;

	for (n = 1; n <= RECOVERY_GROUPS; n++)
		if (wrong & 1u << (n - 1))
			at += snprintf(list + at, sizeof(list) - at, "%s%u",
				       at ? ", " : "", n);
	if (!wrong)
		log_error("'%s': no recovery key, which has %d groups of %d letters and digits",
			  name, RECOVERY_GROUPS, RECOVERY_GROUP_CHARS);
	else
		log_error("'%s': typing error in group %s of the recovery key",
			  name, list);
}

static int read_once(int fd, const char *name, struct secret **ret)
{
	struct secret *text = secret_new(INPUT_BYTES);
	unsigned int wrong = 0;
	size_t chars = 0;
	int r;

	if (!text) {
		log_error(NO_MEMORY);
		return -ENOMEM;
	}
	r = read_line(fd, name, text, &chars);
	if (r == 0) {
		r = recovery_parse((const char *)secret_cbytes(text), chars,
				   ret, &wrong);
		if (r == -EBADMSG)
			complain(name, wrong);
		else if (r < 0)
			log_error(NO_MEMORY);
	}
	secret_free(text);
	return r;
}

/* At a terminal nothing is shown of it, and a typing error is forgiven. */
static int ask(int fd, struct secret **ret)
{
	static const char prompt[] = "Recovery key: ";
	struct termios before, quiet;
	int r = -EBADMSG, tries;

	if (tcgetattr(fd, &before) < 0)
		return -EIO;
	quiet = before;
	quiet.c_lflag &= ~ECHO;
	quiet.c_lflag |= ICANON | ECHONL;
	tcsetattr(fd, TCSAFLUSH, &quiet);
	for (tries = 0; r == -EBADMSG && tries < TRIES; tries++) {
		if (write(STDERR_FILENO, prompt, strlen(prompt)) < 0)
			r = -EIO;
		else
			r = read_once(fd, "-", ret);
	}
	tcsetattr(fd, TCSAFLUSH, &before);
	return r;
}

/* Closed where nobody can tell: the policy may be mended, or moved away. */
static int check_policy(void)
{
	struct policy *p = NULL;
	int r;

	/* Others cannot read it, and are told that recovery keys are root's. */
	if (geteuid() != 0)
		return 0;
	r = policy_load(AGENT_POLICY, &p);
	if (r < 0)
		return r;
	if (policy_refuses_recovery(p)) {
		log_error("%s sets a lease (lease-cap), which a recovery key cannot keep: 'allow-recovery = yes' in its [agent] section lets recovery keys open volumes all the same",
			  AGENT_POLICY);
		r = -EACCES;
	}
	policy_free(p);
	return r;
}

int cli_read_recovery(const char *path, struct secret **ret)
{
	bool is_input = path && strcmp(path, "-") == 0;
	int fd, r;

	if (!path)
		return 0;
	r = check_policy();
	if (r < 0)
		return r;
	if (is_input && isatty(STDIN_FILENO)) {
		r = ask(STDIN_FILENO, ret);
		return r == -EBADMSG ? -EINVAL : r;
	}
	fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		log_error("'%s': cannot read the recovery key: %s", path,
			  strerror(errno));
		return errno == ENOMEM ? -ENOMEM : -EIO;
	}
	r = read_once(fd, path, ret);
	if (!is_input)
		close(fd);
	return r == -EBADMSG ? -EINVAL : r;
}
