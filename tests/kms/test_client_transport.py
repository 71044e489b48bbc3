# SPDX-License-Identifier: GPL-2.0-or-later
"""What the client makes of broken networks and broken servers."""
import json
import socket
import threading
import time

from client_case import (ARN, CONTEXT, DONE, UNREACHABLE, Case)
from stranger import (Stranger, drip, endless, error, hang_up, not_http, raw,
                      slow)
import tap

THROTTLE = "ThrottlingException"


def dead_port(test):
    """A port where nobody listens, and nobody else can meanwhile."""
    s = socket.socket()
    test.addCleanup(s.close)
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1]


class Network(Case):
    def test_refused(self):
        """client: nobody listening is exit 4 within the time budget"""
        url = f"https://127.0.0.1:{dead_port(self)}"
        result = self.decrypt(config=self.conf(endpoint=url), timeout=30000)
        self.assert_fails(result, UNREACHABLE, "NoConnection",
                          f"^kms-call: key '{ARN}': KMS {url} cannot be reached \\(.*\\); check the network and that the KMS runs$")
        self.assertGreater(result.out["attempts"], 1)

    def test_no_host(self):
        """client: a host name that does not resolve is exit 4"""
        url = "https://kms.invalid"
        result = self.decrypt(config=self.conf(endpoint=url), timeout=3000)
        self.assertEqual(result.status, UNREACHABLE)
        self.assertIn(result.error, ("NoConnection", "Timeout"))

    def test_silent(self):
        """client: a host that accepts and is silent costs the time budget"""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            url = f"https://127.0.0.1:{s.getsockname()[1]}"
            result = self.decrypt(config=self.conf(endpoint=url),
                                  timeout=700)
        self.assert_fails(result, UNREACHABLE, "Timeout",
                          f"KMS {url} did not answer within the time budget of 700 ms; check the network or raise --timeout$")
        self.assertEqual(result.out["attempts"], 1)

    def test_slow(self):
        """client: an answer that comes too late is exit 4"""
        self.stranger.misbehave(slow(5))
        self.assert_fails(self.decrypt(timeout=500), UNREACHABLE, "Timeout",
                          "time budget of 500 ms")

    def test_drip(self):
        """client: an answer that drips does not stretch the time budget"""
        self.stranger.misbehave(drip(8))
        # Waited for to its end, it would be a connection that broke off.
        self.assert_fails(self.decrypt(timeout=600), UNREACHABLE, "Timeout",
                          "time budget of 600 ms")

    def test_reset(self):
        """client: a connection that is reset is tried again"""
        self.stranger.misbehave(hang_up, hang_up)
        result = self.decrypt()
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["attempts"], 3)

    def test_reset_handshake(self):
        """client: a reset within the TLS handshake is no TLS failure"""
        self.stranger.reset_at_once = True
        result = self.decrypt(timeout=2000)
        self.assert_fails(result, UNREACHABLE, "NoConnection",
                          "cannot be reached")
        self.assertGreater(result.out["attempts"], 1)

    def test_plain_http_server(self):
        """client: a server without TLS is exit 4"""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()

            def serve():
                while True:
                    try:
                        conn, _ = s.accept()
                    except OSError:
                        return
                    conn.recv(4096)
                    conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    conn.close()
            threading.Thread(target=serve, daemon=True).start()
            url = f"https://127.0.0.1:{s.getsockname()[1]}"
            result = self.decrypt(config=self.conf(endpoint=url))
            s.shutdown(socket.SHUT_RDWR)
        self.assert_fails(result, UNREACHABLE, "Tls",
                          "does not prove its identity")


