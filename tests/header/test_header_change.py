# SPDX-License-Identifier: GPL-2.0-or-later
"""rewrap, header-backup, header-restore and erase."""
import base64
import json
import os
import pty
import resource
import shutil
import signal

import header_case
import reader
from header_case import COPY, DATA, flip


class Rewrap(header_case.HeaderCase):

    def test_rewrap(self):
        """security-02-rewrap-needs-no-plaintext"""
        disk = self.volume("--context", "team=storage")
        old = self.verified(disk)
        dek = self.dek(disk)
        data = disk.read_bytes()[2 * COPY:]
        new_key = self.new_key()
        decrypts, rewraps = self.calls("Decrypt"), self.calls("ReEncrypt")
        done = self.with_kms("rewrap", "--kms-key", new_key, disk,
                             says=f"to   {new_key}")
        self.assertIn(f"from {self.key}", done.stdout_text)
        self.assertEqual(decrypts, self.calls("Decrypt"))
        self.assertEqual(rewraps + 1, self.calls("ReEncrypt"))
        new = self.verified(disk)
        self.assertEqual(dek, self.dek(disk))
        self.assertEqual(old.core, new.core)
        self.assertEqual(old.sequence + 1, new.sequence)
        self.assertEqual([new_key], [s["key_id"] for s in new.slots])
        self.assertEqual({"team": "storage"}, new.slots[0]["context"])
        self.assertEqual(data, disk.read_bytes()[2 * COPY:])
        for gone in (old.slots[0]["ciphertext"].encode(), self.key.encode()):
            self.assertNotIn(gone, disk.read_bytes())
        # The pin moved along, and the old key is no longer needed.
        self.assertEqual([new_key],
                         json.loads(self.pins.read_text())["key_ids"])
        self.kms.disable_key(KeyId=self.key)
        try:
            self.with_kms("check", "--unwrap", disk)
        finally:
            self.kms.enable_key(KeyId=self.key)

    def test_context(self):
        """security-04-context-from-core-and-slot"""
        disk = self.volume("--context", "team=storage")
        copy = self.verified(disk)
        self.with_kms("rewrap", "--kms-key", "alias/envelope", disk)
        record = [r for r in self.server.audit()
                  if r["eventName"] == "ReEncrypt"][-1]
        want = {"envelope:volume-id": copy.core["volume_id"],
                "envelope:generation": "1", "team": "storage"}
        text = json.dumps(record)
        for name, value in want.items():
            self.assertIn(json.dumps({name: value})[1:-1], text)
        # What a slot claims beyond its extra pairs is refused unread.
        self.forge(disk, b'"team":"storage"', b'"envelope:":"or"')
        calls = len(self.calls())
        self.with_kms("rewrap", "--kms-key", "alias/envelope", disk, status=6,
                      says="context names that begin with envelope: are reserved")
        self.with_kms("check", "--unwrap", disk, status=6,
                      says="context names that begin with envelope: are reserved")
        self.assertEqual(calls, len(self.calls()))

    def test_refused(self):
        """rewrap to a disabled or unknown key changes nothing"""
        disk = self.volume()
        before = self.digest(disk)
        disabled = self.new_key()
        self.kms.disable_key(KeyId=disabled)
        for key in (disabled, "alias/none"):
            self.with_kms("rewrap", "--kms-key", key, disk, status=3)
        self.with_kms("rewrap", disk, status=2, says="--kms-key is missing")
        self.with_kms("rewrap", "--kms-key", disabled, "--slot", "1", disk,
                      status=2, says="no slot 1")
        self.with_kms("rewrap", "--kms-key", disabled, status=2,
                      says="name a device, or --header")
        self.assertEqual(before, self.digest(disk))

    def test_no_pin(self):
        """rewrap without a pin does not make one"""
        disk = self.volume()
        self.pins.unlink()
        self.with_kms("rewrap", "--kms-key", self.new_key(), disk)
        self.assertFalse(self.pins.exists() and self.pins.read_text())

    def test_damaged(self):
        """rewrap of a damaged header sends to check --repair"""
        for index in (0, 1):
            disk = self.volume(name=f"disk-{index}")
            flip(disk, index * COPY + 4100)
            before = self.digest(disk)
            self.with_kms("rewrap", "--kms-key", self.key, disk, status=6,
                          says="'envelope check --repair' first")
            self.assertEqual(before, self.digest(disk))
            self.with_kms("check", "--repair", disk)
            done = self.with_kms("rewrap", "--json", "--kms-key", self.key,
                                 disk)
            self.assertEqual(self.key, self.json(done)["key_id"])
            self.verified(disk)

    def test_forged(self):
        """security-03-rewrap-spares-the-genuine-copy"""
        for copies in "AB":
            disk = self.volume(name=f"disk-{copies}")
            self.forge(disk, b'"revision":1', b'"revision":9', copies)
            before = self.digest(disk)
            calls = len(self.calls())
            self.with_kms("rewrap", "--kms-key", self.key, disk, status=6,
                          says="'envelope check --repair' first")
            self.assertEqual(before, self.digest(disk))
            self.assertEqual(calls, len(self.calls()))

    def test_interrupted(self):
        """rewrap goes on where a rewrap was interrupted"""
        disk = self.volume()
        old = disk.read_bytes()
        self.with_kms("rewrap", "--kms-key", self.key, disk)
        disk.write_bytes(old[:COPY] + disk.read_bytes()[COPY:])
        self.envelope("check", disk, status=6, says="an update was interrupted")
        self.with_kms("rewrap", "--kms-key", self.new_key(), disk)
        self.with_kms("check", "--unwrap", disk)
        self.verified(disk)

    def test_killed(self):
        """rewrap that is killed anywhere leaves a volume that opens"""
        disk = self.volume()
        old = disk.read_bytes()
        key = self.new_key()
        # Room for the pin's file, but not for the first copy, which is B.
        self.with_kms(
            "rewrap", "--kms-key", key, disk, status=-signal.SIGXFSZ,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                  (COPY, COPY)))
        self.assertEqual(old, disk.read_bytes())
        pin = self.pins.read_text()
        self.assertEqual([self.key, key], json.loads(pin)["key_ids"])
        self.with_kms("rewrap", "--kms-key", key, disk)
        new = disk.read_bytes()
        for state in (old, old[:COPY] + new[COPY:], new):
            disk.write_bytes(state)
            self.pins.write_text(pin)
            self.with_kms("export", disk, "-")

    def test_no_place_for_pin(self):
        """rewrap that cannot store its pin changes nothing"""
        disk = self.volume()
        before = self.digest(disk)
        blocked = self.pins.with_name("known.new")
        blocked.mkdir()
        self.addCleanup(blocked.rmdir)
        self.with_kms("rewrap", "--kms-key", self.new_key(), disk, status=1,
                      says="cannot store the pin: Is a directory")
        self.assertEqual(before, self.digest(disk))

    def test_detached(self):
        """rewrap of a detached header leaves the device alone"""
        header = self.folder / "header"
        disk = self.volume("--header", header)
        before = self.digest(disk)
        new_key = self.new_key()
        self.with_kms("rewrap", "--kms-key", new_key, "--header", header)
        self.assertEqual(before, self.digest(disk))
        self.assertEqual(new_key, self.verified(header).slots[0]["key_id"])


