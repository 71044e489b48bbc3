// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KMS sessions: may the key be asked about, who asks, and does the answer
 * fit the question. What a vendor's protocol looks like is a provider's.
 */
#include "kms.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "key_name.h"
#include "kms_provider.h"
#include "kms_trace.h"
#include "log.h"

/* Who asks in one region, since each may name a profile of its own. */
struct login {
	const struct conf_region *region;
	struct credentials_query query;
	struct credentials_source *source;
	struct login *next;
};

/* What a provider keeps for a section: a token, a login. */
struct kept {
	const struct conf_provider *provider;
	void *state;
	struct kept *next;
};

/* Where a key is: in a region of AWS KMS, or in a section of another kind. */
struct place {
	const struct conf_region *region;
	const struct conf_provider *provider;
};

struct kms {
	const struct conf *conf;
	struct http *http;
	struct login *logins;
	char *grant_token;	/* for Decrypt; NULL: none */
	struct kept *kept;
	bool forbid_local;
	char error[KMS_ERROR_BYTES];
};

static const struct kms_provider *const providers[KEY_KINDS] = {
	[KEY_AWS] = &kms_provider_aws,
	[KEY_PKCS11] = &kms_provider_pkcs11,
	[KEY_PROGRAM] = &kms_provider_program,
	[KEY_VAULT] = &kms_provider_vault,
};

int kms_open(const struct conf *conf, unsigned int timeout_ms,
	     struct kms **ret)
{
	struct kms *kms = calloc(1, sizeof(*kms));
	int r;

	if (!kms)
		return -ENOMEM;
	kms->conf = conf;
	r = http_open(timeout_ms, &kms->http);
	if (r < 0) {
		free(kms);
		return r;
	}
	*ret = kms;
	return 0;
}

void kms_free(struct kms *kms)
{
	if (!kms)
		return;
	while (kms->logins) {
		struct login *next = kms->logins->next;

		credentials_close(kms->logins->source);
		free(kms->logins);
		kms->logins = next;
	}
	while (kms->kept) {
		const struct kms_provider *p =
			providers[kms->kept->provider->kind];
		struct kept *next = kms->kept->next;

		if (p->end)
			p->end(kms->kept->state);
		free(kms->kept);
		kms->kept = next;
	}
	http_close(kms->http);
	free(kms->grant_token);
	free(kms);
}

void kms_answer_free(struct kms_answer *answer)
{
	free(answer->key_id);
	free(answer->source_key_id);
	secret_free(answer->plaintext);
	free(answer->blob);
	free(answer->grant_id);
	free(answer->grant_token);
	json_decref(answer->grants);
	free(answer->marker);
	free(answer->policy);
	*answer = (struct kms_answer){ 0 };
}

void kms_wrapped_free(struct kms_wrapped *w)
{
	free(w->key_arn);
	free(w->blob);
	*w = (struct kms_wrapped){ 0 };
}

int kms_check_provider(const char *name)
{
	enum key_kind kind;

	if (key_provider_find(name, &kind) == 0)
		return 0;
	log_error("KMS provider '%s' is not one this program knows; known are aws-kms, pkcs11, program and vault-transit",
		  name);
	return -EINVAL;
}

int kms_restart(struct kms *kms, unsigned int timeout_ms)
{
	return http_restart(kms->http, timeout_ms);
}

void kms_forbid_local(struct kms *kms)
{
	kms->forbid_local = true;
}

void kms_fresh_connection(struct kms *kms)
{
	http_fresh_connection(kms->http);
}

const char *kms_last_error(const struct kms *kms)
{
	return kms->error;
}

unsigned int kms_last_attempts(const struct kms *kms)
{
	return http_attempts(kms->http);
}

static void set_error(struct kms *kms, const char *type)
{
	snprintf(kms->error, sizeof(kms->error), "%s", type);
}

/* May this host use @key? Where it is in *@ret. */
static int allowed(struct kms *kms, const char *key, struct place *ret)
{
	struct place place = { 0 };
	int r = conf_allow_key(kms->conf, key, &place.region);

	if (r < 0) {
		set_error(kms, "NotAllowed");
		return r;
	}
	if (!place.region)
		place.provider = conf_provider_of(kms->conf, key);
	*ret = place;
	return 0;
}

