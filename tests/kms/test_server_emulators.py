#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What users of KMS emulators complain about, each as one named test."""
import base64
import json
import pathlib
import re
import signal
import tempfile
import unittest

from server_fixture import (ACCOUNT, REGION, Api, Server, ServerCase, b64,
                            key_arn, run)
from server_model import SOURCES
from server_people import Person, document, identity, statement
from server_seal import open_material
import tap

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
FOREIGN = "999988887777"
THERE = "eu-west-1"
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
        """emulators-row-02-decrypt-heeds-its-key-id"""
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
        """emulators-row-05-ciphertext-is-no-encoding-of-the-plaintext"""
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
        """emulators-row-08-disabled-key-does-nothing-by-any-id"""
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
        """emulators-row-09-services-stop-with-the-key"""
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
        """emulators-row-10-context-is-bound-to-data-keys"""
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
        """emulators-row-13-decrypt-with-and-without-key-id"""
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
        """emulators-row-18-context-pairs-keep-their-borders"""
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
        """emulators-row-20-encrypt-differs-each-time-and-lists-are-there"""
        key, _ = self.new_key()
        blobs = {self.encrypt(key) for _ in range(20)}
        self.assertEqual(20, len(blobs))
        for op in ("ListGrants", "ListResourceTags", "ListKeyPolicies",
                   "GetKeyPolicy", "GetKeyRotationStatus",
                   "ListKeyRotations", "ListAliases", "DescribeKey"):
            self.ok(op, {"KeyId": key})

    def test_contexts_of_reencrypt(self):
        """emulators-row-22-reencrypt-binds-both-contexts"""
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
        """emulators-row-14-nothing-is-lost-by-a-restart"""
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
        """emulators-row-12-absent-members-are-absent"""
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
        """emulators-row-11-grant-name-counts-for-one-key-only"""
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
        """emulators-row-17-what-is-not-there-says-so"""
        for op in ("GenerateMac", "VerifyMac", "Sign", "GetPublicKey"):
            self.assertEqual("UnsupportedOperationException",
                             self.code(op, {"KeyId": "alias/envelope"}))
        self.assertEqual("UnsupportedOperationException", self.code(
            "CreateKey", {"KeySpec": "HMAC_256",
                          "KeyUsage": "GENERATE_VERIFY_MAC"}))


