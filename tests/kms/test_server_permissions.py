#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every permission missing once, every condition once, duties kept apart."""
import json
import time

from server_clients import make_material, wrap_material
from server_fixture import ACCOUNT, REGION, Api, ServerCase, b64
from server_model import condition_keys, operations
from server_people import Person, identity, missing, statement
import tap

OTHER = "eu-west-1"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
ROOT_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
     "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}]})
KEY = {"KeyId": "{key}"}
PLAIN = {**KEY, "Plaintext": "eA=="}
GRANT = {**KEY, "GranteePrincipal": ADMIN, "Operations": ["Decrypt"]}
TAGS = [{"TagKey": "team", "TagValue": "red"}]

# An operation, what it is sent, and all the actions that it needs.
NEEDS = [
    ("CancelKeyDeletion", KEY),
    ("CreateAlias", {"AliasName": "alias/new", "TargetKeyId": "{key}"}),
    ("CreateGrant", GRANT),
    ("CreateKey", {}),
    ("CreateKey", {"Tags": TAGS}, "CreateKey", "TagResource"),
    ("Decrypt", {**KEY, "CiphertextBlob": "{blob}"}),
    ("DeleteAlias", {"AliasName": "{alias}"}),
    ("DeleteImportedKeyMaterial", KEY),
    ("DescribeKey", KEY),
    ("DisableKey", KEY),
    ("DisableKeyRotation", KEY),
    ("EnableKey", KEY),
    ("EnableKeyRotation", KEY),
    ("Encrypt", PLAIN),
    ("GenerateDataKey", {**KEY, "NumberOfBytes": 64}),
    ("GenerateDataKeyWithoutPlaintext", {**KEY, "NumberOfBytes": 64}),
    ("GenerateRandom", {"NumberOfBytes": 8}),
    ("GetKeyPolicy", KEY),
    ("GetKeyRotationStatus", KEY),
    ("GetParametersForImport", {
        **KEY, "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
        "WrappingKeySpec": "RSA_2048"}),
    ("ImportKeyMaterial", {
        **KEY, "ImportToken": "eA==", "EncryptedKeyMaterial": "eA==",
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}),
    ("ListAliases", {}),
    ("ListGrants", KEY),
    ("ListKeyPolicies", KEY),
    ("ListKeyRotations", KEY),
    ("ListKeys", {}),
    ("ListResourceTags", KEY),
    ("ListRetirableGrants", {"RetiringPrincipal": ADMIN}),
    ("PutKeyPolicy", {**KEY, "Policy": ROOT_POLICY}),
    ("ReEncrypt", {"SourceKeyId": "{key}", "CiphertextBlob": "{blob}",
                   "DestinationKeyId": "{key}"},
     "ReEncryptFrom", "ReEncryptTo"),
    ("ReplicateKey", {**KEY, "ReplicaRegion": OTHER},
     "ReplicateKey", "CreateKey"),
    ("RetireGrant", {"KeyId": "{arn}", "GrantId": "{grant}"}),
    ("RevokeGrant", {**KEY, "GrantId": "{grant}"}),
    ("RotateKeyOnDemand", KEY),
    ("TagResource", {**KEY, "Tags": TAGS}),
    ("UntagResource", {**KEY, "TagKeys": ["none"]}),
    ("UpdateAlias", {"AliasName": "{alias}", "TargetKeyId": "{key}"}),
    ("UpdateKeyDescription", {**KEY, "Description": "new"}),
    ("UpdatePrimaryRegion", {**KEY, "PrimaryRegion": OTHER}),
    ("ScheduleKeyDeletion", KEY),
]

# An operation on several things, and all on which it needs its permission.
PLACES = [
    ("CreateAlias", {"AliasName": "{new}", "TargetKeyId": "{key}"},
     "{new arn}", "{arn}"),
    ("DeleteAlias", {"AliasName": "{alias}"}, "{alias arn}", "{arn}"),
    ("UpdateAlias", {"AliasName": "{alias}", "TargetKeyId": "{other}"},
     "{alias arn}", "{arn}", "{other}"),
    ("ReEncrypt", {"SourceKeyId": "{key}", "CiphertextBlob": "{blob}",
                   "DestinationKeyId": "{other}"}, "{arn}", "{other}"),
    ("UpdatePrimaryRegion", {**KEY, "PrimaryRegion": OTHER},
     "{arn}", "{replica}"),
]

