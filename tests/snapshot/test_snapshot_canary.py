# SPDX-License-Identifier: GPL-2.0-or-later
"""Where keys and plaintext are while snapshots are made, and afterwards: in no
file, message, argument or environment, and in no memory that could be swapped
or dumped."""
import pathlib
import re
import signal
import subprocess
import sys

import snapshot_case
from server_canary import halves
from server_fixture import wait_for
from snapshot_case import CHUNK, flip, reader

CHUNKS = 6
LABELS = {"seal key": ("envelope seal v1",),
          "key of the body": ("envelope seal v1", "envelope snapshot v1{}"),
          "key of the record": ("envelope seal v1", "envelope pending v1")}
# Of a mapping that the kernel neither swaps nor dumps.
KEPT = {"lo", "dd"}


def read(path):
    return pathlib.Path(path).read_bytes()


def loose_memory(pid):
    """All that can be read of a process's memory, and swapped or dumped."""
    found = re.findall(
        r"^([0-9a-f]+)-([0-9a-f]+) r.*\n(?:\w+: .*\n)*?VmFlags: (.*)$",
        read(f"/proc/{pid}/smaps").decode(), re.M)
    assert len(found) > 10, found
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, flags in found:
            if KEPT <= set(flags.split()):
                continue
            try:
                memory.seek(int(start, 16))
                yield memory.read(int(end, 16) - int(start, 16))
            except (OSError, OverflowError):
                continue    # vvar and the like


def process(pid):
    yield "arguments", read(f"/proc/{pid}/cmdline")
    yield "environment", read(f"/proc/{pid}/environ")
    for data in loose_memory(pid):
        yield "memory", data


def search(places, secrets):
    """{(place, secret, form)}"""
    forms = [(name, form, data) for name, secret in secrets.items()
             for form, data in halves(secret).items()]
    return {(place, name, form) for place, chunk in places
            for name, form, data in forms if data in chunk}


class Canary(snapshot_case.SnapshotCase):
    def setUp(self):
        super().setUp()
        self.said = []
        self.canary = self.random.randbytes(32)
        self.secrets = {"plaintext": self.canary}
        self.image = self.folder / "image"
        # To tell what is on an image libblkid reads its ends by itself.
        self.image.write_bytes(
            bytes(CHUNK) + self.canary * (CHUNKS * CHUNK // 32) + bytes(CHUNK))

    def snap(self, verb, *args, **how):
        done = super().snap(verb, *args, **how)
        self.said.append((f"what {verb} says",
                          (done.stdout + done.stderr).encode()))
        return done

    def know(self, snapshot_id):
        """Its keys are searched for from now on."""
        dek = self.snapshot_dek(snapshot_id)
        self.secrets[f"data key of {snapshot_id}"] = dek
        for name, labels in LABELS.items():
            key = dek
            for label in labels:
                key = reader.hkdf(key,
                                  label.format(snapshot_id).encode())
            self.secrets[f"{name} of {snapshot_id}"] = key

    def files(self):
        state = pathlib.Path(snapshot_case.header_case.STATE)
        for folder in self.folder, state, self.server.dir / "audit":
            for path in folder.rglob("*"):
                if path.is_file() and path != self.image:
                    yield str(path.relative_to(folder)), read(path)
        yield "KMS's messages", read(self.server.folder / "stderr")

    def midway(self, ready, *args):
        """Stopped midway: all that there is of it."""
        run = subprocess.Popen(self.command(*args), env=self.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(run.kill)
        wait_for(lambda: ready() or run.poll() is not None, "the middle")
        self.assertIsNone(run.poll(), "it was not midway")
        run.send_signal(signal.SIGSTOP)
        wait_for(lambda: b"\nState:\tT" in read(f"/proc/{run.pid}/status"),
                 "the stop")
        self.assertIn(b"Max core file size        0  ",
                      read(f"/proc/{run.pid}/limits"))
        found = list(process(run.pid))
        run.kill()
        self.said += [(f"what {args[0]} says", said)
                      for said in run.communicate()]
        return [(f"{args[0]}: {place}", data) for place, data in found]

    def test_everywhere(self):
        """what every verb leaves, says and holds has no key and no plaintext"""
        held = self.midway(lambda: len(self.blocks()) > 1, "import", "--jobs",
                           1, "--limit", "256K", self.image)
        # Its data key died with it, and the canary is what can be known.
        one = self.made("import", self.image)
        self.know(one)
        key, disk = self.new_key(), self.folder / "disk"
        had = len(self.blocks())
        held += self.midway(lambda: len(self.blocks()) > had + 1, "copy",
                            "--jobs", 1, "--limit", "256K", "--kms-key", key,
                            one)
        copy = self.made("copy", "--kms-key", key, one)
        self.know(copy)
        self.know(self.made("copy", "--same-key", one))
        held += self.midway(
            lambda: disk.exists() and disk.stat().st_blocks > 1024, "restore",
            "--jobs", 1, "--limit", "256K", one, disk)
        disk.unlink()
        self.snap("restore", one, disk)
        other = self.folder / "other"
        self.snap("restore", "--kms-key", key, one, other)
        self.secrets["data key of a volume"] = self.dek(other)
        self.know(self.made("create", disk))
        self.know(self.made("create", other))
        held += self.exported(one)
        self.snap("rewrap", "--kms-key", key, one)
        self.snap("show", "--json", one)
        self.snap("list")
        self.fail_all(one, copy, key)
        self.snap("gc", "--min-age", "0s")
        self.assertEqual(set(), search(
            [*held, *self.said, *self.files()], self.secrets))

    def exported(self, one):
        """Of an export all but the file itself."""
        out = self.folder / "out"
        part = self.folder / "out.part"
        held = self.midway(lambda: part.exists() and part.stat().st_blocks,
                           "export", "--jobs", 1, "--limit", "256K", one, out)
        part.unlink()
        return held

    def fail_all(self, one, copy, key):
        """Errors say nothing of it either."""
        flip(next(iter(self.blocks().values())), 99)
        for snapshot_id in self.listed():
            self.snap_any("verify", snapshot_id)
        self.snap_any("copy", "--kms-key", self.key, copy)
        self.kms.disable_key(KeyId=key)
        self.snap_any("restore", copy, self.folder / "denied")
        self.kms.enable_key(KeyId=key)
        self.snap("delete", one)

    def snap_any(self, *args):
        done = subprocess.run(self.command(*args), env=self.environment(),
                              capture_output=True, check=False)
        self.said.append((f"what a failed {args[0]} says",
                          done.stdout + done.stderr))

    def test_planted(self):
        """what is planted in each of these places is found"""
        self.store.mkdir()
        forms = {n: f for n, f in halves(self.canary).items() if f.isascii()
                 and b"\0" not in f}
        data = b" ".join(forms.values())
        (self.store / "planted").write_bytes(data)
        state = pathlib.Path(snapshot_case.header_case.STATE) / "left"
        state.write_bytes(data)
        self.addCleanup(state.unlink)
        child = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()", data],
            env={"PLANTED": data.decode()}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.addCleanup(child.communicate, b"\n")
        child.stdout.readline()
        found = search([*process(child.pid), *self.files()],
                       {"canary": self.canary})
        self.assertLessEqual(
            {(place, "canary", form) for form in forms for place in
             ("arguments", "environment", "memory", "store/planted", "left")},
            found)


snapshot_case.main()
