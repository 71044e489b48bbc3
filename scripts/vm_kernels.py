# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels that can be booted in QEMU: Debian's that are installed here, and
the debug kernels that scripts/debug-kernel builds."""
import glob
import os
import pathlib
import re
import subprocess
import sys
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEBUG = ("smp", "kcsan")


class Kernel(typing.NamedTuple):
    """One of them."""

    name: str           # also in the names of what is made for it
    release: str        # as uname -r has it
    image: pathlib.Path
    root: pathlib.Path  # lib/modules/RELEASE is in there
    debug: bool


def releases():
    """Those with an image and modules, oldest first."""
    names = [os.path.basename(p)[len("vmlinuz-"):]
             for p in glob.glob("/boot/vmlinuz-*")]
    return sorted((n for n in names if os.path.isdir(f"/lib/modules/{n}")),
                  key=lambda n: [int(x) for x in re.findall(r"\d+", n)])


def built(name):
    """A debug kernel, which must have been built before."""
    folder = pathlib.Path(subprocess.run(
        [ROOT / "scripts/debug-kernel", "path", name], text=True, check=True,
        stdout=subprocess.PIPE).stdout.strip())
    if not (folder / "done").exists():
        sys.exit(f"vm: no {name} kernel here; run scripts/debug-kernel build "
                 f"{name}")
    release = (folder / "include/config/kernel.release").read_text().strip()
    return Kernel(name, release, folder / "linux", folder / "root", True)


def pick(wanted):
    """A debug kernel by its name, or the newest installed release that is, or
    starts with, `wanted`."""
    if wanted in DEBUG:
        return built(wanted)
    known = releases()
    if not known:
        sys.exit("vm: no kernel in /boot with modules; run scripts/setup test")
    fit = [k for k in known if not wanted or k == wanted
           or k.startswith((wanted + ".", wanted + "-"))]
    if not fit:
        sys.exit(f"vm: no kernel {wanted} here; there is: {' '.join(known)}")
    return Kernel(fit[-1], fit[-1], pathlib.Path(f"/boot/vmlinuz-{fit[-1]}"),
                  pathlib.Path("/"), False)