/* The same for what AWS KMS alone has. */
static int allowed_in_region(struct kms *kms, const char *key,
			     struct place *ret)
{
	int r = allowed(kms, key, ret);

	if (r < 0 || ret->region)
		return r;
	set_error(kms, "UnsupportedOperationException");
	log_error("key '%s': [%s %s] has no grants; use the key without the agent, or one in a KMS",
		  key, key_section(ret->provider->kind), ret->provider->name);
	return -ENOTSUP;
}

static struct login *login_new(const struct kms *kms,
			       const struct conf_region *region)
{
	struct login *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->region = region;
	l->query = (struct credentials_query){
		.profile = region->profile,
		.profile_by_option = region->profile_by_option,
		.environment = conf_environment(kms->conf),
		.region = region->name,
		.sts_endpoint = region->sts_endpoint,
		.ca_file = region->ca_file,
		.proxy = region->proxy,
	};
	if (credentials_open(&l->query, &l->source) < 0) {
		free(l);
		return NULL;
	}
	return l;
}

static struct login *find_login(const struct kms *kms,
				const struct conf_region *region)
{
	struct login *l;

	for (l = kms->logins; l && l->region != region; l = l->next)
		;
	return l;
}

static int login(struct kms *kms, const struct conf_region *region,
		 const struct credentials **ret)
{
	struct login *l = find_login(kms, region);
	int r;

	if (!l) {
		l = login_new(kms, region);
		if (!l)
			return -ENOMEM;
		l->next = kms->logins;
		kms->logins = l;
	}
	r = credentials_get(l->source, http_left_ms(kms->http), ret);
	if (r < 0)
		set_error(kms, "NoCredentials");
	return r;
}

/* Where the provider of @p keeps what it wants to keep. NULL: no memory. */
static void **keep(struct kms *kms, const struct conf_provider *p)
{
	struct kept *k;

	for (k = kms->kept; k && k->provider != p; k = k->next)
		;
	if (!k) {
		k = calloc(1, sizeof(*k));
		if (!k)
			return NULL;
		k->provider = p;
		k->next = kms->kept;
		kms->kept = k;
	}
	return &k->state;
}

static void print_place(const struct place *place,
			char ret[KMS_SECTION_BYTES])
{
	if (place->region)
		snprintf(ret, KMS_SECTION_BYTES, "region %s",
			 place->region->name);
	else
		snprintf(ret, KMS_SECTION_BYTES, "[%s %s]",
			 key_section(place->provider->kind),
			 place->provider->name);
}

/* The agent's worker, which runs nothing and sees few files. */
static int check_local(struct kms *kms, const struct kms_call *call)
{
	if (!kms->forbid_local || !providers[call->provider->kind]->local)
		return 0;
	set_error(kms, "UnsupportedOperationException");
	log_error("key '%s': %s runs code on this host, which the agent does not; attach with --direct",
		  call->key, call->section);
	return -ENOTSUP;
}

static int begin_call(struct kms *kms, const struct place *place,
		      const struct kms_question *question,
		      struct kms_call *call)
{
	call->http = kms->http;
	call->region = place->region;
	call->provider = place->provider;
	print_place(place, call->section);
	call->setting = "endpoint";
	if (place->region) {
		call->where = place->region->endpoint;
		call->ca_file = place->region->ca_file;
		/* What was signed elsewhere needs no credentials of ours. */
		return question->signature ? 0 :
		       login(kms, place->region, &call->credentials);
	}
	call->where = place->provider->value[CONF_ENDPOINT];
	call->ca_file = place->provider->value[CONF_CA_FILE];
	if (!call->where) {
		call->where = call->section;
		call->setting = "path";
	}
	if (check_local(kms, call) < 0)
		return -ENOTSUP;
	call->state = keep(kms, place->provider);
	return call->state ? 0 : -ENOMEM;
}

/* Ask, and on success leave @call behind for those who judge the answer. */
static int ask(struct kms *kms, const struct place *place,
	       const struct kms_question *question, struct kms_call *call,
	       struct kms_answer *ret)
{
	enum key_kind kind = place->provider ? place->provider->kind : KEY_AWS;
	uint64_t began_us = kms_trace_now_us();
	int r;

