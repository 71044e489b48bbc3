# SPDX-License-Identifier: GPL-2.0-or-later
"""The envelope program against a stranger's KMS: what needs no kernel."""
import base64
import hashlib
import json
import os
import subprocess

from client_case import (ARN, BUILD, DENIED, DONE, FAILED, KEY_ID, ROOT, SECRET,
                         TAMPERED, UNREACHABLE, USAGE, Case)
from stranger import ALIAS, OTHER_ARN, error, hang_up, raw
import tap

ENVELOPE = BUILD / "bin/envelope"
GENERATE = "GenerateDataKeyWithoutPlaintext"

# Pins are root's: a /var/lib of the test's own, in a mount namespace.
INSIDE = """mount --bind "$1" /var/lib && shift && exec "$@" """


class Program(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run(["make", "-s", f"O={BUILD}", str(ENVELOPE)], cwd=ROOT,
                       check=True, stdout=subprocess.DEVNULL)

    def setUp(self):
        super().setUp()
        self.image = self.home / "volume"
        self.image.touch()
        os.truncate(self.image, 4 << 20)
        (self.home / "lib").mkdir()
        self.config = self.conf()

    def envelope(self, verb, *args, **more):
        """(status, output, the sentence on standard error)."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home),
               "LC_ALL": "C.UTF-8", "AWS_ACCESS_KEY_ID": KEY_ID,
               "AWS_SECRET_ACCESS_KEY": SECRET, **more}
        done = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", INSIDE,
             "sh", self.home / "lib", ENVELOPE, verb, *args], env=env,
            capture_output=True, text=True, timeout=120,
            stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr.strip()

    def with_kms(self, verb, *args, **more):
        return self.envelope(verb, "--config", self.config, *args, **more)

    def format(self, *args):
        status, _, sentence = self.with_kms("format", *args, self.image)
        self.assertEqual(status, DONE, sentence)

    def operations(self):
        return [c.get("operation") for c in self.stranger.calls]

    def sum(self):
        return hashlib.sha256(self.image.read_bytes()).hexdigest()

    def refused(self, status, sentence, verb, *args):
        """That status and sentence, and not a byte of the image changed."""
        before = self.sum()
        got, _, said = self.with_kms(verb, *args, self.image)
        self.assertRegex(said, sentence)
        self.assertEqual(got, status, said)
        self.assertEqual(self.sum(), before)

    def test_format(self):
        """envelope: format asks for 64 bytes and rehearses the unwrap anew"""
        self.format("--context", "team=storage")
        self.assertEqual(self.operations(), [GENERATE, "Decrypt"])
        made, rehearsed = (c["params"] for c in self.stranger.calls)
        self.assertEqual(made["KeyId"], ALIAS)
        self.assertEqual(made["NumberOfBytes"], 64)
        self.assertEqual(rehearsed["KeyId"], ARN)
        self.assertEqual(rehearsed["EncryptionContext"],
                         made["EncryptionContext"])
        self.assertEqual(self.stranger.connections, 2)

    def test_key_log(self):
        """security-09: format and its rehearsal write no session keys"""
        log = self.home / "keys.log"
        status, _, sentence = self.with_kms("format", self.image,
                                            SSLKEYLOGFILE=str(log))
        self.assertEqual(status, DONE, sentence)
        self.assertEqual(self.operations(), [GENERATE, "Decrypt"])
        self.assertFalse(log.exists())

    def test_context(self):
        """security-04: the context is volume id, generation and extra pairs"""
        self.format("--context", "team=storage")
        _, out, _ = self.envelope("inspect", "--json", self.image)
        self.assertIn("vol-", out)
        context = self.stranger.calls[0]["params"]["EncryptionContext"]
        self.assertEqual(sorted(context), ["envelope:generation",
                                           "envelope:volume-id", "team"])
        self.assertIn(context["envelope:volume-id"], out)
        self.assertRegex(context["envelope:volume-id"], "^vol-[0-9a-f]{17}$")
        self.assertEqual(context["envelope:generation"], "1")

    def test_check(self):
        """envelope: check --unwrap is one Decrypt"""
        self.format()
        self.stranger.calls.clear()
        status, _, sentence = self.with_kms("check", "--unwrap", self.image)
        self.assertEqual(status, DONE, sentence)
        self.assertEqual(self.operations(), ["Decrypt"])

    def test_rewrap(self):
        """envelope: rewrap is one ReEncrypt, and the old key is not needed"""
        self.format()
        self.stranger.calls.clear()
        status, _, sentence = self.with_kms("rewrap", "--kms-key", OTHER_ARN,
                                            self.image)
        self.assertEqual(status, DONE, sentence)
        self.assertIn("ReEncrypt", self.operations())
        self.assertNotIn("Decrypt", self.operations())
        self.stranger.keys.state[ARN] = "Disabled"
        status, _, sentence = self.with_kms("check", "--unwrap", self.image)
        self.assertEqual(status, DONE, sentence)

    def test_pending_deletion(self):
        """envelope: format under a key pending deletion writes nothing"""
        self.stranger.keys.state[ARN] = "PendingDeletion"
        self.refused(DENIED, "the key is pending deletion .*; cancel the deletion and enable the key$", "format")

    def test_format_rehearsal_fails(self):
        """security-11: a rehearsal that fails leaves nothing written"""
        for fault, status, sentence in (
                (error("AccessDeniedException"), DENIED,
                 "these credentials may not use the key so"),
                (error("DisabledException"), DENIED, "the key is disabled"),
                (error("ExpiredTokenException"), UNREACHABLE,
                 "they have expired"),
                (raw(b"<html>"), UNREACHABLE, "garbage"),
                (raw(b"x" * 70000), UNREACHABLE,
                 "more than 65536 bytes")):
            self.stranger.behave()
            self.stranger.misbehave(None, fault)
            self.refused(status, sentence, "format")
            self.assertEqual(self.sum(),
                             hashlib.sha256(bytes(4 << 20)).hexdigest())

    def lies(self, verb, *args):
        """Every lie about the DEK, told to a verb that unwraps."""
        equal = bytes(range(32)) * 2
        for members, status, sentence in (
                ({"KeyId": OTHER_ARN}, TAMPERED, "the KeyId of another key"),
                ({"Plaintext": self.b64(bytes(32))}, TAMPERED,
                 "a plaintext that is not 64 bytes long"),
                ({"Plaintext": self.b64(equal)}, TAMPERED,
                 "a data key of two equal halves"),
                ({"Plaintext": None}, UNREACHABLE, "no sound Plaintext"),
                ({"KeyId": None}, UNREACHABLE, "no KeyId")):
            self.stranger.behave()
            self.stranger.twist_answers(
                lambda a, m=members: {**a, **m} if "Plaintext" in a else a)
            self.refused(status, sentence, verb, *args)

    @staticmethod
    def b64(data):
        return base64.b64encode(data).decode()

    def test_format_lies(self):
        """security-08: format writes nothing when the KMS lies at rehearsal"""
        self.lies("format")

    def test_check_lies(self):
        """security-08: check --unwrap believes no lie"""
        self.format()
        self.lies("check", "--unwrap")

    def test_repair_lies(self):
        """security-08: check --repair writes nothing when the KMS lies"""
        self.format()
        with self.image.open("r+b") as f:
            f.seek(5000)
            f.write(b"damage")
        self.lies("check", "--repair")

    def test_other_dek(self):
        """security-02: another DEK in due form fails the HMAC, exit 6"""
        self.format()
        self.stranger.twist_answers(
            lambda a: dict(a, Plaintext=self.b64(os.urandom(64))))
        self.refused(TAMPERED, "the unwrapped key is not this volume's: the header was tampered with", "check", "--unwrap")

    def test_default_key_kind(self):
        """envelope: default key set refuses a key that is not for volumes"""
        for change, sentence in (
                ({"KeySpec": "RSA_2048"}, "it is a RSA_2048 key for ENCRYPT_DECRYPT; volumes want a symmetric key for encryption"),
                ({"KeyUsage": "GENERATE_VERIFY_MAC"}, "for GENERATE_VERIFY_MAC; volumes want")):
            self.stranger.twist_answers(lambda a, c=change: {
                "KeyMetadata": {**a["KeyMetadata"], **c}})
            status, _, said = self.with_kms("default", "key", "set", ARN)
            self.assertRegex(said, sentence)
            self.assertEqual(status, USAGE)
        self.assertFalse((self.home / "defaults.json").exists())

    def drill(self, sentence):
        """doctor --drill fails, and says that of the volume."""
        before = self.sum()
        status, out, said = self.with_kms("doctor", "--drill", self.image)
        self.assertIn(f"FAIL  drill: {self.image}: {sentence}", out)
        self.assertEqual((status, said, self.sum()), (FAILED, "", before))

    def test_drill_context(self):
        """doctor --drill finds a KMS that binds keys to no context"""
        self.stranger.keys.aad = lambda context: b""
        self.addCleanup(delattr, self.stranger.keys, "aad")
        self.format()
        self.drill("its key was unwrapped under another volume's context\n"
                   "      do not use this KMS: it does not bind keys to")

    def test_drill_rewrap(self):
        """doctor --drill finds a KMS that rewraps to another key"""
        self.format()
        self.stranger.operations.ReEncrypt = lambda p: {
            "KeyId": ARN, "SourceKeyId": ARN,
            "CiphertextBlob": self.stranger.keys.wrap(
                ARN, p["DestinationEncryptionContext"], os.urandom(64))}
        self.addCleanup(delattr, self.stranger.operations, "ReEncrypt")
        self.drill("rewrapped in memory, it was another key\n"
                   "      do not rewrap volumes at this KMS")

    def test_network(self):
        """envelope: a KMS that resets every connection is exit 4"""
        self.format()
        self.stranger.misbehave(*[hang_up] * 20)
        self.refused(UNREACHABLE, "cannot be reached", "check", "--unwrap")

    def test_foreign_header(self):
        """security-01: a header under a foreign account's key asks nobody"""
        self.format()
        self.config = self.conf(allow_keys=None, account="999988887777")
        self.stranger.behave()
        self.refused(DENIED, "allow-keys does not cover it", "check",
                     "--unwrap")
        self.assertEqual(self.stranger.connections, 0)

    def test_json_inspect_offline(self):
        """envelope: inspect asks no KMS"""
        self.format()
        self.stranger.behave()
        status, out, sentence = self.envelope("inspect", "--json",
                                              self.image)
        self.assertEqual(status, DONE, sentence)
        json.loads(out)
        self.assertEqual(self.stranger.connections, 0)


if __name__ == "__main__":
    tap.main()
