// SPDX-License-Identifier: GPL-2.0-or-later
/* envelopetab: what a line comes to, and what is said of those that are wrong. */
#include "client_capture.h"

#include <errno.h>
#include <stdbool.h>

#include "log.h"
#include "tab.h"

#define UUID "6a3b9d51-0c6f-4a59-9d51-a7d2f3b0c111"
#define VOLUME "vol-0123456789abcdef0"

static struct tab parsed(const char *text, const char *only)
{
	char *copy = strdup(text);
	struct tab tab;

	assert_int_equal(tab_parse("tab", copy, only, &tab), 0);
	free(copy);
	return tab;
}

static void reads(void **state)
{
	struct tab tab = parsed(
		"# a comment\n"
		"\n"
		"  # another\n"
		"data /dev/vdb\r\n"
		"\tlogs   PARTUUID=00AB-01\t-  \n"
		"mail UUID=6A3B9D51-0c6f-4a59-9d51-a7d2f3b0c111 nofail\n"
		"web " VOLUME " noauto,_netdev\n"
		"last LABEL=a\\040b/c none-such\n"
		"db PARTLABEL=\xc3\xa9+ readonly,discard,direct", NULL);

	(void)state;
	assert_int_equal(tab.count, 5);
	assert_int_equal(tab.broken, 1);
	assert_string_equal(tab.at[0].name, "data");
	assert_int_equal(tab.at[0].number, 4);
	assert_string_equal(tab.at[0].device, "/dev/vdb");
	assert_int_equal(tab.at[0].timeout_ms, 90000);
	assert_int_equal(tab.at[0].tries, 0);
	assert_null(tab.at[0].header);
	assert_string_equal(tab.at[1].device, "/dev/disk/by-partuuid/00ab-01");
	assert_string_equal(tab.at[1].spec, "PARTUUID=00AB-01");
	assert_int_equal(tab.at[2].by, TAB_BY_UUID);
	assert_string_equal(tab.at[2].device, UUID);
	assert_true(tab.at[2].nofail);
	assert_int_equal(tab.at[3].by, TAB_BY_VOLUME);
	assert_true(tab.at[3].noauto && tab.at[3].netdev);
	assert_true(tab.at[4].read_only && tab.at[4].allow_discards);
	assert_true(tab.at[4].direct);
	assert_string_equal(tab.at[4].device,
			    "/dev/disk/by-partlabel/\xc3\xa9+");
	tab_free(&tab);
	assert_int_equal(tab.count, 0);
	tab_free(&tab);
}

static void options(void **state)
{
	struct tab tab = parsed(
		"a /srv/a\\040b.img lease=15m,grace=1h,timeout=120,tries=7,"
		"header=/etc/h\\134x\\040,volume=" VOLUME ",on-lock=error,"
		"x-systemd.requires=nbd@a.service,x-systemd.after=/srv,"
		"x-systemd.before=c.target,x-systemd.wanted-by=w.target,"
		"x-systemd.required-by=r.target,"
		"x-systemd.requires-mounts-for=/keys,x-systemd.after=d.mount\n"
		"b /dev/b lease=0,timeout=0,x-systemd.device-timeout=2m\n"
		"c /dev/c direct,timeout=3m,x-systemd.device-timeout=infinity\n",
		NULL);
	const struct tab_line *a = &tab.at[0];
	static const struct tab_relation wanted[] = {
		{ TAB_REQUIRES, "nbd@a.service" }, { TAB_AFTER, "/srv" },
		{ TAB_BEFORE, "c.target" }, { TAB_WANTED_BY, "w.target" },
		{ TAB_REQUIRED_BY, "r.target" }, { TAB_MOUNTS_FOR, "/keys" },
		{ TAB_AFTER, "d.mount" },
	};
	size_t i;

	(void)state;
	assert_int_equal(tab.count, 3);
	assert_string_equal(a->device, "/srv/a b.img");
	assert_string_equal(a->header, "/etc/h\\x ");
	assert_string_equal(a->volume_id, VOLUME);
	assert_int_equal(a->on_lock, DM_ON_LOCK_ERROR);
	assert_true(a->lease.lease_given && a->lease.grace_given);
	assert_int_equal(a->lease.terms.lease_ms, 900000);
	assert_int_equal(a->lease.terms.grace_ms, 3600000);
	assert_int_equal(a->timeout_ms, 120000);
	assert_int_equal(a->tries, 7);
	assert_int_equal(a->relation_count, 7);
	for (i = 0; i < 7; i++) {
		assert_int_equal(a->relations[i].kind, wanted[i].kind);
		assert_string_equal(a->relations[i].what, wanted[i].what);
	}
	assert_true(tab.at[1].lease.lease_given);
	assert_int_equal(tab.at[1].timeout_ms, 0);
	assert_true(tab.at[1].device_timeout_given);
	assert_int_equal(tab.at[1].device_timeout_s, 120);
	assert_int_equal(tab.at[2].timeout_ms, 180000);
	assert_int_equal(tab.at[2].device_timeout_s, 0);
	tab_free(&tab);
}