class Backup(header_case.HeaderCase):

    def setUp(self):
        super().setUp()
        self.file = self.folder / "backup"

    def test_restore(self):
        """a header comes back from its backup after both copies died"""
        disk = self.volume()
        before = self.verified(disk)
        self.envelope("header-backup", disk, self.file,
                      says=f"{before.core['volume_id']}: header saved in")
        self.assertEqual(2 * COPY, self.file.stat().st_size)
        self.assertEqual(0o600, self.file.stat().st_mode & 0o777)
        self.assertEqual(before.core, self.verified(self.file).core)
        self.envelope("header-backup", disk, self.file, status=7,
                      says="exists: name a new file")
        flip(disk, 5000)
        flip(disk, COPY + 5000)
        self.envelope("header-restore", disk, self.file,
                      says="header restored from")
        self.with_kms("check", "--unwrap", disk)
        self.assertEqual(before.core, self.verified(disk).core)

    def test_json(self):
        """header-backup and header-restore print JSON"""
        disk = self.volume()
        want = {"path": str(disk), "backup": str(self.file),
                "volume_id": self.verified(disk).core["volume_id"]}
        for verb in ("header-backup", "header-restore"):
            done = self.envelope(verb, "--json", disk, self.file)
            self.assertEqual(want, self.json(done))

    def test_damaged_copy(self):
        """header-backup of a half damaged header saves two good copies"""
        disk = self.volume()
        flip(disk, 4100)
        self.envelope("header-backup", disk, self.file,
                      says="the copies of the header differ")
        self.envelope("check", self.file, status=6)  # the data do not fit
        self.with_kms("check", "--unwrap", "--header", self.file)

    def test_other_volume(self):
        """header-restore over another volume needs --force"""
        disk = self.volume()
        other = self.volume(name="other")
        self.envelope("header-backup", disk, self.file)
        before = self.digest(other)
        self.envelope("header-restore", other, self.file, status=7,
                      says="--force replaces it, and its data are gone")
        flip(other, 4100)
        flip(other, COPY + 4100)
        self.envelope("header-restore", other, self.file, status=6,
                      says="what is left of its header is not of")
        flip(other, 4100)
        flip(other, COPY + 4100)
        self.assertEqual(before, self.digest(other))
        self.envelope("header-restore", "--force", other, self.file)
        self.assertEqual(self.verified(disk).core, self.verified(other).core)

    def test_lower_revision(self):
        """header-restore of a lower revision needs --force"""
        disk = self.volume()
        self.envelope("header-backup", disk, self.file)
        copy = self.verified(disk)
        newer = reader.write(dict(copy.core, revision=2),
                             {"slots": copy.slots}, copy.uuid, self.dek(disk))
        disk.write_bytes(newer + disk.read_bytes()[2 * COPY:])
        before = self.digest(disk)
        self.envelope("header-restore", disk, self.file, status=7,
                      says="has revision 2 of its header, the backup 1")
        self.assertEqual(before, self.digest(disk))
        self.envelope("header-restore", "--force", disk, self.file)
        self.assertEqual(1, self.verified(disk).core["revision"])

    def test_no_header(self):
        """header-restore where no header is needs --force"""
        disk = self.volume()
        self.envelope("header-backup", disk, self.file)
        empty = self.folder / "empty"
        empty.write_bytes(bytes(4 << 20))
        self.envelope("header-restore", empty, self.file, status=5,
                      says="has no envelope header that could be compared")
        self.envelope("header-restore", "--force", empty, self.file)
        self.verified(empty)

    def test_too_small(self):
        """header-restore to a device that is too small: 6, also by force"""
        disk = self.volume()
        self.envelope("header-backup", disk, self.file)
        small = self.folder / "small"
        small.write_bytes(bytes(2 << 20))
        self.envelope("header-restore", "--force", small, self.file, status=6,
                      says="the volume ends at byte 4194304, the device at 2097152")

    def test_places(self):
        """header-restore keeps detached and attached headers apart"""
        header = self.folder / "header"
        detached = self.volume("--header", header, name="detached")
        self.envelope("header-backup", "--header", header, self.file)
        self.envelope("header-restore", detached, self.file, status=2,
                      says="the backup is of a detached header")
        shutil.copy(header, self.folder / "copy")
        flip(header, 4100)
        self.envelope("header-restore", "--header", header, self.file)
        self.verified(header)
        disk = self.volume()
        self.envelope("header-backup", disk, self.folder / "other")
        self.envelope("header-restore", "--header", header,
                      self.folder / "other", status=2,
                      says="the backup is of a header that lies on its device")

    def test_pin(self):
        """security-01-forged-backup-refused-by-pin"""
        disk = self.volume()
        copy = self.verified(disk)
        dek = bytes(range(64))
        core = dict(copy.core, lineage=reader.lineage(dek))
        self.file.write_bytes(reader.write(core, {"slots": copy.slots},
                                           copy.uuid, dek))
        before = self.digest(disk)
        self.envelope("header-restore", disk, self.file, status=6,
                      says="is pinned with another data key")
        self.assertEqual(before, self.digest(disk))

    def test_usage(self):
        """header-backup and header-restore name what is missing"""
        disk = self.volume()
        self.envelope("header-backup", disk, status=2,
                      says="name a device (or --header) and a file")
        self.envelope("header-restore", disk, status=2,
                      says="name a device (or --header) and a file")
        self.envelope("header-restore", disk, self.folder / "none", status=1)
        self.envelope("header-restore", disk, disk.parent, status=1)


