#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is deleted stays deleted: in pages, logs, copies and backups."""
import os
import sqlite3
import unittest

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidTag

from server_backup import backup, open_backup, restore
from server_fixture import INTERNAL, Api, Server, run, wait_for
from server_seal import open_material, open_row
from test_server_import import FOREVER, wrap
import tap

DAY = 86400


class Shred(unittest.TestCase):
    def setUp(self):
        self.server = Server("--test", start=False)
        self.addCleanup(self.server.close)
        self.server.start_test_clock()
        self.kms = Api(self.server)

    def new_key(self):
        """A key with two materials and a blob under each."""
        self.key = self.kms.create_key()["KeyMetadata"]["KeyId"]
        self.blobs = []
        for _ in range(2):
            self.blobs.append(self.kms.encrypt(
                KeyId=self.key, Plaintext=b"x")["CiphertextBlob"])
            self.kms.rotate_key_on_demand(KeyId=self.key)
        return self.remember()

    def remember(self):
        """All that must be gone later: sealed material and subkeys."""
        self.rows = [r[:3] for r in self.server.sql(
            "SELECT region, key_id, material_id FROM material"
            " WHERE key_id = ?", self.key)]
        self.secrets = [r[0] for r in self.server.sql(
            "SELECT sealed FROM material WHERE key_id = ?", self.key)]
        self.secrets += [r[0] for r in self.server.sql(
            "SELECT subkey FROM subkey WHERE key_id = ?", self.key,
            database="subkeys.db")]
        self.assertEqual(2 * len(self.rows), len(self.secrets))
        return self.key

    def found(self):
        """Which of them any file of the directory has."""
        text = b"".join(p.read_bytes() for p in self.server.dir.rglob("*")
                        if p.is_file() and p.name not in ("copy.db",))
        return [s for s in self.secrets if s in text]

    def copy(self):
        """As a backup tool of the database takes it, while it is served."""
        self.server.sql("VACUUM INTO ?", str(self.server.folder / "copy.db"))

    def put_back(self):
        self.assertEqual(0, self.server.stop())
        for name in ("kms.db-wal", "kms.db-shm"):
            (self.server.dir / name).unlink(missing_ok=True)
        (self.server.folder / "copy.db").rename(self.server.dir / "kms.db")
        (self.server.dir / "kms.db").chmod(0o600)
        self.server.start_test_clock()

    def delete(self):
        self.kms.schedule_key_deletion(KeyId=self.key, PendingWindowInDays=7)
        self.server.advance(7 * DAY + 60)
        self.wait_until_gone()

    def wait_until_gone(self):
        wait_for(lambda: not self.found(), "the bytes to leave the files")

    def code(self, operation, **body):
        return self.server.call(operation, body).code

    def test_bytes_are_found_before(self):
        """security-29-planted-material-is-found-before-it-goes"""
        self.new_key()
        self.assertEqual(self.secrets, self.found())

    def test_no_file_has_them(self):
        """security-29-no-page-log-or-copy-has-deleted-material"""
        self.new_key()
        self.delete()
        self.assertEqual([], self.server.sql("SELECT * FROM shred"))
        for blob in self.blobs:
            self.assertEqual("AccessDeniedException", self.kms_refuses(blob))

    def kms_refuses(self, blob):
        with self.assertRaises(ClientError) as caught:
            self.kms.decrypt(CiphertextBlob=blob)
        return caught.exception.response["Error"]["Code"]

    def test_backup_from_before(self):
        """security-29-backup-from-before-a-deletion-decrypts-nothing"""
        self.new_key()
        other = self.kms.encrypt(KeyId="alias/envelope", Plaintext=b"kept")
        self.copy()
        old = sqlite3.connect(self.server.folder / "copy.db")
        sealed = {r[0]: r[1] for r in old.execute(
            "SELECT material_id, sealed FROM material WHERE key_id = ?",
            (self.key,))}
        old.close()
        for row in self.rows:
            self.assertEqual(32, len(open_material(self.server, row,
                                                   sealed[row[2]])))
        self.delete()
        self.put_back()
        for blob in self.blobs:
            self.assertEqual("InvalidCiphertextException",
                             self.kms_refuses(blob))
        reply = self.server.call("Encrypt", {"KeyId": self.key,
                                             "Plaintext": "eA=="})
        self.assertEqual((500, INTERNAL), (reply.status, reply.message))
        self.assertEqual(b"kept", self.kms.decrypt(
            CiphertextBlob=other["CiphertextBlob"])["Plaintext"])
        for row in self.rows:
            self.assertEqual([], self.server.sql(
                "SELECT 1 FROM subkey WHERE material_id = ?", row[2],
                database="subkeys.db"))

    def test_backup_and_restore(self):
        """security-29-restored-backup-from-before-a-deletion-opens-no-header"""
        self.new_key()
        context = {"envelope:volume-id": "vol-1", "envelope:generation": "1"}
        wrapped = self.kms.generate_data_key(
            KeyId=self.key, NumberOfBytes=64, EncryptionContext=context)
        # The wrapped key is all that a header has: it opens now.
        self.assertEqual(wrapped["Plaintext"], self.kms.decrypt(
            KeyId=self.key, CiphertextBlob=wrapped["CiphertextBlob"],
            EncryptionContext=context)["Plaintext"])
        self.remember()
        before = backup(self.server, "before")
        held = open_backup(self.server, before)[1]["kms.db"]
        sealed = [s for s in self.secrets if s in held]
        self.assertEqual(len(self.rows), len(sealed))
        old = sqlite3.connect(self.server.dir / "subkeys.db")
        old.execute("VACUUM INTO ?",
                    (str(self.server.folder / "copy-subkeys.db"),))
        old.close()
        self.delete()
        after = open_backup(self.server, backup(self.server, "after"))
        self.assertEqual([], [s for s in self.secrets
                              if s in after[1]["kms.db"]])
        self.assertEqual(0, self.server.stop())
        # Even with the subkeys that a careless copy has kept.
        for name in ("honest", "careless"):
            if name == "careless":
                (self.server.folder / "copy-subkeys.db").rename(
                    self.server.dir / "subkeys.db")
            restore(self.server, before, name)
            self.assertEqual([], self.found())
            self.server.start_test_clock()
            with self.assertRaises(ClientError) as caught:
                self.kms.decrypt(CiphertextBlob=wrapped["CiphertextBlob"],
                                 EncryptionContext=context)
            self.assertEqual("AccessDeniedException",
                             caught.exception.response["Error"]["Code"])
            self.assertEqual("NotFoundException", self.code(
                "DescribeKey", KeyId=self.key))
            self.assertEqual(0, self.server.stop())

    def test_root_key_alone_opens_nothing(self):
        """security-29-material-needs-root-key-and-subkey"""
        self.new_key()
        root = (self.server.dir / "root.key").read_bytes()
        for region, key, material in self.rows:
            sealed = self.server.sql("SELECT sealed FROM material WHERE"
                                     " material_id = ?", material)[0][0]
            with self.assertRaises(InvalidTag):
                open_row(root, [b"material", b"111122223333",
                                region.encode(), key.encode(),
                                material.encode()], sealed)

    def test_killed_in_between(self):
        """security-29-deletion-is-finished-after-a-kill"""
        self.new_key()
        self.server.stop(9)
        self.server.sql("INSERT INTO shred SELECT region, key_id,"
                        " material_id FROM material WHERE key_id = ?",
                        self.key)
        self.server.sql("DELETE FROM material WHERE key_id = ?", self.key)
        self.server.start_test_clock()
        self.wait_until_gone()
        self.assertEqual([], self.server.sql("SELECT * FROM shred"))

    def test_imported_material(self):
        """security-29-deleted-imported-material-is-in-no-backup"""
        self.key = self.kms.create_key(
            Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
        data = os.urandom(32)
        self.bring(data)
        self.remember()
        blob = self.kms.encrypt(KeyId=self.key,
                                Plaintext=b"x")["CiphertextBlob"]
        self.copy()
        self.kms.delete_imported_key_material(KeyId=self.key)
        self.wait_until_gone()
        self.put_back()
        self.assertEqual("InvalidCiphertextException",
                         self.kms_refuses(blob))
        self.bring(data)
        self.assertEqual(b"x", self.kms.decrypt(
            CiphertextBlob=blob)["Plaintext"])

    def bring(self, data):
        got = self.kms.get_parameters_for_import(
            KeyId=self.key, WrappingAlgorithm="RSAES_OAEP_SHA_256",
            WrappingKeySpec="RSA_2048")
        self.kms.import_key_material(
            KeyId=self.key, ImportToken=got["ImportToken"],
            EncryptedKeyMaterial=wrap(got["PublicKey"], data), **FOREVER)

    def test_imported_again_at_once(self):
        """kms-material-that-comes-back-keeps-its-subkey"""
        self.key = self.kms.create_key(
            Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
        data = os.urandom(32)
        self.bring(data)
        blob = self.kms.encrypt(KeyId=self.key,
                                Plaintext=b"x")["CiphertextBlob"]
        for _ in range(3):
            self.kms.delete_imported_key_material(KeyId=self.key)
            self.bring(data)
            wait_for(lambda: not self.server.sql("SELECT 1 FROM shred"),
                     "the reaper")
            self.assertEqual(b"x", self.kms.decrypt(
                CiphertextBlob=blob)["Plaintext"])

    def test_no_subkeys(self):
        """kms-without-its-subkeys-the-server-does-not-start"""
        self.assertEqual(0, self.server.stop())
        path = self.server.dir / "subkeys.db"
        path.unlink()
        done = run("serve", self.server.dir, "--port", "0")
        self.assertEqual(1, done.returncode)
        self.assertIn(f"envelope-kms: {path}: No such file or directory; without it no key material can be opened: put it back\n",
                      done.stderr)
        self.assertFalse(path.exists())


if __name__ == "__main__":
    tap.main()
