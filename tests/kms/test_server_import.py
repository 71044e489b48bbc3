#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Imported key material: wrapped by clients, checked, expired, shredded."""
import concurrent.futures
import os
import subprocess
import time
import unittest

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from server_fixture import Api, Server, ServerCase, b64, key_arn, wait_for
from server_seal import open_material
import tap

DAY = 86400
FOREVER = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
OAEP = "RSAES_OAEP_SHA_256"
HERE, THERE = "eu-central-1", "us-west-2"


def oaep(public, data, sha=hashes.SHA256):
    key = serialization.load_der_public_key(public)
    return key.encrypt(data, padding.OAEP(padding.MGF1(sha()), sha(), None))


def wrap(public, data, algorithm=OAEP):
    """What a client sends as EncryptedKeyMaterial."""
    sha = hashes.SHA1 if algorithm.endswith("_1") else hashes.SHA256
    if algorithm.startswith("RSAES"):
        return oaep(public, data, sha)
    aes = os.urandom(32)
    return (oaep(public, aes, sha) +
            keywrap.aes_key_wrap_with_padding(aes, data))


class Importer:
    """Key material and the way into a key."""

    def parameters(self, key, kms=None, algorithm=OAEP, spec="RSA_2048"):
        return (kms or self.kms).get_parameters_for_import(
            KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=spec)

    def bring(self, key, data, kms=None, **options):
        kms = kms or self.kms
        got = self.parameters(key, kms)
        return kms.import_key_material(
            KeyId=key, ImportToken=got["ImportToken"],
            EncryptedKeyMaterial=wrap(got["PublicKey"], data),
            **{**FOREVER, **options})

    def external(self, data=None, **options):
        key = self.kms.create_key(Origin="EXTERNAL",
                                  **options)["KeyMetadata"]["KeyId"]
        if data:
            self.bring(key, data)
        return key

    def state(self, key, kms=None):
        return (kms or self.kms).describe_key(
            KeyId=key)["KeyMetadata"]["KeyState"]


