#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Backups: whole, sealed, and refused where anything is wrong with them."""
import base64
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time
import unittest

from server_backup import (HEAD, PIECE, BackupCase, backup, open_backup, pack,
                           plain, policy, restore, seal)
from server_fixture import ACCOUNT, PROGRAM, Server, run, wait_for
from test_server_schema import VECTOR, old_server
import tap


class Whole(BackupCase):
    def test_round_trip(self):
        """kms-backup-of-a-served-directory-restores-it"""
        key = self.new_key(Description="kept", Tags=[
            {"TagKey": "k", "TagValue": "v"}])
        self.kms.create_alias(AliasName="alias/kept", TargetKeyId=key)
        self.kms.put_key_policy(KeyId=key, PolicyName="default",
                                Policy=policy())
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        self.kms.rotate_key_on_demand(KeyId=key)
        later = self.kms.encrypt(KeyId=key, Plaintext=b"y")["CiphertextBlob"]
        self.backup()
        self.assertEqual(0o600, self.file.stat().st_mode & 0o777)
        self.assertEqual([], self.restore())
        self.assertEqual(b"x", self.kms.decrypt(CiphertextBlob=blob)[
            "Plaintext"])
        self.assertEqual(b"y", self.kms.decrypt(CiphertextBlob=later)[
            "Plaintext"])
        self.assertEqual("kept", self.kms.describe_key(KeyId="alias/kept")[
            "KeyMetadata"]["Description"])
        self.assertEqual("v", self.kms.list_resource_tags(KeyId=key)[
            "Tags"][0]["TagValue"])
        self.assertEqual(policy(), self.kms.get_key_policy(KeyId=key)[
            "Policy"])

    def test_of_a_directory_that_was_never_served(self):
        """kms-backup-before-the-first-start-restores"""
        server = Server(start=False)
        self.addCleanup(server.close)
        path = backup(server)
        self.assertIn("and 0 changes since", restore(server, path))
        server.start()
        self.assertEqual(200, server.call("ListKeys").status)
        server.end()

    def test_before_the_first_digest(self):
        """kms-backup-before-the-first-start-restores-with-a-signed-trail"""
        server = Server("--test", start=False)
        self.addCleanup(server.close)
        path = backup(server)
        server.start("--digest-seconds", "1")
        kms = server.client()
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        wait_for(lambda: list(server.dir.glob(
            "audit/AWSLogs/*/CloudTrail/**/*.gz")) and not list(
                server.dir.glob("audit/pending-*")), "a digest")
        self.assertEqual(0, server.stop())
        said = restore(server, path)
        self.assertIn(f"{key}: made after the backup and lost", said)
        self.assertEqual(
            [0o600, 0o644], [(server.dir / name).stat().st_mode & 0o777
                             for name in ("audit.key", "audit.pem")])
        done = run("audit", "verify", server.dir)
        self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_record_that_is_taken_back(self):
        """kms-backup-waits-until-records-are-on-the-disk"""
        self.new_key()
        live = self.server.dir / "audit" / "audit.log"
        last = self.server.audit()[-1]
        self.assertEqual(0, self.server.stop())
        lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        with open(live, "r+b") as file:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
            size = file.seek(0, os.SEEK_END)
            # What a full disk does not take for good.
            file.write(json.dumps({**last, "eventID": "x"}, separators=(
                ",", ":")).encode() + b"\n")
            file.flush()
            path = self.server.folder / "b"
            with subprocess.Popen([PROGRAM, "backup", self.server.dir, path],
                                  stdout=subprocess.DEVNULL) as process:
                waits = f":{os.fstat(file.fileno()).st_ino} "
                wait_for(lambda: process.poll() is not None or any(
                    "->" in line and waits in line for line in
                    pathlib.Path("/proc/locks").read_text().splitlines()),
                    "the backup to wait")
                file.truncate(size)
                file.close()
                self.assertEqual(0, process.wait())
        head, _ = open_backup(self.server, path)
        self.assertEqual(last["eventID"],
                         head["trail"][last["awsRegion"]]["event"])

    def test_on_a_poor_file_system(self):
        """kms-backup-gets-its-name-where-renames-always-replace"""
        shim = self.server.folder / "shim.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, "-xc", "-"],
                       check=True, input=b"""
#include <errno.h>
int renameat2(int a, const char *b, int c, const char *d, unsigned int e)
{
	errno = EINVAL;
	return -1;
}
""")
        path = self.server.folder / "b"
        env = {**os.environ, "LD_PRELOAD": str(shim)}
        done = run("backup", self.server.dir, path, env=env)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertTrue(open_backup(self.server, path))
        self.assertEqual([path], list(self.server.folder.glob("b*")))

    def test_modes(self):
        """kms-restored-files-have-the-modes-of-init"""
        before = {p.name: p.stat().st_mode for p in self.server.dir.iterdir()
                  if not p.name.endswith(("-wal", "-shm", "endpoint"))}
        self.backup()
        self.server.stop()
        restore(self.server, self.file)
        self.assertEqual(before, {p.name: p.stat().st_mode
                                  for p in self.server.dir.iterdir()})

    def test_what_is_in_it(self):
        """security-29-backup-has-neither-root-key-nor-subkeys"""
        key = self.new_key(Description="planted")
        self.backup()
        sealed = self.file.read_bytes()
        text = plain((self.server.dir / "root.key").read_bytes(), sealed)
        rows = [r[0] for r in self.server.sql("SELECT sealed FROM material")]
        for found in (key.encode(), b"planted", *rows):
            self.assertIn(found, text)
            self.assertNotIn(found, sealed)
        subkeys = [r[0] for r in self.server.sql(
            "SELECT subkey FROM subkey", database="subkeys.db")]
        self.assertEqual(len(rows), len(subkeys))
        for secret in (*subkeys,
                       (self.server.dir / "root.key").read_bytes()):
            self.assertNotIn(secret, text)
            self.assertNotIn(secret, sealed)
        head, files = open_backup(self.server, self.file)
        self.assertEqual(
            ["audit.key", "audit.pem", "ca.key", "ca.pem", "credentials",
             "envelope.conf", "kms.db", "server.key", "server.pem"],
            sorted(files))
        self.assertEqual((1, ACCOUNT, 2), (head["format"], head["account"],
                                           head["keys"]))

    def test_while_keys_are_made(self):
        """kms-backup-under-load-is-one-moment-of-the-database"""
        made = []
        for i in range(3):
            worker = subprocess.Popen([PROGRAM, "backup",
                                       str(self.server.dir),
                                       str(self.server.folder / f"b{i}")],
                                      stdout=subprocess.PIPE, text=True)
            while worker.poll() is None:
                made.append(self.new_key())
            self.assertEqual(0, worker.returncode)
            worker.stdout.close()
        self.file = self.server.folder / "b2"
        notes = self.restore()
        there = {k["KeyId"] for page in self.kms.pages("ListKeys")
                 for k in page["Keys"]}
        lost = {key for key in made if any(key in line for line in notes)}
        self.assertEqual(set(made), (there & set(made)) | lost)
        self.assertFalse(there & lost)

    def test_names(self):
        """kms-backup-names-and-refusals"""
        folder = self.server.folder / "backups"
        folder.mkdir()
        done = run("backup", self.server.dir, folder, "--json")
        said = json.loads(done.stdout)
        path, = folder.iterdir()
        self.assertEqual(str(path), said["file"])
        self.assertRegex(path.name,
                         r"^envelope-kms-[0-9]{8}T[0-9]{6}Z\.backup$")
        self.assertEqual(1, said["keys"])
        for args, status, why in (
                ((self.server.dir, path), 1, f"{path}: exists; name another file"),
                ((self.server.dir, "/nowhere/x"), 1, "/nowhere/x: cannot write the backup: No such file or directory"),
                (("/nowhere", folder / "x"), 1, "/nowhere/root.key: cannot read: No such file or directory"),
                ((self.server.dir,), 2, "give: envelope-kms backup DIR FILE")):
            done = run("backup", *args)
            self.assertEqual((status, f"envelope-kms: {why}\n", ""),
                             (done.returncode, done.stderr, done.stdout))
        self.assertEqual(2, run("backup", "--what").returncode)
        self.assertTrue(run("backup", "--help").stdout.startswith(
            "Usage: envelope-kms backup DIR FILE"))

    def test_busy(self):
        """kms-backup-waits-for-a-writer-and-says-so"""
        db = sqlite3.connect(self.server.dir / "kms.db",
                             isolation_level=None)
        self.addCleanup(db.close)
        db.execute("BEGIN IMMEDIATE")
        done = run("backup", self.server.dir, self.server.folder / "x")
        self.assertEqual(
            (1, f"envelope-kms: {self.server.dir}: the database is busy; try again\n"),
            (done.returncode, done.stderr))
        self.assertEqual([], list(self.server.folder.glob("x*")))


