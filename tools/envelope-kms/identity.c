// SPDX-License-Identifier: GPL-2.0-or-later
/* `envelope-kms identity`: its table of verbs, and what they share. */
#include "identity.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "files.h"
#include "json.h"
#include "log.h"
#include "region.h"

static const struct verb {
	const char *name;
	identity_fn *run;
	int args;             /* behind DIR */
	const char *usage;
	identity_fn *prepare; /* NULL: nothing to read */
	bool reads;           /* changes nothing */
} verbs[] = {
	{ "create-account", identity_create_account, 1, "ID", NULL, false },
	{ "list-accounts", identity_list_accounts, 0, "", NULL, true },
	{ "delete-account", identity_delete_account, 1, "ID", NULL, false },
	{ "create-user", identity_create_user, 1, "NAME", NULL, false },
	{ "list-users", identity_list_users, 0, "", NULL, true },
	{ "delete-user", identity_delete_user, 1, "NAME", NULL, false },
	{ "create-role", identity_create_role, 1,
	  "NAME --trust FILE [--max-session SECONDS]", identity_prepare_role,
	  false },
	{ "list-roles", identity_list_roles, 0, "", NULL, true },
	{ "set-trust", identity_set_trust, 2,
	  "ROLE FILE [--max-session SECONDS]", identity_prepare_trust,
	  false },
	{ "delete-role", identity_delete_role, 1, "NAME", NULL, false },
	{ "create-access-key", identity_create_access_key, 1, "USER", NULL,
	  false },
	{ "list-access-keys", identity_list_access_keys, 1, "USER", NULL,
	  true },
	{ "deactivate-access-key", identity_deactivate_access_key, 2,
	  "USER KEY-ID", NULL, false },
	{ "activate-access-key", identity_activate_access_key, 2,
	  "USER KEY-ID", NULL, false },
	{ "delete-access-key", identity_delete_access_key, 2, "USER KEY-ID",
	  NULL, false },
	{ "attach-policy", identity_attach_policy, 1,
	  "NAME --user USER | --role ROLE", NULL, false },
	{ "put-policy", identity_put_policy, 2,
	  "NAME FILE --user USER | --role ROLE", identity_prepare_policy,
	  false },
	{ "get-policy", identity_get_policy, 1,
	  "NAME --user USER | --role ROLE", NULL, true },
	{ "list-policies", identity_list_policies, 0,
	  "[--user USER | --role ROLE]", NULL, true },
	{ "delete-policy", identity_delete_policy, 1,
	  "NAME --user USER | --role ROLE", NULL, false },
};

#define COUNT (sizeof(verbs) / sizeof(verbs[0]))

