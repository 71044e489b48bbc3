#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ciphertexts of envelope-kms: context, tampering, keys, limits."""
import json

from server_fixture import Server, ServerCase, b64
import tap

WRONG = ("InvalidCiphertextException", "")
# Where the parts of a blob begin; blob.h of the server describes them.
PARTS = {"magic": 0, "version": 4, "reserved": 5, "key id": 6,
         "material id": 42, "nonce": 74, "digest": 106, "ciphertext": 114}


class Context(ServerCase):
    def seal(self, context, call="encrypt"):
        options = {"KeyId": "alias/envelope"}
        if context is not None:
            options["EncryptionContext"] = context
        if call == "encrypt":
            options["Plaintext"] = b"secret"
        else:
            options["NumberOfBytes"] = 64
        return getattr(self.kms, call)(**options)["CiphertextBlob"]

    def opens(self, blob, context):
        options = {"CiphertextBlob": blob}
        if context is not None:
            options["EncryptionContext"] = context
        self.kms.decrypt(**options)

    def stays_shut(self, blob, context):
        options = {"CiphertextBlob": blob}
        if context is not None:
            options["EncryptionContext"] = context
        self.refused(*WRONG, self.kms.decrypt, **options)

    def test_collision_pair(self):
        """kms-context-collision-pair-kept-apart"""
        blob = self.seal({"a": "bc"})
        self.stays_shut(blob, {"ab": "c"})
        self.stays_shut(blob, {"abc": ""})
        self.stays_shut(blob, {"": "abc"})
        self.stays_shut(blob, {"a": "b", "c": ""})
        self.opens(blob, {"a": "bc"})

    def test_bound_by_every_operation(self):
        """kms-context-is-bound-by-every-operation"""
        context = {"envelope:volume-id": "vol-1", "envelope:generation": "1"}
        for call in ("encrypt", "generate_data_key",
                     "generate_data_key_without_plaintext"):
            blob = self.seal(context, call)
            self.opens(blob, dict(reversed(context.items())))
            for wrong in (None, {}, {"envelope:volume-id": "vol-1"},
                          {**context, "more": "x"},
                          {**context, "envelope:volume-id": "vol-2"},
                          {**context, "envelope:generation": "2"},
                          {k.upper(): v for k, v in context.items()}):
                self.stays_shut(blob, wrong)

    def test_absent_equals_empty(self):
        self.opens(self.seal(None), {})
        self.opens(self.seal({}), None)
        self.stays_shut(self.seal(None), {"a": ""})

    def test_unusual_pairs(self):
        for context in ({"ключ": "значение", "鍵": "🔑"}, {"a": ""},
                        {"": "x"}, {"a\n\"b": "\\u0041"},
                        {f"k{i}": f"v{i}" for i in range(12)},
                        {"long": "x" * 8192}):
            blob = self.seal(context)
            self.opens(blob, context)
            self.stays_shut(blob, {})
        self.stays_shut(self.seal({"é": "x"}), {"e\u0301": "x"})

    def test_duplicate_and_nul_keys(self):
        """kms-context-with-duplicate-keys-refused"""
        for body in (b'{"KeyId":"alias/envelope","Plaintext":"eA==","EncryptionContext":{"a":"1","a":"2"}}',
                     b'{"KeyId":"alias/envelope","Plaintext":"eA==","EncryptionContext":{"a":"1","\\u0061":"2"}}',
                     b'{"KeyId":"alias/envelope","Plaintext":"eA==","EncryptionContext":{"a":"1\\u0000"}}',
                     b'{"KeyId":"alias/envelope","Plaintext":"eA==","EncryptionContext":{"a\\u0000":"1"}}',
                     b'{"KeyId":"alias/envelope","KeyId":"alias/x","Plaintext":"eA=="}'):
            reply = self.server.call("Encrypt", body)
            self.assertEqual((400, "SerializationException"),
                             (reply.status, reply.code))

    def test_reencrypt_changes_context(self):
        source, target = {"id": "vol-1"}, {"id": "snap-1"}
        blob = self.seal(source, "generate_data_key")
        again = self.kms.re_encrypt(
            CiphertextBlob=blob, SourceEncryptionContext=source,
            DestinationKeyId="alias/envelope",
            DestinationEncryptionContext=target)["CiphertextBlob"]
        self.opens(again, target)
        self.stays_shut(again, source)
        self.refused(*WRONG, self.kms.re_encrypt, CiphertextBlob=blob,
                     DestinationKeyId="alias/envelope",
                     DestinationEncryptionContext=target)


