#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a key through AWS's clients for JavaScript."""
import json
import os
import pathlib
import subprocess

from server_fixture import ACCOUNT, REGION, ServerCase
import tap

HERE = pathlib.Path(__file__).resolve().parent
NODE_MODULES = pathlib.Path(os.environ.get(
    "XDG_CACHE_HOME", pathlib.Path.home() / ".cache"
)) / "dm-envelope" / "node" / "node_modules"
NODE_SECONDS = 300
OTHER = "eu-west-1"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"


def run_steps(server):
    """What each step of life.js said, by its name."""
    access, secret = server.credentials()
    settings = {
        "endpoint": server.endpoint, "ca": str(server.dir / "ca.pem"),
        "regions": [REGION, OTHER], "grantee": ADMIN,
        "credentials": {"administrator": {"accessKeyId": access,
                                          "secretAccessKey": secret}}}
    done = subprocess.run(
        ["node", str(HERE / "node" / "life.js")], input=json.dumps(settings),
        env={**os.environ, "NODE_PATH": str(NODE_MODULES),
             "AWS_CONFIG_FILE": "/dev/null",
             "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"},
        capture_output=True, text=True, timeout=NODE_SECONDS, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


class Node(ServerCase):
    options = ("--region", REGION, "--region", OTHER)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.said = run_steps(cls.server)

    def step(self, name):
        self.assertEqual("ok", self.said.get(name))

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
        """node-grants-and-tokens"""
        self.step("grants")

    def test_deletion(self):
        """node-deletion-and-cancelling-it"""
        self.step("deletion")

    def test_encryption_sdk(self):
        """node-encryption-sdk-keyring-of-two-keys"""
        self.step("encryptionSdk")


if __name__ == "__main__":
    tap.main()
