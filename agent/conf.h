/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /etc/envelope/envelope.conf, and what `--direct` may put in its place.
 *
 *	[region us-east-1]
 *	endpoint = https://127.0.0.1:8443
 *	ca-file = /etc/envelope/ca.pem
 *	profile = envelope
 *	default-key = alias/envelope
 *	account = 111122223333
 *	allow-keys = arn:aws:kms:us-east-1:111122223333:key/mrk-*
 *	proxy = http://proxy.example.com:3128
 *	host-principal = arn:aws:iam::111122223333:role/envelope-hosts
 *
 * One section a region, the first one is the default region. Lines that start
 * with # are comments. Every name stands once in its section; an unknown name
 * or section is refused with its line.
 *
 * endpoint	https://HOST[:PORT]; absent: AWS's own for the region
 * sts-endpoint	where roles are assumed, https://HOST[:PORT]; absent: AWS's own
 *		where the endpoint is AWS's, else the endpoint
 * ca-file	PEM, absolute path: these CAs and no others; absent: the system's
 * profile	in the AWS credentials file; absent: default
 * default-key	id, ARN or alias, for `format` without --kms-key, unless
 *		`envelope default key set` has set another
 * account	the host's own account; absent: that of a default-key ARN, then
 *		AWS_ACCOUNT_ID (--direct)
 * allow-keys	patterns, separated by white space (see arn.h); absent: every
 *		key of the host's own account; neither known: no key at all
 * proxy	http:// or https://; absent: none, whatever the environment says
 * host-principal	the role, user or session that profile is at the KMS: who
 *		attaches through the agent grants it the use of his volume
 *
 * What has keys but is no AWS KMS has a section of another kind; key_name.h says
 * how their key ids look, and that these lead to one section:
 *
 *	[pkcs11 NAME]
 *	module = /usr/lib/softhsm/libsofthsm2.so
 *	token = LABEL
 *	pin-file = /etc/envelope/hsm.pin
 *	default-key = pkcs11:token=LABEL;object=volumes
 *	allow-keys = pkcs11:token=LABEL;object=vol*
 *
 *	[program NAME]
 *	path = /usr/local/libexec/keys
 *	user = keys
 *	default-key = program:NAME/volumes
 *	allow-keys = program:NAME/vol*
 *
 *	[vault NAME]
 *	endpoint = https://vault.example.com:8200
 *	ca-file = /etc/envelope/vault-ca.pem
 *	namespace = storage/hosts
 *	mount = transit
 *	auth = approle
 *	role = 59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8
 *	secret-id-file = /etc/envelope/vault.secret-id
 *	default-key = vault:NAME/volumes
 *	allow-keys = vault:NAME/vol*
 *
 * module	absolute path of the PKCS#11 module
 * token	the token's label; absent: NAME
 * pin-file	absolute path; absent: the token asks for none, or by itself
 * path		absolute path of the program
 * user		as whom root runs it; absent: nobody
 * endpoint	https://HOST[:PORT] of HashiCorp Vault or OpenBao
 * ca-file, proxy as of a region
 * namespace	absent: the root namespace
 * mount	where the Transit engine is; absent: transit
 * auth		token, approle, kubernetes or cert; absent: token
 * auth-mount	where that method is; absent: its own name
 * role		of approle the RoleID, of kubernetes and cert the role's name
 * token-file	of token; absolute path, as the next four
 * secret-id-file of approle
 * jwt-file	of kubernetes; absent: the one that pods have
 * cert-file	the client's certificate, PEM; of cert, and where the server
 *		wants one
 * cert-key-file	its key, PEM
 * default-key	as above, where no region is configured: of the first of these
 *		sections that has one
 * allow-keys	key ids, * at the end only; absent: every key of the section
 */
#ifndef ENVELOPE_CONF_H
#define ENVELOPE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "key_name.h"

