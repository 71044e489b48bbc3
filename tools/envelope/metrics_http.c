// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Metrics over HTTP, by libmicrohttpd. It is loaded here alone: with the
 * libraries that it brings it would be part of each start of this program.
 */
#include "metrics_http.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "log.h"
#include "volume.h"

#define MHD_FILE "libmicrohttpd.so.12"
#define CONNECTIONS 16
#define CONNECTION_SECONDS 10	/* without a word */
#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

static struct {
	typeof(MHD_start_daemon) *start_daemon;
	typeof(MHD_quiesce_daemon) *quiesce_daemon;
	typeof(MHD_stop_daemon) *stop_daemon;
	typeof(MHD_get_daemon_info) *get_daemon_info;
	typeof(MHD_get_timeout) *get_timeout;
	typeof(MHD_run) *run;
	typeof(MHD_create_response_from_buffer) *create_response_from_buffer;
	typeof(MHD_add_response_header) *add_response_header;
	typeof(MHD_queue_response) *queue_response;
	typeof(MHD_destroy_response) *destroy_response;
} mhd;

#define MHD_CALL(name) { "MHD_" #name, (void **)&mhd.name }

static int load(void)
{
	static const struct {
		const char *name;
		void **at;
	} calls[] = {
		MHD_CALL(start_daemon), MHD_CALL(quiesce_daemon),
		MHD_CALL(stop_daemon), MHD_CALL(get_daemon_info),
		MHD_CALL(get_timeout), MHD_CALL(run),
		MHD_CALL(create_response_from_buffer),
		MHD_CALL(add_response_header), MHD_CALL(queue_response),
		MHD_CALL(destroy_response),
	};
	void *library = dlopen(MHD_FILE, RTLD_NOW | RTLD_LOCAL);
	bool all = library;
	size_t i;

	for (i = 0; all && i < sizeof(calls) / sizeof(*calls); i++) {
		*calls[i].at = dlsym(library, calls[i].name);
		all = *calls[i].at;
	}
	if (all)
		return 0;
	log_error("cannot load " MHD_FILE " (%s): install libmicrohttpd, Debian's libmicrohttpd12",
		  dlerror());
	if (library)
		dlclose(library);
	return -EIO;
}

struct source {
	int (*get)(void *data, char **ret);
	void *data;
};

/* @text: for free(3), which @mode says, or not. */
static enum MHD_Result reply(struct MHD_Connection *c, unsigned int status,
			     const char *header, const char *value, char *text,
			     enum MHD_ResponseMemoryMode mode)
{
	enum MHD_Result r = MHD_NO;
	struct MHD_Response *response = mhd.create_response_from_buffer(
		strlen(text), text, mode);

	if (!response && mode == MHD_RESPMEM_MUST_FREE)
		free(text);
	if (!response)
		return MHD_NO;
	if (mhd.add_response_header(response, header, value) == MHD_YES)
		r = mhd.queue_response(c, status, response);
	mhd.destroy_response(response);
	return r;
}

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned int status,
			      char *text)
{
	bool method = status == MHD_HTTP_METHOD_NOT_ALLOWED;

	return reply(c, status, method ? MHD_HTTP_HEADER_ALLOW :
		     MHD_HTTP_HEADER_CONTENT_TYPE, method ? "GET, HEAD" :
		     "text/plain", text, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *c,
				  const char *url, const char *method,
				  const char *version, const char *body,
				  size_t *body_bytes, void **state)
{
	const struct source *source = data;
	char *text = NULL;

	(void)version;
	(void)body;
	/* The head; what follows it is answered, and nobody's. */
	if (!*state || *body_bytes > 0) {
		*state = data;
		*body_bytes = 0;
		return MHD_YES;
	}
	if (strcmp(url, "/metrics") != 0)
		return refuse(c, MHD_HTTP_NOT_FOUND,
			      "the metrics are at /metrics\n");
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED,
			      "the metrics can be read\n");
	if (source->get(source->data, &text) < 0)
		return refuse(c, MHD_HTTP_INTERNAL_SERVER_ERROR,
			      "the journal says what is wrong\n");
	return reply(c, MHD_HTTP_OK, MHD_HTTP_HEADER_CONTENT_TYPE,
		     CONTENT_TYPE, text, MHD_RESPMEM_MUST_FREE);
}

/* One that waits for nobody, or a client that has gone would be waited for. */
static int passed_socket(void)
{
	int fd = SD_LISTEN_FDS_START;

	if (sd_listen_fds(1) != 1 ||
	    sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
		log_error("--http answers on a socket that systemd listens on, and none was passed: systemctl enable --now envelope-metrics-http.socket");
		return -EINVAL;
	}
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		log_error("the passed socket: %s", strerror(errno));
		return -EIO;
	}
	return fd;
}

static bool is_busy(struct MHD_Daemon *daemon)
{
	return mhd.get_daemon_info(
		daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

static int serve(struct MHD_Daemon *daemon, uint64_t idle_ms)
{
	struct pollfd p = { .events = POLLIN };
	uint64_t end_ms = volume_clock_ms() + idle_ms;
	uint64_t now_ms, wait_ms;
	MHD_UNSIGNED_LONG_LONG its_ms;

	p.fd = mhd.get_daemon_info(daemon,
				   MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	while ((now_ms = volume_clock_ms()) < end_ms) {
		wait_ms = end_ms - now_ms;
		if (mhd.get_timeout(daemon, &its_ms) == MHD_YES &&
		    its_ms < wait_ms)
			wait_ms = its_ms;
		if (poll(&p, 1, wait_ms) < 0 && errno != EINTR)
			return -EIO;
		if (mhd.run(daemon) != MHD_YES)
			return -EIO;
		if (p.revents || is_busy(daemon))
			end_ms = volume_clock_ms() + idle_ms;
	}
	return 0;
}

int metrics_http_serve(int (*get)(void *data, char **ret), void *data,
		       unsigned int idle_ms)
{
	struct source source = { get, data };
	struct MHD_Daemon *daemon;
	int fd = passed_socket();
	int r = fd < 0 ? fd : load();

	if (r < 0)
		return r;
	daemon = mhd.start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, on_request, &source,
		MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_SECONDS,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	r = daemon ? serve(daemon, idle_ms) : -EIO;
	if (r < 0)
		log_error("cannot serve HTTP: libmicrohttpd fails");
	if (!daemon)
		return r;
	/* Who connects from now on waits there for the next process. */
	mhd.quiesce_daemon(daemon);
	mhd.stop_daemon(daemon);
	return r;
}
