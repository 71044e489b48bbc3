#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Where envelope-kms listens: UNIX sockets, and plain HTTP on loopback."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import unittest

import botocore.model
import botocore.session

from server_fixture import (PROGRAM, REGION, WAIT_SECONDS, Server, Signer,
                            run, wait_for)
import tap

TABLE = (pathlib.Path(__file__).resolve().parent.parent.parent /
         "tools/envelope-kms/operations.c")


def operations():
    """Every operation that the server's own table has a handler for."""
    return re.findall(r'^\t\{ "(\w+)", op_\w+,', TABLE.read_text(), re.M)


def secret_answers():
    """Those whose answer has a secret, by the SDK's model of the API."""
    session = botocore.session.get_session()
    found = set()
    for name in ("kms", "sts"):
        model = session.get_service_model(name)
        for operation in model.operation_names:
            shape = model.operation_model(operation).output_shape
            if shape and secret_in(shape):
                found.add(operation)
    return found


def secret_in(shape, depth=0):
    if depth > 4 or not isinstance(shape, botocore.model.StructureShape):
        return False
    names = {"Plaintext", "PrivateKeyPlaintext", "SharedSecret",
             "SecretAccessKey"}
    return bool(names & set(shape.members)) or any(
        secret_in(member, depth + 1) for member in shape.members.values())


class Case(unittest.TestCase):
    def server(self, **options):
        server = Server(start=False, **options)
        self.addCleanup(server.end)
        self.path = str(server.folder / "kms.sock")
        return server

    def refused(self, status, text, server, *options):
        done = run("serve", server.dir, "--port", "0", *options)
        self.assertEqual((status, f"envelope-kms: {text}\n"),
                         (done.returncode, done.stderr))


class Loopback(Case):
    def test_secrets_are_refused(self):
        """security-32-plain-http-on-loopback-returns-no-plaintext"""
        server = self.server().start()
        blob = server.call("Encrypt", {
            "KeyId": "alias/envelope",
            "Plaintext": "eA=="}).json["CiphertextBlob"]
        server.stop()
        server.start("--plain-http")
        self.assertEqual(f"http://127.0.0.1:{server.port}", server.endpoint)
        for operation, body in (
                ("Decrypt", {"CiphertextBlob": blob}),
                ("GenerateDataKey", {"KeyId": "alias/envelope",
                                     "NumberOfBytes": 64}),
                ("GenerateRandom", {"NumberOfBytes": 32})):
            answer = server.call(operation, body)
            self.assertEqual(
                (400, {"__type": "UnsupportedOperationException", "message":
                       f"The answer of {operation} is secret, and this is plain HTTP: use TLS or a UNIX socket."}),
                (answer.status, answer.json))
            self.assertEqual(
                (operation, "UnsupportedOperationException"),
                tuple(server.audit()[-1][k] for k in ("eventName",
                                                      "errorCode")))
        for operation, body in (
                ("GenerateDataKeyWithoutPlaintext",
                 {"KeyId": "alias/envelope", "NumberOfBytes": 64}),
                ("Encrypt", {"KeyId": "alias/envelope",
                             "Plaintext": "eA=="}),
                ("ReEncrypt", {"CiphertextBlob": blob,
                               "DestinationKeyId": "alias/envelope"}),
                ("DescribeKey", {"KeyId": "alias/envelope"})):
            self.assertEqual(200, server.call(operation, body).status,
                             operation)

    def test_every_operation(self):
        """security-32-every-operation-with-a-secret-answer-is-refused"""
        server = self.server().start("--plain-http")
        known = operations()
        self.assertGreater(len(known), 35)
        secret = secret_answers()
        self.assertLessEqual({"Decrypt", "GenerateDataKey", "GenerateRandom",
                              "AssumeRole"}, secret)
        for operation in known:
            answer = server.call(operation, {})
            self.assertEqual(operation in secret, "plain HTTP" in
                             answer.message, (operation, answer.body))

    def test_assume_role(self):
        """security-32-no-credentials-over-plain-http"""
        import boto3
        server = self.server().start("--plain-http")
        access, secret = server.credentials()
        sts = boto3.client(
            "sts", region_name=REGION, endpoint_url=server.endpoint,
            aws_access_key_id=access, aws_secret_access_key=secret)
        self.assertRegex(sts.get_caller_identity()["Arn"], "administrator$")
        with self.assertRaisesRegex(Exception, "The answer of AssumeRole is secret, and this is plain HTTP"):
            sts.assume_role(RoleArn="arn:aws:iam::111122223333:role/any",
                            RoleSessionName="any")

    def test_other_addresses(self):
        """security-32-plain-http-refused-for-any-other-address"""
        server = self.server()
        for address in ("0.0.0.0", "::", "192.0.2.1"):
            self.refused(1, f"--plain-http: {address} can be reached from elsewhere; listen on 127.0.0.1, ::1 or a UNIX socket, or use TLS",
                         server, "--plain-http", "--listen", address)
        for address in ("127.0.0.9", "::1", "::ffff:127.0.0.1"):
            server.start("--plain-http", "--listen", address)
            server.stop()

    def test_signatures_are_needed(self):
        server = self.server().start("--plain-http")
        self.assertEqual("MissingAuthenticationToken", server.send(
            b"{}", [("Host", "x")]).code)
        self.assertEqual("InvalidSignatureException", server.call(
            "ListKeys", secret="x" * 40).code)

    def test_policies_know_of_it(self):
        """kms-secure-transport-is-false-without-tls"""
        server = self.server()
        policy = server.folder / "policy"
        policy.write_text('{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:ListKeys","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}}')
        done = run("identity", "put-policy", server.dir, "--user",
                   "administrator", "tls-only", policy)
        self.assertEqual(0, done.returncode, done.stderr)
        server.start()
        self.assertEqual(200, server.call("ListKeys").status)
        server.stop()
        server.start("--plain-http")
        self.assertEqual("AccessDeniedException",
                         server.call("ListKeys").code)


