# SPDX-License-Identifier: GPL-2.0-or-later
"""Stores that are full, read-only, gone midway, or put back: said, and undone."""
import pathlib
import shutil
import subprocess

import snapshot_case
from server_fixture import wait_for
from snapshot_case import CHUNK, DATA, reader


class Broken(snapshot_case.SnapshotCase):
    def small(self, size):
        """A file system of that size with the store, and how to mount again."""
        place = self.folder / "small"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none",
                        place], check=True)
        self.addCleanup(subprocess.run, ["umount", place], check=True)
        self.store = place / "store"
        return lambda how: subprocess.run(
            ["mount", "-o", f"remount,{how}", place], check=True)

    def disk_of(self, chunks):
        disk = self.volume(size=DATA + chunks * CHUNK)
        self.fill(disk, (0, chunks * CHUNK))
        return disk

    def files(self):
        return {str(p.relative_to(self.store)): p.read_bytes()
                for p in self.store.rglob("*") if p.is_file()}

    def image(self, chunks):
        image = self.folder / "image"
        image.write_bytes(self.random.randbytes(chunks * CHUNK))
        return image

    def test_full(self):
        """a full store: copy, import, rewrap say so, and work when it is not"""
        mount = self.small("4M")
        one = self.made("create", self.disk_of(5))
        key, image = self.new_key(), self.image(6)
        for args in (("copy", "--kms-key", key, one), ("import", image)):
            self.snap(*args, status=1, says="No space left on device")
            self.assertEqual([one], list(self.listed()))
            # What was written is of a copy that will be gone on with.
            self.snap("gc", "--min-age", "0s")
        free = self.store.parent / "filled"
        with open(free, "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        before = self.wrapper(one)
        self.snap("rewrap", "--kms-key", key, one, status=1,
                  says="No space left on device")
        self.assertEqual(before, self.wrapper(one))
        free.unlink()
        mount("size=32M")
        copied = self.json(self.snap("copy", "--json", "--kms-key", key, one))
        self.assertTrue(copied["resumed"])
        self.snap("verify", copied["snapshot_id"])
        self.assertEqual(image.read_bytes(),
                         self.plaintext(self.made("import", image)))
        self.snap("rewrap", "--kms-key", key, one)
        self.snap("verify", one)

    def test_target_full(self):
        """a full target: restore says so and leaves no header"""
        disk = self.disk_of(8)
        one = self.made("create", disk)
        store = self.store
        mount = self.small("3M")
        self.store, place = store, self.store.parent
        target = place / "target"
        for key in ((), ("--kms-key", self.new_key())):
            self.snap("restore", *key, one, target, status=1,
                      says="No space left on device")
            self.assertFalse(target.exists())
        mount("size=32M")
        self.snap("restore", one, target)
        self.assertEqual(self.data(disk), self.data(target))

    def test_read_only(self):
        """a read-only store: it is read, and what would write says why not"""
        mount = self.small("32M")
        disk = self.disk_of(3)
        one = self.made("create", disk)
        self.fill(disk, (CHUNK, 4096))
        key, image = self.new_key(), self.image(1)
        writing = (("create", disk), ("import", image),
                   ("copy", "--same-key", one),
                   ("copy", "--kms-key", key, one),
                   ("rewrap", "--kms-key", key, one), ("delete", one))
        before = self.files()
        mount("ro")
        for args in writing:
            self.snap(*args, status=1, says="Read-only file system")
        self.snap("verify", one)
        self.snap("gc", "--min-age", "0s")
        self.snap("restore", one, self.folder / "target")
        mount("rw")
        self.assertEqual(before, self.files())
        for args in writing:
            self.snap(*args)
        self.assertEqual(4, len(self.listed()))

    def midway(self, ready, *args, says, status):
        """Take the blocks away while it runs; they are put back."""
        run = subprocess.Popen(self.command(*args), env=self.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
        self.addCleanup(run.kill)
        wait_for(lambda: ready() or run.poll() is not None, "the middle")
        self.assertIsNone(run.poll(), "it was not midway")
        (self.store / "blocks").rename(self.folder / "away")
        said = run.communicate(timeout=snapshot_case.WAIT_SECONDS)[1]
        self.assertEqual(status, run.returncode, said)
        self.assertRegex(said, says)
        shutil.copytree(self.folder / "away", self.store / "blocks",
                        dirs_exist_ok=True)
        shutil.rmtree(self.folder / "away")

    def test_gone_midway(self):
        """blocks that vanish midway: named; put back, the next run finishes"""
        disk = self.disk_of(8)
        one = self.made("create", disk)
        target = self.folder / "target"
        self.midway(lambda: target.exists() and target.stat().st_blocks > 2048,
                    "restore", "--jobs", 1, "--limit", "512K", one, target,
                    status=6, says=rf"chunk \d of {one} is missing: blocks/")
        self.assertFalse(target.exists())
        self.snap("restore", one, target)
        self.assertEqual(self.data(disk), self.data(target))
        key = self.new_key()
        self.midway(lambda: len(self.blocks()) > 9, "copy", "--jobs", 1,
                    "--limit", "512K", "--kms-key", key, one, status=6,
                    says=rf"chunk \d of {one} is missing: blocks/")
        self.assertEqual([one], list(self.listed()))
        done = self.json(self.snap("copy", "--json", "--kms-key", key, one))
        self.assertTrue(done["resumed"])
        self.snap("verify", done["snapshot_id"])
        # A writer makes the folder again, and sees what it lacks.
        self.fill(disk, (0, 8 * CHUNK))
        had = len(self.blocks())
        self.midway(lambda: len(self.blocks()) > had + 1, "create", "--jobs",
                    1, "--limit", "512K", disk, status=1,
                    says=r"chunk \d of snap-\w+ is not there whole any more: blocks/"
                    r".*nothing is published")
        two = self.made("create", disk)
        self.snap("verify", two)
        self.assertEqual(3, len(self.listed()))

    def replay(self, files, *names):
        for name in names:
            path = self.store / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name])

    def test_replayed(self):
        """what was true once, or of another snapshot, is no snapshot now"""
        disk = self.disk_of(3)
        one = self.made("create", disk)
        old = self.files()
        body = str(self.body(one).relative_to(self.store))
        self.fill(disk, (CHUNK, CHUNK))
        two = self.made("create", disk)
        self.snap("delete", one)
        self.snap("gc", "--min-age", "0s")
        lost = next(name for name in old if name.startswith("blocks/")
                    and not (self.store / name).exists())
        # A deleted one that is put back lacks what gc took.
        self.replay(old, f"snapshots/{one}", body)
        for args in (("verify", one),
                     ("restore", one, self.folder / "target")):
            self.snap(*args, status=6, says=f"chunk 1 of {one} is missing: "
                      f"{lost}")
        self.assertFalse((self.folder / "target").exists())
        # The older body in the place of the newer one.
        kept = (self.store / "snapshots" / two).read_text()
        old_digest, new_digest = pathlib.Path(body).name, \
            self.wrapper(two)["body"]
        wrapper = self.store / "snapshots" / two
        wrapper.write_text(kept.replace(new_digest, old_digest))
        self.snap("verify", two, status=6, says="another snapshot's")
        self.snap("restore", two, self.folder / "target", status=6, says=two)
        # And made to look like it.
        forged = old[body]
        for name in ("snapshot_id", "created"):
            was = reader.json.loads(old[f"snapshots/{one}"])[name]
            forged = forged.replace(
                was.encode(), reader.json.loads(kept)[name].encode())
        digest = snapshot_case.header_case.hashlib.sha256(forged).hexdigest()
        (self.store / body).with_name(digest).write_bytes(forged)
        wrapper.write_text(kept.replace(new_digest, digest))
        self.snap("verify", two, status=6, says="its HMAC is wrong")
        # The block that was there before under the name of the new one.
        wrapper.write_text(kept)
        digests = reader.load(self.store, two, self.dek(disk))[2]
        now = self.blocks()[digests[1].hex()]
        good = now.read_bytes()
        now.write_bytes(old[lost])
        self.snap("verify", two, status=6, says=f"chunk 1 of {two} is damaged "
                  f"or forged: {now.relative_to(self.store)}")
        now.write_bytes(good)
        self.snap("verify", two)


snapshot_case.main()
