// SPDX-License-Identifier: GPL-2.0-or-later
/* `envelope-kms serve`: opens a KMS directory, listens, ends on a signal. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "below.h"
#include "client_cert.h"
#include "clock.h"
#include "commands.h"
#include "files.h"
#include "guide.h"
#include "http.h"
#include "listen.h"
#include "log.h"
#include "notify.h"
#include "material.h"
#include "policy_cache.h"
#include "reaper.h"
#include "sandbox.h"
#include "root_key.h"
#include "server.h"
#include "signing_keys.h"
#include "throttle.h"

struct serve {
	const struct serve_options *options;
	struct server server;
	struct http_tls tls;
	struct http *http;
	struct listener listener;
	char *dir;           /* absolute */
	char *client_ca;     /* absolute; NULL: clients need no certificate */
	char *listen;        /* address */
	char *endpoint_host; /* how clients call this server */
	char *endpoint;      /* URL of the socket; NULL: not published */
	char *client_endpoint; /* URL of endpoint_host */
	int lock_fd;         /* the directory, locked; -1: none */
	int port;            /* -1: not known yet */
};

/* Two servers on one database would each audit half. */
static int lock_dir(struct serve *s)
{
	int rc;

	s->dir = realpath(s->options->dir, NULL);
	if (s->dir)
		s->lock_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock_fd < 0) {
		rc = -errno;
		log_error("%s: %s; make it with: envelope-kms init %s",
			  s->options->dir, strerror(-rc), s->options->dir);
		return rc;
	}
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		log_error("%s: another envelope-kms serves it", s->dir);
		return -EBUSY;
	}
	return 0;
}

static void withdraw_endpoint(const struct serve *s)
{
	char *path = file_path(s->dir, FILE_ENDPOINT);

	if (path)
		unlink(path);
	free(path);
}

static int get_setting(struct serve *s, const char *name, char **ret)
{
	int rc = store_get(s->server.store, name, ret);

	if (rc == -ENOENT)
		log_error("%s/" FILE_DATABASE ": setting %s is missing",
			  s->dir, name);
	return rc;
}

static int copy_setting(struct serve *s, const char *name, char *ret,
			size_t bytes)
{
	char *value = NULL;
	int rc = get_setting(s, name, &value);

	if (rc == 0)
		snprintf(ret, bytes, "%s", value);
	free(value);
	return rc;
}

static int read_settings(struct serve *s)
{
	char port[16] = "";
	int rc;

	rc = copy_setting(s, "region", s->server.regions,
			  sizeof(s->server.regions));
	if (rc == 0)
		rc = copy_setting(s, "account", s->server.account,
				  sizeof(s->server.account));
	if (rc == 0)
		rc = get_setting(s, "listen", &s->listen);
	if (rc == 0)
		rc = get_setting(s, "endpoint-host", &s->endpoint_host);
	if (rc == 0)
		rc = copy_setting(s, "port", port, sizeof(port));
	if (rc < 0)
		return rc;
	s->port = s->options->port >= 0 ? s->options->port : atoi(port);
	if (s->options->listen) {
		free(s->listen);
		s->listen = strdup(s->options->listen);
	}
	s->server.rotation_limit = s->options->rotation_limit;
	if (*s->options->regions)
		strcpy(s->server.regions, s->options->regions);
	return s->listen ? 0 : -ENOMEM;
}

/* A server that can be fooled about the time must have been made so. */
static int set_clock(struct serve *s)
{
	const char *file = s->options->test_clock;
	char *value = NULL;
	int rc = file ? store_get(s->server.store, "test", &value) : 0;

	free(value);
	if (rc == -ENOENT)
		log_error("%s: not made by init --test, so it keeps the real time; leave out --test-clock-file",
			  s->dir);
	if (rc < 0 || !file)
		return rc;
	log_warn("the clock is moved by %s, for tests only", file);
	clock_set_test_file(file);
	return 0;
}

static int open_store(struct serve *s)
{
	char *path = file_path(s->dir, FILE_DATABASE);
	int rc = path ? store_open(path, true, &s->server.store) : -ENOMEM;

	free(path);
	if (rc == 0)
		rc = root_key_check(s->dir, s->server.root, s->server.store);
	if (rc == 0)
		rc = set_clock(s);
	if (rc == 0)
		rc = material_upgrade(s->server.store, s->server.root);
	return rc == 0 ? read_settings(s) : rc;
}

static int open_socket(struct serve *s)
{
	struct listen_options o = { s->listen, s->port,
				    s->options->plain_http,
				    s->options->socket_mode };

	return listen_open(&o, &s->listener);
}

static char *make_url(const struct serve *s, const char *host)
{
	const char *scheme = s->options->plain_http ? "http" : "https";
	char *url = NULL;

	/* Any address means this one, for whoever asks on this machine. */
	if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
		host = DEFAULT_LISTEN;
	if (asprintf(&url, strchr(host, ':') ? "%s://[%s]:%d" : "%s://%s:%d",
		     scheme, host, s->listener.port) < 0)
		return NULL;
	return url;
}

