#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What envelope-kms does when disk, memory, database or peers fail it."""
import http.client
import json
import os
import pathlib
import resource
import shutil
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import unittest

from server_backup import backup
from server_fixture import (INTERNAL, Server, ServerCase, Signer, key_arn,
                            run, wait_for)
import tap


def mount(where, size):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "kms-test",
                    where], check=True)


def fill(folder):
    """A file that leaves no room for another."""
    path = pathlib.Path(folder) / "filler"
    with open(path, "wb", buffering=0) as out:
        try:
            while out.write(b"x" * 4096):
                pass
        except OSError:
            pass
    return path


class Faults(ServerCase):
    def internal(self, reply):
        self.assertEqual(
            (500, {"__type": "KMSInternalException", "message": INTERNAL}),
            (reply.status, reply.json))

    def test_database_locked_by_another_program(self):
        """kms-database-locked-answers-500"""
        db = sqlite3.connect(self.server.dir / "kms.db",
                             isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        try:
            self.internal(self.server.call("CreateKey"))
            self.assertEqual(200, self.server.call("ListKeys").status)
        finally:
            db.execute("ROLLBACK")
            db.close()
        self.assertEqual(200, self.server.call("CreateKey").status)

    def test_access_key_row_altered(self):
        """security-27-altered-access-key-row-refused"""
        old = self.server.sql("SELECT sealed FROM access_key")[0][0]
        self.server.sql("UPDATE access_key SET sealed = ?",
                        old[:-1] + bytes([old[-1] ^ 1]))
        reply = self.server.call("ListKeys")
        self.assertEqual((500, "KMSInternalException"),
                         (reply.status, reply.code))
        self.server.sql("UPDATE access_key SET sealed = ?", old)
        self.assertEqual(200, self.server.call("ListKeys").status)

    def test_access_key_row_of_another_user(self):
        """security-27-access-key-row-under-another-user-refused"""
        self.server.sql("INSERT INTO user (account, name, user_id, arn)"
                        " SELECT account, 'other', 'AIDAX',"
                        " 'arn:aws:iam::111122223333:user/other' FROM user")
        self.server.sql("UPDATE access_key SET user_name = 'other'")
        try:
            reply = self.server.call("ListKeys")
        finally:
            self.server.sql("UPDATE access_key SET"
                            " user_name = 'administrator'")
        self.assertEqual((500, "KMSInternalException"),
                         (reply.status, reply.code))
        self.assertEqual(200, self.server.call("ListKeys").status)

    def test_missing_material_row(self):
        key, _ = self.new_key()
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        self.server.sql("DELETE FROM material WHERE key_id = ?", key)
        self.refused("InvalidCiphertextException", "", self.kms.decrypt,
                     CiphertextBlob=blob)
        self.internal(self.server.call("Encrypt", {"KeyId": key,
                                                   "Plaintext": "eA=="}))

    def test_out_of_memory(self):
        """kms-out-of-memory-refuses-and-recovers"""
        connection = self.server.connection()
        body = b'{"KeyId":"alias/envelope","NumberOfBytes":64}'

        def status(padding=0):
            padded = body + b" " * padding
            connection.request("POST", "/", padded, dict(
                Signer(self.server).headers("GenerateDataKey", padded)))
            answer = connection.getresponse()
            answer.read()
            return answer.status

        self.assertEqual(200, status())
        pid = self.server.process.pid
        resource.prlimit(pid, resource.RLIMIT_AS,
                         (1 << 20, resource.RLIM_INFINITY))
        try:
            # More than the pages that are kept locked for the next call.
            self.assertEqual(500, status(padding=65536))
        except (http.client.HTTPException, OSError):
            pass
        finally:
            resource.prlimit(pid, resource.RLIMIT_AS,
                             (resource.RLIM_INFINITY,) * 2)
            connection.close()
        self.assertEqual(200, self.server.call("ListKeys").status)

    def test_more_connections_than_it_takes(self):
        """kms-flood-of-idle-connections-ends-with-them"""
        idle = []
        for _ in range(300):
            one = socket.create_connection(("127.0.0.1", self.server.port),
                                           timeout=60)
            idle.append(one)
        for one in idle:
            one.close()
        wait_for(self.answers, "the server to answer again")

    def answers(self):
        try:
            return self.server.call("ListKeys").status == 200
        except (OSError, ssl.SSLError, http.client.HTTPException):
            return False

    def test_limit_of_keys(self):
        """kms-limit-of-keys-per-region"""
        self.server.sql(
            "INSERT INTO kms_key (region, key_id, account, state, usage,"
            " spec, origin, manager, material_id, description, created_ms,"
            " deletion_ms) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
            " SELECT i + 1 FROM n WHERE i < 100000) SELECT region,"
            " printf('ffffffff-0000-0000-0000-%012x', i), account, state,"
            " usage, spec, origin, manager, material_id, 'filler',"
            " created_ms, deletion_ms FROM n, (SELECT * FROM kms_key WHERE"
            " account = '111122223333' LIMIT 1)")
        self.refused("LimitExceededException", "The account has 100000 keys in this region, which is the limit.",
                     self.kms.create_key)
        page = self.kms.list_keys(Limit=1000)
        self.assertEqual((1000, True), (len(page["Keys"]),
                                        page["Truncated"]))
        self.server.sql("DELETE FROM kms_key WHERE description = 'filler'")
        self.kms.create_key()

    def test_key_row_of_another_account(self):
        """A key that names another account is not ours to use."""
        key, _ = self.new_key()
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        self.server.sql("UPDATE kms_key SET account = '999988887777'"
                        " WHERE key_id = ?", key)
        self.refused("NotFoundException",
                     f"Key '{key_arn(key)}' does not exist",
                     self.kms.describe_key, KeyId=key)
        self.refused("AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
                     self.kms.decrypt, CiphertextBlob=blob)


# 100 hosts of one network, then one of another, beside a server.
CROWD = """
import socket, ssl, sys, time

tls = ssl.create_default_context(cafile=sys.argv[2])
tls.check_hostname = False

def meet(address):
    raw = socket.create_connection(("fd00:0:0:1::1", int(sys.argv[1])), 60,
                                   source_address=(address, 0))
    try:
        return tls.wrap_socket(raw)
    except OSError:
        return None

clients = [meet(f"fd00:0:0:2::{n + 1:x}") for n in range(100)]
held = [one for one in clients if one]
print(len(held), "are in")
print("another network:", bool(meet("fd00:0:0:3::1")))
held[0].close()
until = time.monotonic() + 60
while not meet("fd00:0:0:2::ffff"):
    assert time.monotonic() < until
    time.sleep(0.1)
"""


class Strangers(unittest.TestCase):
    """What they can take before they have signed anything."""

    def server(self, locked_bytes):
        """A server that may lock no more than so much memory."""
        server = Server(start=False, under=(
            "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock",
            "prlimit", f"--memlock={locked_bytes}"))
        self.addCleanup(server.end)
        return server.start()

    def hold(self, server, headers=()):
        """A connection that sends most of a large body, and waits."""
        connection = server.connection()
        self.addCleanup(connection.close)
        connection.putrequest("POST", "/", skip_host=bool(headers))
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(96 * 1024))
        connection.endheaders(b"x" * 90000)
        return connection

    def call_from(self, server, address, body):
        connection = server.connection(source_address=(address, 0))
        connection.request("POST", "/", body, dict(
            Signer(server).headers("ListKeys", body)))
        status = connection.getresponse().status
        connection.close()
        return status

    LARGE = b'{"Whatever":"' + b"x" * 90000 + b'"}'

    def test_large_bodies(self):
        """kms-large-bodies-of-strangers-take-no-room"""
        server = self.server(4 << 20)
        unknown = Signer(server, access="AKIAIOSFODNN7EXAMPLE")
        for n in range(50):
            self.hold(server, unknown.headers("ListKeys", b"") if n % 2
                      else ())
        for _ in range(5):
            self.assertEqual(200, server.call("ListKeys",
                                              self.LARGE).status)

    def test_large_bodies_of_one_address(self):
        """kms-large-bodies-from-one-address-leave-room-for-others"""
        server = self.server(4 << 20)
        # Who knows a key's id, though not its secret.
        forged = Signer(server, secret="x" * 40)
        held = []
        reply = server.call("ListKeys", self.LARGE)
        while reply.status == 200 and len(held) < 20:
            held.append(self.hold(server, forged.headers("ListKeys", b"")))
            reply = server.call("ListKeys", self.LARGE)
        self.assertEqual((400, "ThrottlingException",
                          "Too many large requests at once."),
                         (reply.status, reply.code, reply.message))
        for _ in range(150):
            self.assertEqual("ThrottlingException",
                             server.call("ListKeys", self.LARGE).code)
        self.assertEqual(200, server.call("ListKeys").status)
        for address in ("127.0.0.2", "127.0.0.3"):
            self.assertEqual(200, self.call_from(server, address,
                                                 self.LARGE))
        for connection in held:
            connection.close()
        wait_for(lambda: server.call("ListKeys", self.LARGE).status == 200,
                 "the room for large bodies")

    def test_connections_of_one_address(self):
        """kms-flood-from-one-address-leaves-room-for-others"""
        server = Server()
        self.addCleanup(server.end)
        for _ in range(300):
            idle = socket.create_connection(("127.0.0.1", server.port),
                                            timeout=60)
            self.addCleanup(idle.close)
        other = server.connection(source_address=("127.0.0.2", 0))
        self.addCleanup(other.close)
        other.request("POST", "/", b"{}")
        self.assertEqual(400, other.getresponse().status)

    def test_connections_of_one_network(self):
        """kms-flood-from-one-ipv6-network-leaves-room-for-others"""
        server = Server("--listen", "::", start=False, under=(
            "unshare", "--map-root-user", "--net", "sh", "-c",
            "ip link set lo up && ip -6 route add local fd00::/32 dev lo &&"
            " echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind &&"
            ' exec "$@"', "-"))
        self.addCleanup(server.end)
        server.start()
        done = subprocess.run(
            ["nsenter", "--preserve-credentials", "--user", "--net",
             "--target", str(server.process.pid), "/usr/bin/python3", "-c",
             CROWD, str(server.port), str(server.dir / "ca.pem")],
            capture_output=True, text=True)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertEqual("64 are in\nanother network: True\n", done.stdout)

    def test_limit_of_locked_memory(self):
        """kms-serve-warns-of-too-little-locked-memory"""
        self.assertEqual("envelope-kms: warning: may not lock 7168 KiB of memory, so that requests fail when many come at once: raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)\n",
                         self.server(4 << 20).stderr())
        self.assertEqual("", self.server(8 << 20).stderr())


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kms-faults-"))
        self.addCleanup(shutil.rmtree, self.folder, True)

    def mounted(self, where, size):
        mount(where, size)
        self.addCleanup(subprocess.run, ["umount", where], check=False)

    def on_a_small_disk(self):
        """(server, its disk): the trail has room of its own."""
        server = Server(start=False)
        self.addCleanup(server.end)
        small = self.folder / "small"
        small.mkdir()
        self.mounted(small, "512k")
        shutil.copytree(server.dir, small / "kms")
        shutil.rmtree(small / "kms" / "audit")
        (small / "kms" / "audit").symlink_to(server.dir / "audit")
        server.dir = small / "kms"
        server.start()
        return server, small

    def test_init_on_a_full_disk(self):
        """kms-init-on-a-full-disk-leaves-nothing"""
        self.mounted(self.folder, "48k")
        done = run("init", self.folder / "kms")
        self.assertEqual(1, done.returncode)
        self.assertEqual("", done.stdout)
        self.assertTrue(done.stderr.startswith("envelope-kms: "))
        self.assertEqual([], os.listdir(self.folder))

    def test_init_on_a_read_only_disk(self):
        self.mounted(self.folder, "48k")
        subprocess.run(["mount", "-o", "remount,ro", self.folder],
                       check=True)
        done = run("init", self.folder / "kms")
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, r"cannot make a directory: Read-only file system\n$")

    def test_database_disk_full(self):
        """kms-full-database-disk-refuses-changes-and-recovers"""
        server, small = self.on_a_small_disk()
        blob = server.call("Encrypt", {"KeyId": "alias/envelope",
                                       "Plaintext": "eA=="}).json
        filler = fill(small)
        codes = [server.call("CreateKey", {"Description": "x" * 8000}).status
                 for _ in range(60)]
        self.assertIn(500, codes)
        self.assertIn("envelope-kms: database: ", server.stderr())
        decrypt = {"CiphertextBlob": blob["CiphertextBlob"]}
        self.assertEqual(200, server.call("Decrypt", decrypt).status)
        filler.unlink()
        self.assertEqual(200, server.call("CreateKey").status)
        self.assertEqual([("ok",)], server.sql("PRAGMA integrity_check"))
        self.assertEqual(codes.count(200) + 2, server.sql(
            "SELECT count(*) FROM kms_key")[0][0])
        server.stop()

    def test_change_that_was_not_kept(self):
        """security-29-restore-replays-no-change-that-a-full-disk-refused"""
        server, small = self.on_a_small_disk()
        key = server.call("CreateKey").json["KeyMetadata"]["KeyId"]
        run("identity", "create-user", server.dir, "bob")
        access = json.loads(run("identity", "create-access-key", server.dir,
                                "bob", "--json").stdout)["AccessKey"][
                                    "AccessKeyId"]
        path = backup(server)
        server.call("DisableKey", {"KeyId": key})
        run("identity", "deactivate-access-key", server.dir, "bob", access)
        filler = fill(small)
        wait_for(lambda: server.call("CreateKey", {
            "Description": "x" * 8000}).status == 500, "the disk to be full")
        while server.call("UpdateKeyDescription", {
                "KeyId": key, "Description": "y" * 100}).status == 200:
            pass
        self.assertEqual(500, server.call("EnableKey",
                                          {"KeyId": key}).status)
        done = run("identity", "activate-access-key", server.dir, "bob",
                   access)
        self.assertEqual(1, done.returncode)
        for name, code in (("EnableKey", "KMSInternalException"),
                           ("UpdateAccessKey", "ServiceFailure")):
            told = [r for r in server.audit() if r["eventName"] == name][-2:]
            self.assertEqual([None, code],
                             [r.get("errorCode") for r in told])
            self.assertEqual(told[0]["requestID"], told[1]["requestID"])
        filler.unlink()
        self.assertEqual(0, server.stop())
        fresh = self.folder / "fresh"
        done = run("restore", path, fresh, "--from", server.dir)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        server.dir = fresh
        self.assertEqual([("Disabled",)], server.sql(
            "SELECT state FROM kms_key WHERE key_id = ?", key))
        self.assertEqual([(0,)], server.sql(
            "SELECT active FROM access_key WHERE access_key_id = ?", access))

    def test_disk_of_everything_full(self):
        """kms-full-disk-answers-500-and-loses-nothing"""
        server = Server(start=False)
        self.addCleanup(server.end)
        small = self.folder / "small"
        small.mkdir()
        self.mounted(small, "2m")
        shutil.copytree(server.dir, small / "kms")
        server.dir = small / "kms"
        server.start("--digest-seconds", "1")
        made = []

        def create():
            reply = server.call("CreateKey", {"Description": "x" * 4000})
            if reply.status == 200:
                made.append(reply.json["KeyMetadata"]["KeyId"])
            return reply

        self.assertEqual(200, create().status)
        filler = fill(small)
        wait_for(lambda: create().status == 500, "the disk to be full")
        wait_for(lambda: "cannot write the digest of" in server.stderr(),
                 "a digest that fails")
        for _ in range(20):
            reply = create()
            self.assertEqual((500, INTERNAL), (reply.status, reply.message))
        done = run("backup", server.dir, small / "backup")
        self.assertEqual(1, done.returncode)
        self.assertFalse((small / "backup").exists())
        filler.unlink()
        wait_for(lambda: create().status == 200, "the server to recover")
        server.stop()
        # Not even a digest that was half there is in the way of the next.
        server.start("--digest-seconds", "1")
        wait_for(lambda: not list((server.dir / "audit").glob("pending-*"))
                 and not (server.dir / "audit/audit.log").read_text(),
                 "the digests that were due")
        recorded = {r["resources"][0]["ARN"].split("/")[1]
                    for r in server.audit() if r["eventName"] == "CreateKey"
                    and "errorCode" not in r}
        there = {r[0] for r in server.sql("SELECT key_id FROM kms_key")}
        self.assertLessEqual(set(made), there)
        self.assertLessEqual(set(made), recorded)
        self.assertEqual(0, server.stop())
        done = run("check", server.dir)
        self.assertEqual((0, ""), (done.returncode, done.stderr),
                         done.stdout)

    def test_deletion_waits_for_the_trail(self):
        """security-30-no-key-is-deleted-without-its-record"""
        server = Server()
        self.addCleanup(server.end)
        key = server.call("CreateKey").json["KeyMetadata"]["KeyId"]
        server.call("ScheduleKeyDeletion", {"KeyId": key})
        server.stop()
        server.sql("UPDATE kms_key SET deletion_ms = 1 WHERE key_id = ?", key)
        trail = server.dir / "audit" / "audit.log"
        trail.rename(server.folder / "kept")
        trail.symlink_to("/dev/full")
        server.start()
        self.assertIn("cannot delete keys that are due, retrying in 60 s",
                      server.stderr())
        self.assertTrue(server.sql(
            "SELECT sealed FROM material WHERE key_id = ?", key))
        server.stop()
        trail.unlink()
        (server.folder / "kept").rename(trail)
        server.start()
        self.assertFalse(server.sql(
            "SELECT sealed FROM material WHERE key_id = ?", key))
        server.stop()

    def test_database_of_another_version(self):
        server = Server()
        self.addCleanup(server.end)
        server.stop()
        version, = server.sql(
            "SELECT value FROM setting WHERE name = 'schema'")[0]
        server.sql("UPDATE setting SET value = ? WHERE name = 'schema'",
                   b"999")
        done = run("serve", server.dir, "--port", "0")
        self.assertEqual(
            (1, f"envelope-kms: {server.dir}/kms.db: database version 999, this program knows {version.decode()}; use the envelope-kms that wrote it, or a newer one\n"),
            (done.returncode, done.stderr))
        server.sql("UPDATE setting SET value = ? WHERE name = 'schema'",
                   version)
        server.sql("DELETE FROM setting WHERE name = 'region'")
        done = run("serve", server.dir, "--port", "0")
        self.assertEqual(
            (1, f"envelope-kms: {server.dir}/kms.db: setting region is missing\n"),
            (done.returncode, done.stderr))

    def test_ipv6_client(self):
        server = Server("--listen", "::1")
        self.addCleanup(server.end)
        kms = server.client()
        kms.list_keys()
        self.assertEqual("::1", server.audit()[-1]["sourceIPAddress"])

    def test_environment_does_not_leak_keys(self):
        """security-09-sslkeylogfile-and-openssl-conf-ignored"""
        server = Server(start=False)
        self.addCleanup(server.end)
        log = self.folder / "tls-keys"
        conf = self.folder / "openssl.cnf"
        conf.write_text("openssl_conf = broken\n[broken]\nproviders = x\n")
        server.start(SSLKEYLOGFILE=str(log), OPENSSL_CONF=str(conf),
                     GNUTLS_DEBUG_LEVEL="99")
        self.assertEqual(200, server.call("GenerateRandom",
                                          {"NumberOfBytes": 1}).status)
        self.assertFalse(log.exists())
        # The library's own start, before main(), may say what it loads.
        self.assertNotIn("KEY", server.stderr())
        self.assertNotIn("HSK[", server.stderr())
        limits = pathlib.Path(
            f"/proc/{server.process.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0 ")


if __name__ == "__main__":
    tap.main()
