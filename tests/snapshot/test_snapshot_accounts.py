# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots over the borders of accounts and regions: whose key, whose DEK."""
import pathlib
import shutil
import time

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import snapshot_case
import slots_case
from header_case import STATE
from server_people import Person, identity, statement
from slots_case import HERE, THERE
from snapshot_case import CHUNK, DATA

OTHER = "222233334444"


def decrypt_first(stored, dek):
    """The first block of a volume, by OpenSSL's AES-256-XTS."""
    cipher = Cipher(algorithms.AES(dek), modes.XTS(bytes(16))).decryptor()
    return cipher.update(stored[:4096]) + cipher.finalize()


class Border(snapshot_case.SnapshotCase, slots_case.SlotsCase):
    def taken(self, *options, chunks=2):
        disk = self.volume(*options, size=DATA + chunks * CHUNK)
        self.fill(disk, (0, chunks * CHUNK))
        return disk, self.made("create", disk)


class OtherHost(Border):
    """The configuration `other` is that of a host of another account."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        identity(cls.server, "create-account", OTHER)
        cls.person = Person(cls.server, "theirs",
                            statement("Allow", "kms:*"), account=OTHER)
        cls.credentials.write_text(
            cls.credentials.read_text() +
            f"[theirs]\naws_access_key_id = {cls.person.access}\n"
            f"aws_secret_access_key = {cls.person.secret}\n")
        cls.their_key = cls.person.call("CreateKey", {}).json[
            "KeyMetadata"]["Arn"]
        cls.other = cls.server.dir / "other.conf"
        cls.other.write_text(
            f"[region {HERE}]\n"
            f"endpoint = {cls.server.endpoint}\n"
            f"ca-file = {cls.server.dir / 'ca.pem'}\n"
            f"profile = theirs\n"
            f"default-key = {cls.their_key}\n"
            f"allow-keys = arn:aws:kms:{HERE}:*:key/*\n")

    def theirs(self, verb, *args, **how):
        """A verb on that host, which reads the snapshot as ours does."""
        return self.snap(verb, "--config", self.other, "--source-config",
                         self.conf, *args, **how)


class Accounts(OtherHost):
    def setUp(self):
        super().setUp()
        self.disk, self.one = self.taken()
        self.target = self.folder / "target"

    def test_restored_by_another(self):
        """accounts: another's snapshot is restored under the default key"""
        done = self.theirs("restore", self.one, self.target,
                           says=f"default-key of region {HERE}")
        self.assertIn("encrypted anew", done.stdout)
        slot, = self.copy(self.target).slots
        self.assertEqual(self.their_key, slot["key_id"])
        self.assertNotEqual(self.data(self.disk), self.data(self.target))
        # In its own account it stays under its own.
        self.snap("restore", self.one, self.folder / "ours")
        self.assertEqual(self.key, self.copy(
            self.folder / "ours").slots[0]["key_id"])

    def test_same_dek(self):
        """accounts: a data key crosses the border only if that is said"""
        share = "who has it there could read and forge"
        for verb, *args in (("restore", "--kms-key", self.key, self.one,
                             self.target),
                            ("copy", "--same-key", self.one),
                            ("copy", "--kms-key", self.key, self.one)):
            self.theirs(verb, *args, status=2, says=share)
        self.assertFalse(self.target.exists())
        self.assertEqual({self.one}, set(self.listed()))
        told = "who has it there can read and forge"
        self.theirs("restore", "--same-dek", self.one, self.target, says=told)
        self.assertEqual(self.data(self.disk), self.data(self.target))
        done = self.theirs("copy", "--json", "--same-key", "--same-dek",
                           self.one, says=told)
        self.assertFalse(self.json(done)["rekeyed"])
        self.snap("copy", "--same-dek", self.one, status=2,
                  says="--same-dek goes with --same-key")

    def test_own_account_is_silent(self):
        """accounts: at home nobody is warned"""
        done = self.snap("restore", "--same-dek", self.one, self.target)
        self.assertEqual("", done.stderr)


