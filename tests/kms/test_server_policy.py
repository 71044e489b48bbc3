# SPDX-License-Identifier: GPL-2.0-or-later
"""Key policies: what a key may be given, and what it says then."""
import json

import tap
from server_fixture import ACCOUNT, REGION, ServerCase
from server_people import Person, identity

NAME = {"PolicyName": "default"}  # which older clients insist on
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
LOCKED_OUT = "The new key policy will not allow you to update the key policy in the future."
BAD_PRINCIPAL = "Policy contains a statement with one or more invalid principals."
DEFAULT = {
    "Version": "2012-10-17", "Id": "key-default-1",
    "Statement": [{"Sid": "Enable IAM User Permissions", "Effect": "Allow",
                   "Principal": {"AWS": ROOT}, "Action": "kms:*",
                   "Resource": "*"}]}


def allow(who, actions="kms:*", **more):
    return {"Effect": "Allow", "Principal": {"AWS": who}, "Action": actions,
            "Resource": "*", **more}


def deny(who, actions, **more):
    return {**allow(who, actions, **more), "Effect": "Deny"}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


class Documents(ServerCase):
    """What PutKeyPolicy and CreateKey take."""

    def put(self, key, *statements, **more):
        self.kms.put_key_policy(KeyId=key, PolicyName="default",
                                Policy=document(*statements), **more)

    def test_default_policy(self):
        key, arn = self.new_key()
        for name in (key, arn):
            answer = self.kms.get_key_policy(KeyId=name, **NAME)
            self.assertEqual(DEFAULT, json.loads(answer["Policy"]))
            self.assertEqual("default", self.server.call(
                "GetKeyPolicy", {"KeyId": name}).json["PolicyName"])

    def test_policy_of_create_key_is_kept(self):
        text = document(allow(ADMIN), allow(ROOT, "kms:Describe*"))
        key, _ = self.new_key(Policy=text)
        self.assertEqual(text, self.kms.get_key_policy(KeyId=key, **NAME)["Policy"])

    def test_put_replaces_the_whole_document(self):
        key, _ = self.new_key()
        for text in (document(allow(ADMIN)), document(allow(ROOT))):
            self.kms.put_key_policy(KeyId=key, **NAME, Policy=text)
            self.assertEqual(text,
                             self.kms.get_key_policy(KeyId=key, **NAME)["Policy"])

    def test_policy_survives_a_restart(self):
        text = document(allow(ADMIN), deny(ADMIN, "kms:Encrypt"))
        key, _ = self.new_key(Policy=text)
        self.server.stop()
        self.server.start()
        type(self).kms = self.server.client()
        self.assertEqual(text, self.kms.get_key_policy(KeyId=key, **NAME)["Policy"])
        self.assertEqual("AccessDeniedException", self.server.call(
            "Encrypt", {"KeyId": key, "Plaintext": "eA=="}).code)

    def test_list_key_policies(self):
        key, _ = self.new_key()
        answer = self.kms.list_key_policies(KeyId=key, Limit=1)
        self.assertEqual((["default"], False),
                         (answer["PolicyNames"], answer["Truncated"]))

    def test_other_policy_names(self):
        key, _ = self.new_key()
        for call, more in ((self.kms.get_key_policy, {}),
                           (self.kms.put_key_policy,
                            {"Policy": document(allow(ROOT))})):
            self.refused("NotFoundException", "No such policy exists", call,
                         KeyId=key, PolicyName="other", **more)

    def test_lockout_is_refused(self):
        """kms-policy-lockout-refused"""
        key, _ = self.new_key()
        for statements in (
                [allow(ADMIN, "kms:Decrypt")],
                [allow("arn:aws:iam::999988887777:root")],
                [allow(ROOT), deny(ADMIN, "kms:PutKeyPolicy")],
                [allow(ADMIN, Condition={"StringEquals": {
                    "aws:username": "somebody"}})],
                [{"Effect": "Allow", "Principal": {"AWS": ADMIN},
                  "Action": "kms:*"}]):
            self.refused("MalformedPolicyDocumentException", LOCKED_OUT,
                         self.put, key, *statements)
            self.refused("MalformedPolicyDocumentException", LOCKED_OUT,
                         self.kms.create_key, Policy=document(*statements))
        self.assertEqual(
            DEFAULT,
            json.loads(self.kms.get_key_policy(KeyId=key, **NAME)["Policy"]))

    def test_refused_create_key_leaves_no_key(self):
        before = self.server.sql("SELECT count(*) FROM kms_key")
        self.refused("MalformedPolicyDocumentException", LOCKED_OUT,
                     self.kms.create_key,
                     Policy=document(allow(ADMIN, "kms:Decrypt")))
        self.assertEqual(before, self.server.sql("SELECT count(*) FROM kms_key"))

    def test_bypassed_lockout_locks_out(self):
        key, arn = self.new_key()
        self.put(key, allow(ADMIN, "kms:GetKeyPolicy"),
                 BypassPolicyLockoutSafetyCheck=True)
        self.kms.get_key_policy(KeyId=key, **NAME)
        self.refused("AccessDeniedException", f"User: {ADMIN} is not authorized to perform: kms:PutKeyPolicy on resource: {arn} because no resource-based policy allows the kms:PutKeyPolicy action",
                     self.put, key, allow(ROOT))

    def test_malformed_documents(self):
        """security-28-unknown-operators-and-keys-are-never-stored"""
        key, _ = self.new_key()
        for text, why in (
                ("{", None), ("[]", "Syntax errors in policy."),
                ("{}", "The policy has no Statement."),
                (document(allow("nobody")), BAD_PRINCIPAL),
                (document(allow(f"arn:aws:iam::{ACCOUNT}:user/nobody")),
                 BAD_PRINCIPAL),
                (document(allow(f"arn:aws:iam::{ACCOUNT}:role/nobody")),
                 BAD_PRINCIPAL),
                (document({**allow(ROOT), "Principal": "*"}), BAD_PRINCIPAL),
                (document(allow(ROOT, Condition={
                    "StringMatches": {"kms:KeySpec": "x"}})),
                 "Invalid condition operator 'StringMatches'."),
                (document(allow(ROOT, Condition={
                    "StringEquals": {"kms:Moon": "x"}})),
                 "Invalid condition key 'kms:Moon'."),
                (document(allow(ROOT, Condition={
                    "StringEquals": {"aws:MultiFactorAuthPresent": "true"}})),
                 "Invalid condition key 'aws:MultiFactorAuthPresent'.")):
            self.refused("MalformedPolicyDocumentException", why,
                         self.kms.put_key_policy, KeyId=key, Policy=text,
                         **NAME)
        self.assertEqual(
            DEFAULT,
            json.loads(self.kms.get_key_policy(KeyId=key, **NAME)["Policy"]))

    def test_every_principal_form_is_taken(self):
        """kms-issue-07-every-principal-form"""
        key, _ = self.new_key()
        for who in ("*", ROOT, ACCOUNT, ADMIN, [ROOT, ADMIN],
                    "arn:aws:iam::999988887777:root", "999988887777",
                    "arn:aws:iam::999988887777:role/path/to/theirs",
                    "arn:aws:sts::999988887777:assumed-role/theirs/i-1"):
            self.put(key, allow(ROOT), allow(who, "kms:Encrypt"))
        self.put(key, allow(ROOT),
                 {**allow(ROOT), "Principal": {
                     "Service": ["ec2.amazonaws.com", "s3.amazonaws.com"],
                     "AWS": ROOT}})

    def test_sizes_and_characters(self):
        key, _ = self.new_key()
        self.refused("LimitExceededException", "The key policy has 32769 bytes; the limit is 32768.",
                     self.kms.put_key_policy, KeyId=key, **NAME,
                     Policy=document(allow(ROOT)).ljust(32769))
        self.kms.put_key_policy(KeyId=key, **NAME, Policy=document(allow(ROOT)).ljust(32768))
        for text in ("\u0001", "\u4e00", "\u0100"):
            self.refused("ValidationException", r"1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+",
                         self.kms.put_key_policy, KeyId=key, Policy=text,
                         **NAME)
        self.kms.put_key_policy(KeyId=key, **NAME, Policy=document(
            {**allow(ROOT), "Sid": "Schl\u00fcssel"}).replace(
                "\\u00fc", "\u00fc"))
        self.assertEqual("ValidationException", self.server.call(
            "PutKeyPolicy", {"KeyId": key, "Policy": ""}).code)

    def test_aliases_do_not_name_the_key(self):
        for call, more in ((self.kms.get_key_policy, NAME),
                           (self.kms.list_key_policies, {}),
                           (self.kms.put_key_policy,
                            {"Policy": document(allow(ROOT)), **NAME})):
            self.refused("NotFoundException", "Invalid keyId 'alias/envelope'",
                         call, KeyId="alias/envelope", **more)

    def test_a_damaged_policy_opens_nothing(self):
        """kms-damaged-policy-fails-closed"""
        key, _ = self.new_key()
        for text in ("{", '{"Statement":[]}', "[]"):
            self.server.sql("UPDATE kms_key SET policy = ? WHERE key_id = ?",
                            text, key)
            self.assertEqual("KMSInternalException", self.server.call(
                "DescribeKey", {"KeyId": key}).code)
        self.assertIn("a stored policy is no good", self.server.stderr())