class Retry(Case):
    def test_server_errors(self):
        """client: 500, 503, 429 and KMS faults are tried again"""
        for fault in (error("KMSInternalException", status=500),
                      error("DependencyTimeoutException", status=503),
                      error("KeyUnavailableException", status=500),
                      error("KMSInternalException"),
                      raw(b"<html>bad gateway</html>", 502),
                      raw(b"", 429),
                      error(THROTTLE)):
            self.stranger.behave()
            self.stranger.misbehave(fault)
            result = self.decrypt()
            self.assertEqual(result.status, DONE, result.stderr)
            self.assertEqual(result.out["attempts"], 2)

    def test_gives_up(self):
        """client: an answer that stays 500 is exit 4 after six attempts"""
        self.stranger.misbehave(*[error("KMSInternalException", status=500)]
                                * 20)
        result = self.decrypt(timeout=60000)
        self.assert_fails(result, UNREACHABLE, "KMSInternalException",
                          "cannot do Decrypt now: it has an internal fault \\(KMSInternalException\\); try again later$")
        self.assertEqual(len(self.stranger.calls), 6)

    def test_denials_are_final(self):
        """client: a denial is never tried again"""
        self.stranger.misbehave(error("AccessDeniedException"))
        self.assertEqual(self.decrypt().out["attempts"], 1)
        self.assertEqual(len(self.stranger.calls), 1)

    def test_retry_after(self):
        """client: Retry-After is waited for"""
        self.stranger.misbehave(error(THROTTLE, headers={"Retry-After": "2"}))
        began = time.monotonic()
        result = self.decrypt()
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertGreaterEqual(time.monotonic() - began, 2)

    def test_retry_after_beyond(self):
        """client: Retry-After beyond the time budget ends the attempt at once"""
        self.stranger.misbehave(
            *[error(THROTTLE, headers={"Retry-After": "600"})] * 5)
        result = self.decrypt(timeout=20000)
        self.assert_fails(result, UNREACHABLE, THROTTLE,
                          "it gets too many requests")
        self.assertEqual(result.out["attempts"], 1)

    def test_retry_after_endless(self):
        """client: a Retry-After of years is no way to hang the client"""
        self.stranger.misbehave(
            *[error(THROTTLE, headers={"Retry-After": "99999999999999"})] * 5)
        self.assert_fails(self.decrypt(timeout=20000), UNREACHABLE, THROTTLE,
                          "it gets too many requests")

    def test_budget_over_retries(self):
        """client: retries and waits stay within the time budget"""
        self.stranger.misbehave(
            *[error(THROTTLE, headers={"Retry-After": "4"})] * 20)
        result = self.decrypt(timeout=7500)
        self.assert_fails(result, UNREACHABLE, THROTTLE,
                          "it gets too many requests")
        self.assertLess(result.out["attempts"], 3)

    def test_budget_over_calls(self):
        """client: several calls share one time budget"""
        self.stranger.misbehave(*[slow(0.4)] * 20)
        result = self.call("describe", ARN, timeout=1000,
                           options=["--times", "20"])
        self.assert_fails(result, UNREACHABLE, "Timeout",
                          "time budget of 1000 ms")
        self.assertLess(len(self.stranger.calls), 5)


