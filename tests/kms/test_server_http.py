#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile requests: sizes, JSON, connections. The server stays itself."""
import json
import socket
import ssl
import threading
import warnings

from server_fixture import ServerCase, Signer
import tap

BODY_MAX = 96 * 1024


class Hostile(ServerCase):
    def tearDown(self):
        self.assertEqual(200, self.server.call("ListKeys").status)

    def test_hostile_json(self):
        """kms-hostile-json-refused"""
        for body in (b"", b" ", b"{", b"[]", b"null", b"1", b'"x"', b"{}{}",
                     b"{} x", b'{"a":1,}', b"{'a':1}", b'{"a":NaN}',
                     b'{"a":1,"a":2}', b'{"a":{"b":1,"b":2}}',
                     b'{"a":"\\u0000"}', b'{"a\\u0000b":1}', b'{"a":"\0"}',
                     b'{"a":"\xff"}', b'{"a":"\xc0\x80"}',
                     b'{"a":"\xed\xa0\x80"}', b'{"a":"\\ud800"}',
                     b'{"a":' + b"[" * 9 + b"]" * 9 + b"}",
                     b'{"a":' * 5000, b"[" * 90000,
                     b'{"Limit":99999999999999999999}',
                     b'{"Limit":1e400}', b'\xef\xbb\xbf{}'):
            reply = self.server.call("ListKeys", body)
            self.assertEqual((400, {"__type": "SerializationException"}),
                             (reply.status, reply.json), body[:40])

    def test_size_limit(self):
        pad = b'{"Whatever":"' + b"x" * (BODY_MAX - 15) + b'"}'
        self.assertEqual(BODY_MAX, len(pad))
        self.assertEqual(200, self.server.call("ListKeys", pad).status)
        reply = self.server.call("ListKeys", pad + b" ")
        self.assertEqual((413, "RequestEntityTooLargeException",
                          f"The request is larger than {BODY_MAX} bytes."),
                         (reply.status, reply.code, reply.message))
        reply = self.server.send(b"x" * (4 << 20), [("Host", "x")])
        self.assertEqual(413, reply.status)

    def test_header_limits(self):
        many = [(f"H{i}", "x") for i in range(70)]
        reply = self.server.call("ListKeys", extra=many)
        self.assertEqual((413, "The request has more than 64 headers."),
                         (reply.status, reply.message))
        reply = self.server.call("ListKeys", extra=[("Long", "x" * 70000)])
        self.assertGreaterEqual(reply.status, 400)

    def test_chunked_body(self):
        body = b'{"Limit": 1}'
        connection = self.server.connection()
        headers = dict(Signer(self.server).headers("ListKeys", body))
        connection.request("POST", "/", iter([body[:5], body[5:]]), headers,
                           encode_chunked=True)
        self.assertEqual(200, connection.getresponse().status)
        connection.close()

    def test_keep_alive(self):
        connection = self.server.connection()
        for limit in range(1, 20):
            body = json.dumps({"Limit": limit}).encode()
            connection.request("POST", "/", body, dict(
                Signer(self.server).headers("ListKeys", body)))
            answer = connection.getresponse()
            self.assertEqual(200, answer.status)
            answer.read()
        connection.close()

    def test_half_requests(self):
        context = ssl.create_default_context(
            cafile=str(self.server.dir / "ca.pem"))
        for data in (b"", b"\0" * 100, b"POST / HTTP/1.1\r\nHost: x\r\n",
                     b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
                     b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                     b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                     b"\r\n" * 1000):
            with socket.create_connection(
                    ("127.0.0.1", self.server.port), timeout=60) as raw:
                with context.wrap_socket(
                        raw, server_hostname="localhost") as tls:
                    try:
                        tls.sendall(data)
                    except OSError:
                        pass

    def test_no_tls_handshake(self):
        for data in (b"", b"\x16\x03\x01", b"GET / HTTP/1.0\r\n\r\n",
                     b"\xff" * 1000):
            with socket.create_connection(
                    ("127.0.0.1", self.server.port), timeout=60) as raw:
                raw.sendall(data)

    def test_old_tls_refused(self):
        context = ssl.create_default_context(
            cafile=str(self.server.dir / "ca.pem"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", self.server.port),
                                      timeout=60) as raw:
            with self.assertRaises(ssl.SSLError):
                context.wrap_socket(raw, server_hostname="localhost")

    def test_certificate_of_this_server_only(self):
        context = ssl.create_default_context()
        with socket.create_connection(("127.0.0.1", self.server.port),
                                      timeout=60) as raw:
            with self.assertRaises(ssl.SSLCertVerificationError):
                context.wrap_socket(raw, server_hostname="localhost")

    def test_many_at_once(self):
        """kms-concurrent-clients-each-get-their-own-answer"""
        wrong = []

        def work(number):
            kms = self.server.client()
            for i in range(10):
                plain = f"{number}/{i}".encode()
                context = {"who": str(number)}
                blob = kms.encrypt(KeyId="alias/envelope", Plaintext=plain,
                                   EncryptionContext=context)
                back = kms.decrypt(CiphertextBlob=blob["CiphertextBlob"],
                                   EncryptionContext=context)
                if back["Plaintext"] != plain:
                    wrong.append(plain)

        before = len(self.server.audit())
        threads = [threading.Thread(target=work, args=(n,))
                   for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], wrong)
        records = self.server.audit()[before:]
        self.assertEqual(160, len(records))
        self.assertEqual(160, len({r["requestID"] for r in records}))


if __name__ == "__main__":
    tap.main()
