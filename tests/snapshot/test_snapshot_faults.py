# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots that are damaged, forged, killed, denied: nothing half, and said."""
import os
import re
import shutil
import signal
import subprocess
import time

import snapshot_case
from snapshot_case import CHUNK, DATA, SEED, flip, reader

ROUNDS = 100 if os.environ.get("LONG") == "1" else 8


class Faults(snapshot_case.SnapshotCase):
    def taken(self, chunks=4):
        """A volume of noise, and a snapshot of it."""
        disk = self.volume(size=DATA + chunks * CHUNK)
        self.fill(disk, (0, chunks * CHUNK))
        return disk, self.made("create", disk)

    def block(self, disk, snapshot_id, index):
        digest = reader.load(self.store, snapshot_id, self.dek(disk))[2][index]
        return self.blocks()[digest.hex()]

    def refused(self, snapshot_id, says, status=6):
        """By all that read it; no volume comes of it."""
        target = self.folder / "target"
        self.snap("restore", snapshot_id, target, status=status, says=says)
        self.assertFalse(target.exists())
        self.snap("verify", snapshot_id, status=status, says=says)

    def test_blocks(self):
        """a block that is damaged, swapped, cut or missing is named"""
        disk, one = self.taken()
        a, b = (self.block(disk, one, n) for n in (1, 2))
        good = a.read_bytes()
        flip(a, 4711)
        self.refused(one, f"chunk 1 of {one} is damaged or forged: blocks/")
        shutil.copy(b, a)
        self.refused(one, f"chunk 1 of {one} is damaged or forged: blocks/")
        a.write_bytes(good[:4096])
        self.refused(one, f"chunk 1 of {one} is damaged or forged: blocks/")
        a.unlink()
        self.refused(one, f"chunk 1 of {one} is missing: blocks/")
        self.snap("verify", "--hashes-only", one, status=6, says=a.name)
        # The volume still has it: a new snapshot mends the old one.
        self.made("create", disk)
        self.snap("verify", one)
        # What a disk left of a block is not taken for it.
        a.write_bytes(good[:4096])
        self.made("create", disk)
        self.assertEqual(good, a.read_bytes())

    def test_bodies_and_wrappers(self):
        """a body or wrapper that is damaged, another's or missing is refused"""
        disk, one = self.taken()
        self.fill(disk, (0, 4096))
        two = self.made("create", disk)
        wrapper = self.store / "snapshots" / one
        body = self.body(one)
        kept = wrapper.read_bytes(), body.read_bytes()
        flip(body, 300)
        self.refused(one, "its body has another SHA-256")
        body.unlink()
        self.refused(one, f"the body of {one} is missing")
        body.write_bytes(kept[1])
        shutil.copy(self.store / "snapshots" / two, wrapper)
        self.refused(one, "it is the wrapper of another snapshot")
        # The body of another one, well wrapped.
        wrapper.write_bytes(kept[0].replace(
            self.wrapper(two)["body"].encode(), b"") and kept[0].replace(
                reader.json.loads(kept[0])["body"].encode(),
                self.wrapper(two)["body"].encode()))
        self.refused(one, "its body is another snapshot's")
        wrapper.write_text("{")
        self.refused(one, "damaged or forged")
        self.snap("list", status=6, says=two)
        wrapper.write_bytes(kept[0].replace(b'"version":1', b'"version":2'))
        self.refused(one, "newer one", status=1)
        wrapper.write_bytes(kept[0])
        self.snap("verify", one)

    def test_forged(self):
        """a store that somebody rewrote: the HMAC is not his to make"""
        disk, one = self.taken()
        wrapper = self.wrapper(one)
        body = bytearray(self.body(one).read_bytes())
        at = body.index(self.block(disk, one, 0).name.encode()) \
            if self.block(disk, one, 0).name.encode() in body else None
        self.assertIsNone(at)
        first = bytes.fromhex(self.block(disk, one, 0).name)
        second = bytes.fromhex(self.block(disk, one, 1).name)
        where = body.index(first)
        body[where:where + 32] = second
        digest = snapshot_case.header_case.hashlib.sha256(body).hexdigest()
        self.body(one).with_name(digest).write_bytes(body)
        (self.store / "snapshots" / one).write_text(reader.json.dumps(
            {**wrapper, "body": digest}))
        self.refused(one, "its HMAC is wrong")
        # Hashes alone cannot know.
        self.snap("verify", "--hashes-only", one)

    def test_copy_renamed(self):
        """a copy under another id, or with another body, gets no key"""
        _, one = self.taken()
        copy = self.made("copy", "--same-key", one)
        self.snap("verify", copy)
        other = "snap-22222222222222222"
        (self.store / "snapshots" / other).write_text(reader.json.dumps(
            {**self.wrapper(copy), "snapshot_id": other}))
        self.refused(other, "InvalidCiphertext", status=3)

    def test_keys(self):
        """a disabled key: exit 3 and nothing published; a copy lives on"""
        key, other = self.new_key(), self.new_key()
        disk = self.volume("--kms-key", key, size=DATA + 2 * CHUNK)
        self.fill(disk, (0, 2 * CHUNK))
        one = self.made("create", disk)
        source = set(self.blocks())
        copy = self.made("copy", "--kms-key", other, one)
        self.assertFalse(source & {d.hex() for d in reader.load(
            self.store, copy, self.snapshot_dek(copy))[2]})
        plain = self.plaintext(disk)
        self.kms.disable_key(KeyId=key)
        self.snap("create", disk, status=3)
        self.snap("copy", "--kms-key", other, one, status=3)
        self.snap("copy", "--same-key", one, status=3)
        self.refused(one, "disabled", status=3)
        self.assertEqual({one, copy}, set(self.listed()))
        self.assertEqual(plain, self.plaintext(copy))
        self.kms.enable_key(KeyId=key)
        self.assertNotEqual(self.snapshot_dek(one), self.snapshot_dek(copy))

    def test_key_rules(self):
        """copy without a key: the default key; restore without: the snapshot's"""
        key = self.new_key()
        disk = self.volume("--kms-key", key)
        self.fill(disk, (0, 4096))
        one = self.made("create", disk)
        done = self.snap("copy", one, says="default-key of region us-east-1")
        copy = done.stdout.split(":")[0]
        self.assertEqual(self.key, self.wrapper(copy)["slots"][0]["key_id"])
        self.assertIn("full copy", done.stderr)
        target = self.folder / "target"
        self.snap("restore", one, target)
        self.assertEqual(key, self.verified(target).slots[0]["key_id"])
        # Its own key by name is the same key.
        same = self.json(self.snap("copy", "--json", "--kms-key", key, one))
        self.assertFalse(same["rekeyed"])
        self.snap("copy", "--dry-run", one)
        self.assertEqual(3, len(self.listed()))

    def test_incremental_copy(self):
        """copy: incremental against the last one, which must hold"""
        disk, one = self.taken(chunks=6)
        key = self.new_key()
        first = self.made("copy", "--kms-key", key, one)
        self.fill(disk, (2 * CHUNK, 4096))
        two = self.made("create", disk)
        copied = self.json(self.snap("copy", "--json", "--kms-key", key, two))
        self.assertEqual((first, 1, 5), (copied["parent"],
                                         copied["moved_chunks"],
                                         copied["kept_chunks"]))
        self.assertEqual(self.plaintext(disk),
                         self.plaintext(copied["snapshot_id"]))
        full = self.json(self.snap("copy", "--json", "--full", "--kms-key",
                                   key, two))
        self.assertEqual((6, 0), (full["moved_chunks"], full["kept_chunks"]))
        # An earlier copy that somebody forged is none.
        self.snap("delete", copied["snapshot_id"])
        self.snap("delete", full["snapshot_id"])
        wrapper = self.wrapper(first)
        body = bytearray(self.body(first).read_bytes())
        body[-1] ^= 1
        digest = snapshot_case.header_case.hashlib.sha256(body).hexdigest()
        self.body(first).with_name(digest).write_bytes(body)
        (self.store / "snapshots" / first).write_text(reader.json.dumps(
            {**wrapper, "body": digest}))
        before = set(self.listed())
        self.snap("copy", "--kms-key", key, two, status=3)
        self.assertEqual(before, set(self.listed()))

    def test_bad_source(self):
        """copy: a bad chunk of the source publishes nothing"""
        disk, one = self.taken()
        key = self.new_key()
        flip(self.block(disk, one, 3), 1)
        self.snap("copy", "--kms-key", key, one, status=6,
                  says=f"chunk 3 of {one} is damaged or forged")
        self.snap("export", one, self.folder / "plain", status=6)
        self.assertEqual([one], list(self.listed()))
        self.assertFalse(list(self.folder.glob("plain*")))

    def test_other_store(self):
        """copy --same-key to another store moves ciphertext as it is"""
        disk, one = self.taken()
        there = self.folder / "there"
        copy = self.made("copy", "--same-key", "--to-store", there, one)
        self.assertEqual({p.name for p in there.glob("blocks/*/*/*")},
                         set(self.blocks()))
        self.store = there
        self.assertEqual(self.data(disk), self.read(copy))

    def cloned(self, one, there, *args):
        """The calls by which a copy into another folder moved its blocks."""
        trace = self.folder / "trace"
        subprocess.run(
            ["strace", "-f", "-qq", "-y", "-o", trace, "-e",
             "trace=ioctl,copy_file_range,read", *self.command(
                 "copy", "--jobs", "1", "--same-key", "--to-store", there,
                *args, one)],
            env=self.environment(), capture_output=True, check=True,
            timeout=snapshot_case.WAIT_SECONDS)
        text = trace.read_text()
        return [len(re.findall(pattern, text, re.M)) for pattern in (
            r"ioctl\(.*FICLONE.* = 0$",
            rf"copy_file_range\(.* = {CHUNK}$",
            rf"read\(.*/blocks/.* = {CHUNK}$")]

    def test_cloned(self):
        """copy --same-key to another folder: shared, or copied by the kernel"""
        disk, one = self.taken()
        there = self.folder / "there"
        self.assertEqual([0, 0, 4], self.cloned(one, there, "--verify"))
        # /tmp may be on one that can share, or on one that cannot.
        self.assertIn(self.cloned(one, self.folder / "near"),
                      ([0, 4, 0], [4, 0, 0]))
        image, self.store = self.folder / "image", self.folder / "mnt" / "a"
        self.store.parent.mkdir()
        with open(image, "wb") as file:
            file.truncate(400 << 20)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image],
                       check=True)
        subprocess.run(["mount", "-o", "loop", image, self.store.parent],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", self.store.parent],
                        check=True)
        one = self.made("create", disk)
        for there in self.folder / "beyond", self.folder / "mnt" / "b":
            shared = there.parent == self.store.parent
            calls = self.cloned(one, there)
            self.assertEqual([4, 0, 0] if shared else [0, 0, 4], calls)
            blocks = list(there.glob("blocks/*/*/*"))
            self.assertEqual(4, len(blocks))
            for block in blocks:
                said = subprocess.run(["filefrag", "-v", block], check=True,
                                      capture_output=True, text=True).stdout
                self.assertEqual(shared, "shared" in said, said)

    def test_cloned_unseen(self):
        """copy --same-key to another folder: nothing short, nothing missing"""
        _, one = self.taken()
        there = self.folder / "there"
        block = sorted(self.blocks().values())[1]
        whole = block.read_bytes()
        for left, says in ((whole[:-1], "damaged or forged: blocks/"),
                           (None, "missing: blocks/")):
            block.unlink()
            if left is not None:
                block.write_bytes(left)
            self.snap("copy", "--same-key", "--to-store", there, one,
                      status=6, says=says)
            self.assertFalse(list(there.glob("snapshots/*")))
        # Of the right length: seen where it is asked for, and by readers.
        block.write_bytes(whole[::-1])
        self.snap("copy", "--same-key", "--verify", "--to-store", there, one,
                  status=6, says="damaged or forged: blocks/")
        copy = self.made("copy", "--same-key", "--to-store", there, one)
        here, self.store = self.store, there
        self.snap("verify", copy, status=6, says="damaged or forged: blocks/")
        self.snap("restore", copy, self.folder / "target", status=6)
        # From one that is whole what was damaged is made anew.
        self.store = here
        block.write_bytes(whole)
        self.snap("copy", "--same-key", "--verify", "--to-store", there, one)
        self.store = there
        self.snap("verify", copy)

    def test_killed(self):
        """kill -9 at random points: nothing half, and the next run finishes"""
        disk, one = self.taken(chunks=24)
        key = self.new_key()
        print(f"# seed {SEED}")
        resumed = 0
        for n in range(ROUNDS):
            verb = ("create", "copy", "restore")[n % 3]
            target = self.folder / f"target{n}"
            args = {"create": ("--limit", "24M", disk),
                    "copy": ("--limit", "24M", "--full", "--kms-key", key,
                             one),
                    "restore": ("--limit", "24M", one, target)}[verb]
            before = set(self.listed())
            run = subprocess.Popen(self.command(verb, *args),
                                   env=self.environment(),
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
            time.sleep(self.random.random() * 0.7)
            run.send_signal(signal.SIGKILL)
            run.wait()
            for snapshot_id in set(self.listed()) - before:
                self.snap("verify", snapshot_id)
            if verb == "restore" and target.exists():
                self.whole_or_none(disk, target)
            if verb == "copy" and run.returncode:
                done = self.json(self.snap("copy", "--json", *args))
                resumed += done["resumed"]
        self.assertEqual(self.plaintext(disk), self.plaintext(one))
        for snapshot_id in self.listed():
            self.snap("verify", snapshot_id)
        print(f"# {resumed} copies were gone on with")

    def whole_or_none(self, disk, target):
        """With a header there is all of the data."""
        if not any(target.read_bytes()[:2 * snapshot_case.header_case.COPY]):
            return
        self.envelope("inspect", target)
        self.assertEqual(self.data(disk), self.data(target))

    def test_resumed(self):
        """a copy that was killed is gone on with: the same id and data key"""
        _, one = self.taken(chunks=8)
        key = self.new_key()
        command = self.command("copy", "--limit", "1M", "--kms-key", key, one)
        run = subprocess.Popen(command, env=self.environment(),
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while len(self.blocks()) < 10 and time.monotonic() < end:
            time.sleep(0.05)
        run.kill()
        run.wait()
        pending = [p.name for p in self.store.glob("pending/*")]
        record = (self.store / "pending" / pending[0]).read_text()
        written = set(self.blocks())
        done = self.json(self.snap("copy", "--json", "--kms-key", key, one))
        self.assertEqual((pending, True), ([done["snapshot_id"]],
                                           done["resumed"]))
        self.assertEqual(16, len(self.blocks() | dict.fromkeys(written)))
        self.assertEqual([], list(self.store.glob("pending/*")))
        # Killed between the publication and the record's end: it is done.
        (self.store / "pending" / pending[0]).write_text(record)
        again = self.json(self.snap("copy", "--json", "--full", "--kms-key",
                                    key, one))
        self.assertEqual(False, again["resumed"])
        self.assertNotIn(again["snapshot_id"], pending)
        self.assertEqual([], list(self.store.glob("pending/*")))
        # A record that somebody changed is not believed.
        other = record.replace(pending[0], "snap-33333333333333333")
        (self.store / "pending" / "snap-33333333333333333").write_text(other)
        self.snap("copy", "--full", "--kms-key", key, one,
                  says="does not hold: it is begun anew")
        (self.store / "pending" / "snap-33333333333333333").unlink()

    def test_full(self):
        """a store that is full: said, nothing published, the next run works"""
        disk, one = self.taken(chunks=16)
        small = self.folder / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "none",
                        small], check=True)
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        self.store = small / "store"
        self.snap("create", disk, status=1, says="No space left on device")
        self.assertEqual({}, self.listed())
        subprocess.run(["mount", "-o", "remount,size=32M", small], check=True)
        self.snap("verify", self.made("create", disk))

    def test_kms_gone(self):
        """a KMS that is dead: exit 4, and nothing is left"""
        disk, one = self.taken()
        conf = self.folder / "dead.conf"
        conf.write_text(self.conf.read_text().replace(
            self.server.endpoint, "https://127.0.0.1:1"))
        self.conf, kept = conf, self.conf
        try:
            self.snap("create", "--timeout", 2, disk, status=4)
            self.refused_by_dead(one)
        finally:
            self.conf = kept
        self.assertEqual([one], list(self.listed()))

    def refused_by_dead(self, one):
        target = self.folder / "target"
        self.snap("restore", "--timeout", 2, one, target, status=4)
        self.assertFalse(target.exists())

    def test_targets(self):
        """restore and export: what is in the way is not overwritten"""
        _, one = self.taken()
        there = self.folder / "there"
        there.write_text("mine")
        self.snap("restore", one, there, status=7, says="--force")
        self.snap("export", one, there, status=7, says="name a new file")
        self.assertEqual("mine", there.read_text())
        self.snap("restore", one, "/dev/nothing", status=1)
        store = self.folder / "mine"
        store.mkdir()
        (store / "file").write_text("mine")
        self.store = store
        self.snap("import", there, status=7, says="something else in it")

    def test_rewrap(self):
        """rewrap: one, or all under a key; the old key may go"""
        key, other = self.new_key(), self.new_key()
        disk = self.volume("--kms-key", key)
        self.fill(disk, (0, 4096))
        ids = [self.made("create", disk) for _ in range(2)]
        self.snap("rewrap", ids[0], "--kms-key", other)
        self.snap("rewrap", "--all-under", key, "--kms-key", other)
        self.kms.disable_key(KeyId=key)
        for one in ids:
            self.assertEqual(other, self.wrapper(one)["slots"][0]["key_id"])
            self.snap("verify", one)

    def test_import(self):
        """import: sectors as the image counts, sizes that fit"""
        image = self.folder / "image"
        image.write_bytes(bytes(CHUNK) + self.random.randbytes(CHUNK + 512))
        one = self.made("import", image)
        self.assertEqual(image.read_bytes(), self.plaintext(one))
        shown = self.json(self.snap("show", "--json", one))
        self.assertEqual((512, 2), (shown["sector_size"],
                                    shown["stored_chunks"]))
        subprocess.run(["mkfs.ext4", "-q", "-F", image, "512K"], check=True)
        one = self.made("import", image)
        self.assertEqual(512, self.json(self.snap(
            "show", "--json", one))["sector_size"])
        self.snap("import", "--sector-size", 4096, image, status=2,
                  says="would not be found on sectors of 4096")
        image.write_bytes(b"x" * 100)
        self.snap("import", image, status=2, says="no multiple")
        image.write_bytes(bytes(2 * CHUNK))
        one = self.made("import", "--no-holes", image)
        self.assertEqual(2, self.json(self.snap(
            "show", "--json", one))["stored_chunks"])
        self.assertEqual(bytes(2 * CHUNK), self.plaintext(one))

    def test_share(self):
        """share: a copy with a data key of its own, and not without saying so"""
        _, one = self.taken()
        who = "arn:aws:iam::222222222222:root"
        self.snap("share", one, "--principal", who, status=2,
                  says="--same-dek")
        self.snap("share", one, "--same-dek", "--principal", who,
                  says="can read and forge")
        copy = self.made("copy", "--kms-key", self.new_key(), one)
        shared = self.json(self.snap("share", copy, "--json", "--principal",
                                     who))
        self.assertEqual(who, shared["key_policy_statement"]["Principal"][
            "AWS"])
        self.assertIn(copy, str(shared["key_policy_statement"]))


snapshot_case.main()