static const struct option options[] = {
	{ "account", required_argument, NULL, 'a' },
	{ "user", required_argument, NULL, 'u' },
	{ "role", required_argument, NULL, 'r' },
	{ "trust", required_argument, NULL, 't' },
	{ "max-session", required_argument, NULL, 'm' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void print_help(void)
{
	size_t i;

	puts("Usage: envelope-kms identity VERB DIR [ARGUMENT]... [OPTION]...\n");
	for (i = 0; i < COUNT; i++)
		printf("  %-22s %s\n", verbs[i].name, verbs[i].usage);
	puts("\n"
	     "Who may use the server of DIR, running or not. FILE is a policy, - for\n"
	     "standard input. attach-policy takes the policies that come with the server,\n"
	     "which list-policies names without --user and --role.\n"
	     "\n"
	     "  --account ID   another account than the one that init was told\n"
	     "  --json         print what AWS would answer");
}

json_t *identity_date(int64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;

	if (!ms)
		return json_null();
	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

int identity_item(struct identity_run *r, const char *text, json_t *item)
{
	if (!r->options->json) {
		json_decref(item);
		fprintf(r->out, "%s\n", text);
		return 0;
	}
	if (!r->list)
		r->list = json_array();
	return json_array_append_new(r->list, item) < 0 ? -ENOMEM : 0;
}

int identity_check_name(const char *what, const char *name, size_t max)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-";

	if (*name && strlen(name) <= max && !name[strspn(name, chars)])
		return 0;
	log_error("%s %s: names are 1 to %zu letters, digits and _+=,.@-",
		  what, name, max);
	return -EINVAL;
}

int identity_failed(int rc, const char *what, const char *name)
{
	if (rc == -ENOENT)
		log_error("%s %s: no such %s", what, name, what);
	else if (rc == -EEXIST)
		log_error("%s %s: exists", what, name);
	return rc;
}

int identity_user(struct identity_run *r, const char *name,
		  struct user_row *ret)
{
	return identity_failed(store_user_get(r->store, r->account, name,
					      ret), "user", name);
}

#define FILE_MAX_BYTES 131072

int identity_read_file(const char *path, char **ret)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *text = in ? calloc(1, FILE_MAX_BYTES + 2) : NULL;
	size_t bytes = 0;
	int rc = -errno;

	if (text)
		bytes = fread(text, 1, FILE_MAX_BYTES + 1, in);
	if (text && !ferror(in))
		rc = bytes > FILE_MAX_BYTES ? -EFBIG :
		     strlen(text) < bytes ? -EINVAL : 0;
	else if (text)
		rc = -errno;
	if (rc < 0)
		log_error("%s: %s", path, strerror(-rc));
	if (in && in != stdin)
		fclose(in);
	if (rc < 0) {
		free(text);
		return rc;
	}
	*ret = text;
	return 0;
}

int identity_read_policy(struct identity_run *r, const char *path,
			 enum policy_kind kind)
{
	char why[POLICY_WHY_BYTES];
	int rc = identity_read_file(path, &r->document);

	if (rc < 0)
		return rc;
	rc = policy_parse(r->document, strlen(r->document), kind, &r->policy,
			  why);
	if (rc == -EBADMSG)
		log_error("%s: %s", path, why);
	return rc;
}

int identity_change(struct identity_run *r, const char *name,
		    json_t *parameters, json_t *response)
{
	r->change.name = name;
	r->change.parameters = parameters;
	r->change.response = response;
	return parameters ? 0 : -ENOMEM;
}

static int open_run(struct identity_run *r)
{
	char *path = file_path(r->options->dir, FILE_DATABASE), *own = NULL;
	const char *account = r->options->account;
	int rc = path ? store_open(path, false, &r->store) : -ENOMEM;

	free(path);
	if (rc == 0 && !account) {
		rc = store_get(r->store, "account", &own);
		account = own;
	}
	if (rc == 0)
		snprintf(r->account, sizeof(r->account), "%s", account);
	free(own);
	return rc;
}

static int print_list(struct identity_run *r)
{
	json_t *out = r->list_name ?
		json_pack("{s:O}", r->list_name,
			  r->list ? r->list : (r->list = json_array())) :
		json_incref(json_array_get(r->list, 0));

	return json_print(out, r->out);
}

/* The change is in the trail before it is made, as those of the server are. */
static int record(struct identity_run *r)
{
	char *regions = NULL, region[REGION_BYTES];
	const char *list;
	struct audit *trail = NULL;
	int rc = store_get(r->store, "region", &regions);

	list = regions;
	if (rc == 0 && !region_next(&list, region))
		rc = -EIO;
	if (rc == 0)
		rc = audit_open(r->options->dir, &trail);
	r->change.account = r->account;
	r->change.region = region;
	if (rc == 0)
		rc = audit_change(trail, &r->change);
	audit_close(trail);
	free(regions);
	return rc;
}

static int run_change(const struct verb *v, struct identity_run *r)
{
	int rc = store_begin(r->store);

	if (rc == -EBUSY)
		log_error("%s: the database is busy; try again",
			  r->options->dir);
	if (rc < 0)
		return rc;
	rc = v->run(r);
	if (rc == 0)
		rc = record(r);
	if (rc < 0) {
		store_rollback(r->store);
		return rc;
	}
	rc = store_commit(r->store);
	if (rc < 0) {
		r->change.failed = true;
		record(r);
	}
	return rc;
}

static int print_all(struct identity_run *r)
{
	int rc = 0;

	if (fflush(r->out) != 0 ||
	    fwrite(r->shown, 1, r->shown_bytes, stdout) != r->shown_bytes ||
	    fflush(stdout) != 0)
		rc = -errno;
	if (rc == 0 && r->secret)
		rc = file_write_all(STDOUT_FILENO, secret_cbytes(r->secret),
				    r->secret_bytes);
	if (rc < 0)
		log_error("cannot write to standard output: %s",
			  strerror(-rc));
	if (rc < 0 && r->secret)
		log_error("access key %s: made, but nobody knows its secret now; delete it",
			  json_string_value(json_object_get(json_object_get(
				r->change.response, "accessKey"),
				"accessKeyId")));
	return rc;
}

static void free_run(struct identity_run *r)
{
	if (r->out)
		fclose(r->out);
	free(r->shown);
	secret_free(r->secret);
	json_decref(r->list);
	json_decref(r->change.parameters);
	json_decref(r->change.response);
	policy_free(r->policy);
	free(r->document);
	store_close(r->store);
}

static int run_verb(const struct verb *v, const struct identity_options *o)
{
	struct identity_run r = { .options = o };
	int rc = v->prepare ? v->prepare(&r) : 0;

	if (rc == 0) {
		r.out = open_memstream(&r.shown, &r.shown_bytes);
		rc = r.out ? open_run(&r) : -ENOMEM;
	}
	if (rc == 0)
		rc = v->reads ? v->run(&r) : run_change(v, &r);
	if (rc == 0 && o->json && (r.list || r.list_name))
		rc = print_list(&r);
	if (rc == 0)
		rc = print_all(&r);
	free_run(&r);
	return rc;
}

static int take_option(struct identity_options *o, int c)
{
	switch (c) {
	case 'a':
		o->account = optarg;
		return 0;
	case 'u':
		o->user = optarg;
		return 0;
	case 'r':
		o->role = optarg;
		return 0;
	case 't':
		o->trust = optarg;
		return 0;
	case 'm':
		o->max_session = optarg;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	}
	return -EINVAL;
}

static const struct verb *find_verb(const char *name)
{
	size_t i;

	for (i = 0; name && i < COUNT; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

int cmd_identity(int argc, char **argv)
{
	struct identity_options o = { .dir = NULL };
	const struct verb *v;
	int c, i;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h') {
			print_help();
			return 0;
		}
		if (take_option(&o, c) < 0)
			return -EINVAL;
	}
	v = find_verb(argv[optind]);
	if (!v) {
		log_error("identity %s: no such verb; see envelope-kms identity --help",
			  argv[optind] ? argv[optind] : "");
		return -EINVAL;
	}
	if (argc - optind != 2 + v->args) {
		log_error("give: envelope-kms identity %s DIR %s", v->name,
			  v->usage);
		return -EINVAL;
	}
	if (o.account && (strlen(o.account) != 12 ||
			  strspn(o.account, "0123456789") != 12)) {
		log_error("--account %s: not 12 digits", o.account);
		return -EINVAL;
	}
	o.dir = argv[optind + 1];
	for (i = 0; i < v->args; i++)
		o.args[i] = argv[optind + 2 + i];
	return run_verb(v, &o) < 0 ? -EIO : 0;
}
