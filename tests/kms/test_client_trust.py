# SPDX-License-Identifier: GPL-2.0-or-later
"""Whom the client believes: certificates, environment, configuration."""
import base64
import json
import os
import socket
import threading

from client_case import (ACCOUNT, ARN, CONTEXT, DENIED, DONE, KEY_ID, REGION,
                         SECRET, UNREACHABLE, USAGE, Case)
from stranger import Stranger
from stranger_tls import Authority
import tap


class Certificates(Case):
    def against(self, sentence, error="Tls", ca=None, **options):
        with Stranger(**options) as other:
            other.verifier.add(KEY_ID, SECRET)
            result = self.decrypt(config=self.conf(
                endpoint=other.url, ca_file=ca or other.ca))
            self.assert_fails(result, UNREACHABLE, error, sentence)
            self.assertEqual(other.calls, [])
            self.assertEqual(result.out["attempts"], 1)

    def test_other_ca(self):
        """client: a certificate of another CA is exit 4, nothing sent"""
        self.against("does not prove its identity \\(.*certificate.*\\); check endpoint and ca-file .* of region us-east-1$",
                     ca=Authority(self.home, "other CA").path)

    def test_namesake(self):
        """client: a CA of the same name is no more believed, nothing sent"""
        self.against("does not prove its identity", ca=self.stranger.ca)

    def test_expired(self):
        """client: an expired certificate is exit 4, nothing sent"""
        self.against("certificate has expired", certificate="expired")

    def test_wrong_host(self):
        """client: a certificate for another host is exit 4, nothing sent"""
        self.against("does not prove its identity .*127.0.0.1",
                     certificate="wrong-host")

    def test_old_tls(self):
        """client: TLS older than 1.2 is exit 4, nothing sent"""
        self.against("does not prove its identity", old_tls=True)

    def test_missing_ca_file(self):
        """client: a missing CA file is exit 4 and named"""
        path = self.home / "nowhere.pem"
        self.assert_fails(self.decrypt(config=self.conf(ca_file=path)),
                          UNREACHABLE, "CaFile",
                          f"was not asked: ca-file '{path}' is no readable PEM file of CA certificates; correct it for region us-east-1$")

    def test_empty_ca_file(self):
        """client: a CA file without a certificate is exit 4 and named"""
        path = self.home / "empty.pem"
        path.write_text("no certificate\n")
        self.assert_fails(self.decrypt(config=self.conf(ca_file=path)),
                          UNREACHABLE, "CaFile", str(path))

    def test_system_cas(self):
        """client: without ca-file the system's CAs decide"""
        self.assert_fails(self.decrypt(config=self.conf(ca_file=None)),
                          UNREACHABLE, "Tls", "set the ca-file of region us-east-1$")

    def test_only_that_ca(self):
        """security-09: with ca-file no other CA counts, none from SSL_CERT_*"""
        other = Authority(self.home, "other CA")
        for env in ({"SSL_CERT_FILE": str(self.stranger.ca)},
                    {"CURL_CA_BUNDLE": str(self.stranger.ca)},
                    {"SSL_CERT_DIR": str(self.stranger.ca.parent)}):
            result = self.decrypt(config=self.conf(ca_file=other.path),
                                  env=env)
            self.assert_fails(result, UNREACHABLE, "Tls",
                              "does not prove its identity")

    def test_localhost(self):
        """client: a host name in the certificate is as good as an address"""
        url = self.stranger.url.replace("127.0.0.1", "localhost")
        result = self.decrypt(config=self.conf(endpoint=url))
        self.assertEqual(result.status, DONE, result.stderr)


