#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope-kms from init to the end of a key: files, restarts, deletion."""
import configparser
import ipaddress
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
import unittest

import botocore.exceptions
from cryptography import x509

from server_fixture import (ACCOUNT, PROGRAM, REGION, Server, Signer,
                            key_arn, run, wait_for)
import tap

SHRED_WAIT = "the key to be deleted"


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kms-life-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.dir = self.folder / "kms"


class Init(Folder):
    def test_files_and_modes(self):
        self.assertEqual(0, run("init", self.dir).returncode)
        self.assertEqual(0o700, stat.S_IMODE(self.dir.stat().st_mode))
        modes = {p.name: stat.S_IMODE(p.stat().st_mode)
                 for p in self.dir.iterdir()}
        self.assertEqual({
            "root.key": 0o600, "ca.pem": 0o644, "ca.key": 0o600,
            "server.pem": 0o644, "server.key": 0o600, "kms.db": 0o600, "subkeys.db": 0o600,
            "credentials": 0o600, "envelope.conf": 0o644,
            "audit": 0o700}, modes)
        self.assertEqual(["kms"], os.listdir(self.folder))

    def test_what_it_prints(self):
        done = run("init", self.dir)
        conf = (f"[region us-east-1]\n"
                f"endpoint = https://127.0.0.1:8443\n"
                f"ca-file = {self.dir}/ca.pem\n"
                f"profile = envelope\n"
                f"default-key = alias/envelope\n"
                f"allow-keys = arn:aws:kms:us-east-1:{ACCOUNT}:key/*\n")
        self.assertEqual(conf, (self.dir / "envelope.conf").read_text())
        self.assertIn(conf, done.stdout)
        for line in (f"    envelope-kms serve {self.dir}\n",
                     f"    export AWS_SHARED_CREDENTIALS_FILE={self.dir}/credentials\n",
                     "    envelope format DEVICE\n",
                     "    envelope attach --direct DEVICE NAME\n",
                     "losing it loses every volume, for good"):
            self.assertIn(line, done.stdout)
        secret = self.ini()["default"]["aws_secret_access_key"]
        self.assertNotIn(secret, done.stdout + done.stderr)

    def ini(self):
        ini = configparser.ConfigParser()
        ini.read(self.dir / "credentials")
        return ini

    def test_credentials(self):
        run("init", self.dir)
        ini = self.ini()
        self.assertEqual(["default", "envelope"], sorted(ini.sections()))
        self.assertEqual(dict(ini["default"]), dict(ini["envelope"]))
        self.assertRegex(ini["envelope"]["aws_access_key_id"],
                         "^AKIA[A-Z2-7]{16}$")
        self.assertRegex(ini["envelope"]["aws_secret_access_key"],
                         "^[A-Za-z0-9+/]{40}$")

    def test_certificate_names(self):
        run("init", self.dir, "--host", "kms.example", "--host", "10.0.2.2",
            "--host", "fd00::2", "--port", "9000")
        cert = x509.load_pem_x509_certificate(
            (self.dir / "server.pem").read_bytes())
        names = cert.extensions.get_extension_for_class(
            x509.SubjectAlternativeName).value
        self.assertEqual(["localhost", "kms.example"],
                         names.get_values_for_type(x509.DNSName))
        self.assertEqual(
            [ipaddress.ip_address(a) for a in
             ("127.0.0.1", "::1", "10.0.2.2", "fd00::2")],
            names.get_values_for_type(x509.IPAddress))
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", "sslserver",
             "-CAfile", self.dir / "ca.pem", self.dir / "server.pem"],
            capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("endpoint = https://kms.example:9000\n",
                      (self.dir / "envelope.conf").read_text())

    def test_refuses_a_directory_in_use(self):
        self.dir.mkdir()
        (self.dir / "file").write_text("mine")
        done = run("init", self.dir)
        self.assertEqual(
            (1, "", f"envelope-kms: {self.dir}: not empty; name a directory that is empty or does not exist\n"),
            (done.returncode, done.stdout, done.stderr))
        self.assertEqual(["file"], os.listdir(self.dir))
        done = run("init", self.dir / "file")
        self.assertEqual(1, done.returncode)
        self.assertIn("Not a directory", done.stderr)
        done = run("init", self.folder / "absent" / "kms")
        self.assertEqual(1, done.returncode)
        self.assertEqual(["kms"], os.listdir(self.folder))

    def test_takes_an_empty_directory(self):
        self.dir.mkdir()
        self.assertEqual(0, run("init", self.dir).returncode)
        self.assertEqual(1, run("init", self.dir).returncode)

    def test_killed_init_leaves_nothing_half_done(self):
        """kms-init-killed-at-any-moment-leaves-all-or-nothing"""
        whole = 0
        for step in range(25):
            target = self.folder / f"kms{step}"
            process = subprocess.Popen([PROGRAM, "init", target],
                                       stdout=subprocess.DEVNULL)
            time.sleep(step * 0.002)
            process.kill()
            process.wait()
            if target.exists():
                whole += 1
                self.assertIn("envelope.conf", os.listdir(target))
                self.assertIn("kms.db", os.listdir(target))
        self.assertLess(whole, 25)
        # And what a killed one left beside it is in nobody's way.
        self.assertEqual(0, run("init", self.folder / "kms0").returncode
                         if not (self.folder / "kms0").exists() else 0)

    def test_usage(self):
        for args, words in (
                ((), "give a verb and a directory"),
                (("init",), "give a verb and a directory"),
                (("bake", self.dir), "bake: no such verb"),
                (("init", self.dir, "--port", "0"), "init needs a fixed port"),
                (("init", self.dir, "--port", "70000"), "--port 70000: not a port number"),
                (("init", self.dir, "--port", "1x"), "--port 1x: not a port number"),
                (("init", self.dir, "--region", "EU"), "--region EU: not a region name"),
                (("init", self.dir, "--account", "12"), "--account 12: not 12 digits"),
                (("init", self.dir, "--host", "a b"), "--host a b: not a host name or address"),
                (("init", self.dir, "--host", "x,DNS:y"), "--host x,DNS:y: not a host name or address"),
                (("serve", self.dir, "--host", "x"), "--host belongs to init"),
                (("init", self.dir, "--nonsense"), "--nonsense")):
            done = run(*args)
            self.assertEqual(2, done.returncode, args)
            self.assertIn(words, done.stderr)
            self.assertFalse(self.dir.exists())
        self.assertEqual((0, "envelope-kms 0.1.0\n"),
                         (run("--version").returncode, run("--version").stdout))
        self.assertIn("Losing DIR loses every volume.", run("--help").stdout)

    def test_other_region_and_account(self):
        server = Server("--region", "eu-west-1", "--account", "999988887777")
        self.addCleanup(server.end)
        key = server.call("DescribeKey", {"KeyId": "alias/envelope"},
                          region="eu-west-1").json["KeyMetadata"]
        self.assertEqual(key["Arn"], key_arn(key["KeyId"], "eu-west-1",
                                             "999988887777"))
        self.assertIn(f"allow-keys = arn:aws:kms:eu-west-1:999988887777:key/*\n",
                      (server.dir / "envelope.conf").read_text())