# A condition key, a request, and a value with which it is allowed and one
# with which it is not.
IMPORT = {"KeyId": "{external}", "ImportToken": "{token}",
          "EncryptedKeyMaterial": "{wrapped}"}
PARAMETERS = {"KeyId": "{external}", "WrappingKeySpec": "RSA_2048",
              "WrappingAlgorithm": "RSAES_OAEP_SHA_256"}
CONDITIONS = [
    ("kms:EncryptionContext:app", "StringEquals", "Encrypt",
     {**PLAIN, "EncryptionContext": {"app": "web"}}, "web", "db"),
    ("kms:EncryptionContextKeys", "ForAllValues:StringEquals", "Encrypt",
     {**PLAIN, "EncryptionContext": {"app": "web"}}, "app", "tier"),
    ("kms:EncryptionAlgorithm", "StringEquals", "Encrypt", PLAIN,
     "SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1"),
    ("kms:RequestAlias", "StringEquals", "Encrypt",
     {"KeyId": "{alias}", "Plaintext": "eA=="}, "{alias}", "alias/else"),
    ("kms:ResourceAliases", "ForAnyValue:StringEquals", "DescribeKey", KEY,
     "{alias}", "alias/else"),
    ("kms:CallerAccount", "StringEquals", "DescribeKey", KEY, ACCOUNT,
     "999988887777"),
    ("kms:KeySpec", "StringEquals", "DescribeKey", KEY, "SYMMETRIC_DEFAULT",
     "RSA_2048"),
    ("kms:KeyUsage", "StringEquals", "DescribeKey", KEY, "ENCRYPT_DECRYPT",
     "SIGN_VERIFY"),
    ("kms:KeyOrigin", "StringEquals", "DescribeKey", KEY, "AWS_KMS",
     "EXTERNAL"),
    ("kms:MultiRegion", "Bool", "DescribeKey", KEY, "true", "false"),
    ("kms:MultiRegionKeyType", "StringEquals", "DescribeKey", KEY, "PRIMARY",
     "REPLICA"),
    ("kms:KeySpec", "StringEquals", "CreateKey", {}, "SYMMETRIC_DEFAULT",
     "RSA_2048"),
    ("kms:MultiRegion", "Bool", "CreateKey", {}, "false", "true"),
    ("kms:BypassPolicyLockoutSafetyCheck", "Bool", "PutKeyPolicy",
     {**KEY, "Policy": ROOT_POLICY}, "false", "true"),
    ("kms:GrantOperations", "ForAllValues:StringEquals", "CreateGrant", GRANT,
     "Decrypt", "Encrypt"),
    ("kms:GranteePrincipal", "StringEquals", "CreateGrant", GRANT, ADMIN,
     ADMIN + "x"),
    ("kms:RetiringPrincipal", "StringEquals", "CreateGrant",
     {**GRANT, "RetiringPrincipal": ADMIN}, ADMIN, ADMIN + "x"),
    ("kms:GrantConstraintType", "StringEquals", "CreateGrant",
     {**GRANT, "Constraints": {"EncryptionContextSubset": {"a": "b"}}},
     "EncryptionContextSubset", "EncryptionContextEquals"),
    ("kms:GrantIsForAWSResource", "Bool", "CreateGrant", GRANT, "false",
     "true"),
    ("kms:ReEncryptOnSameKey", "Bool", "ReEncrypt",
     {"CiphertextBlob": "{blob}", "SourceKeyId": "{key}",
      "DestinationKeyId": "{alias}"}, "true", "false"),
    ("kms:ReEncryptOnSameKey", "Bool", "ReEncrypt",
     {"CiphertextBlob": "{blob}", "SourceKeyId": "{key}",
      "DestinationKeyId": "alias/envelope"}, "false", "true"),
    ("kms:ScheduleKeyDeletionPendingWindowInDays", "NumericEquals",
     "ScheduleKeyDeletion", {**KEY, "PendingWindowInDays": 7}, "7", "8"),
    ("kms:RotationPeriodInDays", "NumericLessThanEquals", "EnableKeyRotation",
     {**KEY, "RotationPeriodInDays": 100}, "100", "99"),
    ("kms:ReplicaRegion", "StringEquals", "ReplicateKey",
     {**KEY, "ReplicaRegion": OTHER}, OTHER, REGION),
    ("aws:PrincipalArn", "ArnEquals", "DescribeKey", KEY, "{me}", ADMIN),
    ("aws:PrincipalAccount", "StringEquals", "DescribeKey", KEY, ACCOUNT,
     "999988887777"),
    ("aws:SourceIp", "IpAddress", "DescribeKey", KEY, "127.0.0.0/8",
     "192.0.2.0/24"),
    ("aws:SecureTransport", "Bool", "DescribeKey", KEY, "true", "false"),
    ("aws:RequestTag/team", "StringEquals", "TagResource",
     {**KEY, "Tags": TAGS}, "red", "blue"),
    ("aws:ResourceTag/kind", "StringEquals", "DescribeKey", KEY, "test",
     "real"),
    ("aws:TagKeys", "ForAllValues:StringEquals", "TagResource",
     {**KEY, "Tags": TAGS}, "team", "kind"),
    ("kms:CustomerMasterKeySpec", "StringEquals", "DescribeKey", KEY,
     "SYMMETRIC_DEFAULT", "RSA_2048"),
    ("kms:CustomerMasterKeyUsage", "StringEquals", "DescribeKey", KEY,
     "ENCRYPT_DECRYPT", "SIGN_VERIFY"),
    ("kms:KeyOrigin", "StringEquals", "CreateKey", {"Origin": "EXTERNAL"},
     "EXTERNAL", "AWS_KMS"),
    ("kms:WrappingAlgorithm", "StringEquals", "GetParametersForImport",
     PARAMETERS, "RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"),
    ("kms:WrappingKeySpec", "StringEquals", "GetParametersForImport",
     PARAMETERS, "RSA_2048", "RSA_4096"),
    ("kms:ExpirationModel", "StringEquals", "ImportKeyMaterial",
     {**IMPORT, "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"},
     "KEY_MATERIAL_DOES_NOT_EXPIRE", "KEY_MATERIAL_EXPIRES"),
    ("kms:ValidTo", "NumericLessThanEquals", "ImportKeyMaterial",
     {**IMPORT, "ValidTo": "{soon}"}, "{later}", "{now}"),
    ("kms:PrimaryRegion", "StringEquals", "UpdatePrimaryRegion",
     {"KeyId": "{mrk}", "PrimaryRegion": OTHER}, OTHER, REGION),
    ("aws:CurrentTime", "DateGreaterThan", "DescribeKey", KEY, "2020-01-01",
     "2999-01-01"),
    ("aws:EpochTime", "NumericGreaterThan", "DescribeKey", KEY, "1577836800",
     "32472144000"),
    ("aws:PrincipalType", "StringEquals", "DescribeKey", KEY, "User",
     "AssumedRole"),
    ("aws:RequestedRegion", "StringEquals", "DescribeKey", KEY, REGION,
     OTHER),
    ("aws:ResourceAccount", "StringEquals", "DescribeKey", KEY, ACCOUNT,
     "999988887777"),
    ("aws:UserAgent", "StringLike", "DescribeKey", KEY, "tests/*", "*moto*"),
    ("aws:userid", "StringEquals", "DescribeKey", KEY, "{my id}", "AIDA"),
    ("aws:username", "StringEquals", "DescribeKey", KEY, "somebody",
     "nobody"),
]

