// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope.conf, its overrides and its defaults: agent/conf.c. */
#include "client_capture.h"

#include <errno.h>

#include "conf.h"
#include "log.h"

#define OWN "arn:aws:kms:us-east-1:111122223333:key/"
#define KEY OWN "11111111-2222-3333-4444-555555555555"
#define PKCS "pkcs11:token=a;object="
#define VAULT "[vault a]\nendpoint = https://x:8200\n"

static const char two_regions[] =
	"# a comment\n"
	"\n"
	"[region us-east-1]\n"
	"endpoint = https://127.0.0.1:8443/\n"
	"  ca-file=/path/ca.pem  \n"
	"profile = envelope\n"
	"default-key = alias/envelope\n"
	"allow-keys = " OWN "* \tarn:aws:kms:us-east-1:*:key/mrk-*\n"
	"proxy = http://proxy.example.com:3128\r\n"
	"[region eu-west-1]\n"
	"account = 444455556666\n";

/* Everything that conf_load() may look at. */
static void clear_environment(void)
{
	static const char *const names[] = {
		"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE",
		"AWS_ACCOUNT_ID", "AWS_ENDPOINT_URL_STS",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

/* Load @text as the configuration file, with other overrides in @o. */
static int load(const char *text, struct conf_overrides *o, struct conf **ret)
{
	struct conf_overrides none = { 0 };
	char *path = capture_temp_file(text);
	int r;

	if (!o)
		o = &none;
	o->config = path;
	r = conf_load(o, ret);
	o->config = NULL;
	unlink(path);
	free(path);
	return r;
}

static void reads(void **state)
{
	const struct conf_region *region;
	struct conf *conf;
	const char *key;

	(void)state;
	assert_int_equal(load(two_regions, NULL, &conf), 0);
	assert_int_equal(conf_region(conf, NULL, &region), 0);
	assert_string_equal(region->name, "us-east-1");
	assert_string_equal(region->endpoint, "https://127.0.0.1:8443");
	assert_string_equal(region->ca_file, "/path/ca.pem");
	assert_string_equal(region->profile, "envelope");
	assert_false(region->profile_by_option);
	assert_string_equal(region->proxy, "http://proxy.example.com:3128");
	assert_int_equal(region->allow_keys_count, 2);
	assert_string_equal(region->allow_keys[1],
			    "arn:aws:kms:us-east-1:*:key/mrk-*");
	assert_false(region->endpoint_is_aws);
	assert_int_equal(conf_default_key(conf, &key), 0);
	assert_string_equal(key, "alias/envelope");
	assert_ptr_equal(conf_region_at(conf, 0), region);
	assert_string_equal(conf_region_at(conf, 1)->name, "eu-west-1");
	assert_null(conf_region_at(conf, 2));
	assert_false(conf_environment(conf));
	conf_free(conf);
	conf_free(NULL);
}

static void defaults(void **state)
{
	const struct conf_region *region;
	struct conf *conf;

	(void)state;
	assert_int_equal(load(two_regions, NULL, &conf), 0);
	assert_int_equal(conf_region(conf, "eu-west-1", &region), 0);
	assert_string_equal(region->endpoint,
			    "https://kms.eu-west-1.amazonaws.com");
	assert_true(region->endpoint_is_aws);
	assert_null(region->ca_file);
	assert_null(region->profile);
	assert_null(region->proxy);
	assert_int_equal(region->allow_keys_count, 1);
	assert_string_equal(region->allow_keys[0],
			    "arn:aws:kms:eu-west-1:444455556666:key/*");
	conf_free(conf);

	assert_int_equal(load("[region us-east-1]\nendpoint = https://[fe80::1]:8443/\n", NULL, &conf), 0);
	assert_string_equal(conf_region_at(conf, 0)->endpoint,
			    "https://[fe80::1]:8443");
	/* One address for both where it is not AWS. */
	assert_string_equal(conf_region_at(conf, 0)->sts_endpoint,
			    "https://[fe80::1]:8443");
	conf_free(conf);

	assert_int_equal(load("[region cn-north-1]\naccount = 444455556666\n",
			      NULL, &conf), 0);
	region = conf_region_at(conf, 0);
	assert_string_equal(region->endpoint,
			    "https://kms.cn-north-1.amazonaws.com.cn");
	assert_string_equal(region->sts_endpoint,
			    "https://sts.cn-north-1.amazonaws.com.cn");
	assert_true(region->endpoint_is_aws);
	assert_string_equal(region->allow_keys[0],
			    "arn:aws-cn:kms:cn-north-1:444455556666:key/*");
	conf_free(conf);
}

static void own_account(void **state)
{
	struct conf *conf;

	(void)state;
	assert_int_equal(load("[region us-east-1]\ndefault-key = " KEY "\n",
			      NULL, &conf), 0);
	assert_string_equal(conf_region_at(conf, 0)->allow_keys[0], OWN "*");
	conf_free(conf);
	assert_int_equal(load("[region us-east-1]\ndefault-key = alias/x\n",
			      NULL, &conf), 0);
	assert_int_equal(conf_region_at(conf, 0)->allow_keys_count, 0);
	conf_free(conf);
}

/* AWS_ACCOUNT_ID is for hosts whose file does not tell. */
static void own_account_first(void **state)
{
	static const struct {
		const char *text, *pattern;
	} cases[] = {
		{ "[region us-east-1]\ndefault-key = " KEY "\n", OWN "*" },
		{ "[region us-east-1]\naccount = 444455556666\n",
		  "arn:aws:kms:us-east-1:444455556666:key/*" },
		{ "[region us-east-1]\ndefault-key = alias/x\n",
		  "arn:aws:kms:us-east-1:777788889999:key/*" },
	};
	struct conf_overrides o = { .environment = true };
	struct conf *conf;
	size_t i;

	(void)state;
	setenv("AWS_ACCOUNT_ID", "777788889999", 1);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(load(cases[i].text, &o, &conf), 0);
		assert_string_equal(conf_region_at(conf, 0)->allow_keys[0],
				    cases[i].pattern);
		conf_free(conf);
	}
	clear_environment();
}

static const struct {
	const char *text, *says;
} faults[] = {
	{ "[region us-east-1]\nendpont = x\n",
	  ":2: unknown name 'endpont'; known are endpoint, sts-endpoint, ca-file, profile, default-key, account, allow-keys, proxy and host-principal\n" },
	{ "[region us-east-1]\n\nendpoint = http://x\n",
	  ":3: plain HTTP is never spoken to a KMS or an STS, give an https:// endpoint instead of 'http://x'\n" },
	{ "[region us-east-1]\nendpoint = HTTP://x\n",
	  ":2: plain HTTP is never spoken" },
	{ "[region us-east-1]\nendpoint = https://\n",
	  ":2: an endpoint is https://HOST or https://HOST:PORT, not 'https://'\n" },
	{ "[region us-east-1]\nendpoint = https://u:p@x\n", ":2: an endpoint" },
	{ "[region us-east-1]\nendpoint = https://x/path\n", ":2: an endpoint" },
	{ "[region us-east-1]\nendpoint = https://x?a=b\n", ":2: an endpoint" },
	{ "[region us-east-1]\nendpoint = https://x:\n", ":2: an endpoint" },
	{ "[region us-east-1]\nendpoint = https://x:0\n", ":2: an endpoint" },
	{ "[region us-east-1]\nendpoint = https://x:65536\n",
	  ":2: an endpoint" },
	{ "[region us-east-1]\nendpoint = https://[::1\n", ":2: an endpoint" },
	{ "[region us-east-1]\nendpoint = ftp://x\n", ":2: an endpoint" },
	{ "[region us-east-1]\nsts-endpoint = http://x\n",
	  ":2: plain HTTP is never spoken to a KMS or an STS, give an https:// endpoint instead of 'http://x'\n" },
	{ "[region us-east-1]\nca-file = ca.pem\n",
	  ":2: ca-file wants an absolute path, not 'ca.pem'\n" },
	{ "[region us-east-1]\ndefault-key = x\n",
	  ":2: default-key wants a key id, a key ARN, alias/NAME or an alias ARN, not 'x'\n" },
	{ "[region us-east-2]\ndefault-key = " KEY "\n",
	  ":2: default-key is in another region: '" KEY "'\n" },
	{ "[region us-east-1]\naccount = 123\n",
	  ":2: account wants 12 digits, not '123'\n" },
	{ "[region us-east-1]\nallow-keys = *\n",
	  ":2: allow-keys wants arn:PARTITION:kms:REGION:ACCOUNT:key/ID, * as the account or at the end of the id only, not '*'\n" },
	{ "[region us-east-1]\nallow-keys = " OWN "* x\n",
	  ":2: allow-keys wants" },
	{ "[region us-east-2]\nallow-keys = " OWN "*\n",
	  ":2: allow-keys names another region: '" OWN "*'\n" },
	{ "[region us-east-1]\nproxy = socks5://x\n",
	  ":2: proxy wants http://HOST:PORT or https://HOST:PORT, not 'socks5://x'\n" },
	{ "[region us-east-1]\nhost-principal = host-1\n",
	  ":2: host-principal wants the ARN of a role, a user or a session, not 'host-1'\n" },
	{ "[region us-east-1]\nprofile =\n",
	  ":2: there is no value for 'profile'\n" },
	{ "[region us-east-1]\nprofile = a\nprofile = b\n",
	  ":3: there is a second value for 'profile'\n" },
	{ "[region us-east-1]\nprofile\n",
	  ":2: a line is NAME = VALUE, not 'profile'\n" },
	{ "profile = a\n", ":1: no [region NAME] stands before 'profile'\n" },
	{ "[us-east-1]\n",
	  ":1: a section is [region NAME], [pkcs11 NAME], [program NAME] or [vault NAME], not '[us-east-1]'\n" },
	{ "[region us-east-1\n", ":1: a section is [region NAME]" },
	{ "[region ]\n", ":1: a region is lower case letters, digits and dashes, not ''\n" },
	{ "[region US]\n", ":1: a region is lower case letters, digits and dashes, not 'US'\n" },
	{ "[region us-east-1]\n[region us-east-1]\n",
	  ":2: there is a second section for region 'us-east-1'\n" },
	{ "[aws-kms x]\n", ":1: a section is [region NAME]" },
	{ "[pkcs11]\n", ":1: a section is [region NAME]" },
	{ "[pkcs11 ]\n",
	  ":1: a section of pkcs11 wants a name of 1 to 64 bytes\n" },
	{ "[pkcs11 a]\n", ":1: [pkcs11 a] has no module\n" },
	{ "[pkcs11 a]\nendpoint = https://x\n",
	  ":2: unknown name 'endpoint' for pkcs11; known are module, token, pin-file, default-key and allow-keys\n" },
	{ "[pkcs11 a]\nmodule = a.so\n",
	  ":2: module wants an absolute path, not 'a.so'\n" },
	{ "[pkcs11 a]\npin-file = pin\n",
	  ":2: pin-file wants an absolute path, not 'pin'\n" },
	{ "[program a]\n", ":1: [program a] has no path\n" },
	{ "[program a]\npath = sh\n",
	  ":2: path wants an absolute path, not 'sh'\n" },
	{ "[program a]\nmodule = /a\n",
	  ":2: unknown name 'module' for program; known are path, user, default-key and allow-keys\n" },
	{ "[program a]\npath = /a\nallow-keys = program:b/*\n",
	  ":1: [program a]: allow-keys wants key ids of 'a', * at the end only, not 'program:b/*'\n" },
	{ "[vault a]\n", ":1: [vault a] has no endpoint\n" },
	{ "[vault a]\nendpoint = http://x:8200\n", ":2: " },
	{ VAULT "endpoint = https://y\n",
	  ":3: there is a second value for 'endpoint'\n" },
	{ VAULT, ":1: [vault a] has no token-file, which auth = token needs\n" },
	{ VAULT "auth = approle\n",
	  ":1: [vault a] has no role, which auth = approle needs\n" },
	{ VAULT "auth = approle\nrole = r\ntoken-file = /t\n",
	  ":1: [vault a] has token-file, which auth = approle does not take\n" },
	{ VAULT "auth = kubernetes\nrole = r\nsecret-id-file = /t\n",
	  ":1: [vault a] has secret-id-file, which auth = kubernetes does not take\n" },
	{ VAULT "auth = cert\n",
	  ":1: [vault a] has no cert-file, which auth = cert needs\n" },
	{ VAULT "token-file = /t\njwt-file = /j\n",
	  ":1: [vault a] has jwt-file, which auth = token does not take\n" },
	{ VAULT "token-file = /t\ncert-file = /c\n",
	  ":1: [vault a] has only one of cert-file and cert-key-file\n" },
	{ VAULT "auth = password\n",
	  ":3: auth is token, approle, kubernetes or cert, not 'password'\n" },
	{ VAULT "mount = ../sys\n",
	  ":3: mount wants names of letters, digits and -_. with / between, not '../sys'\n" },
	{ VAULT "mount = a/\n", ":3: mount wants names" },
	{ VAULT "mount = /a\n", ":3: mount wants names" },
	{ VAULT "namespace = a//b\n", ":3: namespace wants names" },
	{ VAULT "auth-mount = a?b\n", ":3: auth-mount wants names" },
	{ VAULT "role = a\"b\n",
	  ":3: role wants up to 128 bytes without \" and \\, not 'a\"b'\n" },
	{ VAULT "role = a\tb\n", ":3: role wants up to" },
	{ VAULT "proxy = socks://x\n",
	  ":3: proxy wants http://HOST:PORT or https://HOST:PORT, not 'socks://x'\n" },
	{ VAULT "token-file = t\n",
	  ":3: token-file wants an absolute path, not 't'\n" },
	{ VAULT "token-file = /t\nallow-keys = vault:b/*\n",
	  ":1: [vault a]: allow-keys wants key ids of 'a'" },
	{ VAULT "pin-file = /t\n",
	  ":3: unknown name 'pin-file' for vault; known are endpoint, ca-file, proxy, namespace, mount, auth, auth-mount, role, token-file, secret-id-file, jwt-file, cert-file, cert-key-file, default-key and allow-keys\n" },
	{ "[pkcs11 a]\nmodule =\n", ":2: there is no value for 'module'\n" },
	{ "[pkcs11 a]\ntoken = 12345678901234567890123456789012345678901234567890123456789012345\n",
	  ":2: token is too long: '12345" },
	{ "[pkcs11 a]\nmodule = /a\nmodule = /b\n",
	  ":3: there is a second value for 'module'\n" },
	{ "[pkcs11 a]\nallow-keys = " PKCS "x\nallow-keys = " PKCS "y\n",
	  ":3: there is a second value for 'allow-keys'\n" },
	{ "[pkcs11 a]\ndefault-key = " PKCS "x\ndefault-key = " PKCS "y\n",
	  ":3: there is a second value for 'default-key'\n" },
	{ "[pkcs11 a]\nmodule = /a\n[pkcs11 a]\n",
	  ":3: there is a second section [pkcs11 a]\n" },
	{ "[pkcs11 a]\nmodule = /a\n[pkcs11 b]\nmodule = /b\ntoken = a\n",
	  ":3: [pkcs11 b] is for 'a', as is [pkcs11 a]: a key id must lead to one of them\n" },
	{ "[pkcs11 a]\nmodule = /a\nallow-keys = pkcs11:token=b;object=*\n",
	  ":1: [pkcs11 a]: allow-keys wants key ids of 'a', * at the end only, not 'pkcs11:token=b;object=*'\n" },
	{ "[pkcs11 a]\nmodule = /a\ndefault-key = pkcs11:token=b;object=x\n",
	  ":1: [pkcs11 a]: default-key wants a key id of 'a', not 'pkcs11:token=b;object=x'\n" },
	{ "[pkcs11 a]\nmodule = /a\ndefault-key = program:a/x\n",
	  ":1: [pkcs11 a]: default-key wants a key id of 'a', not 'program:a/x'\n" },
	{ "[pkcs11 a]\nmodule = /a\ndefault-key = " KEY "\n",
	  ":1: [pkcs11 a]: default-key wants a key id of 'a', not '" KEY "'\n" },
};

static void refuses(void **state)
{
	struct conf *conf = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		int r;

		capture_start();
		r = load(faults[i].text, NULL, &conf);
		capture_end();
		if (r != -EINVAL || !strstr(capture_text, faults[i].says))
			fail_msg("%d: '%s' said %s", r, faults[i].text,
				 capture_text);
		assert_null(conf);
	}
}

