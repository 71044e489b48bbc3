/* SPDX-License-Identifier: GPL-2.0-or-later */
/* envelope-agent: what its parts share. One thread, one event loop. */
#ifndef ENVELOPE_AGENT_H
#define ENVELOPE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define AGENT_VERSION "0.1.0"
#define AGENT_STATE_DIR "/var/lib/envelope/agent"
#define AGENT_POLICY "/etc/envelope/agent.policy"

struct attachments;
struct policy;
struct server;

struct agent {
	sd_event *event;
	struct server *server;
	struct attachments *attachments;
	struct policy *policy;
	const char *state_dir;
	const char *policy_path;
	const char *config_path;
	char *aws_dir;			/* of the files that AWS programs read */
	char *known_dir;		/* of the pins */
};

/* Who is at the other end of a connection, by SO_PEERCRED and SO_PEERGROUPS. */
struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	gid_t *groups;		/* supplementary */
	size_t group_count;
};

#endif