# What a policy may name, but what no request of a user to this server has.
ABSENT = """aws:SourceAccount aws:SourceArn aws:TokenIssueTime
kms:DataKeyPairSpec kms:MacAlgorithm kms:MessageType kms:SigningAlgorithm
kms:ViaService""".split()
CONDITIONS += [(name, "Null", "DescribeKey", KEY, "true", "false")
               for name in ABSENT]

# What an operation needs beside what a row is about.
BESIDE = {"ReplicateKey": "kms:CreateKey"}

# Who may do what by the policies that come with the server.
CRYPTO = {"Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey",
          "GenerateDataKeyWithoutPlaintext"}
DUTIES = {
    "KeyAuditor": {"DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus"} | {
        name for name in operations() if name.startswith("List")},
    "KeyOperator": CRYPTO | {"DescribeKey"},
    "KeyAdministrator": operations() - CRYPTO - {
        "CreateGrant", "RetireGrant", "GenerateRandom"},
}


def fill(value, names):
    """@value with the names in braces replaced."""
    if isinstance(value, dict):
        return {k: fill(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [fill(v, names) for v in value]
    if isinstance(value, str) and value.startswith("{") and \
            value[1:-1] in names:
        return names[value[1:-1]]
    return value


class PermissionCase(ServerCase):
    options = ("--region", REGION, "--region", OTHER)
    count = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.person = Person(cls.server, "somebody")

    def prepare(self):
        """A key with all that a request may want to name."""
        cls = PermissionCase
        cls.count += 1
        key, arn = self.new_key(MultiRegion=True, Tags=[
            {"TagKey": "kind", "TagValue": "test"}])
        alias = f"alias/permission-{cls.count}"
        self.kms.create_alias(AliasName=alias, TargetKeyId=key)
        return {"key": key, "arn": arn, "alias": alias,
                "me": self.person.arn, "new": f"{alias}/new",
                "blob": self.server.call("Encrypt", {
                    "KeyId": key, "Plaintext": "eA=="}).json[
                        "CiphertextBlob"],
                "grant": self.kms.create_grant(
                    KeyId=key, GranteePrincipal=ADMIN,
                    Operations=["Encrypt"])["GrantId"]}


class Missing(PermissionCase):
    def check(self, operation, body, actions):
        names = self.prepare()
        body = fill(body, names)
        for action in actions:
            self.person.may({"Effect": "Allow", "NotAction": [action],
                             "Resource": "*"})
            answer = self.person.call(operation, body)
            self.assertEqual("AccessDeniedException", answer.code, action)
            self.assertIn(f"perform: {action} on ", answer.message)
            self.assertIn(missing("identity", action), answer.message)
            self.person.may(statement("Allow", "kms:*"),
                            statement("Deny", action))
            answer = self.person.call(operation, body)
            self.assertEqual("AccessDeniedException", answer.code, action)
            self.assertIn("with an explicit deny in an identity-based policy",
                          answer.message)
        self.person.may(statement("Allow", list(actions)))
        answer = self.person.call(operation, body)
        self.assertNotEqual("AccessDeniedException", answer.code,
                            answer.message)


    def test_table(self):
        """permissions-every-operation-of-the-server-has-a-row"""
        self.assertEqual(operations(), {row[0] for row in NEEDS})


class Places(PermissionCase):
    def check(self, operation, body, *places):
        names = self.prepare()
        start = names["arn"].partition("key/")[0]
        other, _ = self.new_key()
        names.update({"other": start + "key/" + other,
                      "new arn": start + names["new"],
                      "alias arn": start + names["alias"],
                      "replica": names["arn"].replace(REGION, OTHER)})
        if "{replica}" in places:
            self.kms.replicate_key(KeyId=names["key"], ReplicaRegion=OTHER)
        body, places = fill(body, names), fill(list(places), names)
        for place in places:
            self.person.may(statement("Allow", f"kms:{operation}*",
                                      [p for p in places if p != place]))
            answer = self.person.call(operation, body)
            self.assertEqual("AccessDeniedException", answer.code, place)
            self.assertIn(f" on resource: {place} because", answer.message)
        self.person.may(statement("Allow", f"kms:{operation}*", places))
        self.assertIsNone(self.person.call(operation, body).code)


class Conditions(PermissionCase):
    @classmethod
    def setUpClass(cls):
        """What takes a while to make serves all rows."""
        super().setUpClass()
        api, now = Api(cls.server), int(time.time())
        external = api.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
        got = api.get_parameters_for_import(
            **{**PARAMETERS, "KeyId": external})
        mrk = api.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
        api.replicate_key(KeyId=mrk, ReplicaRegion=OTHER)
        cls.more = {
            "external": external, "token": b64(got["ImportToken"]),
            "wrapped": b64(wrap_material(make_material(), got["PublicKey"],
                                         cls.server.folder)),
            "now": str(now), "soon": now + 86400, "later": str(now + 2 * 86400),
            "mrk": mrk, "my id": json.loads(identity(
                cls.server, "list-users", "--json"))["Users"][-1]["UserId"]}

    def check(self, key, operator, operation, body, right, wrong):
        names = {**self.prepare(), **self.more}
        for value, allowed in ((wrong, False), (right, True)):
            condition = {operator: {key: fill(value, names)}}
            self.person.may(
                statement("Allow", "kms:*", Condition=condition),
                *(statement("Allow", action) for name, action in
                  BESIDE.items() if name == operation))
            answer = self.person.call(operation, fill(body, names),
                                      extra=[("User-Agent", "tests/1")])
            self.assertEqual(None if allowed else "AccessDeniedException",
                             answer.code, (value, answer.message))

    def test_table(self):
        """conditions-every-key-that-policies-may-name-has-a-row"""
        named = set()
        for name in condition_keys():
            named |= {row[0] for row in CONDITIONS
                      if row[0] == name or row[0].startswith(name) and
                      name[-1] in ":/"} or {name}
        # The others are those of AssumeRole, in test_server_sts.py.
        self.assertEqual({row[0] for row in CONDITIONS} | {
            "sts:ExternalId", "sts:RoleSessionName"}, named)


class Duties(PermissionCase):
    """One key, three people: who administers, who uses, who looks on."""

    def setUp(self):
        self.key = self.new_key()[0]
        self.blob = self.server.call("Encrypt", {
            "KeyId": self.key, "Plaintext": "eA=="}).json["CiphertextBlob"]

    def named(self, name, *actions):
        cls = Duties
        if name not in cls.__dict__:
            setattr(cls, name, Person(self.server, name))
        person = getattr(cls, name)
        person.may(statement("Allow", list(actions)))
        return person

    def outcome(self, person, operation, **more):
        return person.call(operation, {"KeyId": self.key, **more}).code

    def test_key_administrator_cannot_decrypt(self):
        """duties-key-administrator-cannot-decrypt"""
        person = self.named("keeper", "kms:Create*", "kms:Describe*",
                            "kms:Enable*", "kms:List*", "kms:Put*",
                            "kms:Update*", "kms:Revoke*", "kms:Disable*",
                            "kms:Get*", "kms:Delete*", "kms:TagResource",
                            "kms:UntagResource", "kms:ScheduleKeyDeletion",
                            "kms:CancelKeyDeletion")
        self.assertEqual("AccessDeniedException", self.outcome(
            person, "Decrypt", CiphertextBlob=self.blob))
        self.assertEqual("AccessDeniedException", self.outcome(
            person, "GenerateDataKey", NumberOfBytes=64))
        self.assertIsNone(self.outcome(person, "PutKeyPolicy",
                                       Policy=ROOT_POLICY))
        self.assertIsNone(self.outcome(person, "DisableKey"))

    def test_operator_cannot_put_a_policy(self):
        """duties-operator-cannot-put-a-key-policy"""
        person = self.named("operator", "kms:Encrypt", "kms:Decrypt",
                            "kms:ReEncrypt*", "kms:GenerateDataKey*",
                            "kms:DescribeKey")
        self.assertIsNone(self.outcome(person, "Decrypt",
                                       CiphertextBlob=self.blob))
        for operation, more in (
                ("PutKeyPolicy", {"Policy": ROOT_POLICY}),
                ("ScheduleKeyDeletion", {}), ("DisableKey", {}),
                ("CreateGrant", {"GranteePrincipal": ADMIN,
                                 "Operations": ["Decrypt"]})):
            self.assertEqual("AccessDeniedException", self.outcome(
                person, operation, **more), operation)

    def test_auditor_only_reads(self):
        """duties-auditor-only-reads"""
        person = self.named("auditor", "kms:Describe*", "kms:Get*",
                            "kms:List*")
        for operation in ("DescribeKey", "GetKeyPolicy", "ListGrants",
                          "ListResourceTags", "GetKeyRotationStatus"):
            self.assertIsNone(self.outcome(person, operation), operation)
        for operation, more in (
                ("Decrypt", {"CiphertextBlob": self.blob}),
                ("Encrypt", {"Plaintext": "eA=="}), ("EnableKey", {}),
                ("TagResource", {"Tags": TAGS}),
                ("PutKeyPolicy", {"Policy": ROOT_POLICY})):
            self.assertEqual("AccessDeniedException", self.outcome(
                person, operation, **more), operation)

    def test_every_operation(self):
        """duties-of-auditor-operator-administrator-for-every-operation"""
        people = {}
        for name in DUTIES:
            people[name] = Person(self.server, name)
            identity(self.server, "attach-policy", name,
                     *people[name].who)
        for operation, body in {row[0]: row[1] for row in NEEDS}.items():
            names = PermissionCase.prepare(self)
            for name, person in people.items():
                answer = person.call(operation, fill(body, names))
                self.assertEqual(
                    operation in DUTIES[name],
                    answer.code != "AccessDeniedException",
                    (name, operation, answer.message))
        self.assertEqual(set(), DUTIES["KeyOperator"] &
                         DUTIES["KeyAdministrator"] - {"DescribeKey"})

    def test_deny_in_the_key_policy_beats_all(self):
        """duties-deny-in-the-key-policy-beats-identity-and-grant"""
        person = self.named("denied", "kms:*")
        self.kms.create_grant(KeyId=self.key, GranteePrincipal=person.arn,
                              Operations=["Decrypt"])
        self.assertIsNone(self.outcome(person, "Decrypt",
                                       CiphertextBlob=self.blob))
        policy = json.loads(ROOT_POLICY)
        policy["Statement"].append(
            {"Effect": "Deny", "Principal": {"AWS": person.arn},
             "Action": "kms:Decrypt", "Resource": "*"})
        self.kms.put_key_policy(KeyId=self.key, PolicyName="default",
                                Policy=json.dumps(policy))
        answer = person.call("Decrypt", {"CiphertextBlob": self.blob,
                                         "KeyId": self.key})
        self.assertEqual("AccessDeniedException", answer.code)
        self.assertIn("explicit deny in a resource-based policy",
                      answer.message)

    def test_without_root_identity_policies_do_nothing(self):
        """duties-without-root-in-the-key-policy-identity-policies-do-nothing"""
        person = self.named("left", "kms:*")
        self.kms.put_key_policy(
            KeyId=self.key, PolicyName="default",
            Policy=json.dumps({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": ADMIN},
                 "Action": "kms:*", "Resource": "*"}]}))
        self.assertEqual("AccessDeniedException",
                         self.outcome(person, "DescribeKey"))
        self.kms.create_grant(KeyId=self.key, GranteePrincipal=person.arn,
                              Operations=["DescribeKey"])
        self.assertIsNone(self.outcome(person, "DescribeKey"))


