#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A data key wrapped under a key of another region, by the agent's worker."""
import base64
import json

import tap
from test_agent_grants import GrantsCase
from test_agent_token import Worker
from server_fixture import ACCOUNT, Server
from server_people import Person, statement

FAR = "eu-west-1"


class Wrap(GrantsCase):
    @classmethod
    def prepare(cls):
        cls.far = Server("--region", FAR)
        cls.addClassCleanup(cls.far.close)
        cls.far_kms = cls.far.client(region=FAR)
        cls.far_key = cls.far_kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]
        super().prepare()
        far_host = Person(cls.far, "host", statement(
            "Allow", "kms:Encrypt", cls.far_key))
        with open(cls.etc / "credentials", "a", encoding="ascii") as file:
            file.write(f"[far]\naws_access_key_id = {far_host.access}\n"
                       f"aws_secret_access_key = {far_host.secret}\n")

    @classmethod
    def write_conf(cls):
        super().write_conf()
        (cls.etc / "far.pem").write_bytes(
            (cls.far.dir / "ca.pem").read_bytes())
        with open(cls.etc / "envelope.conf", "a", encoding="ascii") as file:
            file.write(f"[region {FAR}]\nendpoint = {cls.far.endpoint}\n"
                       f"ca-file = {cls.etc}/far.pem\nprofile = far\n"
                       f"account = {ACCOUNT}\nallow-keys = {cls.far_key}\n")

    def granted(self, disk):
        """A worker that has sent the user's grant, and the header."""
        connection, grant = self.offered(disk)
        signature = self.sign(self.user, disk, grant["body"])
        connection.close()
        w = Worker(self.etc, disk)
        self.addCleanup(w.close)
        header = w.says("header")
        w.send({"grant": {
            "entry": {"name": json.loads(grant["body"])["Name"],
                      "key_arn": self.key, "id": ""},
            "body": grant["body"], "signature": signature}})
        self.assertIsNotNone(w.says("granted"))
        return w, header

    def wrap(self, w, key, **context):
        w.send({"unwrap": {"slot": 0, "wrap": {"key_id": key,
                                               "context": context}}})

    def plaintext(self, kms, ciphertext, **context):
        return kms.decrypt(CiphertextBlob=base64.b64decode(ciphertext),
                           EncryptionContext=context)["Plaintext"]

    def test_wrap(self):
        """slots-another-region-has-the-same-data-key-bound-to-the-volume"""
        w, header = self.granted(self.volume())
        self.wrap(w, self.far_key, team="red")
        made = w.says("wrapped")
        self.assertEqual(self.far_key, made["key_id"])
        core, slot = header["core"], header["slots"]["slots"][0]
        bound = {"envelope:volume-id": core["volume_id"],
                 "envelope:generation": str(core["generation"])}
        self.assertEqual(
            self.plaintext(self.kms, slot["ciphertext"], **bound,
                           **slot["context"]),
            self.plaintext(self.far_kms, made["ciphertext"], **bound,
                           team="red"))
        # And nothing more comes: no data key.
        self.assertIsNone(w.says("unwrapped"))

    def test_not_allowed(self):
        """slots-a-key-that-the-host-may-not-use-is-no-reason-for-a-decrypt"""
        w, _ = self.granted(self.volume())
        before = len([r for r in self.server.audit()
                      if r["eventName"] == "Decrypt"])
        self.wrap(w, self.far_key[:-1] + "x")
        self.assertEqual(3, w.says("failed"))
        self.assertEqual(before, len([r for r in self.server.audit()
                                      if r["eventName"] == "Decrypt"]))


if __name__ == "__main__":
    tap.main()