class Refused(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole = Server()
        key = cls.whole.call("CreateKey").json["KeyMetadata"]["KeyId"]
        cls.file = backup(cls.whole)
        cls.whole.call("DisableKey", {"KeyId": key})
        cls.whole.stop()

    @classmethod
    def tearDownClass(cls):
        cls.whole.close()

    def setUp(self):
        self.server = self.whole.copy()
        self.addCleanup(self.server.close)
        self.target = self.server.folder / "restored"

    def refused(self, why, file=None, **options):
        """restore fails with that text and leaves nothing."""
        before = sorted(self.server.folder.iterdir())
        done = run("restore", file or self.file, self.target, "--from",
                   self.server.dir, **options)
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertEqual(why, done.stderr)
        self.assertEqual(before, sorted(self.server.folder.iterdir()))

    def altered(self, data):
        path = self.server.folder / "altered"
        path.write_bytes(data)
        return path

    def test_damaged(self):
        """kms-damaged-backup-is-refused"""
        data = self.file.read_bytes()
        path = self.server.folder / "altered"
        for at in (HEAD, HEAD + 5, HEAD + PIECE, HEAD + PIECE + 16,
                   len(data) - 1):
            self.refused(f"envelope-kms: {path}: damaged, or cut short; take another backup\n",
                         self.altered(data[:at] + bytes([data[at] ^ 1]) +
                                      data[at + 1:]))

    def test_cut(self):
        """kms-backup-cut-short-anywhere-is-refused"""
        data = self.file.read_bytes()
        path = self.server.folder / "altered"
        for end in (HEAD, HEAD + 1, HEAD + 16, HEAD + PIECE + 16,
                    len(data) - 1):
            self.refused(f"envelope-kms: {path}: damaged, or cut short; take another backup\n",
                         self.altered(data[:end]))
        self.refused(f"envelope-kms: {path}: damaged, or cut short; take another backup\n",
                     self.altered(data + b"x"))
        for end in (0, 7, HEAD - 1):
            self.refused(f"envelope-kms: {path}: not a backup of envelope-kms\n",
                         self.altered(data[:end]))

    def test_pieces_swapped(self):
        data = self.file.read_bytes()
        step = PIECE + 16
        self.assertGreater(len(data), HEAD + step)
        path = self.altered(data[:HEAD] + data[HEAD + step:] +
                            data[HEAD:HEAD + step])
        self.refused(f"envelope-kms: {path}: damaged, or cut short; take another backup\n",
                     path)

    def test_foreign(self):
        """kms-backup-of-another-server-is-refused"""
        other = Server(start=False)
        self.addCleanup(other.close)
        path = backup(other)
        self.refused(f"envelope-kms: {path}: made with another root key than {self.server.dir}/root.key\n",
                     path)
        self.refused(f"envelope-kms: {self.server.dir}/kms.db: not a backup of envelope-kms\n",
                     self.server.dir / "kms.db")
        self.refused("envelope-kms: /nowhere: No such file or directory\n",
                     "/nowhere")

    def sealed(self, **head):
        """The backup with another head."""
        root = (self.server.dir / "root.key").read_bytes()
        old, files = open_backup(self.server, self.file)
        files.update(head.pop("files", {}))
        return self.altered(seal(root, pack({**old, **head}, files)))

    def test_newer(self):
        path = self.sealed(format=2)
        self.refused(f"envelope-kms: {path}: made by a newer envelope-kms\n",
                     path)

    def test_older(self):
        """kms-backup-of-an-older-database-is-brought-up-to-date"""
        self.server.close()
        self.server = old_server()
        self.addCleanup(self.server.close)
        (self.server.dir / "audit" / "audit.log").write_text("")
        root = (self.server.dir / "root.key").read_bytes()
        files = {name: (self.server.dir / name).read_bytes()
                 for name in ("kms.db", "ca.pem", "server.pem", "server.key",
                              "credentials")}
        path = self.altered(seal(root, pack(
            {"format": 1, "created": "2026-01-05T21:35:47Z", "keys": 1,
             "account": ACCOUNT, "trail": {}}, files)))
        done = run("restore", path, self.server.folder / "restored",
                   "--from", self.server.dir)
        self.assertEqual(0, done.returncode, done.stderr)
        self.server.dir = self.server.folder / "restored"
        self.assertEqual([], list(self.server.dir.glob("kms.db.v*")))
        self.server.start()
        self.assertEqual(VECTOR["plaintext"], self.server.client().decrypt(
            CiphertextBlob=base64.b64decode(VECTOR["blob"]),
            EncryptionContext=VECTOR["context"])["Plaintext"].decode())

    def test_other_files(self):
        """security-29-backup-cannot-bring-other-files"""
        for name in ("../x", "root.key", "subkeys.db", "audit/audit.log"):
            path = self.sealed(files={name: b"x"})
            self.refused(f"envelope-kms: {path}: damaged, or cut short; take another backup\n",
                         path)

    def test_trail_tampered(self):
        """security-29-restore-refuses-a-trail-that-does-not-verify"""
        self.server.start("--digest-seconds", "1")
        wait_for(lambda: list(self.server.dir.glob(
            "audit/AWSLogs/*/CloudTrail/**/*.gz")), "a log file")
        self.server.stop()
        log = next(self.server.dir.glob("audit/AWSLogs/*/CloudTrail/**/*.gz"))
        log.unlink()
        done = run("restore", self.file, self.target, "--from",
                   self.server.dir)
        self.assertEqual(1, done.returncode)
        self.assertEqual(
            f"envelope-kms: {self.server.dir}/audit: log {log.relative_to(self.server.dir / 'audit')}: not found\n"
            f"envelope-kms: {self.server.dir}/audit: the audit trail does not verify; restore nothing from it before you know why\n",
            done.stderr)
        self.assertFalse(self.target.exists())

    def test_trail_ends_before(self):
        """security-29-restore-refuses-a-trail-that-ends-before-the-backup"""
        why = f"envelope-kms: {self.server.dir}/audit: ends before the backup, or has a gap; find the rest of it, as what was revoked since would come back\n"
        trail = self.server.dir / "audit"
        lines = (trail / "audit.log").read_text().splitlines(True)
        kept = next(i for i, line in enumerate(lines)
                    if '"CreateKey"' in line)
        (trail / "audit.log").write_text("".join(lines[:kept]))
        self.refused(why)
        (trail / "audit.log").write_text("")
        self.refused(why)
        (trail / "audit.log").unlink()
        trail.rename(self.server.folder / "elsewhere")
        self.refused(f"envelope-kms: {self.server.dir}/audit: No such file or directory\n")

    def test_torn_record(self):
        """kms-restore-after-a-crash-takes-the-torn-record-off"""
        with open(self.server.dir / "audit" / "audit.log", "a") as f:
            f.write('{"eventVersion":"1.')
        done = run("restore", self.file, self.target, "--from",
                   self.server.dir)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("removing a torn record of 19 bytes at its end",
                      done.stderr)

    def test_no_subkeys(self):
        path = self.server.dir / "subkeys.db"
        path.unlink()
        self.refused(f"envelope-kms: database: {path}: unable to open database file\n")

    def test_no_root_key(self):
        (self.server.dir / "root.key").unlink()
        self.refused(f"envelope-kms: {self.server.dir}/root.key: cannot read: No such file or directory\n")

    def test_served(self):
        """kms-restore-refuses-a-directory-that-is-served"""
        self.server.start()
        self.refused(f"envelope-kms: {self.server.dir}: an envelope-kms serves it; stop it first\n")

    def test_target(self):
        """kms-restore-never-overwrites"""
        self.target.mkdir()
        (self.target / "x").write_text("")
        self.refused(f"envelope-kms: {self.target}: not empty; name a directory that is empty or does not exist\n")
        self.target = self.server.dir
        self.refused(f"envelope-kms: {self.target}: not empty; name a directory that is empty or does not exist\n")

    def test_usage(self):
        for args in ((), (self.file, self.target), (self.file, "--from", "x"),
                     ("--what",)):
            self.assertEqual(2, run("restore", *args).returncode)
        self.assertTrue(run("restore", "--help").stdout.startswith(
            "Usage: envelope-kms restore FILE DIR --from OLD"))

    def test_json(self):
        done = run("restore", self.file, self.target, "--from",
                   self.server.dir, "--json")
        said = json.loads(done.stdout)
        self.assertEqual((str(self.target), 1, []),
                         (said["directory"], said["replayed"],
                          said["notes"]))

    def test_killed(self):
        """kms-restore-killed-anywhere-leaves-all-or-nothing"""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        print(f"# seed {seed}")
        whole = 0
        for _ in range(10):
            shutil.rmtree(self.target, ignore_errors=True)
            process = subprocess.Popen(
                [PROGRAM, "restore", str(self.file), str(self.target),
                 "--from", str(self.server.dir)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            process.wait()
            if self.target.exists():
                whole += 1
                self.assertEqual(0, run("check", self.target).returncode)
        print(f"# complete {whole} times")
        self.assertEqual(0, run("check", self.server.dir).returncode)


class Disk(BackupCase):
    def setUp(self):
        super().setUp()
        self.small = pathlib.Path(tempfile.mkdtemp(prefix="kms-backup-"))
        self.addCleanup(shutil.rmtree, self.small, True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "kms-test",
                        self.small], check=True)
        self.addCleanup(subprocess.run, ["umount", self.small], check=False)

    def test_backup(self):
        """kms-backup-to-a-full-disk-leaves-nothing"""
        path = self.small / "backup"
        done = run("backup", self.server.dir, path)
        self.assertEqual(
            (1, f"envelope-kms: {path}: cannot write the backup: No space left on device\n"),
            (done.returncode, done.stderr))
        self.assertEqual([], os.listdir(self.small))
        self.assertEqual(200, self.server.call("CreateKey").status)

    def test_restore(self):
        """kms-restore-to-a-full-disk-leaves-nothing"""
        self.backup()
        self.server.stop()
        target = self.small / "kms"
        done = run("restore", self.file, target, "--from", self.server.dir)
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, r"^envelope-kms: .*/kms\.restore-[A-Za-z0-9]{6}/kms\.db: cannot write: No space left on device\n$")
        self.assertEqual([], os.listdir(self.small))


if __name__ == "__main__":
    tap.main()