class Tricks(PermissionCase):
    """Requests that are made to get around what is asked."""

    def test_conditions_on_members_that_are_ignored(self):
        """tricks-tags-sent-along-with-decrypt-please-nobody"""
        names = self.prepare()
        self.person.may(statement("Allow", "kms:*", Condition={
            "StringEquals": {"aws:RequestTag/team": "red"}}))
        answer = self.person.call("Decrypt", {
            "KeyId": names["key"], "CiphertextBlob": names["blob"],
            "Tags": TAGS})
        self.assertEqual("AccessDeniedException", answer.code)

    def test_tags_that_differ_in_case(self):
        """tricks-tags-that-differ-in-case-are-duplicates"""
        names = self.prepare()
        answer = self.server.call("TagResource", {
            "KeyId": names["key"], "Tags": [
                {"TagKey": "stage", "TagValue": "test"},
                {"TagKey": "Stage", "TagValue": "live"}]})
        self.assertEqual(("TagException", "Duplicate tag keys"),
                         (answer.code, answer.message))

    def test_wide_characters_in_a_marker(self):
        """tricks-a-marker-of-wide-characters-is-refused"""
        for text in ("\U0001f600" * 1024,
                     "\U0001f600" * 350 + "QUFB" * 160):
            answer = self.server.call("ListKeys", {"Marker": text})
            self.assertEqual("InvalidMarkerException", answer.code)

    def test_wide_characters_in_a_material_id(self):
        """tricks-a-material-id-of-wide-characters-is-refused"""
        key, _ = self.new_key(Origin="EXTERNAL")
        answer = self.server.call("DeleteImportedKeyMaterial", {
            "KeyId": key, "KeyMaterialId": "\U0001f600" * 64})
        self.assertEqual("NotFoundException", answer.code)

    def test_grant_in_the_trail(self):
        """tricks-the-trail-shows-the-members-that-count"""
        names = self.prepare()
        self.server.call("CreateGrant", {
            **fill(GRANT, names), "Constraints": {
                "EncryptionContextSubset": {"v": "1"},
                "encryptionContextSubset": {"v": "2"}}})
        shown = [r for r in self.server.audit()
                 if r["eventName"] == "CreateGrant"][-1]
        self.assertEqual(
            {"encryptionContextSubset": {"v": "1"}},
            shown["requestParameters"]["constraints"])


