#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope-kms with --client-ca: who has no certificate gets nowhere."""
import http.client
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest

from server_fixture import (REGION, WAIT_SECONDS, Server, Signer, run,
                            wait_for)
import tap

NOTHING = "refused: the client has no certificate\n"


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True,
                   capture_output=True, timeout=WAIT_SECONDS)


class Authority:
    """A CA of openssl's own making, and what it signs."""

    def __init__(self, folder, name):
        self.folder = folder / name
        self.folder.mkdir()
        self.pem, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                f"/CN={name}", "-keyout", self.key, "-out", self.pem)

    def sign(self, name, days=1, usage="clientAuth"):
        """A file with certificate and key."""
        key, request, cert, ext, both = (
            self.folder / f"{name}.{suffix}"
            for suffix in ("key", "csr", "crt", "ext", "pem"))
        ext.write_text(f"extendedKeyUsage = {usage}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey",
                self.key, "-CAcreateserial", "-days", str(days), "-extfile",
                ext, "-out", cert)
        both.write_bytes(cert.read_bytes() + key.read_bytes())
        return both


class ClientCertificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="kms-mtls-"))
        cls.authority = Authority(cls.folder, "hosts")
        cls.good = cls.authority.sign("host")
        cls.stranger = Authority(cls.folder, "strangers").sign("stranger")
        cls.expired = cls.authority.sign("expired", days=-1)
        cls.not_client = cls.authority.sign("server", usage="serverAuth")
        cls.server = Server(start=False)
        cls.server.start("--client-ca", str(cls.authority.pem))

    @classmethod
    def tearDownClass(cls):
        cls.server.end()
        shutil.rmtree(cls.folder)

    def setUp(self):
        self.server.client_cert = self.good

    def curl(self, cert, *options, path="/health"):
        return subprocess.run(
            ["curl", "-sS", "-o", "-", "-w", "%{http_code}", "--cacert",
             str(self.server.dir / "ca.pem"),
             *(("--cert", str(cert)) if cert else ()), *options,
             self.server.endpoint + path],
            capture_output=True, text=True, timeout=WAIT_SECONDS,
            check=False)

    def refusal(self, cert, why):
        """curl's handshake with @cert ends, for both TLS versions, and the
        server's log says @why."""
        for version in ("--tls-max=1.2", "--tlsv1.3"):
            before = self.server.stderr().count(why)
            done = self.curl(cert, version.split("=")[0],
                             *version.split("=")[1:])
            self.assertNotEqual(0, done.returncode, done.stdout)
            self.assertEqual("000", done.stdout)
            wait_for(lambda: self.server.stderr().count(why) > before,
                     f"the message: {why}")

    def test_right(self):
        """kms-mtls-certificate-of-the-right-authority"""
        for version in ("--tlsv1.2", "--tlsv1.3"):
            done = self.curl(self.good, version)
            self.assertEqual((0, "200", ""), (done.returncode, done.stdout,
                                              done.stderr))
        self.assertEqual(200, self.server.call("GenerateRandom", {
            "NumberOfBytes": 1}).status)

    def test_signature_is_needed_all_the_same(self):
        """kms-mtls-does-not-replace-the-signature"""
        self.assertEqual("MissingAuthenticationToken", self.server.send(
            b"{}", [("Host", "x")]).code)
        self.assertEqual("InvalidSignatureException", self.server.call(
            "ListKeys", secret="x" * 40).code)

    def test_none(self):
        """security-30-mtls-nothing-without-a-certificate-not-even-health"""
        self.refusal(None, f"127.0.0.1: {NOTHING}")
        self.server.client_cert = None
        records = len(self.server.audit())
        with self.assertRaises((ssl.SSLError, OSError,
                                http.client.HTTPException)):
            self.server.call("ListKeys")
        self.assertEqual(records, len(self.server.audit()))

    def test_wrong_authority(self):
        """kms-mtls-certificate-of-another-authority"""
        self.refusal(self.stranger, "127.0.0.1: refused: The certificate is NOT trusted. The certificate issuer is unknown.\n")

    def test_self_signed(self):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=hosts",
                "-keyout", self.folder / "self.key", "-out",
                self.folder / "self.crt")
        both = self.folder / "self.pem"
        both.write_bytes((self.folder / "self.crt").read_bytes() +
                         (self.folder / "self.key").read_bytes())
        self.refusal(both, "127.0.0.1: refused: The certificate is NOT trusted.")

    def test_expired(self):
        """kms-mtls-expired-certificate"""
        self.refusal(self.expired, "127.0.0.1: refused: The certificate is NOT trusted. The certificate chain uses expired certificate.\n")

    def test_certificate_of_a_server(self):
        """kms-mtls-certificate-that-is-not-for-clients"""
        self.refusal(self.not_client, "127.0.0.1: refused: The certificate is NOT trusted. The certificate chain does not match the intended purpose.\n")

    def test_boto3(self):
        """kms-mtls-boto3"""
        import boto3
        import botocore.config
        access, secret = self.server.credentials()

        def client(cert):
            return boto3.client(
                "kms", region_name=REGION,
                endpoint_url=self.server.endpoint,
                verify=str(self.server.dir / "ca.pem"),
                aws_access_key_id=access, aws_secret_access_key=secret,
                config=botocore.config.Config(
                    retries={"total_max_attempts": 1}, client_cert=cert))

        blob = client(str(self.good)).encrypt(KeyId="alias/envelope",
                                              Plaintext=b"x")
        self.assertEqual(b"x", client(str(self.good)).decrypt(
            CiphertextBlob=blob["CiphertextBlob"])["Plaintext"])
        for cert in (None, str(self.stranger)):
            with self.assertRaises(Exception):
                client(cert).list_keys()

    def test_openssl(self):
        """kms-mtls-openssl-s-client"""
        def handshake(*cert):
            return subprocess.run(
                ["openssl", "s_client", "-connect",
                 f"127.0.0.1:{self.server.port}", "-CAfile",
                 str(self.server.dir / "ca.pem"), "-quiet", *cert],
                input="GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                capture_output=True, text=True, timeout=WAIT_SECONDS,
                check=False)
        self.assertIn("HTTP/1.1 200", handshake(
            "-cert", str(self.good), "-key", str(self.good)).stdout)
        self.assertNotIn("HTTP/1.1", handshake().stdout)
        self.assertNotIn("HTTP/1.1", handshake(
            "-cert", str(self.stranger), "-key", str(self.stranger)).stdout)

    def test_no_resumption(self):
        """kms-mtls-a-session-is-not-resumed-without-its-certificate"""
        context = ssl.create_default_context(
            cafile=str(self.server.dir / "ca.pem"))
        context.load_cert_chain(self.good)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.server.port, context=context, timeout=60)
        connection.request("GET", "/health")
        self.assertEqual(200, connection.getresponse().status)
        session = connection.sock.session
        connection.close()
        with socket.create_connection(("127.0.0.1", self.server.port),
                                      timeout=60) as raw:
            with context.wrap_socket(raw, server_hostname="127.0.0.1",
                                     session=session) as tls:
                self.assertFalse(tls.session_reused)