static void refuses_files(void **state)
{
	static char big[CONF_MAX_BYTES + 2];
	struct conf_overrides o = { .config = "/nonexistent/envelope.conf" };
	struct conf *conf = NULL;
	int fd;

	(void)state;
	capture_start();
	assert_int_equal(conf_load(&o, &conf), -EINVAL);
	assert_string_equal(capture_end(), "unit: /nonexistent/envelope.conf: cannot be opened: No such file or directory\n");
	o.config = "/tmp";
	capture_start();
	assert_int_equal(conf_load(&o, &conf), -EINVAL);
	assert_string_equal(capture_end(),
			    "unit: /tmp: cannot be read: Is a directory\n");
	memset(big, '#', sizeof(big) - 1);
	capture_start();
	assert_int_equal(load(big, NULL, &conf), -EINVAL);
	assert_non_null(strstr(capture_end(), "longer than 65536 bytes"));
	fd = memfd_create("nul", 0);
	assert_int_equal(write(fd, "#\0#\n", 4), 4);
	lseek(fd, 0, SEEK_SET);
	snprintf(big, sizeof(big), "/proc/self/fd/%d", fd);
	o.config = big;
	capture_start();
	assert_int_equal(conf_load(&o, &conf), -EINVAL);
	assert_non_null(strstr(capture_end(), "has a NUL byte"));
	close(fd);
	assert_null(conf);
}

