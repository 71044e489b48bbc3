# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys in Vault's Transit engine, by a server that follows its API."""
import base64
import hashlib
import json
import os
import struct

import client_case
from client_case import (CONTEXT, DENIED, DONE, FAILED, TAMPERED, UNREACHABLE,
                         USAGE, Case)
from stranger import drip, endless, not_http, raw
from vault import Vault
import tap

KEY = "vault:v/volumes"
TEXT = json.dumps(CONTEXT)


def encode(context):
    """agent/context.h, written down again."""
    out = struct.pack(">I", len(context))
    for pair in sorted((k.encode(), v.encode()) for k, v in context.items()):
        for text in pair:
            out += struct.pack(">I", len(text)) + text
    return out


# What is worth another attempt gets none within the time budget.
LATER = {"Retry-After": "80000"}


def errors(status, *texts, headers=None):
    """An error answer of a vault."""
    return raw(json.dumps({"errors": texts}).encode(), status,
               headers or LATER)


class VaultCase(Case):
    """`self.vault` runs, and behaves at first."""

    @classmethod
    def setUpClass(cls):
        if not hasattr(Case, "program"):
            Case.program = client_case._build()
        cls.vault = Vault().__enter__()
        cls.addClassCleanup(cls.vault.__exit__)

    def setUp(self):
        self.vault.behave()
        self.home = client_case.pathlib.Path(
            client_case.tempfile.mkdtemp(dir=client_case._folder))
        self.token = self.secret("token", "hvs.the-token")

    def secret(self, name, text, mode=0o600):
        path = self.home / name
        path.write_text(text + "\n")
        path.chmod(mode)
        return path

    def conf(self, **changes):
        lines = {"endpoint": self.vault.url, "ca_file": self.vault.ca}
        if "auth" not in changes:
            lines["token_file"] = self.token
        lines.update(changes)
        path = self.home / "envelope.conf"
        path.write_text("[vault v]\n" + "".join(
            f"{k.replace('_', '-')} = {v}\n" for k, v in lines.items()
            if v is not None))
        return path

    def generate(self, key=KEY, **how):
        return self.call("generate", key, TEXT, **how)

    def blob(self, key="volumes", plaintext=None, context=None):
        """What a vault made of a data key: hexadecimal of its text."""
        self.dek = plaintext or os.urandom(64)
        return self.vault.keys[key].encrypt(
            self.dek, encode(context or CONTEXT)).encode().hex()

    def decrypt(self, key=KEY, blob=None, context=TEXT, **how):
        return self.call("decrypt", key, context, blob or self.blob(), **how)

    def assert_dek(self, result):
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.out["dek_sha256"],
                         hashlib.sha256(self.dek).hexdigest())