class Serve(Folder):
    def refused(self, text):
        done = run("serve", self.dir, "--port", "0")
        self.assertEqual(1, done.returncode)
        self.assertEqual(f"envelope-kms: {text}\n", done.stderr)
        self.assertEqual("", done.stdout)

    def test_no_directory(self):
        self.refused(f"{self.dir}: No such file or directory; make it with: envelope-kms init {self.dir}")

    def test_wrong_root_key(self):
        """kms-wrong-root-key-refused"""
        run("init", self.dir)
        root = self.dir / "root.key"
        right = root.read_bytes()
        root.write_bytes(os.urandom(32))
        self.refused(f"{root}: not the root key of this database; put the one back that init made")
        root.write_bytes(right[:31])
        self.refused(f"{root}: not a root key: it has 31 bytes, not 32")
        root.write_bytes(right)
        root.chmod(0o640)
        self.refused(f"{root}: others may read it (mode 640); make it mode 600 and its owner yours")
        root.unlink()
        self.refused(f"{root}: cannot read: No such file or directory")

    def test_broken_files(self):
        run("init", self.dir)
        (self.dir / "server.pem").write_text("nonsense")
        self.refused("cannot start the HTTPS server: check server.pem and server.key")
        (self.dir / "kms.db").write_bytes(b"no database" * 100)
        self.assertEqual(1, run("serve", self.dir).returncode)
        (self.dir / "kms.db").unlink()
        self.assertEqual(1, run("serve", self.dir).returncode)
        self.assertFalse((self.dir / "kms.db").exists())

    def test_listen_address(self):
        run("init", self.dir)
        done = run("serve", self.dir, "--listen", "nowhere")
        self.assertEqual((1, "envelope-kms: --listen nowhere: not an IP address\n"),
                         (done.returncode, done.stderr))
        done = run("serve", self.dir, "--listen", "203.0.113.1")
        self.assertEqual((1, "envelope-kms: cannot listen on 203.0.113.1 port 8443: Cannot assign requested address\n"),
                         (done.returncode, done.stderr))

    def test_one_server_a_directory(self):
        server = Server()
        self.addCleanup(server.end)
        done = run("serve", server.dir, "--port", "0")
        self.assertEqual(
            (1, f"envelope-kms: {server.dir}: another envelope-kms serves it\n"),
            (done.returncode, done.stderr))
        self.assertEqual(200, server.call("ListKeys").status)
        self.assertTrue((server.dir / "endpoint").exists())

    def test_announces_itself(self):
        server = Server("--host", "10.0.2.2")
        self.addCleanup(server.end)
        out = wait_for(lambda: "every volume. Back" in server.stdout() and
                       server.stdout(), "the server to print its guide")
        self.assertTrue(out.startswith(f"listening on {server.endpoint}\n"))
        self.assertEqual(f"https://127.0.0.1:{server.port}", server.endpoint)
        self.assertIn(f"endpoint = https://10.0.2.2:{server.port}\n", out)
        self.assertIn("losing it loses every volume", out)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(0, server.stop(number))
            self.assertFalse((server.dir / "endpoint").exists())
            server.start()
        self.assertIn("envelope-kms: stopping\n", server.stderr())

    def test_listens_on_ipv6(self):
        server = Server("--listen", "::1", "--host", "localhost")
        self.addCleanup(server.end)
        self.assertEqual(f"https://[::1]:{server.port}", server.endpoint)

    def test_stop_lets_a_request_end(self):
        server = Server()
        self.addCleanup(server.end)
        body = b'{"Limit": 1000}'
        pairs = Signer(server).headers("ListKeys", body)
        connection = server.connection()
        connection.putrequest("POST", "/", skip_host=True)
        for name, value in pairs:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        time.sleep(2)
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        time.sleep(0.3)
        connection.send(body)
        self.assertEqual(200, connection.getresponse().status)
        stopper.join()


