# SPDX-License-Identifier: GPL-2.0-or-later
"""Grants by three identities: a user signs, the host sends and uses them."""
import datetime
import io
import json

import awscrt.auth
import awscrt.http
import awscrt.io

from client_case import (ARN, CONTEXT, DENIED, DONE, FAILED, KEY_ID, SECRET,
                         TAMPERED, UNREACHABLE, Case)
from server_fixture import ACCOUNT, REGION, WAIT_SECONDS, Server
from server_people import Person, statement
from stranger import OTHER_ARN, error, raw
import tap

VOLUME = CONTEXT["envelope:volume-id"]
HOST = f"arn:aws:iam::{ACCOUNT}:user/host"
PREFIX = "envelope-0123abc-"
DRY_RUN = "The request would have succeeded, but the DryRun option is set."


def body(key, grantee=HOST, volume=VOLUME, nonce="0" * 32, **more):
    """As grant.c composes it."""
    fields = {"Constraints": {"EncryptionContextSubset": {
        "envelope:generation": "1", "envelope:volume-id": volume}},
              "GranteePrincipal": grantee, "KeyId": key,
              "Name": PREFIX + nonce, "Operations": ["Decrypt"],
              "RetiringPrincipal": grantee, **more}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def sign_awscrt(text, host, date, token=None):
    """The Authorization header of AWS's own signer."""
    headers = awscrt.http.HttpHeaders([
        ("Host", host), ("Content-Type", "application/x-amz-json-1.1"),
        ("X-Amz-Target", "TrentService.CreateGrant")])
    request = awscrt.http.HttpRequest(
        "POST", "/", headers, awscrt.io.InputStream(io.BytesIO(text.encode())))
    when = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ")
    awscrt.auth.aws_sign_request(request, awscrt.auth.AwsSigningConfig(
        algorithm=awscrt.auth.AwsSigningAlgorithm.V4,
        signature_type=awscrt.auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=awscrt.auth.AwsCredentialsProvider.new_static(
            KEY_ID, SECRET, token),
        region=REGION, service="kms",
        date=when.replace(tzinfo=datetime.timezone.utc))).result(WAIT_SECONDS)
    return dict(request.headers)["Authorization"]


