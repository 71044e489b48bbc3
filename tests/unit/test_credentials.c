// SPDX-License-Identifier: GPL-2.0-or-later
/* Where credentials come from: agent/credentials.c. */
#include "client_capture.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "credentials.h"
#include "log.h"

#define UNDO "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"

static char *credentials_path, *config_path;

/* Both AWS files with these texts; NULL leaves one out. */
static void files(const char *credentials, const char *config)
{
	credentials_path = capture_temp_file(credentials ? credentials : "");
	config_path = capture_temp_file(config ? config : "");
	if (!credentials)
		unlink(credentials_path);
	if (!config)
		unlink(config_path);
	setenv("AWS_SHARED_CREDENTIALS_FILE", credentials_path, 1);
	setenv("AWS_CONFIG_FILE", config_path, 1);
}

static int cleanup(void **state)
{
	static const char *const names[] = {
		UNDO, "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	/* This host may be an instance of EC2. */
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	if (credentials_path)
		unlink(credentials_path);
	if (config_path)
		unlink(config_path);
	free(credentials_path);
	free(config_path);
	credentials_path = config_path = NULL;
	return 0;
}

static int load(const char *profile, bool by_option, struct credentials **ret)
{
	struct credentials_query query = {
		.profile = profile,
		.profile_by_option = by_option,
		.environment = true,
	};

	*ret = NULL;
	return credentials_load(&query, 10000, ret);
}

static void expect(const char *profile, bool by_option, const char *key_id,
		   const char *secret, const char *token)
{
	struct credentials *c;

	assert_int_equal(load(profile, by_option, &c), 0);
	assert_string_equal(c->access_key_id, key_id);
	assert_string_equal((const char *)secret_cbytes(c->secret_key),
			    secret);
	if (token)
		assert_string_equal((const char *)
				    secret_cbytes(c->session_token), token);
	else
		assert_null(c->session_token);
	credentials_free(c);
}

/* -EHOSTUNREACH and a sentence that holds @says. */
static void expect_none(const char *profile, bool by_option, const char *says)
{
	struct credentials *c;
	int r;

	capture_start();
	r = load(profile, by_option, &c);
	capture_end();
	if (!strstr(capture_text, says) || strchr(capture_text, '\n') !=
	    capture_text + strlen(capture_text) - 1)
		fail_msg("said: %s", capture_text);
	assert_int_equal(r, -EHOSTUNREACH);
	assert_null(c);
}

static void environment(void **state)
{
	struct credentials *c;

	(void)state;
	files("[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n",
	      NULL);
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "a/b+c=", 1);
	expect(NULL, false, "ENV", "a/b+c=", NULL);
	setenv("AWS_SESSION_TOKEN", "token", 1);
	expect(NULL, false, "ENV", "a/b+c=", "token");
	assert_int_equal(load(NULL, false, &c), 0);
	assert_string_equal(c->source, "the environment");
	credentials_free(c);
	/* AWS_PROFILE or the file's profile do not outweigh keys... */
	expect("default", false, "ENV", "a/b+c=", "token");
	/* ...--profile does. */
	expect("default", true, "FILE", "s", NULL);
	/* Empty is unset, as in the AWS programs. */
	setenv("AWS_ACCESS_KEY_ID", "", 1);
	expect(NULL, false, "FILE", "s", NULL);
}

static void environment_partial(void **state)
{
	(void)state;
	files(NULL, NULL);
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	expect_none(NULL, false, "unit: AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not; set both or none\n");
}

static void environment_closed(void **state)
{
	struct credentials_query query = { .profile = "nobody-has-this" };
	struct credentials *c = NULL;

	(void)state;
	files("[nobody-has-this]\naws_access_key_id = A\naws_secret_access_key = s\n",
	      NULL);
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	setenv("HOME", "/tmp", 1);
	capture_start();
	assert_int_equal(credentials_load(&query, 10000, &c), -EHOSTUNREACH);
	capture_end();
	/* Neither the keys nor the files that the environment names. */
	assert_null(strstr(capture_text, credentials_path));
	assert_non_null(strstr(capture_text, "profile 'nobody-has-this' is neither in "));
	assert_null(c);
}

static void shared_file(void **state)
{
	struct credentials *c;
	char source[128];

	(void)state;
	files("# comment\n; another\n"
	      "[default]\n"
	      "aws_access_key_id = D\naws_secret_access_key = sd\n"
	      "\n"
	      "[envelope]\n"
	      "  AWS_Access_Key_Id=E\n"
	      "  aws_secret_access_key : s=e:x\r\n"
	      "  aws_session_token =  te \n"
	      "  region = us-east-1\n"
	      "[bare]\n",
	      NULL);
	expect(NULL, false, "D", "sd", NULL);
	expect("envelope", false, "E", "s=e:x", "te");
	assert_int_equal(load("envelope", false, &c), 0);
	snprintf(source, sizeof(source), "profile 'envelope' in %s",
		 credentials_path);
	assert_string_equal(c->source, source);
	credentials_free(c);
	expect_none("bare", false, "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write aws_access_key_id and aws_secret_access_key of profile 'bare' into ");
	expect_none("envelop", false, "profile 'envelop' is neither in ");
}

