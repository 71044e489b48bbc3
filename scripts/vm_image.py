# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's root: an initramfs made of this machine's own programs.

Two archives, one behind the other, as the kernel allows: a base that is cached
(programs, libraries, kernel modules) and a small one for the run at hand.
"""
import functools
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME",
                                    os.path.expanduser("~/.cache")))
CACHE = CACHE / "dm-envelope" / "vm"

# Packages whose programs tests use as a whole, and single programs.
PACKAGES = ["coreutils", "findutils", "diffutils", "grep", "sed", "procps",
            "e2fsprogs", "kmod", "util-linux", "mount", "keyutils", "dmsetup",
            "xfsprogs", "tar", "iproute2"]
PROGRAMS = ["/bin/bash", "/bin/gzip", "/usr/bin/mawk", "/usr/bin/fio",
            "/sbin/cryptsetup", "/usr/bin/openssl", "/bin/busybox",
            "/usr/bin/strings", "/usr/bin/size", "/usr/bin/setpriv"]
# Needs much and is not used.
UNUSED = {"xfs_scrub"}
# What fio could do over a network takes half of the image, and most of the time
# that fio takes to start: libraries that only have the names take its place.
STUBBED = {"/usr/bin/fio": {
    "librados.so.2": "rados_", "librbd.so.1": "rbd_", "libgfapi.so.0": "glfs_",
    "libnbd.so.0": "nbd_", "libibverbs.so.1": "ibv_",
    "librdmacm.so.1": "rdma_", "libpmem.so.1": "pmem_",
    "libpmemblk.so.1": "pmemblk_"}}
# Our programs load it when they need it, so they do not link with it.
LOADED = pathlib.Path("/lib/x86_64-linux-gnu/libcurl.so.4")
LINKS = {"bin/sh": "bash", "usr/bin/awk": "mawk",
         "usr/sbin/reboot": "/bin/busybox"}

MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "dm_mod", "dm_crypt",
           "dm_snapshot", "dm_flakey", "dm_delay", "dm_zero", "dm_thin_pool",
           "dm_log_writes", "brd", "loop", "null_blk", "ext4", "xfs", "xts", "aesni_intel",
           "cryptd", "crypto_simd", "ecb", "cbc", "sha256_generic",
           "scsi_debug", "sd_mod", "zram", "overlay"]

INIT = r"""#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root DM_DISABLE_UDEV=1 LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t debugfs debug /sys/kernel/debug
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
echo guest > /proc/sys/kernel/hostname
ip link set lo up
for m in virtio_pci virtio_blk virtio_net; do modprobe $m; done
ip addr add 10.0.2.15/24 dev eth0 && ip link set eth0 up &&
	ip route add default via 10.0.2.2
modprobe dm_mod
[ ! -e /sys/kernel/debug/kcsan ] || echo on > /sys/kernel/debug/kcsan
[ -e /lib/modules/envelope/dm-envelope.ko ] && [ -z "$VM_NO_INSMOD" ] &&
	insmod /lib/modules/envelope/dm-envelope.ko
. /test/environment
if [ -e /test/script ]; then
	stty -F /dev/ttyS1 raw -echo
	(cd /test/vm && exec setsid /bin/bash /test/run) \
		</dev/null >/dev/ttyS1 2>&1
	rc=$?
	# lockdep gives up after its first report, and after some of others
	[ ! -e /proc/lockdep_stats ] ||
		grep -q '^ *debug_locks: *1$' /proc/lockdep_stats ||
		echo "lockdep is turned off" > /dev/kmsg
	# A root that the script has mounted, whose init gives the verdict.
	[ $rc -ne 0 ] || [ ! -e /run/next-root ] ||
		exec switch_root "$(cat /run/next-root)" /sbin/init
	echo "VM-VERDICT $rc" >/dev/ttyS1
	sleep 0.2
else
	(cd /test/vm && exec setsid -c /bin/bash -l) \
		</dev/ttyS0 >/dev/ttyS0 2>&1
