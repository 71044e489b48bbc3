// SPDX-License-Identifier: GPL-2.0-or-later
/* The sections of envelope.conf that are no regions: providers of keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf_file.h"
#include "log.h"

#define POD_JWT "/var/run/secrets/kubernetes.io/serviceaccount/token"

static int take_path(const struct place *place,
		     struct conf_provider *p, const char *name,
		     const char *value)
{
	(void)p;
	if (value[0] == '/')
		return 0;
	log_error("%s:%zu: %s wants an absolute path, not '%s'", place->path,
		  place->line, name, value);
	return -EINVAL;
}

static int fault(const struct place *place, const char *name, const char *what,
		 const char *value)
{
	log_error("%s:%zu: %s %s, not '%s'", place->path, place->line, name,
		  what, value);
	return -EINVAL;
}

/* The copy that conf_endpoint() makes has no slash at the end. */
static int take_endpoint(const struct place *place, struct conf_provider *p,
			 const char *name, const char *value)
{
	const char *why;
	int r = conf_endpoint(value, &p->value[CONF_ENDPOINT], &why);

	(void)name;
	if (r == -EINVAL)
		log_error("%s:%zu: %s '%s'", place->path, place->line, why,
			  value);
	return r;
}

static int take_proxy(const struct place *place, struct conf_provider *p,
		      const char *name, const char *value)
{
	(void)p;
	return conf_proxy_valid(value) ? 0 :
	       fault(place, name, "wants http://HOST:PORT or https://HOST:PORT",
		     value);
}

/* Parts of a URL's path, none of which goes up: ".", "..". */
static int take_route(const struct place *place, struct conf_provider *p,
		      const char *name, const char *value)
{
	const char *at = value;
	bool good;

	(void)p;
	do {
		size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

		good = len > strspn(at, ".");
		at += len;
	} while (good && *at++ == '/');
	return good && at[-1] == '\0' && strlen(value) < KEY_OBJECT_BYTES ? 0 :
	       fault(place, name, "wants names of letters, digits and -_. with / between",
		     value);
}

static int take_auth(const struct place *place, struct conf_provider *p,
		     const char *name, const char *value)
{
	(void)p;
	return conf_auth_find(value) ? 0 :
	       fault(place, name, "is token, approle, kubernetes or cert",
		     value);
}

/* It stands in JSON as it is. */
static int take_role(const struct place *place, struct conf_provider *p,
		     const char *name, const char *value)
{
	const char *at = value;

	(void)p;
	while ((unsigned char)*at >= ' ' && *at != '"' && *at != '\\')
		at++;
	if (*at == '\0' && at - value < KEY_OBJECT_BYTES)
		return 0;
	return fault(place, name, "wants up to 128 bytes without \" and \\",
		     value);
}

static int take_text(const struct place *place, struct conf_provider *p,
		     const char *name, const char *value)
{
	(void)p;
	if (strlen(value) < KEY_PLACE_BYTES)
		return 0;
	log_error("%s:%zu: %s is too long: '%s'", place->path, place->line,
		  name, value);
	return -EINVAL;
}

/* Known names of each kind; @check may be NULL. */
static const struct setting {
	const char *name;
	enum key_kind kind;
	enum conf_value value;
	bool must;
	int (*check)(const struct place *place, struct conf_provider *p,
		     const char *name, const char *value);
} settings[] = {
	{ "module", KEY_PKCS11, CONF_MODULE, true, take_path },
	{ "token", KEY_PKCS11, CONF_TOKEN, false, take_text },
	{ "pin-file", KEY_PKCS11, CONF_PIN_FILE, false, take_path },
	{ "path", KEY_PROGRAM, CONF_PROGRAM, true, take_path },
	{ "user", KEY_PROGRAM, CONF_USER, false, take_text },
	{ "endpoint", KEY_VAULT, CONF_ENDPOINT, true, take_endpoint },
	{ "ca-file", KEY_VAULT, CONF_CA_FILE, false, take_path },
	{ "proxy", KEY_VAULT, CONF_PROXY, false, take_proxy },
	{ "namespace", KEY_VAULT, CONF_NAMESPACE, false, take_route },
	{ "mount", KEY_VAULT, CONF_MOUNT, false, take_route },
	{ "auth", KEY_VAULT, CONF_AUTH, false, take_auth },
	{ "auth-mount", KEY_VAULT, CONF_AUTH_MOUNT, false, take_route },
	{ "role", KEY_VAULT, CONF_ROLE, false, take_role },
	{ "token-file", KEY_VAULT, CONF_TOKEN_FILE, false, take_path },
	{ "secret-id-file", KEY_VAULT, CONF_SECRET_ID_FILE, false, take_path },
	{ "jwt-file", KEY_VAULT, CONF_JWT_FILE, false, take_path },
	{ "cert-file", KEY_VAULT, CONF_CERT_FILE, false, take_path },
	{ "cert-key-file", KEY_VAULT, CONF_CERT_KEY_FILE, false, take_path },
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static const char *const known_names[KEY_KINDS] = {
	[KEY_PKCS11] = "module, token, pin-file, default-key and allow-keys",
	[KEY_PROGRAM] = "path, user, default-key and allow-keys",
	[KEY_VAULT] = "endpoint, ca-file, proxy, namespace, mount, auth, auth-mount, role, token-file, secret-id-file, jwt-file, cert-file, cert-key-file, default-key and allow-keys",
};

static const struct conf_auth auths[] = {
	{ "token", CONF_BIT(CONF_TOKEN_FILE), CONF_BIT(CONF_TOKEN_FILE) },
	{ "approle", CONF_BIT(CONF_ROLE),
	  CONF_BIT(CONF_ROLE) | CONF_BIT(CONF_SECRET_ID_FILE) },
	{ "kubernetes", CONF_BIT(CONF_ROLE),
	  CONF_BIT(CONF_ROLE) | CONF_BIT(CONF_JWT_FILE) },
	{ "cert", CONF_BIT(CONF_CERT_FILE) | CONF_BIT(CONF_CERT_KEY_FILE),
	  CONF_BIT(CONF_ROLE) },
};

const struct conf_auth *conf_auth_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(auths) / sizeof(auths[0]); i++)
		if (strcmp(auths[i].name, name) == 0)
			return &auths[i];
	return NULL;
}