static void starts(void **state)
{
	struct tab tab = parsed("a /dev/a\nb /dev/b direct\n"
				"c /dev/c direct,_netdev\n", NULL);

	(void)state;
	/* The agent starts behind the local file systems. */
	assert_true(tab_is_remote(&tab.at[0]));
	assert_false(tab_is_remote(&tab.at[1]));
	assert_true(tab_is_remote(&tab.at[2]));
	tab_free(&tab);
}

#define AT "test: tab:1: 'a': "
static const struct {
	const char *text;
	const char *says;
} faults[] = {
	{ "a", AT "there is no DEVICE; write an absolute path, PARTUUID=, PARTLABEL=, LABEL=, UUID= or a volume id behind the name\n" },
	{ "a/b /dev/b", "test: tab:1: NAME: that is no name for a device; want 1 to 82 letters, digits and #+.:=@_-\n" },
	{ "%n /dev/b", "test: tab:1: NAME: that is" },
	{ ".. /dev/b", "test: tab:1: NAME: that is" },
	{ "a dev/b", AT "DEVICE 'dev/b': no such form; write an absolute path," },
	{ "a /dev/../b", AT "DEVICE '/dev/../b': no such form;" },
	{ "a /dev/./b", AT "DEVICE '/dev/./b': no such form;" },
	{ "a /dev/b/", AT "DEVICE '/dev/b/': no such form;" },
	{ "a UUID=12", AT "DEVICE 'UUID=12': that is no UUID of a volume; 'envelope inspect DEVICE' shows it\n" },
	{ "a PARTUUID=../x", AT "DEVICE 'PARTUUID=../x': that is no PARTUUID; 'blkid' shows them\n" },
	{ "a LABEL=", AT "DEVICE 'LABEL=': there is nothing behind the =; 'blkid' shows them\n" },
	{ "a /dev/b\\011c", AT "DEVICE has a control character; udev has another link for that device: see /dev/disk\n" },
	{ "a /dev/\001", AT "control characters, or no UTF-8; write the line anew in plain letters\n" },
	{ "a /dev/\xff", AT "control characters, or no UTF-8;" },
	{ "a /dev/\xc2\x9b", AT "control characters, or no UTF-8;" },
	{ "a /dev/b nofail more", AT "'more': a fourth word; options are one word, with commas and no blanks (\\040 is one in a path)\n" },
	{ "a /dev/b nofail,", AT "an empty option; there is a comma too many\n" },
	{ "a /dev/b luks", AT "luks: no such option; envelopetab(5) has them all\n" },
	{ "a /dev/b nofail=1", AT "nofail=1: no such option;" },
	{ "a /dev/b lease", AT "lease: no such option;" },
	{ "a /dev/b nofail,nofail", AT "nofail: it, or what excludes it, stands there already; leave one out\n" },
	{ "a /dev/b readonly,read-only", AT "read-only: it, or what" },
	{ "a /dev/b grant=persistent", AT "grant=persistent: this version keeps no grant over a boot; leave it out, and root's credentials make one at each attach, or write direct where this host may itself decrypt\n" },
	{ "a /dev/b direct,grant=persistent", AT "grant=persistent: it, or what excludes it" },
	{ "a /dev/b lease=9", AT "lease=9: no length of time up to 30d; write a number and s, m, h or d\n" },
	{ "a /dev/b grace=x", AT "grace=x: no length of time" },
	{ "a /dev/b lease=9s", AT "a lease has at least 10s\n" },
	{ "a /dev/b lease=15m,direct", AT "lease=: only the agent renews a lease; leave out direct, or the lease\n" },
	{ "a /dev/b timeout=-1", AT "timeout=-1: no length of time up to 30d; write seconds, a number with s, m, h or d, or 0 for no end\n" },
	{ "a /dev/b timeout=31d", AT "timeout=31d: no length" },
	{ "a /dev/b tries=0", AT "tries=0: write 1 to 1000000; without it, timeout= alone counts\n" },
	{ "a /dev/b header=h", AT "header=h: write the absolute path of the header's file\n" },
	{ "a " VOLUME " header=/h", AT "header=: a device without a header has no UUID and no volume id; name it by its path or PARTUUID=\n" },
	{ "a /dev/b volume=vol-1", AT "volume=vol-1: no volume id; 'envelope inspect DEVICE' shows it\n" },
	{ "a " VOLUME " volume=" VOLUME, AT "volume=: DEVICE is a volume id already; leave volume= out\n" },
	{ "a /dev/b on-lock=wait", AT "on-lock=wait: write queue or error\n" },
	{ "a /dev/b x-systemd.after=b", AT "x-systemd.after=b: write the name of a unit, as a.service, or an absolute path\n" },
	{ "a /dev/b x-systemd.after=%i.service", AT "x-systemd.after=%i.service: write" },
	{ "a /dev/b x-systemd.wanted-by=/srv", AT "x-systemd.wanted-by=/srv: write the name of a unit, as a.target\n" },
	{ "a /dev/b x-systemd.wanted-by=../x.target", AT "x-systemd.wanted-by=../x.target: write the name" },
	{ "a /dev/b x-systemd.requires-mounts-for=a.mount", AT "x-systemd.requires-mounts-for=a.mount: write an absolute path\n" },
	{ "a /dev/b x-systemd.device-timeout=soon", AT "x-systemd.device-timeout=soon: no length of time up to 30d; write seconds, a number with s, m, h or d, or infinity\n" },
	{ "a /srv/b x-systemd.device-timeout=5s", AT "x-systemd.device-timeout=: systemd waits for a UUID and for paths below /dev only; timeout= counts for all others\n" },
	{ "a vol-0123456789abcdef0 x-systemd.device-timeout=5s", AT "x-systemd.device-timeout=: systemd" },
	{ "a /dev/b x-initrd.attach", AT "x-initrd.attach: no such option;" },
};

