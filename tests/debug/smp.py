# SPDX-License-Identifier: GPL-2.0-or-later
"""One boot of a debug kernel with two CPUs, under QEMU by scripts/vm; the
outcome is that of guest.py."""
import os
import pathlib
import subprocess
import tempfile

import guest

ROOT = guest.ROOT
NO_VERDICT = 125


def files(folder, module_folder, programs):
    """What a guest gets beyond what scripts/vm gives to any."""
    lib = folder / "lib.sh"
    lib.write_text(guest.patient_lib())
    yield lib, "test/lib.sh"
    yield guest.HERE / "lib.sh", "test/debug-lib.sh"
    yield guest.HERE / "timeout", "usr/local/sbin/timeout"
    for module in (module_folder / "selftest").glob("*.ko"):
        yield module, f"lib/modules/envelope/{module.name}"
    for program in programs:
        yield program, f"usr/local/sbin/{program.name}"


def boot(flavour, module_folder, script, programs, log, options=(),
         variables=None, seconds=7200):
    """Run `script` as root in a guest; an Outcome."""
    with tempfile.TemporaryDirectory(prefix="envelope-smp.") as name:
        command = [ROOT / "scripts/vm", "run", "--kernel", flavour,
                   "--no-judge", "--log", log, *options,
                   "--time", str(seconds)]
        for key, value in (variables or {}).items():
            command += ["--set", f"{key}={value}"]
        for source, target in files(pathlib.Path(name), module_folder,
                                    programs):
            command += ["--file", f"{source}:{target}"]
        done = subprocess.run([*map(str, command), str(script)], text=True,
                              errors="replace", stdout=subprocess.PIPE)
    console = pathlib.Path(log).read_text(errors="replace").splitlines() \
        if os.path.exists(log) else []
    verdict = None if done.returncode == NO_VERDICT else done.returncode
    return guest.Outcome(console, done.stdout.splitlines(), verdict, "")
