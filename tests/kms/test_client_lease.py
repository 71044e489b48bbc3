# SPDX-License-Identifier: GPL-2.0-or-later
"""The question that a lease asks, and what each answer is taken for."""
import json

from client_case import ARN, CONTEXT, DONE, Case
from server_fixture import ACCOUNT, Server
from server_people import Person
from stranger import error, hang_up, not_http, raw, slow
import tap

# The closed list, and what is neither a grant nor silence.
DENIED = ("AccessDeniedException", "DisabledException", "NotFoundException")
ALARM = ("InvalidCiphertextException", "IncorrectKeyException")
UNREACHABLE = (
    "InvalidArnException", "InvalidKeyUsageException",
    "UnrecognizedClientException", "InvalidClientTokenId",
    "InvalidSignatureException", "SignatureDoesNotMatch",
    "IncompleteSignature", "MissingAuthenticationToken",
    "ExpiredTokenException", "RequestExpired", "LimitExceededException",
    "UnsupportedOperationException", "ValidationException", "Unheard")
# Sent again within the time budget first, so once each is enough.
RETRIED = (
    "ThrottlingException", "KMSInternalException",
    "DependencyTimeoutException", "KeyUnavailableException")


class Lease(Case):
    """Against the stranger, who can say anything."""

    def check(self, blob=None, **how):
        return self.call("check", ARN, json.dumps(CONTEXT),
                         blob or self.wrapped(), **how)

    def comes_to(self, answer, result, sentence="^kms-call: key "):
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["answer"], answer, result.stderr)
        if answer == "granted":
            self.assertEqual(result.stderr, "")
        else:
            self.assertEqual(result.stderr.count("\n"), 0, result.stderr)
            self.assertRegex(result.stderr, sentence)

    def operations(self):
        return [call["operation"] for call in self.stranger.calls]

    def test_granted(self):
        """lease check: Decrypt with DryRun, then DescribeKey"""
        self.comes_to("granted", self.check())
        self.assertEqual(self.operations(), ["Decrypt", "DescribeKey"])
        params = self.stranger.calls[0]["params"]
        self.assertIs(params["DryRun"], True)
        self.assertEqual(params["KeyId"], ARN)
        self.assertEqual(params["EncryptionContext"], CONTEXT)
        self.assertNotIn("GrantTokens", params)

    def test_token(self):
        """lease check: a grant token is sent, and may be refused"""
        self.comes_to("granted", self.check(options=["--grant-token", "t0k"]))
        self.assertEqual(self.stranger.calls[0]["params"]["GrantTokens"],
                         ["t0k"])
        self.stranger.misbehave(error("InvalidGrantTokenException"))
        self.comes_to("token refused", self.check(), "grant token")

    def test_denied(self):
        """lease check: denied is a closed list"""
        for code in DENIED:
            with self.subTest(code):
                self.stranger.misbehave(error(code))
                self.comes_to("denied", self.check(), code)

    def test_not_denied(self):
        """lease check: faults of this host and unknown codes deny nothing"""
        for code in UNREACHABLE:
            for status in (400, 403):
                with self.subTest(code, status=status):
                    self.stranger.misbehave(error(code, status=status))
                    self.comes_to("unreachable", self.check(), code)

    def test_retried(self):
        """lease check: throttling and faults of the KMS deny nothing"""
        for code in RETRIED:
            with self.subTest(code):
                self.stranger.misbehave(*[error(code)] * 8)
                self.comes_to("unreachable", self.check(timeout=6000), code)

    def test_alarm(self):
        """lease check: a wrapped key that does not fit is an alarm"""
        for code in ALARM:
            with self.subTest(code):
                self.stranger.misbehave(error(code))
                self.comes_to("alarm", self.check(), code)
        other = self.wrapped(context=dict(CONTEXT, x="y"))
        self.comes_to("alarm", self.check(other), "not this volume's")

    def test_silence(self):
        """lease check: no answer, and answers that are none"""
        page = b"<html>no</html>"
        for fault, sentence in (
                (hang_up, "cannot be reached|did not answer"),
                (not_http, "does not speak HTTPS"),
                (raw(page, 403), "garbage"), (raw(page, 500), "garbage|fault"),
                (raw(b"", 301, {"Location": "https://x"}), "redirect"),
                (slow(6), "did not answer within the time budget")):
            with self.subTest(sentence):
                self.stranger.misbehave(*[fault] * 8)
                self.comes_to("unreachable", self.check(timeout=2500),
                              sentence)

    def test_configuration(self):
        """lease check: what this host does not allow is not asked"""
        result = self.check(config=self.conf(
            allow_keys=ARN[:-1] + ("0" if ARN[-1] != "0" else "1")))
        self.comes_to("unreachable", result, "allow-keys does not cover it")
        self.assertEqual(self.stranger.connections, 0)
        result = self.check(env={"AWS_ACCESS_KEY_ID": None,
                                 "AWS_SECRET_ACCESS_KEY": None})
        self.assertEqual(result.out["answer"], "unreachable")

    def test_states(self):
        """lease check: the state of a key whose DryRun is granted"""
        for state, answer in (
                ("Enabled", "granted"), ("Updating", "granted"),
                ("Disabled", "denied"), ("PendingDeletion", "denied"),
                ("PendingReplicaDeletion", "denied"),
                ("PendingImport", "denied"), ("Unavailable", "unreachable"),
                ("Creating", "unreachable"), ("", "unreachable")):
            def change(body, state=state):
                if "KeyMetadata" in body:
                    body["KeyMetadata"]["KeyState"] = state
                return body
            with self.subTest(state):
                self.stranger.twist_answers(change)
                self.comes_to(answer, self.check(),
                              f"its state is '{state}'")

    def test_invalid_state(self):
        """lease check: KMSInvalidState, by its words or by DescribeKey"""
        code = "KMSInvalidStateException"
        for words in ("is pending deletion.", "is pending import."):
            self.stranger.misbehave(error(code, f"{ARN} {words}"))
            self.comes_to("denied", self.check(), "pending")
        self.stranger.misbehave(error(code, f"{ARN} is odd."),
                                error("AccessDeniedException"))
        self.comes_to("unreachable", self.check(), "in the state it is in")

    def test_describe_denied(self):
        """lease check: who may not DescribeKey is granted by Decrypt alone"""
        self.stranger.misbehave(None, error("AccessDeniedException"))
        self.comes_to("granted", self.check())
        self.stranger.misbehave(None, error("NotFoundException"))
        self.comes_to("denied", self.check(), "does not exist")
        self.stranger.misbehave(None, *[error("ThrottlingException")] * 8)
        self.comes_to("unreachable", self.check(timeout=6000), "too many")

    def test_no_dry_run(self):
        """lease check: a KMS without DryRun; its DEK is wiped at once"""
        self.stranger.operations.dry_run = False
        blob = self.wrapped()
        patterns = [self.dek[:32], self.dek[32:], b"arn:aws:kms:us-east-1:"]
        result = self.check(blob, env={"SCAN": ",".join(
            bytes(b ^ 0x55 for b in p).hex() for p in patterns)})
        self.comes_to("granted", result)
        self.assertEqual(result.out["found"], [len(patterns) - 1])
        self.stranger.twist_answers(
            lambda body: dict(body, KeyId=ARN[:-1] + "0"))
        self.comes_to("alarm", self.check(), "the KeyId of another key")