static void too_many(void **state)
{
	static char text[65536];
	struct conf *conf = NULL;
	size_t used = 0;
	int i;

	(void)state;
	for (i = 0; i <= 64; i++)
		used += sprintf(text + used, "[region r-%d]\n", i);
	capture_start();
	assert_int_equal(load(text, NULL, &conf), -EINVAL);
	assert_non_null(strstr(capture_end(), ":65: there are too many regions at 'r-64'"));
	used = sprintf(text, "[region us-east-1]\nallow-keys =");
	for (i = 0; i <= 64; i++)
		used += sprintf(text + used, " " OWN "k%d", i);
	capture_start();
	assert_int_equal(load(text, NULL, &conf), -EINVAL);
	assert_non_null(strstr(capture_end(), ":2: allow-keys has too many patterns"));
}

static void trusts(void **state)
{
	struct stat good = { .st_uid = 0, .st_mode = S_IFREG | 0644 };
	struct stat group = { .st_uid = 0, .st_mode = S_IFREG | 0664 };
	struct stat world = { .st_uid = 0, .st_mode = S_IFREG | 0646 };
	struct stat other = { .st_uid = 1000, .st_mode = S_IFREG | 0600 };

	(void)state;
	assert_true(conf_file_trusted(CONF_PATH, &good, 0));
	assert_false(conf_file_trusted(CONF_PATH, &group, 0));
	assert_false(conf_file_trusted(CONF_PATH, &world, 0));
	assert_false(conf_file_trusted(CONF_PATH, &other, 0));
	/* --config elsewhere is the caller's choice, as is a user's own. */
	assert_true(conf_file_trusted("/home/u/x.conf", &other, 0));
	assert_true(conf_file_trusted(CONF_PATH, &other, 1000));
}