	*call = (struct kms_call){
		.key = question->source_key ? question->source_key :
					      question->key,
		.denial_is_fine = question->denial_is_fine,
	};
	r = begin_call(kms, place, question, call);
	if (r < 0)
		return r;
	r = providers[kind]->ask(call, question, ret);
	kms_trace_call(call, question, r, began_us);
	if (r == 0)
		return 0;
	set_error(kms, call->error);
	/* They may have been replaced where they come from. */
	if (call->refused_credentials && call->credentials)
		credentials_drop(find_login(kms, place->region)->source);
	call->credentials = NULL;
	return r;
}

static int lie(struct kms *kms, struct kms_call *call, const char *type,
	       const char *what)
{
	int r = kms_fail_lie(call, type, what);

	set_error(kms, call->error);
	return r;
}

static bool context_valid(const json_t *context)
{
	const char *name;
	json_t *value;

	if (context && !json_is_object(context))
		return false;
	json_object_foreach((json_t *)context, name, value)
		if (!json_is_string(value))
			return false;
	return true;
}

/* Exactly one key: its ARN, or what key_name.h says. */
static bool names_a_key(const char *key)
{
	return key_fits_provider(key_provider(key_kind(key)), key);
}

static int check_wrapped(struct kms *kms, const char *key_arn,
			 const json_t *context, size_t wrapped_bytes)
{
	const char *what = NULL;

	if (!names_a_key(key_arn))
		what = "is not the ARN of a KMS key";
	else if (!context_valid(context))
		what = "has an encryption context that is not all strings";
	else if (wrapped_bytes == 0 || wrapped_bytes > KMS_WRAPPED_MAX_BYTES)
		what = "has a wrapped key of a size that no KMS makes";
	if (!what)
		return 0;
	set_error(kms, "NotAllowed");
	log_error("key '%s': %s; nothing was sent", key_arn, what);
	return -EINVAL;
}

/* Exactly one AES-256-XTS key, or a KMS that unwraps something else. */
static int check_dek(struct kms *kms, struct kms_call *call,
		     const struct secret *dek)
{
	const uint8_t *half = secret_cbytes(dek);

	if (secret_len(dek) != KMS_DEK_BYTES)
		return lie(kms, call, "WrongLength",
			   "a plaintext that is not 64 bytes long");
	if (CRYPTO_memcmp(half, half + KMS_DEK_BYTES / 2,
			  KMS_DEK_BYTES / 2) == 0)
		return lie(kms, call, "EqualHalves",
			   "a data key of two equal halves");
	return 0;
}

/* Decrypt as @q says, for kms_answer_free(); of the key that was asked. */
static int ask_decrypt(struct kms *kms, struct kms_question *q,
		       struct kms_call *call, struct kms_answer *answer)
{
	struct place place;
	int r;

	q->operation = KMS_DECRYPT;
	q->grant_token = kms->grant_token;
	set_error(kms, "");
	r = check_wrapped(kms, q->key, q->context, q->wrapped_bytes);
	if (r == 0)
		r = allowed(kms, q->key, &place);
	if (r == 0)
		r = ask(kms, &place, q, call, answer);
	/* The refusal that DryRun hopes for names no key. */
	if (r == 0 && answer->key_id && strcmp(answer->key_id, q->key) != 0)
		r = lie(kms, call, "WrongKeyId", "the KeyId of another key");
	return r;
}

int kms_decrypt(struct kms *kms, const char *key_arn, const json_t *context,
		const uint8_t *wrapped, size_t wrapped_bytes,
		struct secret **dek_ret)
{
	struct kms_question question = {
		.key = key_arn,
		.context = context,
		.wrapped = wrapped,
		.wrapped_bytes = wrapped_bytes,
	};
	struct kms_answer answer = { 0 };
	struct kms_call call;
	int r;

	r = ask_decrypt(kms, &question, &call, &answer);
	if (r == 0)
		r = check_dek(kms, &call, answer.plaintext);
	if (r == 0) {
		*dek_ret = answer.plaintext;
		answer.plaintext = NULL;
	}
	kms_answer_free(&answer);
	return r;
}

