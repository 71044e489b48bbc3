// SPDX-License-Identifier: GPL-2.0-or-later
/* Takes requests off the wire and puts the answers on it. */
#include "http.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth.h"
#include "body.h"
#include "client_cert.h"
#include "crowd.h"
#include "json.h"
#include "json_memory.h"
#include "log.h"
#include "operations.h"
#include "patience.h"
#include "peer.h"
#include "reply.h"
#include "sigv4.h"
#include "sts.h"
#include "throttle.h"
#include "tls_memory.h"

#define JSON_DEPTH_MAX 8
#define STACK_BYTES (512 * 1024)
/*
 * Of a connection: request line, headers, pieces of bodies. All of it is
 * cleared for each request. libmicrohttpd maps what is larger than 32 KiB, so
 * that it leaves memory with the connection, and takes less from the heap.
 */
#define POOL_BYTES (36 * 1024)
/* For a whole request, with the wait for its beginning. */
#define PATIENCE_MS (HTTP_IDLE_SECONDS * 1000 + HTTP_REQUEST_MS)
#define DRAIN_SECONDS 10        /* for running requests at the end */
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct http {
	struct server *server;
	enum transport transport;
	bool client_certs;      /* clients must have one */
	struct patience *patience;
	struct MHD_Daemon *daemon;
	atomic_int running;     /* requests that have begun and not ended */
};

/* One connection, the context of its socket. */
struct peer_connection {
	struct patience_wait wait; /* for a whole request */
	struct client_cert *cert;  /* NULL: none is asked for */
};

/* NULL: there was no memory. */
static struct peer_connection *of_socket(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void connection_begin(struct http *h,
			     struct MHD_Connection *connection, void **slot)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct peer_connection *p = info ? calloc(1, sizeof(*p)) : NULL;

	if (!p)
		return;
	p->wait.fd = info->connect_fd;
	if (h->client_certs)
		p->cert = client_cert_new(h->server->throttle, connection);
	*slot = p;
	patience_begin(h->patience, &p->wait);
}

static void connection_end(struct http *h, struct peer_connection *p)
{
	if (!p)
		return;
	patience_end(h->patience, &p->wait);
	client_cert_free(p->cert);
	free(p);
}

static void on_connection(void *arg, struct MHD_Connection *connection,
			  void **slot,
			  enum MHD_ConnectionNotificationCode what)
{
	crowd_notify(connection, what);
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		connection_begin(arg, connection, slot);
	} else {
		connection_end(arg, *slot);
		*slot = NULL;
	}
}

/* One request while it arrives. */
struct request {
	char *uri;              /* raw, with its query; NULL: no memory */
	struct peer peer;
	bool begun, known;      /* known: may send a large body */
	int body_rc;            /* of take_body(); negative: refused */
	size_t received;        /* bytes of body, with what is refused */
	struct body body;
	int64_t begin_ms;
};

/* Runs before anything else is known of a request. */
static void *request_begin(void *arg, const char *uri,
			   struct MHD_Connection *connection)
{
	struct request *r = calloc(1, sizeof(*r));
	struct http *h = arg;

	(void)connection;
	if (r) {
		atomic_fetch_add(&h->running, 1);
		r->uri = strdup(uri);
		r->begin_ms = server_wall_ms();
	}
	return r;
}

static void request_end(void *arg, struct MHD_Connection *connection,
			void **slot, enum MHD_RequestTerminationCode why)
{
	struct peer_connection *p = of_socket(connection);
	struct request *r = *slot;
	struct http *h = arg;

	(void)why;
	if (p) {
		patience_end(h->patience, &p->wait);
		patience_begin(h->patience, &p->wait); /* for the next one */
	}
	if (!r)
		return;
	atomic_fetch_sub(&h->running, 1);
	body_clear(&r->body);
	free(r->uri);
	free(r);
	*slot = NULL;
}

/* libmicrohttpd's callback when the last byte of a body is sent. */
static void release_body(void *body)
{
	secret_free(body);
}