static void options_win(void **state)
{
	struct conf_overrides o = {
		.endpoint = "https://option:1", .ca_file = "option.pem",
		.profile = "option", .region = "eu-west-1",
		.environment = true,
	};
	const struct conf_region *region;
	struct conf *conf;

	(void)state;
	setenv("AWS_ENDPOINT_URL_KMS", "https://env:1", 1);
	setenv("AWS_CA_BUNDLE", "/env.pem", 1);
	setenv("AWS_PROFILE", "env", 1);
	setenv("AWS_REGION", "us-east-1", 1);
	assert_int_equal(load(two_regions, &o, &conf), 0);
	assert_int_equal(conf_region(conf, NULL, &region), 0);
	assert_string_equal(region->name, "eu-west-1");
	assert_string_equal(region->endpoint, "https://option:1");
	assert_string_equal(region->ca_file, "option.pem");
	assert_string_equal(region->profile, "option");
	assert_true(region->profile_by_option);
	assert_true(conf_environment(conf));
	/* The endpoint of the other region stays. */
	assert_int_equal(conf_region(conf, "us-east-1", &region), 0);
	assert_string_equal(region->endpoint, "https://127.0.0.1:8443");
	conf_free(conf);
	clear_environment();
}

static void environment_counts(void **state)
{
	struct conf_overrides o = { .environment = true };
	const struct conf_region *region;
	struct conf *conf;

	(void)state;
	setenv("AWS_ENDPOINT_URL", "https://env:2", 1);
	setenv("AWS_ENDPOINT_URL_STS", "https://env:3", 1);
	setenv("AWS_CA_BUNDLE", "/env.pem", 1);
	setenv("AWS_PROFILE", "env", 1);
	setenv("AWS_DEFAULT_REGION", "ap-south-1", 1);
	setenv("AWS_ACCOUNT_ID", "777788889999", 1);
	assert_int_equal(load(two_regions, &o, &conf), 0);
	assert_int_equal(conf_region(conf, NULL, &region), 0);
	assert_string_equal(region->name, "ap-south-1");
	assert_string_equal(region->endpoint, "https://env:2");
	assert_string_equal(region->sts_endpoint, "https://env:3");
	assert_string_equal(region->ca_file, "/env.pem");
	assert_string_equal(region->profile, "env");
	assert_false(region->profile_by_option);
	assert_string_equal(region->allow_keys[0],
			    "arn:aws:kms:ap-south-1:777788889999:key/*");
	conf_free(conf);
	/* The specific names go before the general ones. */
	setenv("AWS_ENDPOINT_URL_KMS", "https://env:1", 1);
	setenv("AWS_REGION", "us-east-1", 1);
	assert_int_equal(load(two_regions, &o, &conf), 0);
	assert_string_equal(conf_region_at(conf, 0)->endpoint,
			    "https://env:1");
	conf_free(conf);
	clear_environment();
}

