// SPDX-License-Identifier: GPL-2.0-or-later
/* ListGrants and ListRetirableGrants. */
#include <errno.h>
#include <string.h>

#include "grants.h"
#include "operations.h"
#include "page.h"
#include "params.h"
#include "principal.h"
#include "resolve.h"

#define PAGE_USUAL 50
#define PAGE_MAX 100

static json_t *operations_of(const struct grant_row *g)
{
	json_t *list = json_array();
	int i;

	for (i = 0; grant_operations[i]; i++)
		if (g->operations & INT64_C(1) << i)
			json_array_append_new(list,
					      json_string(grant_operations[i]));
	return list;
}

/* A page that the store fills. */
struct listing {
	struct store *store;
	struct page page;
};

static int set_optional(json_t *entry, const char *name, const char *text)
{
	if (!text[0])
		return 0;
	return json_object_set_new(entry, name, json_string(text)) < 0 ?
	       -ENOMEM : 0;
}

static int set_constraint(json_t *entry, const struct grant_row *g)
{
	json_t *pairs;

	if (g->constraint == GRANT_ANY)
		return 0;
	pairs = json_loads(g->pairs, 0, NULL);
	if (!pairs)
		return -ENOMEM;
	return json_object_set_new(entry, "Constraints",
				   json_pack("{s:o}",
					     g->constraint == GRANT_EQUALS ?
					     "EncryptionContextEquals" :
					     "EncryptionContextSubset",
					     pairs)) < 0 ? -ENOMEM : 0;
}

/* Who has been deleted is shown by his unique id: others may have his name. */
static int set_principal(json_t *entry, const char *name, struct store *s,
			 const char *arn, const char *uid)
{
	char dead[PRINCIPAL_DEAD_BYTES];
	int rc = principal_dead_name(s, arn, uid, dead);

	return rc < 0 ? rc : set_optional(entry, name, dead[0] ? dead : arn);
}

static int make_entry(struct store *s, const struct grant_row *g,
		      json_t **ret)
{
	struct key_row key = { .description = NULL };
	char arn[CALL_ARN_BYTES];
	json_t *entry;
	int rc;

	strcpy(key.account, g->account);
	strcpy(key.region, g->region);
	strcpy(key.key_id, g->key_id);
	call_key_arn(&key, arn);
	entry = json_pack("{s:s, s:s, s:f, s:o}", "KeyId", arn,
			  "GrantId", g->grant_id, "CreationDate",
			  (double)g->created_ms / 1000, "Operations",
			  operations_of(g));
	if (!entry)
		return -ENOMEM;
	rc = set_principal(entry, "GranteePrincipal", s, g->grantee,
			   g->grantee_uid);
	if (rc == 0)
		rc = set_principal(entry, "RetiringPrincipal", s, g->retiring,
				   g->retiring_uid);
	if (rc == 0)
		rc = set_optional(entry, "Name", g->name);
	if (rc == 0)
		rc = set_constraint(entry, g);
	if (rc == 0 &&
	    json_object_set_new(entry, "IssuingAccount",
				json_sprintf("arn:aws:iam::%s:root",
					     g->issuer)) < 0)
		rc = -ENOMEM;
	if (rc == 0)
		*ret = entry;
	else
		json_decref(entry);
	return rc;
}

static int take_grant(const struct grant_row *g, void *arg)
{
	struct listing *l = arg;
	json_t *entry;
	int rc = make_entry(l->store, g, &entry);

	return rc < 0 ? rc : page_take(&l->page, g->grant_id, entry);
}

/* Either the one grant that was asked for, or a page of them. */
static int collect(const struct key_row *key, const char *grantee,
		   const char *id, struct listing *l)
{
	struct page *page = &l->page;
	struct grant_row g;
	int rc;

	if (!id)
		return store_grant_list(l->store, key, grantee, page->after,
					page->limit + 1, take_grant, l);
	rc = store_grant_get(l->store, key->region, key->key_id, id, &g);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	if ((!grantee || strcmp(grantee, g.grantee) == 0) &&
	    strcmp(id, page->after) > 0)
		rc = take_grant(&g, l);
	grant_row_free(&g);
	return rc;
}

/* To list all grants where some are asked for would be a lie. */
static int refuse_services(struct call *c, const char *member)
{
	if (!param_given(c, member))
		return 0;
	return call_fail(c, ERR_UNSUPPORTED,
			 "This server does not offer grants to service principals.");
}

int op_list_grants(struct call *c)
{
	struct facts f = { .action = "kms:ListGrants" };
	struct key_row key = { .description = NULL };
	const char *key_id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
					  PARAM_KEY_ID_MAX);
	const char *id = param_grant_id(c, PARAM_OPTIONAL);
	const char *grantee = param_string(c, "GranteePrincipal",
					   PARAM_OPTIONAL, 1,
					   PRINCIPAL_BYTES - 1);
	struct listing l = { .store = c->server->store };
	int rc = page_begin(c, "grant", PAGE_USUAL, PAGE_MAX, &l.page);

	if (rc < 0)
		return rc;
	rc = params_check(c);
	if (rc == 0)
		rc = refuse_services(c, "GranteeServicePrincipal");
	if (rc == 0)
		rc = grant_id_check(c, id);
	if (rc == 0)
		rc = resolve_key(c, key_id, RESOLVE_KEY_ONLY, &f, &key);
	if (rc == 0)
		rc = collect(&key, grantee, id, &l);
	if (rc == 0)
		rc = page_answer(c, &l.page, "Grants");
	page_free(&l.page);
	key_row_free(&key);
	return rc;
}

int op_list_retirable_grants(struct call *c)
{
	struct facts f = { .action = "kms:ListRetirableGrants" };
	const char *who = param_string(c, "RetiringPrincipal",
				       PARAM_OPTIONAL, 1,
				       PRINCIPAL_BYTES - 1);
	struct listing l = { .store = c->server->store };
	int rc = page_begin(c, "retirable", PAGE_USUAL, PAGE_MAX, &l.page);

	if (rc < 0)
		return rc;
	rc = refuse_services(c, "RetiringServicePrincipal");
	if (!who && !param_given(c, "RetiringPrincipal"))
		param_missing(c, "RetiringPrincipal");
	if (rc == 0)
		rc = params_check(c);
	if (rc == 0)
		rc = principal_of_account(c, who);
	if (rc == 0)
		rc = authorise_other(c, &f, "*");
	if (rc == 0)
		rc = store_grant_retirable(l.store, c->who.region, who,
					   l.page.after, l.page.limit + 1,
					   take_grant, &l);
	if (rc == 0)
		rc = page_answer(c, &l.page, "Grants");
	page_free(&l.page);
	return rc;
}
