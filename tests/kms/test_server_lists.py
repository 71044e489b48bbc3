#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What all lists, and all operations with DryRun, have in common."""
import pathlib

from server_fixture import ACCOUNT, ServerCase, b64
from server_model import SOURCES, operations
from server_people import Person
import tap

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
SERVICES = "This server does not offer grants to service principals."
DRY_RUN = ("DryRunOperationException",
           "The request would have succeeded, but the DryRun option is set.")

# A list, what else it is sent, and its greatest Limit.
LISTS = {
    "ListAliases": ({}, 100),
    "ListGrants": ({"KeyId": "{key}"}, 100),
    "ListKeyPolicies": ({"KeyId": "{key}"}, 1000),
    "ListKeyRotations": ({"KeyId": "{key}"}, 1000),
    "ListKeys": ({}, 1000),
    "ListResourceTags": ({"KeyId": "{key}"}, 50),
    "ListRetirableGrants": ({"RetiringPrincipal": ADMIN}, 100),
}
# An operation that can be tried, and what it is sent.
TRIALS = {
    "CreateGrant": {"KeyId": "{key}", "GranteePrincipal": ADMIN,
                    "Operations": ["Decrypt"]},
    "Decrypt": {"CiphertextBlob": "{blob}"},
    "Encrypt": {"KeyId": "{key}", "Plaintext": "eA=="},
    "GenerateDataKey": {"KeyId": "{key}", "NumberOfBytes": 64},
    "GenerateDataKeyWithoutPlaintext": {"KeyId": "{key}",
                                        "NumberOfBytes": 64},
    "ReEncrypt": {"CiphertextBlob": "{blob}", "DestinationKeyId": "{key}"},
    "RetireGrant": {"KeyId": "{arn}", "GrantId": "{grant}"},
    "RevokeGrant": {"KeyId": "{key}", "GrantId": "{grant}"},
}
# What ends a grant does so whatever the state of its key.
STATELESS = ("RetireGrant", "RevokeGrant")


class Common(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        made = cls.kms.create_key()["KeyMetadata"]
        cls.names = {"{key}": made["KeyId"], "{arn}": made["Arn"]}
        cls.names["{blob}"] = cls.server.call("Encrypt", {
            "KeyId": made["KeyId"], "Plaintext": "eA=="}).json[
                "CiphertextBlob"]
        cls.names["{grant}"] = cls.kms.create_grant(
            KeyId=made["KeyId"], GranteePrincipal=ADMIN,
            Operations=["Decrypt"])["GrantId"]
        cls.nobody = Person(cls.server, "nobody")

    def ask(self, operation, body, **more):
        return self.server.call(operation, {
            **{k: self.names.get(v, v) if isinstance(v, str) else v
               for k, v in body.items()}, **more})

    def answer(self, *args, **more):
        answer = self.ask(*args, **more)
        return answer.code, answer.message

    def check_limits(self, operation, body, most):
        for limit, rule in ((0, "greater than or equal to 1"),
                            (-1, "greater than or equal to 1"),
                            (most + 1, f"less than or equal to {most}")):
            self.assertEqual(
                ("ValidationException", f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value {rule}"),
                self.answer(operation, body, Limit=limit))
        for limit in (1, most):
            self.assertIsNone(self.answer(operation, body, Limit=limit)[0])
        for limit in ("1", 1.5, True):
            self.assertEqual("SerializationException", self.answer(
                operation, body, Limit=limit)[0])

    def check_markers(self, operation, body):
        for marker in ("x", "%%%%", b64(b"x"), b64(b":"), b64(b"other:x"),
                       b64(b"key"), b64(b"key:\0"), b64(b"key:" + b"x" * 600)):
            self.assertEqual(("InvalidMarkerException", ""), self.answer(
                operation, body, Marker=marker), marker)
        for marker in ("", "x" * 1025):
            self.assertEqual("ValidationException", self.answer(
                operation, body, Marker=marker)[0])
        self.assertEqual("SerializationException", self.answer(
            operation, body, Marker=1)[0])

    def check_trial(self, operation, body):
        def grants():
            return self.kms.list_grants(KeyId=self.names["{key}"])["Grants"]
        before = grants()
        self.assertEqual(DRY_RUN, self.answer(operation, body, DryRun=True))
        self.assertEqual(before, grants())
        denied = self.nobody.call(operation, {
            **{k: self.names.get(v, v) if isinstance(v, str) else v
               for k, v in body.items()}, "DryRun": True})
        self.assertEqual("AccessDeniedException", denied.code)
        self.assertEqual("SerializationException", self.answer(
            operation, body, DryRun="true")[0])
        self.kms.disable_key(KeyId=self.names["{key}"])
        code = self.answer(operation, body, DryRun=True)[0]
        self.kms.enable_key(KeyId=self.names["{key}"])
        self.assertEqual(DRY_RUN[0] if operation in STATELESS else
                         "DisabledException", code)

    def test_every_list_has_a_row(self):
        """lists-every-list-has-a-row"""
        self.assertEqual({o for o in operations() if o.startswith("List")},
                         set(LISTS))

    def test_every_trial_has_a_row(self):
        """trials-every-file-that-reads-DryRun-has-rows"""
        files = {p.name for p in pathlib.Path(SOURCES).glob("*.c")
                 if '"DryRun"' in p.read_text()}
        self.assertEqual({"create_grant.c", "datakey.c", "encrypt.c",
                          "end_grant.c"}, files)

    def test_service_principals(self):
        """lists-filters-that-are-not-offered-are-refused"""
        for operation, member in (
                ("ListGrants", "GranteeServicePrincipal"),
                ("ListRetirableGrants", "RetiringServicePrincipal")):
            body = LISTS[operation][0]
            self.assertEqual(
                ("UnsupportedOperationException", SERVICES),
                self.answer(operation, body, **{member: "ec2.amazonaws.com"}))
        self.assertEqual(
            ("UnsupportedOperationException", SERVICES),
            self.answer("ListRetirableGrants",
                        {"RetiringServicePrincipal": "ec2.amazonaws.com"}))


def add_tests():
    """One test a row, named by it."""
    for operation, (body, most) in LISTS.items():
        def limits(self, operation=operation, body=body, most=most):
            self.check_limits(operation, body, most)
        limits.__doc__ = f"lists-{operation}-takes-1-to-{most}"
        setattr(Common, f"test_limits_{operation}", limits)

        def markers(self, operation=operation, body=body):
            self.check_markers(operation, body)
        markers.__doc__ = f"lists-{operation}-refuses-markers-of-others"
        setattr(Common, f"test_markers_{operation}", markers)
    for operation, body in TRIALS.items():
        def trial(self, operation=operation, body=body):
            self.check_trial(operation, body)
        trial.__doc__ = f"trials-{operation}-changes-nothing"
        setattr(Common, f"test_trial_{operation}", trial)


add_tests()

if __name__ == "__main__":
    tap.main()
