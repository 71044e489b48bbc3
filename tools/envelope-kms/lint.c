// SPDX-License-Identifier: GPL-2.0-or-later
/* `envelope-kms policy-lint`: says where a policy lets too many decrypt. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "commands.h"
#include "files.h"
#include "identity.h"
#include "log.h"
#include "policy.h"

static const char help[] =
	"Usage: envelope-kms policy-lint FILE\n"
	"       envelope-kms policy-lint --key REGION/KEY-ID DIR\n"
	"\n"
	"Says which statements of a policy let more decrypt than one would name:\n"
	"Decrypt or ReEncryptFrom on every key, or to everybody. FILE is a policy of\n"
	"a key, user or role, - for standard input; with --key, that of a key in DIR.\n"
	"Exit status 1 if there is something to say, or the policy is malformed.\n";

struct findings {
	const char *name, *action;
	int count;
};

static int report(const char *sid, size_t index, const char *why, void *arg)
{
	struct findings *f = arg;

	printf("%s: statement %zu%s%s%s: allows %s %s\n", f->name, index + 1,
	       sid ? " (" : "", sid ? sid : "", sid ? ")" : "", f->action,
	       why);
	f->count++;
	return 0;
}

static int lint(const char *name, const struct policy *p)
{
	static const char *const actions[] = {
		"kms:Decrypt", "kms:ReEncryptFrom"
	};
	struct findings f = { .name = name };
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		f.action = actions[i];
		policy_broad(p, f.action, report, &f);
	}
	return f.count ? -EPERM : 0;
}

/* The kinds differ in whether statements have a Principal. */
static int lint_file(const char *path)
{
	static const char principal[] = "Principal\"";
	struct policy *p = NULL;
	char why[POLICY_WHY_BYTES], *text = NULL;
	enum policy_kind kind;
	int rc = identity_read_file(path, &text);

	if (rc < 0)
		return rc;
	kind = strstr(text, principal) ? POLICY_KEY : POLICY_IDENTITY;
	rc = policy_parse(text, strlen(text), kind, &p, why);
	if (rc == -EBADMSG)
		log_error("%s: %s", path, why);
	if (rc == 0)
		rc = lint(path, p);
	policy_free(p);
	free(text);
	return rc;
}

static int lint_row(const char *name, const struct key_row *key)
{
	char why[POLICY_WHY_BYTES], text[KEY_POLICY_DEFAULT_BYTES];
	const char *policy = key->policy;
	struct policy *p = NULL;
	int rc;

	if (!policy[0]) {
		key_policy_default(key->account, text);
		policy = text;
	}
	rc = policy_parse(policy, strlen(policy), POLICY_KEY, &p, why);
	if (rc == -EBADMSG)
		log_error("%s: %s", name, why);
	if (rc == 0)
		rc = lint(name, p);
	policy_free(p);
	return rc;
}

static int lint_key(const char *dir, const char *name)
{
	const char *slash = strchr(name, '/');
	char *path = file_path(dir, FILE_DATABASE);
	struct key_row key = { .policy = NULL };
	struct store *store = NULL;
	char region[REGION_BYTES];
	int rc = path ? store_open(path, false, &store) : -ENOMEM;

	snprintf(region, sizeof(region), "%.*s",
		 slash ? (int)(slash - name) : 0, name);
	if (rc == 0)
		rc = store_key_get(store, region, slash ? slash + 1 : "",
				   &key);
	if (rc == -ENOENT)
		log_error("--key %s: no such key in %s", name, dir);
	if (rc == 0)
		rc = lint_row(name, &key);
	key_row_free(&key);
	store_close(store);
	free(path);
	return rc;
}

int cmd_policy_lint(int argc, char **argv)
{
	static const struct option options[] = {
		{ "key", required_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *key = NULL;
	int c, rc;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (c != 'k')
			return -EINVAL;
		key = optarg;
	}
	if (argc - optind != 1) {
		log_error("policy-lint: give one file, or --key and a directory; see envelope-kms policy-lint --help");
		return -EINVAL;
	}
	rc = key ? lint_key(argv[optind], key) : lint_file(argv[optind]);
	return rc < 0 ? -EIO : 0;
}
