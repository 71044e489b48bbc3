#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What users of KMS emulators complain about, each as one named test."""
import base64
import signal

from server_fixture import ACCOUNT, REGION, ServerCase, b64, key_arn
import tap

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
CONTEXT = {"volume": "vol-1", "generation": "1"}


class EmulatorCase(ServerCase):
    def ok(self, operation, body, **how):
        answer = self.server.call(operation, body, **how)
        self.assertEqual(200, answer.status, (operation, answer.body))
        return answer.json

    def code(self, operation, body, **how):
        """The error name of a call that must fail."""
        answer = self.server.call(operation, body, **how)
        self.assertNotEqual(200, answer.status, (operation, answer.body))
        return answer.code

    def encrypt(self, key, plaintext="eA==", **more):
        return self.ok("Encrypt", {"KeyId": key, "Plaintext": plaintext,
                                   **more})["CiphertextBlob"]


class Crypto(EmulatorCase):
    def test_key_id_of_decrypt(self):
        """emulators-02-decrypt-heeds-its-key-id"""
        one, _ = self.new_key()
        two, _ = self.new_key()
        blob = self.encrypt(one)
        for other in (two, key_arn(two), "alias/envelope"):
            self.assertEqual("IncorrectKeyException", self.code(
                "Decrypt", {"CiphertextBlob": blob, "KeyId": other}))
        self.assertEqual("NotFoundException", self.code("Decrypt", {
            "CiphertextBlob": blob,
            "KeyId": "12345678-1234-1234-1234-123456789012"}))

    def test_encryption_is_encryption(self):
        """emulators-05-ciphertext-is-no-encoding-of-the-plaintext"""
        plain = b"all your base64 " * 16
        blob = base64.b64decode(self.encrypt("alias/envelope", b64(plain)))
        for hidden in (plain, base64.b64encode(plain), plain[:16],
                       plain[::-1], plain.hex().encode()):
            self.assertNotIn(hidden, blob)
        for i in (0, len(blob) // 2, len(blob) - 1):
            bad = blob[:i] + bytes([blob[i] ^ 1]) + blob[i + 1:]
            self.assertIn(self.code("Decrypt", {"CiphertextBlob": b64(bad)}),
                          ("InvalidCiphertextException",
                           "AccessDeniedException"))

    def test_disabled_key(self):
        """emulators-08-disabled-key-does-nothing-by-any-id"""
        key, arn = self.new_key()
        blob = self.encrypt(key)
        self.ok("DisableKey", {"KeyId": arn})
        for op, body in (
                ("Encrypt", {"KeyId": arn, "Plaintext": "eA=="}),
                ("Decrypt", {"CiphertextBlob": blob}),
                ("GenerateDataKey", {"KeyId": key, "NumberOfBytes": 64})):
            self.assertEqual("DisabledException", self.code(op, body))
        self.ok("EnableKey", {"KeyId": arn})
        self.ok("Decrypt", {"CiphertextBlob": blob})

    def test_data_keys_of_a_disabled_key(self):
        """emulators-09-services-stop-with-the-key"""
        key, _ = self.new_key()
        made = self.ok("GenerateDataKeyWithoutPlaintext", {
            "KeyId": key, "NumberOfBytes": 64, "EncryptionContext": CONTEXT})
        ask = {"CiphertextBlob": made["CiphertextBlob"],
               "EncryptionContext": CONTEXT}
        self.ok("Decrypt", ask)
        self.ok("DisableKey", {"KeyId": key})
        for dry_run in (True, False):
            self.assertEqual("DisabledException", self.code(
                "Decrypt", {**ask, "DryRun": dry_run}))
        self.ok("ScheduleKeyDeletion", {"KeyId": key})
        self.assertEqual("KMSInvalidStateException",
                         self.code("Decrypt", ask))

    def data_key_blobs(self, key, context):
        for op in ("GenerateDataKey", "GenerateDataKeyWithoutPlaintext"):
            yield self.ok(op, {"KeyId": key, "NumberOfBytes": 32,
                               "EncryptionContext": context})[
                                   "CiphertextBlob"]

    def test_context_of_data_keys(self):
        """emulators-10-context-is-bound-to-data-keys"""
        key, _ = self.new_key()
        for blob in self.data_key_blobs(key, CONTEXT):
            ask = {"CiphertextBlob": blob}
            for wrong in ({}, {"EncryptionContext": {"volume": "vol-1"}},
                          {"EncryptionContext": {**CONTEXT, "a": "b"}}):
                self.assertEqual("InvalidCiphertextException",
                                 self.code("Decrypt", {**ask, **wrong}))
            self.ok("Decrypt", {**ask, "EncryptionContext": CONTEXT})
        for op in ("GenerateDataKeyPair",
                   "GenerateDataKeyPairWithoutPlaintext"):
            self.assertEqual("UnsupportedOperationException",
                             self.code(op, {"KeyId": key}))

    def test_key_id_for_symmetric_keys(self):
        """emulators-13-decrypt-with-and-without-key-id"""
        key, arn = self.new_key()
        self.kms.create_alias(AliasName="alias/thirteen", TargetKeyId=key)
        blob = self.encrypt(key)
        for name in (None, key, arn, "alias/thirteen",
                     f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/thirteen"):
            back = self.ok("Decrypt", {"CiphertextBlob": blob,
                                       "KeyId": name})
            self.assertEqual(("eA==", arn),
                             (back["Plaintext"], back["KeyId"]))

    def test_pairs_run_together(self):
        """emulators-18-context-pairs-keep-their-borders"""
        for context, other in (({"a": "bc"}, {"ab": "c"}),
                               ({"a": "b", "c": "d"}, {"a": "bcd"}),
                               ({"aws-crypto-public-key": "x"}, {})):
            blob = self.encrypt("alias/envelope", EncryptionContext=context)
            self.assertEqual("InvalidCiphertextException", self.code(
                "Decrypt", {"CiphertextBlob": blob,
                            "EncryptionContext": other}))
            self.ok("Decrypt", {"CiphertextBlob": blob,
                                "EncryptionContext": context})

    def test_fresh_every_time(self):
        """emulators-20-encrypt-differs-each-time-and-lists-are-there"""
        key, _ = self.new_key()
        blobs = {self.encrypt(key) for _ in range(20)}
        self.assertEqual(20, len(blobs))
        for op in ("ListGrants", "ListResourceTags", "ListKeyPolicies",
                   "GetKeyPolicy", "GetKeyRotationStatus",
                   "ListKeyRotations", "ListAliases", "DescribeKey"):
            self.ok(op, {"KeyId": key})

    def test_contexts_of_reencrypt(self):
        """emulators-22-reencrypt-binds-both-contexts"""
        key, _ = self.new_key()
        blob = self.encrypt(key, EncryptionContext=CONTEXT)
        moved = self.ok("ReEncrypt", {
            "CiphertextBlob": blob, "SourceEncryptionContext": CONTEXT,
            "DestinationKeyId": key,
            "DestinationEncryptionContext": {"new": "one"}})
        for wrong in ({}, CONTEXT):
            self.assertEqual("InvalidCiphertextException", self.code(
                "Decrypt", {"CiphertextBlob": moved["CiphertextBlob"],
                            "EncryptionContext": wrong}))
        self.assertEqual("InvalidCiphertextException", self.code(
            "ReEncrypt", {"CiphertextBlob": blob, "DestinationKeyId": key}))


class Keeping(EmulatorCase):
    def test_restart(self):
        """emulators-14-nothing-is-lost-by-a-restart"""
        key, arn = self.new_key(Description="kept", Tags=[
            {"TagKey": "a", "TagValue": "b"}])
        self.kms.create_alias(AliasName="alias/kept", TargetKeyId=key)
        grant = self.ok("CreateGrant", {
            "KeyId": key, "GranteePrincipal": ADMIN,
            "Operations": ["Decrypt"], "Name": "kept"})
        blob = self.encrypt("alias/kept", EncryptionContext=CONTEXT)
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.server.restart(number)
            self.assertEqual("eA==", self.ok("Decrypt", {
                "CiphertextBlob": blob, "EncryptionContext": CONTEXT})[
                    "Plaintext"])
            m = self.ok("DescribeKey", {"KeyId": "alias/kept"})
            self.assertEqual((arn, "kept"), (m["KeyMetadata"]["Arn"],
                                             m["KeyMetadata"]["Description"]))
            self.assertEqual(grant["GrantId"], self.ok(
                "ListGrants", {"KeyId": key})["Grants"][0]["GrantId"])
            self.assertEqual(1, len(self.ok(
                "ListResourceTags", {"KeyId": key})["Tags"]))
        type(self).kms = self.server.client()

    def test_absent_members(self):
        """emulators-12-absent-members-are-absent"""
        key, _ = self.new_key()
        answer = self.server.call("DescribeKey", {"KeyId": key})
        self.assertNotIn(b"null", answer.body)
        self.assertNotIn("MultiRegionConfiguration",
                         answer.json["KeyMetadata"])
        self.ok("CreateGrant", {"KeyId": key, "GranteePrincipal": ADMIN,
                                "Operations": ["Decrypt"]})
        self.assertNotIn(b"null", self.server.call(
            "ListGrants", {"KeyId": key}).body)


class Grants(EmulatorCase):
    def test_name(self):
        """emulators-11-grant-name-counts-for-one-key-only"""
        made = {}
        for _ in range(2):
            key, _ = self.new_key()
            made[key] = self.ok("CreateGrant", {
                "KeyId": key, "GranteePrincipal": ADMIN, "Name": "shared",
                "Operations": ["Decrypt"]})["GrantId"]
        self.assertEqual(2, len(set(made.values())))
        for key, grant in made.items():
            self.assertEqual([grant], [g["GrantId"] for g in self.ok(
                "ListGrants", {"KeyId": key})["Grants"]])

    def test_hmac(self):
        """emulators-17-what-is-not-there-says-so"""
        for op in ("GenerateMac", "VerifyMac", "Sign", "GetPublicKey"):
            self.assertEqual("UnsupportedOperationException",
                             self.code(op, {"KeyId": "alias/envelope"}))
        self.assertEqual("UnsupportedOperationException", self.code(
            "CreateKey", {"KeySpec": "HMAC_256",
                          "KeyUsage": "GENERATE_VERIFY_MAC"}))


if __name__ == "__main__":
    tap.main()