class Signed(Case):
    """Against a stranger: what leaves the processes."""

    def sign(self, text, key=ARN, **how):
        return self.call("sign", key, text, options=["--signer"], **how)

    def send(self, text, signature, kind="real", key=ARN, **how):
        """As the host: with no credentials at all."""
        return self.call("create-grant", key, text, json.dumps(signature),
                         kind, options=["--no-environment"], **how)

    def test_awscrt(self):
        """grant: both signatures are awscrt's, with and without a token"""
        for token in (None, "FwoGZXIvYXdzEXAMPLE+token/with=signs"):
            signed = self.sign(body(ARN), env={"AWS_SESSION_TOKEN": token})
            self.assertEqual(signed.status, DONE, signed.stderr)
            host = f"127.0.0.1:{self.stranger.port}"
            date = signed.out["date"]
            self.assertEqual(
                signed.out["authorization"],
                sign_awscrt(body(ARN), host, date, token))
            self.assertEqual(
                signed.out["dry_run_authorization"],
                sign_awscrt(body(ARN, DryRun=True), host, date, token))
            self.assertEqual(signed.out.get("session_token"), token)
        self.assertEqual([], self.stranger.calls)

    def test_bytes(self):
        """grant: the very bytes are sent, by a host without credentials"""
        signed = self.sign(body(ARN)).out
        self.stranger.misbehave(error("DryRunOperationException", DRY_RUN,
                                      412))
        sent = self.send(body(ARN, DryRun=True), signed, "dry")
        self.assertEqual((sent.status, sent.stderr), (DONE, ""))
        call, = self.stranger.calls
        self.assertEqual(call["raw"], body(ARN, DryRun=True).encode())
        self.assertEqual(call["headers"]["Authorization"],
                         signed["dry_run_authorization"])
        self.assertEqual(call["headers"]["X-Amz-Date"], signed["date"])
        self.assertEqual(call["headers"]["Host"],
                         f"127.0.0.1:{self.stranger.port}")

    def test_only_the_configured_endpoint(self):
        """security-12: neither signer nor sender take an endpoint from the environment"""
        elsewhere = {"AWS_ENDPOINT_URL_KMS": "https://127.0.0.1:1",
                     "AWS_CA_BUNDLE": "/nonexistent"}
        signed = self.sign(body(ARN), env=elsewhere)
        self.assertEqual(signed.out["authorization"],
                         sign_awscrt(body(ARN),
                                     f"127.0.0.1:{self.stranger.port}",
                                     signed.out["date"]))
        self.stranger.misbehave(error("DryRunOperationException", DRY_RUN,
                                      412))
        sent = self.send(body(ARN, DryRun=True), signed.out, "dry",
                         env=elsewhere)
        self.assertEqual((sent.status, len(self.stranger.calls)), (DONE, 1))

    def test_own_profile(self):
        """grant: a signer's profile is his own, not the host's of the region"""
        config = self.conf(profile="host")
        env = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
        self.home.joinpath(".aws").mkdir()
        self.home.joinpath(".aws/credentials").write_text(
            "[host]\naws_access_key_id = HOST\naws_secret_access_key = h\n"
            "[default]\naws_access_key_id = MINE\n"
            "aws_secret_access_key = m\n"
            "[other]\naws_access_key_id = OTHER\naws_secret_access_key = o\n")
        for more, who in (({}, "MINE"), ({"AWS_PROFILE": "other"}, "OTHER")):
            signed = self.sign(body(ARN), config=config,
                               env={**env, **more})
            self.assertIn(f"Credential={who}/", signed.out["authorization"])

    def test_foreign_key(self):
        """grant: nothing is signed or sent for a key that the host may not use"""
        key = OTHER_ARN.replace(ACCOUNT, "999988887777")
        self.assert_fails(self.sign(body(key), key), DENIED, "NotAllowed",
                          "allow-keys")
        self.assert_fails(self.send(body(key), {}, key=key), DENIED,
                          "NotAllowed", "allow-keys")
        self.assertEqual([], self.stranger.calls)

    def answered(self, code, message, status=400, kind="real"):
        self.stranger.misbehave(error(code, message, status))
        return self.send(body(ARN), self.sign(body(ARN)).out, kind)

    def test_denied(self):
        """grant: a denial names who lacks kms:CreateGrant on which key"""
        user = f"arn:aws:iam::{ACCOUNT}:user/mallory"
        says = "lacks kms:CreateGrant, so this host cannot be let in " \
            "\\(AccessDeniedException from KMS https://127.0.0.1:.*\\); " \
            "ask the key's owner to allow it by key policy or grant$"
        for message, who in (
                (f"User: {user} is not authorized to perform: kms:CreateGrant "
                 f"on resource: {ARN} because no", user),
                ("User: arn:\x1b[31m is", "the user who attaches"),
                ("User: arn:" + "a" * 600 + " is", "the user who attaches"),
                ("", "the user who attaches")):
            self.assert_fails(
                self.answered("AccessDeniedException", message, kind="dry"),
                DENIED, "AccessDeniedException", f"key '{ARN}': {who} {says}")

    def test_refused(self):
        """grant: refusals by their kind, and the user's credentials are called so"""
        self.assert_fails(self.answered("ExpiredTokenException", ""),
                          UNREACHABLE, "ExpiredTokenException",
                          "refuses the credentials from the user who attaches: they have expired")
        self.assert_fails(self.answered("DisabledException", ""), DENIED,
                          "DisabledException", "the key is disabled")
        self.assert_fails(self.answered("LimitExceededException", ""), FAILED,
                          "LimitExceededException", "a quota is used up")
        # Who asked for the grant itself must not take this for one.
        self.assert_fails(self.answered("DryRunOperationException", ""),
                          FAILED, "DryRunOperationException", "refuses")

    def test_lies(self):
        """grant: answers that are none give no grant"""
        signed = self.sign(body(ARN)).out
        for answer, kind, status, says in (
                ({}, "real", UNREACHABLE, "no GrantId in it"),
                ({"GrantId": "a1"}, "real", UNREACHABLE,
                 "no GrantToken in it"),
                ({"GrantId": "../x", "GrantToken": "t"}, "real", TAMPERED,
                 "a grant id that is none"),
                ({"GrantId": "a" * 129, "GrantToken": "t"}, "real", TAMPERED,
                 "a grant id that is none"),
                ({"GrantId": "a1", "GrantToken": "t"}, "dry", UNREACHABLE,
                 "a dry run that was done")):
            def fault(handler, answer=answer):
                handler.send(200, json.dumps(answer).encode())
                return True
            self.stranger.misbehave(fault)
            self.assert_fails(self.send(body(ARN), signed, kind), status,
                              "Garbage", says)

    def test_lost_answer(self):
        """grant: an answer that is lost or garbage says that a grant may be there"""
        signed = self.sign(body(ARN)).out
        offer = {"name": PREFIX + "0" * 32, "key_arn": ARN, "body": body(ARN)}
        for fault, sent in ((raw(b"<html>"), True), (raw(b"{}"), True),
                            (error("AccessDeniedException"), False)):
            self.stranger.misbehave(error("DryRunOperationException", DRY_RUN,
                                          412), fault)
            result = self.call("send", json.dumps(offer), json.dumps(signed))
            self.assertEqual(result.out["sent"], sent, result.stderr)
            self.assertNotEqual(result.status, DONE)
        # Denied in the dry run already: nothing else is sent.
        self.stranger.calls.clear()
        self.stranger.misbehave(error("AccessDeniedException"))
        result = self.call("send", json.dumps(offer), json.dumps(signed))
        self.assertEqual((result.status, result.out["sent"],
                          len(self.stranger.calls)), (DENIED, False, 1))

    def test_retire(self):
        """grant: retiring what is not there any more is done, a denial is not"""
        self.stranger.misbehave(error("NotFoundException", "", 400))
        done = self.call("retire", ARN, "a1")
        self.assertEqual((done.status, done.stderr), (DONE, ""))
        self.stranger.misbehave(error("AccessDeniedException", ""))
        self.assert_fails(self.call("retire", ARN, "a1"), DENIED,
                          "AccessDeniedException", "refuses RetireGrant")

    def test_pages(self):
        """grant: all pages of retirable grants are read"""
        def page(names, **more):
            answer = {"Grants": [
                {"KeyId": ARN, "GrantId": f"a{n}", "Name": f"n{n}"}
                for n in names] + [{"GrantId": "no key"}], **more}

            def fault(handler):
                handler.send(200, json.dumps(answer).encode())
                return True
            return fault
        self.stranger.misbehave(
            page([1, 2], Truncated=True, NextMarker="m"), page([3]))
        listed = self.call("retirable", REGION, HOST)
        self.assertEqual(listed.status, DONE, listed.stderr)
        self.assertEqual({"a1": "n1", "a2": "n2", "a3": "n3"},
                         listed.out["grants"])
        first, second = self.stranger.calls
        self.assertEqual({"RetiringPrincipal": HOST, "Limit": 50},
                         json.loads(first["raw"]))
        self.assertEqual("m", json.loads(second["raw"])["Marker"])
        self.stranger.misbehave(page([], Grants=1))
        self.assert_fails(self.call("retirable", REGION, HOST), UNREACHABLE,
                          "Garbage", "no Grants in it")
        self.assertEqual(self.call("retirable", "eu-west-1", HOST).status,
                         DENIED)


