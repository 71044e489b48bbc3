// SPDX-License-Identifier: GPL-2.0-or-later
/* The sections of envelope.conf that are no regions: providers of keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf_file.h"
#include "log.h"

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
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static const char *const known_names[KEY_KINDS] = {
	[KEY_PKCS11] = "module, token, pin-file, default-key and allow-keys",
	[KEY_PROGRAM] = "path, user, default-key and allow-keys",
};

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
			  place->path, place->line, key_provider(kind),
			  KEY_PLACE_BYTES - 1);
		return -EINVAL;
	}
	if (find(all, kind, name)) {
		log_error("%s:%zu: there is a second section [%s %s]",
			  place->path, place->line, key_provider(kind), name);
		return -EINVAL;
	}
	if (all->provider_count == CONF_MAX_PROVIDERS) {
		log_error("%s:%zu: there are too many sections at [%s %s]",
			  place->path, place->line, key_provider(kind), name);
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
			  key_provider(p->kind), known_names[p->kind]);
		return -EINVAL;
	}
	if (p->value[s->value])
		return second_value(place, name);
	if (s->check)
		r = s->check(place, p, name, value);
	return r < 0 ? r : set_text(&p->value[s->value], value);
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
			  path, p->line, key_provider(p->kind), p->name, where,
			  p->allow_keys[i]);
		return -EINVAL;
	}
	if (p->default_key && (key_name_parse(p->default_key, &name) < 0 ||
			       name.kind != p->kind ||
			       strcmp(name.place, where) != 0)) {
		log_error("%s:%zu: [%s %s]: default-key wants a key id of '%s', not '%s'",
			  path, p->line, key_provider(p->kind), p->name, where,
			  p->default_key);
		return -EINVAL;
	}
	return 0;
}

static int check_one(const char *path, const struct conf_regions *all,
		     size_t index)
{
	const struct conf_provider *p = all->providers[index];
	const struct setting *s;
	size_t i;

	for (s = settings; s < settings + SETTINGS; s++) {
		if (s->kind != p->kind || !s->must || p->value[s->value])
			continue;
		log_error("%s:%zu: [%s %s] has no %s", path, p->line,
			  key_provider(p->kind), p->name, s->name);
		return -EINVAL;
	}
	for (i = 0; i < index; i++) {
		const struct conf_provider *q = all->providers[i];

		if (q->kind != p->kind || strcmp(conf_provider_place(q),
						 conf_provider_place(p)) != 0)
			continue;
		log_error("%s:%zu: [%s %s] is for '%s', as is [%s %s]: a key id must lead to one of them",
			  path, p->line, key_provider(p->kind), p->name,
			  conf_provider_place(p), key_provider(q->kind),
			  q->name);
		return -EINVAL;
	}
	return check_keys(path, p);
}

int conf_providers_check(const char *path, const struct conf_regions *all)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < all->provider_count; i++)
		r = check_one(path, all, i);
	return r;
}