static void config_file(void **state)
{
	(void)state;
	files("[x]\nregion = r\n[both]\naws_access_key_id = S\naws_secret_access_key = ss\n",
	      "[default]\naws_access_key_id = D\naws_secret_access_key = sd\n"
	      "[profile x]\naws_access_key_id = X\naws_secret_access_key = sx\n"
	      "[profile \"with space\"]\naws_access_key_id = W\naws_secret_access_key = sw\n"
	      "[y]\naws_access_key_id = Y\naws_secret_access_key = sy\n"
	      "[profile both]\naws_access_key_id = C\naws_secret_access_key = sc\n");
	expect(NULL, false, "D", "sd", NULL);
	expect("x", false, "X", "sx", NULL);
	expect("with space", false, "W", "sw", NULL);
	expect("both", false, "S", "ss", NULL);
	expect_none("y", false, "profile 'y' is neither in ");
}

static void nested(void **state)
{
	(void)state;
	files("[default]\n"
	      "s3 =\n"
	      "    aws_access_key_id = INNER\n"
	      "    aws_secret_access_key = si\n"
	      "aws_access_key_id = OUTER\n"
	      "aws_secret_access_key = so\n", NULL);
	expect(NULL, false, "OUTER", "so", NULL);
}

static void partial(void **state)
{
	(void)state;
	files("[default]\naws_access_key_id = D\n"
	      "[empty]\naws_access_key_id = E\naws_secret_access_key =\n",
	      "[default]\naws_secret_access_key = elsewhere\n");
	expect_none(NULL, false, "has aws_access_key_id but no aws_secret_access_key; write both\n");
	expect_none("empty", false, "has aws_access_key_id but no aws_secret_access_key; write both\n");
}

static void sso(void **state)
{
	(void)state;
	files("[keys]\naws_access_key_id = K\naws_secret_access_key = s\n",
	      "[profile sso]\nsso_session = x\n"
	      "[profile old]\nsso_start_url = https://x\n"
	      "[profile keys]\nsso_session = x\n");
	expect_none("sso", false, "unit: profile 'sso' gets its credentials by sso, which needs a browser; use a profile with credential_process = aws configure export-credentials --profile sso\n");
	expect_none("old", false, "profile 'old' gets its credentials by sso, ");
	/* botocore asks for it before it looks at the keys. */
	expect_none("keys", false, "profile 'keys' gets its credentials by sso, ");
}

static void none(void **state)
{
	(void)state;
	files(NULL, NULL);
	expect_none(NULL, false, "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write aws_access_key_id and aws_secret_access_key of profile 'default' into ");
	expect_none("x", false, "profile 'x' is neither in ");
	expect_none("default", true, "profile 'default' is neither in ");
}

static void malformed(void **state)
{
	(void)state;
	files("[id]\naws_access_key_id = A/B\naws_secret_access_key = s\n"
	      "[secret]\naws_access_key_id = A\naws_secret_access_key = s s\n"
	      "[token]\naws_access_key_id = A\naws_secret_access_key = s\naws_session_token = a\tb\n"
	      "[esc]\naws_access_key_id = A\naws_secret_access_key = s\x1b[2J\n",
	      NULL);
	expect_none("id", false, "the credentials have characters that no AWS key has; copy them again\n");
	expect_none("secret", false, "characters that no AWS key has");
	expect_none("token", false, "characters that no AWS key has");
	expect_none("esc", false, "characters that no AWS key has");
	/* The rejected text is not shown. */
	assert_null(strstr(capture_text, "[2J"));
}

static void bad_files(void **state)
{
	static char big[CREDENTIALS_FILE_MAX_BYTES + 2];

	(void)state;
	memset(big, '#', sizeof(big) - 1);
	files(big, NULL);
	expect_none(NULL, false, "not a file of at most 262144 bytes\n");
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/tmp", 1);
	expect_none(NULL, false, "unit: /tmp: not a file of at most 262144 bytes\n");
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/zero", 1);
	expect_none(NULL, false, "unit: /dev/zero: not a file");
	setenv("AWS_SHARED_CREDENTIALS_FILE", credentials_path, 1);
	unlink(credentials_path);
	assert_int_equal(symlink(credentials_path, credentials_path), 0);
	expect_none(NULL, false, "cannot be opened: Too many levels of symbolic links\n");
}

static void home(void **state)
{
	char folder[] = "/tmp/envelope-home-XXXXXX";
	char path[64];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/.aws", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	strcat(path, "/credentials");
	f = fopen(path, "w");
	fputs("[default]\naws_access_key_id = H\naws_secret_access_key = s\n",
	      f);
	fclose(f);
	setenv("HOME", folder, 1);
	expect(NULL, false, "H", "s", NULL);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", 1);
	expect(NULL, false, "H", "s", NULL);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(folder);
}

static void many_fields(void **state)
{
	(void)state;
	/* The last value of a name counts; a line without = is no setting. */
	files("[default]\naws_access_key_id = A\naws_access_key_id = B\n"
	      "nonsense\naws_secret_access_key = s", NULL);
	expect(NULL, false, "B", "s", NULL);
	credentials_free(NULL);
}

#define CASE(title, function) { title, function, NULL, cleanup, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE("credentials: keys in the environment go first, but for --profile",
		     environment),
		CASE("credentials: half a pair in the environment is named",
		     environment_partial),
		CASE("security-05-credentials: a closed environment has no say",
		     environment_closed),
		CASE("credentials: the shared file by profile", shared_file),
		CASE("credentials: the config file by profile", config_file),
		CASE("credentials: nested settings are not the profile's",
		     nested),
		CASE("credentials: half a pair in a file is named", partial),
		CASE("credentials: sso is named, and what to do", sso),
		CASE("credentials: none at all says what to write", none),
		CASE("credentials: characters that no key has are refused",
		     malformed),
		CASE("credentials: unreadable and oversized files are refused",
		     bad_files),
		CASE("credentials: the home folder's files are the default",
		     home),
		CASE("credentials: the last value counts", many_fields),
	};

	log_init("unit");
	cleanup(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