class Blobs(ServerCase):
    def setUp(self):
        self.blob = self.kms.encrypt(KeyId="alias/envelope",
                                     Plaintext=b"plain")["CiphertextBlob"]

    def shut(self, blob):
        reply = self.server.call("Decrypt", {"CiphertextBlob": b64(blob)})
        self.assertEqual((400, {"__type": "InvalidCiphertextException"}),
                         (reply.status, reply.json))

    def test_every_region_of_a_blob(self):
        """kms-blob-tampered-in-any-region-refused"""
        places = {at for start in PARTS.values()
                  for at in (start, start + 1)} | {len(self.blob) - 1}
        for at in sorted(places):
            for bit in (1, 0x80):
                changed = bytearray(self.blob)
                changed[at] ^= bit
                self.shut(bytes(changed))

    def test_cut_grown_and_foreign_blobs(self):
        for blob in (self.blob[:-1], self.blob + b"\0", self.blob[1:],
                     self.blob[:114], self.blob[:130], b"\0",
                     b"x" * 6144, bytes.fromhex("0102020078") + b"y" * 180):
            self.shut(blob)
        reply = self.server.call("Decrypt", {"CiphertextBlob": ""})
        self.assertEqual("1 validation error detected: Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length greater than or equal to 1",
                         reply.message)
        reply = self.server.call("Decrypt",
                                 {"CiphertextBlob": b64(b"x" * 6145)})
        self.assertEqual("1 validation error detected: Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length less than or equal to 6144",
                         reply.message)

    def test_blob_of_an_unknown_key(self):
        """kms-blob-of-another-server-denied"""
        other = Server()
        try:
            foreign = other.client().encrypt(
                KeyId="alias/envelope", Plaintext=b"x")["CiphertextBlob"]
        finally:
            other.close()
        self.refused("AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
                     self.kms.decrypt, CiphertextBlob=foreign)
        self.refused("IncorrectKeyException", None, self.kms.decrypt,
                     CiphertextBlob=foreign, KeyId="alias/envelope")

    def test_key_of_the_request_must_match(self):
        """kms-decrypt-under-another-key-refused"""
        mine = self.kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]
        other, _ = self.new_key()
        wrong = ("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
        self.refused(*wrong, self.kms.decrypt, CiphertextBlob=self.blob,
                     KeyId=other)
        self.refused(*wrong, self.kms.re_encrypt, CiphertextBlob=self.blob,
                     SourceKeyId=other, DestinationKeyId=other)
        for key in (mine, mine.rsplit("/", 1)[1], "alias/envelope"):
            self.assertEqual(b"plain", self.kms.decrypt(
                CiphertextBlob=self.blob, KeyId=key)["Plaintext"])
        self.refused("NotFoundException", None, self.kms.decrypt,
                     CiphertextBlob=self.blob,
                     KeyId="12345678-1234-1234-1234-123456789012")

    def test_header_of_one_blob_on_another(self):
        key, _ = self.new_key()
        second = self.kms.encrypt(KeyId=key,
                                  Plaintext=b"other")["CiphertextBlob"]
        self.shut(self.blob[:114] + second[114:])
        self.shut(second[:114] + self.blob[114:])

    def test_same_plaintext_differs(self):
        blobs = {self.kms.encrypt(KeyId="alias/envelope",
                                  Plaintext=b"same")["CiphertextBlob"]
                 for _ in range(20)}
        self.assertEqual(20, len(blobs))
        self.assertEqual(20, len({b[74:106] for b in blobs}))

    def test_plaintext_sizes(self):
        for size in (1, 2, 3, 4095, 4096):
            blob = self.kms.encrypt(KeyId="alias/envelope",
                                    Plaintext=b"\xa5" * size)
            self.assertLessEqual(len(blob["CiphertextBlob"]), 6144)
            self.assertEqual(b"\xa5" * size, self.kms.decrypt(
                CiphertextBlob=blob["CiphertextBlob"])["Plaintext"])
        for data, word in ((b"x" * 4097, "less than or equal to 4096"),
                           (b"", "greater than or equal to 1")):
            reply = self.server.call("Encrypt", {
                "KeyId": "alias/envelope", "Plaintext": b64(data)})
            self.assertEqual(f"1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length {word}",
                             reply.message)

    def test_reencrypt(self):
        key, arn = self.new_key()
        mine = self.kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]
        answer = self.server.call("ReEncrypt", {
            "CiphertextBlob": b64(self.blob), "SourceKeyId": mine,
            "DestinationKeyId": key}).json
        self.assertEqual(
            (mine, arn, "SYMMETRIC_DEFAULT", "SYMMETRIC_DEFAULT"),
            (answer["SourceKeyId"], answer["KeyId"],
             answer["SourceEncryptionAlgorithm"],
             answer["DestinationEncryptionAlgorithm"]))
        self.assertNotEqual(answer["SourceKeyMaterialId"],
                            answer["DestinationKeyMaterialId"])
        self.assertNotIn("Plaintext", answer)
        back = self.server.call("Decrypt", {
            "CiphertextBlob": answer["CiphertextBlob"], "KeyId": arn}).json
        self.assertEqual(b64(b"plain"), back["Plaintext"])
        self.assertEqual(answer["DestinationKeyMaterialId"],
                         back["KeyMaterialId"])

    def test_algorithms(self):
        for algorithm in ("RSAES_OAEP_SHA_256", "SM2PKE"):
            wrong = ("InvalidKeyUsageException", f"Algorithm {algorithm} is incompatible with key spec SYMMETRIC_DEFAULT.")
            self.refused(*wrong, self.kms.encrypt, KeyId="alias/envelope",
                         Plaintext=b"x", EncryptionAlgorithm=algorithm)
            self.refused(*wrong, self.kms.decrypt, CiphertextBlob=self.blob,
                         EncryptionAlgorithm=algorithm)
            self.refused(*wrong, self.kms.re_encrypt,
                         CiphertextBlob=self.blob,
                         DestinationKeyId="alias/envelope",
                         DestinationEncryptionAlgorithm=algorithm)
        self.refused("ValidationException", "1 validation error detected: Value 'ROT13' at 'encryptionAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]",
                     self.kms.encrypt, KeyId="alias/envelope",
                     Plaintext=b"x", EncryptionAlgorithm="ROT13")

    def test_rows_cannot_be_swapped(self):
        """security-27-swapped-material-rows-refused"""
        one, _ = self.new_key()
        two, _ = self.new_key()
        blob = self.kms.encrypt(KeyId=one, Plaintext=b"x")["CiphertextBlob"]
        rows = dict(self.server.sql(
            "SELECT key_id, sealed FROM material WHERE key_id IN (?, ?)",
            one, two))
        self.server.sql("UPDATE material SET sealed = ? WHERE key_id = ?",
                        rows[two], one)
        self.refused(*WRONG, self.kms.decrypt, CiphertextBlob=blob)
        self.refused("KMSInternalException", None, self.kms.encrypt,
                     KeyId=one, Plaintext=b"x")
        self.server.sql("UPDATE material SET sealed = ? WHERE key_id = ?",
                        rows[one], one)
        self.assertEqual(b"x", self.kms.decrypt(
            CiphertextBlob=blob)["Plaintext"])

    def test_denied_message_is_capital(self):
        arn = "arn:aws:kms:us-east-1:999988887777:alias/x"
        reply = self.server.call("DescribeKey", {"KeyId": arn})
        self.assertEqual({"__type", "Message"}, set(json.loads(reply.body)))


if __name__ == "__main__":
    tap.main()
