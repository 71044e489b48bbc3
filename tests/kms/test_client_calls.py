# SPDX-License-Identifier: GPL-2.0-or-later
"""The client's calls as a stranger's KMS understands them."""
import base64
import datetime
import hashlib
import json

from client_case import (ARN, CONTEXT, DENIED, DONE, KEY_ID, SECRET,
                         TAMPERED, UNREACHABLE, USAGE, Case)
from stranger import ALIAS, KEY_ID as KMS_KEY_ID, OTHER_ARN, REGION, error
import tap


class Calls(Case):
    def test_decrypt(self):
        """client: Decrypt gives the DEK that a stranger wrapped"""
        result = self.decrypt()
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["dek_sha256"],
                         hashlib.sha256(self.dek).hexdigest())
        self.assertEqual(result.stderr, "")

    def test_decrypt_body(self):
        """security-08: Decrypt always sends KeyId, with context and blob"""
        self.decrypt()
        params = self.stranger.calls[0]["params"]
        self.assertEqual(sorted(params), ["CiphertextBlob",
                                          "EncryptionContext", "KeyId"])
        self.assertEqual(params["KeyId"], ARN)
        self.assertEqual(params["EncryptionContext"], CONTEXT)

    def test_generate(self):
        """client: GenerateDataKeyWithoutPlaintext asks for 64 bytes"""
        for key in (ARN, KMS_KEY_ID, ALIAS, "-",
                    f"arn:aws:kms:{REGION}:111122223333:{ALIAS}"):
            result = self.call("generate", key, json.dumps(CONTEXT))
            self.assertEqual(result.status, DONE, result.stderr)
            self.assertEqual(result.out["key_arn"], ARN)
            again = self.decrypt(blob=result.out["blob"])
            dek = self.stranger.operations.deks[-1]
            self.assertEqual(len(dek), 64)
            self.assertEqual(again.out["dek_sha256"],
                             hashlib.sha256(dek).hexdigest())

    def test_reencrypt(self):
        """client: ReEncrypt changes key and context, never the DEK"""
        new = dict(CONTEXT, team="storage")
        result = self.call("reencrypt", ARN, json.dumps(CONTEXT),
                           self.wrapped(), "alias/other", json.dumps(new))
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["key_arn"], OTHER_ARN)
        params = self.stranger.calls[0]["params"]
        self.assertEqual(params["SourceKeyId"], ARN)
        again = self.decrypt(OTHER_ARN, new, result.out["blob"])
        self.assertEqual(again.out["dek_sha256"],
                         hashlib.sha256(self.dek).hexdigest())

    def test_describe(self):
        """client: DescribeKey tells ARN, state, usage and spec"""
        self.stranger.keys.state[ARN] = "PendingDeletion"
        result = self.call("describe", ALIAS)
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(
            {k: result.out[k] for k in ("arn", "state", "usage", "spec",
                                        "manager", "enabled")},
            {"arn": ARN, "state": "PendingDeletion", "enabled": False,
             "usage": "ENCRYPT_DECRYPT", "spec": "SYMMETRIC_DEFAULT",
             "manager": "CUSTOMER"})

    def test_session_token(self):
        """client: a session token is sent and signed"""
        token = "FwoGZXIvYXdzEXAMPLE+token/with=signs" * 8
        self.stranger.verifier.add("ASIATEMPORARY", SECRET, token)
        result = self.decrypt(env={"AWS_ACCESS_KEY_ID": "ASIATEMPORARY",
                                   "AWS_SESSION_TOKEN": token})
        self.assertEqual(result.status, DONE, result.stderr)

    def test_connection_reuse(self):
        """client: calls of a session share a connection"""
        self.call("describe", ARN, options=["--times", "3"])
        self.assertEqual(self.stranger.connections, 1)
        self.assertEqual(len(self.stranger.calls), 3)

    def test_fresh_connection(self):
        """security-11: a rehearsal opens a connection of its own"""
        self.call("describe", ARN, options=["--times", "3", "--fresh"])
        self.assertEqual(self.stranger.connections, 3)

    def test_slash_escaped(self):
        r"""client: a Plaintext written with \/ is the same"""
        blob = self.wrapped(b"\xff" * 33 + bytes(31))

        def fault(handler):
            body = json.dumps({"KeyId": ARN, "Plaintext": base64.b64encode(
                self.dek).decode()}).replace("/", "\\/")
            handler.send(200, body.encode())
            return True
        self.stranger.misbehave(fault)
        result = self.decrypt(blob=blob)
        self.assertEqual(result.out.get("dek_sha256"),
                         hashlib.sha256(self.dek).hexdigest())

    def test_unknown_provider(self):
        """client: a provider type that is not known is refused unsent"""
        result = self.call("describe", ARN, options=["--provider", "acme"])
        self.assertEqual(result.status, USAGE)
        self.assertEqual(result.stderr, "kms-call: KMS provider 'acme' is not one this program knows; known are aws-kms, pkcs11, program and vault-transit")
        self.assertEqual(self.stranger.calls, [])


