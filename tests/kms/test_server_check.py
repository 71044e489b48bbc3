#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`envelope-kms check` finds each damage, names it, and prints no secret."""
import json
import os
import subprocess
import unittest

from server_fixture import (PROGRAM, REGION, WAIT_SECONDS, Server, run,
                            wait_for)
import tap


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole = Server(start=False)
        cls.whole.start("--digest-seconds", "1")
        key = cls.whole.call("CreateKey").json["KeyMetadata"]["KeyId"]
        cls.whole.call("CreateGrant", {
            "KeyId": key, "Operations": ["Decrypt"],
            "GranteePrincipal":
                "arn:aws:iam::111122223333:user/administrator"})
        wait_for(lambda: not cls.pending(), "a digest")
        cls.whole.stop()

    @classmethod
    def pending(cls):
        trail = cls.whole.dir / "audit"
        return ((trail / "audit.log").read_text() or
                list(trail.glob("pending-*")))

    @classmethod
    def tearDownClass(cls):
        cls.whole.close()

    def setUp(self):
        self.server = self.whole.copy()
        self.addCleanup(self.server.close)
        self.key, self.material, self.sealed = self.server.sql(
            "SELECT key_id, material_id, sealed FROM material LIMIT 1")[0]

    def check(self, *problems):
        """check finds just these, in text and in JSON."""
        done = run("check", self.server.dir)
        lines = done.stdout.splitlines()
        self.assertEqual([f"PROBLEM: {p}" for p in problems],
                         [li for li in lines if li.startswith("PROBLEM")],
                         done)
        self.assertTrue(lines[-1].startswith(f"{self.server.dir}: "))
        self.assertTrue(lines[-1].endswith(f" {len(problems)} problems"))
        self.assertEqual((1 if problems else 0, ""),
                         (done.returncode, done.stderr))
        said = json.loads(run("check", self.server.dir, "--json").stdout)
        self.assertEqual((not problems, list(problems)),
                         (said["valid"], said["problems"]))
        return said

    def test_clean(self):
        """kms-check-of-a-sound-directory"""
        said = self.check()
        self.assertEqual((2, 2, 1, []), (said["keys"], said["materials"],
                                         said["access_keys"], said["notes"]))

    def test_changes_nothing(self):
        """kms-check-changes-nothing"""
        before = {p: p.read_bytes() for p in self.server.dir.rglob("*")
                  if p.is_file()}
        self.check()
        self.assertEqual(before, {p: p.read_bytes()
                                  for p in self.server.dir.rglob("*")
                                  if p.is_file()})

    def test_material(self):
        """kms-check-names-material-that-does-not-open"""
        self.server.sql("UPDATE material SET sealed = ? WHERE key_id = ?",
                        self.sealed[:-1] + bytes([self.sealed[-1] ^ 1]),
                        self.key)
        self.check(f"key {REGION}/{self.key}: material {self.material}: does not open, damaged or moved")

    def test_subkey(self):
        """kms-check-names-material-without-its-subkey"""
        self.server.sql("DELETE FROM subkey WHERE key_id = ?", self.key,
                        database="subkeys.db")
        self.check(f"key {REGION}/{self.key}: material {self.material}: its subkey is missing")

    def test_subkey_of_nothing(self):
        self.server.sql("INSERT INTO subkey VALUES ('r', 'k', 'm', x'00')",
                        database="subkeys.db")
        self.assertEqual(["subkeys: 1 of no material that there is, which is harmless"],
                         self.check()["notes"])

    def test_access_key(self):
        """kms-check-names-access-keys-that-do-not-open"""
        self.server.sql("UPDATE access_key SET sealed = ?", self.sealed)
        name, = self.server.sql("SELECT access_key_id FROM access_key")[0]
        self.check(f"access key {name} of administrator: does not open, damaged or moved")

    def test_rows(self):
        """kms-check-names-rows-that-do-not-belong-together"""
        self.server.sql("INSERT INTO tag VALUES ('r', 'k', 'n', 'v')")
        self.server.sql("INSERT INTO identity_policy VALUES"
                        " ('111122223333', 'role', 'nobody', 'p', '{}')")
        self.server.sql("UPDATE kms_grant_count SET grants = 7")
        granted, = self.server.sql("SELECT key_id FROM kms_grant")[0]
        self.check("database: row of tag of no kms_key",
                   f"database: key {REGION}/{granted} has a wrong count of grants",
                   "database: policy p of no role nobody")

    def test_key_without_material(self):
        """kms-check-names-keys-without-material"""
        self.server.sql("DELETE FROM material WHERE key_id = ?", self.key)
        problem = f"database: key {REGION}/{self.key} has no material {self.material}"
        self.assertIn(problem, json.loads(run(
            "check", self.server.dir, "--json").stdout)["problems"])

    def test_erased_material(self):
        self.server.sql("UPDATE material SET sealed = x'' WHERE key_id = ?",
                        self.key)
        self.check(f"database: key {REGION}/{self.key} is Enabled without its material")

    def test_account(self):
        self.server.sql("UPDATE kms_key SET account = '999988887777'"
                        " WHERE key_id = ?", self.key)
        self.check(f"database: key {REGION}/{self.key} is of no account 999988887777",
                   f"key {REGION}/{self.key}: material {self.material}: does not open, damaged or moved")

    def test_damaged_pages(self):
        """kms-check-names-damaged-pages"""
        path = self.server.dir / "kms.db"
        self.server.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        page = self.server.sql("PRAGMA page_size")[0][0]
        root = self.server.sql("SELECT rootpage FROM sqlite_master WHERE"
                               " name = 'kms_key_owner'")[0][0]
        data = bytearray(path.read_bytes())
        data[(root - 1) * page + 8:(root - 1) * page + 200] = bytes(192)
        path.write_bytes(data)
        done = run("check", self.server.dir)
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stdout + done.stderr, "(PROBLEM: database: |database disk image is malformed)")

    def test_modes(self):
        """kms-check-names-files-that-others-may-read"""
        (self.server.dir / "subkeys.db").chmod(0o640)
        (self.server.dir / "audit").chmod(0o777)
        os.chown(self.server.dir / "ca.key", 1, 1)
        at = self.server.dir
        self.check(f"{at}/subkeys.db: others may read or write it",
                   f"{at}/ca.key: its owner is not that of {at}",
                   f"{at}/audit: others may write it")

    def test_trail(self):
        """kms-check-names-what-is-wrong-with-the-trail"""
        log = next(self.server.dir.glob("audit/AWSLogs/*/CloudTrail/**/*.gz"))
        log.unlink()
        with open(self.server.dir / "audit" / "audit.log", "a") as f:
            f.write("x\n")
        self.check(f"audit trail: log {log.relative_to(self.server.dir / 'audit')}: not found",
                   "audit trail: 1 lines are no records")

    def test_other_root_key(self):
        path = self.server.dir / "root.key"
        path.write_bytes(bytes(32))
        done = run("check", self.server.dir)
        self.assertEqual(
            (1, f"envelope-kms: {path}: not the root key of this database; put the one back that init made\n"),
            (done.returncode, done.stderr))

    def test_older_version(self):
        self.server.sql("UPDATE setting SET value = ? WHERE name = 'schema'",
                        b"1")
        done = run("check", self.server.dir)
        self.assertEqual(1, done.returncode)
        self.assertIn("kms.db: database version 1, this program needs ",
                      done.stderr)

    def test_no_secrets(self):
        """security-34-check-prints-no-secret"""
        self.server.sql("UPDATE material SET sealed = ? WHERE key_id = ?",
                        self.sealed[:-1] + b"x", self.key)
        done = run("check", self.server.dir)
        said = (done.stdout + done.stderr).lower()
        for secret in ((self.server.dir / "root.key").read_bytes(),
                       self.sealed, *(r[0] for r in self.server.sql(
                           "SELECT subkey FROM subkey",
                           database="subkeys.db"))):
            self.assertNotIn(secret.hex()[:24], said)

    def test_usage(self):
        for args in ((), ("a", "b"), ("--what",)):
            self.assertEqual(2, run("check", *args).returncode)
        self.assertTrue(run("check", "--help").stdout.startswith(
            "Usage: envelope-kms check DIR"))
        done = run("check", "/nowhere")
        self.assertEqual(
            (1, "envelope-kms: /nowhere: No such file or directory\n"),
            (done.returncode, done.stderr))

    def test_unread_output(self):
        """kms-output-that-cannot-be-written-is-an-error"""
        server = self.server
        for words in (["--help"], ["check", server.dir],
                      ["check", server.dir, "--json"],
                      ["audit", "verify", server.dir, "--json"],
                      ["backup", server.dir, server.folder / "b"]):
            with self.subTest(words=words), \
                    open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run(
                    [PROGRAM, *words], stdout=full, stderr=subprocess.PIPE,
                    text=True, timeout=WAIT_SECONDS, check=False)
                self.assertEqual(
                    (1, "envelope-kms: cannot write to standard output: No space left on device\n"),
                    (done.returncode, done.stderr))


class Live(unittest.TestCase):
    def test_served(self):
        """kms-check-of-a-served-directory-finds-nothing"""
        server = Server(start=False)
        self.addCleanup(server.end)
        server.start("--digest-seconds", "1")
        for _ in range(5):
            for _ in range(10):
                self.assertEqual(200, server.call("CreateKey").status)
            done = run("check", server.dir)
            self.assertEqual((0, ""), (done.returncode, done.stderr),
                             done.stdout)


if __name__ == "__main__":
    tap.main()
