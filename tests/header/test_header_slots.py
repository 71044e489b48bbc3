# SPDX-License-Identifier: GPL-2.0-or-later
"""slot list, add and remove: two KMS, and what is left behind."""
import json
import os
import pathlib
import resource
import shutil
import signal

import header_case
import reader
import slots_case
from header_case import COPY, STATE, flip
from slots_case import HERE, THERE

SAMPLE = header_case.TESTS.parent / "scripts/examples/key-program.py"


class Slots(slots_case.SlotsCase):

    def test_add(self):
        """slot-second-kms-opens-the-same-volume"""
        disk = self.volume("--context", "team=storage")
        old = self.verified(disk)
        data = disk.read_bytes()[2 * COPY:]
        done = self.with_kms("slot add", "--kms-key", self.far_key,
                             "--context", "site=far", disk)
        self.assertEqual(f"{old.core['volume_id']}: slot 1 added, "
                         f"{self.far_key}\n", done.stdout_text)
        new = self.verified(disk)
        self.assertEqual(old.core, new.core)
        self.assertEqual(old.slots[0], new.slots[0])
        self.assertEqual((self.far_key, "aws-kms", {"site": "far"}), tuple(
            new.slots[1][name] for name in ("key_id", "provider", "context")))
        self.assertEqual(self.unwrap(self.kms, new, 0),
                         self.unwrap(self.far_kms, new, 1))
        self.assertEqual(data, disk.read_bytes()[2 * COPY:])
        self.assertEqual([self.key, self.far_key],
                         json.loads(self.pins.read_text())["key_ids"])

    def test_rehearsed(self):
        """slot-add-unwraps-what-it-wrote-down-before-it-writes"""
        disk = self.volume()
        names = [r["eventName"] for r in self.far.audit()]
        self.with_kms("slot add", "--kms-key", self.far_key, disk)
        self.assertEqual(["Encrypt", "Decrypt"],
                         [r["eventName"] for r in self.far.audit()
                          ][len(names):])
        # One that may wrap, and not unwrap, would be no way in.
        key = self.new_key()
        self.kms.put_key_policy(
            KeyId=key, PolicyName="default", Policy=json.dumps({
                "Version": "2012-10-17", "Statement": [{
                    "Effect": "Allow", "Principal": {
                        "AWS": "arn:aws:iam::111122223333:root"},
                    "NotAction": "kms:Decrypt", "Resource": "*"}]}))
        before = self.digest(disk)
        self.with_kms("slot add", "--kms-key", key, disk, status=3,
                      says="AccessDenied")
        self.assertEqual(before, self.digest(disk))

    def test_list(self):
        """slot list: text and JSON, unverified, without a KMS"""
        disk = self.two_slots()
        calls = len(self.calls())
        slots = self.copy(disk).slots
        done = self.envelope("slot list", disk)
        self.assertEqual(
            ["SLOT  CREATED               PROVIDER  KEY"] +
            [f"   {i}  {s['created']}  aws-kms   {s['key_id']}"
             for i, s in enumerate(slots)], done.stdout_text.splitlines())
        out = self.json(self.envelope("slot list", "--json", disk))
        self.assertEqual((self.copy(disk).core["volume_id"], False),
                         (out["volume_id"], out["verified"]))
        self.assertEqual(
            [{"slot": i, "context": {}, **{
                n: s[n] for n in ("provider", "key_id", "created")}}
             for i, s in enumerate(slots)], out["slots"])
        self.assertEqual(calls, len(self.calls()))

    def test_remove(self):
        """slot-removed-is-overwritten-in-both-copies-and-unpinned"""
        disk = self.two_slots()
        old = self.copy(disk)
        self.with_kms("slot remove", "--slot", "0", disk,
                      says=f"slot 0 removed, {self.key}")
        self.assertEqual([self.far_key], self.keys(disk))
        for gone in (old.slots[0]["ciphertext"], self.key):
            self.assertNotIn(gone.encode(), disk.read_bytes())
        self.assertEqual([self.far_key],
                         json.loads(self.pins.read_text())["key_ids"])
        self.with_kms("check", "--unwrap", disk)
        self.assertEqual(old.core, self.copy(disk).core)

    def test_remove_unpinned(self):
        """security-01-slot-removed-pins-no-key-of-the-header's"""
        disk = self.two_slots()
        pin = json.loads(self.pins.read_text())
        pin["key_ids"] = [self.far_key]
        self.pins.write_text(json.dumps(pin) + "\n")
        self.with_kms("slot remove", "--slot", "1", "--force", disk)
        self.assertEqual([], json.loads(self.pins.read_text())["key_ids"])
        self.with_kms("check", "--unwrap", disk, status=6,
                      says=f"is not pinned with key {self.key}")

    def test_remove_last(self):
        """slot-the-last-one-stays"""
        disk = self.volume()
        before = self.digest(disk)
        for options in ([], ["--force"]):
            self.with_kms("slot remove", "--slot", "0", *options, disk,
                          status=2, says="slot 0 is the last one: without it "
                          "the data are lost; 'envelope erase' does that")
        self.assertEqual(before, self.digest(disk))

    def test_remove_unproven(self):
        """slot-removed-only-after-another-one-opened-the-volume"""
        disk = self.two_slots()
        before = self.digest(disk)
        self.far_kms.disable_key(KeyId=self.far_key)
        try:
            self.with_kms("slot remove", "--slot", "0", disk, status=3,
                          says="no other slot was seen to open the volume")
            self.assertEqual(before, self.digest(disk))
            self.with_kms("slot remove", "--slot", "0", "--force", disk)
        finally:
            self.far_kms.enable_key(KeyId=self.far_key)
        self.assertEqual([self.far_key], self.keys(disk))

    def test_json(self):
        """slot add and slot remove print JSON"""
        disk = self.volume()
        want = {"volume_id": self.copy(disk).core["volume_id"],
                "slot": 1, "key_id": self.far_key}
        for verb, left, options in (
                ("add", 2, ["--kms-key", self.far_key]),
                ("remove", 1, ["--slot", "1"])):
            done = self.with_kms(f"slot {verb}", "--json", *options, disk)
            self.assertEqual({**want, "slots": left}, self.json(done))

    def test_refused(self):
        """slot: what is refused changes nothing"""
        disk = self.two_slots()
        before = self.digest(disk)
        for status, says, args in (
                (2, "envelope: slot: a verb is missing", []),
                (2, "envelope: slot: no verb 'move'", ["move"]),
                (2, "slot add: --kms-key is missing", ["add", disk]),
                (2, "slot remove: --slot is missing", ["remove", disk]),
                (2, "no slot 2: 'envelope slot list' lists them",
                 ["remove", "--slot", "2", disk]),
                (2, "name a device, or --header", ["list"]),
                (7, f"slot 1 has key {self.far_key} already",
                 ["add", "--kms-key", self.far_key, disk]),
                (3, "is not configured on this host",
                 ["add", "--kms-key", self.key.replace(HERE, "sa-east-1"),
                  disk]),
                (3, "", ["add", "--kms-key", "alias/none", disk]),
                (2, "context names that begin with envelope: are reserved",
                 ["add", "--kms-key", self.new_key(), "--context",
                  "envelope:x=y", disk])):
            options = ["--config", self.conf] if args[:1] in (
                ["add"], ["remove"]) else []
            with self.subTest(says):
                self.envelope("slot", *args[:1], *options, *args[1:],
                              status=status, says=says)
        self.assertEqual(before, self.digest(disk))

    def test_full(self):
        """slot-seventeenth-refused-before-a-kms-is-asked"""
        disk = self.volume()
        copy = self.copy(disk)
        slots = [dict(copy.slots[0]) for _ in range(16)]
        disk.write_bytes(reader.write(copy.core, {"slots": slots}, copy.uuid,
                                      self.dek(disk)) +
                         disk.read_bytes()[2 * COPY:])
        calls = len(self.calls())
        self.with_kms("slot add", "--kms-key", self.far_key, disk,
                      status=2, says="all 16 slots are taken: remove one first")
        self.assertEqual(calls, len(self.calls()))

    def test_damaged(self):
        """slot add and remove of a damaged header send to check --repair"""
        disk = self.two_slots()
        flip(disk, COPY + 4100)
        before = self.digest(disk)
        for verb, *args in (["add", "--kms-key", self.new_key()],
                            ["remove", "--slot", "0"],
                            ["remove", "--slot", "0", "--force"]):
            self.with_kms(f"slot {verb}", *args, disk, status=6,
                          says="'envelope check --repair' first")
        self.assertEqual(before, self.digest(disk))

    def test_killed(self):
        """slot-add-killed-anywhere-leaves-a-volume-that-opens"""
        disk = self.volume()
        old = disk.read_bytes()
        # Room for the pin's file, but not for the first copy, which is B.
        self.with_kms(
            "slot add", "--kms-key", self.far_key, disk,
            status=-signal.SIGXFSZ,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                  (COPY, COPY)))
        self.assertEqual(old, disk.read_bytes())
        pin = self.pins.read_text()
        self.assertEqual([self.key, self.far_key],
                         json.loads(pin)["key_ids"])
        self.with_kms("slot add", "--kms-key", self.far_key, disk)
        new = disk.read_bytes()
        for state in (old, old[:COPY] + new[COPY:], new):
            disk.write_bytes(state)
            self.pins.write_text(pin)
            self.with_kms("export", disk, "-")

    def test_replica(self):
        """slot-of-a-multi-region-replica"""
        conf = self.folder / "replica.conf"
        conf.write_text(self.conf.read_text().replace(
            self.far.endpoint, self.server.endpoint).replace(
            str(self.far.dir), str(self.server.dir)).replace(
            "profile = far", "profile = envelope"))
        key = self.kms.create_key(MultiRegion=True)["KeyMetadata"]["Arn"]
        self.kms.replicate_key(KeyId=key, ReplicaRegion=THERE)
        replica = key.replace(HERE, THERE)
        disk = self.volume("--kms-key", key)
        self.with_kms("slot add", "--kms-key", replica, disk, conf=conf)
        self.assertEqual([key, replica], self.keys(disk))
        self.kms.disable_key(KeyId=key)
        self.with_kms("slot remove", "--slot", "0", disk, conf=conf)
        self.with_kms("check", "--unwrap", disk, conf=conf)

    def test_second_vendor(self):
        """slot-of-a-second-vendor"""
        place = pathlib.Path(STATE)
        place.chmod(0o755)
        keys = place / "slot-keys"
        keys.mkdir(exist_ok=True)
        (keys / "volumes").write_bytes(os.urandom(32))
        shutil.chown(keys / "volumes", "nobody")
        program = place / "slot-program"
        program.write_text(SAMPLE.read_text().replace(
            "/etc/envelope/program-keys", str(keys)))
        program.chmod(0o755)
        conf = self.folder / "both.conf"
        conf.write_text(self.conf.read_text() +
                        f"[program mine]\npath = {program}\n")
        disk = self.volume()
        self.with_kms("slot add", "--kms-key", "program:mine/volumes",
                      disk, conf=conf)
        self.assertEqual([self.key, "program:mine/volumes"], self.keys(disk))
        calls = len(self.calls())
        self.with_kms("slot remove", "--slot", "0", disk, conf=conf)
        self.with_kms("check", "--unwrap", disk, conf=conf)
        self.assertEqual(calls, len(self.calls()))


if __name__ == "__main__":
    header_case.main()
