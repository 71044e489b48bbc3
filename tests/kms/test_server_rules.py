#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Conditions that emulators get wrong, each from a request to its answer."""
import hashlib
import json
import os

from server_fixture import ACCOUNT, REGION, Api, ServerCase, b64
from server_people import KEY_ROOT, Person, document, statement
from test_server_import import Importer
import tap

PAIR = "kms:EncryptionContext:a"
KEYS = "kms:EncryptionContextKeys"


class Conditions(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        made = cls.kms.create_key()["KeyMetadata"]
        cls.key, cls.arn = made["KeyId"], made["Arn"]
        cls.person = Person(cls.server, "someone")

    def put_key_policy(self, *statements):
        self.kms.put_key_policy(
            KeyId=self.key, PolicyName="default", Policy=document(
                statement("Allow", "kms:*", Principal={"AWS": KEY_ROOT}),
                *statements))

    def verdicts(self, condition, *contexts, effect="Allow"):
        """Whether Encrypt is allowed under each of @contexts."""
        rules = [statement(effect, "kms:Encrypt", Condition=condition)]
        if effect == "Deny":
            rules.append(statement("Allow", "kms:Encrypt"))
        self.person.may(*rules)
        answers = []
        for context in contexts:
            body = {"KeyId": self.key, "Plaintext": b64(b"x")}
            if context is not None:
                body["EncryptionContext"] = context
            reply = self.person.call("Encrypt", body)
            self.assertIn(reply.code, (None, "AccessDeniedException"))
            answers.append(reply.status == 200)
        return answers

    def test_for_all_values(self):
        """security-28-for-all-values-holds-for-none-and-for-all-listed"""
        self.assertEqual([True, True, False], self.verdicts(
            {"ForAllValues:StringEquals": {KEYS: ["a", "b"]}}, None,
            {"a": "1"}, {"a": "1", "c": "2"}))
        self.assertEqual([False, True, False], self.verdicts(
            {"ForAllValues:StringEquals": {KEYS: ["a", "b"]},
             "Null": {KEYS: "false"}}, None, {"b": "1"}, {"c": "2"}))

    def test_for_any_value(self):
        """security-28-for-any-value-needs-one"""
        self.assertEqual([False, True, False], self.verdicts(
            {"ForAnyValue:StringEquals": {KEYS: ["a"]}}, None,
            {"a": "1", "c": "2"}, {"c": "2"}))

    def test_negated(self):
        """security-28-negated-operators-hold-for-absent-keys"""
        for operator in ("StringNotEquals", "StringNotLike",
                         "StringNotEqualsIgnoreCase"):
            self.assertEqual([True, False, True], self.verdicts(
                {operator: {PAIR: "x"}}, None, {"a": "x"}, {"a": "y"}))

    def test_if_exists(self):
        """security-28-if-exists-holds-for-absent-keys-only"""
        self.assertEqual([True, True, False], self.verdicts(
            {"StringEqualsIfExists": {PAIR: "x"}}, None, {"a": "x"},
            {"a": "y"}))

    def test_null(self):
        """security-28-null-tells-absent-from-present"""
        for wanted, expected in (("true", [True, False]),
                                 ("false", [False, True])):
            self.assertEqual(expected, self.verdicts(
                {"Null": {PAIR: wanted}}, None, {"a": "x"}))

    def test_deny(self):
        """security-28-conditions-of-a-deny-are-no-weaker"""
        self.assertEqual([True, False, True], self.verdicts(
            {"StringEquals": {PAIR: "x"}}, None, {"a": "x"}, {"a": "y"},
            effect="Deny"))

    def test_not_principal_with_deny(self):
        """security-28-not-principal-with-deny-spares-only-whom-it-names"""
        other = Person(self.server, "other",
                       statement("Allow", "kms:Encrypt"))
        self.person.may(statement("Allow", "kms:Encrypt"))
        self.put_key_policy(statement("Deny", "kms:Encrypt", NotPrincipal={
            "AWS": [KEY_ROOT, self.person.arn]}))
        body = {"KeyId": self.key, "Plaintext": b64(b"x")}
        try:
            self.assertEqual(200, self.person.call("Encrypt", body).status)
            self.assertEqual("AccessDeniedException",
                             other.call("Encrypt", body).code)
        finally:
            self.put_key_policy()

    def test_reencrypt(self):
        """security-28-reencrypt-from-and-to-each-see-their-own-context"""
        blob = b64(self.kms.encrypt(
            KeyId=self.key, Plaintext=b"x",
            EncryptionContext={"a": "old"})["CiphertextBlob"])

        def allowed(old, new):
            self.person.may(
                statement("Allow", "kms:ReEncryptFrom",
                          Condition={"StringEquals": {PAIR: old}}),
                statement("Allow", "kms:ReEncryptTo",
                          Condition={"StringEquals": {PAIR: new}}))
            return self.person.call("ReEncrypt", {
                "CiphertextBlob": blob, "DestinationKeyId": self.key,
                "SourceEncryptionContext": {"a": "old"},
                "DestinationEncryptionContext": {"a": "new"}}).status == 200

        self.assertEqual([True, False, False, False], [
            allowed("old", "new"), allowed("new", "old"),
            allowed("old", "old"), allowed("new", "new")])

    def test_equals_of_nothing(self):
        """security-28-equals-of-an-empty-context-is-not-any-context"""
        pair = {"a": "1"}

        def answers(constraint, *contexts):
            made = self.kms.create_grant(
                KeyId=self.key, GranteePrincipal=self.person.arn,
                Operations=["Encrypt"], Constraints=constraint)
            codes = [self.person.call("Encrypt", {
                "KeyId": self.key, "Plaintext": b64(b"x"),
                **({} if c is None else {"EncryptionContext": c})}).code
                for c in contexts]
            self.kms.revoke_grant(KeyId=self.key, GrantId=made["GrantId"])
            return [code is None for code in codes]

        self.person.may(statement("Allow", "kms:DescribeKey"))
        self.assertEqual([True, True, False], answers(
            {"EncryptionContextEquals": {}}, None, {}, pair))
        self.assertEqual([False, False, True], answers(
            {"EncryptionContextEquals": pair}, None, {}, pair))

    def test_id_forms(self):
        """security-28-every-id-form-is-the-key-it-means"""
        self.kms.create_alias(AliasName="alias/rules", TargetKeyId=self.key)
        other, other_arn = self.new_key()
        alias = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/rules"
        for resource, expected in ((self.arn, 200), (other_arn, 400),
                                   (alias, 400)):
            self.person.may(statement("Allow", "kms:Encrypt", resource))
            for form in (self.key, self.arn, "alias/rules", alias):
                self.assertEqual(expected, self.person.call("Encrypt", {
                    "KeyId": form, "Plaintext": b64(b"x")}).status,
                    json.dumps([resource, form]))


class Contexts(ServerCase):
    def raw(self, operation, context, **body):
        """A call whose context is the JSON @context, byte for byte."""
        text = json.dumps(body)[:-1] + ', "EncryptionContext": ' + context
        return self.server.call(operation, (text + "}").encode())

    def test_one_encoding(self):
        """security-27-one-encoding-of-contexts-for-every-operation"""
        key, _ = self.new_key()
        one = '{"a": "1", "b\u00e9": "2"}'
        same = '{ "b\\u00e9" :"2","\\u0061":"1" }'
        apart = ('{"a": "1b\u00e9", "": "2"}', '{"b\u00e9": "2"}',
                 '{"a": "1", "be\u0301": "2"}', '{"A": "1", "b\u00e9": "2"}',
                 '{"a": "2", "b\u00e9": "1"}', "{}")
        blobs = [self.raw(operation, one, KeyId=key, **more).json[
            "CiphertextBlob"] for operation, more in (
                ("Encrypt", {"Plaintext": b64(b"x")}),
                ("GenerateDataKey", {"NumberOfBytes": 32}),
                ("GenerateDataKeyWithoutPlaintext", {"NumberOfBytes": 32}))]
        blobs.append(self.server.call("ReEncrypt", {
            "CiphertextBlob": blobs[0], "DestinationKeyId": key,
            "SourceEncryptionContext": json.loads(one),
            "DestinationEncryptionContext": json.loads(one)}).json[
                "CiphertextBlob"])
        for blob in blobs:
            for text in (one, same):
                reply = self.raw("Decrypt", text, CiphertextBlob=blob)
                self.assertEqual(200, reply.status, text)
            for text in apart:
                reply = self.raw("Decrypt", text, CiphertextBlob=blob)
                self.assertEqual("InvalidCiphertextException", reply.code,
                                 text)


class ImportedMaterial(ServerCase, Importer):
    def test_id(self):
        """security-31-id-of-imported-material-is-no-hash-of-it"""
        self.kms = Api(self.server)
        data = os.urandom(32)
        ids = {self.bring(self.external(), data)["KeyMaterialId"]
               for _ in range(2)}
        self.assertEqual(2, len(ids))
        self.assertNotIn(hashlib.sha256(data).hexdigest(), ids)


if __name__ == "__main__":
    tap.main()
