# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots from create to gc: what comes back is what was there."""
import os
import re
import subprocess
import sys
import time

import snapshot_case
from server_clients import MODELS
from snapshot_case import CHUNK, DATA, SEED, reader


os.environ["AWS_DATA_PATH"] = MODELS
# What a command took at most, in KiB, and the bytes that it read and wrote, a
# parent's being those of children that have ended: the last words on standard
# error.
MEASURE = """import re, resource, subprocess, sys
def moved():
    with open("/proc/self/io") as file:
        return [int(n) for n in re.findall(r"[rw]char: (\\d+)", file.read())]
before = moved()
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
      *(b - a for a, b in zip(before, moved())), file=sys.stderr)
sys.exit(status)"""


class Life(snapshot_case.SnapshotCase):
    def round_trip(self, *options, size, places):
        disk = self.volume(*options, size=DATA + size)
        self.fill(disk, *places)
        one = self.made("create", disk)
        data = self.data(disk)
        self.assertEqual(data, self.read(one))
        target = self.folder / "restored"
        self.snap("restore", one, target)
        self.assertEqual(data, self.data(target))
        self.verified(target)
        self.snap("verify", one)
        return disk, one, target

    def test_round_trips(self):
        """create and restore: empty, sparse, odd sizes, other sectors, no holes"""
        for options, size, places in (
                ((), 4 << 20, ()),
                ((), 4 << 20, ((0, 4 << 20),)),
                ((), 9 << 20, ((CHUNK - 4096, 8192), (8 << 20, 4096))),
                (("--sector-size", 512), 3 * CHUNK + 512,
                 ((3 * CHUNK, 512), (512, 512))),
                (("--sector-size", 512), 512, ((0, 512),)),
                (("--no-holes",), 4 << 20, ((CHUNK, 4096),)),
                (("--iv-large-sectors",), 4 << 20, ((CHUNK, 4096),))):
            with self.subTest(options=options, size=size):
                for name in ("disk", "restored"):
                    (self.folder / name).unlink(missing_ok=True)
                disk, one, target = self.round_trip(*options, size=size,
                                                    places=places)
                plain = self.plaintext(disk)
                self.assertEqual(plain, self.plaintext(target))
                # Where nothing was written there is noise without holes.
                self.assertEqual(plain, self.plaintext(one))
                copy = self.made("copy", "--full", "--kms-key",
                                 self.new_key(), one)
                self.assertEqual(plain, self.plaintext(copy))

    def test_kms_calls(self):
        """create: one Decrypt; restore: ReEncrypt, and Decrypt to prove it"""
        disk = self.volume()
        self.fill(disk, (0, 4096))
        before = len(self.calls())
        one = self.made("create", disk)
        self.assertEqual(["Decrypt"], self.calls()[before:])
        before = len(self.calls())
        self.snap("verify", "--hashes-only", one)
        self.listed()
        self.snap("show", one)
        self.assertEqual([], self.calls()[before:])
        self.snap("restore", one, self.folder / "restored")
        self.assertEqual(["Decrypt", "ReEncrypt", "Decrypt"],
                         self.calls()[before:])
        before = len(self.calls())
        self.made("copy", "--same-key", one)
        self.assertEqual(["ReEncrypt"], self.calls()[before:])

    def test_restored(self):
        """restore: a new id and UUID, the snapshot as origin, the same data key"""
        disk, one, target = self.round_trip(size=4 << 20,
                                            places=((0, 4096),))
        old, new = self.copy(disk).core, self.copy(target).core
        self.assertNotEqual(old["volume_id"], new["volume_id"])
        self.assertEqual(one, new["origin"]["snapshot_id"])
        self.assertEqual((old["lineage"], 1), (new["lineage"], new["revision"]))
        self.assertEqual(self.dek(disk), self.dek(target))
        self.snap("restore", one, target, status=7, says="--force")
        self.snap("restore", "--force", one, target)
        other = self.folder / "other"
        key = self.new_key()
        self.snap("restore", "--kms-key", key, one, other)
        self.assertEqual(self.plaintext(disk), self.plaintext(other))
        self.assertNotEqual(self.dek(disk), self.dek(other))
        self.assertNotEqual(self.data(disk), self.data(other))
        self.assertEqual(key, self.verified(other).slots[0]["key_id"])
        header = self.folder / "header"
        self.snap("restore", "--header", header, one, self.folder / "bare")
        self.assertEqual(self.data(disk),
                         (self.folder / "bare").read_bytes())
        self.snap("restore", "--dry-run", one, self.folder / "nothing")
        self.assertFalse((self.folder / "nothing").exists())

    def test_newest(self):
        """restore: of a volume, its newest snapshot"""
        disk = self.volume()
        self.fill(disk, (0, 4096))
        self.made("create", disk)
        # Times are of seconds.
        time.sleep(1.1)
        self.fill(disk, (CHUNK, 4096))
        self.made("create", disk)
        self.snap("restore", self.copy(disk).core["volume_id"],
                  self.folder / "newest")
        self.assertEqual(self.data(disk), self.data(self.folder / "newest"))
        self.snap("restore", "vol-00000000000000000", self.folder / "none",
                  status=1, says="has no snapshot of")

    def test_incremental(self):
        """create: what the parent has is not stored again, and diff tells it"""
        disk = self.volume(size=DATA + (8 << 20))
        self.fill(disk, (0, 8 << 20))
        one = self.made("create", disk)
        self.assertEqual(16, len(self.blocks()))
        self.fill(disk, (3 * CHUNK, 4096))
        with open(disk, "r+b") as file:
            file.seek(DATA + 5 * CHUNK)
            file.write(bytes(CHUNK))
        made = self.json(self.snap("create", "--json", disk))
        two = made["snapshot_id"]
        self.assertEqual((one, 1, 15), (made["parent"],
                                        made["changed_chunks"],
                                        made["stored_chunks"]))
        self.assertEqual(17, len(self.blocks()))
        diff = self.json(self.snap("diff", "--json", one, two))
        self.assertEqual([{"chunk": 3, "change": "changed"},
                          {"chunk": 5, "change": "removed"}], diff["chunks"])
        back = self.json(self.snap("diff", "--json", two, one))
        self.assertEqual("added", back["chunks"][1]["change"])
        other = self.made("copy", "--kms-key", self.new_key(), one)
        self.snap("diff", one, other, status=2, says="different lineages")

    def test_chain(self):
        """20 incrementals, deletions, gc: what is left is exact"""
        disk = self.volume(size=DATA + (10 << 20))
        wanted = {}
        print(f"# seed {SEED}")
        for _ in range(20):
            self.fill(disk, *((self.random.randrange(10 << 20) & ~4095, 4096)
                              for _ in range(3)))
            wanted[self.made("create", disk)] = self.data(disk)
            if self.random.random() < 0.4:
                gone = self.random.choice(list(wanted))
                self.snap("delete", gone)
                del wanted[gone]
            if self.random.random() < 0.3:
                with open(disk, "r+b") as file:
                    file.seek(DATA + self.random.randrange(20) * CHUNK)
                    file.write(bytes(CHUNK))
            if self.random.random() < 0.2:
                self.snap("gc", "--min-age", "0s")
                for snapshot_id in list(wanted)[-2:]:
                    self.snap("verify", snapshot_id)
        # The parent of them all, if it is there still.
        gone = next(iter(wanted))
        self.snap("delete", gone)
        del wanted[gone]
        self.snap("gc", "--min-age", "0s")
        self.assertEqual(set(wanted), set(self.listed()))
        for snapshot_id, data in wanted.items():
            self.assertEqual(data, self.read(snapshot_id))
            self.snap("verify", snapshot_id)
            self.snap("restore", "--force", snapshot_id, self.folder / "back")
            self.assertEqual(data, self.data(self.folder / "back"))
        needed = {d.hex() for s in wanted for d in reader.load(
            self.store, s, self.dek(disk))[2] if d}
        self.assertEqual(needed, set(self.blocks()))

    def test_gc_spares(self):
        """gc: young blocks, and lineages that are written to, stay"""
        disk = self.volume()
        self.fill(disk, (0, 4096), (CHUNK, 4096))
        one = self.made("create", disk)
        self.snap("delete", one)
        self.snap("gc")
        self.assertEqual(2, len(self.blocks()))
        pending = self.store / "pending" / "snap-11111111111111111"
        record = {"snapshot_id": pending.name, "created": "2099-01-01T00:00:00Z",
                  "lineage": self.copy(disk).core["lineage"]}
        pending.write_text(reader.json.dumps(record))
        self.snap("gc", "--min-age", "0s")
        self.assertEqual(2, len(self.blocks()))
        self.snap("gc", "--min-age", "0s", "--dry-run")
        pending.write_text(reader.json.dumps(
            {**record, "created": "2026-01-01T00:00:00Z"}))
        old = next(iter(self.blocks().values()))
        os.utime(old, (1, 1))
        self.snap("gc")
        self.assertEqual(1, len(self.blocks()))
        self.assertFalse(pending.exists())

    def test_reused_blocks(self):
        """create: a block that gc would take soon becomes young again"""
        disk = self.volume()
        self.fill(disk, (0, 4096))
        one = self.made("create", disk)
        block = next(iter(self.blocks().values()))
        os.utime(block, (1, 1))
        self.snap("delete", one)
        self.made("create", disk)
        self.assertGreater(block.stat().st_mtime, 1 << 30)

    def test_huge(self):
        """1 TiB with 50 MB in it: memory and bytes by what is written, not by size"""
        disk = self.folder / "huge"
        with open(disk, "wb") as file:
            file.truncate(DATA + (1 << 40))
        self.with_kms("format", disk)
        self.fill(disk, *((n * 97 << 30, 5 << 20) for n in range(10)))
        one = self.measured("create", "--json", disk)
        copy = self.measured("copy", "--json", "--kms-key", self.new_key(),
                             one)
        self.measured("restore", "--json", copy, self.folder / "back")
        self.assertLess((self.folder / "back").stat().st_blocks * 512,
                        80 << 20)
        self.assertEqual(100, self.wrapper_stored(one))

    def measured(self, *args):
        """Run it as the only child of a small process; the id in what it says."""
        done = subprocess.run([sys.executable, "-c", MEASURE,
                               *self.command(*args)], env=self.environment(),
                              capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        peak, got, put = map(int, done.stderr.split()[-3:])
        print(f"# {args[0]}: at most {peak} KiB; {got >> 20} MiB read, "
              f"{put >> 20} MiB written")
        self.assertLess(peak, 64 << 10)
        # The 50 MB, once more where what was written is read back, and some.
        self.assertLess(50 << 20, got)
        self.assertLess(got, (114 if args[0] == "copy" else 64) << 20)
        self.assertLess(50 << 20, put)
        self.assertLess(put, 64 << 20)
        return reader.json.loads(done.stdout)["snapshot_id"]

    def wrapper_stored(self, snapshot_id):
        shown = self.json(self.snap("show", "--json", snapshot_id))
        return shown["stored_chunks"]

    def test_rotation(self):
        """snapshots made before a rotation and an alias change restore"""
        key, other = self.new_key(), self.new_key()
        self.kms.create_alias(AliasName="alias/moved", TargetKeyId=key)
        disk = self.volume("--kms-key", "alias/moved")
        self.fill(disk, (0, 4096))
        one = self.made("create", disk)
        self.assertEqual(key, self.wrapper(one)["slots"][0]["key_id"])
        self.kms.rotate_key_on_demand(KeyId=key)
        self.snap("restore", one, self.folder / "rotated")
        self.assertEqual(self.data(disk), self.data(self.folder / "rotated"))
        self.kms.update_alias(AliasName="alias/moved", TargetKeyId=other)
        self.snap("restore", one, self.folder / "moved")
        self.assertEqual(self.data(disk), self.data(self.folder / "moved"))
        self.assertEqual(key, self.verified(
            self.folder / "moved").slots[0]["key_id"])
        # Whoever names the alias now means the other key.
        copy = self.made("copy", "--kms-key", "alias/moved", one)
        self.assertEqual(other, self.wrapper(copy)["slots"][0]["key_id"])
        self.assertEqual(self.plaintext(disk), self.plaintext(copy))

    def test_help(self):
        """--help: of every verb"""
        verbs = re.findall(r"^  ([a-z]+) ", subprocess.run(
            [snapshot_case.PROGRAM, "--help"], capture_output=True, text=True,
            check=True).stdout, re.M)
        self.assertIn("copy", verbs)
        for verb in verbs:
            done = subprocess.run([snapshot_case.PROGRAM, verb, "--help"],
                                  capture_output=True, text=True, check=False)
            self.assertEqual((0, ""), (done.returncode, done.stderr), verb)
            self.assertIn(verb, done.stdout)

    def test_usage(self):
        """bad options and arguments: status 2 and where help is"""
        for args in (("create",), ("show", "snap-1"), ("copy", "vol-1"),
                     ("restore", "snap-00000000000000000"), ("gc", "x"),
                     ("rewrap", "snap-00000000000000000"), ("nothing",),
                     ("copy", "--same-key", "--kms-key", "x",
                      "snap-00000000000000000"),
                     ("create", "a", "b"), ("verify", "--jobs", "x", "y")):
            with self.subTest(args=args):
                done = subprocess.run([snapshot_case.PROGRAM, *args],
                                      capture_output=True, text=True,
                                      check=False)
                self.assertEqual(2, done.returncode, done.stderr)
        self.snap("list", status=1, says="cannot open the folder")
        self.snap("show", "snap-00000000000000000", status=1)


snapshot_case.main()
