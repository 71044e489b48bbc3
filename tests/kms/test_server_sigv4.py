#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What envelope-kms refuses of a signature, each with its own words."""
import datetime
import json
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from server_fixture import REGION, ServerCase, Signer
import tap

MISMATCH = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
LIST = b"{}"


def stamp(age_seconds):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now - datetime.timedelta(seconds=age_seconds))


class Refusals(ServerCase):
    def check(self, reply, code, message=None):
        self.assertEqual((400, code), (reply.status, reply.code))
        if message is not None:
            self.assertEqual(message, reply.message)
        self.assertIn("x-amzn-RequestId", reply.headers)

    def replace(self, name, value):
        """A good request with one header's value changed afterwards."""
        pairs = Signer(self.server).headers("ListKeys", LIST)
        return self.server.send(LIST, [
            (n, value if n == name else v) for n, v in pairs])

    def test_good_signature(self):
        reply = self.server.call("ListKeys")
        self.assertEqual(200, reply.status)

    def test_wrong_secret(self):
        self.check(self.server.call("ListKeys", secret="x" * 40),
                   "InvalidSignatureException", MISMATCH)

    def test_unknown_access_key(self):
        for access in ("AKIAAAAAAAAAAAAAAAAA", "x", "'OR'1'='1",
                       "x" * 128):
            self.check(self.server.call("ListKeys", access=access),
                       "UnrecognizedClientException",
                       "The security token included in the request is invalid.")
        self.check(self.server.call("ListKeys", access="x" * 129),
                   "IncompleteSignature")

    def test_session_token_of_nobody(self):
        self.check(self.server.call("ListKeys", extra=[
            ("X-Amz-Security-Token", "token")]),
            "UnrecognizedClientException")

    def test_tampered_body(self):
        pairs = Signer(self.server).headers("ListKeys", LIST)
        for body in (b"{ }", b"", b'{"Limit":1}'):
            self.check(self.server.send(body, pairs),
                       "InvalidSignatureException", MISMATCH)

    def test_unsigned_payload(self):
        """kms-unsigned-payload-refused"""
        self.check(self.server.call(
            "ListKeys", payload="UNSIGNED-PAYLOAD",
            extra=[("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")]),
            "InvalidSignatureException", MISMATCH)

    def test_tampered_target_and_host(self):
        for name, value in (("X-Amz-Target", "TrentService.CreateKey"),
                            ("Host", "kms.us-east-1.amazonaws.com"),
                            ("Content-Type", "application/json")):
            self.check(self.replace(name, value),
                       "InvalidSignatureException", MISMATCH)

    def test_tampered_method(self):
        pairs = Signer(self.server).headers("ListKeys", LIST)
        for method in ("PUT", "GET", "DELETE"):
            self.check(self.server.send(LIST, pairs, method=method),
                       "InvalidSignatureException", MISMATCH)

    def test_clock_too_early_and_too_late(self):
        for age in (290, -290):
            self.assertEqual(200, self.server.call(
                "ListKeys", age_seconds=age).status)
        reply = self.server.call("ListKeys", age_seconds=330)
        self.check(reply, "InvalidSignatureException")
        self.assertRegex(reply.message, r"^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$")
        reply = self.server.call("ListKeys", age_seconds=-330)
        self.check(reply, "InvalidSignatureException")
        self.assertRegex(reply.message, r"^Signature not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 5 min\.\)$")

    def test_replayed_with_a_new_date(self):
        old = Signer(self.server, age_seconds=600).headers("ListKeys", LIST)
        fresh = stamp(0).strftime("%Y%m%dT%H%M%SZ")
        pairs = [(n, fresh if n == "X-Amz-Date" else v) for n, v in old]
        self.check(self.server.send(LIST, pairs),
                   "InvalidSignatureException", MISMATCH)

    def test_replayed_under_another_days_scope(self):
        yesterday = stamp(86400).strftime("%Y%m%d")
        reply = self.server.call("ListKeys", date=yesterday)
        self.check(reply, "InvalidSignatureException")
        self.assertRegex(reply.message, rf"^Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{yesterday}' != '\d{{8}}', from '\d{{8}}T\d{{6}}Z'\.$")

    def test_wrong_scope(self):
        for how, message in (
                ({"region": "eu-west-1"}, "Credential should be scoped to a valid region, not 'eu-west-1'."),
                ({"service": "s3"}, "Credential should be scoped to correct service: 'kms'."),
                ({"terminator": "aws5_request"}, "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.")):
            self.check(self.server.call("ListKeys", **how),
                       "InvalidSignatureException", message)

    def test_scope_cut_out_of_another(self):
        """A signature for one region does not pass with another's name."""
        pairs = Signer(self.server, region="eu-west-1").headers(
            "ListKeys", LIST)
        self.check(self.server.send(LIST, [
            (n, v.replace("eu-west-1", REGION)) for n, v in pairs]),
            "InvalidSignatureException", MISMATCH)

    def test_headers_that_must_be_signed(self):
        self.check(self.server.call("ListKeys", unsigned=["Host"]),
                   "InvalidSignatureException",
                   "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
        for name in ("X-Amz-Date", "X-Amz-Target"):
            self.check(self.server.call("ListKeys", unsigned=[name]),
                       "InvalidSignatureException",
                       f"There were headers present in the request which were not signed: {name}")
        self.check(self.server.call("ListKeys", extra=[("X-Amz-Foo", "1")],
                                    unsigned=["X-Amz-Foo"]),
                   "InvalidSignatureException",
                   "There were headers present in the request which were not signed: X-Amz-Foo")

    def test_duplicate_headers(self):
        """security-28-duplicate-signed-headers-refused"""
        for name in ("X-Amz-Target", "Content-Type", "Host", "X-Amz-Date"):
            pairs = Signer(self.server).headers("ListKeys", LIST)
            again = [(n, v) for n, v in pairs if n == name]
            reply = self.server.send(LIST, pairs + again)
            self.assertEqual(400, reply.status)
            if name not in ("Host", "X-Amz-Date"):
                self.check(reply, "InvalidSignatureException",
                           f"The signed header '{name}' occurs more than once.")
        self.check(self.server.call("ListKeys", extra=[
            ("X-Twice", "1"), ("X-Twice", "1")]),
            "InvalidSignatureException",
            "The signed header 'X-Twice' occurs more than once.")
        pairs = Signer(self.server).headers("ListKeys", LIST)
        self.check(self.server.send(LIST, pairs + [pairs[-1]]),
                   "IncompleteSignature",
                   "There is more than one Authorization header.")

    def test_query_authentication(self):
        """security-28-presigned-query-refused"""
        access, secret = self.server.credentials()
        request = botocore.awsrequest.AWSRequest(
            "POST", self.server.endpoint + "/?Action=x", data=LIST)
        botocore.auth.SigV4QueryAuth(
            botocore.credentials.Credentials(access, secret), "kms",
            REGION).add_auth(request)
        path = urllib.parse.urlsplit(request.url)
        reply = self.server.send(LIST, [
            ("Host", path.netloc),
            ("X-Amz-Target", "TrentService.ListKeys")],
            path=f"/?{path.query}")
        self.check(reply, "IncompleteSignature",
                   "Query-string authentication is not accepted; sign the Authorization header.")

    def test_other_paths(self):
        pairs = Signer(self.server).headers("ListKeys", LIST)
        for path in ("/x", "//", "/?", "/?a=b", "/%2f", "/.."):
            self.check(self.server.send(LIST, pairs, path=path),
                       "UnknownOperationException")

    def test_incomplete_authorization(self):
        self.check(self.server.send(LIST, [("Host", "x")]),
                   "MissingAuthenticationToken",
                   "Missing Authentication Token")
        good = dict(Signer(self.server).headers("ListKeys",
                                                LIST))["Authorization"]
        parts = "Authorization header requires '%s' parameter."
        for value, message in (
                ("Basic dXNlcg==", "Authorization header must begin with 'AWS4-HMAC-SHA256'."),
                (good.replace("Credential", "Credentials"), parts % "Credential"),
                (good.replace("SignedHeaders", "Signed"), parts % "SignedHeaders"),
                (good.replace("Signature", "Sig"), parts % "Signature"),
                (good.replace("/kms/", "/"), "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term."),
                (good.replace("host;", "Host;"), "'SignedHeaders' must be lower-case names, sorted, each once.")):
            self.check(self.replace("Authorization", value),
                       "IncompleteSignature", message)
        for date in ("", "2026-01-01T00:00:00Z", "now"):
            self.check(self.replace("X-Amz-Date", date),
                       "IncompleteSignature",
                       "Date must be in ISO-8601 'basic format' in one 'X-Amz-Date' header.")

    def test_signature_characters(self):
        pairs = Signer(self.server).headers("ListKeys", LIST)
        name, good = pairs[-1]
        for signature in ("", "0" * 64, "0" * 63, "G" * 64,
                          good[-64:].upper(), good[-64:-1]):
            reply = self.server.send(LIST, pairs[:-1] + [
                (name, good[:-64] + signature)])
            self.check(reply, "InvalidSignatureException", MISMATCH)

    def test_replay_within_the_window(self):
        """security-32-replay-within-five-minutes-is-as-with-aws"""
        pairs = Signer(self.server).headers("ListKeys", LIST)
        for _ in range(2):
            self.assertEqual(200, self.server.send(LIST, pairs).status)

    def test_no_plain_http(self):
        """security-32-no-plain-http"""
        import socket
        with socket.create_connection(("127.0.0.1", self.server.port),
                                      timeout=60) as plain:
            plain.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                data = plain.recv(100)
            except ConnectionResetError:
                data = b""
        self.assertFalse(data.startswith(b"HTTP"))


class Allowance(ServerCase):
    def test_failures_are_limited_and_users_are_not(self):
        """security-30-unauthenticated-failures-limited-and-not-audited"""
        codes = []
        connection = self.server.connection()
        while "ThrottlingException" not in codes and len(codes) < 2000:
            connection.request("POST", "/", b"{}", {"Host": "x"})
            answer = connection.getresponse()
            codes.append(json.loads(answer.read())["__type"])
        connection.close()
        self.assertGreaterEqual(len(codes), 101)
        self.assertEqual({"MissingAuthenticationToken"}, set(codes[:-1]))
        self.assertEqual("ThrottlingException", codes[-1])
        self.assertEqual(200, self.server.call("ListKeys").status)
        self.assertEqual(["ListKeys"], [
            r["eventName"] for r in self.server.audit()])
        self.assertRegex(self.server.stderr(), r"envelope-kms: warning: unauthenticated requests refused: \d+, the last from 127\.0\.0\.1\n")
        self.assertLess(self.server.stderr().count("\n"), 5)


if __name__ == "__main__":
    tap.main()
