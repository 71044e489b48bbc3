// SPDX-License-Identifier: GPL-2.0-or-later
/* Gives up privileges, and files by Landlock. */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

/* Linux 6.2, newer than the headers. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | \
		     LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_CHANGE (ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | \
		       LANDLOCK_ACCESS_FS_REMOVE_FILE | \
		       LANDLOCK_ACCESS_FS_REMOVE_DIR | \
		       LANDLOCK_ACCESS_FS_MAKE_REG | \
		       LANDLOCK_ACCESS_FS_MAKE_DIR | \
		       LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE)
#define ACCESS_ALL (ACCESS_CHANGE | LANDLOCK_ACCESS_FS_EXECUTE | \
		    LANDLOCK_ACCESS_FS_MAKE_SYM | \
		    LANDLOCK_ACCESS_FS_MAKE_SOCK | \
		    LANDLOCK_ACCESS_FS_MAKE_FIFO | \
		    LANDLOCK_ACCESS_FS_MAKE_CHAR | \
		    LANDLOCK_ACCESS_FS_MAKE_BLOCK)
/* What makes sense for a file; the rest is for folders. */
#define ACCESS_FILE (LANDLOCK_ACCESS_FS_READ_FILE | \
		     LANDLOCK_ACCESS_FS_WRITE_FILE | \
		     LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_TRUNCATE)

static int report(const char *what, int rc)
{
	if (rc < 0)
		log_error("cannot %s: %s", what, strerror(-rc));
	return rc;
}

static int get_caps(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct head = {
		_LINUX_CAPABILITY_VERSION_3, 0
	};

	return syscall(SYS_capget, &head, caps) < 0 ? -errno : 0;
}

static bool has_cap(const struct __user_cap_data_struct caps[2], unsigned int n)
{
	return caps[n / 32].effective & (1u << n % 32);
}

/* All but @kept, of those that there are. */
static int keep_caps(const struct __user_cap_data_struct caps[2], uint32_t kept)
{
	struct __user_cap_header_struct head = {
		_LINUX_CAPABILITY_VERSION_3, 0
	};
	struct __user_cap_data_struct some[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

#ifdef __SANITIZE_ADDRESS__
	/* The search for leaks at the end looks into the process. */
	kept |= 1u << CAP_SYS_PTRACE;
#endif
	some[0].permitted = some[0].effective = caps[0].permitted & kept;
	/* A service manager may forbid the call to who has none. */
	if (!caps[0].permitted && !caps[1].permitted)
		return 0;
	return syscall(SYS_capset, &head, some) < 0 ? -errno : 0;
}

/* What programs that this one starts could get; nothing starts any. */
static int drop_bounding_set(void)
{
	int n;

	/* EINVAL: the kernel knows no more of them. */
	for (n = 0; n < 64; n++)
		if (prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0 && errno != EINVAL)
			return -errno;
	return 0;
}

static int become(uid_t uid, gid_t gid)
{
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
	       setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	       setresuid(uid, uid, uid) < 0 ? -errno : 0;
}

static void limit_locked_memory(void)
{
	struct rlimit limit = { SANDBOX_LOCKED_BYTES, SANDBOX_LOCKED_BYTES };
	struct rlimit now;

	if (getrlimit(RLIMIT_MEMLOCK, &now) == 0 &&
	    now.rlim_cur < limit.rlim_cur)
		/* Where that fails, the server warns of the limit it has. */
		setrlimit(RLIMIT_MEMLOCK, &limit);
}

int sandbox_privileges(const char *dir)
{
	struct __user_cap_data_struct caps[2];
	struct stat st;
	int rc = get_caps(caps);

	if (rc == 0 && stat(dir, &st) < 0)
		rc = -errno;
	if (rc == 0 && has_cap(caps, CAP_IPC_LOCK))
		limit_locked_memory();
	if (rc == 0 && has_cap(caps, CAP_SETPCAP))
		rc = drop_bounding_set();
	if (rc == 0 && geteuid() == 0 && st.st_uid != 0)
		rc = become(st.st_uid, st.st_gid);
	if (rc == 0)
		rc = keep_caps(caps, 1u << CAP_NET_BIND_SERVICE);
	if (rc == 0 &&
	    (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	     prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
		rc = -errno;
	return report("give up privileges", rc);
}

int sandbox_bound(void)
{
	struct __user_cap_data_struct caps[2];
	int rc = get_caps(caps);

	if (rc == 0)
		rc = keep_caps(caps, 0);
	return report("give up privileges", rc);
}

static uint64_t access_of(const struct sandbox_path *p)
{
	return p->access == SANDBOX_READ ? ACCESS_READ :
	       p->access == SANDBOX_REMOVE ? LANDLOCK_ACCESS_FS_REMOVE_FILE :
					     ACCESS_CHANGE;
}

static int add_path(int ruleset, uint64_t handled, const struct sandbox_path *p)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = access_of(p) & handled,
		.parent_fd = open(p->path, O_PATH | O_CLOEXEC),
	};
	struct stat st;
	int rc = 0;

	if (rule.parent_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(rule.parent_fd, &st) < 0)
		rc = -errno;
	if (rc == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= ACCESS_FILE;
	if (rc == 0 && syscall(SYS_landlock_add_rule, ruleset,
			       LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		rc = -errno;
	close(rule.parent_fd);
	return rc;
}

int sandbox_files(const struct sandbox_path *paths, size_t count)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = ACCESS_ALL };
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
				   LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset, rc = 0;
	size_t i;

	/* The first one lets no file move between folders, as logs must. */
	if (version < 2) {
		log_info("this kernel has no Landlock: files are confined by their modes only");
		return 0;
	}
	if (version < 3)
		attr.handled_access_fs &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr,
			       sizeof(attr), 0);
	if (ruleset < 0)
		return report("confine files", -errno);
	for (i = 0; rc == 0 && i < count; i++)
		rc = add_path(ruleset, attr.handled_access_fs, &paths[i]);
#ifdef __SANITIZE_ADDRESS__
	/* where the search for leaks finds the threads */
	if (rc == 0)
		rc = add_path(ruleset, attr.handled_access_fs,
			      &(struct sandbox_path){ "/proc", SANDBOX_READ });
#endif
	if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		rc = -errno;
	close(ruleset);
	return report("confine files", rc);
}