#define CONF_PATH "/etc/envelope/envelope.conf"
#define CONF_MAX_BYTES 65536

struct conf;

/* Options of --direct. NULL is "not given". Strings are the caller's. */
struct conf_overrides {
	const char *config;	/* --config PATH, else CONF_PATH */
	const char *endpoint;	/* --kms-endpoint URL */
	const char *ca_file;	/* --ca-file PATH */
	const char *profile;	/* --profile NAME */
	const char *region;	/* --region NAME */
	/*
	 * Take from the environment what the options leave out: AWS_PROFILE,
	 * AWS_REGION or AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_KMS or
	 * AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_STS, AWS_CA_BUNDLE,
	 * AWS_ACCOUNT_ID; and let credentials come from there. Options win
	 * over environment, that over the file.
	 */
	bool environment;
	/*
	 * For who signs what the agent will send: credentials are his own, by
	 * environment, --profile or AWS_PROFILE, never by a region's profile,
	 * which is the host's. All else is as the file says.
	 */
	bool signer;
};

/* One region as it applies; strings are the conf's, NULL where absent. */
struct conf_region {
	char *name;
	char *endpoint;		/* https://..., without a slash at the end */
	bool endpoint_is_aws;	/* the host belongs to AWS */
	char *sts_endpoint;	/* https://..., without a slash at the end */
	char *ca_file;
	char *profile;
	bool profile_by_option;	/* --profile: beats keys in the environment */
	char *default_key;
	char *account;
	char **allow_keys;	/* @allow_keys_count patterns */
	size_t allow_keys_count;
	char *proxy;
	char *host_principal;	/* grantee of grants; see grant.h */
	size_t line;		/* of its section in the file; 0: no file */
	bool encryption_by_default;	/* as `envelope default` set it */
	char *kept_key;		/* ARN that it set as default key */
};

/* The texts that a section of some kind may have. */
enum conf_value {
	CONF_MODULE,
	CONF_TOKEN,
	CONF_PIN_FILE,
	CONF_PROGRAM,
	CONF_USER,
	CONF_ENDPOINT,
	CONF_CA_FILE,
	CONF_PROXY,
	CONF_NAMESPACE,
	CONF_MOUNT,
	CONF_AUTH,
	CONF_AUTH_MOUNT,
	CONF_ROLE,
	CONF_TOKEN_FILE,
	CONF_SECRET_ID_FILE,
	CONF_JWT_FILE,
	CONF_CERT_FILE,
	CONF_CERT_KEY_FILE,
	CONF_VALUES,
};

/* A section of another kind; it applies as it is written. */
struct conf_provider {
	enum key_kind kind;		/* never KEY_AWS */
	char *name;
	char *value[CONF_VALUES];	/* NULL where absent */
	char *default_key;
	char **allow_keys;		/* @allow_keys_count patterns */
	size_t allow_keys_count;
	size_t line;			/* of the section in the file */
};

#define CONF_BIT(value) (1u << (value))

/* How a vault is logged in to. */
struct conf_auth {
	const char *name;	/* "token", "approle", "kubernetes", "cert" */
	unsigned int needs;	/* CONF_BIT() of what it cannot do without */
	unsigned int takes;	/* of files and role it can do with */
};

/* NULL: none of that name. */
const struct conf_auth *conf_auth_find(const char *name);

/* As the section says, by default the first. @p: of KEY_VAULT. */
const struct conf_auth *conf_auth_of(const struct conf_provider *p);

/* What its key ids call it: the token's label, else the name. */
const char *conf_provider_place(const struct conf_provider *p);

/*
 * Read the file and apply @overrides (NULL: the file alone, nothing from the
 * environment). A missing file is an error only when --config named it. CA
 * file and profile replace those of every region; an endpoint goes to the
 * region that --region or AWS_REGION names, which need not be in the file,
 * else to the file's first.
 *
 * 0 with *@ret for conf_free(). A sentence on standard error, and:
 * -EINVAL (unreadable, malformed, unknown name, http:// endpoint, an override
 * without a region to go to); -EACCES (a file below /etc that others than
 * root can write); -ENOMEM.
 */