class Trap:
    """A listener that notes that somebody came."""

    def __init__(self):
        self.came = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                conn, _ = self._socket.accept()
            except OSError:
                return
            self.came.append(conn.recv(4096))
            conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Environment(Case):
    def test_proxy(self):
        """security-05: proxy variables of the environment are ignored"""
        with Trap() as trap:
            url = f"http://127.0.0.1:{trap.port}"
            result = self.decrypt(env={
                name: url for name in ("http_proxy", "https_proxy",
                                       "HTTPS_PROXY", "ALL_PROXY",
                                       "all_proxy")})
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(trap.came, [])

    def test_configured_proxy(self):
        """security-05: the configured proxy is used, whatever NO_PROXY says"""
        with Trap() as trap:
            result = self.decrypt(timeout=2000, config=self.conf(
                proxy=f"http://127.0.0.1:{trap.port}"),
                env={"NO_PROXY": "*", "no_proxy": "127.0.0.1"})
        self.assertEqual(result.status, UNREACHABLE, result.stderr)
        self.assertTrue(trap.came[0].startswith(b"CONNECT 127.0.0.1:"))
        self.assertNotIn(KEY_ID.encode(), trap.came[0])
        self.assertEqual(self.stranger.calls, [])

    def test_netrc(self):
        """security-05: .netrc is not read"""
        (self.home / ".netrc").write_text(
            "default login netrcuser password netrcpassword\n")
        result = self.decrypt()
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertNotIn("netrc", str(self.stranger.calls))

    def test_key_log(self):
        """security-09: SSLKEYLOGFILE gets no session keys"""
        path = self.home / "keys.log"
        result = self.decrypt(env={"SSLKEYLOGFILE": str(path)})
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertFalse(path.exists())

    def test_openssl_conf(self):
        """security-09: OPENSSL_CONF and OPENSSL_MODULES load nothing"""
        conf = self.home / "openssl.cnf"
        conf.write_text("openssl_conf = x\n[x]\nproviders = p\n[p]\n"
                        "evil = e\n[e]\nmodule = /evil.so\nactivate = 1\n")
        result = self.decrypt(env={"OPENSSL_CONF": str(conf),
                                   "OPENSSL_MODULES": str(self.home)})
        self.assertEqual(result.status, DONE, result.stderr)

    def test_memory(self):
        """security-34: no DEK stays in the client's memory after the call"""
        blob = self.wrapped()
        patterns = self.canary(self.dek)
        # The key id is planted: it must be found, or the search is blind.
        patterns.append(b"arn:aws:kms:us-east-1:")
        result = self.decrypt(blob=blob, env={"SCAN": ",".join(
            bytes(b ^ 0x55 for b in p).hex() for p in patterns)})
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["found"], [len(patterns) - 1])

    def test_no_locked_memory(self):
        """security-09: without lockable memory it fails, nothing sent"""
        under = ["prlimit", "--memlock=0"]
        if os.geteuid() == 0:
            # Root may lock whatever the limit says.
            self.home.parent.chmod(0o755)
            self.home.chmod(0o755)
            self.stranger.folder.chmod(0o755)
            under += ["setpriv", "--reuid=65534", "--regid=65534",
                      "--clear-groups"]
        result = self.decrypt(under=under)
        self.assertEqual(result.stderr, "kms-call: credentials: no locked memory for them: Cannot allocate memory")
        self.assertEqual(result.status, 1)
        self.assertEqual(self.stranger.connections, 0)

    @staticmethod
    def canary(dek):
        """Halves raw, reversed, in hex; base64 at three alignments."""
        found = []
        for half in (dek[:32], dek[32:]):
            found += [half, half[::-1], half.hex().encode(),
                      half.hex().upper().encode()]
        for shift in range(3):
            text = base64.b64encode(dek[shift:shift + 30])
            found.append(text)
        return found

    def test_secret_memory(self):
        """security-09: no credentials stay in the memory that curl used"""
        home = self.home / ".aws"
        home.mkdir()
        secret = "c2VjcmV0LWFjY2Vzcy1rZXk0NTY3ODkwMTIzNDU2"
        (home / "credentials").write_text(
            f"[default]\naws_access_key_id = AKIAFILE\n"
            f"aws_secret_access_key = {secret}\n")
        self.stranger.verifier.add("AKIAFILE", secret)
        patterns = [secret.encode(), b"arn:aws:kms:us-east-1:"]
        result = self.decrypt(env={
            "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None,
            "SCAN": ",".join(bytes(b ^ 0x55 for b in p).hex()
                             for p in patterns)})
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["found"], [1])