int kms_try_decrypt(struct kms *kms, const char *key_arn, const json_t *context,
		    const uint8_t *wrapped, size_t wrapped_bytes)
{
	struct kms_question question = {
		.key = key_arn,
		.context = context,
		.wrapped = wrapped,
		.wrapped_bytes = wrapped_bytes,
		.dry_run = true,
	};
	struct kms_answer answer = { 0 };
	struct kms_call call;
	int r;

	r = ask_decrypt(kms, &question, &call, &answer);
	kms_answer_free(&answer);
	return r;
}

/*
 * Is @answered the ARN of a key that @asked may name, in the region asked? An
 * alias may stand for any key there; whether this host may use that one is
 * allow-keys' business. Other providers (@region is NULL) have no aliases.
 */
static bool answers_key(const char *answered, const char *asked,
			const struct conf_region *region)
{
	enum key_form form;
	struct arn arn;

	if (!region)
		return strcmp(answered, asked) == 0;
	if (!arn_is_key(answered) || arn_parse(answered, &arn) < 0 ||
	    arn_key_form(asked, &form) < 0 ||
	    strcmp(arn.region, region->name) != 0)
		return false;
	if (form == KEY_FORM_ARN)
		return strcmp(answered, asked) == 0;
	if (form == KEY_FORM_ID)
		return strcmp(arn.resource + strlen("key/"), asked) == 0;
	return true;
}

static int check_key_id(struct kms *kms, struct kms_call *call,
			const char *answered, const char *asked)
{
	struct place place;

	if (!answers_key(answered, asked, call->region))
		return lie(kms, call, "WrongKeyId",
			   "the KeyId of another key");
	return allowed(kms, answered, &place);
}

static void give_wrapped(struct kms_answer *answer, struct kms_wrapped *ret)
{
	*ret = (struct kms_wrapped){
		.key_arn = answer->key_id,
		.blob = answer->blob,
		.blob_bytes = answer->blob_bytes,
	};
	answer->key_id = NULL;
	answer->blob = NULL;
}

/* @key, or the default one. */
static int choose_key(struct kms *kms, const char *key, const char **ret)
{
	int r;

	*ret = key;
	if (key)
		return 0;
	r = conf_default_key(kms->conf, ret);
	if (r < 0)
		set_error(kms, "NotAllowed");
	return r;
}

/* @q is about @key, or the default one, and so must the answer be. */
static int ask_about(struct kms *kms, const char *key, struct kms_question *q,
		     struct kms_answer *answer)
{
	struct kms_call call;
	struct place place;
	int r;

	set_error(kms, "");
	r = choose_key(kms, key, &q->key);
	if (r == 0)
		r = allowed(kms, q->key, &place);
	if (r == 0)
		r = ask(kms, &place, q, &call, answer);
	/* A dry run names no key, and neither does a policy. */
	if (r == 0 && answer->key_id)
		r = check_key_id(kms, &call, answer->key_id, q->key);
	return r;
}

int kms_try_generate(struct kms *kms, const char *key, const json_t *context)
{
	struct kms_question question = {
		.operation = KMS_GENERATE,
		.context = context,
		.dry_run = true,
	};
	struct kms_answer answer = { 0 };
	int r = ask_about(kms, key, &question, &answer);

	kms_answer_free(&answer);
	return r;
}

int kms_key_policy(struct kms *kms, const char *key_arn, char **ret)
{
	struct kms_question question = {
		.operation = KMS_GET_POLICY,
		.denial_is_fine = true,
	};
	struct kms_answer answer = { 0 };
	int r = ask_about(kms, key_arn, &question, &answer);

	if (r == 0) {
		*ret = answer.policy;
		answer.policy = NULL;
	}
	kms_answer_free(&answer);
	return r;
}

int kms_credentials(struct kms *kms, const struct conf_region *region,
		    const struct credentials **ret)
{
	set_error(kms, "");
	return login(kms, region, ret);
}

int kms_generate_data_key_without_plaintext(struct kms *kms, const char *key,
					    const json_t *context,
					    struct kms_wrapped *ret)
{
	struct kms_question question = {
		.operation = KMS_GENERATE,
		.context = context,
	};
	struct kms_answer answer = { 0 };
	int r;