class Keys(VaultCase):

    def test_generate(self):
        """vault: a data key of 512 bits, wrapped there and never seen"""
        result = self.generate()
        self.assertEqual((result.status, result.stderr), (DONE, ""))
        self.assertEqual(result.out["key_arn"], KEY)
        self.assertEqual(self.vault.asked(), [
            "GET /v1/transit/keys/volumes",
            "POST /v1/transit/datakey/wrapped/volumes"])
        self.assertEqual(self.vault.calls[1]["params"], {
            "bits": 512, "context": base64.b64encode(
                encode(CONTEXT)).decode()})
        text = bytes.fromhex(result.out["blob"]).decode()
        self.dek = self.vault.keys["volumes"].decrypt(text, encode(CONTEXT))
        self.assert_dek(self.decrypt(blob=result.out["blob"]))

    def test_decrypt(self):
        """vault: a data key that the server wrapped, under its context"""
        self.assert_dek(self.decrypt())
        call = self.vault.calls[1]
        self.assertEqual(call["path"], "/v1/transit/decrypt/volumes")
        self.assertEqual(sorted(call["params"]), ["ciphertext", "context"])
        self.assertEqual(call["headers"]["X-Vault-Token"], "hvs.the-token")

    def test_context(self):
        """security-27-vault: another context is another key"""
        for context in (dict(CONTEXT, team="blue"), {}):
            self.assert_fails(
                self.decrypt(context=json.dumps(context)), DENIED,
                "InvalidCiphertextException", f"key '{KEY}': KMS {self.vault.url} refuses decrypt: the wrapped key is not this volume's or was changed \\(InvalidCiphertextException\\); check that the header belongs to this volume$")

    def test_not_derived(self):
        """security-27-vault: a key that ignores the context is refused"""
        key = "vault:v/plain"
        says = "^kms-call: key 'vault:v/plain': \\[vault v\\]: the key was not made with derived=true, so it would bind nothing to its volume; make one that is$"
        blob = self.blob("plain")
        for result in (self.generate(key), self.decrypt(key, blob),
                       self.call("describe", key),
                       self.call("reencrypt", KEY, TEXT, self.blob(), key,
                                 TEXT)):
            self.assert_fails(result, DENIED, "InvalidKeyUsageException",
                              says)
        self.assertFalse([p for p in self.vault.asked() if "plain" in p
                          and "/keys/" not in p])

    def test_rewrap(self):
        """vault: rewrap to the newest version of a key is its own verb"""
        blob = self.blob()
        self.vault.keys["volumes"].rotate()
        result = self.call("reencrypt", KEY, TEXT, blob, KEY, TEXT)
        self.assertEqual((result.status, result.stderr), (DONE, ""))
        self.assertEqual(self.vault.asked()[1:],
                         ["POST /v1/transit/rewrap/volumes"])
        text = bytes.fromhex(result.out["blob"]).decode()
        self.assertTrue(text.startswith("vault:v2:"), text)
        self.assert_dek(self.decrypt(blob=result.out["blob"]))

    def test_move(self):
        """vault: to another key or context, through locked memory here"""
        new = dict(CONTEXT, team="blue")
        for key, context in (("vault:v/other", CONTEXT), (KEY, new)):
            result = self.call("reencrypt", KEY, TEXT, self.blob(), key,
                               json.dumps(context))
            self.assertEqual((result.status, result.stderr), (DONE, ""))
            self.assert_dek(self.decrypt(key, result.out["blob"],
                                         json.dumps(context)))
        result = self.call("reencrypt", KEY, TEXT, self.blob(
            plaintext=bytes(32)), "vault:v/other", TEXT)
        self.assert_fails(result, TAMPERED, "WrongLength",
                          "a plaintext that is not 64 bytes long")

    def test_describe(self):
        """vault: what describe says"""
        result = self.call("describe", KEY)
        self.assertEqual(
            (result.out["arn"], result.out["state"], result.out["spec"]),
            (KEY, "Enabled", "aes256-gcm96"), result.stderr)

    def test_places(self):
        """vault: mount, namespace and the slash at an endpoint's end"""
        self.vault.mount = "a/b"
        self.vault.namespace = "team/x"
        config = self.conf(mount="a/b", namespace="team/x",
                           endpoint=self.vault.url + "/")
        self.assert_dek(self.decrypt(config=config))
        self.assert_fails(
            self.decrypt(config=self.conf(mount="a/b")), FAILED,
            "ValidationException", f"key '{KEY}': KMS {self.vault.url} refuses decrypt: there is no engine at that mount \\(ValidationException\\); check mount and namespace$")

    def test_session(self):
        """vault: one look at the key and one connection serve a session"""
        blob = self.blob()
        self.call("decrypt", KEY, TEXT, blob, options=["--times", "3"])
        self.assertEqual(self.vault.asked(), [
            "GET /v1/transit/keys/volumes",
            *["POST /v1/transit/decrypt/volumes"] * 3])

    def test_no_grants(self):
        """vault: there are no grants in it"""
        self.assert_fails(
            self.call("retire", KEY, "0123"), FAILED,
            "UnsupportedOperationException",
            "\\[vault v\\] has no grants; use the key without the agent")

    def test_names(self):
        """security-05-vault: a key's name does not leave its path"""
        for key in ("vault:v/..", "vault:v/../sys/seal", "vault:v/a%2fb",
                    "vault:v/a?b", "vault:v/a/b", "vault:v/-a", "vault:v/"):
            result = self.generate(key)
            self.assertEqual(result.status, USAGE, result.stderr)
            self.assertIn("not a key id of vault, which are vault:NAME/KEY",
                          result.stderr)
        self.assertEqual(self.vault.calls, [])