class People(EmulatorCase):
    """Who may do what, by default and by every kind of policy."""

    def denied(self, who, operation, body):
        answer = who.call(operation, body)
        self.assertEqual("AccessDeniedException", answer.code, answer.body)

    def allowed(self, who, operation, body):
        answer = who.call(operation, body)
        self.assertEqual(200, answer.status, answer.body)
        return answer.json

    def key_with(self, *statements):
        """A key whose policy leaves it to the account, and then says more."""
        root = statement("Allow", "kms:*", Principal={
            "AWS": f"arn:aws:iam::{ACCOUNT}:root"})
        return self.new_key(Policy=document(root, *statements))[0]

    def test_key_policy(self):
        """emulators-row-01-key-policy-is-obeyed-for-every-operation"""
        ann = Person(self.server, "ann", statement("Allow", "kms:*"))
        key = self.key_with(statement(
            "Deny", ["kms:Describe*", "kms:GenerateDataKey"],
            Principal={"AWS": ann.arn}))
        for op, body in (("DescribeKey", {"KeyId": key}),
                         ("GenerateDataKey", {"KeyId": key,
                                              "NumberOfBytes": 64})):
            self.denied(ann, op, body)
            self.ok(op, body)
        self.allowed(ann, "Encrypt", {"KeyId": key, "Plaintext": "eA=="})

    def test_enforcement_is_on(self):
        """emulators-row-06-a-new-user-may-nothing-by-default"""
        nobody = Person(self.server, "nobody")
        blob = self.encrypt("alias/envelope")
        for op, body in (
                ("ListKeys", {}), ("CreateKey", {}),
                ("Decrypt", {"CiphertextBlob": blob}),
                ("DescribeKey", {"KeyId": "alias/envelope"}),
                ("GenerateRandom", {"NumberOfBytes": 1}),
                ("ListGrants", {"KeyId": key_arn(
                    "12345678-1234-1234-1234-123456789012")})):
            self.denied(nobody, op, body)

    def test_alias_under_enforcement(self):
        """emulators-row-07-alias-is-resolved-before-it-is-authorised"""
        key, arn = self.new_key()
        self.kms.create_alias(AliasName="alias/seven", TargetKeyId=key)
        bob = Person(self.server, "bob",
                     statement("Allow", "kms:Encrypt", arn))
        for name in (key, arn, "alias/seven",
                     f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/seven"):
            self.allowed(bob, "Encrypt", {"KeyId": name,
                                          "Plaintext": "eA=="})
        self.denied(bob, "Encrypt", {"KeyId": "alias/envelope",
                                     "Plaintext": "eA=="})

    def test_put_policy_is_no_string(self):
        """emulators-row-19-a-policy-put-is-a-policy-in-force"""
        cat = Person(self.server, "cat", statement("Allow", "kms:*"))
        key = self.key_with()
        ask = {"KeyId": key, "Plaintext": "eA=="}
        self.allowed(cat, "Encrypt", ask)
        root = statement("Allow", "kms:*", Principal={"AWS": ADMIN})
        self.kms.put_key_policy(KeyId=key, PolicyName="default",
                                Policy=document(root))
        self.denied(cat, "Encrypt", ask)
        self.assertEqual("MalformedPolicyDocumentException", self.code(
            "PutKeyPolicy", {"KeyId": key, "Policy": "any string"}))

    def test_decrypt_without_key_id(self):
        """emulators-row-21-decrypt-is-authorised-for-the-key-in-the-blob"""
        mine, arn = self.new_key()
        other, _ = self.new_key()
        dan = Person(self.server, "dan",
                     statement("Allow", "kms:Decrypt", arn))
        blob = self.encrypt(mine)
        for name in (None, mine, arn):
            self.allowed(dan, "Decrypt", {"CiphertextBlob": blob,
                                          "KeyId": name})
        self.denied(dan, "Decrypt", {"CiphertextBlob": self.encrypt(other)})

    def test_across_accounts(self):
        """emulators-row-24-key-policies-and-grants-across-accounts"""
        identity(self.server, "create-account", FOREIGN)
        eve = Person(self.server, "eve", account=FOREIGN)
        key = self.key_with(statement("Allow", "kms:Encrypt", Principal={
            "AWS": f"arn:aws:iam::{FOREIGN}:root"}))
        arn = key_arn(key)
        put = {"KeyId": arn, "Plaintext": "eA=="}
        self.denied(eve, "Encrypt", put)
        eve.may(statement("Allow", "kms:*"))
        self.allowed(eve, "Encrypt", put)
        blob = self.encrypt(key, EncryptionContext=CONTEXT)
        get = {"KeyId": arn, "CiphertextBlob": blob,
               "EncryptionContext": CONTEXT}
        self.denied(eve, "Decrypt", get)
        made = self.ok("CreateGrant", {
            "KeyId": key, "GranteePrincipal": eve.arn,
            "RetiringPrincipal": eve.arn, "Operations": ["Decrypt"],
            "Constraints": {"EncryptionContextSubset": CONTEXT}})
        eve.may(statement("Allow", "sts:*"))
        self.allowed(eve, "Decrypt", get)
        self.allowed(eve, "Decrypt", {**get, "GrantTokens":
                                      [made["GrantToken"]]})
        self.denied(eve, "ListGrants", {"KeyId": arn})
        self.allowed(eve, "RetireGrant", {"GrantToken": made["GrantToken"]})
        self.denied(eve, "Decrypt", get)

    def test_tokens_are_no_credentials(self):
        """grants-token-gives-nothing-to-another-principal"""
        fay = Person(self.server, "fay")
        gus = Person(self.server, "gus")
        key, arn = self.new_key()
        made = self.ok("CreateGrant", {
            "KeyId": key, "GranteePrincipal": fay.arn,
            "Operations": ["Encrypt", "RetireGrant"]})
        ask = {"KeyId": arn, "Plaintext": "eA==",
               "GrantTokens": [made["GrantToken"]]}
        self.allowed(fay, "Encrypt", ask)
        self.denied(gus, "Encrypt", ask)
        self.denied(gus, "RetireGrant", {"GrantToken": made["GrantToken"]})
        identity(self.server, "delete-user", "fay")
        heir = Person(self.server, "fay")
        self.denied(heir, "Encrypt", ask)
        self.denied(heir, "RetireGrant", {"GrantToken": made["GrantToken"]})

    def test_tags_in_policies(self):
        """tags-decide-in-policies-of-keys-and-requests"""
        hal = Person(
            self.server, "hal",
            statement("Allow", "kms:Encrypt", Condition={
                "StringEquals": {"aws:ResourceTag/Stage": "test"}}),
            statement("Allow", ["kms:CreateKey", "kms:TagResource"],
                      Condition={"StringEquals": {
                          "aws:RequestTag/Stage": "test"}}))
        tag = {"Tags": [{"TagKey": "Stage", "TagValue": "test"}]}
        key = self.key_with()
        ask = {"KeyId": key, "Plaintext": "eA=="}
        self.denied(hal, "Encrypt", ask)
        self.ok("TagResource", {"KeyId": key, **tag})
        self.allowed(hal, "Encrypt", ask)
        self.ok("TagResource", {"KeyId": key, "Tags": [
            {"TagKey": "Stage", "TagValue": "live"}]})
        self.denied(hal, "Encrypt", ask)
        self.denied(hal, "CreateKey", {})
        self.denied(hal, "CreateKey", {"Tags": [
            {"TagKey": "Stage", "TagValue": "live"}]})
        self.allowed(hal, "CreateKey", tag)
        hal.may(statement("Allow", "kms:CreateKey"))
        self.denied(hal, "CreateKey", tag)


class Regions(EmulatorCase):
    options = ("--region", REGION, "--region", THERE)

    def test_replicas(self):
        """emulators-row-12-replicas-are-no-primaries"""
        key, arn = self.new_key(MultiRegion=True)
        self.ok("ReplicateKey", {"KeyId": key, "ReplicaRegion": THERE})
        self.assertEqual("AlreadyExistsException", self.code(
            "ReplicateKey", {"KeyId": key, "ReplicaRegion": THERE}))
        self.assertEqual("UnsupportedOperationException", self.code(
            "ReplicateKey", {"KeyId": key, "ReplicaRegion": REGION},
            region=THERE))
        self.assertEqual(arn, self.ok(
            "DescribeKey", {"KeyId": key}, region=THERE)["KeyMetadata"][
                "MultiRegionConfiguration"]["PrimaryKey"]["Arn"])

    def test_same_id_everywhere(self):
        """emulators-row-22-a-replica-has-the-id-of-its-primary"""
        key, _ = self.new_key(MultiRegion=True)
        made = self.ok("ReplicateKey", {
            "KeyId": key, "ReplicaRegion": THERE})["ReplicaKeyMetadata"]
        self.assertEqual((key, key_arn(key, THERE)),
                         (made["KeyId"], made["Arn"]))
        blob = self.encrypt(key, EncryptionContext=CONTEXT)
        self.assertEqual("InvalidCiphertextException", self.code(
            "Decrypt", {"CiphertextBlob": blob}, region=THERE))
        self.ok("Decrypt", {"CiphertextBlob": blob,
                            "EncryptionContext": CONTEXT}, region=THERE)

    def test_one_process_several_regions(self):
        """emulators-row-23-region-of-the-signature-and-mrk-ids"""
        here, _ = self.new_key()
        there = self.ok("CreateKey", {}, region=THERE)["KeyMetadata"]
        self.assertEqual(key_arn(there["KeyId"], THERE), there["Arn"])
        self.assertEqual("NotFoundException", self.code(
            "DescribeKey", {"KeyId": here}, region=THERE))
        self.assertRegex(self.new_key(MultiRegion=True)[0],
                         "^mrk-[0-9a-f]{32}$")
        self.assertEqual("UnsupportedOperationException", self.code(
            "CreateCustomKeyStore", {}))


class Seeds(unittest.TestCase):
    """Keys of known ids and material, in servers for tests only."""

    ID = "bc436485-5092-42b8-92a3-0aa8b93536dc"
    MRK = "mrk-" + "0123456789abcdef" * 2
    MATERIAL = bytes(range(32))
    SEED = {"Keys": [
        {"KeyId": ID, "Description": "known", "Material": b64(MATERIAL),
         "Aliases": ["alias/envelope", "alias/one"]},
        {"KeyId": MRK, "Region": THERE, "Material": b64(MATERIAL)},
        {"KeyId": ID.replace("b", "c"), "Aliases": ["alias/fresh"]}]}

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="kms-seed-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "seed.json"

    def serve(self):
        """Two regions with the keys of the file."""
        server = Server("--test", "--seed", self.file, "--region", REGION,
                        "--region", THERE)
        self.addCleanup(server.end)
        return server

    def test_seeds(self):
        """emulators-row-15-seeded-keys-have-known-ids-and-material"""
        self.file.write_text(json.dumps(self.SEED))
        one, two = Api(self.serve()), Api(self.serve())
        blobs = {}
        for name in ("alias/envelope", "alias/fresh"):
            blobs[name] = one.encrypt(
                KeyId=name, Plaintext=b"x",
                EncryptionContext=CONTEXT)["CiphertextBlob"]
        ids = [kms.decrypt(CiphertextBlob=blobs["alias/envelope"],
                           EncryptionContext=CONTEXT) for kms in (one, two)]
        self.assertEqual(ids[0], ids[1])
        self.assertEqual((b"x", key_arn(self.ID)),
                         (ids[0]["Plaintext"], ids[0]["KeyId"]))
        with self.assertRaisesRegex(Exception, "AccessDenied|InvalidCiph"):
            two.decrypt(CiphertextBlob=blobs["alias/fresh"],
                        EncryptionContext=CONTEXT)
        row = one.server.sql("SELECT region, key_id, material_id FROM"
                             " material WHERE key_id = ?", self.ID)[0]
        self.assertEqual(self.MATERIAL, open_material(one.server, row))
        m = one.describe_key(KeyId="alias/one")["KeyMetadata"]
        self.assertEqual(("known", "AWS_KMS", "Enabled", False),
                         (m["Description"], m["Origin"], m["KeyState"],
                          m["MultiRegion"]))
        self.assertNotEqual(m["CurrentKeyMaterialId"], Api(
            one.server, THERE).describe_key(KeyId=self.MRK)["KeyMetadata"][
                "CurrentKeyMaterialId"])

    def test_life(self):
        """emulators-row-15-seeded-keys-are-keys-like-others"""
        self.file.write_text(json.dumps(self.SEED))
        kms = Api(self.serve())
        blob = kms.encrypt(KeyId=self.ID, Plaintext=b"x")["CiphertextBlob"]
        kms.rotate_key_on_demand(KeyId=self.ID)
        self.assertEqual(b"x", kms.decrypt(CiphertextBlob=blob)["Plaintext"])
        there = Api(kms.server, THERE)
        blob = there.encrypt(KeyId=self.MRK, Plaintext=b"y")["CiphertextBlob"]
        there.replicate_key(KeyId=self.MRK, ReplicaRegion=REGION)
        self.assertEqual(b"y", kms.decrypt(CiphertextBlob=blob)["Plaintext"])
        # The region that the file has no alias/envelope for has its own.
        self.assertRegex(there.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["KeyId"], "^[0-9a-f-]{36}$")

    def test_manual(self):
        """emulators-row-15-the-seed-of-the-manual-works"""
        text = (SOURCES / "envelope-kms.8").read_text()
        self.file.write_text(re.search(r'^\{ "Keys": .*?\] \}$', text,
                                       re.S | re.M).group())
        m = Api(self.serve()).describe_key(KeyId="alias/test")["KeyMetadata"]
        self.assertEqual((self.ID, "known to everybody"),
                         (m["KeyId"], m["Description"]))

    def refused(self, says, status=1, *options):
        done = run("init", self.folder / "kms", "--seed", self.file,
                   *options)
        self.assertEqual((status, f"envelope-kms: {says}\n", ["seed.json"]),
                         (done.returncode, done.stderr,
                          sorted(p.name for p in self.folder.iterdir())))

    def test_for_tests_only(self):
        """emulators-row-15-seeds-are-refused-outside-tests"""
        self.file.write_text(json.dumps(self.SEED))
        self.refused("--seed: known key material is for tests only; give --test as well", 2)
        done = run("serve", self.folder, "--seed", self.file)
        self.assertEqual((2, "envelope-kms: serve: --seed belongs to init; see envelope-kms --help\n"),
                         (done.returncode, done.stderr))

    def test_refusals(self):
        """emulators-row-15-a-wrong-seed-makes-nothing"""
        good = self.SEED["Keys"][0]
        for text, why in (
                ("", "not JSON"), ("[]", "not an object with just an array Keys"),
                ('{"Keys": [], "More": 1}',
                 "not an object with just an array Keys")):
            self.file.write_text(text)
            done = run("init", self.folder / "kms", "--test", "--seed",
                       self.file)
            self.assertEqual(1, done.returncode)
            self.assertTrue(done.stderr.startswith(
                f"envelope-kms: {self.file}: "), done.stderr)
            if text:
                self.assertIn(why, done.stderr)
        for keys, why in (
                ([1], "1: it is not an object"),
                ([{**good, "Origin": "EXTERNAL"}],
                 "1: Origin is not a member of a key"),
                ([{**good, "KeyId": self.ID.upper()}],
                 "1: KeyId is not a UUID, or mrk- and 32 digits, in lower case"),
                ([{**good, "KeyId": 1}], "1: KeyId is not text"),
                ([{}], "1: KeyId is not a UUID, or mrk- and 32 digits, in lower case"),
                ([{**good, "Region": "us-west-1"}],
                 "1: us-west-1 is not a region of this server"),
                ([{**good, "Material": b64(b"x" * 31)}],
                 "1: Material is not 32 bytes in base64"),
                ([{**good, "Material": b64(b"x" * 33)}],
                 "1: Material is not 32 bytes in base64"),
                ([{**good, "Material": "!" * 44}],
                 "1: Material is not 32 bytes in base64"),
                ([good, {**good, "Aliases": []}], f"2: {self.ID} is there twice"),
                ([good, {**good, "KeyId": self.MRK}],
                 "2: alias/envelope is there twice"),
                ([{**good, "Aliases": "alias/x"}],
                 "1: Aliases is not an array"),
                ([{**good, "Aliases": [1]}],
                 "1: an alias is not a name of an alias of yours"),
                ([{**good, "Aliases": ["alias/aws/ebs"]}],
                 "1: alias/aws/ebs is not a name of an alias of yours"),
                ([{**good, "Aliases": ["other"]}],
                 "1: other is not a name of an alias of yours")):
            self.file.write_text(json.dumps({"Keys": keys}))
            self.refused(f"{self.file}: key {why}", 1, "--test")


class Rows(unittest.TestCase):
    def test_all(self):
        """emulators-every-row-has-a-test"""
        found = set()
        for path in pathlib.Path(__file__).parent.glob("test_server_*.py"):
            found |= set(re.findall(r'"""emulators-row-(\d\d)-',
                                    path.read_text()))
        self.assertEqual({f"{i:02}" for i in range(1, 25)}, found)


if __name__ == "__main__":
    tap.main()
