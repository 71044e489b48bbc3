#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a key through AWS's clients for JavaScript."""
import json
import os
import pathlib
import subprocess

from server_clients import ADMIN, OTHER, ClientCase
from server_fixture import REGION
import tap

HERE = pathlib.Path(__file__).resolve().parent
NODE_MODULES = pathlib.Path(os.environ.get(
    "XDG_CACHE_HOME", pathlib.Path.home() / ".cache"
)) / "dm-envelope" / "node" / "node_modules"
NODE_SECONDS = 300


def run_steps(server, friend, script):
    """What each step of @script said, by its name."""
    access, secret = server.credentials()
    settings = {
        "endpoint": server.endpoint, "ca": str(server.dir / "ca.pem"),
        "folder": str(server.folder), "clock": str(server.folder / "clock"),
        "regions": [REGION, OTHER], "administrator": ADMIN,
        "friend": friend.arn, "credentials": {
            "administrator": {"accessKeyId": access,
                              "secretAccessKey": secret},
            "friend": {"accessKeyId": friend.access,
                       "secretAccessKey": friend.secret}}}
    done = subprocess.run(
        ["node", str(HERE / "node" / script)], input=json.dumps(settings),
        env={**os.environ, "NODE_PATH": str(NODE_MODULES),
             "AWS_CONFIG_FILE": "/dev/null",
             "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"},
        capture_output=True, text=True, timeout=NODE_SECONDS, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


class NodeCase(ClientCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.said = run_steps(cls.server, cls.friend, cls.script)

    def step(self, name):
        self.assertEqual("ok", self.said.get(name))


class Node(NodeCase):
    script = "life.js"

    def test_alias_and_data_keys(self):
        """node-alias-and-data-keys-with-context"""
        self.step("aliasAndDataKeys")

    def test_policy(self):
        """node-create-with-policy-and-replace-it"""
        self.step("policy")

    def test_rotation(self):
        """node-rotation-then-decrypt-of-old-blobs"""
        self.step("rotation")

    def test_regions(self):
        """node-replicate-and-decrypt-across-regions"""
        self.step("regions")

    def test_tags(self):
        """node-tags-and-description"""
        self.step("tags")

    def test_grants(self):
        """node-grants-with-constraints-and-tokens"""
        self.step("grants")

    def test_deletion(self):
        """node-deletion-cancelled-and-then-not"""
        self.step("deletion")

    def test_import(self):
        """node-import-of-material-made-by-openssl"""
        self.step("importing")


class EncryptionSdk(NodeCase):
    script = "encryption_sdk.js"

    def test_keyring(self):
        """encryption-sdk-keyring-of-two-keys"""
        self.step("keyringOfTwoKeys")

    def test_policy(self):
        """encryption-sdk-create-with-policy-on-the-context-and-replace-it"""
        self.step("policyOnContext")

    def test_alias(self):
        """encryption-sdk-alias-that-moves-on"""
        self.step("alias")

    def test_grants(self):
        """encryption-sdk-grants-with-constraints"""
        self.step("grants")

    def test_rotation(self):
        """encryption-sdk-rotation-then-decrypt-of-old-messages"""
        self.step("rotation")

    def test_import(self):
        """encryption-sdk-import-of-material-made-by-openssl"""
        self.step("importing")

    def test_regions(self):
        """encryption-sdk-replicate-and-decrypt-across-regions"""
        self.step("regions")

    def test_tags(self):
        """encryption-sdk-tags-decide-who-may"""
        self.step("tags")

    def test_deletion(self):
        """encryption-sdk-deletion-cancelled-and-then-not"""
        self.step("deletion")


if __name__ == "__main__":
    tap.main()