class Reload(unittest.TestCase):
    def test_reload(self):
        """kms-mtls-reload-takes-a-new-authority"""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="kms-mtls-"))
        self.addCleanup(shutil.rmtree, folder)
        old, new = Authority(folder, "old"), Authority(folder, "new")
        ca = folder / "ca.pem"
        shutil.copy(old.pem, ca)
        server = Server(start=False)
        self.addCleanup(server.end)
        server.start("--client-ca", str(ca))
        server.client_cert = new.sign("host")
        with self.assertRaises((OSError, http.client.HTTPException)):
            server.call("ListKeys")
        # As tools replace files, and in place of one that is no good.
        ca.write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "certificate not reloaded" in server.stderr(),
                 "the message")
        self.assertIn(f"{ca}: no certificates in PEM\n", server.stderr())
        shutil.copy(new.pem, folder / "fresh")
        (folder / "fresh").rename(ca)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "certificate reloaded" in server.stderr(),
                 "the message")
        self.assertEqual(200, server.call("ListKeys").status)
        server.client_cert = old.sign("host")
        with self.assertRaises((OSError, http.client.HTTPException)):
            server.call("ListKeys")

    def test_usage(self):
        server = Server(start=False)
        self.addCleanup(server.close)
        bad = server.folder / "bad.pem"
        for path, text in ((bad, "No such file or directory"),
                           (bad, "no certificates in PEM")):
            done = run("serve", server.dir, "--port", "0", "--client-ca",
                       path)
            self.assertEqual(1, done.returncode)
            self.assertIn(f"{bad}: ", done.stderr)
            self.assertTrue(done.stderr.endswith(f"{text}\n"), done.stderr)
            bad.write_text("nonsense")


if __name__ == "__main__":
    tap.main()
