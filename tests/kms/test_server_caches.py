# SPDX-License-Identifier: GPL-2.0-or-later
"""What envelope-kms remembers between requests is never what was true before.

Each test asks until every cache is warm, changes one thing, by a call or, as
another process, in the database, and requires that the next answer knows."""
import datetime
import unittest

import tap
from server_fixture import Server, Signer, b64, key_arn
from server_people import KEY_ROOT, Person, denied, document, identity
from server_people import missing, statement

REGIONS = ("us-east-1", "eu-west-1")
MANY = 12  # more than there are readers of the database


class CacheCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--region", REGIONS[0], "--region", REGIONS[1])
        cls.kms = cls.server.client()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def setUp(self):
        self.key = self.kms.create_key()["KeyMetadata"]["KeyId"]
        self.arn = key_arn(self.key)
        self.blob = b64(self.kms.encrypt(KeyId=self.key, Plaintext=b"x")[
            "CiphertextBlob"])

    def person(self, *statements, name="alice"):
        return Person(self.server, f"{name}-{self.id().split('_', 2)[-1]}",
                      *statements)

    def decrypt(self, who):
        return who.call("Decrypt", {"CiphertextBlob": self.blob,
                                    "KeyId": self.key})

    def warm(self, who):
        for _ in range(MANY):
            self.assertEqual(200, self.decrypt(who).status)

    def refused(self, who, code, message=None, status=400):
        """From the first answer on, and from every reader."""
        for _ in range(MANY):
            answer = self.decrypt(who)
            self.assertEqual((status, code), (answer.status, answer.code))
            if message is not None:
                self.assertEqual(message, answer.message)


class SigningKeys(CacheCase):
    def test_key_that_was_deactivated(self):
        """cache-deactivated-access-key"""
        alice = self.person(statement("Allow", "kms:*"))
        self.warm(alice)
        identity(self.server, "deactivate-access-key", alice.name,
                 alice.access)
        self.refused(alice, "UnrecognizedClientException")
        identity(self.server, "activate-access-key", alice.name,
                 alice.access)
        self.warm(alice)

    def test_secret_of_another_row(self):
        """cache-swapped-secret: a row swapped under a running server."""
        alice = self.person(statement("Allow", "kms:*"))
        bob = self.person(statement("Allow", "kms:*"), name="bob")
        self.warm(alice)
        self.warm(bob)
        sql = "UPDATE access_key SET sealed = ? WHERE access_key_id = ?"
        (old,), = self.server.sql(
            "SELECT sealed FROM access_key WHERE access_key_id = ?",
            alice.access)
        (other,), = self.server.sql(
            "SELECT sealed FROM access_key WHERE access_key_id = ?",
            bob.access)
        self.server.sql(sql, other, alice.access)
        self.refused(alice, "KMSInternalException", status=500)
        self.server.sql(sql, old, alice.access)
        self.warm(alice)

    def test_key_that_changed_hands(self):
        """cache-moved-access-key: the same sealed secret, another user."""
        alice = self.person(statement("Allow", "kms:*"))
        bob = self.person(statement("Allow", "kms:*"), name="bob")
        self.warm(alice)
        self.server.sql("UPDATE access_key SET user_name = ?"
                        " WHERE access_key_id = ?", bob.name, alice.access)
        self.refused(alice, "KMSInternalException", status=500)

    def test_scopes(self):
        """cache-scope: each day and region has a signing key of its own."""
        alice = self.person(statement("Allow", "kms:*"))
        self.warm(alice)
        for region in REGIONS * MANY:
            self.assertEqual(200, alice.call("ListKeys",
                                             region=region).status)
        today = datetime.datetime.now(datetime.timezone.utc)
        before = (today - datetime.timedelta(days=1)).strftime("%Y%m%d")
        raw = b"{}"
        good = Signer(self.server, **alice.keys()).headers("ListKeys", raw)
        for old, new in ((REGIONS[0], REGIONS[1]),
                         (f"/{today:%Y%m%d}/", f"/{before}/")):
            bent = [(name, value.replace(old, new)
                     if name == "Authorization" else value)
                    for name, value in good]
            answer = self.server.send(raw, bent)
            self.assertEqual((400, "InvalidSignatureException"),
                             (answer.status, answer.code))


