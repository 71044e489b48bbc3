#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""alias/aws/ebs: made on first use, used by all, changed by nobody."""
import json
import pathlib
import time
import unittest

from server_fixture import (ACCOUNT, REGION, Api, Server, ServerCase,
                            key_arn, wait_for)
from server_people import Person, identity, statement
import tap

ALIAS = "alias/aws/ebs"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
OTHER = "eu-west-1"
STRANGERS = "999988887777"
MANUAL = (pathlib.Path(__file__).resolve().parent.parent.parent /
          "tools/envelope-kms/envelope-kms.8")


class Managed(ServerCase):
    options = ("--region", REGION, "--region", OTHER)

    def setUp(self):
        self.kms = Api(self.server)

    def key(self):
        return self.kms.describe_key(KeyId=ALIAS)["KeyMetadata"]

    def test_made_on_first_use(self):
        """kms-managed-key-appears-per-region-on-first-use"""
        fresh = Server("--region", REGION, "--region", OTHER)
        self.addCleanup(fresh.end)
        kms = {r: Api(fresh, r) for r in (REGION, OTHER)}
        predefined = {"AliasName": ALIAS,
                      "AliasArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:{ALIAS}"}
        listed = kms[REGION].list_aliases()["Aliases"]
        self.assertEqual([ALIAS, "alias/envelope"],
                         [a["AliasName"] for a in listed])
        self.assertEqual(predefined, listed[0])
        pages = kms[REGION].pages("ListAliases", Limit=1)
        self.assertEqual([[ALIAS], ["alias/envelope"]], [
            [a["AliasName"] for a in p["Aliases"]] for p in pages])
        blob = kms[REGION].encrypt(KeyId=ALIAS, Plaintext=b"x")
        m = kms[REGION].describe_key(KeyId=ALIAS)["KeyMetadata"]
        self.assertEqual(
            ("AWS", "Enabled", "AWS_KMS", key_arn(m["KeyId"]), blob["KeyId"],
             "Default key that protects my EBS volumes when no other key is defined"),
            (m["KeyManager"], m["KeyState"], m["Origin"], m["Arn"], m["Arn"],
             m["Description"]))
        listed = kms[REGION].list_aliases()["Aliases"]
        self.assertEqual([ALIAS, "alias/envelope"],
                         [a["AliasName"] for a in listed])
        self.assertEqual(m["KeyId"], listed[0]["TargetKeyId"])
        self.assertEqual(predefined["AliasName"],
                         kms[OTHER].list_aliases()["Aliases"][0]["AliasName"])
        self.assertNotIn("TargetKeyId",
                         kms[OTHER].list_aliases()["Aliases"][0])
        other = kms[OTHER].describe_key(KeyId=ALIAS)["KeyMetadata"]
        self.assertNotEqual(m["KeyId"], other["KeyId"])
        self.assertIn(m["KeyId"], [k["KeyId"] for k in
                                   kms[REGION].list_keys()["Keys"]])
        self.assertEqual(b"x", kms[REGION].decrypt(
            CiphertextBlob=blob["CiphertextBlob"])["Plaintext"])
        events = [r for r in fresh.audit() if r["eventName"] == "CreateKey"
                  and r["eventType"] == "AwsServiceEvent"]
        self.assertEqual({REGION, OTHER}, {r["awsRegion"] for r in events})

    def test_changed_by_nobody(self):
        """kms-managed-key-takes-no-change"""
        key, arn = self.key()["KeyId"], self.key()["Arn"]
        for operation, body in (
                ("DisableKey", {}), ("EnableKey", {}),
                ("ScheduleKeyDeletion", {}), ("CancelKeyDeletion", {}),
                ("RotateKeyOnDemand", {}), ("EnableKeyRotation", {}),
                ("DisableKeyRotation", {}),
                ("PutKeyPolicy", {"Policy": "{}"}),
                ("UpdateKeyDescription", {"Description": "x"}),
                ("TagResource", {"Tags": [{"TagKey": "a", "TagValue": "b"}]}),
                ("UntagResource", {"TagKeys": ["a"]}),
                ("ReplicateKey", {"ReplicaRegion": OTHER})):
            self.refused("AccessDeniedException",
                         f"User: {ADMIN} is not authorized to perform: kms:{operation} on resource: {arn} because no resource-based policy allows the kms:{operation} action",
                         self.kms.request, operation, {"KeyId": key, **body})
        self.refused("AccessDeniedException", None, self.kms.create_alias,
                     AliasName="alias/mine", TargetKeyId=key)
        self.refused("InvalidAliasNameException", "", self.kms.delete_alias,
                     AliasName=ALIAS)
        self.assertEqual("Enabled", self.key()["KeyState"])

    def test_read_and_granted(self):
        key = self.key()["KeyId"]
        self.kms.list_grants(KeyId=key)
        self.kms.list_resource_tags(KeyId=key)
        grant = self.kms.create_grant(KeyId=key, GranteePrincipal=ADMIN,
                                      Operations=["Decrypt"])
        self.kms.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
        status = self.kms.get_key_rotation_status(KeyId=key)
        self.assertEqual((True, 365), (status["KeyRotationEnabled"],
                                       status["RotationPeriodInDays"]))

    def test_stays_in_its_account(self):
        """kms-managed-key-is-not-granted-to-other-accounts"""
        identity(self.server, "create-account", STRANGERS)
        stranger = Person(self.server, "eve", statement("Allow", "kms:*"),
                          account=STRANGERS)
        key, arn = self.key()["KeyId"], self.key()["Arn"]
        refusal = f"User: {ADMIN} is not authorized to perform: kms:CreateGrant on resource: {arn} because no resource-based policy allows the kms:CreateGrant action"
        for who in (stranger.arn, f"arn:aws:iam::{STRANGERS}:root"):
            self.refused("AccessDeniedException", refusal,
                         self.kms.create_grant, KeyId=key,
                         GranteePrincipal=who, Operations=["DescribeKey"])
            self.refused("AccessDeniedException", refusal,
                         self.kms.create_grant, KeyId=key,
                         GranteePrincipal=ADMIN, RetiringPrincipal=who,
                         Operations=["DescribeKey"])
        # nor by one that is there all the same
        grant = self.kms.create_grant(KeyId=key, GranteePrincipal=ADMIN,
                                      Operations=["DescribeKey"])
        self.server.sql(
            "UPDATE kms_grant SET grantee = ?, grantee_uid = (SELECT user_id "
            "FROM user WHERE arn = ?) WHERE grant_id = ?", stranger.arn,
            stranger.arn, grant["GrantId"])
        self.assertEqual("AccessDeniedException",
                         stranger.call("DescribeKey", {"KeyId": arn}).code)
        own, own_arn = self.new_key()
        self.kms.create_grant(KeyId=own, GranteePrincipal=stranger.arn,
                              Operations=["DescribeKey"])
        self.assertIsNone(
            stranger.call("DescribeKey", {"KeyId": own_arn}).code)

    def test_callers_account_is_enough(self):
        """security-33-managed-key-here-asks-for-the-callers-account-only"""
        nobody = Person(self.server, "nobody")
        key = self.key()["KeyId"]
        made = nobody.call("GenerateDataKeyWithoutPlaintext", {
            "KeyId": ALIAS, "NumberOfBytes": 64})
        self.assertEqual(200, made.status, made.body)
        for operation, body in (
                ("Decrypt", {"CiphertextBlob": made.json["CiphertextBlob"]}),
                ("DescribeKey", {"KeyId": ALIAS}),
                ("CreateGrant", {"KeyId": key, "GranteePrincipal": ADMIN,
                                 "Operations": ["Decrypt"]})):
            answer = nobody.call(operation, body)
            self.assertEqual(200, answer.status, answer.body)
        policy = self.kms.get_key_policy(KeyId=key)["Policy"]
        uses = json.loads(policy)["Statement"][0]
        self.assertEqual({"StringEquals": {"kms:CallerAccount": ACCOUNT}},
                         uses["Condition"])
        self.assertIn("AWS asks for kms:ViaService as well",
                      MANUAL.read_text().replace("\n", " "))

    def test_many_at_once_make_one(self):
        import concurrent.futures
        fresh = Server()
        self.addCleanup(fresh.end)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            ids = set(pool.map(
                lambda _: Api(fresh).describe_key(KeyId=ALIAS)
                ["KeyMetadata"]["KeyId"], range(16)))
        self.assertEqual(1, len(ids))


class Yearly(unittest.TestCase):
    def test_rotated(self):
        """kms-managed-key-is-rotated-yearly"""
        server = Server("--test", start=False)
        self.addCleanup(server.end)
        server.start_test_clock()
        kms = Api(server)
        blob = kms.encrypt(KeyId=ALIAS, Plaintext=b"x")["CiphertextBlob"]
        key = kms.describe_key(KeyId=ALIAS)["KeyMetadata"]
        server.advance(365 * 86400 + 3600)
        rows = wait_for(lambda: kms.list_key_rotations(
            KeyId=key["KeyId"])["Rotations"], "the key to be rotated")
        self.assertEqual("AUTOMATIC", rows[0]["RotationType"])
        self.assertLess(time.time() + 364 * 86400, rows[0]["RotationDate"])
        done = kms.decrypt(CiphertextBlob=blob)
        self.assertEqual((b"x", key["CurrentKeyMaterialId"]),
                         (done["Plaintext"], done["KeyMaterialId"]))


if __name__ == "__main__":
    tap.main()
