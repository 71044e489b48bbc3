#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Databases of older programs, and the clock that only tests can move."""
import base64
import json
import pathlib
import sqlite3
import time
import unittest

from server_fixture import Server, run, wait_for

import tap

VECTOR = json.loads((pathlib.Path(__file__).resolve().parent.parent /
                     "vectors/kms_database_1.json").read_text())


def old_server():
    """A directory as version 1 left it, not started."""
    server = Server("--test", start=False)
    (server.dir / "kms.db").unlink()
    db = sqlite3.connect(server.dir / "kms.db")
    db.executescript("\n".join(VECTOR["database"]))
    db.close()
    (server.dir / "kms.db").chmod(0o600)
    (server.dir / "root.key").write_bytes(bytes.fromhex(VECTOR["root_key"]))
    (server.dir / "credentials").write_text(VECTOR["credentials"])
    return server


def version(server):
    value = server.sql("SELECT value FROM setting WHERE name = 'schema'")
    return int(value[0][0])


class Schema(unittest.TestCase):
    def setUp(self):
        self.server = old_server()
        self.addCleanup(self.server.close)
        self.copy = self.server.dir / "kms.db.v1"

    def decrypts(self):
        done = self.server.client().decrypt(
            CiphertextBlob=base64.b64decode(VECTOR["blob"]),
            EncryptionContext=VECTOR["context"])
        self.assertEqual(VECTOR["plaintext"], done["Plaintext"].decode())

    def test_version_1_is_brought_up_to_date(self):
        """kms-database-of-version-1-is-brought-up-to-date"""
        self.server.start()
        self.decrypts()
        self.server.restart()
        self.decrypts()
        if version(self.server) == 1:
            self.assertFalse(self.copy.exists())
            return
        self.assertEqual(0o600, self.copy.stat().st_mode & 0o777)
        old = sqlite3.connect(self.copy)
        self.addCleanup(old.close)
        self.assertEqual([(b"1",)], old.execute(
            "SELECT value FROM setting WHERE name = 'schema'").fetchall())
        self.assertIn(f"as it was: {self.copy}", self.server.stderr())

    def test_policies_of_version_5_name_those_of_now(self):
        """kms-database-binds-the-names-in-old-policies"""
        server = Server(start=False)
        self.addCleanup(server.close)
        admin, uid = server.sql("SELECT arn, user_id FROM user")[0]
        text = json.dumps({"Statement": [{"Principal": {
            "AWS": [admin, admin + "x"]}}]})
        for table in ("kms_key", "role"):
            server.sql(f"ALTER TABLE {table} DROP COLUMN principals")
        server.sql("UPDATE kms_key SET policy = ?", text)
        server.sql("INSERT INTO kms_key SELECT region, 'damaged', account,"
                   " state, usage, spec, origin, manager, material_id,"
                   " description, created_ms, deletion_ms, primary_region,"
                   " rotation_days, rotation_ms, window_days, expires_ms,"
                   " '{' FROM kms_key")
        role = (admin.split(":")[4], "old", "AROA1", json.dumps({
            "Statement": {"Principal": {"AWS": admin.replace(
                "iam", "sts").replace("user/administrator",
                                      "assumed-role/old/i-1")}}}))
        server.sql("INSERT INTO role VALUES (?, ?, ?, ?, 3600, 0)", *role)
        server.sql("UPDATE setting SET value = '5' WHERE name = 'schema'")
        server.start()
        self.assertEqual([("", ), (f"{admin} {uid}\n", )], sorted(
            server.sql("SELECT principals FROM kms_key")))
        self.assertEqual(
            [(f"arn:aws:sts::{role[0]}:assumed-role/old/i-1 AROA1\n", )],
            server.sql("SELECT principals FROM role"))

    def test_copy_goes_when_a_key_is_deleted(self):
        self.server.start_test_clock()
        self.copy.write_bytes(b"x")
        kms = self.server.client()
        kms.schedule_key_deletion(
            KeyId=kms.describe_key(KeyId="alias/envelope")[
                "KeyMetadata"]["KeyId"], PendingWindowInDays=7)
        self.server.advance(8 * 86400)
        if version(self.server) > 1:
            wait_for(lambda: not self.copy.exists(), "the copy to go")
        wait_for(lambda: not self.server.sql("SELECT * FROM material"),
                 "the material to go")

    def test_copy_that_stays_keeps_the_material(self):
        """kms-nothing-is-deleted-while-a-copy-of-it-stays"""
        self.server.start_test_clock()
        self.copy.unlink()
        self.copy.mkdir()
        kms = self.server.client()
        kms.schedule_key_deletion(
            KeyId=kms.describe_key(KeyId="alias/envelope")[
                "KeyMetadata"]["KeyId"], PendingWindowInDays=7)
        self.server.advance(8 * 86400)
        wait_for(lambda: f"{self.copy}: Is a directory; nothing is deleted as long as this has it, remove it\n"
                 in self.server.stderr(), "the refusal")
        self.assertTrue(self.server.sql(
            "SELECT * FROM material WHERE length(sealed) > 0"))
        self.copy.rmdir()
        wait_for(lambda: not self.server.sql("SELECT * FROM material"),
                 "the material to go")

    def test_only_the_server_brings_it_up_to_date(self):
        """kms-database-is-brought-up-to-date-by-its-server-alone"""
        for command in (("identity", "list-users", self.server.dir),
                        ("policy-lint", "--key", "eu-central-1/x",
                         self.server.dir)):
            done = run(*command)
            self.assertRegex(
                done.stderr,
                f"^envelope-kms: {self.server.dir}/kms.db: database version 1, this program needs [0-9]+; start this version's server, which brings it up to date\n$")
            self.assertEqual((1, 1), (done.returncode, version(self.server)))
            self.assertFalse(self.copy.exists())


class Clock(unittest.TestCase):
    def test_clock_moves_for_what_is_kept(self):
        server = Server("--test", start=False)
        self.addCleanup(server.close)
        server.start_test_clock()
        server.advance(40 * 86400)
        made = server.client().create_key()["KeyMetadata"]["CreationDate"]
        self.assertGreater(made.timestamp(), time.time() + 39 * 86400)
        self.assertIn("the clock is moved by", server.stderr())

    def test_clock_of_a_directory_for_production_is_real(self):
        """kms-production-clock-cannot-be-moved"""
        server = Server(start=False)
        self.addCleanup(server.close)
        done = run("serve", server.dir, "--test-clock-file", "/dev/null")
        self.assertEqual(
            (1, f"envelope-kms: {server.dir}: not made by init --test, so it keeps the real time; leave out --test-clock-file\n"),
            (done.returncode, done.stderr))


if __name__ == "__main__":
    tap.main()