class AllowKeys(Case):
    """Decided before anything is sent."""

    def denied(self, result, sentence, status=DENIED):
        self.assert_fails(result, status, "NotAllowed", sentence)
        self.assertEqual(self.stranger.connections, 0)

    def test_other_account(self):
        """security-01: a key of another account is denied, nothing sent"""
        arn = ARN.replace(ACCOUNT, "999988887777")
        self.denied(self.decrypt(arn, blob=self.wrapped()),
                    f"^kms-call: key '{arn}': allow-keys does not cover it; if this host shall use it, add it for region us-east-1 in .*envelope.conf$")

    def test_default_own_account(self):
        """security-01: without allow-keys only the own account is allowed"""
        conf = self.conf(allow_keys=None, default_key=ARN)
        self.assertEqual(self.decrypt(config=conf).status, DONE)
        self.stranger.behave()
        self.denied(self.decrypt(ARN.replace(ACCOUNT, "999988887777"),
                                 config=conf), "allow-keys does not cover it")

    def test_account_unknown(self):
        """security-01: with no account known no key is allowed"""
        conf = self.conf(allow_keys=None)
        self.denied(self.decrypt(config=conf),
                    "this host's account is not known, so no KMS key is allowed; set account or allow-keys for region us-east-1 in ")
        result = self.decrypt(config=conf, env={"AWS_ACCOUNT_ID": ACCOUNT})
        self.assertEqual(result.status, DONE, result.stderr)

    def test_unknown_region(self):
        """security-05: a region that is not configured is denied, unsent"""
        arn = ARN.replace(REGION, "eu-west-1")
        self.denied(self.decrypt(arn), "^kms-call: region 'eu-west-1' is not configured on this host; if it shall be used, add \\[region eu-west-1\\] to .*$")

    def test_malformed_arn(self):
        """security-05: no host name is built from a malformed ARN"""
        for arn in ("arn:aws:kms:us-east-1/@evil:111122223333:key/a",
                    "arn:aws:kms:US-EAST-1:111122223333:key/a",
                    "arn:aws:s3:us-east-1:111122223333:key/a", "key/a", ""):
            self.denied(self.decrypt(arn, blob="00"),
                        "is not the ARN of a KMS key; nothing was sent",
                        USAGE)

    def test_aws_managed(self):
        """security-33: alias/aws/ebs of AWS itself is explained, unsent"""
        conf = self.conf(endpoint=None, default_key="alias/aws/ebs")
        self.denied(self.call("generate", "-", json.dumps(CONTEXT),
                              config=conf),
                    "^kms-call: key 'alias/aws/ebs': AWS lets only its own services use the keys it manages; make a customer managed key and set it as default-key for region us-east-1 in ",
                    USAGE)

    def test_reencrypt_destination(self):
        """security-01: rewrap to a key outside allow-keys is denied, unsent"""
        other = ARN.replace(ACCOUNT, "999988887777")
        self.denied(self.call("reencrypt", ARN, "{}", self.wrapped(), other,
                              "{}"), f"key '{other}': allow-keys does not cover it")

    def test_reencrypt_other_region(self):
        """client: rewrap into another region is refused, unsent"""
        path = self.conf()
        path.write_text(path.read_text() + f"[region eu-west-1]\n"
                        f"account = {ACCOUNT}\n")
        self.denied(self.call("reencrypt", ARN, "{}", self.wrapped(),
                              ARN.replace(REGION, "eu-west-1"), "{}",
                              config=path),
                    "in region eu-west-1, but the volume's key is in region us-east-1, and a KMS rewraps within one region only; choose a key there$",
                    USAGE)


if __name__ == "__main__":
    tap.main()