static void says(void **state)
{
	struct tab tab;
	const char *said;
	size_t i;

	(void)state;
	log_init("test");
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		capture_start();
		tab = parsed(faults[i].text, NULL);
		said = capture_end();
		if (strncmp(said, faults[i].says, strlen(faults[i].says)) != 0)
			fail_msg("'%s' gave '%s'", faults[i].text, said);
		/* One sentence, no more. */
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
		assert_int_equal(tab.count, 0);
		assert_int_equal(tab.broken, 1);
		tab_free(&tab);
	}
}

static void alone(void **state)
{
	static const char text[] =
		"a /dev/a\nbad\na /dev/b\nb /dev/b wrong\nb /dev/b\n";
	struct tab tab;

	(void)state;
	log_init("test");
	capture_start();
	tab = parsed(text, NULL);
	assert_non_null(strstr(capture_end(), "test: tab:3: 'a': line 1 has that name already, and is the one that counts; rename or remove one\n"));
	assert_int_equal(tab.count, 2);
	assert_int_equal(tab.broken, 3);
	assert_string_equal(tab.at[0].device, "/dev/a");
	assert_int_equal(tab.at[1].number, 5);
	tab_free(&tab);
	/* Who asks for one line hears of no other. */
	capture_start();
	tab = parsed("bad\nb /dev/b wrong\nc /dev/c\n", "c");
	assert_string_equal(capture_end(), "");
	assert_int_equal(tab.count, 1);
	assert_string_equal(tab.at[0].name, "c");
	tab_free(&tab);
	capture_start();
	tab = parsed("bad\nb /dev/b wrong\nc /dev/c\n", "b");
	assert_non_null(strstr(capture_end(), "'b': wrong: no such option"));
	assert_int_equal(tab.count, 0);
	tab_free(&tab);
}

static void files(void **state)
{
	char *path = capture_temp_file("a /dev/a\n");
	struct tab tab;

	(void)state;
	log_init("test");
	assert_int_equal(tab_read(path, NULL, &tab), 0);
	assert_int_equal(tab.count, 1);
	tab_free(&tab);
	unlink(path);
	capture_start();
	assert_int_equal(tab_read(path, NULL, &tab), -EINVAL);
	assert_non_null(strstr(capture_end(), "cannot be opened: No such file"));
	free(path);
}

static void waits(void **state)
{
	(void)state;
	assert_int_equal(tab_wait_ms(1, 0), 500);
	assert_int_equal(tab_wait_ms(1, UINT32_MAX), 1000);
	assert_int_equal(tab_wait_ms(2, UINT32_MAX), 2000);
	assert_int_equal(tab_wait_ms(4, 0), 4000);
	assert_int_equal(tab_wait_ms(5, 0), 7500);
	assert_int_equal(tab_wait_ms(5, UINT32_MAX), 15000);
	assert_int_equal(tab_wait_ms(UINT32_MAX, UINT32_MAX), 15000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("tab: lines, and how their devices are found", reads),
		NAMED("tab: options", options),
		NAMED("tab: what is attached by the agent is remote", starts),
		NAMED("tab: each fault has its sentence", says),
		NAMED("tab: a broken line spoils no other", alone),
		NAMED("tab: files", files),
		NAMED("tab: waits grow, up to 15 s, and are spread", waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
