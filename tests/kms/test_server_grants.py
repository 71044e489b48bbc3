#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Grants on keys: what they say, their tokens, who ends them, their limits."""
import json

from server_fixture import ACCOUNT, ServerCase, b64, key_arn
from server_people import Person, identity
from test_server_sts import trust
import tap

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
ABSENT = "12345678-1234-1234-1234-123456789012"
BEFORE = "1 validation error detected: Value"
AFTER = "failed to satisfy constraint: Member must"
OPERATIONS = """Decrypt Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext
ReEncryptFrom ReEncryptTo CreateGrant RetireGrant DescribeKey
GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext Sign Verify
GetPublicKey GenerateMac VerifyMac DeriveSharedSecret""".split()
DRY_RUN = ("DryRunOperationException",
           "The request would have succeeded, but the DryRun option is set.")


def subset(**pairs):
    return {"EncryptionContextSubset": pairs}


def equals(**pairs):
    return {"EncryptionContextEquals": pairs}


class GrantCase(ServerCase):
    def grant(self, key, operations=("Decrypt",), grantee=ADMIN, **more):
        """The answer of a CreateGrant that must succeed."""
        answer = self.server.call("CreateGrant", {
            "KeyId": key, "GranteePrincipal": grantee,
            "Operations": list(operations), **more})
        self.assertEqual((200, None), (answer.status, answer.code),
                         answer.body)
        return answer.json

    def listed(self, key, **more):
        return self.kms.list_grants(KeyId=key, **more)["Grants"]

    def answers(self, code, message, operation, body, **how):
        answer = self.server.call(operation, body, **how)
        self.assertEqual(code, answer.code, answer.body)
        if message is not None:
            self.assertEqual(message, answer.message)