class Garbage(Case):
    BODIES = {
        b"": "malformed JSON",
        b"<html>welcome to the hotel</html>": "malformed JSON",
        b"[]": "no JSON object",
        b"null": "malformed JSON|no JSON object",
        b"{}": "no KeyId in it",
        b'{"KeyId":7}': "no KeyId in it",
        b'{"KeyId":"x"} trailing': "malformed JSON",
        b'{"KeyId":"x","KeyId":"x"}': "malformed JSON",
        b'{"KeyId":"x","Plaintext":"AAAA","Plaintext":"AAAA"}':
            "malformed JSON",
        b'{"KeyId":"x"}': "no sound Plaintext in it",
        b'{"KeyId":"x","Plaintext":""}': "no sound Plaintext in it",
        b'{"KeyId":"x","Plaintext":7}': "no sound Plaintext in it",
        b'{"KeyId":"x","Plaintext":"AAA"}': "no sound Plaintext in it",
        b'{"KeyId":"x","Plaintext":"A-_A"}': "no sound Plaintext in it",
        b'{"KeyId":"x","Plaintext":"QUJ="}': "no sound Plaintext in it",
        b'{"KeyId":"x\0","Plaintext":"AAAA"}': "NUL byte in JSON",
        b'{"KeyId":"\xff","Plaintext":"AAAA"}': "malformed JSON",
        b'{"a":' * 9 + b"1" + b"}" * 9: "nested more than 8 levels deep",
        b'{"a":' * 9000: "nested more than 8 levels deep",
    }

    def test_bodies(self):
        """client: every kind of garbage is exit 4 and named"""
        for body, why in self.BODIES.items():
            self.stranger.misbehave(raw(body))
            result = self.decrypt()
            self.assert_fails(result, UNREACHABLE, "Garbage",
                              f"^kms-call: key '{ARN}': KMS {self.stranger.url} answered Decrypt with garbage \\(.*({why}).*\\), so it is no sound KMS; check endpoint of region us-east-1$")

    def test_error_bodies(self):
        """client: an error answer without a sound type is garbage"""
        for body in (b"", b"<html>", b"{}", b'{"__type":7}',
                     b'{"__type":""}', b'{"__type":"a b\x1b[31m"}',
                     b'{"__type":"' + b"A" * 500 + b'"}'):
            self.stranger.misbehave(raw(body, 400))
            self.assert_fails(self.decrypt(), UNREACHABLE, "Garbage",
                              "garbage \\(HTTP status 400\\)")

    def test_blob(self):
        """client: a new DEK without a sound wrapped key is garbage"""
        for blob in (None, 7, "", "???", "A" * 8196):
            self.stranger.twist_answers(
                lambda a, blob=blob: dict(a, CiphertextBlob=blob))
            self.assert_fails(self.call("generate", ARN, "{}"), UNREACHABLE,
                              "Garbage", "no sound CiphertextBlob in it")

    def test_oversized(self):
        """client: an oversized answer is exit 4 with its own sentence"""
        big = json.dumps({"KeyId": ARN, "x": "y" * 70000}).encode()
        for fault in (raw(big), endless):
            self.stranger.misbehave(fault)
            self.assert_fails(self.decrypt(), UNREACHABLE, "Oversized",
                              "answered more than 65536 bytes, so it is no sound KMS; check endpoint of region us-east-1$")

    def test_largest(self):
        """client: an answer of exactly 64 KiB is taken"""
        def grow(answer):
            answer["x"] = ""
            answer["x"] = "y" * (65536 - len(json.dumps(answer)))
            return answer
        self.stranger.twist_answers(grow)
        result = self.decrypt()
        self.assertEqual(result.status, DONE, result.stderr)

    def test_not_http(self):
        """client: TLS with something else inside is exit 4"""
        self.stranger.misbehave(not_http)
        self.assert_fails(self.decrypt(), UNREACHABLE, "Garbage",
                          "does not speak HTTPS")

    def test_plaintext_in_error(self):
        """client: a plaintext in an error's text is not repeated"""
        self.stranger.misbehave(error("AccessDeniedException",
                                      "Plaintext: c2VjcmV0"))
        self.assertNotIn("c2VjcmV0", self.decrypt().stderr)


class Redirects(Case):
    def test_redirect(self):
        """security-05: a redirect is never followed"""
        with Stranger(folder=self.home) as other:
            for status in (301, 302, 303, 307, 308):
                self.stranger.misbehave(raw(b"", status,
                                            {"Location": other.url + "/"}))
                self.assert_fails(self.decrypt(), UNREACHABLE, "Redirect",
                                  "answered with a redirect, which is never followed; set endpoint of region us-east-1 to the KMS itself$")
            self.assertEqual(other.connections, 0)


if __name__ == "__main__":
    tap.main()