class Durable(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.end)
        self.kms = self.server.client()

    def again(self, number=signal.SIGTERM):
        self.server.restart(number)
        self.kms = self.server.client()

    def test_restart_keeps_everything(self):
        """kms-restart-keeps-keys-aliases-and-states"""
        for number in (signal.SIGTERM, signal.SIGKILL):
            key = self.kms.create_key(Description="d")["KeyMetadata"]
            name = f"alias/kept-{number}"
            self.kms.create_alias(AliasName=name, TargetKeyId=key["KeyId"])
            blob = self.kms.encrypt(KeyId=name, Plaintext=b"kept",
                                    EncryptionContext={"a": "b"})
            self.again(number)
            self.assertEqual(b"kept", self.kms.decrypt(
                CiphertextBlob=blob["CiphertextBlob"],
                EncryptionContext={"a": "b"})["Plaintext"])
            self.assertEqual(key, self.kms.describe_key(
                KeyId=name)["KeyMetadata"])
            self.kms.disable_key(KeyId=key["KeyId"])
            self.again(number)
            self.assertEqual("Disabled", self.kms.describe_key(
                KeyId=name)["KeyMetadata"]["KeyState"])

    def test_killed_while_it_writes(self):
        """kms-acknowledged-changes-survive-a-kill"""
        for _ in range(3):
            made = []
            stop = threading.Event()

            def create(kms):
                while not stop.is_set():
                    try:
                        made.append(kms.create_key()["KeyMetadata"]["KeyId"])
                    except botocore.exceptions.BotoCoreError:
                        return

            threads = [threading.Thread(target=create,
                                        args=(self.server.client(),))
                       for _ in range(3)]
            for thread in threads:
                thread.start()
            wait_for(lambda: len(made) > 10, "keys to be created")
            self.server.stop(signal.SIGKILL)
            stop.set()
            for thread in threads:
                thread.join()
            self.server.start()
            self.kms = self.server.client()
            self.assertTrue(made)
            kept = {r[0] for r in self.server.sql(
                "SELECT key_id FROM kms_key JOIN material USING (key_id)")}
            self.assertLessEqual(set(made), kept)
            # Each key that exists stands in the trail, and with material.
            logged = {r["responseElements"]["keyMetadata"]["keyId"]
                      for r in self.server.audit()
                      if r["eventName"] == "CreateKey"}
            rows = {r[0] for r in self.server.sql(
                "SELECT key_id FROM kms_key JOIN alias USING (key_id)")}
            self.assertEqual(kept - rows, kept & logged)
            rows = {r[0] for r in self.server.sql(
                "SELECT key_id FROM kms_key")}
            self.assertEqual(rows, kept)