class Erase(header_case.HeaderCase):

    def test_yes(self):
        """erase overwrites both copies and nothing else"""
        disk = self.volume()
        copy = self.verified(disk)
        data = disk.read_bytes()[2 * COPY:]
        done = self.envelope("erase", "--yes", disk,
                             says="both copies of the header are overwritten")
        for word in ("header backups", "snapshots", self.key):
            self.assertIn(word, done.stdout_text)
        self.assertEqual(bytes(2 * COPY), disk.read_bytes()[:2 * COPY])
        self.assertEqual(data, disk.read_bytes()[2 * COPY:])
        self.assertNotIn(copy.core["volume_id"], self.pins.read_text())
        self.envelope("inspect", disk, status=5)

    def test_json(self):
        """erase prints JSON, also of what it could not read"""
        disk = self.volume()
        want = {"path": str(disk), "key_ids": [self.key],
                "volume_id": self.verified(disk).core["volume_id"]}
        done = self.envelope("erase", "--yes", "--json", disk)
        self.assertEqual(want, self.json(done))
        done = self.envelope("erase", "--force", "--json", disk)
        self.assertEqual({"path": str(disk), "key_ids": [], "volume_id": None},
                         self.json(done))

    def test_escapes(self):
        """erase shows what a key id would do to a terminal"""
        disk = self.volume()
        copy = self.verified(disk)
        copy.slots[0].update(provider="other", key_id="a\x1b[2J")
        disk.write_bytes(reader.write(copy.core, {"slots": copy.slots},
                                      copy.uuid, self.dek(disk)) + bytes(DATA))
        done = self.envelope("erase", "--yes", disk, says="\n  a\\x1b[2J\n")
        self.assertNotIn(b"\x1b", done.stdout)

    def test_nobody_to_ask(self):
        """erase without terminal and --yes erases nothing"""
        disk = self.volume()
        before = self.digest(disk)
        self.envelope("erase", disk, status=2,
                      says="nobody to ask: --yes erases the header of")
        self.envelope("erase", status=2, says="name a device, or --header")
        self.assertEqual(before, self.digest(disk))

    def ask(self, disk, answer, **how):
        master, slave = pty.openpty()
        try:
            os.write(master, answer.encode() + b"\n")
            return self.envelope("erase", disk, stdin=slave, **how)
        finally:
            os.close(master)
            os.close(slave)

    def test_question(self):
        """erase asks for the volume id"""
        disk = self.volume()
        volume_id = self.verified(disk).core["volume_id"]
        before = self.digest(disk)
        for answer in ("yes", "", volume_id[:-1], volume_id + "0"):
            self.ask(disk, answer, status=2,
                     says="that is not its volume id: nothing was erased")
            self.assertEqual(before, self.digest(disk))
        self.ask(disk, volume_id, says="will be unreadable, for good")
        self.assertEqual(bytes(2 * COPY), disk.read_bytes()[:2 * COPY])

    def test_damaged(self):
        """erase of a damaged or absent header needs --force"""
        disk = self.volume()
        flip(disk, 4100)
        flip(disk, COPY + 4100)
        self.envelope("erase", "--yes", disk, status=6,
                      says="--force overwrites its place nevertheless")
        self.envelope("erase", "--force", disk)
        self.assertEqual(bytes(2 * COPY), disk.read_bytes()[:2 * COPY])
        self.envelope("erase", "--yes", disk, status=5,
                      says="--force overwrites its place nevertheless")
        self.envelope("erase", "--force", disk)

    def test_backup_defeats(self):
        """erase is undone by a backup, as it says"""
        disk = self.volume()
        self.envelope("header-backup", disk, self.folder / "backup")
        self.envelope("erase", "--yes", disk)
        self.envelope("header-restore", "--force", disk,
                      self.folder / "backup")
        self.with_kms("check", "--unwrap", disk)

    def test_slot_gone(self):
        """erase leaves no wrapped key behind"""
        disk = self.volume()
        wrapped = self.verified(disk).slots[0]["ciphertext"]
        self.envelope("erase", "--yes", disk)
        self.assertNotIn(wrapped.encode(), disk.read_bytes())
        self.assertNotIn(base64.b64decode(wrapped), disk.read_bytes())


if __name__ == "__main__":
    header_case.main()
