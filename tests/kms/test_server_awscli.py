#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a key through the AWS CLI, as people type it."""
import base64
import json
import os
import subprocess

from server_fixture import ACCOUNT, REGION, ServerCase, key_arn
import tap

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
OTHER = "eu-west-1"
CLI_SECONDS = 120


class AwsCli(ServerCase):
    options = ("--region", REGION, "--region", OTHER)

    def aws(self, *args, status=0, region=REGION, profile="envelope"):
        """`aws kms` with arguments; its answer, or its complaint."""
        done = subprocess.run(
            ["/usr/bin/aws", "kms", *args, "--endpoint-url",
             self.server.endpoint, "--region", region, "--profile", profile],
            env={**os.environ, "AWS_CONFIG_FILE": "/dev/null",
                 "AWS_SHARED_CREDENTIALS_FILE":
                     str(self.server.dir / "credentials"),
                 "AWS_CA_BUNDLE": str(self.server.dir / "ca.pem"),
                 "AWS_PAGER": ""},
            capture_output=True, text=True, timeout=CLI_SECONDS, check=False)
        self.assertEqual(status, done.returncode, done.stderr)
        if status:
            return done.stderr.strip()
        return json.loads(done.stdout) if done.stdout.strip() else None

    def test_data_keys_under_an_alias(self):
        """awscli-alias-data-keys-with-context"""
        key = self.aws("create-key", "--description", "of the CLI", "--tags",
                       "TagKey=stage,TagValue=test")["KeyMetadata"]
        self.aws("create-alias", "--alias-name", "alias/cli",
                 "--target-key-id", key["KeyId"])
        made = self.aws("generate-data-key", "--key-id", "alias/cli",
                        "--number-of-bytes", "64", "--encryption-context",
                        "volume=vol-1,generation=1")
        self.assertEqual(key["Arn"], made["KeyId"])
        blob = self.server.folder / "blob"
        blob.write_bytes(base64.b64decode(made["CiphertextBlob"]))
        back = self.aws("decrypt", "--ciphertext-blob", f"fileb://{blob}",
                        "--encryption-context",
                        "generation=1,volume=vol-1")
        self.assertEqual(made["Plaintext"], back["Plaintext"])
        said = self.aws("decrypt", "--ciphertext-blob", f"fileb://{blob}",
                        status=254)
        self.assertIn("An error occurred (InvalidCiphertextException) when calling the Decrypt operation",
                      said)
        self.assertEqual([{"TagKey": "stage", "TagValue": "test"}], self.aws(
            "list-resource-tags", "--key-id", key["KeyId"])["Tags"])

    def test_policy(self):
        """awscli-create-with-policy-and-replace-it"""
        policy = self.server.folder / "policy.json"
        statement = {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
                     "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
        policy.write_text(json.dumps(
            {"Version": "2012-10-17", "Statement": [statement]}))
        key = self.aws("create-key", "--policy",
                       f"file://{policy}")["KeyMetadata"]["KeyId"]
        deny = {**statement, "Effect": "Deny", "Action": "kms:Encrypt",
                "Principal": {"AWS": "*"}}
        policy.write_text(json.dumps(
            {"Version": "2012-10-17", "Statement": [statement, deny]}))
        self.aws("put-key-policy", "--key-id", key, "--policy-name",
                 "default", "--policy", f"file://{policy}")
        self.assertEqual(
            [statement, deny], json.loads(self.aws(
                "get-key-policy", "--key-id", key, "--policy-name",
                "default")["Policy"])["Statement"])
        said = self.aws("encrypt", "--key-id", key, "--plaintext", "eA==",
                        status=254)
        self.assertEqual(f"An error occurred (AccessDeniedException) when calling the Encrypt operation: User: {ADMIN} is not authorized to perform: kms:Encrypt on resource: {key_arn(key)} with an explicit deny in a resource-based policy",
                         said)

    def test_rotation(self):
        """awscli-rotation-then-decrypt-of-old-blobs"""
        key, _ = self.new_key()
        blob = self.server.folder / "old"
        blob.write_bytes(self.kms.encrypt(
            KeyId=key, Plaintext=b"old")["CiphertextBlob"])
        self.aws("enable-key-rotation", "--key-id", key)
        self.assertTrue(self.aws("get-key-rotation-status", "--key-id",
                                 key)["KeyRotationEnabled"])
        # This CLI is older than rotate-key-on-demand.
        self.assertEqual(200, self.server.call(
            "RotateKeyOnDemand", {"KeyId": key}).status)
        self.assertEqual("b2xk", self.aws(
            "decrypt", "--ciphertext-blob", f"fileb://{blob}")["Plaintext"])

    def test_regions(self):
        """awscli-replicate-and-decrypt-across-regions"""
        key, _ = self.new_key(MultiRegion=True)
        blob = self.server.folder / "far"
        blob.write_bytes(self.kms.encrypt(
            KeyId=key, Plaintext=b"far")["CiphertextBlob"])
        self.aws("replicate-key", "--key-id", key, "--replica-region", OTHER)
        back = self.aws("decrypt", "--ciphertext-blob", f"fileb://{blob}",
                        region=OTHER)
        self.assertEqual(("ZmFy", key_arn(key, OTHER)),
                         (back["Plaintext"], back["KeyId"]))

    def test_grants(self):
        """awscli-grants-with-constraints"""
        key, _ = self.new_key()
        made = self.aws(
            "create-grant", "--key-id", key, "--grantee-principal", ADMIN,
            "--operations", "Decrypt", "DescribeKey", "--name", "cli",
            "--retiring-principal", ADMIN, "--constraints",
            "EncryptionContextSubset={volume=vol-1}")
        grant, = self.aws("list-grants", "--key-id", key)["Grants"]
        self.assertEqual(
            (made["GrantId"], key_arn(key),
             {"EncryptionContextSubset": {"volume": "vol-1"}}),
            (grant["GrantId"], grant["KeyId"], grant["Constraints"]))
        self.assertEqual([made["GrantId"]], [g["GrantId"] for g in self.aws(
            "list-retirable-grants", "--retiring-principal", ADMIN)["Grants"]])
        self.aws("describe-key", "--key-id", key, "--grant-tokens",
                 made["GrantToken"])
        self.aws("retire-grant", "--grant-token", made["GrantToken"])
        said = self.aws("revoke-grant", "--key-id", key, "--grant-id",
                        made["GrantId"], status=254)
        self.assertEqual(f"An error occurred (NotFoundException) when calling the RevokeGrant operation: Grant ID {made['GrantId']} not found",
                         said)

    def test_deletion(self):
        """awscli-deletion-and-cancelling-it"""
        key, _ = self.new_key()
        until = self.aws("schedule-key-deletion", "--key-id", key,
                         "--pending-window-in-days", "7")
        self.assertEqual(("PendingDeletion", 7),
                         (until["KeyState"], until["PendingWindowInDays"]))
        said = self.aws("encrypt", "--key-id", key, "--plaintext", "eA==",
                        status=254)
        self.assertEqual(f"An error occurred (KMSInvalidStateException) when calling the Encrypt operation: {key_arn(key)} is pending deletion.",
                         said)
        self.assertEqual(key_arn(key), self.aws(
            "cancel-key-deletion", "--key-id", key)["KeyId"])
        self.aws("enable-key", "--key-id", key)

    def test_pages(self):
        """awscli-pages-of-one"""
        key, _ = self.new_key()
        for i in range(2):
            self.kms.create_grant(KeyId=key, GranteePrincipal=ADMIN,
                                  Operations=["Decrypt"], Name=f"g{i}")
        self.assertEqual({"g0", "g1"}, {g["Name"] for g in self.aws(
            "list-grants", "--key-id", key, "--page-size", "1")["Grants"]})


if __name__ == "__main__":
    tap.main()
