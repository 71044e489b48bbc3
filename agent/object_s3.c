// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Objects in a bucket of S3, or of what speaks like it. An object appears whole
 * or not at all by the server's own doing; what it does not promise, readers
 * check by SHA-256.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http.h"
#include "log.h"
#include "object_private.h"
#include "object_s3_list.h"

#define TIMEOUT_MS 120000u		/* of one request, with its attempts */
#define ATTEMPT_MS 30000u
#define LIST_BYTES (4u << 20)
#define SMALL_BYTES 65536u		/* up to this nobody looks before */
#define ONE_ANSWER_BYTES (1u << 20)
#define SESSIONS 64
#define URL_BYTES 4096
#define SHA256_HEX_CHARS 65
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define BUCKET_CHARS "abcdefghijklmnopqrstuvwxyz0123456789.-"
#define PREFIX_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/"
#define UNRESERVED "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"

/* One thread's. */
struct session {
	struct http *http;
	struct credentials_source *credentials;
};

struct s3 {
	struct object_store st;
	char bucket[64];
	char prefix[256];		/* "" or "a/b/" */
	char base[512];			/* URL of the bucket, without a slash */
	char region[64];
	char *ca_file;
	char *profile;
	char server[288];		/* as --store-endpoint; "": Amazon's */
	bool plain;
	atomic_bool never_copies;	/* it has refused to */
	struct credentials_query query;
	pthread_mutex_t lock;
	struct session idle[SESSIONS];
	size_t idle_count;
};

static struct s3 *to_s3(struct object_store *st)
{
	return (struct s3 *)st;
}

static void end_session(struct session *s)
{
	http_close(s->http);
	credentials_close(s->credentials);
}

static int new_session(struct s3 *s3, struct session *ret)
{
	int r = http_open(TIMEOUT_MS, &ret->http);

	if (r == 0)
		r = credentials_open(&s3->query, &ret->credentials);
	if (r < 0)
		end_session(ret);
	return r;
}

static int take_session(struct s3 *s3, struct session *ret)
{
	bool found = false;

	*ret = (struct session){ 0 };
	pthread_mutex_lock(&s3->lock);
	if (s3->idle_count > 0) {
		*ret = s3->idle[--s3->idle_count];
		found = true;
	}
	pthread_mutex_unlock(&s3->lock);
	return found ? http_restart(ret->http, TIMEOUT_MS) :
		       new_session(s3, ret);
}

static void give_session(struct s3 *s3, struct session *s)
{
	bool kept = false;

	pthread_mutex_lock(&s3->lock);
	if (s3->idle_count < SESSIONS) {
		s3->idle[s3->idle_count++] = *s;
		kept = true;
	}
	pthread_mutex_unlock(&s3->lock);
	if (!kept)
		end_session(s);
}

/* What is asked of the server, and what it said. */
struct ask {
	const char *method;
	const char *name;		/* of the object, or NULL: the bucket */
	const char *query;		/* "a=b", sorted and encoded; or NULL */
	const void *body;
	size_t body_bytes;
	bool if_absent;			/* put: only where there is none */
	const char *copy_of;		/* put: "/BUCKET/KEY", no body; or NULL */
	uint8_t *into;			/* the answer's body */
	size_t into_bytes;
	/* Its answer. */
	long status;
	size_t bytes;
	uint64_t length;		/* that its header names; HEAD */
	uint64_t age_seconds;		/* likewise */
};