/* DIR/endpoint exists while the server answers, and says where. */
static int publish_endpoint(struct serve *s)
{
	if (s->listener.path) {
		if (asprintf(&s->endpoint, LISTEN_UNIX "%s",
			     s->listener.path) < 0)
			s->endpoint = NULL;
	} else {
		s->endpoint = make_url(s, s->listen);
		s->client_endpoint = make_url(s, s->endpoint_host);
	}
	if (!s->endpoint || (!s->listener.path && !s->client_endpoint))
		return -ENOMEM;
	return file_write(s->dir, FILE_ENDPOINT, 0644, s->endpoint,
			  strlen(s->endpoint));
}

/* By trial, as the limit is none for who has CAP_IPC_LOCK. */
static void check_locked_memory(void)
{
	void *p = mmap(NULL, HTTP_LOCKED_BYTES, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);

	if (p == MAP_FAILED)
		log_warn("may not lock %d KiB of memory, so that requests fail when many come at once: raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)",
			 HTTP_LOCKED_BYTES / 1024);
	else
		munmap(p, HTTP_LOCKED_BYTES);
}

/* Certificates that clients must be signed by. */
static int read_client_ca(const char *path, struct secret **ret)
{
	char *folder = strdup(path), *name = strrchr(path, '/') + 1;
	struct secret *pem = NULL;
	int rc = folder ? 0 : -ENOMEM;

	if (rc == 0) {
		folder[name - path - 1] = '\0';
		rc = file_read(folder, name, 0, &pem);
	}
	if (rc == 0 &&
	    client_cert_count((const char *)secret_cbytes(pem)) <= 0) {
		log_error("%s: no certificates in PEM", path);
		rc = -EINVAL;
	}
	if (rc == 0)
		*ret = pem;
	else
		secret_free(pem);
	free(folder);
	return rc;
}

static void free_tls(struct http_tls *tls)
{
	secret_free(tls->certificate);
	secret_free(tls->key);
	secret_free(tls->client_ca);
}

/* Plain HTTP has none of it. */
static int read_tls(const struct serve *s, struct http_tls *ret)
{
	struct http_tls tls = { NULL, NULL, NULL };
	int rc = 0;

	if (s->options->plain_http)
		return 0;
	rc = file_read(s->dir, FILE_CERTIFICATE, 0, &tls.certificate);
	if (rc == 0)
		rc = file_read(s->dir, FILE_KEY, 1, &tls.key);
	if (rc == 0 && s->client_ca)
		rc = read_client_ca(s->client_ca, &tls.client_ca);
	if (rc == 0)
		*ret = tls;
	else
		free_tls(&tls);
	return rc;
}

/* On a copy of the socket: a next server can take over with no gap. */
static int listen_http(struct serve *s)
{
	int fd = fcntl(s->listener.fd, F_DUPFD_CLOEXEC, 0);
	enum transport transport = !s->options->plain_http ? TRANSPORT_TLS :
				   s->listener.path ? TRANSPORT_UNIX :
						      TRANSPORT_LOOPBACK;

	return fd < 0 ? -errno :
	       http_start(&s->server, fd, transport, &s->tls, &s->http);
}

/*
 * New connections get the new certificate; calls that run end with the old
 * one. A pair that is no good changes nothing.
 */
static void reload(struct serve *s)
{
	struct http_tls tls = s->tls;
	struct http *old = s->http;
	int rc;

	/* Nothing of plain HTTP changes, so that no connection need end. */
	if (s->options->plain_http)
		return;
	rc = read_tls(s, &s->tls);
	if (rc == 0)
		rc = listen_http(s);
	if (rc == 0) {
		http_stop(old);
		free_tls(&tls);
		log_info("certificate reloaded");
	} else {
		if (s->tls.certificate != tls.certificate)
			free_tls(&s->tls);
		s->tls = tls;
		log_warn("certificate not reloaded, keeping the old one");
	}
}

static int start_digests(struct serve *s)
{
	struct audit_digest_options o = {
		s->dir, s->server.account, s->server.regions,
		s->options->digest_seconds,
	};
	int rc = audit_start_digests(s->server.audit, &o);

	/* As with the live file: mended or not, nothing goes unrecorded. */
	if (rc < 0 && rc != -EBADMSG && rc != -EINVAL && rc != -EPERM)
		log_warn("%s/" FILE_AUDIT_DIR ": no digests until the next start: %s",
			 s->dir, strerror(-rc));
	return rc == -EBADMSG || rc == -EINVAL || rc == -EPERM ? rc : 0;
}

/* Its name, not what a link there leads to today. */
static int find_client_ca(struct serve *s)
{
	const char *path = s->options->client_ca;
	char *here = NULL;

	if (!path)
		return 0;
	if (*path == '/') {
		s->client_ca = strdup(path);
	} else {
		here = getcwd(NULL, 0);
		if (here)
			s->client_ca = file_path(here, path);
		free(here);
	}
	return s->client_ca ? 0 : -ENOMEM;
}

