// SPDX-License-Identifier: GPL-2.0-or-later
/* Pins: what the host remembers, and whom it believes. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "header_fixture.h"
#include "known.h"

#define PATH_CHARS 128

struct place {
	char base[64];
	char dir[80];
	char file[PATH_CHARS];
};

static struct place place;

static int make_place(void **state)
{
	(void)state;
	strcpy(place.base, "/tmp/envelope-known-XXXXXX");
	assert_non_null(mkdtemp(place.base));
	snprintf(place.dir, sizeof(place.dir), "%s/envelope", place.base);
	snprintf(place.file, sizeof(place.file), "%s/known", place.dir);
	known_set_dir(place.dir);
	return 0;
}

static int remove_place(void **state)
{
	(void)state;
	unlink(place.file);
	rmdir(place.dir);
	rmdir(place.base);
	known_set_dir(NULL);
	return 0;
}

static void put_file(const char *text, mode_t mode)
{
	int fd;

	mkdir(place.dir, 0700);
	fd = open(place.file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void get_file(char *text, size_t room)
{
	int fd = open(place.file, O_RDONLY);
	ssize_t n = read(fd, text, room - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
}

static void no_pin_yet(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);

	(void)state;
	fixture_listen();
	assert_int_equal(known_check("disk", h, 0), -ENOENT);
	assert_string_equal(fixture_heard(), "");
	put_file("", 0600);
	assert_int_equal(known_check("disk", h, 0), -ENOENT);
	header_free(h);
	secret_free(dek);
}

static void pinned(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	char text[1024], want[1024];
	struct stat st;

	(void)state;
	assert_int_equal(known_update(h), 0);
	assert_int_equal(known_check("disk", h, 0), 0);
	get_file(text, sizeof(text));
	snprintf(want, sizeof(want), "{\"volume_id\":\"%s\",\"lineage\":\"%s\",\"revision\":1,\"key_ids\":[\"%s\"]}\n",
		 VOLUME_ID, header_core(h)->lineage, ARN_1);
	assert_string_equal(text, want);
	assert_int_equal(stat(place.file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(place.dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	header_free(h);
	secret_free(dek);
}

/* The attacker's own volume under the victim's id. */
static void other_lineage(void **state)
{
	struct secret *dek = fixture_dek(1), *other = fixture_dek(2);
	struct header *h = fixture_header(dek), *forged = fixture_header(other);

	(void)state;
	assert_int_equal(known_update(h), 0);
	fixture_listen();
	assert_int_equal(known_check("disk", forged, 0), -EBADMSG);
	assert_heard("'disk': vol-0123456789abcdef0 is pinned with another data key: the header was replaced; restore a header backup, or if you rekeyed the volume elsewhere, remove its line from ");
	header_free(h);
	header_free(forged);
	secret_free(dek);
	secret_free(other);
}

static void lower_revision(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *old = fixture_header(dek), *h = fixture_header(dek);
	struct header_core core = *header_core(h);

	(void)state;
	assert_int_equal(header_change_core(h, &core), 0);
	assert_int_equal(header_seal(h, dek), 0);
	assert_int_equal(known_update(old), 0);
	assert_int_equal(known_check("disk", h, 0), 0);
	assert_int_equal(known_update(h), 0);
	fixture_listen();
	assert_int_equal(known_check("disk", old, 0), -EBADMSG);
	assert_heard("'disk': vol-0123456789abcdef0 is pinned at revision 2, the header has 1: an old header was put back");
	header_free(old);
	header_free(h);
	secret_free(dek);
}

static void other_key(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	struct header_slot slot = fixture_slot(ARN_2);

	(void)state;
	assert_int_equal(known_update(h), 0);
	assert_int_equal(header_add_slot(h, &slot), 0);
	assert_int_equal(known_check("disk", h, 0), 0);
	fixture_listen();
	assert_int_equal(known_check("disk", h, 1), -EBADMSG);
	assert_heard("'disk': vol-0123456789abcdef0 is not pinned with key " ARN_2);
	/* That slot 0 opened the volume says nothing of slot 1. */
	assert_int_equal(known_update(h), 0);
	fixture_listen();
	assert_int_equal(known_check("disk", h, 1), -EBADMSG);
	assert_heard("is not pinned with key " ARN_2);
	/* The first time, all slots are taken on trust. */
	assert_int_equal(known_forget(VOLUME_ID), 0);
	assert_int_equal(known_update(h), 0);
	assert_int_equal(known_check("disk", h, 1), 0);
	header_free(h);
	secret_free(dek);
}

static void replaced_key(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	struct header_slot slot = fixture_slot(ARN_2);

	(void)state;
	assert_int_equal(known_replace_key(VOLUME_ID, ARN_1, ARN_2), 0);
	assert_int_equal(known_check("disk", h, 0), -ENOENT);
	assert_int_equal(known_update(h), 0);
	/* Without an old key the new one stands beside it. */
	assert_int_equal(known_replace_key(VOLUME_ID, NULL, ARN_2), 0);
	assert_int_equal(known_check("disk", h, 0), 0);
	assert_int_equal(known_replace_key(VOLUME_ID, ARN_1, ARN_2), 0);
	fixture_listen();
	assert_int_equal(known_check("disk", h, 0), -EBADMSG);
	assert_heard("is not pinned with key " ARN_1);
	assert_int_equal(header_set_slot(h, 0, &slot), 0);
	assert_int_equal(known_check("disk", h, 0), 0);
	header_free(h);
	secret_free(dek);
}

