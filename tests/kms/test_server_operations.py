#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every operation of envelope-kms through boto3: answers, states, limits."""
import datetime
import uuid

from server_fixture import ACCOUNT, REGION, ServerCase, b64, key_arn
import tap

ABSENT = "12345678-1234-1234-1234-123456789012"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"

OFFERED = """CancelKeyDeletion CreateAlias CreateGrant CreateKey Decrypt DeleteAlias
DescribeKey DisableKey EnableKey Encrypt GenerateDataKey
GenerateDataKeyWithoutPlaintext GenerateRandom GetKeyPolicy ListAliases
ListGrants ListKeyPolicies ListKeys ListResourceTags ListRetirableGrants
PutKeyPolicy ReEncrypt RetireGrant RevokeGrant
ScheduleKeyDeletion TagResource UntagResource UpdateAlias
UpdateKeyDescription EnableKeyRotation DisableKeyRotation
GetKeyRotationStatus RotateKeyOnDemand ListKeyRotations ReplicateKey
UpdatePrimaryRegion GetParametersForImport ImportKeyMaterial
DeleteImportedKeyMaterial""".split()


class Keys(ServerCase):
    def test_create_key_answers_metadata(self):
        before = datetime.datetime.now(datetime.timezone.utc)
        answer = self.server.call("CreateKey", {"Description": "für mich"})
        self.assertEqual(200, answer.status)
        m = answer.json["KeyMetadata"]
        key_id = m.pop("KeyId")
        self.assertEqual(key_id, str(uuid.UUID(key_id)))
        self.assertRegex(m.pop("CurrentKeyMaterialId"), "^[0-9a-f]{64}$")
        self.assertLess(abs(m.pop("CreationDate") - before.timestamp()), 30)
        self.assertEqual(
            {"AWSAccountId": ACCOUNT, "Arn": key_arn(key_id),
             "Enabled": True, "Description": "für mich",
             "KeyUsage": "ENCRYPT_DECRYPT", "KeyState": "Enabled",
             "Origin": "AWS_KMS", "KeyManager": "CUSTOMER",
             "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
             "KeySpec": "SYMMETRIC_DEFAULT",
             "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
             "MultiRegion": False}, m)

    def test_create_key_refuses_what_it_cannot_keep(self):
        for options, what in (
                ({"Origin": "AWS_CLOUDHSM"},
                 "key origins other than AWS_KMS and EXTERNAL"),
                ({"CustomKeyStoreId": "cks-1"}, "custom key stores"),
                ({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"},
                 "keys other than SYMMETRIC_DEFAULT")):
            self.refused("UnsupportedOperationException",
                         f"This server does not offer {what}.",
                         self.kms.create_key, **options)

    def test_create_key_validates(self):
        create = self.kms.create_key
        self.refused("ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.",
                     create, KeySpec="HMAC_256")
        self.refused("ValidationException", "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT",
                     create, KeyUsage="SIGN_VERIFY")
        self.refused("ValidationException", "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.",
                     create, KeySpec="SYMMETRIC_DEFAULT",
                     CustomerMasterKeySpec="SYMMETRIC_DEFAULT")
        self.refused("ValidationException", "1 validation error detected: Value 'X' at 'origin' failed to satisfy constraint: Member must satisfy enum value set: [AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE]",
                     create, Origin="X")
        self.refused("ValidationException", f"1 validation error detected: Value '{'x' * 512}' at 'description' failed to satisfy constraint: Member must have length less than or equal to 8192",
                     create, Description="x" * 8193)
        create(Description="é" * 8192)

    def test_describe_key_by_every_form_of_id(self):
        key_id, arn = self.new_key()
        alias = "alias/forms"
        self.kms.create_alias(AliasName=alias, TargetKeyId=key_id)
        for form in (key_id, arn, alias,
                     f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias}"):
            m = self.kms.describe_key(KeyId=form)["KeyMetadata"]
            self.assertEqual((key_id, arn), (m["KeyId"], m["Arn"]))

    def test_ids_that_lead_nowhere(self):
        describe = self.kms.describe_key
        nowhere = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/nowhere"
        for key, message in (
                (ABSENT, f"Key '{key_arn(ABSENT)}' does not exist"),
                (key_arn(ABSENT), f"Key '{key_arn(ABSENT)}' does not exist"),
                ("nonsense", "Invalid keyId 'nonsense'"),
                (ABSENT.upper().replace("1", "A"), None),
                ("key/" + ABSENT, f"Invalid keyId 'key/{ABSENT}'"),
                ("mrk-" + "a" * 32,
                 f"Key '{key_arn('mrk-' + 'a' * 32)}' does not exist"),
                ("mrk-" + "a" * 31, "Invalid keyId 'mrk-" + "a" * 31 + "'"),
                (key_arn(ABSENT, region="eu-west-1"),
                 "Invalid arn eu-west-1"),
                ("arn:aws:kms:us-east-1", "Invalid keyId 'arn:aws:kms:us-east-1'"),
                ("arn:aws:s3:::bucket", "Invalid keyId 'arn:aws:s3:::bucket'"),
                ("alias/nowhere", f"Alias {nowhere} is not found."),
                (nowhere, f"Alias {nowhere} is not found."),
                ("alias/" + "x" * 300, None)):
            self.refused("NotFoundException", message, describe, KeyId=key)

    def test_another_account_is_denied_not_absent(self):
        for name in ("key/" + ABSENT, "alias/theirs"):
            arn = f"arn:aws:kms:{REGION}:999988887777:{name}"
            self.refused("AccessDeniedException", f"User: {ADMIN} is not authorized to perform: kms:DescribeKey on resource: {arn} because no resource-based policy allows the kms:DescribeKey action",
                         self.kms.describe_key, KeyId=arn)

    def test_management_takes_no_alias(self):
        for call in (self.kms.enable_key, self.kms.disable_key,
                     self.kms.schedule_key_deletion,
                     self.kms.cancel_key_deletion):
            self.refused("NotFoundException",
                         "Invalid keyId 'alias/envelope'", call,
                         KeyId="alias/envelope")

    def test_required_and_too_long_members(self):
        self.assertEqual(
            "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null",
            self.server.call("DescribeKey", {}).message)
        two = self.server.call("Encrypt", {"KeyId": ""})
        self.assertEqual("ValidationException", two.code)
        self.assertEqual(
            "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; Value null at 'plaintext' failed to satisfy constraint: Member must not be null",
            two.message)
        long = self.server.call("DescribeKey", {"KeyId": "x" * 2049})
        self.assertIn("Member must have length less than or equal to 2048",
                      long.message)

    def test_list_keys_pages(self):
        ids = {self.new_key()[0] for _ in range(5)}
        pages = list(self.kms.get_paginator("list_keys").paginate(
            PaginationConfig={"PageSize": 1}))
        self.assertTrue(all(len(p["Keys"]) == 1 for p in pages))
        self.assertEqual([True] * (len(pages) - 1) + [False],
                         [p["Truncated"] for p in pages])
        self.assertNotIn("NextMarker", pages[-1])
        listed = [p["Keys"][0]["KeyId"] for p in pages]
        self.assertEqual(sorted(set(listed)), listed)
        self.assertLessEqual(ids, set(listed))
        whole = self.kms.list_keys(Limit=1000)
        self.assertEqual(listed, [k["KeyId"] for k in whole["Keys"]])
        self.assertEqual(key_arn(listed[0]), whole["Keys"][0]["KeyArn"])

    def test_list_limits_and_markers(self):
        limit = "1 validation error detected: Value '%s' at 'limit' failed to satisfy constraint: Member must have value %s than or equal to %s"
        for op, most in (("ListKeys", 1000), ("ListAliases", 100)):
            self.assertEqual(limit % (0, "greater", 1),
                             self.server.call(op, {"Limit": 0}).message)
            self.assertEqual(limit % (most + 1, "less", most),
                             self.server.call(op,
                                              {"Limit": most + 1}).message)
            for marker in ("x", "!!!!", b64(b"key:"), b64(b"other:thing"),
                           b64(b"alias:" + b"x" * 600), "é",
                           b64(b"key:a\0b"), "A" * 1024):
                self.assertEqual(
                    "InvalidMarkerException",
                    self.server.call(op, {"Marker": marker}).code)
        self.assertEqual("ValidationException", self.server.call(
            "ListKeys", {"Marker": "A" * 1028}).code)

    def test_enable_and_disable_are_idempotent(self):
        key_id, arn = self.new_key()
        blob = self.kms.encrypt(KeyId=key_id,
                                Plaintext=b"x")["CiphertextBlob"]
        for name in (key_id, arn):
            self.kms.disable_key(KeyId=name)
        m = self.kms.describe_key(KeyId=key_id)["KeyMetadata"]
        self.assertEqual((False, "Disabled"), (m["Enabled"], m["KeyState"]))
        self.refused("DisabledException", f"{arn} is disabled.",
                     self.kms.decrypt, CiphertextBlob=blob)
        for name in (key_id, arn):
            self.kms.enable_key(KeyId=name)
        self.assertEqual(b"x", self.kms.decrypt(
            CiphertextBlob=blob)["Plaintext"])

    def test_schedule_and_cancel_deletion(self):
        key_id, arn = self.new_key()
        now = datetime.datetime.now(datetime.timezone.utc)
        answer = self.kms.schedule_key_deletion(KeyId=key_id,
                                                PendingWindowInDays=7)
        self.assertEqual((arn, "PendingDeletion", 7),
                         (answer["KeyId"], answer["KeyState"],
                          answer["PendingWindowInDays"]))
        days = (answer["DeletionDate"] - now).total_seconds() / 86400
        self.assertAlmostEqual(7, days, 2)
        m = self.kms.describe_key(KeyId=key_id)["KeyMetadata"]
        self.assertEqual(("PendingDeletion", False),
                         (m["KeyState"], m["Enabled"]))
        self.assertEqual(answer["DeletionDate"], m["DeletionDate"])
        self.assertEqual(arn, self.kms.cancel_key_deletion(
            KeyId=key_id)["KeyId"])
        m = self.kms.describe_key(KeyId=key_id)["KeyMetadata"]
        self.assertEqual("Disabled", m["KeyState"])
        self.assertNotIn("DeletionDate", m)
        self.refused("KMSInvalidStateException",
                     f"{arn} is not pending deletion.",
                     self.kms.cancel_key_deletion, KeyId=key_id)

    def test_deletion_window(self):
        key_id, _ = self.new_key()
        for days in (1, 6, 31, 365):
            self.refused("ValidationException", f"PendingWindowInDays should be between 7 and 30, but it is {days}",
                         self.kms.schedule_key_deletion, KeyId=key_id,
                         PendingWindowInDays=days)
        for days, word in ((0, "greater"), (366, "less")):
            answer = self.server.call("ScheduleKeyDeletion", {
                "KeyId": key_id, "PendingWindowInDays": days})
            self.assertIn(f"Value '{days}' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value {word} than",
                          answer.message)
        self.assertEqual(30, self.kms.schedule_key_deletion(
            KeyId=key_id)["PendingWindowInDays"])

    def test_state_table(self):
        enabled, enabled_arn = self.new_key()
        disabled, disabled_arn = self.new_key()
        pending, pending_arn = self.new_key()
        blobs = {k: self.kms.encrypt(KeyId=k, Plaintext=b"x")
                 ["CiphertextBlob"] for k in (enabled, disabled, pending)}
        self.kms.disable_key(KeyId=disabled)
        self.kms.schedule_key_deletion(KeyId=pending)
        k = self.kms
        crypto = {
            "Encrypt": lambda i: k.encrypt(KeyId=i, Plaintext=b"x"),
            "Decrypt": lambda i: k.decrypt(CiphertextBlob=blobs[i]),
            "Decrypt with KeyId": lambda i: k.decrypt(
                CiphertextBlob=blobs[i], KeyId=i),
            "ReEncrypt from": lambda i: k.re_encrypt(
                CiphertextBlob=blobs[i], DestinationKeyId=enabled),
            "ReEncrypt to": lambda i: k.re_encrypt(
                CiphertextBlob=blobs[enabled], DestinationKeyId=i),
            "GenerateDataKey": lambda i: k.generate_data_key(
                KeyId=i, NumberOfBytes=64),
            "GenerateDataKeyWithoutPlaintext":
                lambda i: k.generate_data_key_without_plaintext(
                    KeyId=i, NumberOfBytes=64),
        }
        for name, call in crypto.items():
            with self.subTest(name):
                call(enabled)
                self.refused("DisabledException",
                             f"{disabled_arn} is disabled.", call, disabled)
                self.refused("KMSInvalidStateException",
                             f"{pending_arn} is pending deletion.", call,
                             pending)
        gone = "KMSInvalidStateException", f"{pending_arn} is pending deletion."
        self.refused(*gone, k.enable_key, KeyId=pending)
        self.refused(*gone, k.disable_key, KeyId=pending)
        self.refused(*gone, k.schedule_key_deletion, KeyId=pending)
        self.refused(*gone, k.create_alias, AliasName="alias/p",
                     TargetKeyId=pending)
        for i, arn in ((enabled, enabled_arn), (disabled, disabled_arn)):
            self.refused("KMSInvalidStateException",
                         f"{arn} is not pending deletion.",
                         k.cancel_key_deletion, KeyId=i)
        k.create_alias(AliasName="alias/d", TargetKeyId=disabled)
        k.update_alias(AliasName="alias/d", TargetKeyId=enabled)
        self.refused(*gone, k.update_alias, AliasName="alias/d",
                     TargetKeyId=pending)
        k.schedule_key_deletion(KeyId=disabled)


class Aliases(ServerCase):
    def test_alias_life(self):
        one, _ = self.new_key()
        two, _ = self.new_key()
        name = "alias/life/a_b-c:1"
        self.kms.create_alias(AliasName=name, TargetKeyId=one)
        arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:{name}"
        self.refused("AlreadyExistsException",
                     f"An alias with the name {arn} already exists",
                     self.kms.create_alias, AliasName=name, TargetKeyId=two)
        blob = self.kms.encrypt(KeyId=name, Plaintext=b"old")
        self.assertEqual(key_arn(one), blob["KeyId"])
        self.kms.update_alias(AliasName=name, TargetKeyId=key_arn(two))
        self.assertEqual(key_arn(two), self.kms.encrypt(
            KeyId=name, Plaintext=b"new")["KeyId"])
        old = self.kms.decrypt(CiphertextBlob=blob["CiphertextBlob"])
        self.assertEqual((b"old", key_arn(one)),
                         (old["Plaintext"], old["KeyId"]))
        found = [a for a in self.kms.list_aliases(KeyId=two)["Aliases"]]
        self.assertEqual([(name, arn, two)], [
            (a["AliasName"], a["AliasArn"], a["TargetKeyId"])
            for a in found])
        self.assertGreater(found[0]["LastUpdatedDate"],
                           found[0]["CreationDate"])
        self.kms.delete_alias(AliasName=name)
        self.refused("NotFoundException", f"Alias {arn} is not found.",
                     self.kms.delete_alias, AliasName=name)
        self.refused("NotFoundException", f"Alias {arn} is not found.",
                     self.kms.update_alias, AliasName=name, TargetKeyId=one)
        self.kms.describe_key(KeyId=two)

    def test_alias_names(self):
        key, _ = self.new_key()
        pattern = "failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"
        for call in (self.kms.create_alias, self.kms.update_alias):
            self.refused("ValidationException", "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
                         call, AliasName="plain", TargetKeyId=key)
            for name in ("alias/aws/ebs", "alias/"):
                self.refused("InvalidAliasNameException", "", call,
                             AliasName=name, TargetKeyId=key)
            for name in ("alias/a b", "alias/é", "alias/a.b"):
                self.refused("ValidationException", f"1 validation error detected: Value '{name}' at 'aliasName' {pattern}",
                             call, AliasName=name, TargetKeyId=key)
            self.refused("ValidationException", None, call,
                         AliasName="alias/" + "x" * 251, TargetKeyId=key)
        self.kms.create_alias(AliasName="alias/" + "x" * 250,
                              TargetKeyId=key)

    def test_alias_targets(self):
        for target in ("alias/envelope",
                       f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/envelope"):
            self.refused("NotFoundException", f"Invalid keyId '{target}'",
                         self.kms.create_alias, AliasName="alias/t",
                         TargetKeyId=target)
        self.refused("NotFoundException",
                     f"Key '{key_arn(ABSENT)}' does not exist",
                     self.kms.create_alias, AliasName="alias/t",
                     TargetKeyId=ABSENT)

    def test_aliases_per_key(self):
        key, arn = self.new_key()
        other, _ = self.new_key()
        for i in range(50):
            self.kms.create_alias(AliasName=f"alias/many-{i:02}",
                                  TargetKeyId=key)
        limit = "LimitExceededException", f"{arn} has 50 aliases, which is the limit."
        self.refused(*limit, self.kms.create_alias, AliasName="alias/51",
                     TargetKeyId=key)
        self.kms.create_alias(AliasName="alias/elsewhere", TargetKeyId=other)
        self.refused(*limit, self.kms.update_alias,
                     AliasName="alias/elsewhere", TargetKeyId=key)
        pages = list(self.kms.get_paginator("list_aliases").paginate(
            KeyId=key, PaginationConfig={"PageSize": 20}))
        self.assertEqual([20, 20, 10], [len(p["Aliases"]) for p in pages])
        names = [a["AliasName"] for p in pages for a in p["Aliases"]]
        self.assertEqual([f"alias/many-{i:02}" for i in range(50)], names)


class DataKeys(ServerCase):
    def test_generate_data_key_sizes(self):
        for options, size in (({"KeySpec": "AES_256"}, 32),
                              ({"KeySpec": "AES_128"}, 16),
                              ({"NumberOfBytes": 1}, 1),
                              ({"NumberOfBytes": 64}, 64),
                              ({"NumberOfBytes": 1024}, 1024)):
            made = self.kms.generate_data_key(KeyId="alias/envelope",
                                              **options)
            self.assertEqual(size, len(made["Plaintext"]))
            back = self.kms.decrypt(CiphertextBlob=made["CiphertextBlob"])
            self.assertEqual(made["Plaintext"], back["Plaintext"])
            self.assertEqual(made["KeyId"], back["KeyId"])

    def test_generate_data_key_needs_one_size(self):
        for options in ({}, {"KeySpec": "AES_256", "NumberOfBytes": 32}):
            for call in (self.kms.generate_data_key,
                         self.kms.generate_data_key_without_plaintext):
                self.refused("ValidationException", "Please specify either number of bytes or key spec.",
                             call, KeyId="alias/envelope", **options)
        self.refused("ValidationException", "1 validation error detected: Value 'AES_512' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]",
                     self.kms.generate_data_key, KeyId="alias/envelope",
                     KeySpec="AES_512")
        for size, word in ((0, "greater than or equal to 1"),
                           (1025, "less than or equal to 1024")):
            answer = self.server.call("GenerateDataKey", {
                "KeyId": "alias/envelope", "NumberOfBytes": size})
            self.assertEqual(f"1 validation error detected: Value '{size}' at 'numberOfBytes' failed to satisfy constraint: Member must have value {word}",
                             answer.message)

    def test_without_plaintext_has_none(self):
        context = {"envelope:volume-id": "vol-1"}
        answer = self.server.call("GenerateDataKeyWithoutPlaintext", {
            "KeyId": "alias/envelope", "NumberOfBytes": 64,
            "EncryptionContext": context})
        self.assertEqual({"CiphertextBlob", "KeyId", "KeyMaterialId"},
                         set(answer.json))
        back = self.server.call("Decrypt", {
            "CiphertextBlob": answer.json["CiphertextBlob"],
            "EncryptionContext": context})
        self.assertEqual({"Plaintext", "KeyId", "KeyMaterialId",
                          "EncryptionAlgorithm"}, set(back.json))
        self.assertEqual(answer.json["KeyMaterialId"],
                         back.json["KeyMaterialId"])
        described = self.server.call("DescribeKey",
                                     {"KeyId": "alias/envelope"})
        self.assertEqual(
            answer.json["KeyMaterialId"],
            described.json["KeyMetadata"]["CurrentKeyMaterialId"])

    def test_generate_random(self):
        for size in (1, 32, 1024):
            self.assertEqual(size, len(self.kms.generate_random(
                NumberOfBytes=size)["Plaintext"]))
        self.refused("ValidationException", "NumberOfBytes is required.",
                     self.kms.generate_random)
        self.refused("UnsupportedOperationException", "This server does not offer custom key stores.",
                     self.kms.generate_random, NumberOfBytes=1,
                     CustomKeyStoreId="cks-1")
        self.refused("ValidationException", None, self.kms.generate_random,
                     NumberOfBytes=1025)

    def test_dry_run(self):
        key, _ = self.new_key()
        good = self.server.call("Encrypt", {"KeyId": key, "Plaintext": "eA=="})
        blob = good.json["CiphertextBlob"]
        calls = [
            ("Encrypt", {"KeyId": key, "Plaintext": "eA=="}),
            ("GenerateDataKey", {"KeyId": key, "NumberOfBytes": 1}),
            ("GenerateDataKeyWithoutPlaintext",
             {"KeyId": key, "NumberOfBytes": 1}),
            ("Decrypt", {"CiphertextBlob": blob}),
            ("ReEncrypt", {"CiphertextBlob": blob, "DestinationKeyId": key})]
        for op, body in calls:
            answer = self.server.call(op, {**body, "DryRun": True})
            self.assertEqual(
                ("DryRunOperationException", "The request would have succeeded, but the DryRun option is set."),
                (answer.code, answer.message))
            self.assertEqual(200, self.server.call(
                op, {**body, "DryRun": False}).status)
        wrong = self.server.call("Decrypt", {
            "CiphertextBlob": blob, "EncryptionContext": {"a": "b"},
            "DryRun": True})
        self.assertEqual("InvalidCiphertextException", wrong.code)
        self.kms.disable_key(KeyId=key)
        for op, body in calls:
            self.assertEqual("DisabledException", self.server.call(
                op, {**body, "DryRun": True}).code)

    def test_grant_tokens_recipients_and_modifiers(self):
        blob = self.kms.encrypt(KeyId="alias/envelope",
                                Plaintext=b"x")["CiphertextBlob"]
        decrypt = {"CiphertextBlob": b64(blob)}
        for op, body in (("Decrypt", decrypt),
                         ("DescribeKey", {"KeyId": "alias/envelope"}),
                         ("GenerateDataKey", {"KeyId": "alias/envelope",
                                              "NumberOfBytes": 1})):
            answer = self.server.call(op, {**body, "GrantTokens": ["t"]})
            self.assertEqual("InvalidGrantTokenException", answer.code)
            for tokens in ([""], ["x"] * 11, ["x" * 8193]):
                self.assertEqual("ValidationException", self.server.call(
                    op, {**body, "GrantTokens": tokens}).code)
            self.assertEqual(200, self.server.call(
                op, {**body, "GrantTokens": []}).status)
        for extra in ({"Recipient": {}},
                      {"DryRunModifiers": ["IGNORE_CIPHERTEXT"]}):
            self.assertEqual("UnsupportedOperationException",
                             self.server.call("Decrypt",
                                              {**decrypt, **extra}).code)


class Everything(ServerCase):
    def test_other_operations_are_unsupported(self):
        names = self.kms.meta.service_model.operation_names
        others = sorted(set(names) - set(OFFERED)) + [
            "DeriveSharedSecret", "GetKeyLastUsage"]
        self.assertGreater(len(others), 10)
        for name in others:
            answer = self.server.call(name, {})
            self.assertEqual(
                ("UnsupportedOperationException",
                 f"This server does not offer the operation {name}."),
                (answer.code, answer.message), name)

    def test_unknown_operations(self):
        for target in ("TrentService.Nothing", "TrentService.",
                       "Other.Decrypt", "Decrypt", "TrentService.decrypt",
                       "TrentService.Decrypt x"):
            answer = self.server.call("", {}, target=target)
            self.assertEqual((400, "UnknownOperationException"),
                             (answer.status, answer.code), target)

    def test_answers_without_output_are_empty(self):
        key, _ = self.new_key()
        for op, body in (
                ("DisableKey", {"KeyId": key}), ("EnableKey", {"KeyId": key}),
                ("CreateAlias", {"AliasName": "alias/e", "TargetKeyId": key}),
                ("UpdateAlias", {"AliasName": "alias/e", "TargetKeyId": key}),
                ("DeleteAlias", {"AliasName": "alias/e"})):
            answer = self.server.call(op, body)
            self.assertEqual((200, b""), (answer.status, answer.body))
            self.assertEqual(answer.headers["x-amzn-RequestId"],
                             str(uuid.UUID(
                                 answer.headers["x-amzn-RequestId"])))

    def test_types_that_do_not_fit(self):
        for op, body in (
                ("DescribeKey", {"KeyId": 1}), ("DescribeKey", {"KeyId": []}),
                ("ListKeys", {"Limit": "1"}), ("ListKeys", {"Limit": 1.5}),
                ("Encrypt", {"KeyId": "x", "Plaintext": 5}),
                ("Encrypt", {"KeyId": "x", "Plaintext": "a"}),
                ("Encrypt", {"KeyId": "x", "Plaintext": "YQ=!"}),
                ("Encrypt", {"KeyId": "x", "Plaintext": "YQ==",
                             "EncryptionContext": []}),
                ("Encrypt", {"KeyId": "x", "Plaintext": "YQ==",
                             "EncryptionContext": {"a": 1}}),
                ("Encrypt", {"KeyId": "x", "Plaintext": "YQ==",
                             "DryRun": "true"}),
                ("Encrypt", {"KeyId": "x", "Plaintext": "YQ==",
                             "GrantTokens": "x"}),
                ("Encrypt", {"KeyId": "x", "Plaintext": "YQ==",
                             "GrantTokens": [1]})):
            answer = self.server.call(op, body)
            self.assertEqual((400, "SerializationException"),
                             (answer.status, answer.code), (op, body))

    def test_null_is_absent_and_unknown_is_ignored(self):
        answer = self.server.call("DescribeKey", {
            "KeyId": "alias/envelope", "GrantTokens": None,
            "Whatever": {"a": [1]}})
        self.assertEqual(200, answer.status)


if __name__ == "__main__":
    tap.main()
