// SPDX-License-Identifier: GPL-2.0-or-later
/* org.varlink.service: what the agent says of itself. */
#include <string.h>

#include "agent_client.h"
#include "methods.h"

/* The interface files themselves, each with a NUL behind it. */
#define EMBED(symbol, file) \
	asm(".section .rodata\n" \
	    #symbol ":\n" \
	    ".incbin \"agent/daemon/" file "\"\n" \
	    ".byte 0\n" \
	    ".previous\n"); \
	extern const char symbol[] __attribute__((visibility("hidden")))

EMBED(service_interface_text, "org.varlink.service.varlink");
EMBED(agent_interface_text, "io.envelope.Agent.varlink");

static const struct {
	const char *name;
	const char *text;
} interfaces[] = {
	{ "org.varlink.service", service_interface_text },
	{ AGENT_INTERFACE, agent_interface_text },
};

#define INTERFACES (sizeof(interfaces) / sizeof(interfaces[0]))

void method_get_info(struct call *c)
{
	const struct param none[] = { { 0 } };
	json_t *names;
	size_t i;

	if (call_params(c, none) < 0)
		return;
	names = json_array();
	for (i = 0; i < INTERFACES; i++)
		json_array_append_new(names, json_string(interfaces[i].name));
	call_reply(c, json_pack("{s:s, s:s, s:s, s:s, s:o}",
				"vendor", "dm-envelope",
				"product", "envelope-agent",
				"version", AGENT_VERSION,
				"url", "man:envelope-agent(8)",
				"interfaces", names));
}

void method_get_interface_description(struct call *c)
{
	const char *name = NULL;
	const struct param params[] = {
		{ "interface", PARAM_TEXT, true, &name },
		{ 0 }
	};
	size_t i;

	if (call_params(c, params) < 0)
		return;
	for (i = 0; i < INTERFACES; i++) {
		if (strcmp(interfaces[i].name, name) != 0)
			continue;
		call_reply(c, json_pack("{s:s}", "description",
					interfaces[i].text));
		return;
	}
	call_error(c, "org.varlink.service.InterfaceNotFound",
		   json_pack("{s:s}", "interface", name));
}
