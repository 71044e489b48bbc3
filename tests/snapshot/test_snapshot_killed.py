# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 before each call that lasts, of every verb that changes something.

Then all that is listed holds, the same command finishes what was begun, and
when gc has run, a week later, the store has what its snapshots need, and
nothing else.
"""
import os
import shutil
import subprocess

import snapshot_case
from snapshot_case import CHUNK, DATA, SEED, reader

LONG = os.environ.get("LONG") == "1"
SHIM = snapshot_case.HERE.parent / "vm/helpers/killat.so.c"


class Killed(snapshot_case.SnapshotCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shim = cls.server.dir / "killat.so"
        subprocess.run(["cc", "-D_GNU_SOURCE", "-fPIC", "-shared", SHIM,
                        "-o", cls.shim], check=True)

    def prepare(self):
        """A snapshot, and what one that was deleted left for gc."""
        self.disk = self.volume(size=DATA + 4 * CHUNK)
        self.fill(self.disk, (0, 4096), (CHUNK, 4096), (3 * CHUNK, 4096))
        self.one = self.made("create", self.disk)
        self.was = self.data(self.disk)
        self.fill(self.disk, (CHUNK, 4096))
        self.snap("delete", self.made("create", self.disk))
        self.fill(self.disk, (2 * CHUNK, 4096))
        self.image = self.folder / "image"
        self.image.write_bytes(bytes(CHUNK) + self.random.randbytes(4096))
        self.target = self.folder / "target"
        self.key = self.new_key()
        self.age()
        self.root = {p.name for p in self.store.iterdir() if p.is_file()}
        self.kept = self.folder / "kept"
        self.store.rename(self.kept)

    def age(self):
        """More than a week goes by."""
        for path in self.store.rglob("*"):
            if path.parent.name == "pending" and path.name[:4] == "snap":
                path.write_text(reader.json.dumps({
                    **reader.json.loads(path.read_text()),
                    "created": "2026-01-01T00:00:00Z"}))
            if path.is_file():
                os.utime(path, (1, 1))

    def died(self, at, verb, *args):
        """Before which call; None: it ran through."""
        (self.folder / "at").write_text(str(at))
        done = subprocess.run(
            self.command(verb, *args), capture_output=True, text=True,
            timeout=snapshot_case.WAIT_SECONDS, check=False,
            env=dict(self.environment(), LD_PRELOAD=str(self.shim),
                     KILL_AT=str(self.folder / "at")))
        if done.returncode == 0:
            return None
        self.assertEqual(-9, done.returncode, done.stdout + done.stderr)
        return done.stderr.split("killed at ")[1].split()[0]

    def begun(self):
        """Ids of what was begun, and not published."""
        return {p.name for p in self.store.glob("pending/snap-*")} - \
            set(self.listed())

    def whole(self, verb):
        """All that is listed holds; a restored volume is whole, or none."""
        listed = set(self.listed())
        if verb in ("create", "import", "copy"):
            self.assertLess(len(listed - {self.one}), 2)
        else:
            self.assertLessEqual(listed, {self.one})
        if verb != "delete":
            self.assertIn(self.one, listed)
        for snapshot_id in listed:
            self.snap("verify", snapshot_id)
        if self.target.exists() and any(
                self.target.read_bytes()[:2 * snapshot_case.header_case.COPY]):
            self.verified(self.target)
            self.assertEqual(self.plain, self.plaintext(self.target))

    def again(self, verb, *args):
        """The same command once more."""
        if verb == "delete" and self.one not in self.listed():
            self.snap(verb, *args, status=1, says="no snapshot")
        elif verb == "restore" and self.target.exists():
            self.snap(verb, "--force", *args)
        elif verb == "copy" and "--kms-key" in args:
            begun = self.begun()
            done = self.json(self.snap(verb, "--json", *args))
            self.assertEqual(bool(begun), done["resumed"])
            self.assertLessEqual(begun, {done["snapshot_id"]})
        else:
            self.snap(verb, *args)

    def exact(self):
        """In the store is what its snapshots need."""
        self.age()
        self.snap("gc")
        listed = self.listed()
        need = set(self.root)
        for one in listed:
            wrapper = self.wrapper(one)
            lineage = wrapper["lineage"]
            need |= {f"snapshots/{one}", f"bodies/{lineage}/{wrapper['body']}"}
            need |= {f"blocks/{lineage}/{d.hex()[:2]}/{d.hex()}" for d in
                     reader.load(self.store, one, self.snapshot_dek(one))[2]
                     if d}
        self.assertEqual(need, {str(p.relative_to(self.store))
                                for p in self.store.rglob("*")
                                if p.is_file()})

    def everywhere(self, step, verb, *args):
        step = 1 if LONG else step
        at = 1 + self.random.randrange(step)
        calls = []
        while True:
            shutil.rmtree(self.store, ignore_errors=True)
            shutil.copytree(self.kept, self.store)
            self.target.unlink(missing_ok=True)
            call = self.died(at, verb, *args)
            if call is None:
                break
            with self.subTest(verb=verb, at=at, call=call):
                self.whole(verb)
                self.again(verb, *args)
                self.whole_again(verb)
                self.exact()
            calls.append(call)
            at += step
        self.assertGreater(len(calls), 0)
        print(f"# {verb}: killed {len(calls)} times, before "
              f"{' '.join(sorted(set(calls)))}")

    def whole_again(self, verb):
        for snapshot_id in self.listed():
            self.snap("verify", snapshot_id)
        if verb == "restore":
            self.verified(self.target)
            self.assertEqual(self.plain, self.plaintext(self.target))

    def test_killed(self):
        """kill -9 before each lasting call: whole, finished, and cleaned"""
        print(f"# seed {SEED}")
        self.prepare()
        shutil.copytree(self.kept, self.store)
        self.plain = self.plaintext(self.one)
        for command in (
                (30, "create", "--jobs", 1, self.disk),
                (20, "import", "--jobs", 1, self.image),
                (10, "copy", "--same-key", self.one),
                (40, "copy", "--jobs", 1, "--full", "--kms-key", self.key,
                 self.one),
                (24, "restore", "--jobs", 1, self.one, self.target),
                (24, "restore", "--jobs", 1, "--kms-key", self.key, self.one,
                 self.target),
                (8, "rewrap", "--kms-key", self.key, self.one),
                (5, "delete", self.one),
                (2, "gc", "--min-age", "0s")):
            self.everywhere(*command)

    def test_new_store(self):
        """kill -9 while a store is made: the next create has a whole one"""
        print(f"# seed {SEED}")
        disk = self.volume(size=DATA + 2 * CHUNK)
        self.fill(disk, (0, 4096))
        step = 1 if LONG else 20
        at = 1 + self.random.randrange(step)
        while call := self.died(at, "create", "--jobs", 1, disk):
            with self.subTest(at=at, call=call):
                done = self.made("create", disk)
                self.assertIn(done, self.listed())
                for snapshot_id in self.listed():
                    self.assertEqual(self.data(disk), self.read(snapshot_id))
                    self.snap("verify", snapshot_id)
            shutil.rmtree(self.store)
            at += step
        self.assertGreater(at, step)

    def test_other_store(self):
        """kill -9 of a copy to another store: whole there, and finished"""
        print(f"# seed {SEED}")
        disk = self.volume(size=DATA + 2 * CHUNK)
        self.fill(disk, (0, 4096), (CHUNK, 4096))
        one = self.made("create", disk)
        here, there = self.store, self.folder / "there"
        step = 1 if LONG else 24
        key = self.new_key()
        for options in (("--same-key",), ("--jobs", 1, "--kms-key", key)):
            args = ("copy", *options, "--to-store", there, one)
            at = 1 + self.random.randrange(step)
            while call := self.died(at, *args):
                with self.subTest(options=options, at=at, call=call):
                    copy = self.made(*args)
                    self.store = there
                    self.assertLess(len(self.listed()), 3)
                    for snapshot_id in self.listed():
                        self.snap("verify", snapshot_id)
                    self.assertEqual(self.plaintext(disk),
                                     self.plaintext(copy))
                self.store = here
                self.assertEqual([one], list(self.listed()))
                shutil.rmtree(there)
                at += step
            self.assertGreater(at, step)
            shutil.rmtree(there)

    def test_parts(self):
        """gc: what was written under no name goes, unless it is young"""
        disk = self.volume()
        self.fill(disk, (0, 4096))
        one = self.made("create", disk)
        parts = [p.parent / "tmp.0123456789abcdef" for p in (
            self.body(one), next(iter(self.blocks().values())),
            self.store / "snapshots" / one, self.store / "pending" / one)]
        for part in parts:
            part.write_text("half")
        self.snap("gc")
        self.assertTrue(all(p.exists() for p in parts))
        self.age()
        done = self.json(self.snap("gc", "--json"))
        self.assertEqual(4, done["removed_parts"])
        self.assertFalse(any(p.exists() for p in parts))
        self.snap("verify", one)


snapshot_case.main()
