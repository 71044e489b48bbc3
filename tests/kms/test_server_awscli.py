#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a key through the AWS CLI, as people type it."""
import base64
import json
import os
import subprocess

from server_clients import (ADMIN, MODELS, OTHER, ClientCase, make_material,
                            wrap_material)
from server_fixture import ACCOUNT, REGION, key_arn
from server_people import denied
import tap

CLI_SECONDS = 300


class AwsCli(ClientCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.credentials = cls.server.folder / "credentials"
        cls.credentials.write_text(
            (cls.server.dir / "credentials").read_text() + f"""
[friend]
aws_access_key_id = {cls.friend.access}
aws_secret_access_key = {cls.friend.secret}
""")

    def file(self, name, data):
        """The name by which the CLI takes @data, bytes or base64."""
        path = self.server.folder / name
        path.write_bytes(data if isinstance(data, bytes)
                         else base64.b64decode(data))
        return f"fileb://{path}"

    def aws(self, *args, status=0, region=REGION, profile="envelope"):
        """`aws kms` with arguments; its answer, or its complaint."""
        done = subprocess.run(
            ["/usr/bin/aws", "kms", *args, "--endpoint-url",
             self.server.endpoint, "--region", region, "--profile", profile,
             "--cli-read-timeout", str(CLI_SECONDS)],
            env={**os.environ, "AWS_CONFIG_FILE": "/dev/null",
                 "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials),
                 "AWS_DATA_PATH": MODELS,
                 "AWS_CA_BUNDLE": str(self.server.dir / "ca.pem"),
                 "AWS_PAGER": ""},
            capture_output=True, text=True, timeout=CLI_SECONDS, check=False)
        self.assertEqual(status, done.returncode, done.stderr)
        if status:
            return done.stderr.strip()
        return json.loads(done.stdout) if done.stdout.strip() else None

    def test_data_keys_under_an_alias(self):
        """awscli-alias-data-keys-with-context"""
        key = self.aws("create-key", "--description",
                       "of the CLI")["KeyMetadata"]
        self.aws("create-alias", "--alias-name", "alias/cli",
                 "--target-key-id", key["KeyId"])
        made = self.aws("generate-data-key", "--key-id", "alias/cli",
                        "--number-of-bytes", "64", "--encryption-context",
                        "volume=vol-1,generation=1")
        self.assertEqual(key["Arn"], made["KeyId"])
        blob = self.file("blob", made["CiphertextBlob"])
        back = self.aws("decrypt", "--ciphertext-blob", blob,
                        "--encryption-context",
                        "generation=1,volume=vol-1")
        self.assertEqual(made["Plaintext"], back["Plaintext"])
        said = self.aws("decrypt", "--ciphertext-blob", blob, status=254)
        self.assertIn("An error occurred (InvalidCiphertextException) when calling the Decrypt operation",
                      said)

    def test_tags(self):
        """awscli-tags-at-creation-and-later"""
        key = self.aws("create-key", "--tags", "TagKey=stage,TagValue=test")[
            "KeyMetadata"]["KeyId"]
        self.aws("tag-resource", "--key-id", key, "--tags",
                 "TagKey=stage,TagValue=live", "TagKey=cost,TagValue=")
        self.assertEqual(
            [{"TagKey": "cost", "TagValue": ""},
             {"TagKey": "stage", "TagValue": "live"}],
            self.aws("list-resource-tags", "--key-id", key)["Tags"])
        self.aws("untag-resource", "--key-id", key, "--tag-keys", "stage")
        self.assertEqual(
            [{"TagKey": "cost", "TagValue": ""}],
            self.aws("list-resource-tags", "--key-id", key)["Tags"])
        said = self.aws("tag-resource", "--key-id", key, "--tags",
                        "TagKey=aws:a,TagValue=b", status=254)
        self.assertEqual("An error occurred (TagException) when calling the TagResource operation: Tags beginning with aws: are reserved",
                         said)

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
        blob = self.file("old", self.kms.encrypt(
            KeyId=key, Plaintext=b"old")["CiphertextBlob"])
        self.aws("enable-key-rotation", "--key-id", key)
        self.assertTrue(self.aws("get-key-rotation-status", "--key-id",
                                 key)["KeyRotationEnabled"])
        self.assertEqual({"KeyId": key}, self.aws(
            "rotate-key-on-demand", "--key-id", key))
        self.assertEqual("b2xk", self.aws(
            "decrypt", "--ciphertext-blob", blob)["Plaintext"])
        fresh = self.kms.encrypt(KeyId=key, Plaintext=b"old")
        moved = self.aws("re-encrypt", "--ciphertext-blob", blob,
                         "--destination-key-id", key)
        materials = {self.server.call("Decrypt", {"CiphertextBlob": b}).json[
            "KeyMaterialId"] for b in (
                base64.b64encode(fresh["CiphertextBlob"]).decode(),
                moved["CiphertextBlob"])}
        self.assertEqual(1, len(materials))

    def bring(self, key, material, *options, **how):
        got = self.aws("get-parameters-for-import", "--key-id", key,
                       "--wrapping-algorithm", "RSAES_OAEP_SHA_256",
                       "--wrapping-key-spec", "RSA_2048")
        wrapped = wrap_material(material, base64.b64decode(got["PublicKey"]),
                                self.server.folder)
        return self.aws("import-key-material", "--key-id", key,
                        "--import-token",
                        self.file("token", got["ImportToken"]),
                        "--encrypted-key-material",
                        self.file("wrapped", wrapped), "--expiration-model",
                        "KEY_MATERIAL_DOES_NOT_EXPIRE", *options, **how)

    def test_import(self):
        """awscli-import-of-material-made-by-openssl"""
        made = self.aws("create-key", "--origin", "EXTERNAL")["KeyMetadata"]
        key, material = made["KeyId"], make_material()
        self.assertEqual("PendingImport", made["KeyState"])
        self.bring(key, material)
        blob = self.file("imported", self.aws(
            "encrypt", "--key-id", key, "--plaintext",
            "aW1wb3J0ZWQ=")["CiphertextBlob"])
        self.aws("delete-imported-key-material", "--key-id", key)
        said = self.aws("decrypt", "--ciphertext-blob", blob, status=254)
        self.assertEqual(f"An error occurred (KMSInvalidStateException) when calling the Decrypt operation: {made['Arn']} is pending import.",
                         said)
        said = self.bring(key, make_material(), status=254)
        self.assertIn("An error occurred (IncorrectKeyMaterialException) when calling the ImportKeyMaterial operation",
                      said)
        self.bring(key, material)
        self.bring(key, make_material(), "--import-type", "NEW_KEY_MATERIAL")
        self.aws("rotate-key-on-demand", "--key-id", key)
        self.assertEqual("aW1wb3J0ZWQ=", self.aws(
            "decrypt", "--ciphertext-blob", blob)["Plaintext"])

    def test_regions(self):
        """awscli-replicate-and-decrypt-across-regions"""
        key, _ = self.new_key(MultiRegion=True)
        blob = self.file("far", self.kms.encrypt(
            KeyId=key, Plaintext=b"far")["CiphertextBlob"])
        self.aws("replicate-key", "--key-id", key, "--replica-region", OTHER)
        back = self.aws("decrypt", "--ciphertext-blob", blob,
                        region=OTHER)
        self.assertEqual(("ZmFy", key_arn(key, OTHER)),
                         (back["Plaintext"], back["KeyId"]))

    def test_grants(self):
        """awscli-grants-with-constraints"""
        key, arn = self.new_key()
        blob = self.file("granted", self.kms.encrypt(
            KeyId=key, Plaintext=b"x", EncryptionContext={
                "volume": "vol-1", "n": "1"})["CiphertextBlob"])
        made = self.aws(
            "create-grant", "--key-id", key, "--grantee-principal",
            self.friend.arn, "--operations", "Decrypt", "DescribeKey",
            "--name", "cli", "--retiring-principal", ADMIN, "--constraints",
            "EncryptionContextSubset={volume=vol-1}")
        grant, = self.aws("list-grants", "--key-id", key)["Grants"]
        self.assertEqual(
            (made["GrantId"], arn,
             {"EncryptionContextSubset": {"volume": "vol-1"}}),
            (grant["GrantId"], grant["KeyId"], grant["Constraints"]))
        self.assertEqual([made["GrantId"]], [g["GrantId"] for g in self.aws(
            "list-retirable-grants", "--retiring-principal", ADMIN)["Grants"]])
        ask = ("decrypt", "--ciphertext-blob", blob, "--grant-tokens",
               made["GrantToken"], "--encryption-context")
        self.assertEqual("eA==", self.aws(
            *ask, "volume=vol-1,n=1", profile="friend")["Plaintext"])
        no = "An error occurred (AccessDeniedException) when calling the Decrypt operation: "
        self.assertTrue(self.aws(*ask, "volume=vol-2,n=1", profile="friend",
                                 status=254).startswith(no))
        self.aws("retire-grant", "--grant-token", made["GrantToken"])
        said = self.aws("decrypt", "--ciphertext-blob", blob, "--key-id", key,
                        "--encryption-context", "volume=vol-1,n=1",
                        profile="friend", status=254)
        self.assertEqual(no + denied(self.friend.arn, "kms:Decrypt", arn,
                                     "because no identity-based policy allows the kms:Decrypt action"),
                         said)
        said = self.aws("revoke-grant", "--key-id", key, "--grant-id",
                        made["GrantId"], status=254)
        self.assertEqual(f"An error occurred (NotFoundException) when calling the RevokeGrant operation: Grant ID {made['GrantId']} not found",
                         said)

    def test_deletion(self):
        """awscli-deletion-cancelled-and-then-not"""
        key, arn = self.new_key()
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
        self.aws("schedule-key-deletion", "--key-id", key,
                 "--pending-window-in-days", "7")
        self.pass_days(8)
        said = self.aws("describe-key", "--key-id", key, status=254)
        self.assertEqual(f"An error occurred (NotFoundException) when calling the DescribeKey operation: Key '{arn}' does not exist",
                         said)

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