class Names(ServerCase):
    """A policy means those who had the names when it was written."""

    def shown(self, key):
        return json.loads(self.kms.get_key_policy(KeyId=key, **NAME)["Policy"])

    def test_user_of_the_same_name(self):
        """kms-key-policy-is-not-inherited-by-name"""
        ann = Person(self.server, "ann")
        key, arn = self.new_key(Policy=document(
            allow(ROOT), allow(ann.arn, "kms:DescribeKey")))
        ask = {"KeyId": arn}
        self.assertIsNone(ann.call("DescribeKey", ask).code)
        text = self.kms.get_key_policy(KeyId=key, **NAME)["Policy"]
        uid = self.server.sql(
            "SELECT user_id FROM user WHERE name = 'ann'")[0][0]
        identity(self.server, "delete-user", "ann")
        policy = self.shown(key)
        self.assertEqual({"AWS": uid}, policy["Statement"][1]["Principal"])
        policy["Statement"][1]["Principal"]["AWS"] = ann.arn
        self.assertEqual(json.loads(text), policy)
        again = Person(self.server, "ann")
        self.assertEqual("AccessDeniedException",
                         again.call("DescribeKey", ask).code)
        self.assertEqual(uid, self.shown(key)["Statement"][1]["Principal"][
            "AWS"])
        self.refused("MalformedPolicyDocumentException", BAD_PRINCIPAL,
                     self.kms.put_key_policy, KeyId=key, **NAME,
                     Policy=json.dumps(self.shown(key)))
        self.kms.put_key_policy(KeyId=key, **NAME, Policy=text)
        self.assertIsNone(again.call("DescribeKey", ask).code)
        self.assertEqual(text, self.kms.get_key_policy(KeyId=key, **NAME)[
            "Policy"])

    def test_all_forms_in_all_places(self):
        """kms-key-policy-shows-the-deleted-by-unique-id"""
        role = f"arn:aws:iam::{ACCOUNT}:role/crew"
        session = f"arn:aws:sts::{ACCOUNT}:assumed-role/crew/i-1"
        trust = document({"Effect": "Allow", "Principal": {"AWS": ROOT},
                          "Action": "sts:AssumeRole"})
        identity(self.server, "create-role", "crew", "--trust", "-",
                 text=trust)
        bea = Person(self.server, "bea")
        key, _ = self.new_key(Policy=document(
            allow(ROOT), allow([ADMIN, bea.arn, session], "kms:Encrypt"),
            {"Effect": "Deny", "NotPrincipal": {"AWS": [role, ROOT, ADMIN]},
             "Action": "kms:Decrypt", "Resource": "*"}))
        user, crew = self.server.sql(
            "SELECT user_id FROM user WHERE name = 'bea' UNION ALL "
            "SELECT role_id FROM role WHERE name = 'crew'")
        identity(self.server, "delete-role", "crew")
        identity(self.server, "delete-user", "bea")
        self.assertEqual(
            [{"AWS": ROOT}, {"AWS": [ADMIN, user[0], f"{crew[0]}:i-1"]},
             {"AWS": [crew[0], ROOT, ADMIN]}],
            [s.get("Principal", s.get("NotPrincipal"))
             for s in self.shown(key)["Statement"]])

    def test_names_of_accounts_that_come_later(self):
        """kms-key-policy-names-nobody-before-his-account"""
        late = "444455556666"
        arn = f"arn:aws:iam::{late}:user/cid"
        key, key_arn = self.new_key(Policy=document(
            allow(ROOT), allow(arn, "kms:DescribeKey"),
            deny(arn, "kms:Encrypt")))
        identity(self.server, "create-account", late)
        cid = Person(self.server, "cid", allow_all(), account=late)
        self.assertEqual("AccessDeniedException",
                         cid.call("DescribeKey", {"KeyId": key_arn}).code)
        self.kms.put_key_policy(KeyId=key, **NAME, Policy=document(
            allow(ROOT), allow(arn, "kms:DescribeKey")))
        self.assertIsNone(cid.call("DescribeKey", {"KeyId": key_arn}).code)

    def test_role_trusts_whom_it_named(self):
        """kms-trust-policy-is-not-inherited-by-name"""
        dov = Person(self.server, "dov")
        text = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": dov.arn},
             "Action": "sts:AssumeRole"}]})
        identity(self.server, "create-role", "dovs", "--trust", "-",
                 text=text)
        self.assertEqual(200, assume(self.server, dov, "dovs"))
        identity(self.server, "delete-user", "dov")
        again = Person(self.server, "dov")
        self.assertEqual(403, assume(self.server, again, "dovs"))
        shown, = json.loads(identity(self.server, "list-roles", "--json"))[
            "Roles"]
        self.assertRegex(shown["AssumeRolePolicyDocument"]["Statement"][0][
            "Principal"]["AWS"], "^AIDA[A-Z2-7]{16}$")
        identity(self.server, "set-trust", "dovs", "-", text=text)
        self.assertEqual(200, assume(self.server, again, "dovs"))


def allow_all():
    return {"Effect": "Allow", "Action": "*", "Resource": "*"}


def assume(server, person, role):
    """The HTTP status of AssumeRole."""
    import boto3
    import botocore.exceptions
    sts = boto3.client("sts", endpoint_url=server.endpoint,
                       region_name=REGION, aws_access_key_id=person.access,
                       aws_secret_access_key=person.secret,
                       verify=str(server.dir / "ca.pem"))
    try:
        answer = sts.assume_role(
            RoleArn=f"arn:aws:iam::{person.account}:role/{role}",
            RoleSessionName="i-1")
    except botocore.exceptions.ClientError as e:
        answer = e.response
    return answer["ResponseMetadata"]["HTTPStatusCode"]


if __name__ == "__main__":
    tap.main()