class Making(GrantCase):
    def test_a_grant_is_listed_as_it_was_made(self):
        key, arn = self.new_key()
        made = self.grant(arn, ["Decrypt", "DescribeKey", "Decrypt"],
                          RetiringPrincipal=ADMIN, Name="mine:/_-",
                          Constraints=subset(a="b", c="d"))
        self.assertRegex(made["GrantId"], "^[0-9a-f]{64}$")
        self.assertEqual({"GrantId", "GrantToken"}, set(made))
        listed = self.server.call("ListGrants", {"KeyId": key}).json
        self.assertFalse(listed["Truncated"])
        entry, = listed["Grants"]
        entry.pop("CreationDate")
        self.assertEqual(
            {"KeyId": arn, "GrantId": made["GrantId"], "Name": "mine:/_-",
             "GranteePrincipal": ADMIN, "RetiringPrincipal": ADMIN,
             "IssuingAccount": f"arn:aws:iam::{ACCOUNT}:root",
             "Operations": ["Decrypt", "DescribeKey"],
             "Constraints": subset(a="b", c="d")}, entry)

    def test_what_is_absent_is_not_listed(self):
        key, _ = self.new_key()
        self.grant(key)
        entry, = self.server.call("ListGrants", {"KeyId": key}).json["Grants"]
        self.assertEqual({"KeyId", "GrantId", "CreationDate", "Operations",
                          "GranteePrincipal", "IssuingAccount"}, set(entry))

    def test_same_name_and_parameters_are_the_same_grant(self):
        """grants-name-makes-a-repeated-call-idempotent"""
        key, _ = self.new_key()
        how = {"Name": "n", "RetiringPrincipal": ADMIN,
               "Constraints": equals(a="b")}
        first = self.grant(key, **how)
        again = self.grant(key, **how)
        self.assertEqual(first["GrantId"], again["GrantId"])
        self.assertNotEqual(first["GrantToken"], again["GrantToken"])
        others = [self.grant(key, **{**how, **change}) for change in (
            {"Name": "m"}, {"Constraints": equals(a="c")},
            {"Constraints": subset(a="b")}, {"RetiringPrincipal": None},
            {"operations": ["Encrypt"]})]
        ids = {g["GrantId"] for g in others}
        self.assertEqual(5, len(ids))
        self.assertNotIn(first["GrantId"], ids)
        self.assertEqual(6, len(self.listed(key)))

    def test_without_a_name_each_call_makes_one(self):
        key, _ = self.new_key()
        self.assertNotEqual(self.grant(key)["GrantId"],
                            self.grant(key)["GrantId"])

    def test_validation(self):
        key, _ = self.new_key()
        good = {"KeyId": key, "GranteePrincipal": ADMIN,
                "Operations": ["Decrypt"]}
        for change, text in (
                ({"KeyId": None}, f"{BEFORE} null at 'keyId' {AFTER} not be null"),
                ({"GranteePrincipal": None}, f"{BEFORE} null at 'granteePrincipal' {AFTER} not be null"),
                ({"GranteePrincipal": "x" * 257}, f"{BEFORE} '{'x' * 257}' at 'granteePrincipal' {AFTER} have length less than or equal to 256"),
                ({"Operations": None}, f"{BEFORE} null at 'operations' {AFTER} not be null"),
                ({"Operations": []}, f"{BEFORE} '[]' at 'operations' {AFTER} have length greater than or equal to 1"),
                ({"Operations": ["ListKeys"]}, f"{BEFORE} '[ListKeys]' at 'operations' {AFTER} satisfy constraint: [Member must satisfy enum value set: [{', '.join(OPERATIONS)}]]"),
                ({"Operations": ["CreateGrant"]}, "Grants must not contain only the CreateGrant operation."),
                ({"Operations": ["Decrypt", "Sign"]}, "Operation Sign is not valid for key spec SYMMETRIC_DEFAULT."),
                ({"Name": "a b"}, f"{BEFORE} 'a b' at 'name' {AFTER} satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"),
                ({"Name": ""}, f"{BEFORE} '' at 'name' {AFTER} have length greater than or equal to 1"),
                ({"Name": "x" * 257}, f"{BEFORE} '{'x' * 257}' at 'name' {AFTER} have length less than or equal to 256"),
                ({"Constraints": {**equals(a="b"), **subset(a="b")}},
                 "Specify either EncryptionContextEquals or EncryptionContextSubset as the grant constraint, not both."),
                ({"Constraints": equals(**{f"k{i}": "" for i in range(9)})},
                 "A grant constraint has at most 8 encryption context pairs, of at most 384 characters each."),
                ({"Constraints": subset(a="x" * 385)},
                 "A grant constraint has at most 8 encryption context pairs, of at most 384 characters each.")):
            self.answers("ValidationException", text, "CreateGrant",
                         {**good, **change})
        for change in ({"Operations": "Decrypt"}, {"Operations": [1]},
                       {"Constraints": []}, {"Constraints": equals(a=1)},
                       {"Constraints": {"EncryptionContextSubset": "x"}},
                       {"Name": 1}, {"DryRun": "yes"}):
            self.answers("SerializationException", "", "CreateGrant",
                         {**good, **change})
        for change in ({"GranteeServicePrincipal": "ec2.amazonaws.com"},
                       {"RetiringServicePrincipal": "ec2.amazonaws.com"},
                       {"Constraints": {"SourceArn": "arn:aws:s3:::b"}}):
            self.answers("UnsupportedOperationException",
                         "This server does not offer grants to service principals.",
                         "CreateGrant", {**good, **change})
        self.assertEqual([], self.listed(key))

    def test_principals_must_exist(self):
        key, _ = self.new_key()
        for arn in (f"arn:aws:iam::{ACCOUNT}:user/nobody",
                    f"arn:aws:iam::{ACCOUNT}:role/nobody",
                    f"arn:aws:sts::{ACCOUNT}:assumed-role/nobody/s",
                    f"arn:aws:iam::999988887777:user/administrator",
                    "arn:aws:iam::1:user/x", "arn:aws:s3:::bucket",
                    "administrator", "*", f"{ADMIN}*"):
            text = f"ARN does not refer to a valid principal: {arn}"
            for change in ({"GranteePrincipal": arn},
                           {"RetiringPrincipal": arn}):
                self.answers("InvalidArnException", text, "CreateGrant", {
                    "KeyId": key, "GranteePrincipal": ADMIN,
                    "Operations": ["Decrypt"], **change})

    def test_keys(self):
        for key, code, text in (
                ("alias/envelope", "NotFoundException",
                 "Invalid keyId 'alias/envelope'"),
                (ABSENT, "NotFoundException",
                 f"Key '{key_arn(ABSENT)}' does not exist"),
                (key_arn(ABSENT, account="999988887777"),
                 "AccessDeniedException", None)):
            self.answers(code, text, "CreateGrant", {
                "KeyId": key, "GranteePrincipal": ADMIN,
                "Operations": ["Decrypt"]})

    def test_dry_run_changes_nothing(self):
        """grants-dry-run-of-create-retire-and-revoke"""
        key, arn = self.new_key()
        made = self.grant(key)
        for op, body in (
                ("CreateGrant", {"KeyId": key, "GranteePrincipal": ADMIN,
                                 "Operations": ["Encrypt"]}),
                ("RetireGrant", {"GrantToken": made["GrantToken"]}),
                ("RetireGrant", {"KeyId": arn, "GrantId": made["GrantId"]}),
                ("RevokeGrant", {"KeyId": key, "GrantId": made["GrantId"]})):
            self.answers(*DRY_RUN, op, {**body, "DryRun": True})
            self.assertEqual([made["GrantId"]],
                             [g["GrantId"] for g in self.listed(key)])
        self.answers("NotFoundException", None, "RevokeGrant", {
            "KeyId": key, "GrantId": "0" * 64, "DryRun": True})

    def test_limit(self):
        """grants-fifty-thousand-per-key"""
        key, arn = self.new_key()
        first = self.grant(key)
        self.server.sql(
            "INSERT INTO kms_grant (region, key_id, grant_id, account,"
            " issuer, name, grantee, grantee_uid, retiring, retiring_uid,"
            " anchor, operations, constraint_kind, pairs, created_ms)"
            " SELECT region, key_id, printf('%064x', n.value), account,"
            " issuer, name, grantee, grantee_uid, retiring, retiring_uid,"
            " printf('%032x', n.value), operations, 1,"
            " '{\"n\":\"' || n.value || '\"}', created_ms FROM kms_grant g,"
            " (WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value"
            " + 1 FROM c WHERE value < 49999) SELECT value FROM c) n"
            " WHERE g.grant_id = ?", first["GrantId"])
        body = {"KeyId": key, "GranteePrincipal": ADMIN,
                "Operations": ["Decrypt"]}
        self.answers("LimitExceededException",
                     f"{arn} has 50000 grants, which is the limit.",
                     "CreateGrant", body)
        self.kms.revoke_grant(KeyId=key, GrantId=f"{7:064x}")
        self.grant(key)
        self.answers("LimitExceededException", None, "CreateGrant", body)
        self.assertEqual(100, len(self.listed(key, Limit=100)))
        self.kms.schedule_key_deletion(KeyId=key)
        self.server.sql("UPDATE kms_key SET deletion_ms = 1 WHERE key_id = ?",
                        key)
        self.server.restart()
        type(self).kms = self.server.client()
        self.assertEqual([(0, 0)], self.server.sql(
            "SELECT (SELECT count(*) FROM kms_grant WHERE key_id = ?1),"
            " (SELECT count(*) FROM kms_grant_count WHERE key_id = ?1)",
            key))