/* Paths of a sandbox, and who frees them. */
struct reach {
	struct sandbox_path paths[8];
	char *owned[8];
	size_t count;
};

/* Takes over @path; NULL: there is none. */
static void reach_add(struct reach *r, char *path, int access)
{
	if (!path)
		return;
	r->owned[r->count] = path;
	r->paths[r->count].path = path;
	r->paths[r->count++].access = access;
}

/* The folder of @path, where others of that name may come. */
static void reach_folder(struct reach *r, const char *path, int access)
{
	char *name = strdup(path);

	/* which may be relative, or a text of the C library's own */
	reach_add(r, name ? realpath(dirname(name), NULL) : NULL, access);
	free(name);
}

/* DIR, where its trail is, and what the options name. */
static int confine_files(struct serve *s)
{
	struct reach r = { .count = 0 };
	char *audit = file_path(s->dir, FILE_AUDIT_DIR);
	int rc;

	reach_add(&r, strdup(s->dir), SANDBOX_CHANGE);
	reach_add(&r, audit ? realpath(audit, NULL) : NULL, SANDBOX_CHANGE);
	reach_add(&r, strdup("/dev/urandom"), SANDBOX_READ);
	if (s->client_ca)
		reach_folder(&r, s->client_ca, SANDBOX_READ);
	if (s->options->test_clock)
		reach_folder(&r, s->options->test_clock, SANDBOX_READ);
	if (s->listener.made)
		reach_folder(&r, s->listener.path, SANDBOX_REMOVE);
	rc = sandbox_files(r.paths, r.count);
	while (r.count)
		free(r.owned[--r.count]);
	free(audit);
	return rc;
}

static int start(struct serve *s)
{
	int rc = lock_dir(s);

	if (rc == 0)
		rc = find_client_ca(s);
	if (rc < 0)
		return rc;
	below_warn(s->dir);
	rc = sandbox_privileges(s->dir);
	if (rc < 0)
		return rc;
	/* One that a killed server has left would name nobody. */
	withdraw_endpoint(s);
	check_locked_memory();
	rc = root_key_read(s->dir, &s->server.root);
	if (rc == 0)
		rc = read_tls(s, &s->tls);
	if (rc == 0)
		rc = open_store(s);
	if (rc == 0)
		rc = open_socket(s);
	if (rc == 0)
		rc = sandbox_bound();
	if (rc == 0)
		rc = confine_files(s);
	if (rc == 0)
		rc = audit_open(s->dir, &s->server.audit);
	if (rc == 0)
		rc = start_digests(s);
	if (rc == 0 && s->options->journal)
		rc = audit_forward(s->server.audit);
	if (rc < 0)
		return rc;
	s->server.throttle = throttle_new(s->options->rate);
	if (!s->server.throttle)
		return -ENOMEM;
	rc = policy_cache_new(&s->server.policies);
	if (rc == 0)
		rc = signing_keys_new(&s->server.signing);
	if (rc < 0)
		return rc;
	rc = reaper_start(&s->server, &s->server.reaper);
	if (rc < 0)
		return rc;
	rc = listen_http(s);
	if (rc == 0)
		rc = sandbox_calls();
	return rc < 0 ? rc : publish_endpoint(s);
}

static void announce(const struct serve *s)
{
	struct guide guide = { s->dir, s->client_endpoint, s->server.regions,
			       s->server.account };

	printf("listening on %s\n\n", s->endpoint);
	/* The guide is for clients that speak TLS over TCP. */
	if (s->options->plain_http || s->listener.path)
		fflush(stdout);
	else
		guide_print(&guide, true);
}

static void stop(struct serve *s)
{
	if (s->endpoint)
		withdraw_endpoint(s);
	http_stop(s->http);
	reaper_stop(s->server.reaper);
	policy_cache_free(s->server.policies);
	signing_keys_free(s->server.signing);
	throttle_free(s->server.throttle);
	audit_close(s->server.audit);
	store_close(s->server.store);
	secret_free(s->server.root);
	free_tls(&s->tls);
	listen_close(&s->listener);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s->endpoint);
	free(s->client_endpoint);
	free(s->endpoint_host);
	free(s->listen);
	free(s->client_ca);
	free(s->dir);
}

int cmd_serve(const struct serve_options *o)
{
	struct serve s = { .options = o, .lock_fd = -1, .port = -1,
			   .listener = { .fd = -1 } };
	sigset_t signals;
	int rc, number;

	umask(0077);
	/* A full disk or a client that left is an error code, not the end. */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	/* Before any thread, so that all of them inherit it. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	rc = start(&s);
	if (rc == 0) {
		announce(&s);
		notify("READY=1");
		while (sigwait(&signals, &number) == 0 && number == SIGHUP) {
			notify_reloading();
			reload(&s);
			notify("READY=1");
		}
		log_info("stopping");
		notify("STOPPING=1");
	}
	stop(&s);
	return rc;
}