class Strangers(PermissionCase):
    """Another account, which the key policy allows everything."""

    ID = "999988887777"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        identity(cls.server, "create-account", cls.ID)
        cls.stranger = Person(cls.server, "stranger",
                              statement("Allow", "kms:*"), account=cls.ID)
        policy = json.loads(ROOT_POLICY)
        policy["Statement"][0]["Principal"]["AWS"] = [
            f"arn:aws:iam::{a}:root" for a in (ACCOUNT, cls.ID)]
        cls.policy = json.dumps(policy)

    def test_uses_but_does_not_administer(self):
        """strangers-use-a-key-that-is-shared-and-administer-nothing"""
        names = self.prepare()
        self.kms.put_key_policy(KeyId=names["key"], PolicyName="default",
                                Policy=self.policy)
        arn = {"KeyId": names["arn"]}
        self.assertIsNone(self.stranger.call("Encrypt", {
            **arn, "Plaintext": "eA=="}).code)
        for operation, more in (
                ("DisableKey", {}), ("ScheduleKeyDeletion", {}),
                ("PutKeyPolicy", {"Policy": ROOT_POLICY}),
                ("TagResource", {"Tags": TAGS}), ("ListGrants", None)):
            answer = self.stranger.call(operation, {**arn, **(more or {})})
            self.assertEqual(
                "AccessDeniedException" if more is not None else None,
                answer.code, operation)

    def test_aliases_stay_in_their_account(self):
        """strangers-do-not-move-an-alias-of-the-owner"""
        shared, mine = self.prepare(), self.prepare()
        self.kms.put_key_policy(KeyId=shared["key"], PolicyName="default",
                                Policy=self.policy)
        own = self.stranger.call("CreateKey").json["KeyMetadata"]["KeyId"]
        self.assertIsNone(self.stranger.call("CreateAlias", {
            "AliasName": mine["alias"], "TargetKeyId": own}).code)
        self.stranger.call("UpdateAlias", {
            "AliasName": mine["alias"], "TargetKeyId": shared["arn"]})
        self.assertEqual(mine["key"], self.kms.describe_key(
            KeyId=mine["alias"])["KeyMetadata"]["KeyId"])


tap.add_rows(Missing, [
    (f"permissions-{row[0]}-needs-"
     f"{'-'.join(f'kms:{a}' for a in row[2:] or row[:1])}",
     (*row[:2], [f"kms:{a}" for a in row[2:] or row[:1]])) for row in NEEDS])
tap.add_rows(Places, [
    (f"permissions-{row[0]}-on-each-of-{len(row) - 2}", row)
    for row in PLACES])
tap.add_rows(Conditions, [
    (f"conditions-{row[0]}-{row[2]}-{row[4].strip('{}')}", row)
    for row in CONDITIONS])

if __name__ == "__main__":
    tap.main()