class Listing(GrantCase):
    def test_pages_of_one(self):
        key, _ = self.new_key()
        ids = sorted(self.grant(key)["GrantId"] for _ in range(4))
        for op, body in (("ListGrants", {"KeyId": key}),
                         ("ListGrants", {"KeyId": key,
                                         "GranteePrincipal": ADMIN})):
            found, marker = [], {}
            for more in (True, True, True, False):
                page = self.server.call(op, {**body, "Limit": 1,
                                             **marker}).json
                self.assertEqual(more, page["Truncated"])
                self.assertEqual(more, "NextMarker" in page)
                marker = {"Marker": page.get("NextMarker")}
                found += [g["GrantId"] for g in page["Grants"]]
            self.assertEqual(ids, found)

    def test_filters(self):
        key, arn = self.new_key()
        one, two = (self.grant(key)["GrantId"] for _ in "12")
        for name in (key, arn):
            self.assertEqual([two], [g["GrantId"] for g in self.listed(
                name, GrantId=two)])
        self.assertEqual([], self.listed(key, GrantId="0" * 64))
        self.assertEqual([], self.listed(
            key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:user/other"))
        self.assertEqual([], self.listed(
            key, GrantId=one,
            GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:user/other"))
        self.assertEqual(2, len(self.listed(key, GranteePrincipal=ADMIN)))

    def test_deleted_principals(self):
        """grants-show-who-was-deleted-by-unique-id"""
        gone, kept = Person(self.server, "gone"), Person(self.server, "kept")
        identity(self.server, "create-role", "away", "--trust", "-",
                 text=trust(ACCOUNT))
        role = f"arn:aws:iam::{ACCOUNT}:role/away"
        key, _ = self.new_key()
        made = self.grant(key, grantee=gone.arn, RetiringPrincipal=kept.arn)
        session = role.replace(":iam:", ":sts:").replace(
            "role/", "assumed-role/") + "/i-1"
        self.grant(key, grantee=session, RetiringPrincipal=role)

        def shown():
            return {(g["GranteePrincipal"], g["RetiringPrincipal"])
                    for g in self.listed(key)}

        self.assertEqual({(gone.arn, kept.arn), (session, role)}, shown())
        ids, = self.server.sql("SELECT (SELECT user_id FROM user WHERE name ="
                               " 'gone'), (SELECT role_id FROM role)")
        identity(self.server, "delete-user", "gone")
        identity(self.server, "delete-role", "away")
        dead = {(ids[0], kept.arn), (f"{ids[1]}:i-1", ids[1])}
        self.assertEqual(dead, shown())
        Person(self.server, "gone")
        self.assertEqual(dead, shown())
        entry, = self.listed(key, GrantId=made["GrantId"])
        self.assertEqual(ids[0], entry["GranteePrincipal"])
        self.assertEqual([ids[0]], [
            g["GranteePrincipal"] for g in self.kms.list_retirable_grants(
                RetiringPrincipal=kept.arn)["Grants"]])

    def test_retirable_over_all_keys(self):
        me = f"arn:aws:iam::{ACCOUNT}:user/administrator"
        made = []
        for _ in range(2):
            key, arn = self.new_key()
            made.append((self.grant(key, RetiringPrincipal=me)["GrantId"],
                         arn))
            self.grant(key)
        found, marker = [], {}
        while True:
            page = self.server.call("ListRetirableGrants", {
                "RetiringPrincipal": me, "Limit": 1, **marker}).json
            found += [(g["GrantId"], g["KeyId"]) for g in page["Grants"]]
            self.assertEqual(1, len(page["Grants"]))
            if not page["Truncated"]:
                break
            marker = {"Marker": page["NextMarker"]}
        self.assertLessEqual(set(made), set(found))
        self.assertEqual(sorted(found), found)

    def test_mistakes(self):
        key, _ = self.new_key()
        call = self.answers
        call("InvalidGrantIdException", "", "ListGrants",
             {"KeyId": key, "GrantId": "x"})
        call("ValidationException", None, "ListGrants",
             {"KeyId": key, "GrantId": "x" * 129})
        for op, body in (("ListGrants", {"KeyId": key}),
                         ("ListRetirableGrants",
                          {"RetiringPrincipal": ADMIN})):
            for limit, word in ((0, "greater than or equal to 1"),
                                (101, "less than or equal to 100")):
                call("ValidationException",
                     f"{BEFORE} '{limit}' at 'limit' {AFTER} have value {word}",
                     op, {**body, "Limit": limit})
            for marker in ("x", b64(b"key:a")):
                call("InvalidMarkerException", "", op,
                     {**body, "Marker": marker})
        call("ValidationException",
             f"{BEFORE} null at 'retiringPrincipal' {AFTER} not be null",
             "ListRetirableGrants", {})
        call("InvalidArnException",
             "ARN does not refer to a valid principal: x",
             "ListRetirableGrants", {"RetiringPrincipal": "x"})
        other = "arn:aws:iam::999988887777:user/x"
        call("AccessDeniedException", f"User: {ADMIN} is not authorized to perform: kms:ListRetirableGrants on resource: {other} because no resource-based policy allows the kms:ListRetirableGrants action",
             "ListRetirableGrants", {"RetiringPrincipal": other})


class Ending(GrantCase):
    def test_revoke(self):
        key, arn = self.new_key()
        other, _ = self.new_key()
        made = self.grant(key)
        gone = "NotFoundException", f"Grant ID {made['GrantId']} not found"
        self.answers(*gone, "RevokeGrant",
                     {"KeyId": other, "GrantId": made["GrantId"]})
        answer = self.server.call("RevokeGrant", {
            "KeyId": arn, "GrantId": made["GrantId"]})
        self.assertEqual((200, b""), (answer.status, answer.body))
        self.assertEqual([], self.listed(key))
        self.answers(*gone, "RevokeGrant",
                     {"KeyId": key, "GrantId": made["GrantId"]})
        self.answers("InvalidGrantIdException", "", "RevokeGrant",
                     {"KeyId": key, "GrantId": "A" * 64})
        self.answers("ValidationException",
                     f"{BEFORE} null at 'grantId' {AFTER} not be null",
                     "RevokeGrant", {"KeyId": key})

    def test_retire_by_each_name(self):
        key, arn = self.new_key()
        for by in (lambda g: {"GrantToken": g["GrantToken"]},
                   lambda g: {"KeyId": arn, "GrantId": g["GrantId"]},
                   lambda g: {"KeyId": key, "GrantId": g["GrantId"]}):
            made = self.grant(key)
            answer = self.server.call("RetireGrant", by(made))
            self.assertEqual((200, b""), (answer.status, answer.body))
            self.assertEqual([], self.listed(key))
            code = ("InvalidGrantTokenException" if "GrantToken" in by(made)
                    else "NotFoundException")
            self.answers(code, None, "RetireGrant", by(made))

    def test_retire_needs_one_name(self):
        key, arn = self.new_key()
        made = self.grant(key)
        text = "Specify either a grant token, or a key ID and a grant ID."
        for body in ({}, {"KeyId": arn}, {"GrantId": made["GrantId"]},
                     {**made, "KeyId": arn},
                     {"KeyId": arn, "GrantToken": made["GrantToken"]}):
            self.answers("ValidationException", text, "RetireGrant", body)
        self.answers("InvalidGrantIdException", "", "RetireGrant",
                     {"KeyId": arn, "GrantId": "x"})
        self.answers("NotFoundException", f"Grant ID {'0' * 64} not found",
                     "RetireGrant", {"KeyId": arn, "GrantId": "0" * 64})
        self.answers("NotFoundException", None, "RetireGrant",
                     {"KeyId": key_arn(key, region="eu-west-1"),
                      "GrantId": made["GrantId"]})
        self.answers("AccessDeniedException", None, "RetireGrant",
                     {"KeyId": key_arn(key, account="999988887777"),
                      "GrantId": made["GrantId"]})
        self.assertEqual(1, len(self.listed(key)))

    def test_grants_die_with_their_key(self):
        key, _ = self.new_key()
        made = self.grant(key)
        self.kms.schedule_key_deletion(KeyId=key)
        self.assertEqual(1, len(self.listed(key)))
        self.server.sql("UPDATE kms_key SET deletion_ms = 1 WHERE key_id = ?",
                        key)
        self.server.restart()
        type(self).kms = self.server.client()
        self.assertEqual([], self.server.sql(
            "SELECT * FROM kms_grant WHERE key_id = ?", key))
        self.answers("InvalidGrantTokenException", "", "RetireGrant",
                     {"GrantToken": made["GrantToken"]})

    def test_grants_survive_a_restart(self):
        key, _ = self.new_key()
        made = self.grant(key)
        self.server.restart()
        type(self).kms = self.server.client()
        self.assertEqual([made["GrantId"]],
                         [g["GrantId"] for g in self.listed(key)])
        self.kms.retire_grant(GrantToken=made["GrantToken"])


class Tokens(GrantCase):
    def test_tokens_are_taken_everywhere(self):
        """grants-tokens-of-every-operation-that-knows-them"""
        key, _ = self.new_key()
        made = self.grant(key)
        blob = self.server.call("Encrypt", {
            "KeyId": key, "Plaintext": "eA=="}).json["CiphertextBlob"]
        token = made["GrantToken"]
        flipped = ("B" if token[9] != "B" else "C")
        bad = (token[:9] + flipped + token[10:], token[:-4], "x",
               b64(b"x" * 200), "x" * 8192)
        for op, body in (
                ("Encrypt", {"KeyId": key, "Plaintext": "eA=="}),
                ("Decrypt", {"CiphertextBlob": blob}),
                ("ReEncrypt", {"CiphertextBlob": blob,
                               "DestinationKeyId": key}),
                ("GenerateDataKey", {"KeyId": key, "NumberOfBytes": 64}),
                ("GenerateDataKeyWithoutPlaintext",
                 {"KeyId": key, "NumberOfBytes": 64}),
                ("DescribeKey", {"KeyId": key}),
                ("CreateGrant", {"KeyId": key, "GranteePrincipal": ADMIN,
                                 "Operations": ["Decrypt"]})):
            answer = self.server.call(op, {**body, "GrantTokens": [token]})
            self.assertEqual(200, answer.status, (op, answer.body))
            for wrong in bad:
                self.answers("InvalidGrantTokenException", "", op,
                             {**body, "GrantTokens": [token, wrong]})
        self.kms.revoke_grant(KeyId=key, GrantId=made["GrantId"])
        self.answers("InvalidGrantTokenException", "", "DescribeKey",
                     {"KeyId": key, "GrantTokens": [token]})

    def test_tokens_of_one_grant_are_alike(self):
        key, _ = self.new_key()
        tokens = {self.grant(key, Name="n")["GrantToken"] for _ in range(3)}
        self.assertEqual(3, len(tokens))
        self.kms.describe_key(KeyId=key, GrantTokens=list(tokens))
        self.kms.retire_grant(GrantToken=tokens.pop())
        for token in tokens:
            self.answers("InvalidGrantTokenException", "", "RetireGrant",
                         {"GrantToken": token})

    def test_tokens_are_in_no_record_and_no_table(self):
        key, _ = self.new_key()
        token = self.grant(key)["GrantToken"]
        self.kms.describe_key(KeyId=key, GrantTokens=[token])
        self.kms.retire_grant(GrantToken=token)
        for path in self.server.dir.rglob("*"):
            if path.is_file():
                self.assertNotIn(token.encode(), path.read_bytes(), path)


class Use(GrantCase):
    """The caller has a policy for all but what his grants must give."""

    def setUp(self):
        self.key, self.arn = self.new_key()
        self.plain = {"KeyId": self.key, "Plaintext": "eA=="}
        self.context = {"volume": "vol-1", "generation": "1"}
        self.blob = self.server.call("Encrypt", {
            **self.plain,
            "EncryptionContext": self.context}).json["CiphertextBlob"]
        self.ask = {"CiphertextBlob": self.blob, "KeyId": self.key,
                    "EncryptionContext": self.context}

    def policy(self, *lacking, deny=()):
        """Replaces the key's policy; no word of the account's policies."""
        statements = [{"Effect": "Allow", "Principal": {"AWS": ADMIN},
                       "NotAction": [f"kms:{a}" for a in lacking],
                       "Resource": "*"}]
        if deny:
            statements.append({"Effect": "Deny", "Principal": {"AWS": "*"},
                               "Action": [f"kms:{a}" for a in deny],
                               "Resource": "*"})
        self.kms.put_key_policy(
            KeyId=self.key, PolicyName="default", Policy=json.dumps(
                {"Version": "2012-10-17", "Statement": statements}))

    def denied(self, operation, body):
        self.answers("AccessDeniedException", None, operation, body)

    def granted(self, operation, body):
        answer = self.server.call(operation, body)
        self.assertEqual(200, answer.status, (operation, answer.body))
        return answer.json

    def test_a_grant_gives_what_policies_do_not(self):
        """emulators-row-03-grants-are-evaluated-not-only-stored"""
        self.policy("Decrypt")
        self.denied("Decrypt", self.ask)
        self.grant(self.key, ["Encrypt", "DescribeKey"])
        self.denied("Decrypt", self.ask)
        made = self.grant(self.key, ["Decrypt"])
        self.granted("Decrypt", self.ask)
        self.granted("Decrypt", {**self.ask, "KeyId": None})
        self.kms.revoke_grant(KeyId=self.key, GrantId=made["GrantId"])
        self.denied("Decrypt", self.ask)

    def test_subset(self):
        """grants-subset-constraint-against-the-calls-context"""
        self.policy("Decrypt", "Encrypt", "GenerateDataKey*")
        self.grant(self.key, ["Decrypt", "Encrypt", "GenerateDataKey",
                              "GenerateDataKeyWithoutPlaintext"],
                   Constraints=subset(volume="vol-1"))
        self.granted("Decrypt", self.ask)
        self.answers("InvalidCiphertextException", "", "Decrypt", {
            **self.ask, "EncryptionContext": {"volume": "vol-1"}})
        calls = (("Encrypt", self.plain),
                 ("GenerateDataKey", {"KeyId": self.key,
                                      "NumberOfBytes": 64}),
                 ("GenerateDataKeyWithoutPlaintext",
                  {"KeyId": self.arn, "NumberOfBytes": 64}))
        for op, body in calls:
            for good in ({"volume": "vol-1"}, self.context):
                self.granted(op, {**body, "EncryptionContext": good})
            for bad in ({}, None, {"volume": "vol-2"}, {"Volume": "vol-1"},
                        {"generation": "1"}):
                self.denied(op, {**body, "EncryptionContext": bad})

    def test_equals(self):
        """grants-equals-constraint-against-the-calls-context"""
        self.policy("Decrypt", "Encrypt")
        self.grant(self.key, ["Decrypt", "Encrypt"],
                   Constraints={"EncryptionContextEquals": self.context})
        self.granted("Decrypt", self.ask)
        self.granted("Encrypt", {**self.plain, "EncryptionContext": {
            "generation": "1", "volume": "vol-1"}})
        for bad in ({}, {"volume": "vol-1"}, {**self.context, "more": "1"}):
            self.denied("Encrypt", {**self.plain, "EncryptionContext": bad})

    def test_constraint_is_ignored_where_there_is_no_context(self):
        self.policy("DescribeKey", "RetireGrant")
        self.denied("DescribeKey", {"KeyId": self.key})
        made = self.grant(self.key, ["DescribeKey", "RetireGrant"],
                          Constraints=equals(a="b"))
        self.granted("DescribeKey", {"KeyId": self.key})
        self.granted("RetireGrant", {"GrantToken": made["GrantToken"]})
        self.denied("DescribeKey", {"KeyId": self.key})

    def test_denial_beats_grants(self):
        """grants-an-explicit-deny-beats-them"""
        self.grant(self.key, ["Decrypt"])
        self.policy(deny=["Decrypt"])
        self.answers("AccessDeniedException", f"User: {ADMIN} is not authorized to perform: kms:Decrypt on resource: {self.arn} with an explicit deny in a resource-based policy",
                     "Decrypt", self.ask)

    def test_reencrypt_is_two_operations(self):
        """grants-reencrypt-from-and-to-each-with-its-context"""
        self.policy("ReEncrypt*")
        body = {"CiphertextBlob": self.blob, "DestinationKeyId": self.key,
                "SourceEncryptionContext": self.context,
                "DestinationEncryptionContext": {"to": "there"}}
        self.denied("ReEncrypt", body)
        self.grant(self.key, ["ReEncryptFrom"],
                   Constraints=subset(volume="vol-1"))
        self.denied("ReEncrypt", body)
        self.grant(self.key, ["ReEncryptTo"], Constraints=equals(to="there"))
        self.granted("ReEncrypt", body)
        self.denied("ReEncrypt", {
            **body, "DestinationEncryptionContext": self.context})
        self.denied("ReEncrypt", {**body, "SourceEncryptionContext":
                                  {"to": "there"}})

    def test_children(self):
        """grants-beget-only-what-is-no-stronger"""
        self.grant(self.key, ["CreateGrant", "Decrypt"],
                   Constraints=subset(volume="vol-1"))
        self.policy("CreateGrant")
        ask = {"KeyId": self.key, "GranteePrincipal": ADMIN,
               "Operations": ["Decrypt"]}
        for constraints in (None, subset(), subset(volume="vol-2"),
                            equals(), equals(generation="1")):
            self.denied("CreateGrant", {**ask, "Constraints": constraints})
        self.denied("CreateGrant", {
            **ask, "Operations": ["Decrypt", "Encrypt"],
            "Constraints": subset(volume="vol-1")})
        for constraints in (subset(volume="vol-1"), subset(**self.context),
                            equals(**self.context)):
            self.granted("CreateGrant", {**ask, "Constraints": constraints})

    def test_who_may_retire_and_revoke(self):
        """grants-retire-is-for-its-principals-revoke-for-policies"""
        plain = self.grant(self.key)
        mine = self.grant(self.key, RetiringPrincipal=ADMIN)
        used = self.grant(self.key, ["Decrypt", "RetireGrant"])
        self.policy("RetireGrant", "RevokeGrant")
        for made in (plain, mine, used):
            self.denied("RevokeGrant", {"KeyId": self.key,
                                        "GrantId": made["GrantId"]})
        self.denied("RetireGrant", {"GrantToken": plain["GrantToken"]})
        self.denied("RetireGrant", {"KeyId": self.arn,
                                    "GrantId": plain["GrantId"]})
        self.denied("RetireGrant", {"KeyId": self.arn, "GrantId": "0" * 64})
        self.granted("RetireGrant", {"GrantToken": mine["GrantToken"]})
        self.granted("RetireGrant", {"KeyId": self.arn,
                                     "GrantId": used["GrantId"]})
        self.assertEqual([plain["GrantId"]],
                         [g["GrantId"] for g in self.listed(self.key)])

    def test_null_constraint_is_none_for_policies(self):
        """grants-policy-on-constraints-is-not-fooled-by-empty-ones"""
        self.kms.put_key_policy(
            KeyId=self.key, PolicyName="default", Policy=json.dumps({
                "Version": "2012-10-17", "Statement": [
                    {"Effect": "Allow", "Principal": {"AWS": ADMIN},
                     "NotAction": "kms:CreateGrant", "Resource": "*"},
                    {"Effect": "Allow", "Principal": {"AWS": ADMIN},
                     "Action": "kms:CreateGrant", "Resource": "*",
                     "Condition": {"Null": {
                         "kms:GrantConstraintType": "false"}}}]}))
        ask = {"KeyId": self.key, "GranteePrincipal": ADMIN,
               "Operations": ["Decrypt"]}
        for constraints in (None, {}, subset(),
                            {"EncryptionContextEquals": None},
                            {"EncryptionContextSubset": None}):
            self.denied("CreateGrant", {**ask, "Constraints": constraints})
        self.granted("CreateGrant", {**ask, "Constraints": subset(a="b")})


class Records(GrantCase):
    def test_records(self):
        """grants-audit-records-of-create-retire-and-revoke"""
        key, arn = self.new_key()
        made = self.grant(key, ["Decrypt", "RetireGrant"], Name="n",
                          RetiringPrincipal=ADMIN,
                          Constraints=equals(VolumeId="v"))
        record = self.server.audit()[-1]
        resources = [{"accountId": ACCOUNT, "type": "AWS::KMS::Key",
                      "ARN": arn}]
        self.assertEqual(
            ({"keyId": key, "granteePrincipal": ADMIN, "name": "n",
              "retiringPrincipal": ADMIN,
              "operations": ["Decrypt", "RetireGrant"],
              "constraints": {"encryptionContextEquals": {"VolumeId": "v"}}},
             {"grantId": made["GrantId"]}, False, resources),
            (record["requestParameters"], record["responseElements"],
             record["readOnly"], record["resources"]))
        self.kms.list_grants(KeyId=key)
        self.assertTrue(self.server.audit()[-1]["readOnly"])
        self.kms.retire_grant(GrantToken=made["GrantToken"])
        record = self.server.audit()[-1]
        self.assertEqual(
            ("RetireGrant", None, None, {"grantId": made["GrantId"]}, False,
             resources),
            (record["eventName"], record["requestParameters"],
             record["responseElements"], record["additionalEventData"],
             record["readOnly"], record["resources"]))
        made = self.grant(key)
        self.kms.revoke_grant(KeyId=key, GrantId=made["GrantId"])
        record = self.server.audit()[-1]
        self.assertEqual(
            ("RevokeGrant", {"keyId": key, "grantId": made["GrantId"]},
             None, False, resources),
            (record["eventName"], record["requestParameters"],
             record["responseElements"], record["readOnly"],
             record["resources"]))


if __name__ == "__main__":
    tap.main()
