// SPDX-License-Identifier: GPL-2.0-or-later
/* Verbs that the agent does for us. */
#include "by_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "grant_send.h"
#include "json.h"
#include "log.h"

int by_agent_connect(struct by_agent *b)
{
	int r;

	if (b->direct)
		return 1;
	r = agent_connect(b->socket, &b->client);
	if (r != -ENOENT)
		return r;
	/* A rescue shell has no agent, and root needs none. */
	if (geteuid() == 0 && !b->socket)
		return 1;
	return agent_explain_missing(b->socket);
}

int by_agent_need(struct by_agent *b)
{
	int r = agent_connect(b->socket, &b->client);

	return r == -ENOENT ? agent_explain_missing(b->socket) : r;
}

const char *by_agent_name(const char *name)
{
	static const char folder[] = "/dev/mapper/";

	return strncmp(name, folder, strlen(folder)) == 0 ?
	       name + strlen(folder) : name;
}

int by_agent_check(const char *verb, const struct volume_access *access)
{
	const struct conf_overrides *c = &access->conf;
	const char *option = c->config ? "config" :
			     c->endpoint ? "kms-endpoint" :
			     c->ca_file ? "ca-file" :
			     c->profile ? "profile" :
			     c->region ? "region" :
			     access->timeout_ms ? "timeout" : NULL;

	if (!option)
		return 0;
	cli_usage_error(verb, "--%s is for --direct: the agent has it from /etc/envelope",
			option);
	return -EINVAL;
}

void by_agent_close(struct by_agent *b)
{
	agent_disconnect(b->client);
	b->client = NULL;
}

int by_agent_call(struct by_agent *b, const char *method, json_t *parameters,
		  json_t **ret)
{
	return agent_call(b->client, method, parameters, NULL, 0,
			  BY_AGENT_SECONDS * 1000, ret);
}

static int open_error(const char *path, int code)
{
	log_error("'%s': cannot open it: %s", path, strerror(code));
	return code == ENOENT || code == ENOMEM ? -code : -EIO;
}

/*
 * A device that root alone can open may be one whose link the policy names:
 * then *@fd_ret stays -1.
 */
static int open_device(const char *path, int *fd_ret)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	/* What is read-only is passed so, and root may have it attached. */
	if (fd < 0 && errno == EROFS)
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && (errno == EACCES || errno == EPERM) && path[0] == '/')
		return 0;
	if (fd < 0)
		return open_error(path, errno);
	*fd_ret = fd;
	return 0;
}

static int open_header(const char *path, int mode, int *fd_ret)
{
	int fd = path ? open(path, mode | O_NONBLOCK | O_CLOEXEC) : -1;

	if (path && fd < 0)
		return open_error(path, errno);
	*fd_ret = fd;
	return 0;
}

static int set_seconds(json_t *p, const char *name, uint64_t ms)
{
	return json_object_set_new(p, name, json_integer(ms / 1000));
}

static json_t *compose(const struct volume_attach_options *o, bool passed,
		       bool header)
{
	json_t *p = json_pack("{s:s?, s:s?, s:b, s:b, s:s, s:b}", "name", o->name,
			      "volume_id", o->volume_id, "read_only", o->read_only,
			      "allow_discards", o->allow_discards, "on_lock",
			      o->on_lock == DM_ON_LOCK_ERROR ? "error" :
							       "queue",
			      "dry_run", o->dry_run);
	int r = p ? 0 : -1;

	if (r == 0 && o->lease.lease_given)
		r = set_seconds(p, "lease", o->lease.terms.lease_ms);
	if (r == 0 && o->lease.grace_given)
		r = set_seconds(p, "grace", o->lease.terms.grace_ms);
	if (r == 0 && passed)
		r = json_object_set_new(p, "device_fd", json_integer(0));
	else if (r == 0)
		r = json_object_set_new(p, "link", json_string(o->device));
	if (r == 0 && header)
		r = json_object_set_new(p, "header_fd",
					json_integer(passed ? 1 : 0));
	if (r < 0)
		json_decref(p);
	return r < 0 ? NULL : p;
}