class Logins(VaultCase):

    def logged_in(self, config, path, params):
        result = self.decrypt(config=config)
        self.assert_dek(result)
        self.assertEqual(self.vault.asked()[0], f"POST {path}")
        self.assertEqual(self.vault.calls[0]["params"], params)
        self.assertNotIn("X-Vault-Token", self.vault.calls[0]["headers"])
        for call in self.vault.calls[1:]:
            self.assertEqual(call["headers"]["X-Vault-Token"], "hvs.login-1")

    def refuses(self, config, path, status, files):
        self.assert_fails(self.decrypt(config=config), DENIED,
                          "UnrecognizedClientException", f"key '{KEY}': KMS {self.vault.url} refuses the login at {path} \\(HTTP status {status}\\); check {files} of \\[vault v\\]$")

    def test_approle(self):
        """vault: a login by AppRole"""
        path = self.secret("secret-id", "secret-id")
        config = self.conf(auth="approle", role="role-id",
                           secret_id_file=path)
        self.logged_in(config, "/v1/auth/approle/login", {
            "role_id": "role-id", "secret_id": "secret-id"})
        self.secret("secret-id", "another")
        self.refuses(config, "auth/approle/login", 400,
                     "role and secret-id-file")
        self.secret("secret-id", 'a"b')
        self.assert_fails(self.decrypt(config=config), DENIED,
                          "NoCredentials", f"key '{KEY}': secret-id-file '{path}': its first line is no secret-id; write one$")
        # A role without bind_secret_id.
        self.vault.behave()
        self.vault.roles["role-id"] = None
        self.logged_in(self.conf(auth="approle", role="role-id"),
                       "/v1/auth/approle/login", {"role_id": "role-id"})

    def test_kubernetes(self):
        """vault: a login by a pod's token, which others may read"""
        path = self.secret("jwt", "header.payload.signature", 0o644)
        config = self.conf(auth="kubernetes", role="hosts", jwt_file=path)
        self.logged_in(config, "/v1/auth/kubernetes/login", {
            "role": "hosts", "jwt": "header.payload.signature"})
        self.refuses(self.conf(auth="kubernetes", role="hosts", jwt_file=path,
                               auth_mount="k8s/a"), "auth/k8s/a/login", 404,
                     "role and jwt-file")
        for change, what in (
                (lambda: path.chmod(0o666),
                 "others than its owner can change it"),
                (lambda: self.secret("jwt", ""), "its first line is no token"),
                (path.unlink, "missing")):
            change()
            self.assert_fails(self.decrypt(config=config), UNREACHABLE,
                              "NoCredentials", f"key '{KEY}': jwt-file '{path}': {what}; check who writes it$")

    def test_certificate(self):
        """vault: a login by a client certificate"""
        pem = self.vault.people.server()
        pem.chmod(0o600)
        files = {"cert_file": pem, "cert_key_file": pem}
        self.logged_in(self.conf(auth="cert", role="hosts", **files),
                       "/v1/auth/cert/login", {"name": "hosts"})
        self.assertTrue(self.vault.calls[0]["certificate"])
        self.vault.behave()
        self.logged_in(self.conf(auth="cert", **files),
                       "/v1/auth/cert/login", {})
        # With a token, for a server that wants one of everybody.
        self.assert_dek(self.decrypt(config=self.conf(**files)))
        self.assertTrue(self.vault.calls[-1]["certificate"])
        pem.chmod(0o640)
        self.assert_fails(self.decrypt(config=self.conf(auth="cert", **files)),
                          DENIED, "NoCredentials", f"cert-key-file '{pem}': others than its owner can read or change it; run chown and chmod 0600 on it$")
        key = self.secret("key", "no key")
        config = self.conf(auth="cert", cert_file=pem, cert_key_file=key)
        self.assert_fails(self.decrypt(config=config), UNREACHABLE,
                          "CertFile", f"key '{KEY}': KMS {self.vault.url} was not asked: cert-file and cert-key-file are no readable PEM files that fit together \\(.*\\); correct them for \\[vault v\\]$")

    def test_token_file(self):
        """security-09-vault: a token that others can read is not used"""
        self.token.chmod(0o644)
        self.assert_fails(self.decrypt(), DENIED, "NoCredentials",
                          f"token-file '{self.token}': others than its owner can read or change it; run chown and chmod 0600 on it$")
        self.token.unlink()
        os.mkfifo(self.token, 0o600)
        self.assert_fails(self.decrypt(), DENIED, "NoCredentials",
                          f"token-file '{self.token}': not a file$")
        self.assertEqual(self.vault.calls, [])

    def test_environment(self):
        """security-05-vault: address and token never come from the caller"""
        result = self.decrypt(env={
            "VAULT_ADDR": "https://127.0.0.1:1", "VAULT_TOKEN": "hvs.other",
            "VAULT_NAMESPACE": "x", "VAULT_SKIP_VERIFY": "1"})
        self.assert_dek(result)

    def test_expired_token(self):
        """security-18-vault: an expired token is no denial"""
        self.vault.tokens.clear()
        self.assert_fails(self.decrypt(), UNREACHABLE,
                          "ExpiredTokenException", f"key '{KEY}': KMS {self.vault.url} does not know the token in '{self.token}': it has expired, was revoked or never was one; write another$")

    def test_login_again(self):
        """vault: a login that the server has forgotten is done again, once"""
        path = self.secret("secret-id", "secret-id")
        config = self.conf(auth="approle", role="role-id",
                           secret_id_file=path)

        def forget(_handler):
            self.vault.tokens.clear()
            return False
        self.vault.faults = [None, None, forget]
        self.assert_dek(self.decrypt(config=config))
        self.assertEqual(self.vault.logins, 2)
        self.vault.behave()
        # One that is about to end serves for nothing.
        self.vault.lease = 5
        blob = self.blob()
        self.call("decrypt", KEY, TEXT, blob, options=["--times", "2"],
                  config=config)
        self.assertEqual(self.vault.logins, 3)

    def test_login_garbage(self):
        """vault: a login's answer that is none"""
        config = self.conf(auth="approle", role="role-id")
        for body, what in ((b"{}", "no sound client_token in it"),
                           (b'{"auth":{"client_token":""}}',
                            "no sound client_token in it"),
                           (b'{"auth":{"client_token":"a\\u0041"}}',
                            "no sound client_token in it"),
                           (b'{"client_token":"a"}',
                            "no sound lease_duration in it"),
                           (b'{"auth":{"client_token":"a"}}',
                            "no sound lease_duration in it")):
            self.vault.faults = [raw(body)]
            self.assert_fails(self.decrypt(config=config), UNREACHABLE,
                              "Garbage", f"answered the login with garbage \\({what}\\), so it is no sound KMS; check endpoint of \\[vault v\\]$")
        self.vault.sealed = True
        self.vault.headers = LATER
        self.assert_fails(self.decrypt(config=config), UNREACHABLE, "ServiceUnavailableException",
                          "cannot do the login now: it is sealed")