class Choice(OtherHost):
    """EBS's tables of which key a new volume, and a copy, is under."""
    # What it is made of, whether a key is given, and which one it gets.
    VOLUMES = (("none", False, "default"), ("none", True, "given"),
               ("plain", False, "default"), ("plain", True, "given"),
               ("own", False, "source"), ("own", True, "given"),
               ("shared", False, "default"), ("shared", True, "given"))
    COPIES = (("plain", False, "default"), ("plain", True, "given"),
              ("own", False, "default"), ("own", True, "given"),
              ("shared", False, "default"), ("shared", True, "given"))

    def setUp(self):
        super().setUp()
        # What `envelope default` keeps is beside the configuration.
        place = self.folder / "etc"
        place.mkdir()
        self.conf, self.other = (
            pathlib.Path(shutil.copy(path, place))
            for path in (self.conf, self.other))
        self.source_key = self.new_key()
        self.disk, self.one = self.taken("--kms-key", self.source_key)
        self.image = self.folder / "image"
        self.image.write_bytes(self.random.randbytes(CHUNK))
        self.given = {False: self.new_key(),
                      True: self.person.call("CreateKey", {}).json[
                          "KeyMetadata"]["Arn"]}

    def key_of(self, kind, given, source):
        """The key of a volume, or copy, that is made so."""
        shared = source == "shared"
        options = ("--kms-key", self.given[shared]) if given else ()
        run = self.theirs if shared else self.snap
        target = self.folder / f"new-{self.random.randrange(1 << 40)}"
        if source == "plain":
            done = run("import", "--json", *options, self.image)
        elif kind == "copy":
            done = run("copy", "--json", *options, self.one)
        else:
            if source == "none":
                self.volume(*options, name=target.name)
            else:
                run("restore", *options, self.one, target)
            return self.copy(target).slots[0]["key_id"]
        made = self.json(done)["snapshot_id"]
        return self.wrapper(made)["slots"][0]["key_id"]

    def test_tables(self):
        """keys: which one it is, by EBS's tables, encryption by default on or off"""
        for on in ("disable", "enable"):
            self.with_kms("default", on)
            for kind, table in (("volume", self.VOLUMES),
                                ("copy", self.COPIES)):
                for source, given, wanted in table:
                    shared = source == "shared"
                    keys = {"default": self.their_key if shared else self.key,
                            "source": self.source_key,
                            "given": self.given[shared]}
                    with self.subTest(on=on, kind=kind, source=source,
                                      given=given):
                        self.assertEqual(keys[wanted], self.key_of(
                            kind, given, source))

    def test_never_unencrypted(self):
        """keys: there is no way to a copy, or volume, without encryption"""
        for verb in ("copy", "restore"):
            for option in ("--unencrypted", "--no-encrypt", "--kms-key="):
                self.snap(verb, option, self.one, status=2)
        self.assertEqual({self.one}, set(self.listed()))


