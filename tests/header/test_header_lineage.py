# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope lineage: who shares a data key, without a key."""
import json
import os
import shutil
import subprocess

import header_case
import reader
from header_case import BUILD, ENVELOPE, WAIT_SECONDS

SNAPSHOT = "snap-0123456789abcdef0"
OTHER = "vol-00000000000000abc"
OTHER_UUID = "01234567-89ab-4def-8123-456789abcdef"


class Lineage(header_case.HeaderCase):
    def lineages(self, *args, **how):
        """{fingerprint: members}"""
        out = self.json(self.envelope("lineage", "--json", *args, **how))
        self.assertEqual([e["shared"] for e in out["lineages"]],
                         [len(e["members"]) > 1 for e in out["lineages"]])
        return {e["lineage"]: e["members"] for e in out["lineages"]}

    def restored(self, disk):
        """A volume as a restore makes it: the DEK is that of the snapshot."""
        copy = self.verified(disk)
        core = {**copy.core, "volume_id": OTHER, "revision": 1,
                "generation": 1, "origin": {"snapshot_id": SNAPSHOT}}
        path = self.folder / "restored"
        path.write_bytes(reader.write(core, {"slots": copy.slots}, OTHER_UUID,
                                      self.dek(disk)) + bytes(4 << 20))
        return path

    def snapshot(self, verb, *args):
        done = subprocess.run(
            [BUILD / "bin" / "envelope-snapshot", verb, "--store",
             self.folder / "store", "--config", self.conf, "--json", *args],
            env=self.environment(), capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["snapshot_id"]

    def test_snapshots(self):
        """lineage --store: snapshots share the key, copies under another do not"""
        disk, store = self.volume(), self.folder / "store"
        first = self.snapshot("create", disk)
        same = self.snapshot("copy", "--same-key", first)
        other = self.snapshot("copy", "--kms-key", self.new_key(), first)
        found = self.lineages("--store", store, disk)
        core = self.copy(disk).core
        self.assertEqual(2, len(found))
        members = found.pop(core["lineage"])
        self.assertEqual({None, first, same},
                         {m.get("snapshot_id") for m in members})
        self.assertEqual({core["volume_id"]},
                         {m["volume_id"] for m in members})
        self.assertEqual([[other]], [[m["snapshot_id"] for m in rest]
                                     for rest in found.values()])
        done = self.envelope("lineage", "--store", store, disk)
        self.assert_matches(rf"^  {first} of {core['volume_id']}  unverified",
                            done)
        (store / "snapshots" / other).write_text("{}")
        self.envelope("lineage", "--store", store, disk, status=6, says=other)
        self.envelope("lineage", "--store", self.folder / "none", disk,
                      status=1, says="cannot open the folder")

    def test_shared(self):
        """lineage: a copy by dd and a volume of a snapshot share the key"""
        disk, stranger = self.volume(), self.volume(name="stranger")
        clone, backup = self.folder / "clone", self.folder / "backup"
        subprocess.run(["dd", f"if={disk}", f"of={clone}", "status=none"],
                       check=True)
        self.envelope("header-backup", disk, backup)
        restored = self.restored(disk)
        calls = len(self.calls())
        found = self.lineages(disk, clone, stranger, restored, backup)
        core, other = (self.copy(p).core for p in (disk, stranger))
        self.assertEqual(set(found), {core["lineage"], other["lineage"]})
        members = found[core["lineage"]]
        self.assertEqual(
            [(m["path"], m["volume_id"], m["copy"], m.get("origin"))
             for m in members],
            [(str(disk), core["volume_id"], True, None),
             (str(clone), core["volume_id"], True, None),
             (str(restored), OTHER, False, SNAPSHOT),
             (str(backup), core["volume_id"], True, None)])
        self.assertEqual({(m["verified"], m["generation"], *m["key_ids"])
                          for m in members}, {(False, 1, self.key)})
        self.assertEqual([m["copy"] for m in found[other["lineage"]]], [False])
        # No KMS was asked.
        self.assertEqual(len(self.calls()), calls)
        done = self.envelope("lineage", disk, restored, stranger)
        self.assert_matches(
            rf"\Alineage {core['lineage']}: 2 share one data key\n"
            rf"  {core['volume_id']}  unverified  {disk}\n    {self.key}\n"
            rf"  {OTHER}  unverified  {restored}  from {SNAPSHOT}\n"
            rf"    {self.key}\nlineage {other['lineage']}: shared with none "
            rf"of these\n  {other['volume_id']}  unverified  ", done)

    def copy(self, path):
        return reader.read(path.read_bytes()[:2 * reader.COPY])

    def test_same_id(self):
        """lineage: a volume of the same id with another data key is apart"""
        disk, second = self.volume(), self.volume(name="second")
        first = self.copy(disk)
        copy = self.verified(second)
        core = {**copy.core, "volume_id": first.core["volume_id"],
                "generation": 2}
        second.write_bytes(reader.write(core, {"slots": copy.slots},
                                        first.uuid, self.dek(second)))
        found = self.lineages(disk, second)
        self.assertEqual([[m["copy"] for m in ms] for ms in found.values()],
                         [[False], [False]])
        # This host remembers what the first one's key was.
        self.assertEqual([ms[0]["pinned"] for ms in found.values()],
                         ["same", "other"])
        self.envelope("lineage", second,
                      says="  REMEMBERED WITH ANOTHER DATA KEY\n")

    def test_names(self):
        """lineage: one device under several names counts once"""
        disk, link, hard = self.volume(), *(self.folder / n for n in "ab")
        link.symlink_to(disk)
        os.link(disk, hard)
        self.envelope("lineage", disk, link, hard, disk,
                      says=": shared with none of these\n")

    def test_known(self):
        """lineage: without arguments, what this host remembers"""
        self.envelope("lineage", "--json", says='"lineages": []')
        disk, _ = self.volume(), self.volume(name="other")
        core = self.copy(disk).core
        disk.unlink()
        found = self.lineages()
        self.assertEqual(len(found), 2)
        self.assertEqual(found[core["lineage"]], [
            {"volume_id": core["volume_id"], "revision": 1, "pinned": "same",
             "key_ids": [self.key], "verified": True, "copy": False}])
        self.envelope("lineage", says=f"  {core['volume_id']}  remembered\n"
                      f"    {self.key}\n")

    def test_unreadable(self):
        """lineage: what cannot be read is told, and the others are shown"""
        disk, none = self.volume(), self.folder / "none"
        none.write_bytes(bytes(1 << 20))
        done = self.envelope("lineage", none, disk, status=5,
                             says="no envelope header")
        self.assertIn(str(disk), done.stdout_text)
        self.envelope("lineage", disk, self.folder / "nothing", status=1,
                      says="No such file")
        self.pins.write_text("?\n")
        self.envelope("lineage", status=6, says="line 1: not a pin")
        self.envelope("lineage", disk, status=6, says="line 1: not a pin")

    def test_user(self):
        """lineage: a user's files need no root, and no pins"""
        disk = self.volume()
        readable = self.folder / "mine"
        shutil.copy(disk, readable)
        self.folder.chmod(0o755)
        readable.chmod(0o644)
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--clear-groups", ENVELOPE,
             "lineage", readable], capture_output=True, text=True,
            timeout=WAIT_SECONDS, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("shared with none", done.stdout)

    def test_escapes(self):
        """security-06-lineage-escapes"""
        disk = self.volume()
        path = self.folder / "a\x1b[2J"
        copy = self.verified(disk)
        copy.slots[0].update(provider="strange", key_id="key\x1b[2J\n  vol-")
        path.write_bytes(reader.write(copy.core, {"slots": copy.slots},
                                      copy.uuid, self.dek(disk)))
        for option in ([], ["--json"]):
            out = self.envelope("lineage", *option, path).stdout
            self.assertTrue(all(c == 10 or 32 <= c < 127 for c in out), out)
        self.envelope("lineage", path, says="    key\\x1b[2J\\x0a  vol-\n")


if __name__ == "__main__":
    header_case.main()
