// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The yardstick of `make bench-kms`: a libmicrohttpd TLS server set up as
 * envelope-kms is, that answers every request with 200 and a constant, after
 * one line of an audit trail is on the disk.
 *
 *   kms_bare CERTIFICATE KEY FOLDER   (prints its port)
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit_log.h"

#define LINE_BYTES 916   /* as a record of Decrypt */
#define ANSWER_BYTES 315 /* as an answer to it */
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

static struct audit_log *trail;

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection,
			      const char *url, const char *method,
			      const char *version, const char *data,
			      size_t *bytes, void **slot)
{
	static char line[LINE_BYTES], body[ANSWER_BYTES];
	struct MHD_Response *response;
	enum MHD_Result ok;

	(void)arg;
	(void)url;
	(void)method;
	(void)version;
	(void)data;
	if (!*slot) {
		*slot = line;
		return MHD_YES;
	}
	if (*bytes) {
		*bytes = 0;
		return MHD_YES;
	}
	if (audit_log_append(trail, line, sizeof(line)) < 0)
		return MHD_NO;
	response = MHD_create_response_from_buffer(sizeof(body), body,
						   MHD_RESPMEM_PERSISTENT);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				"application/x-amz-json-1.1");
	MHD_add_response_header(response, "x-amzn-RequestId",
				"4e372302-1068-4794-8c62-eee19b81e229");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
				"no-store");
	ok = MHD_queue_response(connection, 200, response);
	MHD_destroy_response(response);
	return ok;
}

static char *read_text(const char *path)
{
	char *text = calloc(1, 65536);
	FILE *f = fopen(path, "rb");

	if (!f || !text || !fread(text, 1, 65535, f))
		exit(1);
	fclose(f);
	return text;
}

int main(int argc, char **argv)
{
	struct MHD_Daemon *daemon;

	if (argc != 4 || audit_log_open(argv[3], "bare.log", &trail) < 0)
		return 1;
	daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD |
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_TLS |
		MHD_USE_ITC, 0, NULL, NULL, answer, NULL,
		MHD_OPTION_HTTPS_MEM_CERT, read_text(argv[1]),
		MHD_OPTION_HTTPS_MEM_KEY, read_text(argv[2]),
		MHD_OPTION_HTTPS_PRIORITIES, PRIORITIES,
		MHD_OPTION_CONNECTION_TIMEOUT, 60,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(36 * 1024),
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)(512 * 1024),
		MHD_OPTION_END);
	if (!daemon)
		return 1;
	printf("%u\n", MHD_get_daemon_info(daemon,
					   MHD_DAEMON_INFO_BIND_PORT)->port);
	fflush(stdout);
	pause();
	return 0;
}
