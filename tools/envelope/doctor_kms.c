// SPDX-License-Identifier: GPL-2.0-or-later
/* The doctor's look at a KMS: is it there, who is it, what time has it? */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doctor.h"
#include "http.h"

#define DAY_S 86400
#define EXPIRY_WARN_DAYS 14
#define SKEW_WARN_S 60
#define SKEW_FAIL_S 300		/* SigV4 refuses more */

static const char *tls_advice(const char *detail)
{
	if (strstr(detail, "expired"))
		return "renew the server's certificate (envelope-kms makes a new one at its start), or set this host's clock";
	if (strstr(detail, "not yet valid"))
		return "set this host's clock";
	if (strstr(detail, "subject name"))
		return "set endpoint to a name that the certificate has, or give the server one with this name";
	return "set ca-file to the certificate of the authority that signed the server's";
}

static void say_unreached(struct doctor *d, const struct conf_region *region,
			  const struct http *http, enum http_failure why)
{
	const char *detail = http_detail(http);

	switch (why) {
	case HTTP_TLS:
		doctor_say(d, DOCTOR_FAIL, "tls", tls_advice(detail),
			   "region %s: %s does not prove its identity: %s",
			   region->name, region->endpoint, detail);
		break;
	case HTTP_CA_FILE:
		doctor_say(d, DOCTOR_FAIL, "tls",
			   "correct ca-file of the region",
			   "region %s: ca-file %s is no readable PEM file of CA certificates",
			   region->name, region->ca_file ? region->ca_file :
			   "");
		break;
	case HTTP_TIMEOUT:
		doctor_say(d, DOCTOR_FAIL, "kms",
			   "check the network, and that the KMS is well",
			   "region %s: %s did not answer in time",
			   region->name, region->endpoint);
		break;
	case HTTP_NO_HTTP:
		doctor_say(d, DOCTOR_FAIL, "kms",
			   "check endpoint of the region",
			   "region %s: what answers at %s does not speak HTTPS",
			   region->name, region->endpoint);
		break;
	default:
		doctor_say(d, DOCTOR_FAIL, "kms",
			   "check the network, endpoint and proxy, and that the KMS runs",
			   "region %s: %s cannot be reached: %s",
			   region->name, region->endpoint, detail);
	}
}

static void check_expiry(struct doctor *d, const struct conf_region *region,
			 int64_t expires_s)
{
	int64_t days = (expires_s - time(NULL)) / DAY_S;

	if (expires_s < 0)
		doctor_say(d, DOCTOR_WARN, "tls",
			   "look at it with 'openssl s_client'",
			   "region %s: when the certificate of %s ends is not known",
			   region->name, region->endpoint);
	else if (days < EXPIRY_WARN_DAYS)
		doctor_say(d, DOCTOR_WARN, "tls",
			   "renew it; envelope-kms does at its start",
			   "region %s: the certificate of %s ends in %" PRId64 " days",
			   region->name, region->endpoint, days);
	else
		doctor_say(d, DOCTOR_OK, "tls", NULL,
			   "region %s: the certificate of %s holds for %" PRId64 " days",
			   region->name, region->endpoint, days);
}

static void check_clock(struct doctor *d, const struct conf_region *region,
			int64_t date_s)
{
	int64_t skew = date_s - time(NULL);
	const char *which = skew > 0 ? "behind" : "ahead of";

	if (date_s < 0) {
		doctor_say(d, DOCTOR_WARN, "clock", NULL,
			   "region %s: the KMS does not say its time",
			   region->name);
		return;
	}
	skew = llabs(skew);
	if (skew <= SKEW_WARN_S)
		doctor_say(d, DOCTOR_OK, "clock", NULL,
			   "region %s: within a minute of the KMS",
			   region->name);
	else
		doctor_say(d, skew > SKEW_FAIL_S ? DOCTOR_FAIL : DOCTOR_WARN,
			   "clock",
			   "set this host's clock, and keep it by NTP: signatures more than 5 minutes off are refused",
			   "region %s: this host is %" PRId64 " s %s the KMS",
			   region->name, skew, which);
}

bool doctor_region(struct doctor *d, const struct conf_region *region)
{
	const struct http_request request = {
		.method = "GET",
		.endpoint = region->endpoint,
		.ca_file = region->ca_file,
		.proxy = region->proxy,
		.look = true,
		.attempts = 1,
	};
	struct http_answer answer = { 0 };
	enum http_failure why = HTTP_OK;
	struct http *http = NULL;
	struct http_peer peer;
	int r;

	r = http_open(d->access.timeout_ms ? d->access.timeout_ms :
		      VOLUME_TIMEOUT_MS, &http);
	if (r == 0)
		r = http_send(http, &request, &answer, &why);
	if (r == 0) {
		http_peer(http, &peer);
		doctor_say(d, DOCTOR_OK, "kms", NULL, "region %s: %s answers",
			   region->name, region->endpoint);
		check_expiry(d, region, peer.expires_s);
		check_clock(d, region, peer.date_s);
	} else if (r == -EHOSTUNREACH) {
		say_unreached(d, region, http, why);
	} else {
		doctor_say(d, DOCTOR_FAIL, "kms", NULL, "region %s: %s",
			   region->name, strerror(-r));
	}
	http_answer_wipe(&answer);
	http_close(http);
	return r == 0;
}

static bool find_caller(struct doctor *d, const struct conf_region *region,
			const struct credentials *credentials,
			char ret[CALLER_BYTES])
{
	struct http *http = NULL;
	int r = http_open(d->access.timeout_ms ? d->access.timeout_ms :
			  VOLUME_TIMEOUT_MS, &http);

	if (r == 0)
		r = caller_identity(http, region, credentials, ret);
	http_close(http);
	if (r == 0)
		return true;
	doctor_said(d, r == -EACCES ? DOCTOR_FAIL : DOCTOR_WARN, "identity");
	ret[0] = '\0';
	/* A KMS without an STS may still take the credentials. */
	return r != -EACCES;
}

bool doctor_identity(struct doctor *d, const struct conf_region *region,
		     char caller_ret[CALLER_BYTES])
{
	const struct credentials *credentials;

	caller_ret[0] = '\0';
	if (kms_credentials(d->k.kms, region, &credentials) < 0) {
		doctor_said(d, DOCTOR_FAIL, "identity");
		return false;
	}
	if (!find_caller(d, region, credentials, caller_ret))
		return false;
	if (caller_ret[0])
		doctor_say(d, DOCTOR_OK, "identity", NULL,
			   "region %s: %s, by %s", region->name, caller_ret,
			   credentials->source);
	return true;
}