static void print_warnings(const json_t *answer)
{
	json_t *list = json_object_get(answer, "warnings");
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		log_warn("%s", json_string_value(one));
}

struct signing {
	struct by_agent *b;
	const struct volume_attach_options *options;
	bool readable;	/* the device, by us */
	const struct header *header; /* that it shall be for; NULL: as it is */
	bool asked;	/* for one grant already */
};

/*
 * On a connection of its own: this one waits for the attach. Takes the reference
 * of @parameters.
 */
static int tell_agent(struct by_agent *b, const char *method,
		      const char *nonce, json_t *parameters)
{
	struct agent_client *client = NULL;
	json_t *unused = NULL;
	int r;

	r = json_object_set_new(parameters, "nonce", json_string(nonce)) < 0 ?
	    -ENOMEM : agent_connect(b->socket, &client);
	if (r == -ENOENT)
		r = agent_explain_missing(b->socket);
	if (r == 0)
		r = agent_call(client, method, json_incref(parameters), NULL,
			       0, BY_AGENT_SECONDS * 1000, &unused);
	json_decref(parameters);
	json_decref(unused);
	agent_disconnect(client);
	return r;
}

static int sign_header(const struct header *h, const char *device,
		       const struct conf *conf, const json_t *grant,
		       const char *body, json_t **ret)
{
	uint64_t slot;

	if (json_get_u64(grant, "slot", 0, header_slot_count(h) - 1,
			 &slot) == 0)
		return grant_answer(conf, device, h, slot, body, ret);
	log_error("'%s': the agent wants something signed that is no grant for a slot of its header",
		  device);
	return -EBADMSG;
}

/* The header is read here anew, and says what may be signed. */
static int sign_read(const struct volume_attach_options *o,
		     const struct conf *conf, const json_t *grant,
		     const char *body, json_t **ret)
{
	struct volume v = VOLUME_CLOSED;
	int r;

	r = volume_open(o->device, o->header_path, 0, &v);
	if (r == 0)
		r = volume_check_id(o->device,
				    header_core(v.header)->volume_id,
				    o->volume_id);
	if (r == 0)
		r = sign_header(v.header, o->device, conf, grant, body, ret);
	volume_close(&v);
	return r;
}

/* Nothing but the caller can say what may be signed then. */
static int sign_unread(const struct volume_attach_options *o,
		       const struct conf *conf, const char *body,
		       json_t **ret)
{
	if (o->volume_id)
		return grant_answer_unread(conf, o->device, o->volume_id, body,
					   ret);
	log_error("'%s': a grant must be signed for its volume, and you cannot read which that is: say it with --volume",
		  o->device);
	return -EACCES;
}

/* Root's file alone says where, but the credentials are the caller's. */
static int sign(const struct signing *s, const json_t *grant, json_t **ret)
{
	const struct volume_attach_options *o = s->options;
	struct conf_overrides overrides = { .signer = true };
	struct conf *conf = NULL;
	const char *body;
	int r;

	if (json_get_string(grant, "body", &body) < 0) {
		log_error("'%s': the agent wants something signed that is no grant for a slot of its header",
			  o->device);
		return -EBADMSG;
	}
	r = conf_load(&overrides, &conf);
	if (r == 0 && s->header)
		r = sign_header(s->header, o->device, conf, grant, body, ret);
	else if (r == 0)
		r = s->readable ? sign_read(o, conf, grant, body, ret) :
				  sign_unread(o, conf, body, ret);
	conf_free(conf);
	return r;
}

/*
 * For another slot, since the first one's KMS is silent; that may answer after
 * all, and then nobody waits for this signature.
 */
static void answer_more(const struct signing *s, const char *nonce,
			json_t *signature)
{
	if (!signature)
		log_info("'%s': so the next slot is not asked",
			 s->options->device);
	log_mute(true);
	(void)tell_agent(s->b, signature ? "Sign" : "Decline", nonce,
			 signature ? signature : json_object());
	log_mute(false);
}

