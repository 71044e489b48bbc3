// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One KMS call through the client library, for the tests that play the server.
 *
 *	kms-call [OPTION]... decrypt KEY CONTEXT BLOB
 *	kms-call [OPTION]... generate KEY CONTEXT
 *	kms-call [OPTION]... reencrypt KEY CONTEXT BLOB NEW-KEY NEW-CONTEXT
 *	kms-call [OPTION]... describe KEY
 *	kms-call [OPTION]... sign KEY BODY
 *	kms-call [OPTION]... create-grant KEY BODY SIGNATURE dry|real
 *	kms-call [OPTION]... retire KEY GRANT-ID
 *	kms-call [OPTION]... retirable REGION PRINCIPAL
 *	kms-call [OPTION]... offer|answer|send|sweep, see grant_calls.h
 *	kms-call [OPTION]... check KEY CONTEXT BLOB
 *
 * KEY - is the default key, CONTEXT is JSON, BLOB is hexadecimal. Prints one
 * JSON object, which for sign is the SIGNATURE; of a DEK it shows the SHA-256 only. The exit status is that of
 * the envelope programs.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "conf.h"
#include "grant_calls.h"
#include "kms.h"
#include "kms_check.h"
#include "log.h"
#include "process.h"
#include "scan.h"
#include "secret.h"
#include "status.h"

static const char *key_or_default(const char *key)
{
	return strcmp(key, "-") == 0 ? NULL : key;
}

static void put_hex(json_t *out, const char *name, const uint8_t *data,
		    size_t bytes)
{
	char *text = calloc(2, bytes + 1);
	size_t i;

	for (i = 0; i < bytes; i++)
		sprintf(text + 2 * i, "%02x", data[i]);
	json_object_set_new(out, name, json_string(text));
	free(text);
}

static size_t take_hex(const char *text, uint8_t blob[static 8192])
{
	size_t bytes = 0;

	while (bytes < 8192 && sscanf(text + 2 * bytes, "%2hhx",
				      &blob[bytes]) == 1)
		bytes++;
	return bytes;
}

static int call_decrypt(struct call *c)
{
	json_t *context = json_loads(c->args[1], 0, NULL);
	static uint8_t blob[8192];
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct secret *dek = NULL;
	int r;

	r = kms_decrypt(c->kms, c->args[0], context, blob,
			take_hex(c->args[2], blob), &dek);
	if (r == 0) {
		SHA256(secret_cbytes(dek), secret_len(dek), digest);
		put_hex(c->out, "dek_sha256", digest, sizeof(digest));
	}
	secret_free(dek);
	json_decref(context);
	return r;
}

static void put_wrapped(struct call *c, struct kms_wrapped *w)
{
	json_object_set_new(c->out, "key_arn", json_string(w->key_arn));
	put_hex(c->out, "blob", w->blob, w->blob_bytes);
	kms_wrapped_free(w);
}

static int call_generate(struct call *c)
{
	json_t *context = json_loads(c->args[1], 0, NULL);
	struct kms_wrapped w;
	int r;

	r = kms_generate_data_key_without_plaintext(
		c->kms, key_or_default(c->args[0]), context, &w);
	if (r == 0)
		put_wrapped(c, &w);
	json_decref(context);
	return r;
}

static int call_reencrypt(struct call *c)
{
	static uint8_t blob[8192];
	json_t *from = json_loads(c->args[1], 0, NULL);
	json_t *to = json_loads(c->args[4], 0, NULL);
	struct kms_reencrypt_args args = {
		.source_key_arn = c->args[0],
		.source_context = from,
		.wrapped = blob,
		.wrapped_bytes = take_hex(c->args[2], blob),
		.key = key_or_default(c->args[3]),
		.context = to,
	};
	struct kms_wrapped w;
	int r;

	r = kms_reencrypt(c->kms, &args, &w);
	if (r == 0)
		put_wrapped(c, &w);
	json_decref(from);
	json_decref(to);
	return r;
}

static int call_describe(struct call *c)
{
	struct kms_key_info info;
	int r = kms_describe_key(c->kms, key_or_default(c->args[0]), &info);

	if (r == 0) {
		json_object_set_new(c->out, "arn", json_string(info.arn));
		json_object_set_new(c->out, "state", json_string(info.state));
		json_object_set_new(c->out, "usage", json_string(info.usage));
		json_object_set_new(c->out, "spec", json_string(info.spec));
		json_object_set_new(c->out, "manager",
				    json_string(info.manager));
		json_object_set_new(c->out, "enabled",
				    json_boolean(info.enabled));
	}
	return r;
}

static int call_sign(struct call *c)
{
	struct grant_signature s;
	const char *token = NULL;
	int r = kms_sign_grant(c->kms, c->args[0], c->args[1], &s, &token);

	if (r < 0)
		return r;
	json_object_set_new(c->out, "date", json_string(s.date));
	json_object_set_new(c->out, "authorization",
			    json_string(s.authorization));
	json_object_set_new(c->out, "dry_run_authorization",
			    json_string(s.dry_run_authorization));
	if (token)
		json_object_set_new(c->out, "session_token",
				    json_string(token));
	return 0;
}

static const char *text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static int call_create_grant(struct call *c)
{
	bool dry_run = strcmp(c->args[3], "dry") == 0;
	json_t *s = json_loads(c->args[2], 0, NULL);
	struct kms_signed_grant request = {
		.key_arn = c->args[0],
		.body = c->args[1],
		.dry_run = dry_run,
		.date = text_of(s, "date"),
		.authorization = text_of(s, dry_run ? "dry_run_authorization" :
						      "authorization"),
		.session_token = text_of(s, "session_token"),
	};
	struct kms_grant grant = { .token = NULL };
	int r = kms_create_grant(c->kms, &request, &grant);

	if (r == 0 && !dry_run) {
		json_object_set_new(c->out, "id", json_string(grant.id));
		json_object_set_new(c->out, "token",
				    json_string(grant.token));
	}
	kms_grant_free(&grant);
	json_decref(s);
	return r;
}