class Permissions(CacheCase):

    def test_policy_of_the_user(self):
        """cache-identity-policy: put and deleted by another process."""
        alice = self.person(statement("Allow", "kms:Decrypt", self.arn))
        self.warm(alice)
        alice.may(statement("Allow", "kms:Encrypt", self.arn))
        no = denied(alice.arn, "kms:Decrypt", self.arn,
                    missing("identity", "kms:Decrypt"))
        self.refused(alice, "AccessDeniedException", no)
        alice.may(statement("Allow", "kms:Decrypt", self.arn))
        self.warm(alice)
        identity(self.server, "delete-policy", "test", *alice.who)
        self.refused(alice, "AccessDeniedException", no)

    def test_policies_that_differ_late(self):
        """cache-similar-policies: alike for their first thousand bytes."""
        sids = [f"statement{n:04}" for n in range(60)]
        alike = [statement("Allow", "kms:ListKeys", Sid=sid) for sid in sids]
        alice = self.person(*alike, statement("Allow", "kms:Decrypt"))
        self.warm(alice)
        alice.may(*alike, statement("Allow", "kms:Encrypt"))
        self.refused(alice, "AccessDeniedException")

    def test_key_policy(self):
        """cache-key-policy"""
        alice = self.person()
        by_name = statement("Allow", "kms:Decrypt",
                            Principal={"AWS": alice.arn})
        root = statement("Allow", "kms:*", Principal={"AWS": KEY_ROOT})
        self.kms.put_key_policy(KeyId=self.key, PolicyName="default",
                                Policy=document(root, by_name))
        self.warm(alice)
        self.kms.put_key_policy(KeyId=self.key, PolicyName="default",
                                Policy=document(root))
        self.refused(alice, "AccessDeniedException")

    def test_grant(self):
        """cache-revoked-grant: with its token, too."""
        alice = self.person()
        made = self.kms.create_grant(KeyId=self.key, Operations=["Decrypt"],
                                     GranteePrincipal=alice.arn)
        self.warm(alice)
        self.kms.revoke_grant(KeyId=self.key, GrantId=made["GrantId"])
        self.refused(alice, "AccessDeniedException")
        answer = alice.call("Decrypt", {
            "CiphertextBlob": self.blob, "GrantTokens": [made["GrantToken"]]})
        self.assertEqual("InvalidGrantTokenException", answer.code)


class Keys(CacheCase):
    def setUp(self):
        super().setUp()
        self.alice = self.person(statement("Allow", "kms:*"))
        self.warm(self.alice)

    def test_disabled(self):
        """cache-disabled-key"""
        self.kms.disable_key(KeyId=self.key)
        self.refused(self.alice, "DisabledException")
        self.kms.enable_key(KeyId=self.key)
        self.warm(self.alice)

    def test_disabled_by_another_process(self):
        """cache-disabled-in-database: and enabled there."""
        for state, check in (("Disabled", lambda: self.refused(
                self.alice, "DisabledException")),
                             ("Enabled", lambda: self.warm(self.alice))):
            self.server.sql("UPDATE kms_key SET state = ?"
                            " WHERE key_id = ?", state, self.key)
            check()

    def test_pending_deletion(self):
        """cache-key-pending-deletion"""
        self.kms.schedule_key_deletion(KeyId=self.key)
        self.refused(self.alice, "KMSInvalidStateException")

    def test_rotated(self):
        """cache-rotated-key: new material at once, and the old one still."""
        body = {"KeyId": self.key, "Plaintext": b64(b"y")}
        before = self.alice.call("Encrypt", body).json["CiphertextBlob"]
        self.assertEqual(200, self.alice.call(
            "RotateKeyOnDemand", {"KeyId": self.key}).status)
        after = [self.alice.call("Encrypt", body).json["CiphertextBlob"]
                 for _ in range(MANY)]
        used = {self.alice.call("Decrypt", {"CiphertextBlob": blob}).json[
            "KeyMaterialId"] for blob in after}
        was = self.alice.call("Decrypt", {"CiphertextBlob": before}).json[
            "KeyMaterialId"]
        self.assertEqual(1, len(used))
        self.assertNotIn(was, used)
        self.warm(self.alice)

    def test_material_that_is_gone(self):
        """cache-erased-material: by another process, in the database."""
        self.server.sql("UPDATE material SET sealed = x''"
                        " WHERE key_id = ?", self.key)
        self.refused(self.alice, "InvalidCiphertextException")

    def test_subkey_that_is_gone(self):
        """cache-shredded-subkey"""
        self.server.sql("DELETE FROM subkey WHERE key_id = ?", self.key,
                        database="subkeys.db")
        self.refused(self.alice, "InvalidCiphertextException")

    def test_alias_that_has_moved(self):
        """cache-moved-alias"""
        self.kms.create_alias(AliasName="alias/moves", TargetKeyId=self.key)
        body = {"KeyId": "alias/moves", "Plaintext": b64(b"y")}
        for _ in range(MANY):
            self.assertEqual(self.arn, self.alice.call(
                "Encrypt", body).json["KeyId"])
        other = self.kms.create_key()["KeyMetadata"]
        self.kms.update_alias(AliasName="alias/moves",
                              TargetKeyId=other["KeyId"])
        for _ in range(MANY):
            self.assertEqual(other["Arn"], self.alice.call(
                "Encrypt", body).json["KeyId"])
        self.server.sql("UPDATE alias SET key_id = ? WHERE name = ?",
                        self.key, "alias/moves")
        for _ in range(MANY):
            self.assertEqual(self.arn, self.alice.call(
                "Encrypt", body).json["KeyId"])


if __name__ == "__main__":
    tap.main()
