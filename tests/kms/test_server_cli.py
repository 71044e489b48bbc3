#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope-kms as the AWS CLI sees it: Debian's `aws`, our CA, our profile."""
import base64
import json
import os
import subprocess
import unittest

from server_fixture import REGION, WAIT_SECONDS, Server
import tap


class Cli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.env = {**os.environ, "AWS_PAGER": "",
                   "AWS_SHARED_CREDENTIALS_FILE":
                       str(cls.server.dir / "credentials"),
                   "AWS_CONFIG_FILE": "/dev/null"}

    @classmethod
    def tearDownClass(cls):
        cls.server.end()

    def run_aws(self, *args):
        return subprocess.run(
            ["/usr/bin/aws", "--profile", "envelope", "--region", REGION,
             "--endpoint-url", self.server.endpoint, "--ca-bundle",
             str(self.server.dir / "ca.pem"), "kms", *args],
            env=self.env, capture_output=True, text=True,
            timeout=WAIT_SECONDS, check=False)

    def aws(self, *args):
        done = self.run_aws(*args)
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def test_data_key_round_trip(self):
        """kms-aws-cli-data-key-round-trip"""
        context = ("--encryption-context", "envelope:volume-id=vol-1")
        made = self.aws("generate-data-key-without-plaintext", "--key-id",
                        "alias/envelope", "--number-of-bytes", "64",
                        *context)
        blob = self.server.folder / "blob"
        blob.write_bytes(base64.b64decode(made["CiphertextBlob"]))
        back = self.aws("decrypt", "--ciphertext-blob", f"fileb://{blob}",
                        "--key-id", made["KeyId"], *context)
        self.assertEqual(64, len(base64.b64decode(back["Plaintext"])))
        done = self.run_aws("decrypt", "--ciphertext-blob",
                            f"fileb://{blob}")
        self.assertEqual(254, done.returncode)
        self.assertIn("(InvalidCiphertextException)", done.stderr)

    def test_life_of_a_key(self):
        """kms-aws-cli-life-of-a-key"""
        key = self.aws("create-key", "--description", "by the CLI")[
            "KeyMetadata"]["KeyId"]
        self.assertIsNone(self.aws("create-alias", "--alias-name",
                                   "alias/cli", "--target-key-id", key))
        aliases = self.aws("list-aliases", "--key-id", key)["Aliases"]
        self.assertEqual(["alias/cli"], [a["AliasName"] for a in aliases])
        self.assertIsNone(self.aws("disable-key", "--key-id", key))
        done = self.run_aws("encrypt", "--key-id", "alias/cli",
                            "--plaintext", "eA==")
        self.assertEqual(254, done.returncode)
        self.assertRegex(done.stderr, r"\(DisabledException\) when calling the Encrypt operation: arn:aws:kms:us-east-1:111122223333:key/[0-9a-f-]+ is disabled\.")
        self.aws("schedule-key-deletion", "--key-id", key,
                 "--pending-window-in-days", "7")
        self.assertEqual("PendingDeletion", self.aws(
            "describe-key", "--key-id", key)["KeyMetadata"]["KeyState"])
        self.aws("cancel-key-deletion", "--key-id", key)
        self.aws("enable-key", "--key-id", key)

    def test_lists_of_many_pages(self):
        key = self.aws("create-key")["KeyMetadata"]["KeyId"]
        keys = self.aws("list-keys", "--page-size", "1")["Keys"]
        self.assertIn(key, [k["KeyId"] for k in keys])

    def test_refusal_by_exit_status(self):
        done = self.run_aws("get-public-key", "--key-id", "alias/envelope")
        self.assertEqual(254, done.returncode)
        self.assertIn("(UnsupportedOperationException)", done.stderr)


if __name__ == "__main__":
    tap.main()
