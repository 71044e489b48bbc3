// SPDX-License-Identifier: GPL-2.0-or-later
/* The doctor's look at the host: kernel, module, keyrings, locked memory. */
#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "dm.h"
#include "doctor.h"
#include "secret.h"

#define OLDEST_MAJOR 6u
#define OLDEST_MINOR 1u
#define SIGNED "~Module signature appended~\n"

void doctor_kernel(struct doctor *d)
{
	unsigned int major = 0, minor = 0;
	struct utsname u = { 0 };

	uname(&u);
	if (sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	    (major > OLDEST_MAJOR ||
	     (major == OLDEST_MAJOR && minor >= OLDEST_MINOR)))
		doctor_say(d, DOCTOR_OK, "kernel", NULL, "Linux %s",
			   u.release);
	else
		doctor_say(d, DOCTOR_FAIL, "kernel",
			   "boot Linux 6.1 or a newer one; 'attach --target crypt' works with older ones",
			   "Linux %s is older than the module can be built for",
			   u.release);
}

/* Where make install, DKMS and distributions put modules. */
static bool find_module(const char *release, char *path, size_t bytes)
{
	static const char *const places[] = {
		"updates/dm-envelope.ko", "updates/dkms/dm-envelope.ko",
		"extra/dm-envelope.ko", "kernel/drivers/md/dm-envelope.ko",
	};
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, bytes, "/lib/modules/%s/%s", release,
			 places[i]);
		if (access(path, R_OK) == 0)
			return true;
	}
	return false;
}

static bool is_signed(const char *path)
{
	char end[sizeof(SIGNED)] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool yes = fd >= 0 &&
		   lseek(fd, -(off_t)strlen(SIGNED), SEEK_END) >= 0 &&
		   read(fd, end, strlen(SIGNED)) == (ssize_t)strlen(SIGNED) &&
		   strcmp(end, SIGNED) == 0;

	if (fd >= 0)
		close(fd);
	return yes;
}

static bool file_says(const char *path, const char *word)
{
	char text[128] = "";
	FILE *f = fopen(path, "re");
	bool yes = f && fgets(text, sizeof(text), f) && strstr(text, word);

	if (f)
		fclose(f);
	return yes;
}

/* Does this kernel take unsigned modules? */
static bool wants_signatures(void)
{
	return file_says("/sys/module/module/parameters/sig_enforce", "Y") ||
	       file_says("/sys/kernel/security/lockdown", "[integrity]") ||
	       file_says("/sys/kernel/security/lockdown", "[confidentiality]");
}

static void say_unloaded(struct doctor *d)
{
	struct utsname u = { 0 };
	char path[512];

	uname(&u);
	if (!find_module(u.release, path, sizeof(path)))
		doctor_say(d, DOCTOR_FAIL, "module",
			   "build it with 'make module' in dm-envelope's sources, then 'make install'; 'attach --target crypt' does without it",
			   "there is no dm-envelope for the kernel %s",
			   u.release);
	else if (!is_signed(path) && wants_signatures())
		doctor_say(d, DOCTOR_FAIL, "module",
			   "sign it with a key that the machine trusts (mokutil --import, then the kernel's scripts/sign-file)",
			   "%s is not signed, and this kernel takes signed modules only",
			   path);
	else
		doctor_say(d, DOCTOR_OK, "module", NULL,
			   "%s, %s; loaded when it is first needed", path,
			   is_signed(path) ? "signed" : "not signed");
}

void doctor_module(struct doctor *d)
{
	int r;

	if (access("/sys/module/dm_envelope", F_OK) < 0) {
		say_unloaded(d);
		return;
	}
	r = geteuid() == 0 ? dm_volume_target_known(DM_TARGET_ENVELOPE) : 0;
	if (r == -ENOPKG)
		doctor_say(d, DOCTOR_FAIL, "module",
			   "detach all volumes, then 'modprobe -r dm-envelope' and 'modprobe dm-envelope'",
			   "the loaded dm-envelope is of another version than this program");
	else if (r < 0)
		doctor_said(d, DOCTOR_FAIL, "module");
	else
		doctor_say(d, DOCTOR_OK, "module", NULL,
			   "dm-envelope is loaded");
}

void doctor_keyring(struct doctor *d)
{
	struct secret *probe = secret_new(KMS_DEK_BYTES);
	key_serial_t key;

	if (!probe) {
		doctor_say(d, DOCTOR_FAIL, "keyring",
			   "raise the limit (ulimit -l, LimitMEMLOCK)",
			   "no memory can be locked, and keys are kept nowhere else");
		return;
	}
	key = add_key("logon", "envelope:doctor", secret_bytes(probe),
		      secret_len(probe), KEY_SPEC_PROCESS_KEYRING);
	if (key < 0)
		doctor_say(d, DOCTOR_FAIL, "keyring",
			   errno == EDQUOT ?
			   "raise /proc/sys/kernel/keys/maxkeys, or root_maxkeys for root" :
			   "use a kernel with CONFIG_KEYS, and outside of what forbids add_key(2)",
			   "the kernel takes no key: %s", strerror(errno));
	else
		doctor_say(d, DOCTOR_OK, "keyring", NULL,
			   "the kernel takes keys, and memory can be locked");
	if (key >= 0)
		keyctl_revoke(key);
	secret_free(probe);
}