static int explain_failure(const struct s3 *s3, const struct ask *a,
			   const struct http *http, enum http_failure why)
{
	const char *object = a->name ? a->name : "its objects";

	switch (why) {
	case HTTP_TIMEOUT:
		log_error("'%s': %s: no answer within %u s; check the network",
			  s3->st.url, object, TIMEOUT_MS / 1000);
		break;
	case HTTP_TLS:
		log_error("'%s': %s: the certificate of %s is not valid for it (%s); check --store-ca-file",
			  s3->st.url, object, s3->base, http_detail(http));
		break;
	case HTTP_CA_FILE:
		log_error("'%s': %s: --store-ca-file '%s' is no readable PEM file of CA certificates",
			  s3->st.url, object, s3->ca_file ? s3->ca_file : "");
		break;
	case HTTP_OVERSIZED:
		log_error("'%s': %s is damaged or forged: it is longer than it may be; take another copy of the store",
			  s3->st.url, object);
		return -EBADMSG;
	case HTTP_REDIRECT:
		log_error("'%s': %s: %s answers with a redirect, which is never followed; name the bucket's own --store-region or --store-endpoint",
			  s3->st.url, object, s3->base);
		break;
	default:
		log_error("'%s': %s: %s cannot be reached (%s); check the network and --store-endpoint",
			  s3->st.url, object, s3->base, http_detail(http));
	}
	return -EHOSTUNREACH;
}

/* Not the object alone is missing. */
static bool lacks_bucket(const struct ask *a)
{
	char code[64];

	s3_error_code(a->into, a->bytes, code, sizeof(code));
	return strcmp(code, "NoSuchBucket") == 0;
}

/* A status that is no success, and that the caller has no use for. */
static int explain_status(const struct s3 *s3, const struct ask *a)
{
	const char *object = a->name ? a->name : "its objects";
	char code[64];

	s3_error_code(a->into, a->into ? a->bytes : 0, code, sizeof(code));
	if (a->status == 403 || a->status == 401) {
		log_error("'%s': %s %s is denied%s%s; check the credentials, the clock and the bucket's policy",
			  s3->st.url, a->method, object, code[0] ? ": " : "",
			  code);
		return -EACCES;
	}
	if (a->status == 507 || strcmp(code, "QuotaExceeded") == 0) {
		log_error("'%s': no room for %s: free some, or raise the quota",
			  s3->st.url, object);
		return -ENOSPC;
	}
	if (a->status >= 500 || a->status == 429) {
		log_error("'%s': %s %s fails at the server (status %ld%s%s); try again later",
			  s3->st.url, a->method, object, a->status,
			  code[0] ? ", " : "", code);
		return -EHOSTUNREACH;
	}
	if (strcmp(code, "NoSuchBucket") == 0) {
		log_error("'%s': there is no such bucket: make it first",
			  s3->st.url);
		return -EIO;
	}
	log_error("'%s': %s %s is refused (status %ld%s%s)", s3->st.url,
		  a->method, object, a->status, code[0] ? ", " : "", code);
	return -EIO;
}