class Refusals(Case):
    """What the KMS may refuse: type, exit status, sentence."""

    def test_other_context(self):
        """client: a wrapped key with another context is denied"""
        result = self.decrypt(context=dict(CONTEXT, x="y"),
                              blob=self.wrapped())
        self.assert_fails(result, DENIED, "InvalidCiphertextException",
                          f"^kms-call: key '{ARN}': KMS {self.stranger.url} refuses Decrypt: the wrapped key is not this volume's or was changed \\(InvalidCiphertextException\\); check that the header belongs to this volume$")

    def test_other_key(self):
        """client: a wrapped key of another KMS key is denied"""
        result = self.decrypt(blob=self.wrapped(arn=OTHER_ARN))
        self.assert_fails(result, DENIED, "IncorrectKeyException",
                          "the wrapped key is another key's")

    def test_disabled(self):
        """client: a disabled key is denied with its own sentence"""
        self.stranger.keys.state[ARN] = "Disabled"
        self.assert_fails(self.decrypt(), DENIED, "DisabledException",
                          "the key is disabled .*; enable the key$")

    def test_pending_deletion(self):
        """client: a key pending deletion is denied with its own sentence"""
        self.stranger.keys.state[ARN] = "PendingDeletion"
        self.assert_fails(self.decrypt(), DENIED, "KMSInvalidStateException",
                          "the key is pending deletion .*; cancel the deletion and enable the key$")

    def test_pending_import(self):
        """client: a key pending import is denied with its own sentence"""
        self.stranger.keys.state[ARN] = "PendingImport"
        self.assert_fails(self.decrypt(), DENIED, "KMSInvalidStateException",
                          "the key has no key material, it is pending import")

    def test_unavailable_state(self):
        """client: a key that is unavailable for now is unreachable"""
        self.stranger.keys.state[ARN] = "Unavailable"
        self.assert_fails(self.decrypt(), UNREACHABLE,
                          "KMSInvalidStateException",
                          "cannot do Decrypt now: the key cannot be used in the state it is in")

    def test_not_found(self):
        """client: a key that does not exist is denied"""
        arn = ARN[:-1] + "f"
        self.assert_fails(self.decrypt(arn), DENIED, "NotFoundException",
                          "the key does not exist there")

    def test_access_denied(self):
        """client: AccessDenied is denied with its own sentence"""
        self.stranger.misbehave(error("AccessDeniedException", "User: x"))
        self.assert_fails(self.decrypt(), DENIED, "AccessDeniedException",
                          "refuses Decrypt: these credentials may not use the key so \\(AccessDeniedException\\); ask the key's owner")

    def test_namespace(self):
        """client: an error type with namespace and URL is understood"""
        self.stranger.misbehave(error(
            "com.amazonaws.kms#DisabledException:http://amazonaws.com/"))
        self.assert_fails(self.decrypt(), DENIED, "DisabledException",
                          "the key is disabled")

    def test_wrong_region(self):
        """client: a KMS of another region refuses with its own sentence"""
        arn = ARN.replace(REGION, "eu-west-1")
        result = self.decrypt(arn, config=self.conf(section="eu-west-1"))
        self.assert_fails(result, DENIED, "InvalidSignatureException",
                          "refuses Decrypt: this KMS is in another region \\(InvalidSignatureException\\); check endpoint and region")

    def test_unknown_code(self):
        """client: an unknown refusal is exit 1 and names the code"""
        self.stranger.misbehave(error("FancyNewException", "secret text"))
        result = self.decrypt()
        self.assert_fails(result, 1, "FancyNewException",
                          "its reason is known to the KMS only \\(FancyNewException\\)")
        self.assertNotIn("secret text", result.stderr)

    def test_unknown_access_key(self):
        """client: an unknown access key is denied and names its source"""
        result = self.decrypt(env={"AWS_ACCESS_KEY_ID": "AKIANOBODY"})
        self.assert_fails(result, DENIED, "UnrecognizedClientException",
                          "refuses the credentials from the environment: the access key is unknown there")

    def test_wrong_secret(self):
        """client: a wrong secret access key is denied"""
        result = self.decrypt(env={"AWS_SECRET_ACCESS_KEY": "wrong"})
        self.assert_fails(result, DENIED, "InvalidSignatureException",
                          "the secret access key is not that of the access key")

    def test_expired_credentials(self):
        """client: expired credentials are exit 4 with their own sentence"""
        self.stranger.verifier.expired.add(KEY_ID)
        self.assert_fails(self.decrypt(), UNREACHABLE,
                          "ExpiredTokenException",
                          "refuses the credentials from the environment: they have expired \\(ExpiredTokenException\\); get fresh ones$")

    def test_clock(self):
        """client: a clock that is off is exit 4 and told from a wrong key"""
        for minutes, word in ((10, "slow"), (-10, "fast")):
            self.stranger.clock_offset = datetime.timedelta(minutes=minutes)
            self.assert_fails(self.decrypt(), UNREACHABLE,
                              "InvalidSignatureException",
                              f"clock is more than 5 minutes {word}")


