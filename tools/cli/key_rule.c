// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules of EBS for keys, as what was found by them. */
#include "key_rule.h"

json_t *key_rule_json(const struct volume_rule *rule)
{
	return json_pack("{s:s, s:s, s:s*, s:b}", "key", rule->key, "from",
			 rule->given ? "option" : conf_key_from_name(rule->from),
			 "region", rule->region[0] ? rule->region : NULL,
			 "encryption_by_default",
			 rule->encryption_by_default);
}

void key_rule_print(const struct volume_rule *rule, FILE *to)
{
	const char *region = rule->region;

	fprintf(to, "key %s: ", rule->key);
	if (rule->given)
		fprintf(to, "given by --kms-key");
	else if (!region[0])
		fprintf(to, "default-key in %s", rule->conf);
	else if (rule->from == CONF_KEY_KEPT)
		fprintf(to, "default key of region %s by 'envelope default'",
			region);
	else if (rule->from == CONF_KEY_FILE)
		fprintf(to, "default-key of region %s in %s", region,
			rule->conf);
	else
		fprintf(to, "region %s has no default key of its own", region);
	if (region[0])
		fprintf(to, "; encryption by default is %s there",
			rule->encryption_by_default ? "on" : "off");
	putc('\n', to);
}