class Unix(Case):
    def test_round_trip(self):
        """security-32-a-unix-socket-may-return-plaintext"""
        server = self.server()
        server.start("--plain-http", "--listen", f"unix:{self.path}")
        self.assertEqual(f"unix:{self.path}", server.endpoint)
        wait_for(server.stdout, "what it says")
        self.assertEqual(f"listening on unix:{self.path}\n\n",
                         server.stdout())
        made = server.call("GenerateDataKey", {
            "KeyId": "alias/envelope", "NumberOfBytes": 64}).json
        back = server.call("Decrypt", {
            "CiphertextBlob": made["CiphertextBlob"]}).json
        self.assertEqual(made["Plaintext"], back["Plaintext"])
        self.assertEqual(f"unix:{os.getuid()}",
                         server.audit()[-1]["sourceIPAddress"])
        self.assertEqual(0o600, os.stat(self.path).st_mode & 0o777)
        server.stop()
        self.assertFalse(os.path.exists(self.path))

    def curl(self, server, operation, body, *options):
        headers = [f"{name}: {value}" for name, value in
                   Signer(server).headers(operation, body.encode())]
        return subprocess.run(
            ["curl", "-sS", "--fail-with-body", "--unix-socket", self.path,
             *options, *[a for h in headers for a in ("-H", h)],
             "--data-binary", body],
            capture_output=True, text=True, timeout=WAIT_SECONDS,
            check=False)

    def test_curl(self):
        """kms-curl-speaks-to-a-unix-socket"""
        server = self.server()
        server.start("--plain-http", "--listen", f"unix:{self.path}")
        done = self.curl(server, "ListAliases", "{}", "http://localhost/")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn('"alias/envelope"', done.stdout)

    def test_tls(self):
        """kms-curl-speaks-tls-to-a-unix-socket"""
        server = self.server()
        server.start("--listen", f"unix:{self.path}", "--socket-mode", "666")
        self.assertEqual(0o666, os.stat(self.path).st_mode & 0o777)
        done = self.curl(server, "GenerateRandom", '{"NumberOfBytes":8}',
                         "--cacert", str(server.dir / "ca.pem"),
                         "https://localhost/")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn('"Plaintext"', done.stdout)
        done = self.curl(server, "ListAliases", "{}", "http://localhost/")
        self.assertNotEqual(0, done.returncode)

    def test_boto3(self):
        """kms-boto3-speaks-to-a-unix-socket"""
        import botocore.awsrequest
        path = None

        class Connection(botocore.awsrequest.AWSHTTPConnection):
            def connect(self):
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.connect(path)

        server = self.server()
        path = self.path
        server.start("--plain-http", "--listen", f"unix:{path}")
        server.endpoint, kept = "http://localhost", server.endpoint
        kms = server.client()
        server.endpoint = kept
        manager = kms._endpoint.http_session._manager
        manager.pool_classes_by_scheme = {
            "http": type("Pool", (manager.pool_classes_by_scheme["http"],),
                         {"ConnectionCls": Connection})}
        blob = kms.encrypt(KeyId="alias/envelope", Plaintext=b"x")
        self.assertEqual(b"x", kms.decrypt(
            CiphertextBlob=blob["CiphertextBlob"])["Plaintext"])

    def test_source_address(self):
        """kms-source-ip-is-absent-on-a-unix-socket"""
        server = self.server()
        policy = server.folder / "policy"
        policy.write_text('{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:ListKeys","Resource":"*","Condition":{"Null":{"aws:SourceIp":"true"}}}}')
        done = run("identity", "put-policy", server.dir, "--user",
                   "administrator", "tcp-only", policy)
        self.assertEqual(0, done.returncode, done.stderr)
        server.start("--plain-http", "--listen", f"unix:{self.path}")
        self.assertEqual("AccessDeniedException",
                         server.call("ListKeys").code)

    def test_killed_server_leaves_one(self):
        """kms-unix-socket-of-a-killed-server-is-replaced"""
        server = self.server()
        listen = ("--plain-http", "--listen", f"unix:{self.path}")
        server.start(*listen)
        server.stop(signal.SIGKILL)
        self.assertTrue(os.path.exists(self.path))
        server.start(*listen)
        self.assertEqual(200, server.call("ListKeys").status)

    def test_taken(self):
        """kms-unix-socket-of-a-living-server-is-left-alone"""
        server = self.server()
        listen = ("--plain-http", "--listen", f"unix:{self.path}")
        server.start(*listen)
        other = Server(start=False)
        self.addCleanup(other.close)
        self.refused(1, f"cannot listen on {self.path}: another server answers there",
                     other, *listen)
        self.assertEqual(200, server.call("ListKeys").status)
        server.stop()
        pathlib.Path(self.path).write_text("mine")
        self.refused(1, f"cannot listen on {self.path}: there is a file that is no socket",
                     other, *listen)
        self.assertEqual("mine", pathlib.Path(self.path).read_text())

    def test_socket_activation(self):
        """kms-unix-socket-of-the-service-manager"""
        server = self.server()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen(16)
            script = (f"import os, sys; os.dup2({listener.fileno()}, 3); "
                      "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); "
                      "os.execv(sys.argv[1], sys.argv[1:])")
            with open(server.folder / "stderr", "ab") as err:
                server.process = subprocess.Popen(
                    ["/usr/bin/python3", "-c", script, PROGRAM, "serve",
                     str(server.dir), "--plain-http"],
                    stdout=subprocess.DEVNULL, stderr=err,
                    pass_fds=[listener.fileno()])
            server.endpoint = f"unix:{self.path}"
            server.out = server.err = open(os.devnull)
            self.assertEqual(200, server.call(
                "GenerateRandom", {"NumberOfBytes": 1}).status)
            server.stop()
        self.assertTrue(os.path.exists(self.path), "not ours to remove")

    def test_reload(self):
        """kms-reload-over-plain-http-keeps-answering"""
        server = self.server()
        server.start("--plain-http", "--listen", f"unix:{self.path}")
        server.process.send_signal(signal.SIGHUP)
        for _ in range(20):
            self.assertEqual(200, server.call("ListKeys").status)

    def test_usage(self):
        server = Server(start=False)
        self.addCleanup(server.close)
        long = "/" + "x" * 108
        for path in ("relative", "", long):
            self.refused(1, f"--listen unix:{path}: not an absolute path of at most 107 characters",
                         server, "--listen", f"unix:{path}")
        self.refused(1, "cannot listen on /nonexistent/x: No such file or directory",
                     server, "--listen", "unix:/nonexistent/x")
        for mode in ("x", "", "400", "1666", "0668", "-1"):
            self.refused(2, f"--socket-mode {mode}: not a mode from 600 to 777 that lets the server itself read and write",
                         server, "--socket-mode", mode)
        self.refused(2, "--client-ca: plain HTTP knows no certificates; leave out --plain-http",
                     server, "--plain-http", "--client-ca", "x")
        done = run("init", server.folder / "new", "--listen", "unix:/x")
        self.assertEqual(
            (2, "envelope-kms: --listen unix:/x: only serve listens on a UNIX socket; give init the address of hosts\n"),
            (done.returncode, done.stderr))


if __name__ == "__main__":
    tap.main()
