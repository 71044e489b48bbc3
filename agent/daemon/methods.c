// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of methods. */
#include "methods.h"

#include <string.h>

#include "agent_client.h"
#include "call.h"

#define SERVICE_INTERFACE "org.varlink.service"

static const struct {
	const char *name;
	void (*run)(struct call *c);
} methods[] = {
	{ SERVICE_INTERFACE ".GetInfo", method_get_info },
	{ SERVICE_INTERFACE ".GetInterfaceDescription",
	  method_get_interface_description },
	{ AGENT_INTERFACE ".Attach", method_attach },
	{ AGENT_INTERFACE ".Sign", method_sign },
	{ AGENT_INTERFACE ".Decline", method_decline },
	{ AGENT_INTERFACE ".Detach", method_detach },
	{ AGENT_INTERFACE ".Lock", method_lock },
	{ AGENT_INTERFACE ".Unlock", method_unlock },
	{ AGENT_INTERFACE ".Renew", method_renew },
	{ AGENT_INTERFACE ".Slots", method_slots },
	{ AGENT_INTERFACE ".WrapSlot", method_wrap_slot },
	{ AGENT_INTERFACE ".SetSlot", method_set_slot },
	{ AGENT_INTERFACE ".RemoveSlot", method_remove_slot },
	{ AGENT_INTERFACE ".Subscribe", method_subscribe },
	{ AGENT_INTERFACE ".Status", method_status },
	{ AGENT_INTERFACE ".List", method_list },
	{ AGENT_INTERFACE ".Metrics", method_metrics },
};

/* Is the part of @method in front of its last dot an interface of ours? */
static bool interface_known(const char *method, size_t len)
{
	return (len == strlen(SERVICE_INTERFACE) &&
		strncmp(method, SERVICE_INTERFACE, len) == 0) ||
	       (len == strlen(AGENT_INTERFACE) &&
		strncmp(method, AGENT_INTERFACE, len) == 0);
}

void methods_run(struct call *c)
{
	const char *method = call_method(c);
	const char *dot = strrchr(method, '.');
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, method) != 0)
			continue;
		methods[i].run(c);
		return;
	}
	if (dot && interface_known(method, dot - method))
		call_error(c, SERVICE_INTERFACE ".MethodNotFound",
			   json_pack("{s:s}", "method", method));
	else
		call_error(c, SERVICE_INTERFACE ".InterfaceNotFound",
			   json_pack("{s:s%}", "interface", method,
				     dot ? (size_t)(dot - method) :
				     strlen(method)));
}
