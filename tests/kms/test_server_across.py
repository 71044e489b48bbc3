#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every operation on a key: by whom, allowed by what, named how."""
import http.client
import itertools
import json

from server_fixture import ACCOUNT, REGION, ServerCase, key_arn, send_on
from server_model import operations
from server_people import Person, denied, identity, missing, statement
import tap

OTHER = "999988887777"
ELSEWHERE = "eu-west-1"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
TAGS = [{"TagKey": "team", "TagValue": "red"}]
KEY = {"KeyId": "{id}"}

# What the operation is sent, and about it:
#   across   other accounts can be allowed it
#   any      it takes aliases, too
#   own      it asks what the caller himself may of what is no key, too
#   first    before it looks at the key
#   action   the permission, where it is not called as the operation is
OPERATIONS = {
    "CancelKeyDeletion": (KEY, ""),
    "CreateAlias": ({"AliasName": "alias/new", "TargetKeyId": "{id}"},
                    "own first"),
    "CreateGrant": ({**KEY, "GranteePrincipal": ADMIN,
                     "Operations": ["Decrypt"]}, "across"),
    "Decrypt": ({**KEY, "CiphertextBlob": "{blob}"}, "across any"),
    "DeleteImportedKeyMaterial": (KEY, ""),
    "DescribeKey": (KEY, "across any"),
    "DisableKey": (KEY, ""),
    "DisableKeyRotation": (KEY, ""),
    "EnableKey": (KEY, ""),
    "EnableKeyRotation": (KEY, ""),
    "Encrypt": ({**KEY, "Plaintext": "eA=="}, "across any"),
    "GenerateDataKey": ({**KEY, "NumberOfBytes": 64}, "across any"),
    "GenerateDataKeyWithoutPlaintext": ({**KEY, "NumberOfBytes": 64},
                                        "across any"),
    "GetKeyPolicy": (KEY, ""),
    "GetKeyRotationStatus": (KEY, "across"),
    "GetParametersForImport": (
        {**KEY, "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
         "WrappingKeySpec": "RSA_2048"}, ""),
    "ImportKeyMaterial": (
        {**KEY, "ImportToken": "eA==", "EncryptedKeyMaterial": "eA==",
         "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}, ""),
    "ListAliases": (KEY, "own first"),
    "ListGrants": (KEY, "across"),
    "ListKeyPolicies": (KEY, ""),
    "ListKeyRotations": (KEY, ""),
    "ListResourceTags": (KEY, ""),
    "PutKeyPolicy": ({**KEY, "Policy": "{policy}"}, ""),
    "ReEncrypt": ({"SourceKeyId": "{id}", "CiphertextBlob": "{blob}",
                   "DestinationKeyId": "{id}"}, "across any action"),
    "ReplicateKey": ({**KEY, "ReplicaRegion": ELSEWHERE}, "own"),
    # Of another account, only whom the grant names may retire it.
    "RetireGrant": ({**KEY, "GrantId": "{grant}"}, ""),
    "RevokeGrant": ({**KEY, "GrantId": "{grant}"}, "across"),
    "RotateKeyOnDemand": (KEY, ""),
    "ScheduleKeyDeletion": (KEY, ""),
    "TagResource": ({**KEY, "Tags": TAGS}, ""),
    "UntagResource": ({**KEY, "TagKeys": ["none"]}, ""),
    "UpdateAlias": ({"AliasName": "{alias}", "TargetKeyId": "{id}"},
                    "own first"),
    "UpdateKeyDescription": ({**KEY, "Description": "new"}, ""),
    "UpdatePrimaryRegion": ({**KEY, "PrimaryRegion": ELSEWHERE}, ""),
}
# These name no key, and so no other account either.
KEYLESS = {"CreateKey", "DeleteAlias", "GenerateRandom", "ListKeys",
           "ListRetirableGrants"}


def fill(value, names):
    """@value with the names in braces replaced."""
    if isinstance(value, dict):
        return {k: fill(v, names) for k, v in value.items()}
    return names.get(value, value) if isinstance(value, str) else value


def keep_alive(server):
    """Many hundred requests are sent over one connection."""
    line = server.connection()

    def send(body, headers):
        try:
            return send_on(line, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):
            line.close()  # it was idle for too long
            return send_on(line, body, headers)

    server.send = send


class Request:
    """One request, and what has to come of it."""

    def __init__(self, operation, person, key_policy, form, names):
        self.body, words = OPERATIONS[operation]
        self.words = words.split()
        self.action = "kms:" + ("ReEncryptFrom" if "action" in self.words
                                else operation)
        self.person, self.key_policy, self.form = person, key_policy, form
        self.names = names
        self.id = names[form]
        self.foreign = person.account != ACCOUNT

    def refused(self, kind, resource):
        return "AccessDeniedException", denied(
            self.person.arn, self.action, resource,
            missing(kind, self.action))

    def expected(self):
        """(error name, its text), None for what is not foreseen."""
        if "first" in self.words and not self.person.has_own:
            return "AccessDeniedException", None
        if "alias" in self.form and "any" not in self.words:
            return "NotFoundException", f"Invalid keyId '{self.id}'"
        if self.foreign and self.form in ("key id", "alias"):
            return self.own_name()
        shown = self.names["alias ARN" if self.foreign and
                           "alias" in self.form else "key ARN"]
        shared = self.key_policy != "nobody" and \
            (not self.foreign or "across" in self.words)
        if "own" in self.words and not self.person.has_own:
            return "AccessDeniedException", None
        if self.foreign and not shared:
            return self.refused("resource", shown)
        if not self.person.has_own and (self.foreign or
                                        self.key_policy != "user"):
            return self.refused("identity", shown)
        return (None, None) if shared else self.refused("resource", shown)

    def own_name(self):
        """A name without an account is one in the caller's."""
        if self.form == "alias":
            return "NotFoundException", (
                f"Alias arn:aws:kms:{REGION}:{OTHER}:{self.id} is not found.")
        arn = key_arn(self.id, account=OTHER)
        if not self.person.has_own:
            return self.refused("identity", arn)
        return "NotFoundException", f"Key '{arn}' does not exist"

    def outcome(self):
        answer = self.person.call(self.action[4:].replace("From", ""),
                                  fill(self.body, {
                                      f"{{{k}}}": v for k, v in
                                      {**self.names, "id": self.id}.items()}))
        # What it looks for next may well be missing.
        absent = answer.code == "NotFoundException" and \
            ELSEWHERE not in answer.message
        if answer.code != "AccessDeniedException" and not absent:
            return None, None
        return answer.code, answer.message


class Across(ServerCase):
    options = ("--region", REGION, "--region", ELSEWHERE)
    count = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keep_alive(cls.server)
        identity(cls.server, "create-account", OTHER)
        cls.people = []
        for account, may in itertools.product((ACCOUNT, OTHER),
                                              (True, False)):
            rules = [statement("Allow", "kms:*")] if may else []
            person = Person(cls.server, f"{'may' if may else 'not'}", *rules,
                            account=account)
            person.has_own = may
            cls.people.append(person)

    def policy(self, kind):
        """Of a key: who is named beside its administrator."""
        named = {"user": [p.arn for p in self.people],
                 "account": [f"arn:aws:iam::{a}:root"
                             for a in (ACCOUNT, OTHER)], "nobody": []}
        return json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
             "Principal": {"AWS": [ADMIN, *named[kind]]}}]})

    def prepare(self):
        Across.count += 1
        key, arn = self.new_key(MultiRegion=True)
        alias = f"alias/across-{self.count}"
        self.kms.create_alias(AliasName=alias, TargetKeyId=key)
        return {"key id": key, "key ARN": arn, "alias": alias,
                "alias ARN": f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias}",
                "blob": self.server.call("Encrypt", {
                    "KeyId": key, "Plaintext": "eA=="}).json[
                        "CiphertextBlob"]}

    def renew(self, names):
        """Another grant, where the last one was ended."""
        names["grant"] = self.kms.create_grant(
            KeyId=names["key id"], GranteePrincipal=ADMIN,
            Operations=["Encrypt"])["GrantId"]

    def check(self, operation):
        names = self.prepare()
        for kind in ("nobody", "account", "user"):
            names["policy"] = self.policy(kind)
            self.kms.put_key_policy(KeyId=names["key id"],
                                    PolicyName="default",
                                    Policy=names["policy"])
            forms = ("key id", "alias", "alias ARN", "key ARN") \
                if kind == "user" else ("key ARN",)
            for form, person in itertools.product(forms, self.people):
                if operation in ("RetireGrant", "RevokeGrant"):
                    self.renew(names)
                request = Request(operation, person, kind, form, names)
                code, message = request.expected()
                found = request.outcome()
                what = (kind, form, person.arn, found)
                self.assertEqual(code, found[0], what)
                if message is not None:
                    self.assertEqual(message, found[1], what)

    def test_every_operation_has_a_row(self):
        """across-every-operation-has-a-row"""
        self.assertEqual(operations(), KEYLESS | set(OPERATIONS))

    def test_grant_stands_in_for_policies(self):
        """across-a-grant-stands-in-for-both-policies"""
        names = self.prepare()
        stranger = self.people[3]
        ask = {"KeyId": names["key ARN"]}
        self.assertEqual("AccessDeniedException",
                         stranger.call("DescribeKey", ask).code)
        grant = self.kms.create_grant(
            KeyId=names["key id"], GranteePrincipal=stranger.arn,
            Operations=["DescribeKey", "RetireGrant"])
        self.assertIsNone(stranger.call("DescribeKey", ask).code)
        self.assertEqual("AccessDeniedException", stranger.call(
            "Encrypt", {**ask, "Plaintext": "eA=="}).code)
        ask["GrantId"] = grant["GrantId"]
        # without an account, the id is that of a key of one's own
        bare = {**ask, "KeyId": names["key id"]}
        self.assertEqual("AccessDeniedException",
                         stranger.call("RetireGrant", bare).code)
        self.assertIsNone(stranger.call("RetireGrant", ask).code)


def add_tests():
    """One test an operation, named by it."""
    for operation in OPERATIONS:
        def test(self, operation=operation):
            self.check(operation)
        test.__doc__ = f"across-{operation}"
        setattr(Across, f"test_{operation}", test)


add_tests()

if __name__ == "__main__":
    tap.main()
