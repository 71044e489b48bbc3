// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sends one signed request over and over on keep-alive TLS connections:
 *
 *   kms_load PORT REQUEST-FILE CONNECTIONS SECONDS|REQUESTSx
 *
 * for a time, or a number of requests on each connection ("200x"), and prints requests per second, the latencies in microseconds, and how many
 * answers were not 200. The file holds the request as it goes on the wire.
 */
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define SAMPLES_MAX 200000 /* of a connection */
#define REQUEST_MAX 65536

static struct {
	int port;
	char request[REQUEST_MAX];
	size_t bytes;
	int64_t until_us;
	size_t count;        /* of each connection */
} load;

struct client {
	pthread_t thread;
	uint32_t *us;        /* of each answer */
	size_t count, wrong;
};

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
	fprintf(stderr, "kms_load: %s\n", what);
	exit(1);
}

struct line {
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;
	int fd;
};

static void hang_up(struct line *l)
{
	gnutls_deinit(l->session);
	gnutls_certificate_free_credentials(l->credentials);
	close(l->fd);
}

static void dial(struct line *l)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	sa.sin_port = htons((uint16_t)load.port);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		die("cannot connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	l->fd = fd;
	gnutls_certificate_allocate_credentials(&l->credentials);
	gnutls_init(&l->session, GNUTLS_CLIENT);
	gnutls_set_default_priority(l->session);
	gnutls_credentials_set(l->session, GNUTLS_CRD_CERTIFICATE,
			       l->credentials);
	gnutls_transport_set_int(l->session, fd);
	if (gnutls_handshake(l->session) < 0)
		die("TLS handshake failed");
}

/* Reads one answer whole and returns its status; @closes: it is the last. */
static int read_answer(gnutls_session_t session, int *closes)
{
	char text[16384];
	size_t used = 0;

	for (;;) {
		ssize_t n = gnutls_record_recv(session, text + used,
					       sizeof(text) - 1 - used);
		char *end, *length;

		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			continue;
		if (n <= 0)
			die("the server closed a connection");
		used += (size_t)n;
		text[used] = '\0';
		end = strstr(text, "\r\n\r\n");
		length = strcasestr(text, "Content-Length: ");
		if (end && length && used >= (size_t)(end + 4 - text) +
		    strtoul(length + 16, NULL, 10)) {
			*closes = strncmp(text, "HTTP/1.0", 8) == 0 ||
				  strcasestr(text, "Connection: close");
			return atoi(text + 9);
		}
	}
}

static void *run(void *arg)
{
	struct client *c = arg;
	struct line line;
	int64_t begin;

	dial(&line);
	begin = now_us();

	while (begin < load.until_us && c->count < load.count) {
		int64_t end;
		int closes;

		if (gnutls_record_send(line.session, load.request,
				       load.bytes) < 0)
			die("cannot send");
		if (read_answer(line.session, &closes) != 200)
			c->wrong++;
		if (closes) {
			hang_up(&line);
			dial(&line);
		}
		end = now_us();
		c->us[c->count++] = (uint32_t)(end - begin);
		begin = end;
	}
	hang_up(&line);
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void report(struct client *clients, int count, double seconds)
{
	size_t total = 0, wrong = 0;
	uint32_t *all;
	int i;

	for (i = 0; i < count; i++) {
		total += clients[i].count;
		wrong += clients[i].wrong;
	}
	if (!total)
		die("no answers");
	all = malloc(total * sizeof(*all));
	total = 0;
	for (i = 0; i < count; i++) {
		memcpy(all + total, clients[i].us,
		       clients[i].count * sizeof(*all));
		total += clients[i].count;
	}
	qsort(all, total, sizeof(*all), by_value);
	printf("{\"rate\": %.0f, \"p50_us\": %u, \"p99_us\": %u, \"wrong\": %zu}\n",
	       (double)total / seconds, all[total / 2], all[total * 99 / 100],
	       wrong);
}

static void read_request(const char *path)
{
	FILE *f = fopen(path, "rb");

	if (!f)
		die("cannot read the request");
	load.bytes = fread(load.request, 1, sizeof(load.request), f);
	fclose(f);
}

/* Seconds, or a number of requests with an x. */
static void read_amount(const char *text, int64_t begin_us)
{
	long long n = atoll(text);
	int counted = text[strlen(text) - 1] == 'x';

	load.until_us = counted ? INT64_MAX : begin_us + n * 1000000;
	load.count = counted && n < SAMPLES_MAX ? (size_t)n : SAMPLES_MAX;
}

int main(int argc, char **argv)
{
	struct client clients[CONNECTIONS_MAX] = { 0 };
	int count, i;
	int64_t begin;

	if (argc != 5)
		die("give PORT REQUEST-FILE CONNECTIONS SECONDS|REQUESTSx");
	load.port = atoi(argv[1]);
	read_request(argv[2]);
	count = atoi(argv[3]);
	if (count < 1 || count > CONNECTIONS_MAX)
		die("1 to 256 connections");
	begin = now_us();
	read_amount(argv[4], begin);
	for (i = 0; i < count; i++) {
		clients[i].us = calloc(SAMPLES_MAX, sizeof(uint32_t));
		if (!clients[i].us || pthread_create(&clients[i].thread, NULL,
						     run, &clients[i]) != 0)
			die("out of memory");
	}
	for (i = 0; i < count; i++)
		pthread_join(clients[i].thread, NULL);
	report(clients, count, (double)(now_us() - begin) / 1e6);
	return 0;
}