/* What the agent asks meanwhile. */
static int on_question(void *user, const json_t *parameters)
{
	struct signing *s = user;
	json_t *signature = NULL;
	const char *nonce;
	json_t *grant;
	int r;

	if (json_get_object(parameters, "grant", &grant) < 0 ||
	    json_get_string(grant, "nonce", &nonce) < 0) {
		log_error("'%s': the agent asks what this version does not know",
			  s->options->device);
		return -EIO;
	}
	r = sign(s, grant, &signature);
	if (s->asked) {
		answer_more(s, nonce, signature);
		return 0;
	}
	s->asked = true;
	return r < 0 ? r : tell_agent(s->b, "Sign", nonce, signature);
}

/* Where more is wrong with it, that is said by who reads it. */
static bool is_readable(const char *path)
{
	return access(path, R_OK) == 0 || (errno != EACCES && errno != EPERM);
}

int by_agent_attach(struct by_agent *b, const struct volume_attach_options *o,
		    json_t **ret)
{
	struct signing signing = { b, o, false, NULL, false };
	int device = -1, header = -1;
	json_t *parameters;
	int fds[2];
	size_t n = 0;
	int r;

	r = open_device(o->device, &device);
	if (r == 0)
		r = open_header(o->header_path, O_RDONLY, &header);
	if (r < 0)
		goto out;
	signing.readable = is_readable(o->device);
	if (device >= 0)
		fds[n++] = device;
	if (header >= 0)
		fds[n++] = header;
	parameters = compose(o, device >= 0, header >= 0);
	if (!parameters) {
		log_error("'%s': no UTF-8, or out of memory",
			  o->name ? o->name : o->device);
		r = -EINVAL;
		goto out;
	}
	r = agent_call_more(b->client, "Attach", parameters, fds, n,
			    BY_AGENT_SECONDS * 1000, on_question, &signing,
			    ret);
	if (r == 0)
		print_warnings(*ret);
out:
	if (device >= 0)
		close(device);
	if (header >= 0)
		close(header);
	return r;
}

/* A loop device is root's, but who attached a file has the file. */
static int find_file(unsigned int major, unsigned int minor,
		     char ret[BY_AGENT_PATH_BYTES])
{
	const struct dm_volume below = { .major = major, .minor = minor };
	char node[VOLUME_NODE_CHARS];
	char path[80];
	bool found;
	FILE *f;
	int r;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/backing_file",
		 major, minor);
	f = fopen(path, "re");
	found = f && fgets(ret, BY_AGENT_PATH_BYTES, f);
	if (f)
		fclose(f);
	if (found) {
		ret[strcspn(ret, "\n")] = '\0';
		return 0;
	}
	r = volume_node_below(&below, node);
	if (r == 0)
		snprintf(ret, BY_AGENT_PATH_BYTES, "%s", node);
	return r;
}

static int read_below(const json_t *volume, unsigned int *major,
		      unsigned int *minor)
{
	const char *backing;

	return json_get_string(volume, "backing", &backing) == 0 &&
	       sscanf(backing, "%u:%u", major, minor) == 2 ? 0 : -EIO;
}

/* What is below NAME, for who is to sign for it. */
static int find_below(struct by_agent *b, const char *name,
		      const char *volume_id, char ret[BY_AGENT_PATH_BYTES])
{
	json_t *answer = NULL, *volume;
	const char *id;
	unsigned int major, minor;
	int r;

	r = by_agent_call(b, "Status", json_pack("{s:s}", "name", name),
			  &answer);
	if (r == 0 && (json_get_object(answer, "volume", &volume) < 0 ||
		       json_get_string(volume, "volume_id", &id) < 0 ||
		       read_below(volume, &major, &minor) < 0)) {
		log_error("'%s': the agent does not say what is below it",
			  name);
		r = -EIO;
	}
	if (r == 0)
		r = volume_check_id(name, id, volume_id);
	if (r == 0)
		r = find_file(major, minor, ret);
	json_decref(answer);
	return r;
}