class Failures(VaultCase):

    def test_denied(self):
        """vault: what its policies do not allow is a denial"""
        for path, verb in (("transit/keys/volumes", "decrypt"),
                           ("transit/decrypt/volumes", "decrypt")):
            self.vault.behave()
            self.vault.denied = {path}
            self.assert_fails(self.decrypt(), DENIED, "AccessDeniedException",
                              f"key '{KEY}': KMS {self.vault.url} refuses {verb}: the policies of its token do not allow that \\(AccessDeniedException\\); allow it there, and to read the key$")

    def test_refusals(self):
        """vault: what each refusal means, by status and words"""
        key = self.vault.keys["volumes"]
        blob = self.blob()
        for fault, status, error, words in (
                (errors(400, "encryption key not found"), DENIED,
                 "NotFoundException", "refuses decrypt: the key does not exist there"),
                (errors(404), DENIED, "NotFoundException",
                 "check the key, mount and namespace$"),
                (errors(400, "invalid ciphertext: unable to decrypt"), DENIED,
                 "InvalidCiphertextException", "not this volume's"),
                (errors(400, "unable to decrypt ciphertext"), DENIED,
                 "InvalidCiphertextException", "not this volume's"),
                (errors(400, "what is that"), FAILED, "ValidationException",
                 "it does not take the request \\(ValidationException\\); look the reason up in its log$"),
                (errors(405, "unsupported operation"), FAILED,
                 "UnsupportedOperationException",
                 "check that mount is a Transit engine's$"),
                (errors(412, "required index state not present"), UNREACHABLE,
                 "ServiceUnavailableException", "cannot do decrypt now: it has not caught up yet"),
                (errors(429, "rate limit"), UNREACHABLE, "ThrottlingException",
                 "it gets too many requests"),
                (errors(500, "internal error"), UNREACHABLE,
                 "InternalFailure", "it has an internal fault"),
                (errors(503, "standby"), UNREACHABLE,
                 "ServiceUnavailableException", "it is not available"),
                (raw(b"<html>", 502, LATER), UNREACHABLE, "Garbage",
                 "answered decrypt with garbage \\(HTTP status 502\\)"),
                (raw(b'{"errors":"a"}', 400), UNREACHABLE, "Garbage",
                 "HTTP status 400")):
            self.vault.faults = [None, fault]
            self.assert_fails(self.decrypt(blob=blob), status, error, words)
        key.rotate()
        key.min_decryption_version = 2
        self.assert_fails(self.decrypt(blob=blob), DENIED, "DisabledException",
                          "that version of the key is below its min_decryption_version \\(DisabledException\\); lower it there, or take a newer header$")

    def test_sealed(self):
        """vault: a sealed one is tried again, or no answer"""
        self.vault.sealed = True
        self.vault.headers = LATER
        self.assert_fails(self.decrypt(), UNREACHABLE,
                          "ServiceUnavailableException",
                          "it is sealed \\(ServiceUnavailableException\\); have it unsealed$")
        self.vault.behave()
        self.vault.faults = [errors(503, "Vault is sealed",
                                    headers={"Retry-After": "0"})]
        self.assert_dek(self.decrypt())

    def test_transport(self):
        """security-05-vault: redirects, floods, garbage and strange tongues"""
        for fault, error, words in (
                (raw(b"", 307, {"Location": "https://127.0.0.1:1/"}),
                 "Redirect", "answered with a redirect, which is never followed; set endpoint of \\[vault v\\]"),
                (endless, "Oversized", "answered more than 65536 bytes"),
                (not_http, "Garbage", "does not speak HTTPS; check endpoint"),
                (raw(b"hello"), "Garbage", "answered decrypt with garbage"),
                (raw(b"[]"), "Garbage", "no JSON object"),
                (raw(b"{}"), "Garbage", "no data in it"),
                (raw(b'{"data":{}}'), "Garbage", "no derived in it")):
            self.vault.faults = [fault]
            self.assert_fails(self.decrypt(), UNREACHABLE, error, words)
        for body, words in ((b'{"data":{}}', "no sound plaintext in it"),
                            (b'{"data":{"plaintext":"="}}',
                             "no sound plaintext in it"),
                            (b'{"data":{"plaintext":"eA=="}',
                             "answered decrypt with garbage")):
            self.vault.faults = [None, raw(body)]
            self.assert_fails(self.decrypt(), UNREACHABLE, "Garbage", words)
        for text in ("", "x", "vault:v", "vault:v1:a b",
                     "vault:v1:" + "a" * 7000):
            self.vault.faults = [None, raw(json.dumps(
                {"data": {"ciphertext": text}}).encode())]
            self.assert_fails(self.generate(), UNREACHABLE, "Garbage",
                              "no sound ciphertext in it")
        self.vault.faults = [drip(4)]
        self.assert_fails(self.decrypt(timeout=600), UNREACHABLE, "Timeout",
                          "time budget of 600 ms")

    def test_lies(self):
        """security-08-vault: a plaintext that is no data key"""
        for dek, error in ((bytes(64), "EqualHalves"),
                           (os.urandom(32), "WrongLength")):
            self.assert_fails(self.decrypt(blob=self.blob(plaintext=dek)),
                              TAMPERED, error, f"KMS {self.vault.url} answered decrypt with")

    def test_certificates(self):
        """security-05-vault: certificates that prove nothing"""
        for kind in ("expired", "wrong-host"):
            with Vault(kind) as other:
                config = self.conf(endpoint=other.url, ca_file=other.ca)
                self.assert_fails(self.decrypt(config=config), UNREACHABLE,
                                  "Tls", f"does not prove its identity \\(.*\\); check endpoint and ca-file {other.ca} of \\[vault v\\]$")
        self.assert_fails(self.decrypt(config=self.conf(ca_file=None)),
                          UNREACHABLE, "Tls", "set the ca-file of")
        self.assert_fails(self.decrypt(config=self.conf(ca_file=self.token)),
                          UNREACHABLE, "CaFile", f"ca-file '{self.token}' is no readable PEM file of CA certificates; correct it for \\[vault v\\]$")

    def test_wrapped(self):
        """vault: a wrapped key that no vault made is not sent"""
        for blob in (b"\0", b"vault:v", b"vault:v1:a b", b'vault:v1:"',
                     b"vault:v1:\xff"):
            self.assert_fails(self.decrypt(blob=blob.hex()), DENIED,
                              "InvalidCiphertextException", f"key '{KEY}': \\[vault v\\]: the wrapped key is none of a vault's; check that the header belongs to this volume$")
        self.assertEqual(self.vault.calls, [])