class Lies(Case):
    """Answers in due form that rule 8 does not believe."""

    def lie(self, **members):
        self.stranger.twist_answers(lambda a: dict(a, **members))

    def test_wrong_key_id(self):
        """security-08: Decrypt answered with another KeyId is exit 6"""
        self.lie(KeyId=OTHER_ARN)
        self.assert_fails(self.decrypt(), TAMPERED, "WrongKeyId",
                          f"^kms-call: key '{ARN}': KMS {self.stranger.url} answered Decrypt with the KeyId of another key, so the answer is not used; check that endpoint and header can be trusted$")

    def test_wrong_length(self):
        """security-08: a plaintext of another length is exit 6"""
        for size in (1, 32, 63, 65, 128, 4096):
            result = self.decrypt(blob=self.wrapped(
                (bytes(range(256)) * 16)[:size]))
            self.assert_fails(result, TAMPERED, "WrongLength",
                              "a plaintext that is not 64 bytes long")

    def test_equal_halves(self):
        """security-08: a DEK of two equal halves is exit 6"""
        result = self.decrypt(blob=self.wrapped(bytes(range(32)) * 2))
        self.assert_fails(result, TAMPERED, "EqualHalves",
                          "a data key of two equal halves")

    def test_generate_wrong_key_id(self):
        """security-08: a new DEK under another key than asked is exit 6"""
        self.lie(KeyId=OTHER_ARN)
        for key in (ARN, KMS_KEY_ID):
            self.assert_fails(self.call("generate", key, "{}"), TAMPERED,
                              "WrongKeyId", "the KeyId of another key")

    def test_generate_alias_elsewhere(self):
        """security-01: an alias that leads out of allow-keys is denied"""
        foreign = ARN.replace("111122223333", "999988887777")
        self.lie(KeyId=foreign)
        self.assert_fails(self.call("generate", ALIAS, "{}"), DENIED,
                          "NotAllowed", f"key '{foreign}': allow-keys does not cover it")

    def test_reencrypt_wrong_source(self):
        """security-08: ReEncrypt from another key than asked is exit 6"""
        self.lie(SourceKeyId=OTHER_ARN)
        result = self.call("reencrypt", ARN, json.dumps(CONTEXT),
                           self.wrapped(), OTHER_ARN, "{}")
        self.assert_fails(result, TAMPERED, "WrongKeyId",
                          "the KeyId of another key")

    def test_describe_wrong_key(self):
        """security-08: DescribeKey about another key is exit 6"""
        self.stranger.twist_answers(
            lambda a: {"KeyMetadata": dict(a["KeyMetadata"], Arn=OTHER_ARN)})
        self.assert_fails(self.call("describe", ARN), TAMPERED, "WrongKeyId",
                          "the KeyId of another key")


if __name__ == "__main__":
    tap.main()
