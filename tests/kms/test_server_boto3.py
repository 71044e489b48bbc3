#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a key through boto3, each part as its users write it."""
import datetime
import json
import os

from server_clients import (ADMIN, MODELS, OTHER, ClientCase, make_material,
                            wrap_material)
from server_fixture import ACCOUNT, REGION
from server_people import denied, missing
import tap

os.environ["AWS_DATA_PATH"] = MODELS
POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
     "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}},
    {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*",
     "Principal": {"AWS": "*"},
     "Condition": {"StringNotEquals": {
         "kms:EncryptionContext:purpose": "test"}}}]}
CONTEXT = {"envelope:volume-id": "vol-1", "ключ": "🔑"}


class Boto3(ClientCase):
    def test_regions(self):
        """boto3-replicate-and-decrypt-across-regions"""
        key, arn = self.new_key(MultiRegion=True)
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x",
                                EncryptionContext=CONTEXT)["CiphertextBlob"]
        replica = self.kms.replicate_key(
            KeyId=key, ReplicaRegion=OTHER)["ReplicaKeyMetadata"]
        self.assertEqual((key, arn.replace(REGION, OTHER)),
                         (replica["KeyId"], replica["Arn"]))
        there = self.server.client(region=OTHER)
        back = there.decrypt(CiphertextBlob=blob, KeyId=replica["Arn"],
                             EncryptionContext=CONTEXT)
        self.assertEqual((b"x", replica["Arn"]),
                         (back["Plaintext"], back["KeyId"]))
        single, _ = self.new_key()
        lone = self.kms.encrypt(KeyId=single,
                                Plaintext=b"x")["CiphertextBlob"]
        self.refused("AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
                     there.decrypt, CiphertextBlob=lone)
        self.refused("NotFoundException", f"Invalid arn {REGION}",
                     there.describe_key, KeyId=arn)

    def test_data_keys_under_an_alias(self):
        """boto3-alias-data-keys-with-context"""
        key, arn = self.new_key(Description="of boto3")
        other, other_arn = self.new_key()
        self.kms.create_alias(AliasName="alias/boto", TargetKeyId=key)
        made = self.kms.generate_data_key(
            KeyId="alias/boto", NumberOfBytes=64, EncryptionContext=CONTEXT)
        self.kms.update_alias(AliasName="alias/boto", TargetKeyId=other)
        back = self.kms.decrypt(CiphertextBlob=made["CiphertextBlob"],
                                EncryptionContext=CONTEXT)
        self.assertEqual((made["Plaintext"], arn),
                         (back["Plaintext"], back["KeyId"]))
        moved = self.kms.re_encrypt(
            CiphertextBlob=made["CiphertextBlob"],
            SourceEncryptionContext=CONTEXT, DestinationKeyId="alias/boto")
        self.assertEqual((arn, other_arn),
                         (moved["SourceKeyId"], moved["KeyId"]))
        with self.assertRaises(self.kms.exceptions.IncorrectKeyException):
            self.kms.decrypt(CiphertextBlob=moved["CiphertextBlob"],
                             KeyId=key)
        with self.assertRaises(
                self.kms.exceptions.InvalidCiphertextException):
            self.kms.decrypt(CiphertextBlob=made["CiphertextBlob"])
        self.kms.delete_alias(AliasName="alias/boto")

    def test_policy(self):
        """boto3-create-with-policy-and-replace-it"""
        key, arn = self.new_key(Policy=json.dumps(POLICY))
        self.assertEqual(["default"], self.kms.list_key_policies(
            KeyId=key)["PolicyNames"])
        self.assertEqual(POLICY, json.loads(self.kms.get_key_policy(
            KeyId=key, PolicyName="default")["Policy"]))
        blobs = [self.kms.encrypt(
            KeyId=key, Plaintext=b"x",
            EncryptionContext={"purpose": p})["CiphertextBlob"]
            for p in ("test", "other")]
        self.kms.decrypt(CiphertextBlob=blobs[0],
                         EncryptionContext={"purpose": "test"})
        self.refused("AccessDeniedException", f"User: {ADMIN} is not authorized to perform: kms:Decrypt on resource: {arn} with an explicit deny in a resource-based policy",
                     self.kms.decrypt, CiphertextBlob=blobs[1], KeyId=key,
                     EncryptionContext={"purpose": "other"})
        self.kms.put_key_policy(KeyId=key, PolicyName="default",
                                Policy=json.dumps(
                                    {**POLICY,
                                     "Statement": POLICY["Statement"][:1]}))
        self.kms.decrypt(CiphertextBlob=blobs[1],
                         EncryptionContext={"purpose": "other"})
        with self.assertRaises(
                self.kms.exceptions.MalformedPolicyDocumentException):
            self.kms.put_key_policy(KeyId=key, PolicyName="default",
                                    Policy="{}")

    def test_rotation(self):
        """boto3-rotation-then-decrypt-of-old-blobs"""
        key, arn = self.new_key()
        self.assertFalse(self.kms.get_key_rotation_status(
            KeyId=key)["KeyRotationEnabled"])
        self.kms.enable_key_rotation(KeyId=key)
        self.assertTrue(self.kms.get_key_rotation_status(
            KeyId=key)["KeyRotationEnabled"])
        blobs = []
        for i in range(3):
            blobs.append(self.kms.encrypt(
                KeyId=key, Plaintext=b"%d" % i)["CiphertextBlob"])
            self.assertEqual(key, self.kms.rotate_key_on_demand(
                KeyId=key)["KeyId"])
        self.assertEqual([b"0", b"1", b"2"], [
            self.kms.decrypt(CiphertextBlob=b, KeyId=arn)["Plaintext"]
            for b in blobs])
        self.kms.disable_key_rotation(KeyId=key)

    def bring(self, key, material, **options):
        got = self.kms.get_parameters_for_import(
            KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256",
            WrappingKeySpec="RSA_2048")
        return self.kms.import_key_material(
            KeyId=key, ImportToken=got["ImportToken"],
            EncryptedKeyMaterial=wrap_material(material, got["PublicKey"],
                                               self.server.folder),
            **{"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE", **options})

    def test_import(self):
        """boto3-import-of-material-made-by-openssl"""
        key, arn = self.new_key(Origin="EXTERNAL")
        material = make_material()
        until = datetime.datetime.now(datetime.timezone.utc).replace(
            microsecond=0) + datetime.timedelta(days=self.days + 20)
        self.bring(key, material, ValidTo=until,
                   ExpirationModel="KEY_MATERIAL_EXPIRES")
        m = self.kms.describe_key(KeyId=key)["KeyMetadata"]
        self.assertEqual(("Enabled", until), (m["KeyState"], m["ValidTo"]))
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x",
                                EncryptionContext=CONTEXT)["CiphertextBlob"]
        ask = {"CiphertextBlob": blob, "EncryptionContext": CONTEXT}
        self.pass_days(21)
        self.refused("KMSInvalidStateException", f"{arn} is pending import.",
                     self.kms.decrypt, **ask)
        with self.assertRaises(
                self.kms.exceptions.IncorrectKeyMaterialException):
            self.bring(key, make_material())
        self.bring(key, material)
        self.bring(key, make_material(), ImportType="NEW_KEY_MATERIAL")
        self.kms.rotate_key_on_demand(KeyId=key)
        self.assertEqual(b"x", self.kms.decrypt(**ask)["Plaintext"])

    def test_grants(self):
        """boto3-grants-with-constraints"""
        key, arn = self.new_key()
        made = [self.kms.create_grant(
            KeyId=key, GranteePrincipal=self.friend.arn,
            RetiringPrincipal=ADMIN, Operations=[operation],
            Constraints={kind: CONTEXT}) for operation, kind in (
                ("Decrypt", "EncryptionContextSubset"),
                ("Encrypt", "EncryptionContextEquals"))]
        friend = self.server.client(**self.friend.boto())
        more = {**CONTEXT, "more": "1"}
        self.assertEqual(b"x", friend.decrypt(
            CiphertextBlob=self.kms.encrypt(
                KeyId=key, Plaintext=b"x",
                EncryptionContext=more)["CiphertextBlob"],
            EncryptionContext=more,
            GrantTokens=[made[0]["GrantToken"]])["Plaintext"])
        friend.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext=CONTEXT)
        self.refused("AccessDeniedException", denied(
            self.friend.arn, "kms:Encrypt", arn,
            missing("identity", "kms:Encrypt")), friend.encrypt, KeyId=arn,
            Plaintext=b"x", EncryptionContext=more)
        for name, more in (("list_grants", {"KeyId": key}),
                           ("list_retirable_grants",
                            {"RetiringPrincipal": ADMIN})):
            found = {}
            marker = {}
            while True:
                page = getattr(self.kms, name)(Limit=1, **more, **marker)
                found.update((g["GrantId"], g["Constraints"])
                             for g in page["Grants"])
                if not page["Truncated"]:
                    break
                marker = {"Marker": page["NextMarker"]}
            self.assertEqual(
                {made[0]["GrantId"]: {"EncryptionContextSubset": CONTEXT},
                 made[1]["GrantId"]: {"EncryptionContextEquals": CONTEXT}},
                found)
        self.kms.revoke_grant(KeyId=key, GrantId=made[0]["GrantId"])
        self.kms.retire_grant(GrantToken=made[1]["GrantToken"])
        with self.assertRaises(self.kms.exceptions.ClientError):
            friend.encrypt(KeyId=arn, Plaintext=b"x",
                           EncryptionContext=CONTEXT)
        with self.assertRaises(
                self.kms.exceptions.InvalidGrantTokenException):
            self.kms.describe_key(KeyId=key,
                                  GrantTokens=[made[1]["GrantToken"]])

    def test_tags(self):
        """boto3-tags-and-description"""
        key, _ = self.new_key(Tags=[{"TagKey": "a", "TagValue": "1"}])
        self.kms.tag_resource(KeyId=key, Tags=[{"TagKey": "b",
                                                "TagValue": ""}])
        with self.assertRaises(self.kms.exceptions.TagException):
            self.kms.tag_resource(KeyId=key, Tags=[
                {"TagKey": "aws:a", "TagValue": ""}])
        pages = self.kms.get_paginator("list_resource_tags").paginate(
            KeyId=key, PaginationConfig={"PageSize": 1})
        self.assertEqual([("a", "1"), ("b", "")], [
            (t["TagKey"], t["TagValue"]) for p in pages for t in p["Tags"]])
        self.kms.untag_resource(KeyId=key, TagKeys=["a", "b"])
        self.kms.update_key_description(KeyId=key, Description="new")
        self.assertEqual("new", self.kms.describe_key(
            KeyId=key)["KeyMetadata"]["Description"])

    def test_deletion(self):
        """boto3-deletion-cancelled-and-then-not"""
        key, arn = self.new_key()
        self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        with self.assertRaises(
                self.kms.exceptions.KMSInvalidStateException):
            self.kms.encrypt(KeyId=key, Plaintext=b"x")
        self.assertEqual(arn, self.kms.cancel_key_deletion(
            KeyId=key)["KeyId"])
        with self.assertRaises(self.kms.exceptions.DisabledException):
            self.kms.encrypt(KeyId=key, Plaintext=b"x")
        self.kms.enable_key(KeyId=key)
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        self.pass_days(8)
        self.refused("NotFoundException", f"Key '{arn}' does not exist",
                     self.kms.describe_key, KeyId=key)
        self.refused("AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
                     self.kms.decrypt, CiphertextBlob=blob)


if __name__ == "__main__":
    tap.main()