	r = ask_about(kms, key, &question, &answer);
	if (r == 0)
		give_wrapped(&answer, ret);
	kms_answer_free(&answer);
	return r;
}

int kms_encrypt(struct kms *kms, const char *key, const json_t *context,
		const struct secret *dek, struct kms_wrapped *ret)
{
	struct kms_question question = {
		.operation = KMS_ENCRYPT,
		.context = context,
		.plaintext = dek,
	};
	struct kms_answer answer = { 0 };
	int r;

	if (secret_len(dek) != KMS_DEK_BYTES)
		return -EINVAL;
	r = ask_about(kms, key, &question, &answer);
	if (r == 0)
		give_wrapped(&answer, ret);
	kms_answer_free(&answer);
	return r;
}

/* A KMS rewraps within its region; between regions the DEK would come out. */
static int check_same_place(struct kms *kms, const struct place *source,
			    const struct place *destination, const char *key)
{
	char from[KMS_SECTION_BYTES], to[KMS_SECTION_BYTES];

	if (source->region == destination->region &&
	    source->provider == destination->provider)
		return 0;
	set_error(kms, "NotAllowed");
	print_place(source, from);
	print_place(destination, to);
	log_error("key '%s': in %s, but the volume's key is in %s, and a KMS rewraps within one %s only; choose a key there",
		  key, to, from, source->region ? "region" : "section");
	return -EINVAL;
}

int kms_reencrypt(struct kms *kms, const struct kms_reencrypt_args *args,
		  struct kms_wrapped *ret)
{
	struct kms_question question = {
		.operation = KMS_REENCRYPT,
		.context = args->context,
		.wrapped = args->wrapped,
		.wrapped_bytes = args->wrapped_bytes,
		.source_key = args->source_key_arn,
		.source_context = args->source_context,
	};
	struct place source, destination;
	struct kms_answer answer = { 0 };
	struct kms_call call;
	int r;

	set_error(kms, "");
	r = check_wrapped(kms, args->source_key_arn, args->source_context,
			  args->wrapped_bytes);
	if (r == 0)
		r = choose_key(kms, args->key, &question.key);
	if (r == 0)
		r = allowed(kms, args->source_key_arn, &source);
	if (r == 0)
		r = allowed(kms, question.key, &destination);
	if (r == 0)
		r = check_same_place(kms, &source, &destination, question.key);
	if (r == 0)
		r = ask(kms, &source, &question, &call, &answer);
	if (r < 0)
		goto out;
	if (strcmp(answer.source_key_id, args->source_key_arn) != 0)
		r = lie(kms, &call, "WrongKeyId", "the KeyId of another key");
	if (r == 0)
		r = check_key_id(kms, &call, answer.key_id, question.key);
	if (r == 0)
		give_wrapped(&answer, ret);
out:
	kms_answer_free(&answer);
	return r;
}

static int describe(struct kms *kms, const char *key,
		    struct kms_question *question, struct kms_key_info *ret)
{
	struct kms_answer answer = { 0 };
	int r;

	r = ask_about(kms, key, question, &answer);
	if (r == 0) {
		snprintf(answer.info.arn, sizeof(answer.info.arn), "%s",
			 answer.key_id);
		*ret = answer.info;
	}
	kms_answer_free(&answer);
	return r;
}

int kms_describe_key(struct kms *kms, const char *key,
		     struct kms_key_info *ret)
{
	struct kms_question question = { .operation = KMS_DESCRIBE };

	return describe(kms, key, &question, ret);
}

int kms_describe_if_allowed(struct kms *kms, const char *key,
			    struct kms_key_info *ret)
{
	struct kms_question question = {
		.operation = KMS_DESCRIBE,
		.denial_is_fine = true,
	};

	return describe(kms, key, &question, ret);
}

int kms_use_grant_token(struct kms *kms, const char *token)
{
	char *copy = token ? strdup(token) : NULL;

	if (token && !copy)
		return -ENOMEM;
	free(kms->grant_token);
	kms->grant_token = copy;
	return 0;
}

int kms_sign_grant(struct kms *kms, const char *key_arn, const char *body,
		   struct grant_signature *ret, const char **token_ret)
{
	const struct credentials *credentials;
	const struct secret *token;
	struct place place;
	int r;