/* Steals the body of @reply. */
static enum MHD_Result send_reply(struct MHD_Connection *connection,
				  struct reply *reply, const char *request_id,
				  bool close)
{
	struct MHD_Response *response;
	enum MHD_Result ok;

	if (reply->body)
		response = MHD_create_response_from_buffer_with_free_callback_cls(
			secret_len(reply->body), secret_bytes(reply->body),
			release_body, reply->body);
	else
		response = MHD_create_response_from_buffer(
			0, NULL, MHD_RESPMEM_PERSISTENT);
	if (!response) {
		secret_free(reply->body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				reply->xml ? "text/xml" :
				"application/x-amz-json-1.1");
	MHD_add_response_header(response, "x-amzn-RequestId", request_id);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
				"no-store");
	if (close)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION,
					"close");
	ok = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return ok;
}

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind,
				   const char *name, const char *value)
{
	struct sigv4_request *r = arg;

	(void)kind;
	if (r->header_count < SIGV4_HEADERS_MAX) {
		r->headers[r->header_count].name = name;
		r->headers[r->header_count].value = value ? value : "";
	}
	r->header_count++;
	return MHD_YES;
}

static void take_headers(struct MHD_Connection *connection,
			 struct sigv4_request *r)
{
	MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header,
				  r);
}

/*
 * Room for large bodies is scarce, and the signature is only known to hold
 * once a body has come: at least its head must name a key that exists.
 */
static bool may_be_large(const struct http *h,
			 struct MHD_Connection *connection, struct request *r,
			 const char *method)
{
	struct sigv4_request head = { .method = method };

	if (r->known)
		return true;
	take_headers(connection, &head);
	r->known = head.header_count <= SIGV4_HEADERS_MAX &&
		   auth_known(h->server, &head);
	return r->known;
}

static int take_body(const struct http *h, struct MHD_Connection *connection,
		     struct request *r, const char *method, const char *data,
		     size_t bytes)
{
	r->received += bytes;
	if (r->received > BODY_MAX_BYTES)
		return -EFBIG;
	if (r->body_rc < 0)
		return r->body_rc;
	if (r->received > BODY_SMALL_BYTES &&
	    !may_be_large(h, connection, r, method))
		return -EACCES;
	return body_append(&r->body, data, bytes);
}

/* The path of every operation is "/"; a query could only carry a signature. */
static enum error check_uri(const char *uri, char *why)
{
	why[0] = '\0';
	if (strcmp(uri, "/") == 0)
		return ERR_NONE;
	if (!strstr(uri, "X-Amz-"))
		return ERR_UNKNOWN_OPERATION;
	snprintf(why, SIGV4_WHY_BYTES,
		 "Query-string authentication is not accepted; sign the Authorization header.");
	return ERR_INCOMPLETE_SIGNATURE;
}

/* Whose request it is, from all that was received. */
static enum error identify(const struct server *s, struct request *r,
			   struct sigv4_request *signature,
			   struct identity *ret, char *why)
{
	enum error e;

	why[0] = '\0';
	if (r->body_rc == -EFBIG) {
		snprintf(why, SIGV4_WHY_BYTES,
			 "The request is larger than %d bytes.",
			 BODY_MAX_BYTES);
		return ERR_REQUEST_TOO_LARGE;
	}
	if (r->body_rc == -EBUSY) {
		snprintf(why, SIGV4_WHY_BYTES,
			 "Too many large requests at once.");
		return ERR_THROTTLING;
	}
	if (signature->header_count > SIGV4_HEADERS_MAX) {
		snprintf(why, SIGV4_WHY_BYTES,
			 "The request has more than %d headers.",
			 SIGV4_HEADERS_MAX);
		return ERR_REQUEST_TOO_LARGE;
	}
	e = check_uri(r->uri, why);
	if (e != ERR_NONE)
		return e;
	if (crypto_sha256(body_bytes(&r->body), r->body.used,
			  signature->body_sha256) < 0)
		return ERR_INTERNAL;
	e = authenticate(s, signature, ret, why);
	/* Its head was nobody's when its body was thrown away. */
	if (e == ERR_NONE && r->body_rc == -EACCES) {
		identity_free(ret);
		e = ERR_THROTTLING;
	}
	return e;
}

