// SPDX-License-Identifier: GPL-2.0-or-later
/* The worker's user, capabilities, files and limits. */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "known.h"
#include "log.h"
#include "sandbox_private.h"

#define LOCKED_BYTES (16u << 20)	/* of a worker's secrets */
#define DATA_BYTES (512u << 20)
#define OPEN_FILES 64
#define PROCESSES 512	/* and threads, of all whose user is nobody */
#define SECURE_BITS (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | \
		     SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | \
		     SECBIT_NO_CAP_AMBIENT_RAISE | \
		     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

#define READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define READ (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* All of the first version; nothing but reading is ever allowed. */
#define EVERYTHING (READ | LANDLOCK_ACCESS_FS_EXECUTE | \
		    LANDLOCK_ACCESS_FS_WRITE_FILE | \
		    LANDLOCK_ACCESS_FS_REMOVE_DIR | \
		    LANDLOCK_ACCESS_FS_REMOVE_FILE | \
		    LANDLOCK_ACCESS_FS_MAKE_CHAR | \
		    LANDLOCK_ACCESS_FS_MAKE_DIR | \
		    LANDLOCK_ACCESS_FS_MAKE_REG | \
		    LANDLOCK_ACCESS_FS_MAKE_SOCK | \
		    LANDLOCK_ACCESS_FS_MAKE_FIFO | \
		    LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
		    LANDLOCK_ACCESS_FS_MAKE_SYM)

/* Names, certificates, the libraries that resolve names, and what sysfs says
 * of the device. Where one is missing, nobody needs it. */
static const char *const readable[] = {
	"/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf",
	"/etc/resolv.conf", "/run/systemd/resolve", "/run/resolvconf",
	"/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/localtime",
	"/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64",
	"/etc/ssl", "/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates", "/etc/pki",
	"/sys/dev/block", "/sys/devices", "/sys/block", "/run/udev/data",
	"/dev/urandom",
};

static int allow(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = access,
		.parent_fd = open(path, O_PATH | O_CLOEXEC),
	};
	struct stat st;
	int r = 0;

	if (rule.parent_fd < 0)
		return 0;
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= READ_FILE;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		    &rule, 0) < 0)
		r = -errno;
	close(rule.parent_fd);
	return r;
}

/* The folder is opened to find the file; what else is in it is closed. */
static int allow_pins(int ruleset, const char *known_dir)
{
	char path[4096];
	int r;

	snprintf(path, sizeof(path), "%s/%s", known_dir, KNOWN_FILE);
	r = allow(ruleset, known_dir, LANDLOCK_ACCESS_FS_READ_DIR);
	return r == 0 ? allow(ruleset, path, READ_FILE) : r;
}

/* What a vault's section names; of a local provider's nothing is asked. */
static int allow_provider(int ruleset, const struct conf_provider *p)
{
	static const enum conf_value files[] = {
		CONF_CA_FILE, CONF_TOKEN_FILE, CONF_SECRET_ID_FILE,
		CONF_JWT_FILE, CONF_CERT_FILE, CONF_CERT_KEY_FILE,
	};
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < sizeof(files) / sizeof(*files); i++)
		if (p->value[files[i]])
			r = allow(ruleset, p->value[files[i]], READ);
	return r;
}

static int allow_all(int ruleset, const struct conf *conf, const char *aws_dir,
		     const char *known_dir)
{
	const struct conf_provider *provider;
	const struct conf_region *region;
	size_t i;
	int r;

	r = allow(ruleset, aws_dir, READ);
	if (r == 0)
		r = allow_pins(ruleset, known_dir);
	for (i = 0; r == 0 && i < sizeof(readable) / sizeof(*readable); i++)
		r = allow(ruleset, readable[i], READ);
	for (i = 0; r == 0 && (region = conf_region_at(conf, i)); i++)
		if (region->ca_file)
			r = allow(ruleset, region->ca_file, READ);
	for (i = 0; r == 0 && (provider = conf_provider_at(conf, i)); i++)
		r = allow_provider(ruleset, provider);
	return r;
}

/* 1: done. 0: the kernel has no Landlock. */
static int confine_files(const struct conf *conf, const char *aws_dir,
			 const char *known_dir)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = EVERYTHING };
	int ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr),
			      0);
	int r;

	if (ruleset < 0)
		return 0;
	r = allow_all(ruleset, conf, aws_dir, known_dir);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	close(ruleset);
	return r < 0 ? r : 1;
}

/* What is less already stays so. */
static int limit(int what, rlim_t value)
{
	struct rlimit l;

	if (getrlimit(what, &l) < 0)
		return -errno;
	l.rlim_max = l.rlim_max < value ? l.rlim_max : value;
	l.rlim_cur = l.rlim_max;
	return setrlimit(what, &l) < 0 ? -errno : 0;
}

static int set_limits(void)
{
	int r;

	r = limit(RLIMIT_MEMLOCK, LOCKED_BYTES);
#ifndef __SANITIZE_ADDRESS__
	/* whose shadow of all memory counts as data */
	if (r == 0)
		r = limit(RLIMIT_DATA, DATA_BYTES);
#endif
	if (r == 0)
		r = limit(RLIMIT_NOFILE, OPEN_FILES);
	if (r == 0)
		r = limit(RLIMIT_NPROC, PROCESSES);
	return r;
}

/*
 * Capabilities outlive the change of user, until set_caps(); what is kept then
 * must also hold for access(2), which asks as if it were not there otherwise.
 */
static int become_nobody(void)
{
	int n;

	/* EINVAL: the kernel knows no more of them. */
	for (n = 0; n < 64; n++)
		if (prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0 && errno != EINVAL)
			return -errno;
	if (prctl(PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0) < 0 ||
	    setgroups(0, NULL) < 0 ||
	    setresgid(SANDBOX_GID, SANDBOX_GID, SANDBOX_GID) < 0 ||
	    setresuid(SANDBOX_UID, SANDBOX_UID, SANDBOX_UID) < 0)
		return -errno;
	return 0;
}

static int set_caps(uint32_t kept)
{
	struct __user_cap_header_struct head = {
		_LINUX_CAPABILITY_VERSION_3, 0
	};
	struct __user_cap_data_struct caps[2] = {
		{ kept, kept, 0 }, { 0, 0, 0 }
	};

	return syscall(SYS_capset, &head, caps) < 0 ? -errno : 0;
}

int sandbox_enter(const struct conf *conf, const char *aws_dir,
		  const char *known_dir)
{
	int confined = 0;
	int r;

	r = set_limits();
	if (r == 0)
		r = become_nobody();
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = confined = confine_files(conf, aws_dir, known_dir);
	/* Credentials and pins are files that root alone can read. */
	if (r >= 0)
		r = set_caps(confined == 1 ? 1u << CAP_DAC_READ_SEARCH : 0);
	/* The change of user has undone both: nobody else of that user may
	 * trace this process, and it does not outlive the agent. */
	if (r == 0 && (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
		       prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0))
		r = -errno;
	if (r == 0)
		r = sandbox_calls();
	if (r < 0)
		log_error("the worker cannot give up its privileges: %s",
			  strerror(-r));
	return r < 0 ? -EPERM : 0;
}
