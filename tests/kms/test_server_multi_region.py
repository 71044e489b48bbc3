#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Multi-Region keys: one material, several regions, separate lives."""
import json
import time
import unittest

from server_fixture import (ACCOUNT, Api, Server, ServerCase, key_arn,
                            wait_for)
import tap

HERE, THERE, THIRD = "eu-central-1", "us-west-2", "ap-south-1"
REGIONS = [o for r in (HERE, THERE, THIRD) for o in ("--region", r)]
DAY = 86400


class MultiRegion(ServerCase):
    options = REGIONS

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.here, cls.there, cls.third = (
            Api(cls.server, r) for r in (HERE, THERE, THIRD))

    def primary(self, *replicas, **options):
        made = self.here.create_key(MultiRegion=True,
                                    **options)["KeyMetadata"]
        for region in replicas:
            self.here.replicate_key(KeyId=made["KeyId"],
                                    ReplicaRegion=region)
        return made["KeyId"]

    def test_create(self):
        made = self.here.create_key(MultiRegion=True)["KeyMetadata"]
        self.assertRegex(made["KeyId"], "^mrk-[0-9a-f]{32}$")
        self.assertEqual(
            (True, {"MultiRegionKeyType": "PRIMARY",
                    "PrimaryKey": {"Arn": made["Arn"], "Region": HERE},
                    "ReplicaKeys": []}),
            (made["MultiRegion"], made["MultiRegionConfiguration"]))
        single = self.here.create_key()["KeyMetadata"]
        self.assertNotIn("MultiRegionConfiguration", single)
        self.assertFalse(single["MultiRegion"])

    def test_replicate(self):
        key = self.primary()
        answer = self.here.replicate_key(
            KeyId=key, ReplicaRegion=THERE, Description="other",
            Tags=[{"TagKey": "a", "TagValue": "b"}])
        m = answer["ReplicaKeyMetadata"]
        self.assertEqual((key, key_arn(key, THERE), "other", "Enabled"),
                         (m["KeyId"], m["Arn"], m["Description"],
                          m["KeyState"]))
        self.assertEqual([{"TagKey": "a", "TagValue": "b"}],
                         answer["ReplicaTags"])
        self.assertIn("Enable IAM User Permissions", answer["ReplicaPolicy"])
        config = {"PrimaryKey": {"Arn": key_arn(key, HERE), "Region": HERE},
                  "ReplicaKeys": [{"Arn": key_arn(key, THERE),
                                   "Region": THERE}]}
        for kms, kind in ((self.here, "PRIMARY"), (self.there, "REPLICA")):
            self.assertEqual({"MultiRegionKeyType": kind, **config},
                             kms.describe_key(KeyId=key)["KeyMetadata"]
                             ["MultiRegionConfiguration"])
        self.assertEqual([], self.here.list_resource_tags(KeyId=key)["Tags"])

    def test_decrypts_everywhere(self):
        """kms-multi-region-blob-decrypts-in-each-region-with-its-arn"""
        key = self.primary(THERE, THIRD)
        clients = ((self.here, HERE), (self.there, THERE),
                   (self.third, THIRD))
        for source, _ in clients:
            blob = source.encrypt(KeyId=key, Plaintext=b"x",
                                  EncryptionContext={"a": "b"})
            for target, region in clients:
                done = target.decrypt(
                    CiphertextBlob=blob["CiphertextBlob"],
                    KeyId=key_arn(key, region),
                    EncryptionContext={"a": "b"})
                self.assertEqual((b"x", key_arn(key, region)),
                                 (done["Plaintext"], done["KeyId"]))

    def test_sealed_for_each_region(self):
        """security-27-material-row-of-one-region-is-none-of-another"""
        key = self.primary(THERE)
        blob = self.here.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        here, there = (self.server.sql(
            "SELECT sealed FROM material WHERE key_id = ? AND region = ?",
            key, region)[0][0] for region in (HERE, THERE))
        self.server.sql("UPDATE material SET sealed = ? WHERE key_id = ?"
                        " AND region = ?", here, key, THERE)
        self.refused("InvalidCiphertextException", "", self.there.decrypt,
                     CiphertextBlob=blob)
        self.server.sql("UPDATE material SET sealed = ? WHERE key_id = ?"
                        " AND region = ?", there, key, THERE)
        self.there.decrypt(CiphertextBlob=blob)

    def test_lives_are_separate(self):
        key = self.primary(THERE)
        self.here.disable_key(KeyId=key)
        self.there.encrypt(KeyId=key, Plaintext=b"x")
        self.refused("DisabledException",
                     f"{key_arn(key, HERE)} is disabled.",
                     self.here.replicate_key, KeyId=key, ReplicaRegion=THIRD)
        self.there.create_alias(AliasName="alias/mine", TargetKeyId=key)
        self.assertEqual([], self.here.list_aliases(KeyId=key)["Aliases"])

    def test_refusals(self):
        """kms-replica-of-a-replica-or-of-a-single-region-key-refused"""
        key = self.primary(THERE)
        single = self.here.create_key()["KeyMetadata"]["KeyId"]
        for kms, name, region in ((self.there, key, THERE),
                                  (self.here, single, HERE)):
            for call in (lambda: kms.replicate_key(KeyId=name,
                                                   ReplicaRegion=THIRD),
                         lambda: kms.update_primary_region(
                             KeyId=name, PrimaryRegion=THIRD)):
                self.refused("UnsupportedOperationException",
                             f"{key_arn(name, region)} is not a multi-region primary key.",
                             call)
        for region in (HERE, THERE):
            self.refused("AlreadyExistsException",
                         f"Unable to replicate key '{key}' to region '{region}', as the key already exist there",
                         self.here.replicate_key, KeyId=key,
                         ReplicaRegion=region)
        self.refused("UnsupportedOperationException",
                     "This server is not the region sa-east-1.",
                     self.here.replicate_key, KeyId=key,
                     ReplicaRegion="sa-east-1")
        self.refused("MalformedPolicyDocumentException", None,
                     self.here.replicate_key, KeyId=key, ReplicaRegion=THIRD,
                     Policy="{}")
        policy = json.dumps({
            "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "kms:*", "Resource": "*",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}]})
        answer = self.here.replicate_key(KeyId=key, ReplicaRegion=THIRD,
                                         Policy=policy)
        self.assertEqual(policy, answer["ReplicaPolicy"])
        self.assertEqual(policy, self.third.get_key_policy(
            KeyId=key)["Policy"])
        self.assertNotEqual(policy, self.here.get_key_policy(
            KeyId=key)["Policy"])
        for call in (self.there.enable_key_rotation,
                     self.there.disable_key_rotation,
                     self.there.rotate_key_on_demand):
            self.refused("UnsupportedOperationException",
                         f"{key_arn(key, THERE)} is not a multi-region primary key.",
                         call, KeyId=key)

    def test_rotation_is_shared(self):
        """kms-rotation-reaches-every-replica"""
        key = self.primary(THERE)
        old = self.there.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        self.here.enable_key_rotation(KeyId=key, RotationPeriodInDays=120)
        self.here.rotate_key_on_demand(KeyId=key)
        ids = {kms.describe_key(KeyId=key)["KeyMetadata"]
               ["CurrentKeyMaterialId"] for kms in (self.here, self.there)}
        self.assertEqual(1, len(ids))
        new = self.here.encrypt(KeyId=key, Plaintext=b"y")["CiphertextBlob"]
        for kms in (self.here, self.there):
            self.assertEqual(b"x", kms.decrypt(
                CiphertextBlob=old)["Plaintext"])
            self.assertEqual(b"y", kms.decrypt(
                CiphertextBlob=new)["Plaintext"])
            self.assertEqual(120, kms.get_key_rotation_status(
                KeyId=key)["RotationPeriodInDays"])
        self.here.replicate_key(KeyId=key, ReplicaRegion=THIRD)
        for blob in (old, new):
            self.third.decrypt(CiphertextBlob=blob)
        events = {(r["eventName"], r["awsRegion"], r["eventType"])
                  for r in self.server.audit()
                  if r.get("serviceEventDetails") == {"keyId": key}}
        self.assertEqual(
            {("RotateKey", HERE, "AwsServiceEvent"),
             ("CreateKey", THERE, "AwsServiceEvent"),
             ("CreateKey", THIRD, "AwsServiceEvent"),
             ("SynchronizeMultiRegionKey", THERE, "AwsApiCall"),
             ("SynchronizeMultiRegionKey", THIRD, "AwsApiCall")}, events)

    def test_another_primary(self):
        key = self.primary(THERE)
        self.refused("ValidationException",
                     f"{HERE} is the primary region already.",
                     self.here.update_primary_region, KeyId=key,
                     PrimaryRegion=HERE)
        self.refused("NotFoundException",
                     f"Key '{key_arn(key, THIRD)}' does not exist",
                     self.here.update_primary_region, KeyId=key,
                     PrimaryRegion=THIRD)
        self.assertEqual({}, self.here.update_primary_region(
            KeyId=key, PrimaryRegion=THERE))
        for kms, kind in ((self.here, "REPLICA"), (self.there, "PRIMARY")):
            m = kms.describe_key(KeyId=key)["KeyMetadata"]
            self.assertEqual((kind, THERE, "Enabled"),
                             (m["MultiRegionConfiguration"]
                              ["MultiRegionKeyType"],
                              m["MultiRegionConfiguration"]["PrimaryKey"]
                              ["Region"], m["KeyState"]))
        self.there.rotate_key_on_demand(KeyId=key)
        self.there.replicate_key(KeyId=key, ReplicaRegion=THIRD)
        self.refused("UnsupportedOperationException", None,
                     self.here.rotate_key_on_demand, KeyId=key)
        self.there.disable_key(KeyId=key)
        self.refused("DisabledException",
                     f"{key_arn(key, THERE)} is disabled.",
                     self.there.update_primary_region, KeyId=key,
                     PrimaryRegion=HERE)
        self.there.enable_key(KeyId=key)
        self.here.disable_key(KeyId=key)
        self.refused("DisabledException",
                     f"{key_arn(key, HERE)} is disabled.",
                     self.there.update_primary_region, KeyId=key,
                     PrimaryRegion=HERE)

    def test_cancel(self):
        key = self.primary(THERE)
        answer = self.here.schedule_key_deletion(KeyId=key,
                                                 PendingWindowInDays=9)
        self.assertEqual({"KeyId": key_arn(key, HERE),
                          "KeyState": "PendingReplicaDeletion",
                          "PendingWindowInDays": 9}, answer)
        m = self.here.describe_key(KeyId=key)["KeyMetadata"]
        self.assertEqual(("PendingReplicaDeletion", 9),
                         (m["KeyState"], m["PendingDeletionWindowInDays"]))
        self.assertNotIn("DeletionDate", m)
        self.refused("KMSInvalidStateException",
                     f"{key_arn(key, HERE)} is pending deletion.",
                     self.here.encrypt, KeyId=key, Plaintext=b"x")
        self.there.encrypt(KeyId=key, Plaintext=b"x")
        self.here.cancel_key_deletion(KeyId=key)
        m = self.here.describe_key(KeyId=key)["KeyMetadata"]
        self.assertEqual("Disabled", m["KeyState"])
        self.assertNotIn("PendingDeletionWindowInDays", m)


class Deletion(unittest.TestCase):
    def setUp(self):
        self.server = Server("--test", *REGIONS, start=False)
        self.addCleanup(self.server.end)
        self.server.start_test_clock()
        self.here, self.there = (Api(self.server, r) for r in (HERE, THERE))
        self.key = self.here.create_key(MultiRegion=True)["KeyMetadata"][
            "KeyId"]

    def test_primary_waits_for_replicas(self):
        """kms-primary-is-deleted-after-its-last-replica"""
        server, here, there, key = self.server, self.here, self.there, self.key
        here.replicate_key(KeyId=key, ReplicaRegion=THERE)
        here.schedule_key_deletion(KeyId=key, PendingWindowInDays=10)
        server.advance(20 * DAY)
        time.sleep(2.5)
        self.assertEqual("PendingReplicaDeletion", here.describe_key(
            KeyId=key)["KeyMetadata"]["KeyState"])
        there.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        server.advance(27 * DAY + 60)
        wait_for(lambda: not server.sql(
            "SELECT 1 FROM kms_key WHERE key_id = ? AND region = ?",
            key, THERE), "the replica to be deleted")
        m = here.describe_key(KeyId=key)["KeyMetadata"]
        self.assertEqual("PendingDeletion", m["KeyState"])
        self.assertLess(abs(m["DeletionDate"] - time.time() - 37 * DAY), 600)
        server.advance(37 * DAY + 600)
        wait_for(lambda: not server.sql(
            "SELECT 1 FROM kms_key WHERE key_id = ?", key),
            "the primary to be deleted")
        names = [(r["eventName"], r["awsRegion"]) for r in server.audit()
                 if r.get("serviceEventDetails") == {"keyId": key}]
        self.assertEqual([("DeleteKey", THERE), ("DeleteKey", HERE)],
                         names[-2:])

    def test_a_deleted_replica_can_be_made_again(self):
        server, here, there, key = self.server, self.here, self.there, self.key
        blob = here.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        here.replicate_key(KeyId=key, ReplicaRegion=THERE)
        there.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        server.advance(7 * DAY + 60)
        wait_for(lambda: not server.sql(
            "SELECT 1 FROM kms_key WHERE key_id = ? AND region = ?",
            key, THERE), "the replica to be deleted")
        here.replicate_key(KeyId=key, ReplicaRegion=THERE)
        self.assertEqual(b"x", there.decrypt(
            CiphertextBlob=blob)["Plaintext"])
        wait_for(lambda: not server.sql("SELECT 1 FROM shred"),
                 "the old subkeys to be deleted")
        there.decrypt(CiphertextBlob=blob)


if __name__ == "__main__":
    tap.main()