int by_agent_unlock(struct by_agent *b, const struct volume_unlock_options *o,
		    json_t **ret)
{
	const char *name = by_agent_name(o->name);
	char device[BY_AGENT_PATH_BYTES];
	struct volume_attach_options below = {
		.device = device, .header_path = o->header_path,
		.volume_id = o->volume_id,
	};
	struct signing signing = { b, &below, true, NULL, false };
	json_t *parameters;
	int header = -1;
	int r;

	r = find_below(b, name, o->volume_id, device);
	if (r == 0)
		r = open_header(o->header_path, O_RDONLY, &header);
	if (r < 0)
		return r;
	signing.readable = is_readable(device);
	/* A volume may be called like another one's id: then all is read. */
	if (!signing.readable && !below.volume_id &&
	    header_volume_id_valid(name))
		below.volume_id = name;
	parameters = header < 0 ? json_pack("{s:s}", "name", name) :
		     json_pack("{s:s, s:i}", "name", name, "header_fd", 0);
	r = agent_call_more(b->client, "Unlock", parameters, &header,
			    header >= 0, BY_AGENT_SECONDS * 1000, on_question,
			    &signing, ret);
	if (header >= 0)
		close(header);
	return r;
}

/* Is the device or file of @st, or what is called @name, the volume @o? */
static bool is_meant(const json_t *o, const struct stat *st, const char *name,
		     struct by_agent_volume *ret)
{
	unsigned int major, minor;
	const char *its, *id;
	struct stat below;

	if (json_get_string(o, "name", &its) < 0 ||
	    json_get_string(o, "volume_id", &id) < 0 ||
	    strlen(its) >= sizeof(ret->name) ||
	    read_below(o, &major, &minor) < 0 ||
	    find_file(major, minor, ret->device) < 0)
		return false;
	strcpy(ret->name, its);
	if (!st)
		return strcmp(its, name) == 0 || strcmp(id, name) == 0;
	if (S_ISBLK(st->st_mode))
		return st->st_rdev == makedev(major, minor);
	return stat(ret->device, &below) == 0 && st->st_dev == below.st_dev &&
	       st->st_ino == below.st_ino;
}

int by_agent_find(struct by_agent *b, const char *what,
		  struct by_agent_volume *ret)
{
	const char *name = what ? by_agent_name(what) : NULL;
	json_t *answer = NULL, *volumes, *one;
	bool found = false;
	bool path;
	struct stat st;
	size_t i;
	int r;

	/* Who may not ask an agent has nothing attached by it. */
	if (b->direct || !what ||
	    (!b->socket && access(AGENT_SOCKET, R_OK | W_OK) < 0))
		return 1;
	r = by_agent_need(b);
	if (r == 0)
		r = by_agent_call(b, "List", NULL, &answer);
	if (r < 0)
		return r;
	/* What is in /dev/mapper is a volume of ours, or what one lies on. */
	path = stat(what, &st) == 0;
	volumes = json_object_get(answer, "volumes");
	json_array_foreach(volumes, i, one) {
		found = (path && is_meant(one, &st, name, ret)) ||
			((!path || name != what) &&
			 is_meant(one, NULL, name, ret));
		if (found)
			break;
	}
	json_decref(answer);
	if (found)
		return 0;
	by_agent_close(b);
	/* What is no file either was meant as a name. */
	if (strchr(what, '/') || stat(what, &st) == 0)
		return 1;
	log_error("'%s' is not attached, and there is no such file", what);
	return -ENXIO;
}

int by_agent_change(struct by_agent *b, const char *method,
		    json_t *parameters, const char *header_path,
		    const struct volume *v, json_t **ret)
{
	const struct volume_attach_options about = {
		.device = v->device.path,
	};
	struct signing signing = { b, &about, true, v->header, false };
	int header = -1;
	int r;

	r = open_header(header_path, O_RDWR, &header);
	if (r == 0 && header >= 0 &&
	    json_object_set_new(parameters, "header_fd", json_integer(0)) < 0)
		r = -ENOMEM;
	if (r == 0)
		r = agent_call_more(b->client, method, parameters, &header,
				    header >= 0, BY_AGENT_SECONDS * 1000,
				    on_question, &signing, ret);
	else
		json_decref(parameters);
	if (header >= 0)
		close(header);
	return r;
}