class Deletion(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.end)
        self.kms = self.server.client()
        made = self.kms.create_key()["KeyMetadata"]
        self.key, self.arn = made["KeyId"], made["Arn"]
        self.kms.create_alias(AliasName="alias/doomed", TargetKeyId=self.key)
        self.blob = self.kms.encrypt(KeyId=self.key,
                                     Plaintext=b"x")["CiphertextBlob"]
        self.sealed = self.server.sql(
            "SELECT sealed FROM material WHERE key_id = ?", self.key)[0][0]

    def schedule(self):
        self.kms.schedule_key_deletion(KeyId=self.key)

    def let_the_window_pass(self):
        self.server.sql("UPDATE kms_key SET deletion_ms = 1 WHERE key_id = ?",
                        self.key)

    def bytes_of_the_database(self):
        return b"".join(p.read_bytes() for p in self.server.dir.iterdir()
                        if p.name.startswith("kms.db"))

    def deleted(self):
        return not self.server.sql(
            "SELECT key_id FROM kms_key WHERE key_id = ?", self.key)

    def check_gone(self):
        wait_for(self.deleted, SHRED_WAIT)
        wait_for(lambda: self.sealed not in self.bytes_of_the_database(),
                 "the sealed material to leave database and log")
        self.assertEqual([], self.server.sql(
            "SELECT key_id FROM material WHERE key_id = ?", self.key))
        for operation, body, code in (
                ("DescribeKey", {"KeyId": self.key}, "NotFoundException"),
                ("CancelKeyDeletion", {"KeyId": self.key},
                 "NotFoundException"),
                ("DescribeKey", {"KeyId": "alias/doomed"},
                 "NotFoundException")):
            self.assertEqual(code, self.server.call(operation, body).code)
        with self.assertRaisesRegex(
                self.kms.exceptions.ClientError,
                r"\(AccessDeniedException\).*The ciphertext refers to a customer master key that does not exist"):
            self.kms.decrypt(CiphertextBlob=self.blob)
        records = [r for r in self.server.audit()
                   if r["eventName"] == "DeleteKey"]
        self.assertEqual(1, len(records))
        record = records[0]
        self.assertEqual(
            ("AwsServiceEvent", {"accountId": ACCOUNT,
                                 "invokedBy": "AWS Internal"},
             {"keyId": self.key}, self.arn, None, REGION),
            (record["eventType"], record["userIdentity"],
             record["serviceEventDetails"], record["resources"][0]["ARN"],
             record["requestParameters"], record["awsRegion"]))
        self.assertEqual(200, self.server.call(
            "DescribeKey", {"KeyId": "alias/envelope"}).status)

    def test_shredded_at_start(self):
        """security-29-deleted-material-leaves-database-and-log"""
        self.schedule()
        self.assertIn(self.sealed, self.bytes_of_the_database())
        self.server.stop()
        self.let_the_window_pass()
        self.server.start()
        self.kms = self.server.client()
        self.check_gone()

    def test_shredded_on_access(self):
        """security-29-a-key-past-its-window-is-gone-at-once"""
        self.schedule()
        self.let_the_window_pass()
        self.assertEqual("NotFoundException", self.server.call(
            "CancelKeyDeletion", {"KeyId": self.key}).code)
        self.check_gone()

    def test_not_before_the_window(self):
        self.schedule()
        self.server.restart()
        self.kms = self.server.client()
        self.kms.cancel_key_deletion(KeyId=self.key)
        self.kms.enable_key(KeyId=self.key)
        self.assertEqual(b"x", self.kms.decrypt(
            CiphertextBlob=self.blob)["Plaintext"])


if __name__ == "__main__":
    tap.main()