class Regions(Border):
    def far_dek(self, snapshot_id):
        kms, self.kms = self.kms, self.far_kms
        try:
            return self.snapshot_dek(snapshot_id)
        finally:
            self.kms = kms

    def test_replica(self):
        """regions: a replica at home shares the data key, one abroad nothing"""
        key = self.new_key()
        disk, one = self.taken("--kms-key", key, "--context",
                               "aws:rds:db-id=db-1")
        near, far = self.folder / "near", self.folder / "far"
        plain = self.plaintext(disk)
        self.snap("restore", one, near)
        copy = self.made("copy", "--kms-key", self.far_key, one)
        old, new = self.snapshot_dek(one), self.far_dek(copy)
        blocks = {s: {p.name for p in self.store.glob(
            f"blocks/{self.wrapper(s)['lineage']}/*/*")} for s in (one, copy)}
        # What becomes of the old key is nothing to it.
        self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        self.snap("restore", copy, far)
        self.snap("verify", copy)
        self.snap("restore", one, self.folder / "late", status=3)
        self.snap("copy", "--kms-key", self.far_key, "--full", one, status=3)
        self.assertEqual({one, copy}, set(self.listed()))

        ours, theirs = self.copy(near), self.copy(far)
        self.assertEqual((key, "db-1"), (
            ours.slots[0]["key_id"],
            ours.slots[0]["context"]["aws:rds:db-id"]))
        self.assertEqual(self.copy(disk).core["lineage"], ours.core["lineage"])
        self.assertEqual(self.data(disk), self.data(near))
        self.assertEqual((self.far_key, THERE), (
            theirs.slots[0]["key_id"], self.wrapper(copy)["region"]))
        self.assertNotEqual(ours.core["lineage"], theirs.core["lineage"])
        self.assertEqual((2, 2), (len(blocks[one]), len(blocks[copy])))
        self.assertFalse(blocks[one] & blocks[copy])
        self.assertEqual(plain, self.plaintext(far))
        stored = self.data(far)
        self.assertEqual(plain[:4096], decrypt_first(stored, new))
        self.assertNotEqual(plain[:4096], decrypt_first(stored, old))

    def test_slots(self):
        """slots: those that stay behind are named"""
        disk = self.two_slots()
        one = self.made("create", disk)
        self.assertEqual(2, len(self.wrapper(one)["slots"]))
        told = f"{one} can be opened by {self.far_key}, too"
        self.snap("restore", one, self.folder / "target", says=told)
        self.snap("copy", "--same-key", one, says=told)
        self.snap("copy", "--kms-key", self.new_key(), one, says=told)


class Newest(Border):
    """The volume's own name stands for its newest snapshot."""

    def setUp(self):
        super().setUp()
        shutil.rmtree(pathlib.Path(STATE) / "audit", ignore_errors=True)
        self.disk, self.one = self.taken()
        self.volume_id = self.copy(self.disk).core["volume_id"]
        self.fill(self.disk, (0, 4096))
        self.two = self.made("create", self.disk)

    def newest(self, **how):
        target = self.folder / f"target-{self.random.randrange(1 << 40)}"
        done = self.snap("restore", "--json", self.volume_id, target, **how)
        return self.json(done)["snapshot_id"] if not how else None

    def hide(self, snapshot_id):
        path = self.store / "snapshots" / snapshot_id
        path.rename(self.folder / snapshot_id)

    def test_same_second(self):
        """newest: of one second the one that this host made later"""
        self.assertEqual(self.two, self.newest())

    def test_hidden(self):
        """newest: a store that does not show it is found out by the audit"""
        self.hide(self.two)
        self.newest(status=6, says=f"that this host made, {self.two}")
        self.snap("restore", self.one, self.folder / "by-its-id")
        self.hide(self.one)
        self.newest(status=6, says=f"that this host made, {self.two}")

    def test_deleted(self):
        """newest: what this host has deleted itself is not missed"""
        self.snap("delete", self.two)
        self.assertEqual(self.one, self.newest())

    def test_of_another_host(self):
        """newest: a later one of another host counts"""
        audit = pathlib.Path(STATE) / "audit"
        kept = self.folder / "audit"
        shutil.copytree(audit, kept)
        time.sleep(1.1)
        self.fill(self.disk, (0, 4096))
        three = self.made("create", self.disk)
        shutil.rmtree(audit)
        shutil.copytree(kept, audit)
        self.assertEqual(three, self.newest())
        shutil.rmtree(audit)
        self.assertEqual(three, self.newest())

    def test_audit_damaged(self):
        """newest: with an audit that somebody changed nobody knows"""
        log = pathlib.Path(STATE) / "audit" / "audit.log"
        log.write_text(log.read_text().replace(self.two, self.one))
        self.newest(status=6, says="the audit of this host is damaged")


snapshot_case.main()