/* An operation name fit for the trail; others are "Unknown". */
static const char *read_target(const struct sigv4_request *r)
{
	static const char prefix[] = "TrentService.";
	const char *target = sigv4_header(r, "x-amz-target");
	size_t n;

	if (!target || strncmp(target, prefix, sizeof(prefix) - 1) != 0)
		return "Unknown";
	target += sizeof(prefix) - 1;
	n = strspn(target, "abcdefghijklmnopqrstuvwxyz"
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
	return n && n <= 64 && !target[n] ? target : "Unknown";
}

static json_t *read_body(const struct request *r)
{
	char why[JSON_WHY_BYTES];
	json_t *json = NULL;

	/* The body as the JSON tree stays in wiped, not in locked memory. */
	if (json_parse_strict((const char *)body_bytes(&r->body), r->body.used,
			      JSON_DEPTH_MAX, &json, why) < 0)
		return NULL;
	if (!json_is_object(json)) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static void run_call(struct request *r, const struct sigv4_request *signature,
		     struct call *c, struct reply *reply)
{
	json_memory_begin();
	c->user_agent = sigv4_header(signature, "user-agent");
	if (sts_is_request(signature)) {
		sts_read(c, (const char *)body_bytes(&r->body), r->body.used);
	} else {
		c->target = read_target(signature);
		c->operation = operation_find(c->target);
		c->params = read_body(r);
	}
	if (strcmp(signature->method, "POST") != 0)
		c->operation = NULL;
	c->throttled = throttle_account(c->server->throttle,
					c->who.user.account,
					server_wall_ms());
	operation_run(c);
	if (c->source)
		sts_reply_of_call(c, reply);
	else
		reply_of_call(c, reply);
	call_free(c);
	json_memory_end();
}

/*
 * GET /health, the only answer to who has not signed: 200 when the database
 * can be read, 503 when not, and no word more.
 */
static enum MHD_Result answer_health(struct http *h,
				     struct MHD_Connection *connection)
{
	struct reply reply = { .status = MHD_HTTP_OK };
	char request_id[CRYPTO_UUID_BYTES] = "";
	char *version = NULL;

	if (crypto_uuid(request_id) < 0 ||
	    store_get(h->server->store, "schema", &version) < 0)
		reply.status = MHD_HTTP_SERVICE_UNAVAILABLE;
	free(version);
	return send_reply(connection, &reply, request_id, false);
}

/* In the words of the service that was meant. */
static void refuse(const struct sigv4_request *r, const struct call *c,
		   enum error e, const char *why, struct reply *reply)
{
	if (sts_is_request(r))
		sts_reply_error(e, why, c->request_id, reply);
	else
		reply_error(e, why, reply);
}

static enum MHD_Result answer(struct http *h, struct MHD_Connection *connection,
			      const char *method, struct request *r)
{
	struct sigv4_request signature = { .method = method };
	struct call call, *c = &call;
	char why[SIGV4_WHY_BYTES];
	struct reply reply;
	enum MHD_Result ok;
	enum error e;

	call_init(c, h->server);
	if (r->body_rc == -ENOMEM || !r->uri ||
	    crypto_uuid(c->request_id) < 0)
		return MHD_NO;
	c->transport = h->transport;
	strcpy(c->source_address, r->peer.address);
	take_headers(connection, &signature);
	/* Who asks and what he may are read of one moment. */
	store_read_begin(h->server->store);
	e = identify(h->server, r, &signature, &c->who, why);
	if (e != ERR_NONE)
		store_read_end(h->server->store);
	if (e == ERR_NONE) {
		run_call(r, &signature, c, &reply);
	} else if (e == ERR_INTERNAL || e == ERR_THROTTLING ||
		   throttle_failure(h->server->throttle, r->peer.source,
				    server_wall_ms())) {
		refuse(&signature, c, e, why, &reply);
	} else {
		refuse(&signature, c, ERR_THROTTLING, "Rate exceeded", &reply);
	}
	ok = send_reply(connection, &reply, c->request_id, e != ERR_NONE);
	call_wipe(c);
	return ok;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *data,
				  size_t *bytes, void **slot)
{
	struct peer_connection *p = of_socket(connection);
	struct request *r = *slot;
	const struct http *h = arg;

	(void)url;
	(void)version;
	if (!r || !p)
		return MHD_NO;
	if (!r->begun) {
		if (h->client_certs && !client_cert_shown(p->cert))
			return MHD_NO;
		r->begun = true;
		peer_of(connection, &r->peer);
		r->body.source = body_source(r->peer.source);
		return MHD_YES;
	}
	if (*bytes == 0)
		patience_end(h->patience, &p->wait);
	if (*bytes == 0 && r->uri && strcmp(r->uri, "/health") == 0 &&
	    strcmp(method, MHD_HTTP_METHOD_GET) == 0)
		return answer_health(arg, connection);
	if (*bytes == 0)
		return answer(arg, connection, method, r);
	/* Slower than this is not a client but a siege. */
	if (server_wall_ms() - r->begin_ms > HTTP_REQUEST_MS)
		return MHD_NO;
	r->body_rc = take_body(arg, connection, r, method, data, *bytes);
	/* The rest of what is refused is read, but nothing of it kept. */
	if (r->body_rc < 0)
		body_clear(&r->body);
	*bytes = 0;
	return MHD_YES;
}

/*
 * TLS records pass through GnuTLS's buffers in the clear, and its debug log,
 * which an environment variable turns on before main(), has session keys.
 */
static void harden_tls(void)
{
	gnutls_global_set_log_level(0);
	tls_memory_use();
}

/* What TLS adds to the daemon's options; ends at once for plain HTTP. */
static void tls_options(const struct http_tls *tls,
			struct MHD_OptionItem ret[static 5])
{
	size_t n = 0;

	if (tls->certificate) {
		ret[n++] = (struct MHD_OptionItem){
			MHD_OPTION_HTTPS_MEM_CERT, 0,
			secret_bytes(tls->certificate) };
		ret[n++] = (struct MHD_OptionItem){
			MHD_OPTION_HTTPS_MEM_KEY, 0,
			secret_bytes(tls->key) };
		ret[n++] = (struct MHD_OptionItem){
			MHD_OPTION_HTTPS_PRIORITIES, 0, PRIORITIES };
	}
	if (tls->client_ca) {
		ret[n++] = (struct MHD_OptionItem){
			MHD_OPTION_HTTPS_MEM_TRUST, 0,
			secret_bytes(tls->client_ca) };
	}
	ret[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
}

/* libmicrohttpd closes the socket also when it fails. */
static int start_daemon(struct http *h, int fd, const struct http_tls *tls)
{
	struct MHD_OptionItem more[5];

	tls_options(tls, more);
	h->daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD |
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC |
		(tls->certificate ? MHD_USE_TLS : 0),
		0, crowd_accept, NULL, on_request, h,
		MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, CROWD_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_SECONDS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
		MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_URI_LOG_CALLBACK, request_begin, h,
		MHD_OPTION_NOTIFY_COMPLETED, request_end, h,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
		MHD_OPTION_ARRAY, more,
		MHD_OPTION_END);
	if (h->daemon)
		return 0;
	log_error(tls->certificate ?
		  "cannot start the HTTPS server: check server.pem and server.key" :
		  "cannot start the HTTP server");
	return -EIO;
}

int http_start(struct server *s, int fd, enum transport transport,
	       const struct http_tls *tls, struct http **ret)
{
	struct http *h = calloc(1, sizeof(*h));
	int rc = h ? patience_start(PATIENCE_MS, &h->patience) : -ENOMEM;

	if (rc < 0) {
		close(fd);
		free(h);
		return -ENOMEM;
	}
	h->server = s;
	h->transport = transport;
	h->client_certs = tls->client_ca;
	harden_tls();
	json_memory_use();
	rc = start_daemon(h, fd, tls);
	if (rc < 0) {
		patience_stop(h->patience);
		free(h);
		return rc;
	}
	*ret = h;
	return 0;
}

void http_stop(struct http *h)
{
	struct timespec tick = { 0, 20 * 1000 * 1000 };
	int fd, i;

	if (!h)
		return;
	fd = MHD_quiesce_daemon(h->daemon);
	for (i = 0; i < DRAIN_SECONDS * 50 && atomic_load(&h->running); i++)
		nanosleep(&tick, NULL);
	MHD_stop_daemon(h->daemon);
	if (fd >= 0)
		close(fd);
	patience_stop(h->patience);
	free(h);
}