class Memory(VaultCase):

    def assert_wiped(self, secrets, *args, **how):
        """What the call left in its memory at its end: nothing of these."""
        patterns = [s.encode() for s in secrets]
        for half in (self.dek[:32], self.dek[32:]):
            patterns += [half, half[::-1], half.hex().encode()]
        patterns += [base64.b64encode(self.dek[shift:shift + 30])
                     for shift in range(3)]
        # This one is planted, or the search is blind.
        patterns.append(KEY.encode())
        result = self.call(*args, env={"SCAN": ",".join(
            bytes(b ^ 0x55 for b in p).hex() for p in patterns)}, **how)
        self.assertEqual((result.status, result.stderr), (DONE, ""))
        self.assertEqual(result.out["found"], [len(patterns) - 1])

    def test_wiped(self):
        """security-09-vault: no token, login or data key stays in memory"""
        secret_id, jwt = "c2VjcmV0LWlkLW9mLWEtcm9sZQ", "aGVhZA.cGF5.c2lnbmF0dXJl"
        self.vault.roles["role-id"] = secret_id
        self.vault.jwts["hosts"] = jwt
        approle = self.conf(auth="approle", role="role-id",
                            secret_id_file=self.secret("id", secret_id))
        blob = self.blob()
        self.assert_wiped([secret_id, "hvs.login-1"], "decrypt", KEY, TEXT,
                          blob, config=approle)
        self.assert_wiped([secret_id, "hvs.login-2"], "reencrypt", KEY, TEXT,
                          blob, "vault:v/other", TEXT, config=approle)
        kubernetes = self.conf(auth="kubernetes", role="hosts",
                               jwt_file=self.secret("jwt", jwt))
        self.assert_wiped([jwt, "hvs.login-3"], "decrypt", KEY, TEXT, blob,
                          config=kubernetes)
        self.assert_wiped(["hvs.the-token"], "decrypt", KEY, TEXT, blob,
                          config=self.conf())