class ThreeIdentities(Case):
    """Against envelope-kms: the user may grant, the host has grants only."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)
        cls.kms = cls.server.client()
        cls.key = cls.kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]
        cls.user = Person(cls.server, "user", statement(
            "Allow", "kms:CreateGrant", cls.key))
        cls.host = Person(cls.server, "host", statement(
            "Allow", "kms:ListRetirableGrants"))
        cls.outsider = Person(cls.server, "outsider")

    def as_whom(self, person, *args, options=(), **how):
        path = self.home / "envelope.conf"
        path.write_text(f"[region {REGION}]\nendpoint = "
                        f"{self.server.endpoint}\n"
                        f"ca-file = {self.server.dir}/ca.pem\n"
                        f"account = {ACCOUNT}\n")
        env = {"AWS_ACCESS_KEY_ID": person.access,
               "AWS_SECRET_ACCESS_KEY": person.secret}
        return self.call(*args, config=path, env=env, options=options, **how)

    def wrap(self, context):
        return self.kms.generate_data_key_without_plaintext(
            KeyId=self.key, NumberOfBytes=64,
            EncryptionContext=context)["CiphertextBlob"].hex()

    def grant(self, person, nonce, kind="real"):
        """@person signs, the host sends."""
        text = body(self.key, nonce=nonce)
        signed = self.as_whom(person, "sign", self.key, text,
                              options=["--signer"])
        self.assertEqual(signed.status, DONE, signed.stderr)
        if kind == "dry":
            text = body(self.key, nonce=nonce, DryRun=True)
        return self.as_whom(self.host, "create-grant", self.key, text,
                            json.dumps(signed.out), kind)

    def unwrap(self, person, context, token=None):
        return self.as_whom(
            person, "decrypt", self.key, json.dumps(context),
            self.wrap(context),
            options=["--grant-token", token] if token else [])

    def listed(self):
        return {g["GrantId"]: g for g in
                self.kms.list_grants(KeyId=self.key)["Grants"]}

    def test_flow(self):
        """grant: the user's grant lets the host open this volume until it is retired"""
        self.assertEqual(self.unwrap(self.host, CONTEXT).status, DENIED)
        before = set(self.listed())
        self.assertEqual(self.grant(self.user, "1" * 32, "dry").status, DONE)
        self.assertEqual(set(self.listed()), before)
        made = self.grant(self.user, "1" * 32)
        self.assertEqual(made.status, DONE, made.stderr)
        entry = self.listed()[made.out["id"]]
        self.assertEqual((entry["GranteePrincipal"], entry["Operations"],
                          entry["Name"]),
                         (HOST, ["Decrypt"], PREFIX + "1" * 32))
        for token in (made.out["token"], None):
            self.assertEqual(
                self.unwrap(self.host, CONTEXT, token).status, DONE)
        more = dict(CONTEXT, team="storage")
        self.assertEqual(self.unwrap(self.host, more).status, DONE)
        # The constraint stops it elsewhere, and others gain nothing by it.
        for change in ({"envelope:volume-id": "vol-0123456789abcdef1"},
                       {"envelope:generation": "2"}):
            self.assertEqual(self.unwrap(
                self.host, {**CONTEXT, **change},
                made.out["token"]).status, DENIED)
        for person in (self.user, self.outsider):
            self.assertEqual(self.unwrap(
                person, CONTEXT, made.out["token"]).status, DENIED)
            self.assertEqual(self.as_whom(
                person, "retire", self.key, made.out["id"]).status, DENIED)
        for _ in range(2):
            done = self.as_whom(self.host, "retire", self.key,
                                made.out["id"])
            self.assertIn(done.status, (DONE, DENIED), done.stderr)
        self.assertEqual(set(self.listed()), before)
        self.assertEqual(
            self.unwrap(self.host, CONTEXT).status, DENIED)

    def test_outsider(self):
        """grant: an outsider's signature gives none, and he is named"""
        for kind in ("dry", "real"):
            self.assert_fails(
                self.grant(self.outsider, "2" * 32, kind), DENIED,
                "AccessDeniedException",
                f"key '{self.key}': {self.outsider.arn} lacks "
                "kms:CreateGrant")
        self.assertNotIn(PREFIX + "2" * 32,
                         [g.get("Name") for g in self.listed().values()])

    def test_tampered_on_the_way(self):
        """security-12: what the user did not sign, the KMS does not take"""
        text = body(self.key, nonce="3" * 32)
        signed = self.as_whom(self.user, "sign", self.key, text,
                              options=["--signer"]).out
        other = body(self.key, nonce="3" * 32, volume="vol-" + "0" * 17)
        for sent, kind, signature in (
                (other, "real", signed), (text, "dry", signed),
                (text, "real", dict(signed, date="20200101T000000Z"))):
            result = self.as_whom(self.host, "create-grant", self.key, sent,
                                  json.dumps(signature), kind)
            self.assertIn(result.error, ("InvalidSignatureException",
                                         "IncompleteSignatureException"))
        self.assertNotIn(PREFIX + "3" * 32,
                         [g.get("Name") for g in self.listed().values()])

    def test_orphans(self):
        """grant: the host finds those it may retire by their names"""
        made = self.grant(self.user, "4" * 32).out
        listed = self.as_whom(self.host, "retirable", REGION, HOST)
        self.assertEqual(listed.status, DONE, listed.stderr)
        self.assertEqual(listed.out["grants"][made["id"]],
                         PREFIX + "4" * 32)
        self.assertEqual(self.as_whom(self.outsider, "retirable", REGION,
                                      HOST).status, DENIED)
        self.as_whom(self.host, "retire", self.key, made["id"])

    def test_same_name(self):
        """grant: the same request sent twice is one grant"""
        first = self.grant(self.user, "5" * 32).out
        again = self.grant(self.user, "5" * 32).out
        self.assertEqual(first["id"], again["id"])
        self.as_whom(self.host, "retire", self.key, first["id"])


if __name__ == "__main__":
    tap.main()