static void environment_ignored(void **state)
{
	const struct conf_region *region;
	struct conf *conf;

	(void)state;
	setenv("AWS_ENDPOINT_URL_KMS", "https://env:1", 1);
	setenv("AWS_CA_BUNDLE", "/env.pem", 1);
	setenv("AWS_PROFILE", "env", 1);
	setenv("AWS_REGION", "ap-south-1", 1);
	setenv("AWS_ACCOUNT_ID", "777788889999", 1);
	assert_int_equal(load(two_regions, NULL, &conf), 0);
	assert_int_equal(conf_region(conf, NULL, &region), 0);
	assert_string_equal(region->name, "us-east-1");
	assert_string_equal(region->endpoint, "https://127.0.0.1:8443");
	assert_string_equal(region->ca_file, "/path/ca.pem");
	assert_string_equal(region->profile, "envelope");
	conf_free(conf);
	clear_environment();
}

static void bad_overrides(void **state)
{
	static const struct {
		struct conf_overrides o;
		const char *text, *says;
	} bad[] = {
		{ { .endpoint = "http://x" }, two_regions,
		  "unit: --kms-endpoint: plain HTTP is never spoken to a KMS or an STS, give an https:// endpoint instead of 'http://x'\n" },
		{ { .endpoint = "https://x" }, "",
		  "unit: --kms-endpoint: no region is known for it; give --region or set AWS_REGION\n" },
		{ { .region = "Here" }, "",
		  "unit: --region: a region is lower case letters, digits and dashes, not 'Here'\n" },
	};
	struct conf_overrides env = { .environment = true };
	struct conf *conf = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct conf_overrides o = bad[i].o;
		int r;

		capture_start();
		r = load(bad[i].text, &o, &conf);
		assert_string_equal(capture_end(), bad[i].says);
		assert_int_equal(r, -EINVAL);
	}
	setenv("AWS_ENDPOINT_URL", "http://x", 1);
	capture_start();
	assert_int_equal(load(two_regions, &env, &conf), -EINVAL);
	assert_non_null(strstr(capture_end(), "unit: AWS_ENDPOINT_URL: plain HTTP"));
	clear_environment();
	setenv("AWS_ACCOUNT_ID", "12", 1);
	capture_start();
	assert_int_equal(load("[region us-east-1]\n", &env, &conf), -EINVAL);
	assert_string_equal(capture_end(), "unit: AWS_ACCOUNT_ID: an account is 12 digits, not '12'\n");
	clear_environment();
	assert_null(conf);
}