class Lease(VaultCase):

    def check(self, blob):
        return self.call("check", KEY, TEXT, blob).out["answer"]

    def test_answers(self):
        """security-18-vault: what denies, what is silence, what is an alarm"""
        blob = self.blob()
        self.assertEqual(self.check(blob), "granted")
        self.vault.denied = {"transit/decrypt/volumes"}
        self.assertEqual(self.check(blob), "denied")
        # A token that may not look itself up could as well have expired.
        self.vault.denied.add("auth/token/lookup-self")
        self.assertEqual(self.check(blob), "unreachable")
        self.vault.denied = set()
        self.vault.mount = "elsewhere"
        self.assertEqual(self.check(blob), "unreachable")
        self.vault.mount = "transit"
        self.vault.tokens.clear()
        self.assertEqual(self.check(blob), "unreachable")
        self.vault.tokens = {"hvs.the-token"}
        self.vault.faults = [errors(503, "Vault is sealed")]
        self.assertEqual(self.check(blob), "unreachable")
        self.assertEqual(self.check(self.blob(context={"a": "b"})), "alarm")
        self.vault.keys["volumes"].rotate()
        self.vault.keys["volumes"].min_decryption_version = 2
        self.assertEqual(self.check(blob), "denied")
        del self.vault.keys["volumes"]
        self.assertEqual(self.check(blob), "denied")


if __name__ == "__main__":
    tap.main()
