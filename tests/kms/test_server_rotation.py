#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Rotation of keys: on demand, by the calendar, and what it leaves alone."""
import time
import unittest

from server_fixture import (ACCOUNT, REGION, Api, Server, ServerCase, key_arn, run,
                            wait_for)
import tap

DAY = 86400
LIMIT = "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: {}"


def material(kms, key):
    return kms.describe_key(KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"]


class OnDemand(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.kms = Api(cls.server)

    def test_four_generations_decrypt(self):
        """kms-old-material-decrypts-and-new-encrypts"""
        key, arn = self.new_key()
        blobs, ids = [], []
        for i in range(4):
            ids.append(material(self.kms, key))
            blobs.append(self.kms.encrypt(KeyId=key, Plaintext=b"%d" % i)
                         ["CiphertextBlob"])
            if i < 3:
                self.assertEqual(key, self.kms.rotate_key_on_demand(
                    KeyId=key)["KeyId"])
        self.assertEqual(4, len(set(ids)))
        for i, blob in enumerate(blobs):
            done = self.kms.decrypt(CiphertextBlob=blob)
            self.assertEqual((b"%d" % i, ids[i], arn),
                             (done["Plaintext"], done["KeyMaterialId"],
                              done["KeyId"]))
        self.server.restart()
        for i, blob in enumerate(blobs):
            self.assertEqual(b"%d" % i, self.kms.decrypt(
                CiphertextBlob=blob)["Plaintext"])

    def test_a_blob_names_its_material(self):
        """kms-old-material-is-not-found-by-trial"""
        key, _ = self.new_key()
        first = material(self.kms, key)
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        self.assertIn(bytes.fromhex(first), blob)
        self.kms.rotate_key_on_demand(KeyId=key)
        old = self.server.sql("SELECT sealed FROM material WHERE"
                              " material_id = ?", first)[0][0]
        self.server.sql("DELETE FROM material WHERE material_id = ?", first)
        self.refused("InvalidCiphertextException", "", self.kms.decrypt,
                     CiphertextBlob=blob)
        self.assertTrue(old)

    def test_data_keys_and_reencrypt_use_the_new_material(self):
        key, _ = self.new_key()
        blob = self.kms.generate_data_key(KeyId=key, NumberOfBytes=64)
        first = blob["KeyMaterialId"]
        self.kms.rotate_key_on_demand(KeyId=key)
        second = material(self.kms, key)
        self.assertEqual(second, self.kms.generate_data_key(
            KeyId=key, NumberOfBytes=64)["KeyMaterialId"])
        moved = self.kms.re_encrypt(CiphertextBlob=blob["CiphertextBlob"],
                                    DestinationKeyId=key)
        self.assertEqual((first, second),
                         (moved["SourceKeyMaterialId"],
                          moved["DestinationKeyMaterialId"]))
        self.assertEqual(blob["Plaintext"], self.kms.decrypt(
            CiphertextBlob=moved["CiphertextBlob"])["Plaintext"])

    def test_aliases_and_tags_stay(self):
        key, _ = self.new_key(Tags=[{"TagKey": "a", "TagValue": "b"}])
        self.kms.create_alias(AliasName="alias/rotated", TargetKeyId=key)
        before = self.kms.describe_key(KeyId="alias/rotated")["KeyMetadata"]
        self.kms.rotate_key_on_demand(KeyId=key)
        after = self.kms.describe_key(KeyId="alias/rotated")["KeyMetadata"]
        self.assertNotEqual(before.pop("CurrentKeyMaterialId"),
                            after.pop("CurrentKeyMaterialId"))
        self.assertEqual(before, after)
        self.assertEqual(1, len(self.kms.list_resource_tags(
            KeyId=key)["Tags"]))

    def test_limit(self):
        key, arn = self.new_key()
        for _ in range(25):
            self.kms.rotate_key_on_demand(KeyId=key)
        self.refused("LimitExceededException", LIMIT.format(arn),
                     self.kms.rotate_key_on_demand, KeyId=key)

    def test_states(self):
        key, arn = self.new_key()
        self.kms.disable_key(KeyId=key)
        for call in (self.kms.rotate_key_on_demand,
                     self.kms.enable_key_rotation,
                     self.kms.disable_key_rotation):
            self.refused("DisabledException", f"{arn} is disabled.", call,
                         KeyId=key)
        self.kms.schedule_key_deletion(KeyId=key)
        for call in (self.kms.rotate_key_on_demand,
                     self.kms.enable_key_rotation,
                     self.kms.disable_key_rotation):
            self.refused("KMSInvalidStateException",
                         f"{arn} is pending deletion.", call, KeyId=key)

    def test_ids(self):
        for call in (self.kms.rotate_key_on_demand,
                     self.kms.enable_key_rotation,
                     self.kms.disable_key_rotation,
                     self.kms.get_key_rotation_status,
                     self.kms.list_key_rotations):
            self.refused("NotFoundException",
                         "Invalid keyId 'alias/envelope'", call,
                         KeyId="alias/envelope")

    def test_list(self):
        """kms-rotations-are-listed-page-by-page"""
        key, _ = self.new_key()
        self.assertEqual([], self.kms.list_key_rotations(
            KeyId=key)["Rotations"])
        ids = [material(self.kms, key)]
        for _ in range(3):
            self.kms.rotate_key_on_demand(KeyId=key)
            ids.append(material(self.kms, key))
        pages = self.kms.pages("ListKeyRotations", KeyId=key, Limit=1)
        self.assertEqual([1, 1, 1], [len(p["Rotations"]) for p in pages])
        rows = [p["Rotations"][0] for p in pages]
        self.assertEqual(ids[1:], [r["KeyMaterialId"] for r in rows])
        self.assertEqual(["NON_CURRENT", "NON_CURRENT", "CURRENT"],
                         [r["KeyMaterialState"] for r in rows])
        for row in rows:
            self.assertEqual((key, "ON_DEMAND"),
                             (row["KeyId"], row["RotationType"]))
            self.assertNotIn("ImportState", row)
            self.assertLess(abs(time.time() - row["RotationDate"]), 300)
        every = self.kms.list_key_rotations(
            KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
        self.assertEqual(ids, [r["KeyMaterialId"] for r in every])
        self.assertNotIn("RotationType", every[0])
        self.refused("InvalidMarkerException", "",
                     self.kms.list_key_rotations, KeyId=key, Marker="x")

    def test_events(self):
        key, arn = self.new_key()
        self.kms.rotate_key_on_demand(KeyId=key)
        mine = [r for r in self.server.audit()
                if (r.get("resources") or [{}])[0].get("ARN") == arn]
        call = [r for r in mine if r["eventName"] == "RotateKeyOnDemand"]
        event = [r for r in mine if r["eventName"] == "RotateKey"]
        self.assertEqual((1, 1), (len(call), len(event)))
        self.assertEqual(({"keyId": key}, False),
                         (call[0]["responseElements"], call[0]["readOnly"]))
        self.assertEqual(
            ("AwsServiceEvent", {"keyId": key},
             {"accountId": ACCOUNT, "invokedBy": "AWS Internal"}, REGION),
            (event[0]["eventType"], event[0]["serviceEventDetails"],
             event[0]["userIdentity"], event[0]["awsRegion"]))

    def test_period(self):
        key, _ = self.new_key()
        status = self.kms.get_key_rotation_status(KeyId=key)
        self.assertEqual({"KeyRotationEnabled": False, "KeyId": key}, status)
        for bad, rule in ((89, "greater than or equal to 90"),
                          (2561, "less than or equal to 2560")):
            answer = self.server.call("EnableKeyRotation", {
                "KeyId": key, "RotationPeriodInDays": bad})
            self.assertEqual(
                ("ValidationException",
                 f"1 validation error detected: Value '{bad}' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value {rule}"),
                (answer.code, answer.message))
        for days in (None, 90, 2560):
            options = {} if days is None else {"RotationPeriodInDays": days}
            self.kms.enable_key_rotation(KeyId=key, **options)
            status = self.kms.get_key_rotation_status(KeyId=key)
            self.assertEqual((True, days or 365),
                             (status["KeyRotationEnabled"],
                              status["RotationPeriodInDays"]))
            ahead = status["NextRotationDate"] - time.time()
            self.assertLess(abs(ahead - (days or 365) * DAY), 300)
        self.kms.disable_key_rotation(KeyId=key)
        status = self.kms.get_key_rotation_status(KeyId=key)
        self.assertFalse(status["KeyRotationEnabled"])
        self.assertNotIn("NextRotationDate", status)

    def test_status_of_a_key_pending_deletion(self):
        """kms-rotation-status-comes-back-with-a-cancelled-deletion"""
        key, _ = self.new_key()
        self.kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=100)
        self.kms.schedule_key_deletion(KeyId=key)
        self.assertFalse(self.kms.get_key_rotation_status(
            KeyId=key)["KeyRotationEnabled"])
        self.kms.cancel_key_deletion(KeyId=key)
        status = self.kms.get_key_rotation_status(KeyId=key)
        self.assertEqual((True, 100), (status["KeyRotationEnabled"],
                                       status["RotationPeriodInDays"]))


class Calendar(unittest.TestCase):
    def setUp(self):
        self.server = Server("--test", start=False)
        self.addCleanup(self.server.end)
        self.server.start_test_clock()
        self.kms = Api(self.server)
        self.key = self.kms.create_key()["KeyMetadata"]["KeyId"]
        self.first = material(self.kms, self.key)
        self.blob = self.kms.encrypt(KeyId=self.key,
                                     Plaintext=b"x")["CiphertextBlob"]
        self.kms.enable_key_rotation(KeyId=self.key,
                                     RotationPeriodInDays=90)

    def rotations(self):
        return self.kms.list_key_rotations(KeyId=self.key)["Rotations"]

    def test_by_the_calendar(self):
        """kms-automatic-rotation-when-it-is-due"""
        self.server.advance(90 * DAY - 60)
        time.sleep(2.5)
        self.assertEqual([], self.rotations())
        for turn in (1, 2):
            self.server.advance(turn * 90 * DAY + turn * 3600)
            rows = wait_for(lambda: len(self.rotations()) == turn and
                            self.rotations(), "the key to be rotated")
            self.assertEqual("AUTOMATIC", rows[-1]["RotationType"])
            self.assertEqual(material(self.kms, self.key),
                             rows[-1]["KeyMaterialId"])
        done = self.kms.decrypt(CiphertextBlob=self.blob)
        self.assertEqual((b"x", self.first),
                         (done["Plaintext"], done["KeyMaterialId"]))
        names = [r["eventName"] for r in self.server.audit()]
        self.assertEqual(2, names.count("RotateKey"))
        status = self.kms.get_key_rotation_status(KeyId=self.key)
        ahead = status["NextRotationDate"] - time.time()
        self.assertLess(abs(ahead - (3 * 90 * DAY + 7200)), 600)

    def test_on_demand_does_not_move_it(self):
        before = self.kms.get_key_rotation_status(
            KeyId=self.key)["NextRotationDate"]
        self.kms.rotate_key_on_demand(KeyId=self.key)
        self.assertEqual(before, self.kms.get_key_rotation_status(
            KeyId=self.key)["NextRotationDate"])

    def test_disabled_is_not_rotated(self):
        """kms-overdue-rotation-follows-when-the-key-is-enabled"""
        self.kms.disable_key(KeyId=self.key)
        self.server.advance(100 * DAY)
        time.sleep(2.5)
        self.assertEqual([], self.rotations())
        self.assertTrue(self.kms.get_key_rotation_status(
            KeyId=self.key)["KeyRotationEnabled"])
        self.kms.enable_key(KeyId=self.key)
        wait_for(self.rotations, "the overdue rotation")

    def test_not_on_demand_when_it_is_due(self):
        """kms-on-demand-rotation-conflicts-with-a-due-one"""
        self.kms.disable_key(KeyId=self.key)
        self.server.advance(90 * DAY - 19 * 60)
        self.kms.enable_key(KeyId=self.key)
        answer = self.server.call("RotateKeyOnDemand", {"KeyId": self.key})
        self.assertEqual(
            ("ConflictException", f"{key_arn(self.key)} is rotated automatically within 20 minutes."),
            (answer.code, answer.message))


class Limit(unittest.TestCase):
    def test_configured(self):
        server = Server(start=False)
        self.addCleanup(server.end)
        server.start("--on-demand-rotations", "1")
        kms = Api(server)
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.rotate_key_on_demand(KeyId=key)
        answer = server.call("RotateKeyOnDemand", {"KeyId": key})
        self.assertEqual(("LimitExceededException",
                          LIMIT.format(key_arn(key))),
                         (answer.code, answer.message))

    def test_wrong(self):
        for text in ("x", "-1", "1000001", ""):
            done = run("serve", "/nonexistent", "--on-demand-rotations", text)
            self.assertEqual(
                (2, f"envelope-kms: --on-demand-rotations {text}: not a number from 0 to 1000000\n"),
                (done.returncode, done.stderr))


if __name__ == "__main__":
    tap.main()