static int call_retire(struct call *c)
{
	return kms_retire_grant(c->kms, c->args[0], c->args[1]);
}

static int take_retirable(void *user, const char *key_arn, const char *id,
			  const char *name)
{
	struct call *c = user;

	(void)key_arn;
	return json_object_set_new(json_object_get(c->out, "grants"), id,
				   json_string(name));
}

static int call_retirable(struct call *c)
{
	json_object_set_new(c->out, "grants", json_object());
	return kms_each_retirable(c->kms, c->args[0], c->args[1],
				  take_retirable, c);
}

static int call_check(struct call *c)
{
	static const char *const names[] = {
		[LEASE_GRANTED] = "granted",
		[LEASE_DENIED] = "denied",
		[LEASE_TOKEN_REFUSED] = "token refused",
		[LEASE_UNREACHABLE] = "unreachable",
		[LEASE_ALARM] = "alarm",
	};
	json_t *context = json_loads(c->args[1], 0, NULL);
	static uint8_t blob[8192];
	enum lease_answer answer;

	answer = kms_check(c->kms, c->args[0], context, blob,
			   take_hex(c->args[2], blob));
	json_object_set_new(c->out, "answer", json_string(names[answer]));
	json_decref(context);
	return 0;
}

static const struct {
	const char *name;
	int args;
	int (*run)(struct call *c);
} operations[] = {
	{ "decrypt", 3, call_decrypt },
	{ "generate", 2, call_generate },
	{ "reencrypt", 5, call_reencrypt },
	{ "describe", 1, call_describe },
	{ "sign", 2, call_sign },
	{ "create-grant", 4, call_create_grant },
	{ "retire", 2, call_retire },
	{ "retirable", 2, call_retirable },
	{ "offer", 2, call_offer },
	{ "answer", 3, call_answer },
	{ "send", 2, call_send },
	{ "sweep", 4, call_sweep },
	{ "check", 3, call_check },
};

struct options {
	struct conf_overrides conf;
	bool file_only;		/* as a daemon: no overrides at all */
	bool fresh;
	bool persist;		/* all the times, whatever comes of them */
	unsigned int timeout_ms;
	unsigned int times;
	const char *provider;
	const char *grant_token;
};

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "kms-endpoint", required_argument, NULL, 'e' },
		{ "ca-file", required_argument, NULL, 'a' },
		{ "profile", required_argument, NULL, 'p' },
		{ "region", required_argument, NULL, 'r' },
		{ "timeout", required_argument, NULL, 't' },
		{ "times", required_argument, NULL, 'n' },
		{ "provider", required_argument, NULL, 'P' },
		{ "fresh", no_argument, NULL, 'f' },
		{ "persist", no_argument, NULL, 'k' },
		{ "no-environment", no_argument, NULL, 'E' },
		{ "grant-token", required_argument, NULL, 'g' },
		{ "signer", no_argument, NULL, 's' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", names, NULL)) != -1) {
		switch (c) {
		case 'c': o->conf.config = optarg; break;
		case 'e': o->conf.endpoint = optarg; break;
		case 'a': o->conf.ca_file = optarg; break;
		case 'p': o->conf.profile = optarg; break;
		case 'r': o->conf.region = optarg; break;
		case 't': o->timeout_ms = atoi(optarg); break;
		case 'n': o->times = atoi(optarg); break;
		case 'P': o->provider = optarg; break;
		case 'f': o->fresh = true; break;
		case 'k': o->persist = true; break;
		case 'E': o->conf.environment = false; break;
		case 'g': o->grant_token = optarg; break;
		case 's':
			o->conf.environment = false;
			o->conf.signer = true;
			break;
		default: return -EINVAL;
		}
	}
	return 0;
}

static int run(struct options *o, struct call *c, const char *operation,
	       int args)
{
	size_t i;
	int r = -EINVAL;

	if (o->provider && kms_check_provider(o->provider) < 0)
		return -EINVAL;
	if (kms_use_grant_token(c->kms, o->grant_token) < 0)
		return -ENOMEM;
	for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (strcmp(operations[i].name, operation) != 0 ||
		    operations[i].args != args)
			continue;
		do {
			if (o->fresh)
				kms_fresh_connection(c->kms);
			r = operations[i].run(c);
		} while ((r == 0 || o->persist) && --o->times > 0);
		json_object_set_new(c->out, "error",
				    json_string(kms_last_error(c->kms)));
		json_object_set_new(c->out, "attempts",
				    json_integer(kms_last_attempts(c->kms)));
	}
	return r;
}

int main(int argc, char **argv)
{
	struct options o = {
		.conf.environment = true,
		.timeout_ms = 10000,
		.times = 1,
	};
	struct conf *conf = NULL;
	struct call c = { .kms = NULL };
	int r;

	log_init("kms-call");
	if (process_harden() < 0 || parse(argc, argv, &o) < 0 ||
	    optind == argc)
		return STATUS_USAGE;
	c.out = json_object();
	c.args = argv + optind + 1;
	r = conf_load(&o.conf, &conf);
	if (r == 0)
		r = kms_open(conf, o.timeout_ms, &c.kms);
	c.conf = conf;
	if (r == 0)
		r = run(&o, &c, argv[optind], argc - optind - 1);
	kms_free(c.kms);
	conf_free(conf);
	scan_memory(c.out);
	json_dumpf(c.out, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(c.out);
	return status_from_errno(r);
}
