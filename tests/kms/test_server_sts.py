# SPDX-License-Identifier: GPL-2.0-or-later
"""AssumeRole and GetCallerIdentity, and what a session may do."""
import json
import subprocess

import boto3
import botocore.exceptions
import tap
from server_fixture import ACCOUNT, REGION, Server, ServerCase
from server_people import Person, denied, document, identity, missing, \
    statement

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/host"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/host/i-1"
OTHER = "999988887777"


def trust(who, **more):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": who},
         "Action": "sts:AssumeRole", **more}]})


class StsCase(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        identity(cls.server, "create-role", "host", "--trust", "-",
                 text=trust(ACCOUNT))
        identity(cls.server, "attach-policy", "KeyOperator", "--role", "host")

    def client(self, service, access, secret, token=None):
        return boto3.client(service, endpoint_url=self.server.endpoint,
                            region_name=REGION, aws_access_key_id=access,
                            aws_secret_access_key=secret,
                            aws_session_token=token,
                            verify=str(self.server.dir / "ca.pem"))

    def sts(self, person=None):
        keys = (person.access, person.secret) if person else \
            self.server.credentials()
        return self.client("sts", *keys)

    def assume(self, person=None, role=ROLE, **more):
        made = self.sts(person).assume_role(
            RoleArn=role, RoleSessionName="i-1", **more)["Credentials"]
        return (made["AccessKeyId"], made["SecretAccessKey"],
                made["SessionToken"])

    def error(self, code, call, *args, says=None, **kwargs):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(*args, **kwargs)
        error = caught.exception.response["Error"]
        self.assertEqual(code, error["Code"], error)
        if says is not None:
            self.assertEqual(says, error["Message"])

    def no_assume(self, who, role=ROLE, **more):
        return {"says": f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {role}", **more}


class Sts(StsCase):
    def test_get_caller_identity(self):
        answer = self.sts().get_caller_identity()
        self.assertEqual((ADMIN, ACCOUNT), (answer["Arn"], answer["Account"]))
        self.assertRegex(answer["UserId"], "^AIDA")

    def test_session_uses_keys(self):
        """kms-session-of-a-role-uses-keys"""
        keys = self.assume()
        self.assertRegex(keys[0], "^ASIA[A-Z2-7]{16}$")
        answer = self.client("sts", *keys).get_caller_identity()
        self.assertEqual(SESSION, answer["Arn"])
        self.assertRegex(answer["UserId"], "^AROA[A-Z2-7]{16}:i-1$")
        kms = self.client("kms", *keys)
        blob = kms.encrypt(KeyId="alias/envelope",
                           Plaintext=b"x")["CiphertextBlob"]
        self.assertEqual(b"x", kms.decrypt(CiphertextBlob=blob)["Plaintext"])
        self.error("AccessDeniedException", kms.list_keys, says=denied(
            SESSION, "kms:ListKeys", "*", missing("identity", "kms:ListKeys")))

    def test_trail_names_session_and_role(self):
        keys = self.assume()
        self.client("kms", *keys).describe_key(KeyId="alias/envelope")
        assumed, used = [r for r in self.server.audit() if r["eventName"] in
                         ("AssumeRole", "DescribeKey")][-2:]
        self.assertEqual("sts.amazonaws.com", assumed["eventSource"])
        self.assertEqual(SESSION, assumed["responseElements"]
                         ["assumedRoleUser"]["arn"])
        who = used["userIdentity"]
        self.assertEqual(("AssumedRole", SESSION, keys[0]),
                         (who["type"], who["arn"], who["accessKeyId"]))
        self.assertEqual(("Role", ROLE, "host"), tuple(
            who["sessionContext"]["sessionIssuer"][k]
            for k in ("type", "arn", "userName")))
        text = (self.server.dir / "audit" / "audit.log").read_text()
        self.assertNotIn(keys[1], text)
        self.assertNotIn(keys[2], text)

    def test_trust_to_the_account_needs_a_policy(self):
        amy = Person(self.server, "amy")
        self.error("AccessDenied", self.assume, amy, **self.no_assume(amy.arn))
        amy.may(statement("Allow", "sts:AssumeRole", ROLE))
        self.assume(amy)
        amy.may(statement("Allow", "sts:AssumeRole", ROLE),
                statement("Deny", "sts:*"))
        self.error("AccessDenied", self.assume, amy, **self.no_assume(amy.arn))

    def test_trust_by_name_needs_none(self):
        ben = Person(self.server, "ben")
        identity(self.server, "create-role", "bens", "--trust", "-",
                 text=trust(ben.arn))
        self.assume(ben, role=ROLE.replace("host", "bens"))
        role = ROLE.replace("host", "bens")
        self.error("AccessDenied", self.assume, None, role,
                   **self.no_assume(ADMIN, role))

    def test_trust_across_accounts_needs_both(self):
        identity(self.server, "create-account", OTHER)
        cat = Person(self.server, "cat", account=OTHER)
        identity(self.server, "create-role", "shared", "--trust", "-",
                 text=trust(cat.arn))
        role = ROLE.replace("host", "shared")
        self.error("AccessDenied", self.assume, cat, role,
                   **self.no_assume(cat.arn, role))
        cat.may(statement("Allow", "sts:AssumeRole", role))
        self.assume(cat, role)

    def test_external_id(self):
        """kms-condition-external-id"""
        identity(self.server, "create-role", "vendor", "--trust", "-",
                 text=trust(ADMIN, Condition={"StringEquals": {
                     "sts:ExternalId": "42"}}))
        role = ROLE.replace("host", "vendor")
        self.error("AccessDenied", self.assume, None, role)
        self.error("AccessDenied", self.assume, None, role, ExternalId="43")
        self.assume(None, role, ExternalId="42")

    def test_session_name(self):
        """kms-condition-role-session-name"""
        role = ROLE.replace("host", "named")

        def only(name):
            return trust(ADMIN, Condition={"StringLike": {
                "sts:RoleSessionName": name}})
        identity(self.server, "create-role", "named", "--trust", "-",
                 text=only("i-2*"))
        self.error("AccessDenied", self.assume, None, role)
        identity(self.server, "set-trust", "named", "-", text=only("i-*"))
        self.assume(None, role)

    def test_absent_role_looks_like_a_denied_one(self):
        role = ROLE.replace("host", "nobody")
        self.error("AccessDenied", self.assume, None, role,
                   **self.no_assume(ADMIN, role))

    def test_session_policy_only_takes_away(self):
        """kms-session-policy-limits"""
        keys = self.assume(Policy=document(
            statement("Allow", ["kms:Encrypt", "kms:ListKeys"])))
        kms = self.client("kms", *keys)
        kms.encrypt(KeyId="alias/envelope", Plaintext=b"x")
        arn = self.kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]
        self.error("AccessDeniedException", kms.describe_key, KeyId=arn,
                   says=f"User: {SESSION} is not authorized to perform: kms:DescribeKey on resource: {arn} because no session policy allows the kms:DescribeKey action")
        self.error("AccessDeniedException", kms.list_keys)
        self.error("MalformedPolicyDocument", self.assume, Policy="{}",
                   says="The policy has no Statement.")

    def test_role_is_looked_up_at_each_use(self):
        """security-31-role-reevaluated"""
        identity(self.server, "create-role", "brief", "--trust", "-",
                 text=trust(ACCOUNT))
        role = ROLE.replace("host", "brief")
        kms = self.client("kms", *self.assume(None, role))
        self.error("AccessDeniedException", kms.list_keys)
        identity(self.server, "attach-policy", "KeyAuditor", "--role",
                 "brief")
        kms.list_keys()
        identity(self.server, "delete-role", "brief")
        self.error("UnrecognizedClientException", kms.list_keys)
        identity(self.server, "create-role", "brief", "--trust", "-",
                 text=trust(ACCOUNT))
        identity(self.server, "attach-policy", "KeyAuditor", "--role",
                 "brief")
        self.error("UnrecognizedClientException", kms.list_keys, says="The security token included in the request is invalid.")

    def began(self, name):
        """A user who may assume roles, and a session he began."""
        person = Person(self.server, name,
                        statement("Allow", "sts:AssumeRole"))
        keys = self.assume(person)
        self.client("kms", *keys).describe_key(KeyId="alias/envelope")
        return person, keys

    def ended(self, keys):
        for service, code in (("kms", "UnrecognizedClientException"),
                              ("sts", "InvalidClientTokenId")):
            client = self.client(service, *keys)
            call = client.list_keys if service == "kms" else \
                client.get_caller_identity
            self.error(code, call, says="The security token included in the request is invalid.")

    def test_session_ends_with_its_user(self):
        """security-31-user-reevaluated"""
        _, keys = self.began("dan")
        identity(self.server, "delete-user", "dan")
        self.ended(keys)
        Person(self.server, "dan", statement("Allow", "sts:AssumeRole"))
        self.ended(keys)

    def test_session_ends_with_the_access_key(self):
        """security-31-access-key-reevaluated"""
        person, keys = self.began("eva")
        kms = self.client("kms", *keys)
        identity(self.server, "create-access-key", "eva")
        identity(self.server, "deactivate-access-key", "eva", person.access)
        self.ended(keys)
        identity(self.server, "activate-access-key", "eva", person.access)
        kms.describe_key(KeyId="alias/envelope")
        identity(self.server, "delete-access-key", "eva", person.access)
        self.ended(keys)

    def test_chained_session_ends_with_all_before(self):
        """security-31-chain-of-roles-reevaluated"""
        first, second = "first", "second"
        arn = {n: ROLE.replace("host", n) for n in (first, second)}
        for name in arn:
            identity(self.server, "create-role", name, "--trust", "-",
                     text=trust(ACCOUNT))
            identity(self.server, "put-policy", "any", "-", "--role", name,
                     text=document(statement("Allow", "*")))

        def chained(person):
            keys = self.assume(person, arn[first])
            made = self.client("sts", *keys).assume_role(
                RoleArn=arn[second], RoleSessionName="i-2")["Credentials"]
            keys = (made["AccessKeyId"], made["SecretAccessKey"],
                    made["SessionToken"])
            self.client("kms", *keys).list_keys()
            return keys

        person = Person(self.server, "fay",
                        statement("Allow", "sts:AssumeRole"))
        keys = chained(person)
        identity(self.server, "deactivate-access-key", "fay", person.access)
        self.ended(keys)
        identity(self.server, "activate-access-key", "fay", person.access)
        self.client("kms", *keys).list_keys()
        identity(self.server, "delete-role", first)
        self.ended(keys)
        identity(self.server, "create-role", first, "--trust", "-",
                 text=trust(ACCOUNT))
        self.ended(keys)

    def test_chains_of_roles_end(self):
        """kms-chain-of-roles-is-bounded"""
        name = "n" * 64
        role = ROLE.replace("host", name)
        identity(self.server, "create-role", name, "--trust", "-",
                 text=trust(ACCOUNT))
        identity(self.server, "put-policy", "any", "-", "--role", name,
                 text=document(statement("Allow", "*")))
        keys = self.assume(None, role)
        for _ in range(10):
            made = self.client("sts", *keys).assume_role(
                RoleArn=role, RoleSessionName="i-1")["Credentials"]
            keys = (made["AccessKeyId"], made["SecretAccessKey"],
                    made["SessionToken"])
        self.client("kms", *keys).list_keys()
        self.error("ValidationError", self.client("sts", *keys).assume_role,
                   says="The chain of assumed roles is too long.",
                   RoleArn=role, RoleSessionName="i-1")

    def test_withdrawn_permission_ends_no_session(self):
        """kms-withdrawn-assume-role-leaves-sessions-begun"""
        person, keys = self.began("gus")
        person.may(statement("Deny", "*"))
        self.error("AccessDenied", self.assume, person,
                   **self.no_assume(person.arn))
        self.client("kms", *keys).describe_key(KeyId="alias/envelope")

    def test_tokens_bind_their_key(self):
        """security-31-token-of-another-session-refused"""
        one, two = self.assume(), self.assume()
        for keys in ((one[0], one[1], two[2]), (one[0], two[1], one[2]),
                     (two[0], one[1], one[2]), (one[0], one[1], None),
                     (one[0], one[1], "AAAA"),
                     (*self.server.credentials(), one[2]),
                     (one[0], one[1], one[2][:-8] + "AAAAAAA=")):
            with self.assertRaises(botocore.exceptions.ClientError) as caught:
                self.client("kms", *keys).describe_key(KeyId="alias/envelope")
            self.assertIn(caught.exception.response["Error"]["Code"],
                          ("UnrecognizedClientException",
                           "InvalidSignatureException"))

    def test_durations(self):
        self.error("ValidationError", self.assume, DurationSeconds=43201, says="1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200")
        self.error("ValidationError", self.assume, DurationSeconds=3601, says="The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        self.assume(DurationSeconds=900)

    def test_errors_in_the_words_of_sts(self):
        access, secret = self.server.credentials()
        self.error("InvalidClientTokenId", self.client(
            "sts", "AKIAAAAAAAAAAAAAAAAA", secret).get_caller_identity)
        self.error("SignatureDoesNotMatch", self.client(
            "sts", access, "x" * 40).get_caller_identity)
        self.error("InvalidAction", self.sts().get_session_token)
        self.error("ValidationError", self.assume, role="arn:aws:iam::x:role/y",
                   says="arn:aws:iam::x:role/y is invalid")

    def test_aws_cli(self):
        """kms-aws-cli-assume-role"""
        def aws(keys, *args):
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                     "AWS_SESSION_TOKEN")
            done = subprocess.run(
                ["aws", "--endpoint-url", self.server.endpoint, "--region",
                 REGION, "--ca-bundle", str(self.server.dir / "ca.pem"),
                 "--output", "json", *args], text=True, check=True,
                capture_output=True, timeout=240,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin",
                     "HOME": str(self.server.folder),
                     **dict(zip(names, keys))})
            return json.loads(done.stdout)

        self.assertEqual(ADMIN, aws(self.server.credentials(), "sts",
                                    "get-caller-identity")["Arn"])
        made = aws(self.server.credentials(), "sts", "assume-role",
                   "--role-arn", ROLE, "--role-session-name",
                   "i-1")["Credentials"]
        keys = (made["AccessKeyId"], made["SecretAccessKey"],
                made["SessionToken"])
        self.assertEqual("Enabled", aws(
            keys, "kms", "describe-key", "--key-id",
            "alias/envelope")["KeyMetadata"]["KeyState"])


class Expiry(StsCase):
    options = ("--test",)

    def test_expired_session(self):
        """kms-expired-session-refused"""
        keys = self.assume(DurationSeconds=900)
        clock = self.server.folder / "clock"
        clock.write_text("0")
        self.server.stop()
        self.server.start("--test-clock-file", str(clock))
        kms = self.client("kms", *keys)
        kms.describe_key(KeyId="alias/envelope")
        clock.write_text("901")
        self.error("ExpiredTokenException", kms.describe_key,
                   KeyId="alias/envelope", says="The security token included in the request is expired")
        self.error("ExpiredToken",
                   self.client("sts", *keys).get_caller_identity)


if __name__ == "__main__":
    tap.main()