static void nothing_configured(void **state)
{
	const struct conf_region *region;
	struct conf *conf;
	const char *key;

	(void)state;
	assert_int_equal(load("", NULL, &conf), 0);
	capture_start();
	assert_int_equal(conf_region(conf, NULL, &region), -EINVAL);
	assert_non_null(strstr(capture_end(), "no region is configured; write [region NAME] into "));
	conf_free(conf);
	assert_int_equal(load("[region us-east-1]\n", NULL, &conf), 0);
	capture_start();
	assert_int_equal(conf_default_key(conf, &key), -EINVAL);
	assert_non_null(strstr(capture_end(), "region us-east-1: no key was given and no default key is set, and AWS lets only its own services use alias/aws/ebs; give --kms-key, run 'envelope default key set' or set default-key in "));
	conf_free(conf);
}

static void allows(void **state)
{
	const struct conf_region *region = NULL;
	struct conf *conf;

	(void)state;
	assert_int_equal(load(two_regions, NULL, &conf), 0);
	assert_int_equal(conf_allow_key(conf, KEY, &region), 0);
	assert_string_equal(region->name, "us-east-1");
	assert_int_equal(conf_allow_key(conf, "alias/x", &region), 0);
	assert_int_equal(conf_allow_key(conf, "arn:aws:kms:eu-west-1:444455556666:key/x", &region), 0);
	assert_string_equal(region->name, "eu-west-1");
	region = NULL;
	capture_start();
	assert_int_equal(conf_allow_key(conf, "arn:aws:kms:us-east-1:999988887777:key/x", &region), -EACCES);
	assert_non_null(strstr(capture_end(), "allow-keys does not cover it"));
	capture_start();
	assert_int_equal(conf_allow_key(conf, "arn:aws:kms:us-west-2:111122223333:key/x", &region), -EACCES);
	assert_non_null(strstr(capture_end(), "region 'us-west-2' is not configured on this host"));
	capture_start();
	assert_int_equal(conf_allow_key(conf, "nonsense", &region), -EINVAL);
	assert_string_equal(capture_end(), "unit: key 'nonsense': not a KMS key id, key ARN, alias/NAME or alias ARN\n");
	assert_null(region);
	conf_free(conf);
}