/* Other volumes' lines stay as they are. */
static void one_line_a_volume(void **state)
{
	static const char other[] = "{\"volume_id\":\"vol-fedcba98765432100\",\"lineage\":\"ab\",\"revision\":5,\"key_ids\":[]}\n";
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	char text[2048];

	(void)state;
	put_file(other, 0600);
	assert_int_equal(known_update(h), 0);
	assert_int_equal(known_update(h), 0);
	get_file(text, sizeof(text));
	assert_ptr_equal(strstr(text, other), text);
	assert_non_null(strstr(text, VOLUME_ID));
	assert_ptr_equal(strchr(strchr(text, '\n') + 1, '\n'),
			 text + strlen(text) - 1);
	assert_int_equal(known_forget(VOLUME_ID), 0);
	assert_int_equal(known_forget(VOLUME_ID), 0);
	get_file(text, sizeof(text));
	assert_string_equal(text, other);
	header_free(h);
	secret_free(dek);
}

/* A pin that others can write proves nothing. */
static void file_of_others(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);

	(void)state;
	put_file("", 0602);
	fixture_listen();
	assert_int_equal(known_check("disk", h, 0), -EBADMSG);
	assert_heard("/known': not root's alone");
	put_file("", 0620);
	fixture_listen();
	assert_int_equal(known_check("disk", h, 0), -EBADMSG);
	assert_heard("/known': not root's alone");
	put_file("", 0600);
	assert_int_equal(chown(place.file, 1234, 0), 0);
	fixture_listen();
	assert_int_equal(known_update(h), -EBADMSG);
	assert_heard("/known': not root's alone");
	unlink(place.file);
	assert_int_equal(symlink("/dev/null", place.file), 0);
	fixture_listen();
	assert_int_equal(known_check("disk", h, 0), -EIO);
	assert_heard("/known': Too many levels of symbolic links");
	header_free(h);
	secret_free(dek);
}

static void damaged_file(void **state)
{
	static const char *const lines[] = {
		"{\"volume_id\":\"vol-fedcba98765432100\"\n",
		"[]\n",
		"{\"volume_id\":\"x\",\"lineage\":\"ab\",\"revision\":5,\"key_ids\":[]}\n",
		"{\"volume_id\":\"vol-fedcba98765432100\",\"lineage\":\"ab\",\"revision\":0,\"key_ids\":[]}\n",
		"{\"volume_id\":\"vol-fedcba98765432100\",\"lineage\":1,\"revision\":1,\"key_ids\":[]}\n",
		"{\"volume_id\":\"vol-fedcba98765432100\",\"lineage\":\"ab\",\"revision\":1,\"key_ids\":[1]}\n",
		"\n",
	};
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	char text[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		put_file(lines[i], 0600);
		fixture_listen();
		assert_int_equal(known_check("disk", h, 0), -EBADMSG);
		assert_heard("/known' line 1: not a pin: mend or remove the line");
		fixture_listen();
		assert_int_equal(known_update(h), -EBADMSG);
		assert_heard("/known' line 1: not a pin");
		get_file(text, sizeof(text));
		assert_string_equal(text, lines[i]);
	}
	header_free(h);
	secret_free(dek);
}

static void no_place_for_pins(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);

	(void)state;
	known_set_dir("/proc/envelope");
	fixture_listen();
	assert_int_equal(known_update(h), -EIO);
	assert_heard("'/proc/envelope': cannot open the folder of pins");
	header_free(h);
	secret_free(dek);
}

/* Somebody who is not root works without pins, and is told. */
static void not_root(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	int check, update;

	(void)state;
	put_file("", 0600);
	assert_int_equal(chmod(place.base, 0755), 0);
	fixture_listen();
	assert_int_equal(seteuid(1234), 0);
	check = known_check("disk", h, 0);
	update = known_update(h);
	assert_int_equal(seteuid(0), 0);
	assert_heard("only root can read and write pins, ignoring");
	assert_int_equal(check, -ENOENT);
	assert_int_equal(update, 0);
	header_free(h);
	secret_free(dek);
}

#define in_place(name, f) { name, f, make_place, remove_place, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_place("no_pin_yet", no_pin_yet),
		in_place("security-01-pinned", pinned),
		in_place("security-01-other-lineage-refused", other_lineage),
		in_place("security-01-lower-revision-refused", lower_revision),
		in_place("security-01-other-key-refused", other_key),
		in_place("replaced_key", replaced_key),
		in_place("one_line_a_volume", one_line_a_volume),
		in_place("security-01-file-of-others-refused", file_of_others),
		in_place("damaged_file", damaged_file),
		in_place("no_place_for_pins", no_place_for_pins),
		in_place("not_root", not_root),
	};

	return cmocka_run_group_tests_name("known", tests, NULL, NULL);
}
