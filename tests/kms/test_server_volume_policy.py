#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The key policy that comes as an example allows what it says, no more."""
import pathlib

from server_fixture import ACCOUNT, ServerCase, run
from server_people import Person, document, identity, statement
from test_server_sts import trust
import tap

POLICY = (pathlib.Path(__file__).resolve().parent.parent.parent /
          "scripts/examples/kms-key-policy.json")
USERS = f"arn:aws:iam::{ACCOUNT}:role/envelope-users"
HOSTS = f"arn:aws:iam::{ACCOUNT}:role/envelope-hosts"
VOLUME = {"envelope:volume-id": "vol-0123456789abcdef0",
          "envelope:generation": "1"}
OTHER = {**VOLUME, "envelope:volume-id": "vol-0123456789abcdef1"}
USE = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*",
       "kms:GenerateDataKey*", "kms:CreateGrant"]
DENIED = (400, "AccessDeniedException")


class VolumePolicy(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for role in ("envelope-users", "envelope-hosts"):
            identity(cls.server, "create-role", role, "--trust", "-",
                     text=trust(ACCOUNT))
            # what the account allows does not widen what the key does
            identity(cls.server, "put-policy", "all", "-", "--role", role,
                     text=document(statement("Allow", USE)))
        cls.key = cls.kms.create_key(
            Policy=POLICY.read_text())["KeyMetadata"]["KeyId"]
        cls.user, cls.host = (cls.session(role) for role in (USERS, HOSTS))

    @classmethod
    def session(cls, role):
        """What signs calls as @role."""
        import boto3
        access, secret = cls.server.credentials()
        made = boto3.client(
            "sts", endpoint_url=cls.server.endpoint, region_name="us-east-1",
            aws_access_key_id=access, aws_secret_access_key=secret,
            verify=str(cls.server.dir / "ca.pem")).assume_role(
                RoleArn=role, RoleSessionName="i-1")["Credentials"]
        return {"access": made["AccessKeyId"],
                "secret": made["SecretAccessKey"],
                "extra": [("X-Amz-Security-Token", made["SessionToken"])]}

    def answer(self, who, operation, **body):
        reply = self.server.call(operation, {"KeyId": self.key, **body},
                                 **who)
        return reply.status, reply.code

    def wrapped(self, context=None):
        """A data key's ciphertext, made by a user."""
        reply = self.server.call("GenerateDataKeyWithoutPlaintext", {
            "KeyId": self.key, "NumberOfBytes": 64,
            "EncryptionContext": context or VOLUME}, **self.user)
        self.assertEqual(200, reply.status, reply.body)
        return reply.json["CiphertextBlob"]

    def grant(self, **change):
        """What a user is told who asks for an attach's grant, or another."""
        return self.answer(self.user, "CreateGrant", **{
            "GranteePrincipal": HOSTS, "RetiringPrincipal": HOSTS,
            "Operations": ["Decrypt"],
            "Constraints": {"EncryptionContextSubset": VOLUME}, **change})

    def test_lint(self):
        """security-33-the-example-policy-has-no-broad-decrypt"""
        done = run("policy-lint", POLICY)
        self.assertEqual((0, "", ""),
                         (done.returncode, done.stdout, done.stderr))

    def test_host(self):
        """security-33-a-host-decrypts-what-a-user-granted-it-and-no-more"""
        mine, other = self.wrapped(), self.wrapped(OTHER)

        def decrypts(blob, context):
            return self.answer(self.host, "Decrypt", CiphertextBlob=blob,
                               EncryptionContext=context)

        self.assertEqual(DENIED, decrypts(mine, VOLUME))
        self.assertEqual((200, None), self.grant())
        self.assertEqual((200, None), decrypts(mine, VOLUME))
        self.assertEqual(DENIED, decrypts(other, OTHER))
        for operation, body in (
                ("Encrypt", {"Plaintext": "eA=="}),
                ("GenerateDataKey", {"NumberOfBytes": 64}),
                ("GenerateDataKeyWithoutPlaintext", {"NumberOfBytes": 64}),
                ("CreateGrant", {
                    "GranteePrincipal": HOSTS, "Operations": ["Decrypt"],
                    "Constraints": {"EncryptionContextSubset": VOLUME}})):
            if operation != "CreateGrant":
                body["EncryptionContext"] = VOLUME
            self.assertEqual(DENIED, self.answer(self.host, operation,
                                                 **body), operation)
        for grant in self.kms.list_grants(KeyId=self.key)["Grants"]:
            self.kms.revoke_grant(KeyId=self.key, GrantId=grant["GrantId"])
        self.assertEqual(DENIED, decrypts(mine, VOLUME))

    def test_grants(self):
        """security-33-users-grant-hosts-decrypt-of-a-named-volume-only"""
        dry = {"DryRun": True}
        allowed = (400, "DryRunOperationException")
        equal = {"EncryptionContextEquals": VOLUME}
        self.assertEqual(allowed, self.grant(**dry))
        self.assertEqual(allowed, self.grant(**dry, Constraints=equal))
        self.assertEqual(allowed, self.grant(**dry, RetiringPrincipal=None))
        for change in (
                {"GranteePrincipal": USERS}, {"RetiringPrincipal": USERS},
                {"GranteePrincipal": f"arn:aws:iam::{ACCOUNT}:root"},
                {"Operations": ["Decrypt", "Encrypt"]},
                {"Operations": ["CreateGrant", "Decrypt"]},
                {"Operations": ["GenerateDataKey"]}, {"Constraints": None},
                {"Constraints": {"EncryptionContextSubset": {}}},
                {"Constraints": {"EncryptionContextEquals": {}}},
                {"Constraints": {"EncryptionContextSubset": {
                    "envelope:generation": "1"}}},
                {"Constraints": {"EncryptionContextSubset": {
                    **VOLUME, "more": "x"}}}):
            self.assertEqual(DENIED, self.grant(**{**dry, **change}), change)

    def test_users(self):
        """security-33-users-use-the-key-for-volumes-only"""
        blob = self.wrapped()
        self.assertEqual((200, None), self.answer(
            self.user, "Decrypt", CiphertextBlob=blob,
            EncryptionContext=VOLUME))
        self.assertEqual((200, None), self.answer(
            self.user, "ReEncrypt", CiphertextBlob=blob,
            DestinationKeyId=self.key, SourceEncryptionContext=VOLUME,
            DestinationEncryptionContext={**VOLUME,
                                          "envelope:generation": "2"}))
        self.assertEqual((200, None), self.answer(self.user, "DescribeKey"))
        for context in (None, {}, {"envelope:generation": "1"},
                        {"some": "thing"}, {**VOLUME, "more": "x"}):
            self.assertEqual(DENIED, self.answer(
                self.user, "GenerateDataKeyWithoutPlaintext",
                NumberOfBytes=64, EncryptionContext=context), context)
        self.assertEqual(DENIED, self.answer(
            self.user, "ReEncrypt", CiphertextBlob=blob,
            DestinationKeyId=self.key, SourceEncryptionContext=VOLUME))
        for operation, body in (
                ("Encrypt", {"Plaintext": "eA==",
                             "EncryptionContext": VOLUME}),
                ("GenerateDataKey", {"NumberOfBytes": 64,
                                     "EncryptionContext": VOLUME}),
                ("ListGrants", {}), ("DisableKey", {}),
                ("ScheduleKeyDeletion", {}),
                ("PutKeyPolicy", {"Policy": POLICY.read_text()})):
            self.assertEqual(DENIED, self.answer(self.user, operation,
                                                 **body), operation)

    def test_administrators(self):
        """security-33-who-manages-the-key-does-not-use-it"""
        admin = Person(self.server, "admin", statement("Allow", "kms:*"))
        body = {"KeyId": self.key, "EncryptionContext": VOLUME}
        for operation, more in (
                ("Decrypt", {"CiphertextBlob": self.wrapped()}),
                ("Encrypt", {"Plaintext": "eA=="}),
                ("GenerateDataKey", {"NumberOfBytes": 64}),
                ("CreateGrant", {
                    "GranteePrincipal": admin.arn, "Operations": ["Decrypt"],
                    "EncryptionContext": None})):
            reply = admin.call(operation, {**body, **more})
            self.assertEqual(DENIED, (reply.status, reply.code), operation)
        for operation, more in (
                ("DescribeKey", {}), ("ListGrants", {}),
                ("GetKeyPolicy", {}), ("EnableKeyRotation", {}),
                ("TagResource", {"Tags": [{"TagKey": "a",
                                           "TagValue": "b"}]})):
            reply = admin.call(operation, {"KeyId": self.key, **more})
            self.assertEqual(200, reply.status, operation)


if __name__ == "__main__":
    tap.main()
