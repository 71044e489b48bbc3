// SPDX-License-Identifier: GPL-2.0-or-later
/* Devices and files: what is refused, which device is which. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "device.h"

static char folder[64];
static char path[128];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/envelope-device-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/disk", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void make_file(off_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
}

static void file_is_described(void **state)
{
	struct device d = DEVICE_CLOSED;

	(void)state;
	make_file(12345678);
	assert_int_equal(device_open(path, DEVICE_WRITE, &d), 0);
	assert_false(d.is_block);
	assert_false(d.read_only);
	assert_int_equal(d.size_bytes, 12345678);
	assert_int_equal(d.logical_bytes, 512);
	assert_int_equal(d.physical_bytes, 4096);
	assert_string_equal(d.path, path);
	device_close(&d);
	assert_int_equal(d.fd, -1);
	device_close(&d);
}

static void what_is_no_device_is_refused(void **state)
{
	struct device d = DEVICE_CLOSED;

	(void)state;
	assert_int_equal(device_open(path, 0, &d), -ENOENT);
	assert_int_equal(device_open("/dev/null", 0, &d), -ENOTBLK);
	assert_int_equal(device_open("/", 0, &d), -ENOTBLK);
	assert_int_equal(d.fd, -1);
}

/* open(2) says ENXIO of a socket, and -ENXIO means "not attached". */
static void socket_cannot_be_opened(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct device d = DEVICE_CLOSED;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      sizeof(address)), 0);
	close(fd);
	assert_int_equal(device_open(path, 0, &d), -EIO);
}

static void created_once(void **state)
{
	struct device d = DEVICE_CLOSED;
	struct stat st;

	(void)state;
	assert_int_equal(device_open(path, DEVICE_WRITE | DEVICE_CREATE, &d),
			 0);
	assert_int_equal(fstat(d.fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	device_close(&d);
	assert_int_equal(device_open(path, DEVICE_WRITE | DEVICE_CREATE, &d),
			 -EEXIST);
}

static void put(const char *bytes, size_t n, off_t at)
{
	int fd = open(path, O_RDWR);

	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

/* LUKS is the shortest signature to forge. */
static void signatures_are_named(void **state)
{
	char text[DEVICE_SIGNATURE_CHARS];
	struct device d = DEVICE_CLOSED;

	(void)state;
	make_file(1 << 20);
	assert_int_equal(device_open(path, DEVICE_WRITE, &d), 0);
	assert_int_equal(device_signature(&d, text), 0);
	assert_string_equal(text, "");
	put("LUKS\xba\xbe\0\1", 8, 0);
	assert_int_equal(device_signature(&d, text), 0);
	assert_string_equal(text, "an encrypted volume (crypto_LUKS)");
	assert_int_equal(device_wipe_signatures(&d), 0);
	assert_int_equal(device_signature(&d, text), 0);
	assert_string_equal(text, "");
	device_close(&d);
}

static void tiny_files_hold_nothing(void **state)
{
	char text[DEVICE_SIGNATURE_CHARS] = "x";
	struct device d = DEVICE_CLOSED;

	(void)state;
	make_file(0);
	assert_int_equal(device_open(path, 0, &d), 0);
	assert_int_equal(device_signature(&d, text), 0);
	assert_string_equal(text, "");
	device_close(&d);
}

static void identity_of_a_file_is_its_size(void **state)
{
	struct device d = DEVICE_CLOSED;
	struct header_device id;

	(void)state;
	make_file(1 << 20);
	assert_int_equal(device_open(path, 0, &d), 0);
	device_identity(&d, &id);
	assert_int_equal(id.size_bytes, 1 << 20);
	assert_string_equal(id.wwn, "");
	assert_string_equal(id.partuuid, "");
	device_close(&d);
}

static void differs(const struct header_device *recorded,
		    const struct header_device *found, const char *wanted)
{
	const char *said = device_identity_differs(recorded, found);

	if (wanted)
		assert_string_equal(said, wanted);
	else
		assert_null(said);
}

static void identities(void **state)
{
	struct header_device a = { 1000, "naa.1", "" };
	struct header_device b = a;

	(void)state;
	differs(&a, &b, NULL);
	b.size_bytes = 2000;
	differs(&a, &b, NULL);
	b.size_bytes = 999;
	differs(&a, &b, "a smaller size");
	b = a;
	strcpy(b.wwn, "naa.2");
	differs(&a, &b, "another WWN");
	b = a;
	strcpy(b.partuuid, "0000-1");
	differs(&a, &b, "another partition UUID");
	strcpy(a.wwn, "");
	b = a;
	differs(&a, &b, NULL);
	b.size_bytes = 2000;
	differs(&a, &b, "another size");
}

static void holds_nothing_it_cannot_see(void **state)
{
	(void)state;
	assert_false(device_holds(0, 0, path));
	assert_false(device_holds(7, 255, "/"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		T(file_is_described),
		T(what_is_no_device_is_refused),
		T(socket_cannot_be_opened),
		T(created_once),
		T(signatures_are_named),
		T(tiny_files_hold_nothing),
		T(identity_of_a_file_is_its_size),
		T(holds_nothing_it_cannot_see),
		{ "security-07-another-device-differs", identities, 0, 0, 0 },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
