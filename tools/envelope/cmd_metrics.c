// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope metrics: what the agent counts, for Prometheus. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "by_agent.h"
#include "cmd.h"
#include "json.h"
#include "log.h"
#include "metrics_http.h"
#include "status.h"

static const char about[] =
	"Print the metrics of the agent in the text format of Prometheus: of each\n"
	"attached volume its state, bytes and lease; latency and errors of each KMS;\n"
	"attaches and other operations by their result. For root. --output FILE replaces\n"
	"a file, for the textfile collector of prometheus-node-exporter; --http answers\n"
	"who asks the socket of envelope-metrics-http.socket. Where the agent does not\n"
	"answer, all that both say is envelope_agent_up 0.\n";

#define AGENT_SECONDS 10	/* others wait who ask by HTTP */
#define IDLE_MS 120000u		/* longer than between two scrapes */

static int write_text(FILE *f, const char *text)
{
	int n = fprintf(f, "# HELP envelope_agent_up Has envelope-agent answered?\n"
		"# TYPE envelope_agent_up gauge\nenvelope_agent_up %d\n%s",
		text != NULL, text ? text : "");

	/* What fprintf() could not write, fflush() does not know of. */
	return n >= 0 && fflush(f) == 0 ? 0 : -errno;
}

static int fail(const char *path, const char *what)
{
	log_error("'%s': cannot %s it: %s", path, what, strerror(errno));
	return -EIO;
}

/* Who collects may do so at any moment: all of it, or what was before. */
static int replace(const char *path, const char *text)
{
	char *temporary = NULL;
	FILE *f = NULL;
	int fd, r = 0;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		log_error("out of memory");
		return -ENOMEM;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd >= 0)
		f = fdopen(fd, "w");
	if (!f || fchmod(fd, 0644) < 0 || write_text(f, text) < 0)
		r = fail(path, "write");
	if (f && fclose(f) != 0 && r == 0)
		r = fail(path, "write");
	if (r == 0 && rename(temporary, path) < 0)
		r = fail(path, "replace");
	if (r < 0 && fd >= 0)
		unlink(temporary);
	free(temporary);
	return r;
}

/* *@text_ret is in *@ret, or NULL. */
static int ask(struct by_agent *agent, unsigned int seconds, json_t **ret,
	       const char **text_ret)
{
	int r = by_agent_need(agent);

	*text_ret = NULL;
	if (r == 0)
		r = agent_call(agent->client, "Metrics", NULL, NULL, 0,
			       seconds * 1000, ret);
	by_agent_close(agent);
	if (r == 0 && json_get_string(*ret, "text", text_ret) < 0) {
		log_error("the agent's answer has no metrics");
		r = -EIO;
	}
	return r;
}

/* That nobody answers is said in the text. */
static int get(void *data, char **ret)
{
	const char *text;
	json_t *answer = NULL;
	size_t bytes;
	FILE *f;
	int r;

	(void)ask(data, AGENT_SECONDS, &answer, &text);
	f = open_memstream(ret, &bytes);
	r = f ? write_text(f, text) : -ENOMEM;
	if (f && fclose(f) != 0)
		r = -ENOMEM;
	json_decref(answer);
	if (r == 0)
		return 0;
	log_error("out of memory");
	if (f)
		free(*ret);
	return r;
}

static int run(struct by_agent *agent, const char *output)
{
	const char *text = NULL;
	json_t *answer = NULL;
	int r = ask(agent, BY_AGENT_SECONDS, &answer, &text);
	int stored = 0;

	/* That nobody answers is one of the metrics. */
	if (output)
		stored = replace(output, text);
	else if (r == 0 && (stored = write_text(stdout, text)) < 0)
		log_error("cannot write to standard output: %s",
			  strerror(-stored));
	json_decref(answer);
	return r < 0 ? r : stored;
}

int cmd_metrics(int argc, char **argv)
{
	struct by_agent agent = { 0 };
	const char *output = NULL;
	unsigned int idle_ms = 0;
	bool http = false;
	const struct cli_option options[] = {
		{ "output", "FILE", cli_set_text, &output,
		  "replace FILE, and print nothing" },
		{ "http", NULL, cli_set_true, &http,
		  "answer GET /metrics on systemd's socket" },
		{ "idle", "SECONDS", cli_set_seconds, &idle_ms,
		  "end when nobody asked for so long (default 120)" },
		BY_AGENT_SOCKET_OPTION(&agent),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "metrics",
		.arguments = "",
		.about = about,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status != CLI_GO_ON)
		return status;
	if ((http && output) || (idle_ms && !http))
		return cli_usage_error("metrics", "%s", output && http ?
				       "--http and --output are two ways" :
				       "--idle is for --http");
	return status_from_errno(!http ? run(&agent, output) :
		metrics_http_serve(get, &agent, idle_ms ? idle_ms : IDLE_MS));
}