static void aws_managed(void **state)
{
	static const char *const keys[] = {
		"alias/aws/ebs",
		"arn:aws:kms:us-east-1:111122223333:alias/aws/ebs",
	};
	const struct conf_region *region;
	struct conf *conf;
	size_t i;

	(void)state;
	assert_int_equal(load("[region us-east-1]\naccount = 111122223333\n",
			      NULL, &conf), 0);
	for (i = 0; i < 2; i++) {
		capture_start();
		assert_int_equal(conf_allow_key(conf, keys[i], &region),
				 -EINVAL);
		assert_non_null(strstr(capture_end(), "AWS lets only its own services use the keys it manages; make a customer managed key and set it as default-key for region us-east-1 in "));
	}
	conf_free(conf);
	/* envelope-kms may have an alias of that name. */
	assert_int_equal(load(two_regions, NULL, &conf), 0);
	assert_int_equal(conf_allow_key(conf, keys[0], &region), 0);
	conf_free(conf);
	assert_int_equal(load("[region us-east-1]\naccount = 111122223333\nendpoint = https://vpce-1.kms.us-east-1.vpce.AMAZONAWS.com:443\n", NULL, &conf), 0);
	assert_true(conf_region_at(conf, 0)->endpoint_is_aws);
	conf_free(conf);
}