class OwnLease(Case):
    """Against envelope-kms, as a host that has nothing but a grant."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server()
        cls.addClassCleanup(lambda: cls.server.close())
        cls.kms = cls.server.client()
        cls.host = Person(cls.server, "host")

    def setUp(self):
        super().setUp()
        self.arn = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.blob = self.kms.generate_data_key_without_plaintext(
            KeyId=self.arn, NumberOfBytes=64,
            EncryptionContext=CONTEXT)["CiphertextBlob"].hex()
        self.grant = self.kms.create_grant(
            KeyId=self.arn, GranteePrincipal=self.host.arn,
            Operations=["Decrypt"],
            Constraints={"EncryptionContextSubset": CONTEXT})["GrantId"]

    def check(self, access=None, secret=None):
        config = self.conf(
            endpoint=self.server.endpoint, ca_file=self.server.dir / "ca.pem",
            allow_keys=f"arn:aws:kms:us-east-1:{ACCOUNT}:key/*")
        result = self.call(
            "check", self.arn, json.dumps(CONTEXT), self.blob, config=config,
            env={"AWS_ACCESS_KEY_ID": access or self.host.access,
                 "AWS_SECRET_ACCESS_KEY": secret or self.host.secret})
        self.assertEqual(result.status, DONE, result.stderr)
        return result.out["answer"]

    def test_grant(self):
        """lease check and envelope-kms: granted until the grant is revoked"""
        self.assertEqual(self.check(), "granted")
        self.kms.revoke_grant(KeyId=self.arn, GrantId=self.grant)
        self.assertEqual(self.check(), "denied")

    def test_disabled(self):
        """lease check and envelope-kms: a disabled key, and enabled again"""
        self.kms.disable_key(KeyId=self.arn)
        self.assertEqual(self.check(), "denied")
        self.kms.enable_key(KeyId=self.arn)
        self.assertEqual(self.check(), "granted")

    def test_pending_deletion(self):
        """lease check and envelope-kms: a key that is pending deletion"""
        self.kms.schedule_key_deletion(KeyId=self.arn, PendingWindowInDays=7)
        self.assertEqual(self.check(), "denied")

    def test_administrator(self):
        """lease check and envelope-kms: one who may DescribeKey, too"""
        self.assertEqual(self.check(*self.server.credentials()), "granted")
        self.kms.disable_key(KeyId=self.arn)
        self.assertEqual(self.check(*self.server.credentials()), "denied")

    def test_credentials(self):
        """lease check and envelope-kms: this host's credentials deny nothing"""
        self.assertEqual(self.check("AKIANOBODY", "x"), "unreachable")
        self.assertEqual(self.check(self.host.access, "x"), "unreachable")

    def test_stopped(self):
        """lease check and envelope-kms: stopped, and back again"""
        self.server.stop()
        try:
            self.assertEqual(self.check(), "unreachable")
        finally:
            self.server.start()
            type(self).kms = self.server.client()
        self.assertEqual(self.check(), "granted")


if __name__ == "__main__":
    tap.main()
