// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope tab attach, detach: what boot units run, again and again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attaching.h"
#include "cmd.h"
#include "log.h"
#include "status.h"
#include "tab_device.h"
#include "tab_verbs.h"

static const char about_attach[] =
	"Attach NAME as its line in /etc/envelope/envelopetab says. What is attached\n"
	"already is fine. While the device or the KMS is not there, it is tried again\n"
	"until the timeout= of the line is over; what the KMS denies is not.\n";

static const char about_detach[] =
	"As envelope detach, but what is not attached is fine, and where the agent does\n"
	"not answer, root does without.\n";

/* One `tab attach`, and all its tries. */
struct job {
	const struct tab_line *line;
	const char *socket;
	bool dry_run;
	uint64_t until_ms;	/* by volume_clock_ms(); UINT64_MAX: for ever */
	unsigned int tries;
};

static uint64_t left_ms(const struct job *job)
{
	uint64_t now = volume_clock_ms();

	return now < job->until_ms ? job->until_ms - now : 0;
}

/* A single use of the KMS is not to outlast all tries together. */
static unsigned int kms_time_ms(const struct job *job)
{
	uint64_t left = left_ms(job);

	if (!job->line->direct)
		return 0;
	return left < 1000 ? 1000 :
	       left < VOLUME_TIMEOUT_MS ? left : VOLUME_TIMEOUT_MS;
}

static int run(const struct job *job, const char *device)
{
	const struct tab_line *line = job->line;
	const struct volume_attach_options o = {
		.device = device,
		.header_path = line->header,
		.name = line->name,
		.volume_id = line->by == TAB_BY_VOLUME ? line->device :
							 line->volume_id,
		.access.conf.environment = true,
		.access.timeout_ms = kms_time_ms(job),
		.on_lock = line->on_lock,
		.read_only = line->read_only,
		.allow_discards = line->allow_discards,
		.dry_run = job->dry_run,
		.lease = line->lease,
	};
	struct by_agent agent = { line->direct, job->socket, NULL };
	json_t *result = NULL;
	int r = attaching_run(&agent, &o, &result);

	return r < 0 ? r : attaching_print(&o, result, line->direct, false) ==
			   STATUS_DONE ? 0 : -EIO;
}

static int say_attached(const struct dm_volume_status *s)
{
	printf("/dev/mapper/%s: volume %s, attached already%s\n",
	       s->volume.name, s->volume.volume_id,
	       s->state == DM_STATE_LOCKED ?
	       ", locked: envelope unlock asks the KMS again" : "");
	return 0;
}

static int attach_once(const struct job *job)
{
	char device[TAB_DEVICE_CHARS];
	struct dm_volume_status s;
	int r = tab_device_attached(job->line, &s);

	if (r == 0)
		return say_attached(&s);
	if (r != -ENXIO)
		return r;
	r = tab_device_find(job->line, device);
	if (r == -ENOENT)
		log_error("'%s': %s is not there", job->line->name,
			  job->line->spec);
	if (r == 0)
		r = run(job, device);
	/* Another attach of it may have come first. */
	if (r == -EEXIST && tab_device_attached(job->line, &s) == 0)
		r = say_attached(&s);
	return r;
}

static void pause_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* Only what waiting may mend is tried again: no device, no answer. */
static bool is_passing(int r)
{
	return r == -ENOENT || r == -EHOSTUNREACH;
}

static int attach_patiently(struct job *job)
{
	const struct tab_line *line = job->line;
	unsigned int wait;
	int r;

	for (;;) {
		r = attach_once(job);
		job->tries++;
		if (!is_passing(r))
			return r;
		if ((line->tries && job->tries >= line->tries) ||
		    left_ms(job) == 0)
			break;
		wait = tab_wait_ms(job->tries, volume_random());
		if (wait > left_ms(job))
			wait = left_ms(job);
		log_info("'%s': trying again in %u.%u s", line->name,
			 wait / 1000, wait % 1000 / 100);
		pause_ms(wait);
	}
	log_error("'%s': not attached after %u %s; timeout= and tries= in its line say how long to go on",
		  line->name, job->tries, job->tries == 1 ? "try" : "tries");
	return r;
}

static int need_root(const char *verb)
{
	if (geteuid() == 0)
		return 0;
	log_error("%s: it is root's; with the agent, 'envelope attach' is everybody's",
		  verb);
	return -EPERM;
}

static int attach_named(const char *path, const char *name, struct job *job)
{
	struct tab tab = { 0 };
	int r = need_root("tab attach");

	if (r == 0)
		r = tab_read(path, name, &tab);
	if (r == 0 && tab.count == 0) {
		if (!tab.broken)
			log_error("%s: no line is called '%s'",
				  path ? path : TAB_PATH, name);
		r = -EIO;
	}
	if (r == 0) {
		job->line = &tab.at[0];
		job->until_ms = tab.at[0].timeout_ms ?
				volume_clock_ms() + tab.at[0].timeout_ms :
				UINT64_MAX;
		r = attach_patiently(job);
	}
	tab_free(&tab);
	return r;
}

int tab_attach(int argc, char **argv)
{
	const char *path = NULL;
	struct job job = { 0 };
	const struct cli_option options[] = {
		TAB_FILE_OPTION(&path),
		{ "dry-run", NULL, cli_set_true, &job.dry_run,
		  "check header, pin, KMS and HMAC; attach nothing" },
		{ "socket", "PATH", cli_set_text, &job.socket,
		  "of the agent (default " AGENT_SOCKET ")" },
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "tab attach",
		.arguments = "NAME",
		.about = about_attach,
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status != CLI_GO_ON)
		return status;
	return status_from_errno(attach_named(path, args[0], &job));
}

static int detach_by_agent(struct by_agent *agent, const char *name)
{
	json_t *answer = NULL;
	int r = by_agent_connect(agent);

	if (r == 0)
		r = by_agent_call(agent, "Detach",
				  json_pack("{s:s}", "name", name), &answer);
	json_decref(answer);
	by_agent_close(agent);
	return r;
}

/* In a shutdown, systemd may not let an agent start any more. */
static int detach_named(struct by_agent *agent, const char *name)
{
	struct dm_volume_status s;
	int r = need_root("tab detach");

	if (r < 0)
		return r;
	r = volume_find_quietly(name, &s);
	if (r == -ENXIO || (r == 0 && strcmp(s.volume.name, name) != 0)) {
		printf("'%s' is not attached\n", name);
		return 0;
	}
	if (r == 0)
		r = detach_by_agent(agent, name);
	if (r == 1 || r == -EHOSTUNREACH) {
		r = volume_detach(name);
		volume_verb_ended("detach", name, s.volume.volume_id, r);
	}
	/* Somebody else's detach may have come first. */
	return r == -ENXIO ? 0 : r;
}

int tab_detach(int argc, char **argv)
{
	struct by_agent agent = { 0 };
	const struct cli_option options[] = {
		BY_AGENT_SOCKET_OPTION(&agent),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "tab detach",
		.arguments = "NAME",
		.about = about_detach,
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status != CLI_GO_ON)
		return status;
	return status_from_errno(detach_named(&agent, args[0]));
}