static void other_sections(void **state)
{
	static const char text[] =
		"[region us-east-1]\naccount = 111122223333\n"
		"[pkcs11 hsm]\nmodule = /usr/lib/hsm.so\ntoken = The token\n"
		"pin-file = /etc/envelope/pin\n"
		"allow-keys = pkcs11:token=The%20token;object=vol*\n"
		"[pkcs11 a]\nmodule = /a.so\ndefault-key = " PKCS "x\n"
		"[vault v]\nendpoint = https://x:8200/\nmount = a/b.c\n"
		"namespace = n\nauth = cert\ncert-file = /c\n"
		"cert-key-file = /k\nproxy = http://p:1\n"
		"allow-keys = vault:v/a*\n";
	const char *allowed = "pkcs11:token=The%20token;object=vol-1";
	const struct conf_region *region;
	const struct conf_provider *p;
	struct conf *conf;
	const char *key;

	(void)state;
	assert_int_equal(load(text, NULL, &conf), 0);
	assert_int_equal(conf_allow_key(conf, allowed, &region), 0);
	assert_null(region);
	p = conf_provider_of(conf, allowed);
	assert_int_equal(p->kind, KEY_PKCS11);
	assert_string_equal(p->name, "hsm");
	assert_string_equal(conf_provider_place(p), "The token");
	assert_string_equal(p->value[CONF_MODULE], "/usr/lib/hsm.so");
	assert_string_equal(p->value[CONF_PIN_FILE], "/etc/envelope/pin");
	assert_string_equal(conf_provider_of(conf, PKCS "x")->name, "a");
	assert_int_equal(conf_allow_key(conf, PKCS "x", &region), 0);
	p = conf_provider_of(conf, "vault:v/a");
	assert_ptr_equal(p, conf_provider_at(conf, 2));
	assert_null(conf_provider_at(conf, 3));
	assert_string_equal(p->value[CONF_ENDPOINT], "https://x:8200");
	assert_string_equal(p->value[CONF_MOUNT], "a/b.c");
	assert_string_equal(conf_auth_of(p)->name, "cert");
	assert_int_equal(conf_allow_key(conf, "vault:v/ab", &region), 0);
	assert_null(conf_provider_of(conf, "pkcs11:token=b;object=x"));
	assert_null(conf_provider_of(conf, KEY));
	capture_start();
	assert_int_equal(conf_allow_key(conf, "pkcs11:token=The%20token;object=x",
					&region), -EACCES);
	assert_non_null(strstr(capture_end(), "add it for [pkcs11 hsm] in /"));
	capture_start();
	assert_int_equal(conf_allow_key(conf, "pkcs11:token=b;object=x",
					&region), -EACCES);
	assert_non_null(strstr(capture_end(), "'b' is not configured on this host; if it shall be used, add a section [pkcs11 NAME] to /"));
	capture_start();
	assert_int_equal(conf_allow_key(conf, "pkcs11:b", &region), -EINVAL);
	assert_non_null(strstr(capture_end(), "key 'pkcs11:b': not a key id of pkcs11, which are pkcs11:token=LABEL;object=LABEL or"));
	/* The region comes first, and it has none. */
	capture_start();
	assert_int_equal(conf_default_key(conf, &key), -EINVAL);
	capture_end();
	conf_free(conf);
	assert_int_equal(load(strstr(text, "[pkcs11"), NULL, &conf), 0);
	assert_int_equal(conf_default_key(conf, &key), 0);
	assert_string_equal(key, PKCS "x");
	conf_free(conf);
	/* A pod's token is where pods have it. */
	assert_int_equal(load(VAULT "auth = kubernetes\nrole = r\n", NULL,
			      &conf), 0);
	assert_string_equal(conf_provider_at(conf, 0)->value[CONF_JWT_FILE],
			    "/var/run/secrets/kubernetes.io/serviceaccount/token");
	conf_free(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("conf: a file with two regions", reads),
		NAMED("conf: endpoint, CA and allow-keys have defaults",
		      defaults),
		NAMED("security-01-conf: the own account comes from account or default-key",
		      own_account),
		NAMED("security-01-conf: the account of default-key beats AWS_ACCOUNT_ID",
		      own_account_first),
		NAMED("conf: every malformed line is refused with its number",
		      refuses),
		NAMED("conf: unreadable, oversized and binary files are refused",
		      refuses_files),
		NAMED("conf: regions and patterns have a limit", too_many),
		NAMED("security-05-conf: below /etc only root's file is believed",
		      trusts),
		NAMED("conf: options win over environment and file",
		      options_win),
		NAMED("conf: the environment counts for --direct",
		      environment_counts),
		NAMED("security-05-conf: the environment counts for nobody else",
		      environment_ignored),
		NAMED("conf: malformed overrides are refused by name",
		      bad_overrides),
		NAMED("conf: nothing configured says what to write",
		      nothing_configured),
		NAMED("security-01-conf: allow-keys decides by region and account",
		      allows),
		NAMED("security-05-conf: keys in no AWS KMS lead to their section",
		      other_sections),
		NAMED("security-33-conf: keys that AWS manages are explained",
		      aws_managed),
	};

	log_init("unit");
	clear_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
