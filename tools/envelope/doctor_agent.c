// SPDX-License-Identifier: GPL-2.0-or-later
/* The doctor's look at the agent, and at its policy. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent_client.h"
#include "cli.h"
#include "daemon/policy.h"
#include "doctor.h"
#include "json.h"

#define AGENT_SECONDS 30

static void say_whom(struct doctor *d, const struct policy *p)
{
	const char *idle = policy_idle_rule(p);
	size_t rules = policy_rules(p);

	if (rules == 0)
		doctor_say(d, DOCTOR_OK, "policy",
			   "to let others attach, write sections into it: envelope-agent(8), POLICY",
			   "%s lets nobody but root attach volumes by the agent",
			   AGENT_POLICY);
	else if (idle)
		doctor_say(d, DOCTOR_WARN, "policy",
			   "give it both, or take it out",
			   "%s: section [%s] lets nobody attach anything: it has no devices or no names",
			   AGENT_POLICY, idle);
	else
		doctor_say(d, DOCTOR_OK, "policy", NULL,
			   "%s has %zu section%s of those who may attach volumes",
			   AGENT_POLICY, rules, rules == 1 ? "" : "s");
}

/* As the agent will at its next start. */
static void check_policy(struct doctor *d)
{
	struct policy *p = NULL;
	int r;

	if (geteuid() != 0 && access(AGENT_POLICY, R_OK) < 0 &&
	    errno == EACCES) {
		doctor_say(d, DOCTOR_WARN, "policy", "run the doctor as root",
			   "%s cannot be read by this user", AGENT_POLICY);
		return;
	}
	r = policy_load(AGENT_POLICY, &p);
	if (r == 0)
		say_whom(d, p);
	else
		doctor_said_do(d, DOCTOR_FAIL, "policy", r == -EACCES ?
			       "look through it first: without that the agent does not start" :
			       "mend it, then 'systemctl reload-or-restart envelope-agent': the agent does not start with it, and one that runs goes by what it said before");
	policy_free(p);
}

static void ask_agent(struct doctor *d, struct agent_client *client)
{
	json_t *answer = NULL;
	const char *version = "";

	if (agent_call(client, "org.varlink.service.GetInfo", NULL, NULL, 0,
		       AGENT_SECONDS * 1000, &answer) < 0) {
		doctor_said(d, DOCTOR_FAIL, "agent");
		return;
	}
	(void)json_get_string(answer, "version", &version);
	if (strcmp(version, ENVELOPE_VERSION) == 0)
		doctor_say(d, DOCTOR_OK, "agent", NULL,
			   "version %s answers at %s", version, AGENT_SOCKET);
	else
		doctor_say(d, DOCTOR_WARN, "agent",
			   "restart it: systemctl restart envelope-agent",
			   "version '%s' runs, and this program is %s",
			   version, ENVELOPE_VERSION);
	json_decref(answer);
}

void doctor_agent(struct doctor *d)
{
	struct agent_client *client = NULL;
	int r;

	check_policy(d);
	r = agent_connect(NULL, &client);
	if (r == 0)
		ask_agent(d, client);
	else if (r == -ENOENT)
		doctor_say(d, DOCTOR_WARN, "agent",
			   "systemctl enable --now envelope-agent.socket",
			   "no agent at %s: volumes are attached with --direct only, and leases are renewed by nobody",
			   AGENT_SOCKET);
	else
		doctor_said(d, DOCTOR_FAIL, "agent");
	agent_disconnect(client);
}
