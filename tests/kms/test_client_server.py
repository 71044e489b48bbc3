# SPDX-License-Identifier: GPL-2.0-or-later
"""Our client against our own server, the two as a user starts them."""
import configparser
import hashlib
import json
import pathlib
import signal
import subprocess
import tempfile
import time

import boto3

from client_case import (BUILD, CONTEXT, DENIED, DONE, ROOT, UNREACHABLE,
                         Case)
import tap

SERVER = BUILD / "bin/envelope-kms"


class Server:
    """envelope-kms in a folder of its own, on a free port."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        subprocess.run([SERVER, "init", self.folder], check=True,
                       stdout=subprocess.DEVNULL)
        self.start()

    def start(self):
        endpoint = self.folder / "endpoint"
        endpoint.unlink(missing_ok=True)
        self._child = subprocess.Popen(
            [SERVER, "serve", self.folder, "--port", "0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while not endpoint.exists() or not endpoint.read_text().strip():
            if time.monotonic() > until or self._child.poll() is not None:
                raise RuntimeError("envelope-kms did not start")
            time.sleep(0.05)
        self.url = endpoint.read_text().strip()

    def stop(self):
        self._child.send_signal(signal.SIGTERM)
        self._child.wait(60)

    def keys(self):
        ini = configparser.ConfigParser()
        ini.read(self.folder / "credentials")
        return (ini["envelope"]["aws_access_key_id"],
                ini["envelope"]["aws_secret_access_key"])

    def boto(self):
        key_id, secret = self.keys()
        return boto3.client("kms", region_name="us-east-1",
                            endpoint_url=self.url,
                            verify=str(self.folder / "ca.pem"),
                            aws_access_key_id=key_id,
                            aws_secret_access_key=secret)


class OwnServer(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run(["make", "-s", f"O={BUILD}", str(SERVER)], cwd=ROOT,
                       check=True, stdout=subprocess.DEVNULL)
        tmp = tempfile.TemporaryDirectory()
        cls.addClassCleanup(tmp.cleanup)
        cls.server = Server(tmp.name + "/kms")
        cls.addClassCleanup(lambda: cls.server.stop())
        cls.boto = cls.server.boto()
        cls.arn = cls.boto.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]

    def ours(self, *args, env=None, **how):
        """By the envelope.conf and the credentials that init made."""
        options = ["--kms-endpoint", self.server.url]
        full = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None,
                "AWS_SHARED_CREDENTIALS_FILE":
                str(self.server.folder / "credentials")}
        full.update(env or {})
        return self.call(*args, env=full, options=options,
                         config=self.server.folder / "envelope.conf", **how)

    def generate(self):
        result = self.ours("generate", "-", json.dumps(CONTEXT))
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["key_arn"], self.arn)
        return result.out["blob"]

    def unwrap(self, blob, arn=None, context=None, **how):
        return self.ours("decrypt", arn or self.arn,
                         json.dumps(context or CONTEXT), blob, **how)

    def test_round_trip(self):
        """client and envelope-kms: generate, decrypt, and boto3 agrees"""
        blob = self.generate()
        result = self.unwrap(blob)
        self.assertEqual(result.status, DONE, result.stderr)
        dek = self.boto.decrypt(CiphertextBlob=bytes.fromhex(blob),
                                EncryptionContext=CONTEXT)["Plaintext"]
        self.assertEqual(len(dek), 64)
        self.assertEqual(result.out["dek_sha256"],
                         hashlib.sha256(dek).hexdigest())

    def test_reencrypt(self):
        """client and envelope-kms: rewrap to another key"""
        other = self.boto.create_key()["KeyMetadata"]["Arn"]
        blob = self.generate()
        before = self.unwrap(blob).out["dek_sha256"]
        result = self.ours("reencrypt", self.arn, json.dumps(CONTEXT), blob,
                           other, json.dumps(CONTEXT))
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["key_arn"], other)
        after = self.unwrap(result.out["blob"], other)
        self.assertEqual(after.out["dek_sha256"], before)
        self.assert_fails(self.unwrap(result.out["blob"]), DENIED,
                          "IncorrectKeyException",
                          "the wrapped key is another key's")

    def test_other_context(self):
        """client and envelope-kms: another context is denied"""
        self.assert_fails(
            self.unwrap(self.generate(), context=dict(CONTEXT, x="y")),
            DENIED, "InvalidCiphertextException", "is not this volume's")

    def test_disabled(self):
        """client and envelope-kms: a disabled key, and enabled again"""
        blob = self.generate()
        self.boto.disable_key(KeyId=self.arn)
        try:
            self.assert_fails(self.unwrap(blob), DENIED, "DisabledException",
                              "the key is disabled")
        finally:
            self.boto.enable_key(KeyId=self.arn)
        self.assertEqual(self.unwrap(blob).status, DONE)

    def test_pending_deletion(self):
        """client and envelope-kms: a key pending deletion"""
        arn = self.boto.create_key()["KeyMetadata"]["Arn"]
        self.boto.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        self.assert_fails(self.ours("generate", arn, "{}"), DENIED,
                          "KMSInvalidStateException",
                          "the key is pending deletion")
        described = self.ours("describe", arn)
        self.assertEqual(described.out["state"], "PendingDeletion")

    def test_not_found(self):
        """client and envelope-kms: a key that does not exist"""
        self.assert_fails(
            self.ours("describe", self.arn.rsplit("/", 1)[0] +
                      "/00000000-0000-0000-0000-000000000000"),
            DENIED, "NotFoundException", "the key does not exist there")

    def test_wrong_region(self):
        """client and envelope-kms: a key of another region"""
        path = self.conf(section="eu-west-1", endpoint=self.server.url,
                         ca_file=self.server.folder / "ca.pem")
        key_id, secret = self.server.keys()
        result = self.call(
            "describe", self.arn.replace("us-east-1", "eu-west-1"),
            config=path, env={"AWS_ACCESS_KEY_ID": key_id,
                              "AWS_SECRET_ACCESS_KEY": secret})
        self.assertEqual(result.status, DENIED, result.stderr)
        self.assertRegex(result.stderr, "another region|does not exist there")

    def test_wrong_secret(self):
        """client and envelope-kms: a wrong secret access key"""
        self.assert_fails(
            self.ours("describe", "-", env={
                "AWS_ACCESS_KEY_ID": self.server.keys()[0],
                "AWS_SECRET_ACCESS_KEY": "wrong"}), DENIED,
            "InvalidSignatureException",
            "the secret access key is not that of the access key")

    def test_unknown_access_key(self):
        """client and envelope-kms: an unknown access key"""
        self.assert_fails(
            self.ours("describe", "-", env={
                "AWS_ACCESS_KEY_ID": "AKIANOBODY",
                "AWS_SECRET_ACCESS_KEY": "wrong"}), DENIED,
            "UnrecognizedClientException", "the access key is unknown there")

    def test_restart(self):
        """client and envelope-kms: stopped is unreachable, started is back"""
        blob = self.generate()
        self.server.stop()
        try:
            self.assert_fails(self.unwrap(blob, timeout=2000), UNREACHABLE,
                              "NoConnection", "cannot be reached")
        finally:
            self.server.start()
            type(self).boto = self.server.boto()
        self.assertEqual(self.unwrap(blob).status, DONE)


if __name__ == "__main__":
    tap.main()