fi
exec /bin/busybox reboot -f
"""


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True,
                          check=True, **more).stdout


@functools.lru_cache(maxsize=None)
def libraries(program):
    """The shared objects `program` needs, by their paths."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True)
    return tuple(re.findall(r"(/\S+) \(0x", out.stdout))


def needed(path):
    """What one ELF file itself needs: paths by name."""
    names = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-dW", str(path)))
    known = {os.path.basename(p): p for p in libraries(str(path))}
    return {n: known[n] for n in names if n in known}


def libraries_without(program, left_out):
    """All that `program` needs but through the libraries left out."""
    found, waiting = {}, dict(needed(program))
    while waiting:
        name, path = waiting.popitem()
        if name not in left_out and name not in found:
            found[name] = path
            waiting.update(needed(path))
    loader = [p for p in libraries(program) if "/ld-linux" in p]
    return tuple(found.values()) + tuple(loader)


def make_stub(root, program, library, prefix, work):
    """A library with the functions that `program` wants of it; none works."""
    symbols = re.findall(rf" UND ({prefix}\w+)(?:@(\S+))?",
                         run("readelf", "-W", "--dyn-syms", program))
    source, versions = work / "stub.c", work / "stub.map"
    source.write_text("".join(f"void {name}(void) {{ __builtin_trap(); }}\n"
                              for name, _ in symbols))
    versions.write_text("".join(
        f"{tag} {{ {' '.join(n + ';' for n, t in symbols if t == tag)} }};\n"
        for tag in sorted({t for _, t in symbols if t})))
    target = root / real_place(f"/lib/x86_64-linux-gnu/{library}").lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    script = [f"-Wl,--version-script={versions}"] if versions.read_text() else []
    run("gcc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname={library}",
        *script, str(source), "-o", str(target))


def package_programs(package):
    """What `package` installs in bin and sbin folders."""
    out = subprocess.run(["dpkg", "-L", package], capture_output=True,
                         text=True, check=False).stdout.split()
    return [p for p in out
            if re.match(r"(/usr)?/s?bin/[^/]+$", p) and os.path.exists(p)
            and os.path.basename(p) not in UNUSED]


def base_programs():
    """All programs of the base image; a missing one names its absence."""
    found = [p for name in PACKAGES for p in package_programs(name)]
    missing = [p for p in PROGRAMS if not os.path.exists(p)]
    if missing:
        sys.exit(f"vm: missing here: {' '.join(missing)}; run scripts/setup")
    return sorted(set(found + PROGRAMS))


def place(root, target, source):
    """Copy one file, its links followed, into the image."""
    path = root / target.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or not path.exists():
        path.unlink(missing_ok=True)
        shutil.copyfile(source, path)
        path.chmod(os.stat(source).st_mode & 0o777 | 0o400)


def real_place(path):
    """Where /bin and /lib lead on a merged /usr."""
    return os.path.join(os.path.realpath(os.path.dirname(path)),
                        os.path.basename(path))


def add_with_libraries(root, target, source, present=frozenset()):
    """A program and what it links with; scripts have nothing to link."""
    place(root, target, source)
    stubs = STUBBED.get(str(source), {})
    for library in (libraries_without(str(source), stubs) if stubs else
                    libraries(str(source))):
        if real_place(library) not in present:
            place(root, real_place(library), library)
    if LOADED.name.encode() in pathlib.Path(source).read_bytes():
        for library in (LOADED, *libraries(str(LOADED))):
            if real_place(library) not in present:
                place(root, real_place(library), library)