int conf_load(const struct conf_overrides *overrides, struct conf **ret);

/* NULL is accepted. */
void conf_free(struct conf *conf);

/* May credentials come from the environment? */
bool conf_environment(const struct conf *conf);

/* Regions in their order in the file; NULL behind the last. */
const struct conf_region *conf_region_at(const struct conf *conf, size_t i);

/*
 * The region called @name, NULL for the default one: --region or AWS_REGION,
 * else the file's first. A header names regions, so no host name is ever
 * built from one that is not configured.
 * 0; -EACCES with a sentence (@name is not configured); -EINVAL with a
 * sentence (none configured at all).
 */
int conf_region(const struct conf *conf, const char *name,
		const struct conf_region **ret);

/* These sections in their order in the file; NULL behind the last. */
const struct conf_provider *conf_provider_at(const struct conf *conf,
					     size_t i);

/* The section for @key, a key id of no AWS KMS; NULL: none, or no such id. */
const struct conf_provider *conf_provider_of(const struct conf *conf,
					     const char *key);

/*
 * May this host use @key (any of its forms)? Decided without a network call. Ids and alias names are looked up in the default region. An alias
 * passes here by account; the key ARN that the KMS answers is to be asked
 * about again.
 *
 * 0 with the region to call in *@region_ret; that is NULL where the key is in no
 * AWS KMS, for conf_provider_of(). A sentence, and: -EACCES (allow-keys does
 * not cover it, region or section not configured, no account known);
 * -EINVAL (not a key name; alias/aws/ebs of AWS itself).
 */
int conf_allow_key(const struct conf *conf, const char *key,
		   const struct conf_region **region_ret);

/*
 * Is @key, an ARN, of another account than the host's own in its region (where
 * that is not configured, in the default one)? Where no account is known: no.
 */
bool conf_key_is_foreign(const struct conf *conf, const char *key);

/* Who says which key it is that nobody named; the first that does counts. */
enum conf_key_from {
	CONF_KEY_KEPT,		/* `envelope default key set` */
	CONF_KEY_FILE,		/* default-key in the file */
	CONF_KEY_EBS,		/* nobody: alias/aws/ebs, which EBS takes */
};

/* As JSON has it: "default", "configuration" or "aws/ebs". */
const char *conf_key_from_name(enum conf_key_from from);

/* The default key of @region; never NULL. */
const char *conf_region_key(const struct conf_region *region,
			    enum conf_key_from *from_ret);

/*
 * The key that `format` takes without --kms-key: the default region's, as
 * conf_region_key(); without any region the default-key of the first section
 * that has one. 0; -EINVAL with a sentence when there is none, as alias/aws/ebs
 * of AWS itself is none that we could use.
 */
int conf_default_key(const struct conf *conf, const char **ret);

/* The file that was read, or would have been. */
const char *conf_path(const struct conf *conf);

/* One thing that `envelope default` changes (conf_defaults.c). */
struct conf_default_change {
	enum { CONF_DEFAULT_ENCRYPTION, CONF_DEFAULT_KEY } what;
	bool on;		/* of CONF_DEFAULT_ENCRYPTION */
	const char *key_arn;	/* of CONF_DEFAULT_KEY; NULL: none any more */
};

/*
 * Change it for @region in the file beside that of @conf, which keeps what it
 * has loaded. Atomic and durable. A sentence and: -EIO (not writable), as
 * conf_load(), -ENOMEM.
 */
int conf_default_change(const struct conf *conf, const char *region,
			const struct conf_default_change *change);

/* Is the file @path with @st one that a process of @euid may believe? */
bool conf_file_trusted(const char *path, const struct stat *st, uid_t euid);

#endif