class Import(ServerCase, Importer):
    def setUp(self):
        self.kms = Api(self.server)

    def test_pending_import(self):
        m = self.kms.create_key(Origin="EXTERNAL")["KeyMetadata"]
        key, arn = m["KeyId"], m["Arn"]
        self.assertEqual(("PendingImport", False, "EXTERNAL"),
                         (m["KeyState"], m["Enabled"], m["Origin"]))
        for absent in ("CurrentKeyMaterialId", "ExpirationModel", "ValidTo"):
            self.assertNotIn(absent, m)
        for call in (lambda: self.kms.encrypt(KeyId=key, Plaintext=b"x"),
                     lambda: self.kms.enable_key(KeyId=key),
                     lambda: self.kms.rotate_key_on_demand(KeyId=key)):
            self.refused("KMSInvalidStateException",
                         f"{arn} is pending import.", call)
        for call in (self.kms.enable_key_rotation,
                     self.kms.disable_key_rotation,
                     self.kms.get_key_rotation_status):
            self.refused("UnsupportedOperationException",
                         f"{arn} origin is EXTERNAL which is not valid for this operation.",
                         call, KeyId=key)
        self.assertEqual({"KeyId": arn},
                         self.kms.delete_imported_key_material(KeyId=key))

    def test_every_wrapping(self):
        """emulators-row-04-import-under-every-wrapping-algorithm-and-key"""
        for algorithm, spec in (
                ("RSAES_OAEP_SHA_1", "RSA_2048"),
                ("RSAES_OAEP_SHA_256", "RSA_3072"),
                ("RSA_AES_KEY_WRAP_SHA_1", "RSA_2048"),
                ("RSA_AES_KEY_WRAP_SHA_256", "RSA_4096")):
            key, data = self.external(), os.urandom(32)
            got = self.parameters(key, algorithm=algorithm, spec=spec)
            self.assertEqual(key_arn(key), got["KeyId"])
            self.assertLess(abs(got["ParametersValidTo"] - time.time() -
                                DAY), 300)
            public = serialization.load_der_public_key(got["PublicKey"])
            self.assertEqual(int(spec[4:]), public.key_size)
            done = self.kms.import_key_material(
                KeyId=key, ImportToken=got["ImportToken"],
                EncryptedKeyMaterial=wrap(got["PublicKey"], data, algorithm),
                **FOREVER)
            row = self.server.sql("SELECT region, key_id, material_id FROM"
                                  " material WHERE key_id = ?", key)[0]
            self.assertEqual(data, open_material(self.server, row))
            m = self.kms.describe_key(KeyId=key)["KeyMetadata"]
            self.assertEqual(
                ("Enabled", "KEY_MATERIAL_DOES_NOT_EXPIRE",
                 done["KeyMaterialId"]),
                (m["KeyState"], m["ExpirationModel"],
                 m["CurrentKeyMaterialId"]))
            self.kms.encrypt(KeyId=key, Plaintext=b"x")

    def test_refused_wrappings(self):
        key = self.external()
        for algorithm in ("RSAES_PKCS1_V1_5", "SM2PKE"):
            self.refused("UnsupportedOperationException",
                         f"The wrapping algorithm {algorithm} is not supported.",
                         self.parameters, key, algorithm=algorithm)
        self.refused("UnsupportedOperationException",
                     "The wrapping key spec SM2 is not supported.",
                     self.parameters, key, spec="SM2")
        self.assertEqual(
            "3 validation errors detected: Value null at 'wrappingAlgorithm' failed to satisfy constraint: Member must not be null; Value null at 'wrappingKeySpec' failed to satisfy constraint: Member must not be null; Value null at 'keyId' failed to satisfy constraint: Member must not be null",
            self.server.call("GetParametersForImport", {}).message)

    def test_one_wrapping_key_at_a_time(self):
        """kms-import-wrapping-keys-are-made-one-at-a-time"""
        key = self.external()
        body = {"KeyId": key, "WrappingAlgorithm": OAEP,
                "WrappingKeySpec": "RSA_4096"}
        answers = []
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in range(3):
                answers += pool.map(lambda _: self.server.call(
                    "GetParametersForImport", body), range(8))
        self.assertEqual(
            {(200, None, ""), (400, "ThrottlingException", "Rate exceeded")},
            {(a.status, a.code, a.message) for a in answers})
        self.parameters(key)
        self.assertIn("ThrottlingException", {
            r.get("errorCode") for r in self.server.audit()
            if r["eventName"] == "GetParametersForImport"})

    def test_keys_of_our_own(self):
        key, arn = self.new_key()
        text = f"{arn} origin is AWS_KMS which is not valid for this operation."
        for call in (
                lambda: self.parameters(key),
                lambda: self.kms.import_key_material(
                    KeyId=key, ImportToken=b"x", EncryptedKeyMaterial=b"x"),
                lambda: self.kms.delete_imported_key_material(KeyId=key)):
            self.refused("UnsupportedOperationException", text, call)

    def test_expiration_model(self):
        key = self.external()
        got = self.parameters(key)
        message = "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"
        late = "The validTo date must be in the future and at most 365 days ahead"
        for options, text in (
                ({}, message),
                ({"ExpirationModel": "KEY_MATERIAL_EXPIRES"}, message),
                ({**FOREVER, "ValidTo": time.time() + DAY},
                 "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE"),
                ({"ValidTo": time.time() - 60}, late),
                ({"ValidTo": time.time() + 366 * DAY}, late)):
            self.refused("ValidationException", text,
                         self.kms.import_key_material, KeyId=key,
                         ImportToken=got["ImportToken"],
                         EncryptedKeyMaterial=wrap(got["PublicKey"],
                                                   b"x" * 32), **options)
        self.refused("SerializationException", "",
                     self.kms.import_key_material, KeyId=key,
                     ImportToken=b"x", EncryptedKeyMaterial=b"x",
                     ValidTo="tomorrow")
        self.assertEqual("PendingImport", self.state(key))

    def test_every_failure_is_one(self):
        """security-31-every-failed-unwrapping-is-the-same-answer"""
        key = self.external()
        for algorithm in (OAEP, "RSA_AES_KEY_WRAP_SHA_256"):
            got = self.parameters(key, algorithm=algorithm)
            other = self.parameters(key, algorithm=algorithm)
            good = wrap(got["PublicKey"], b"x" * 32, algorithm)
            for bad in (good[:-1] + bytes([good[-1] ^ 1]),
                        bytes([good[0] ^ 1]) + good[1:], good[:-1],
                        b"x", good + b"x" * 8,
                        wrap(got["PublicKey"], b"x" * 31, algorithm),
                        wrap(got["PublicKey"], b"x" * 33, algorithm),
                        wrap(got["PublicKey"], b"x" * 16, algorithm),
                        wrap(other["PublicKey"], b"x" * 32, algorithm)):
                self.refused("InvalidCiphertextException", "",
                             self.kms.import_key_material, KeyId=key,
                             ImportToken=got["ImportToken"],
                             EncryptedKeyMaterial=bad, **FOREVER)
                self.assertEqual("PendingImport", self.state(key))

    def test_token_of_another_key(self):
        """security-31-import-token-binds-key-and-wrapping-key"""
        key, other = self.external(), self.external()
        got = self.parameters(other)
        bent = bytearray(self.parameters(key)["ImportToken"])
        bent[40] ^= 1
        for token in (got["ImportToken"], bytes(bent), b"x"):
            self.refused("InvalidImportTokenException", "",
                         self.kms.import_key_material, KeyId=key,
                         ImportToken=token, EncryptedKeyMaterial=wrap(
                             got["PublicKey"], b"x" * 32), **FOREVER)

    def test_the_same_again(self):
        """kms-import-again-must-be-the-same-material"""
        data = os.urandom(32)
        key = self.external(data)
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        first = self.kms.describe_key(
            KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"]
        self.assertNotEqual(first, self.kms.describe_key(
            KeyId=self.external(data))["KeyMetadata"]["CurrentKeyMaterialId"])
        done = self.kms.delete_imported_key_material(KeyId=key)
        self.assertEqual({"KeyId": key_arn(key), "KeyMaterialId": first},
                         done)
        self.assertEqual("PendingImport", self.state(key))
        self.refused("KMSInvalidStateException",
                     f"{key_arn(key)} is pending import.", self.kms.decrypt,
                     CiphertextBlob=blob)
        for options in ({}, {"ImportType": "EXISTING_KEY_MATERIAL"}):
            self.refused("IncorrectKeyMaterialException", "", self.bring,
                         key, os.urandom(32), **options)
        self.refused("IncorrectKeyMaterialException", "", self.bring, key,
                     data, KeyMaterialId="0" * 64)
        self.refused("IncorrectKeyMaterialException", "", self.bring, key,
                     data, ImportType="NEW_KEY_MATERIAL")
        self.refused("NotFoundException",
                     f"Key material '{'0' * 64}' does not exist",
                     self.kms.delete_imported_key_material, KeyId=key,
                     KeyMaterialId="0" * 64)
        self.assertEqual("PendingImport", self.state(key))
        self.assertEqual(first, self.bring(
            key, data, KeyMaterialId=first)["KeyMaterialId"])
        self.assertEqual(b"x", self.kms.decrypt(
            CiphertextBlob=blob)["Plaintext"])

    def test_new_material_waits_for_a_rotation(self):
        """kms-imported-new-material-waits-for-a-rotation"""
        old, new = os.urandom(32), os.urandom(32)
        key = self.external(old)
        self.refused("KMSInvalidStateException",
                     f"No available key material pending rotation for the key: {key_arn(key)}.",
                     self.kms.rotate_key_on_demand, KeyId=key)
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x")
        second = self.bring(key, new, ImportType="NEW_KEY_MATERIAL",
                            KeyMaterialDescription="next")["KeyMaterialId"]
        answer = self.refusal(lambda: self.bring(
            key, os.urandom(32), ImportType="NEW_KEY_MATERIAL"))
        self.assertRegex(answer, f"^New key material \\(id: [0-9a-f]{{64}}\\) cannot be imported into KMS key {key}, because another key material \\(id: {second}\\) is pending rotation\\.$")
        self.bring(key, new, ImportType="NEW_KEY_MATERIAL")
        rows = self.rows(key)
        self.assertEqual([("CURRENT", "IMPORTED"),
                          ("PENDING_ROTATION", "IMPORTED")],
                         [(r["KeyMaterialState"], r["ImportState"])
                          for r in rows])
        self.assertEqual("next", rows[1]["KeyMaterialDescription"])
        self.kms.rotate_key_on_demand(KeyId=key)
        self.assertEqual(["NON_CURRENT", "CURRENT"],
                         [r["KeyMaterialState"] for r in self.rows(key)])
        self.assertEqual(second, self.kms.generate_data_key(
            KeyId=key, NumberOfBytes=32)["KeyMaterialId"])
        self.assertEqual(b"x", self.kms.decrypt(
            CiphertextBlob=blob["CiphertextBlob"])["Plaintext"])
        first = rows[0]["KeyMaterialId"]
        self.kms.delete_imported_key_material(KeyId=key, KeyMaterialId=first)
        self.assertEqual(
            ("PendingImport", ["PENDING_IMPORT", "IMPORTED"]),
            (self.state(key), [r["ImportState"] for r in self.rows(key)]))
        self.bring(key, old)
        self.assertEqual("Enabled", self.state(key))

    def refusal(self, call):
        import botocore.exceptions
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call()
        return caught.exception.response["Error"]["Message"]

    def rows(self, key):
        return self.kms.list_key_rotations(
            KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]

    def test_pending_material_goes_without_a_trace(self):
        key = self.external(os.urandom(32))
        second = self.bring(key, os.urandom(32),
                            ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
        self.kms.delete_imported_key_material(KeyId=key,
                                              KeyMaterialId=second)
        self.assertEqual(("Enabled", 1),
                         (self.state(key), len(self.rows(key))))

    def test_pending_deletion(self):
        data = os.urandom(32)
        key = self.external(data)
        got = self.parameters(key)
        self.kms.schedule_key_deletion(KeyId=key)
        text = f"{key_arn(key)} is pending deletion."
        self.refused("KMSInvalidStateException", text, self.parameters, key)
        self.refused("KMSInvalidStateException", text,
                     self.kms.import_key_material, KeyId=key,
                     ImportToken=got["ImportToken"],
                     EncryptedKeyMaterial=wrap(got["PublicKey"], data),
                     **FOREVER)
        self.kms.delete_imported_key_material(KeyId=key)
        self.assertEqual("PendingDeletion", self.state(key))
        self.kms.cancel_key_deletion(KeyId=key)
        self.assertEqual("PendingImport", self.state(key))
        self.bring(key, data)
        self.assertEqual("Enabled", self.state(key))

    def test_the_trail_has_no_secret(self):
        data = os.urandom(32)
        key = self.external()
        got = self.parameters(key)
        wrapped = wrap(got["PublicKey"], data)
        self.kms.import_key_material(
            KeyId=key, ImportToken=got["ImportToken"],
            EncryptedKeyMaterial=wrapped, **FOREVER)
        text = (self.server.dir / "audit" / "audit.log").read_text()
        for secret in (data, wrapped, got["ImportToken"]):
            self.assertNotIn(b64(secret), text)
        record = [r for r in self.server.audit()
                  if r["eventName"] == "ImportKeyMaterial"][-1]
        self.assertEqual(
            ({"keyId": key, "expirationModel":
              "KEY_MATERIAL_DOES_NOT_EXPIRE"}, key_arn(key)),
            (record["requestParameters"],
             record["responseElements"]["keyId"]))


    def test_atomic(self):
        """emulators-row-16-a-failed-import-changes-nothing"""
        key, old, new = self.external(), os.urandom(32), os.urandom(32)
        got = self.parameters(key)
        described = subprocess.run(
            ["openssl", "pkey", "-pubin", "-inform", "DER", "-noout",
             "-text"], input=got["PublicKey"], capture_output=True,
            check=True).stdout
        self.assertIn(b"Public-Key: (2048 bit)", described)
        ask = {"KeyId": key, "ImportToken": got["ImportToken"], **FOREVER}
        for bad in (old[:31], old + b"x", b""):
            self.refused("InvalidCiphertextException", "",
                         self.kms.import_key_material, **ask,
                         EncryptedKeyMaterial=wrap(got["PublicKey"], bad))
            self.assertEqual(("PendingImport", []),
                             (self.state(key), self.rows(key)))
        self.bring(key, old)
        before = self.kms.describe_key(KeyId=key), self.rows(key)
        self.refused("InvalidCiphertextException", "",
                     self.kms.import_key_material, **ask,
                     ImportType="NEW_KEY_MATERIAL",
                     EncryptedKeyMaterial=wrap(got["PublicKey"], new[:31]))
        self.refused("IncorrectKeyMaterialException", "", self.bring, key,
                     new)
        self.assertEqual(before, (self.kms.describe_key(KeyId=key),
                                  self.rows(key)))

    def test_rotates(self):
        """emulators-row-16-imported-keys-rotate-to-new-material"""
        key = self.external(os.urandom(32))
        blobs, ids = [], set()
        for i in range(3):
            done = self.kms.encrypt(KeyId=key, Plaintext=b"%d" % i)
            blobs.append(done["CiphertextBlob"])
            self.bring(key, os.urandom(32), ImportType="NEW_KEY_MATERIAL")
            self.assertEqual({"KeyId": key},
                             self.kms.rotate_key_on_demand(KeyId=key))
            ids.add(self.kms.describe_key(
                KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"])
        self.assertEqual(3, len(ids))
        self.assertEqual([b"0", b"1", b"2"], [
            self.kms.decrypt(CiphertextBlob=b)["Plaintext"] for b in blobs])


class Dates(unittest.TestCase, Importer):
    def setUp(self):
        self.server = Server("--test", start=False)
        self.addCleanup(self.server.end)
        self.server.start_test_clock()
        self.kms = Api(self.server)

    def test_token_expires(self):
        """kms-import-token-is-valid-for-a-day"""
        import botocore.exceptions
        key = self.external()
        got = self.parameters(key)
        self.server.advance(DAY + 60)
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            self.kms.import_key_material(
                KeyId=key, ImportToken=got["ImportToken"],
                EncryptedKeyMaterial=wrap(got["PublicKey"], b"x" * 32),
                **FOREVER)
        self.assertEqual("ExpiredImportTokenException",
                         caught.exception.response["Error"]["Code"])

    def test_material_expires(self):
        """kms-imported-material-is-deleted-by-its-date"""
        key, data = self.external(), os.urandom(32)
        until = int(time.time()) + 10 * DAY
        self.bring(key, data, ExpirationModel="KEY_MATERIAL_EXPIRES",
                   ValidTo=until)
        m = self.kms.describe_key(KeyId=key)["KeyMetadata"]
        self.assertEqual((until, "KEY_MATERIAL_EXPIRES", "Enabled"),
                         (m["ValidTo"], m["ExpirationModel"], m["KeyState"]))
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        sealed = self.server.sql("SELECT sealed FROM material WHERE"
                                 " key_id = ?", key)[0][0]
        self.server.advance(10 * DAY + 60)
        self.assertEqual("PendingImport", self.state(key))
        wait_for(lambda: not self.server.sql(
            "SELECT 1 FROM material WHERE key_id = ? AND sealed = ?", key,
            sealed), "the material to be deleted")
        m = self.kms.describe_key(KeyId=key)["KeyMetadata"]
        self.assertNotIn("ValidTo", m)
        wait_for(lambda: not any(
            sealed in p.read_bytes() for p in self.server.dir.iterdir()
            if p.name.startswith("kms.db")), "its bytes to leave the files")
        event = [r for r in self.server.audit()
                 if r["eventName"] == "DeleteExpiredKeyMaterial"]
        self.assertEqual([{"keyId": key}],
                         [r["serviceEventDetails"] for r in event])
        self.bring(key, data)
        self.assertEqual(b"x", self.kms.decrypt(
            CiphertextBlob=blob)["Plaintext"])


class Regions(unittest.TestCase, Importer):
    def test_each_region_imports(self):
        """kms-multi-region-imported-material-is-imported-per-region"""
        import botocore.exceptions
        server = Server("--region", HERE, "--region", THERE)
        self.addCleanup(server.end)
        self.kms, there = Api(server, HERE), Api(server, THERE)
        first, second = os.urandom(32), os.urandom(32)
        key = self.external(first, MultiRegion=True)
        replica = self.kms.replicate_key(KeyId=key, ReplicaRegion=THERE)
        self.assertEqual("PendingImport",
                         replica["ReplicaKeyMetadata"]["KeyState"])
        with self.assertRaisesRegex(botocore.exceptions.ClientError,
                                    "IncorrectKeyMaterialException"):
            self.bring(key, second, there)
        self.bring(key, first, there)
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        there.decrypt(CiphertextBlob=blob)
        self.bring(key, second, ImportType="NEW_KEY_MATERIAL")
        rows = self.kms.list_key_rotations(
            KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
        self.assertEqual("PENDING_MULTI_REGION_IMPORT_AND_ROTATION",
                         rows[1]["KeyMaterialState"])
        with self.assertRaisesRegex(botocore.exceptions.ClientError,
                                    "No available key material pending"):
            self.kms.rotate_key_on_demand(KeyId=key)
        self.bring(key, second, there)
        self.kms.rotate_key_on_demand(KeyId=key)
        blob = there.encrypt(KeyId=key, Plaintext=b"y")
        self.assertEqual(b"y", self.kms.decrypt(
            CiphertextBlob=blob["CiphertextBlob"])["Plaintext"])
        ids = {kms.describe_key(KeyId=key)["KeyMetadata"]
               ["CurrentKeyMaterialId"] for kms in (self.kms, there)}
        self.assertEqual(1, len(ids))


if __name__ == "__main__":
    tap.main()