def add_kernel_modules(root, kernel):
    """MODULES and what they depend on, unpacked, with an index."""
    for name in MODULES:
        out = subprocess.run(
            ["/sbin/modprobe", "-d", kernel.root, "-S", kernel.release,
             "--show-depends", "-a", name],
            capture_output=True, text=True, check=False).stdout
        for path in re.findall(r"^insmod (\S+)", out, re.M):
            target = root / os.path.relpath(path, kernel.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.endswith(".xz"):
                with open(target.with_suffix(""), "wb") as f:
                    subprocess.run(["xz", "-dc", path], stdout=f, check=True)
            else:
                shutil.copyfile(path, target)
    for index in ("modules.builtin", "modules.order",
                  "modules.builtin.modinfo"):
        target = f"lib/modules/{kernel.release}/{index}"
        if os.path.exists(kernel.root / target):
            place(root, target, kernel.root / target)
    subprocess.run(["/sbin/depmod", "-b", str(root), kernel.release],
                   check=True)


def archive(root, target):
    """The tree as a cpio archive whose files belong to root."""
    listing = subprocess.run(["find", ".", "-mindepth", "1", "-print0"],
                             cwd=root, capture_output=True, check=True).stdout
    with open(target, "wb") as f:
        subprocess.run(["cpio", "--null", "-o", "-H", "newc", "-R", "0:0",
                        "--quiet"], cwd=root, input=listing, stdout=f,
                       check=True)


def make_base(kernel, programs, target, work):
    """The cached archive; appears whole or not at all."""
    root = work / "base"
    for folder in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    for folder in ("proc", "sys", "dev", "run", "tmp", "mnt", "root", "etc",
                   "var/lib", "var/log", "test/vm"):
        (root / folder).mkdir(parents=True)
    for program in programs:
        add_with_libraries(root, real_place(program), program)
        for library, prefix in STUBBED.get(program, {}).items():
            make_stub(root, program, library, prefix, work)
    for link, goal in LINKS.items():
        path = root / link
        path.unlink(missing_ok=True)
        path.symlink_to(goal)
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/:/bin/bash\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n10.0.2.2 host\n")
    (root / "etc/mtab").symlink_to("/proc/self/mounts")
    place(root, "/etc/mke2fs.conf", "/etc/mke2fs.conf")
    add_kernel_modules(root, kernel)
    CACHE.mkdir(parents=True, exist_ok=True)
    fresh = CACHE / f"{target.name}.{os.getpid()}"
    archive(root, fresh)
    (CACHE / f"{target.name}.list.{os.getpid()}").write_text(
        "\n".join(f"/{p.relative_to(root)}" for p in root.rglob("*")))
    os.rename(CACHE / f"{target.name}.list.{os.getpid()}",
              f"{target}.list")
    os.rename(fresh, target)
    shutil.rmtree(root)


def base(kernel, work):
    """The base archive for `kernel`, from the cache where it is current."""
    programs = base_programs()
    state = [str(kernel), pathlib.Path(__file__).read_text()]
    state += [f"{p} {os.stat(p).st_size} {os.stat(p).st_mtime_ns}"
              for p in programs]
    key = hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]
    target = CACHE / f"base-{kernel.name}-{key}.cpio"
    if not target.exists():
        make_base(kernel, programs, target, work)
    return target


def build(kernel, files, variables, script, work):
    """The initrd for one run, as a path in `work`."""
    ground = base(kernel, work)
    present = set(pathlib.Path(f"{ground}.list").read_text().split("\n"))
    root = work / "run"
    for target, source in files.items():
        # A folder /lib in this archive would replace the link to /usr/lib.
        merged = re.sub(r"^/?(s?bin|lib|lib64)/", r"usr/\1/", target)
        add_with_libraries(root, merged, source, present)
    (root / "test").mkdir(parents=True, exist_ok=True)
    (root / "test/environment").write_text("".join(
        f"export {k}={shlex.quote(str(v))}\n" for k, v in variables.items()))
    if script:
        (root / "test/run").write_text(
            f"exec /bin/bash /test/script {shlex.join(script[1:])}\n")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    archive(root, work / "run.cpio")
    initrd = work / "initrd"
    with open(initrd, "wb") as f:
        for part in (ground, work / "run.cpio"):
            with open(part, "rb") as g:
                shutil.copyfileobj(g, f)
    return initrd
