# SPDX-License-Identifier: GPL-2.0-or-later
"""One boot of the User-mode Linux debug kernel: a folder that becomes the
guest's /test goes in, console, output and verdict come out."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import vm_console  # noqa: E402

# The host's own files are the root. con0 is standard output; the paths that
# the kernel's console takes must not have blanks, so all lies in one folder.
COMMAND_LINE = [
    "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "con=null",
    "con0=null,fd:1", "loglevel=7", "panic=-1", "kasan_multi_shot"]


class Outcome:
    """What a boot left: `verdict` is None when there was none."""

    def __init__(self, console, output, verdict, why):
        self.console = console
        self.output = output
        self.verdict = verdict
        self.why = why

    def trouble(self):
        return vm_console.trouble(self.console)

    def foreign_races(self):
        return list(vm_console.foreign_races(self.console).values())


def patient_lib():
    """tests/lib.sh, waiting ten times as long: this kernel is slow."""
    text = (ROOT / "tests" / "lib.sh").read_text()
    patient = text.replace("SECONDS + $1", "SECONDS + 10 * $1")
    assert patient != text, "wait_until of tests/lib.sh has changed"
    return patient


def fill_folder(folder, script, modules, programs, variables):
    """All that the guest finds below /test."""
    for name in ("vm", "bin", "results"):
        (folder / name).mkdir()
    for name in ("init", "inside"):
        shutil.copy(HERE / name, folder)
    (folder / "init").chmod(0o755)
    (folder / "lib.sh").write_text(patient_lib())
    shutil.copy(HERE / "lib.sh", folder / "debug-lib.sh")
    for name in ("modprobe", "timeout"):
        shutil.copy(HERE / name, folder / "bin")
    shutil.copy(script, folder / "script")
    shutil.copytree(ROOT / "tests" / "vm", folder / "vm", dirs_exist_ok=True)
    for path in modules:
        shutil.copy(path, folder)
    for path in programs:
        shutil.copy(path, folder / "bin")
    (folder / "environment").write_text(
        "".join(f"export {k}={v}\n" for k, v in variables.items()))


def disk_arguments(folder, sizes):
    """Empty disks for the guest, /dev/vda and on, in MiB."""
    arguments = []
    for i, size in enumerate(sizes):
        path = folder / f"disk{i}"
        with open(path, "wb") as f:
            f.truncate(int(size) << 20)
        arguments.append(f"ubd{i}={path}")
    return arguments


def follow(pipe, log, console):
    """Copy the console line by line, without the terminal's CRs."""
    with open(log, "w", encoding="utf-8", errors="replace") as f:
        for raw in iter(pipe.readline, b""):
            line = raw.decode(errors="replace").replace("\r", "").rstrip("\n")
            console.append(line)
            print(line, file=f, flush=True)


def run_kernel(command, environment, log, seconds):
    """Start UML and wait: (console lines, whether it ended by itself)."""
    console = []
    guest = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True)
    reader = threading.Thread(target=follow, args=(guest.stdout, log, console),
                              daemon=True)
    reader.start()
    try:
        guest.wait(timeout=seconds)
        ended = True
    except subprocess.TimeoutExpired:
        ended = False
    try:
        os.killpg(guest.pid, signal.SIGKILL)  # also what it left behind
    except ProcessLookupError:
        pass
    guest.wait()
    reader.join(10)
    return console, ended


def boot(kernel, shim, script, modules, programs, log, variables=None,
         append=(), disks=(), seconds=600):
    """Run `script` as root in a guest; an Outcome."""
    with tempfile.TemporaryDirectory(prefix="envelope-uml.") as name:
        folder = pathlib.Path(name)
        fill_folder(folder, script, modules, programs, variables or {})
        # it dies with this program
        command = ["setpriv", "--pdeathsig", "KILL", str(kernel / "linux"), *COMMAND_LINE, "mem=768M",
                   f"init={folder}/init", f"RUN={folder}",
                   f"uml_dir={folder}/", *disk_arguments(folder, disks),
                   *append]
        environment = {"PATH": "/usr/bin:/bin", "HOME": name,
                       "LD_PRELOAD": str(shim)}
        console, ended = run_kernel(command, environment, log, seconds)
        out = folder / "out"
        output = out.read_text(errors="replace").splitlines() \
            if out.exists() else []
    found = [m for m in map(re.compile(r"TEST-RC=(\d+)").search, console) if m]
    verdict = int(found[-1].group(1)) if found and ended else None
    why = "" if ended else f"no end after {seconds} s: stopped"
    return Outcome(console, output, verdict, why)