	set_error(kms, "");
	r = allowed_in_region(kms, key_arn, &place);
	if (r == 0)
		r = login(kms, place.region, &credentials);
	if (r < 0)
		return r;
	r = grant_sign(body, http_host(place.region->endpoint),
		       place.region->name, credentials, ret);
	if (r < 0) {
		log_error("key '%s': the grant cannot be signed: %s", key_arn,
			  strerror(-r));
		return r;
	}
	token = credentials->session_token;
	*token_ret = token ? (const char *)secret_cbytes(token) : NULL;
	return 0;
}

void kms_grant_free(struct kms_grant *grant)
{
	free(grant->token);
	*grant = (struct kms_grant){ 0 };
}

/* It goes into the journal and back to the KMS: no surprises in it. */
static bool grant_id_valid(const char *id)
{
	size_t len = strlen(id);

	return len > 0 && len < KMS_GRANT_ID_BYTES &&
	       strspn(id, "0123456789abcdefABCDEF-") == len;
}

int kms_create_grant(struct kms *kms, const struct kms_signed_grant *request,
		     struct kms_grant *ret)
{
	const struct http_signature signature = {
		.date = request->date,
		.authorization = request->authorization,
		.session_token = request->session_token,
	};
	struct kms_question question = {
		.operation = KMS_CREATE_GRANT,
		.key = request->key_arn,
		.body = request->body,
		.dry_run = request->dry_run,
		.signature = &signature,
	};
	struct kms_answer answer = { 0 };
	struct kms_call call;
	struct place place;
	int r;

	set_error(kms, "");
	r = allowed_in_region(kms, request->key_arn, &place);
	if (r == 0)
		r = ask(kms, &place, &question, &call, &answer);
	if (r < 0 || request->dry_run)
		goto out;
	if (!grant_id_valid(answer.grant_id)) {
		r = lie(kms, &call, "Garbage", "a grant id that is none");
		goto out;
	}
	*ret = (struct kms_grant){ .token = answer.grant_token };
	strcpy(ret->id, answer.grant_id);
	answer.grant_token = NULL;
out:
	kms_answer_free(&answer);
	return r;
}

int kms_retire_grant(struct kms *kms, const char *key_arn, const char *id)
{
	struct kms_question question = {
		.operation = KMS_RETIRE_GRANT,
		.key = key_arn,
		.grant_id = id,
	};
	struct kms_answer answer = { 0 };
	struct kms_call call;
	struct place place;
	int r;

	set_error(kms, "");
	r = allowed_in_region(kms, key_arn, &place);
	if (r == 0)
		r = ask(kms, &place, &question, &call, &answer);
	kms_answer_free(&answer);
	return r;
}

static int each_of_page(const json_t *grants,
			int (*each)(void *user, const char *key_arn,
				    const char *id, const char *name),
			void *user)
{
	const json_t *grant;
	size_t i;
	int r = 0;

	json_array_foreach(grants, i, grant) {
		const char *key, *id, *name = "";

		(void)json_get_string(grant, "Name", &name);
		if (r == 0 && json_get_string(grant, "KeyId", &key) == 0 &&
		    json_get_string(grant, "GrantId", &id) == 0 &&
		    grant_id_valid(id))
			r = each(user, key, id, name);
	}
	return r;
}

int kms_each_retirable(struct kms *kms, const char *region_name,
		       const char *principal,
		       int (*each)(void *user, const char *key_arn,
				   const char *id, const char *name),
		       void *user)
{
	struct kms_question question = {
		.operation = KMS_LIST_RETIRABLE,
		.key = "*",
		.principal = principal,
	};
	struct kms_answer answer = { 0 };
	struct place place = { 0 };
	struct kms_call call;
	char *marker = NULL;
	int r;

	set_error(kms, "");
	r = conf_region(kms->conf, region_name, &place.region);
	while (r == 0) {
		question.marker = marker;
		r = ask(kms, &place, &question, &call, &answer);
		if (r == 0)
			r = each_of_page(answer.grants, each, user);
		free(marker);
		marker = answer.marker;
		answer.marker = NULL;
		kms_answer_free(&answer);
		if (!marker)
			break;
	}
	free(marker);
	return r;
}