static int hash(const void *p, size_t bytes, char ret[SHA256_HEX_CHARS])
{
	uint8_t digest[32];
	size_t i;

	if (bytes == 0) {
		strcpy(ret, EMPTY_SHA256);
		return 0;
	}
	if (!EVP_Digest(p, bytes, digest, NULL, EVP_sha256(), NULL)) {
		log_error("OpenSSL refused to compute a SHA-256");
		return -EIO;
	}
	for (i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

/* Seconds of an HTTP date; -1: it is none. */
static int64_t seconds_of(const char *text)
{
	struct tm tm = { 0 };

	if (!text || !strptime(text, "%a, %d %b %Y %H:%M:%S", &tm))
		return -1;
	return timegm(&tm);
}

/* By the server's own clock. */
static uint64_t age_of(const struct http *http)
{
	int64_t then = seconds_of(http_header(http, "Last-Modified"));
	int64_t now = seconds_of(http_header(http, "Date"));

	return then >= 0 && now > then ? (uint64_t)(now - then) : 0;
}

static void take_headers(const struct http *http, struct ask *a)
{
	const char *length = http_header(http, "Content-Length");

	a->length = length ? strtoull(length, NULL, 10) : 0;
	a->age_seconds = age_of(http);
}

static int send_with(const struct s3 *s3, struct session *s, struct ask *a,
		     const char *url, const char *sha256)
{
	const struct http_header headers[] = {
		{ "x-amz-content-sha256", sha256 },
		{ a->copy_of ? "x-amz-copy-source" :
		  a->if_absent ? "If-None-Match" : NULL,
		  a->copy_of ? a->copy_of : "*" },
		{ 0 },
	};
	struct http_request q = {
		.method = a->method,
		.endpoint = url,
		.plain = s3->plain,
		.ca_file = s3->ca_file,
		.region = s3->region,
		.service = "s3",
		/* Without one curl would sign that there is none. */
		.content_type = "application/octet-stream",
		.headers = headers,
		.body = a->body,
		.body_bytes = a->body_bytes,
		.into = a->into,
		.into_bytes = a->into_bytes,
		.attempt_ms = ATTEMPT_MS,
	};
	struct http_answer answer = { 0 };
	enum http_failure why = HTTP_OK;
	int r = credentials_get(s->credentials, http_left_ms(s->http),
				&q.credentials);

	if (r < 0)
		return r;
	r = http_send(s->http, &q, &answer, &why);
	if (r == -EHOSTUNREACH)
		return explain_failure(s3, a, s->http, why);
	if (r == 0) {
		a->status = answer.status;
		a->bytes = answer.body_bytes;
		take_headers(s->http, a);
		if (a->status == 403)
			credentials_drop(s->credentials);
	}
	http_answer_wipe(&answer);
	return r;
}

static int ask(struct s3 *s3, struct ask *a)
{
	char sha256[SHA256_HEX_CHARS];
	char url[URL_BYTES];
	struct session s;
	int n, r;

	n = snprintf(url, sizeof(url), "%s%s%s%s%s%s", s3->base,
		     a->name ? "/" : "", a->name ? s3->prefix : "", a->name ? a->name : "",
		     a->query ? "?" : "", a->query ? a->query : "");
	if (n >= (int)sizeof(url))
		return -EIO;
	r = hash(a->body, a->body_bytes, sha256);
	if (r == 0)
		r = take_session(s3, &s);
	if (r < 0)
		return r;
	r = send_with(s3, &s, a, url, sha256);
	give_session(s3, &s);
	return r;
}

static int look(struct object_store *st, const char *name,
		struct object_info *ret)
{
	struct ask a = { .method = "HEAD", .name = name };
	int r = ask(to_s3(st), &a);

	if (r < 0)
		return r;
	if (a.status == 404)
		return -ENOENT;
	if (a.status != 200)
		return explain_status(to_s3(st), &a);
	ret->bytes = a.length;
	ret->age_seconds = a.age_seconds;
	return 0;
}

/*
 * Where the server knows no condition it writes over the same bytes, or refuses
 * with 501, and is asked without.
 */
static int put(struct object_store *st, const char *name, const void *p,
	       size_t bytes, bool replace)
{
	struct object_info info;
	uint8_t answer[8192];
	struct ask a = {
		.method = "PUT",
		.name = name,
		.body = p,
		.body_bytes = bytes,
		.if_absent = !replace,
		.into = answer,
		.into_bytes = sizeof(answer),
	};
	int r;

	/* What is there already need not travel. */
	if (!replace && bytes > SMALL_BYTES) {
		r = look(st, name, &info);
		if (r != -ENOENT)
			return r < 0 ? r : -EEXIST;
	}
	r = ask(to_s3(st), &a);
	if (r == 0 && a.status == 501 && a.if_absent) {
		a.if_absent = false;
		r = ask(to_s3(st), &a);
	}
	if (r < 0)
		return r;
	if (a.status == 412)
		return -EEXIST;
	return a.status == 200 ? 0 : explain_status(to_s3(st), &a);
}

/* Of one server, and of one region of Amazon's. */
static bool is_same_server(const struct s3 *a, const struct s3 *b)
{
	return strcmp(a->server, b->server) == 0 &&
	       strcmp(a->region, b->region) == 0;
}

/*
 * It may say 200, and only then notice that it fails: what it says behind that
 * counts. Why it does not want to nobody needs to know.
 */
static int clone_object(struct object_store *from, struct object_store *to,
			const char *name)
{
	const struct s3 *source = to_s3(from);
	struct s3 *s3 = to_s3(to);
	uint8_t answer[8192];
	char of[sizeof(source->bucket) + sizeof(source->prefix) +
		OBJECT_NAME_CHARS];
	struct ask a = {
		.method = "PUT",
		.name = name,
		.copy_of = of,
		.into = answer,
		.into_bytes = sizeof(answer),
	};
	int r;

	if (!is_same_server(source, s3) || s3->never_copies)
		return -EOPNOTSUPP;
	snprintf(of, sizeof(of), "/%s/%s%s", source->bucket, source->prefix,
		 name);
	r = ask(s3, &a);
	if (r < 0)
		return r;
	if (a.status == 200 && s3_says_copied(answer, a.bytes))
		return 0;
	/* Not asked again for every block. */
	if (a.status == 403 || a.status == 405 || a.status == 501)
		s3->never_copies = true;
	return -EOPNOTSUPP;
}

static int get(struct object_store *st, const char *name, uint64_t max_bytes,
	       uint8_t **ret, size_t *bytes_ret)
{
	struct ask a = { .method = "GET", .name = name };
	struct object_info info;
	int r = 0;

	/* Of what may be large its length is asked for first. */
	if (max_bytes > ONE_ANSWER_BYTES) {
		r = look(st, name, &info);
		if (r == 0 && info.bytes > max_bytes) {
			log_error("'%s': damaged or forged: %s is too long",
				  st->url, name);
			r = -EBADMSG;
		}
		max_bytes = info.bytes;
	}
	if (r < 0)
		return r;
	/* An error's own text has to have room, too. */
	a.into_bytes = max_bytes < 8192 ? 8192 : max_bytes;
	a.into = malloc(a.into_bytes + 1);
	if (!a.into)
		return -ENOMEM;
	r = ask(to_s3(st), &a);
	if (r == 0 && a.status == 404 && !lacks_bucket(&a))
		r = -ENOENT;
	else if (r == 0 && a.status != 200)
		r = explain_status(to_s3(st), &a);
	if (r < 0) {
		free(a.into);
		return r;
	}
	*ret = a.into;
	*bytes_ret = a.bytes;
	return 0;
}

static int remove_object(struct object_store *st, const char *name)
{
	uint8_t answer[8192];
	struct ask a = {
		.method = "DELETE",
		.name = name,
		.into = answer,
		.into_bytes = sizeof(answer),
	};
	int r = ask(to_s3(st), &a);

	if (r < 0)
		return r;
	return a.status == 200 || a.status == 204 || a.status == 404 ? 0 :
	       explain_status(to_s3(st), &a);
}

/* @text percent-encoded to the end of @ret. */
static int encode(const char *text, char *ret, size_t room)
{
	size_t at = strlen(ret);

	for (; *text; text++) {
		if (at + 4 > room)
			return -EIO;
		if (strchr(UNRESERVED, *text))
			ret[at++] = *text;
		else
			at += snprintf(ret + at, 4, "%%%02X",
				       (unsigned char)*text);
	}
	ret[at] = '\0';
	return 0;
}

struct listing {
	struct s3 *s3;
	const char *prefix;		/* below that of the store */
	time_t now;
	int (*each)(void *user, const struct object_info *info);
	void *user;
};

/* "2026-01-02T03:04:05.678Z" */
static uint64_t age_since(const char *modified, time_t now)
{
	struct tm tm = { 0 };
	time_t then;

	if (!strptime(modified, "%Y-%m-%dT%H:%M:%S", &tm))
		return 0;
	then = timegm(&tm);
	return now > then ? (uint64_t)(now - then) : 0;
}

static bool is_name(const char *name)
{
	return name[0] && strspn(name, PREFIX_CHARS) == strlen(name) &&
	       strlen(name) < OBJECT_NAME_CHARS && !strstr(name, "..");
}

static int tell(void *user, const char *key, uint64_t size,
		const char *modified)
{
	const struct listing *l = user;
	size_t n = strlen(l->s3->prefix);
	struct object_info info = {
		.name = key + strnlen(key, n),
		.bytes = size,
		.age_seconds = age_since(modified, l->now),
	};

	/* What nobody asked for is not believed. */
	if (strncmp(key, l->s3->prefix, n) != 0 ||
	    strncmp(info.name, l->prefix, strlen(l->prefix)) != 0)
		return -EBADMSG;
	/* What no store has put there would be another request's. */
	return is_name(info.name) ? l->each(l->user, &info) : 0;
}

static int is_nonsense(const struct listing *l)
{
	log_error("'%s': the server's list of %s makes no sense; check --store-endpoint",
		  l->s3->st.url, l->prefix);
	return -EBADMSG;
}

static int ask_page(const struct listing *l, const char *token, struct ask *a)
{
	char query[URL_BYTES - 1024] = "";
	int r = 0;

	if (token) {
		strcpy(query, "continuation-token=");
		r = encode(token, query, sizeof(query) - 32);
		if (r < 0)
			return is_nonsense(l);
		strcat(query, "&");
	}
	strcat(query, "list-type=2&prefix=");
	r = encode(l->s3->prefix, query, sizeof(query));
	if (r == 0)
		r = encode(l->prefix, query, sizeof(query));
	a->query = query;
	/* Of the longest token and the longest prefix. */
	if (r < 0)
		return is_nonsense(l);
	r = ask(l->s3, a);
	a->query = NULL;
	return r;
}

/* One page behind @token (NULL: the first); *@next_ret is where it goes on. */
static int list_page(struct listing *l, const char *token, char **next_ret,
		     uint8_t *answer)
{
	struct ask a = {
		.method = "GET",
		.into = answer,
		.into_bytes = LIST_BYTES,
	};
	int r = ask_page(l, token, &a);

	if (r < 0)
		return r;
	if (a.status != 200)
		return explain_status(l->s3, &a);
	r = s3_list_parse(answer, a.bytes, tell, l, next_ret);
	/* From where it was before it would never end. */
	if (r == -EBADMSG || (r == 0 && *next_ret && token &&
			      strcmp(*next_ret, token) == 0))
		r = is_nonsense(l);
	return r;
}

static int each(struct object_store *st, const char *prefix,
		int (*function)(void *user, const struct object_info *info),
		void *user)
{
	struct listing l = { to_s3(st), prefix, time(NULL), function, user };
	uint8_t *answer = malloc(LIST_BYTES);
	char *token = NULL, *next = NULL;
	int r = answer ? 0 : -ENOMEM;

	do {
		if (r == 0)
			r = list_page(&l, token, &next, answer);
		free(token);
		token = next;
		next = NULL;
	} while (r == 0 && token);
	free(token);
	free(answer);
	return r;
}

static int see(void *user, const struct object_info *info)
{
	(void)info;
	*(bool *)user = false;
	return 1;
}

static int empty(struct object_store *st, bool *ret)
{
	int r;

	*ret = true;
	r = each(st, "", see, ret);
	return r < 0 ? r : 0;
}

static void close_s3(struct object_store *st)
{
	struct s3 *s3 = to_s3(st);

	while (s3->idle_count > 0)
		end_session(&s3->idle[--s3->idle_count]);
	pthread_mutex_destroy(&s3->lock);
	free(s3->ca_file);
	free(s3->profile);
	free(s3);
}

static const struct object_ops ops = {
	.close = close_s3,
	.put = put,
	.get = get,
	.clone = clone_object,
	.look = look,
	.remove = remove_object,
	.each = each,
	.empty = empty,
};

/* "BUCKET[/PREFIX]": names that need no escape anywhere. */
static int parse_place(const char *place, struct s3 *s3)
{
	size_t n = strspn(place, BUCKET_CHARS);
	const char *prefix = place + n;
	size_t chars;

	if (n < 3 || n >= sizeof(s3->bucket) || (*prefix && *prefix != '/')) {
		log_error("'s3://%s': a bucket has 3 to 63 of a-z, 0-9, - and .",
			  place);
		return -EINVAL;
	}
	memcpy(s3->bucket, place, n);
	while (*prefix == '/')
		prefix++;
	chars = strlen(prefix);
	while (chars > 0 && prefix[chars - 1] == '/')
		chars--;
	if (strspn(prefix, PREFIX_CHARS) < chars || strstr(prefix, "//") ||
	    strstr(prefix, "..") || chars + 2 > sizeof(s3->prefix)) {
		log_error("'s3://%s': a prefix has up to %zu letters, digits, - . _ and /",
			  place, sizeof(s3->prefix) - 2);
		return -EINVAL;
	}
	if (chars > 0)
		snprintf(s3->prefix, sizeof(s3->prefix), "%.*s/", (int)chars,
			 prefix);
	return 0;
}

/* Plain HTTP does not leave this machine. */
static bool is_loopback(const char *endpoint)
{
	const char *host = http_host(endpoint);
	size_t n = strcspn(host, ":/");

	return (n == 9 && strncmp(host, "127.0.0.1", n) == 0) ||
	       (n == 9 && strncmp(host, "localhost", n) == 0) ||
	       strncmp(host, "[::1]", 5) == 0;
}

static int set_base(struct s3 *s3, const char *endpoint)
{
	size_t n = endpoint ? strlen(endpoint) : 0;

	if (!endpoint) {
		/* A certificate for *.s3... does not cover names with dots. */
		snprintf(s3->base, sizeof(s3->base), strchr(s3->bucket, '.') ?
			 "https://s3.%1$s.amazonaws.com/%2$s" :
			 "https://%2$s.s3.%1$s.amazonaws.com", s3->region,
			 s3->bucket);
		return 0;
	}
	while (n > 0 && endpoint[n - 1] == '/')
		n--;
	s3->plain = strncmp(endpoint, "http://", 7) == 0;
	if (n > 256 || (!s3->plain && strncmp(endpoint, "https://", 8) != 0) ||
	    (s3->plain && !is_loopback(endpoint))) {
		log_error("--store-endpoint: '%s' is not https://HOST[:PORT]",
			  endpoint);
		return -EINVAL;
	}
	snprintf(s3->server, sizeof(s3->server), "%.*s", (int)n, endpoint);
	snprintf(s3->base, sizeof(s3->base), "%s/%s", s3->server, s3->bucket);
	return 0;
}

static const char *region_of(const struct object_access *access)
{
	const char *region = access ? access->region : NULL;

	if (!region)
		region = getenv("AWS_REGION");
	if (!region)
		region = getenv("AWS_DEFAULT_REGION");
	return region && region[0] ? region : "us-east-1";
}

static int copy_text(const char *from, char **ret)
{
	*ret = from ? strdup(from) : NULL;
	return from && !*ret ? -ENOMEM : 0;
}

static int set_access(struct s3 *s3, const struct object_access *access)
{
	const char *region = region_of(access);
	const char *profile = access && access->profile ? access->profile :
			      getenv("AWS_PROFILE");
	int r;

	if (strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") !=
	    strlen(region) || strlen(region) >= sizeof(s3->region)) {
		log_error("--store-region: '%s' is no region", region);
		return -EINVAL;
	}
	strcpy(s3->region, region);
	r = copy_text(access ? access->ca_file : NULL, &s3->ca_file);
	if (r == 0)
		r = copy_text(profile, &s3->profile);
	if (r == 0)
		r = set_base(s3, access ? access->endpoint : NULL);
	s3->query = (struct credentials_query){
		.profile = s3->profile,
		.profile_by_option = access && access->profile,
		.environment = true,
		.region = s3->region,
		.ca_file = NULL,
	};
	return r;
}

int object_s3_open(const char *place, const struct object_access *access,
		   struct object_store **ret)
{
	struct s3 *s3 = calloc(1, sizeof(*s3));
	int r;

	if (!s3)
		return -ENOMEM;
	s3->st.ops = &ops;
	pthread_mutex_init(&s3->lock, NULL);
	r = parse_place(place, s3);
	if (r == 0)
		r = set_access(s3, access);
	if (r < 0)
		close_s3(&s3->st);
	else
		*ret = &s3->st;
	return r;
}