const struct conf_auth *conf_auth_of(const struct conf_provider *p)
{
	const char *name = p->value[CONF_AUTH];

	return name ? conf_auth_find(name) : &auths[0];
}

void conf_provider_free(struct conf_provider *p)
{
	size_t i;

	if (!p)
		return;
	for (i = 0; i < p->allow_keys_count; i++)
		free(p->allow_keys[i]);
	for (i = 0; i < CONF_VALUES; i++)
		free(p->value[i]);
	free(p->allow_keys);
	free(p->default_key);
	free(p->name);
	free(p);
}

const char *conf_provider_place(const struct conf_provider *p)
{
	const char *token = p->value[CONF_TOKEN];

	return p->kind == KEY_PKCS11 && token ? token : p->name;
}

static struct conf_provider *find(const struct conf_regions *all,
				  enum key_kind kind, const char *name)
{
	size_t i;

	for (i = 0; i < all->provider_count; i++)
		if (all->providers[i]->kind == kind &&
		    strcmp(all->providers[i]->name, name) == 0)
			return all->providers[i];
	return NULL;
}

int conf_provider_add(const struct place *place, enum key_kind kind,
		      const char *name, struct conf_regions *all)
{
	struct conf_provider *p;

	if (name[0] == '\0' || strlen(name) >= KEY_PLACE_BYTES) {
		log_error("%s:%zu: a section of %s wants a name of 1 to %d bytes",
			  place->path, place->line, key_section(kind),
			  KEY_PLACE_BYTES - 1);
		return -EINVAL;
	}
	if (find(all, kind, name)) {
		log_error("%s:%zu: there is a second section [%s %s]",
			  place->path, place->line, key_section(kind), name);
		return -EINVAL;
	}
	if (all->provider_count == CONF_MAX_PROVIDERS) {
		log_error("%s:%zu: there are too many sections at [%s %s]",
			  place->path, place->line, key_section(kind), name);
		return -EINVAL;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->kind = kind;
	p->line = place->line;
	p->name = strdup(name);
	p->allow_keys = calloc(CONF_MAX_PATTERNS, sizeof(char *));
	if (!p->name || !p->allow_keys) {
		conf_provider_free(p);
		return -ENOMEM;
	}
	all->providers[all->provider_count++] = p;
	return 0;
}

static int set_text(char **field, const char *value)
{
	*field = strdup(value);
	return *field ? 0 : -ENOMEM;
}

/* The patterns wait for the end of the section: only then its place is known. */
static int set_allow_keys(const struct place *place,
			  struct conf_provider *p, const char *value)
{
	char *list = strdup(value);
	char *rest = list;
	char *one;
	int r = list ? 0 : -ENOMEM;

	while (r == 0 && (one = strsep(&rest, " \t"))) {
		if (*one == '\0')
			continue;
		if (p->allow_keys_count == CONF_MAX_PATTERNS) {
			log_error("%s:%zu: allow-keys has too many patterns at '%s'",
				  place->path, place->line, one);
			r = -EINVAL;
			break;
		}
		r = set_text(&p->allow_keys[p->allow_keys_count], one);
		if (r == 0)
			p->allow_keys_count++;
	}
	free(list);
	return r;
}

static int second_value(const struct place *place, const char *name)
{
	log_error("%s:%zu: there is a second value for '%s'", place->path,
		  place->line, name);
	return -EINVAL;
}

int conf_provider_set(const struct place *place, struct conf_provider *p,
		      const char *name, const char *value)
{
	const struct setting *s;
	int r = 0;

	if (strcmp(name, "default-key") == 0)
		return p->default_key ? second_value(place, name) :
					set_text(&p->default_key, value);
	if (strcmp(name, "allow-keys") == 0)
		return p->allow_keys_count ? second_value(place, name) :
					     set_allow_keys(place, p, value);
	for (s = settings; s < settings + SETTINGS; s++)
		if (s->kind == p->kind && strcmp(s->name, name) == 0)
			break;
	if (s == settings + SETTINGS) {
		log_error("%s:%zu: unknown name '%s' for %s; known are %s",
			  place->path, place->line, name,
			  key_section(p->kind), known_names[p->kind]);
		return -EINVAL;
	}
	if (p->value[s->value])
		return second_value(place, name);
	if (s->check)
		r = s->check(place, p, name, value);
	if (r < 0 || p->value[s->value])
		return r;
	return set_text(&p->value[s->value], value);
}

static int check_keys(const char *path, const struct conf_provider *p)
{
	const char *where = conf_provider_place(p);
	struct key_name name;
	size_t i;

	for (i = 0; i < p->allow_keys_count; i++) {
		if (key_pattern_valid(p->allow_keys[i], p->kind, where))
			continue;
		log_error("%s:%zu: [%s %s]: allow-keys wants key ids of '%s', * at the end only, not '%s'",
			  path, p->line, key_section(p->kind), p->name, where,
			  p->allow_keys[i]);
		return -EINVAL;
	}
	if (p->default_key && (key_name_parse(p->default_key, &name) < 0 ||
			       name.kind != p->kind ||
			       strcmp(name.place, where) != 0)) {
		log_error("%s:%zu: [%s %s]: default-key wants a key id of '%s', not '%s'",
			  path, p->line, key_section(p->kind), p->name, where,
			  p->default_key);
		return -EINVAL;
	}
	return 0;
}

/* What a vault's method of logging in needs, and what is another's. */
static int check_auth(const char *path, const struct conf_provider *p)
{
	static const enum conf_value owned[] = {
		CONF_TOKEN_FILE, CONF_SECRET_ID_FILE, CONF_JWT_FILE, CONF_ROLE,
	};
	const struct conf_auth *auth = conf_auth_of(p);
	const struct setting *s;
	size_t i;

	if (p->kind != KEY_VAULT)
		return 0;
	for (s = settings; s < settings + SETTINGS; s++) {
		bool has = p->value[s->value];

		if (!has && auth->needs & CONF_BIT(s->value)) {
			log_error("%s:%zu: [vault %s] has no %s, which auth = %s needs",
				  path, p->line, p->name, s->name, auth->name);
			return -EINVAL;
		}
		for (i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
			if (!has || s->value != owned[i] ||
			    auth->takes & CONF_BIT(s->value))
				continue;
			log_error("%s:%zu: [vault %s] has %s, which auth = %s does not take",
				  path, p->line, p->name, s->name, auth->name);
			return -EINVAL;
		}
	}
	if (!p->value[CONF_CERT_FILE] == !p->value[CONF_CERT_KEY_FILE])
		return 0;
	log_error("%s:%zu: [vault %s] has only one of cert-file and cert-key-file",
		  path, p->line, p->name);
	return -EINVAL;
}

/* Named here, so that the agent's worker is let to it. */
static int default_jwt(struct conf_provider *p)
{
	if (p->kind != KEY_VAULT || p->value[CONF_JWT_FILE] ||
	    strcmp(conf_auth_of(p)->name, "kubernetes") != 0)
		return 0;
	return set_text(&p->value[CONF_JWT_FILE], POD_JWT);
}

static int check_one(const char *path, const struct conf_regions *all,
		     size_t index)
{
	struct conf_provider *p = all->providers[index];
	const struct setting *s;
	size_t i;

	for (s = settings; s < settings + SETTINGS; s++) {
		if (s->kind != p->kind || !s->must || p->value[s->value])
			continue;
		log_error("%s:%zu: [%s %s] has no %s", path, p->line,
			  key_section(p->kind), p->name, s->name);
		return -EINVAL;
	}
	for (i = 0; i < index; i++) {
		const struct conf_provider *q = all->providers[i];

		if (q->kind != p->kind || strcmp(conf_provider_place(q),
						 conf_provider_place(p)) != 0)
			continue;
		log_error("%s:%zu: [%s %s] is for '%s', as is [%s %s]: a key id must lead to one of them",
			  path, p->line, key_section(p->kind), p->name,
			  conf_provider_place(p), key_section(q->kind),
			  q->name);
		return -EINVAL;
	}
	if (check_auth(path, p) < 0 || check_keys(path, p) < 0)
		return -EINVAL;
	return default_jwt(p);
}

int conf_providers_check(const char *path, const struct conf_regions *all)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < all->provider_count; i++)
		r = check_one(path, all, i);
	return r;
}
