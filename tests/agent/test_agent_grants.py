#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Grants through the agent: three identities, an attach that is a rehearsal."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent.parent
for folder in (TESTS, TESTS / "kms"):
    sys.path.insert(0, str(folder))

from agent_case import AgentCase, Connection, as_user, forge  # noqa: E402
import client_case  # noqa: E402
from server_fixture import ACCOUNT, BUILD, REGION, Server, wait_for  # noqa: E402
from server_people import Person, statement  # noqa: E402
import tap  # noqa: E402

AGENT = "io.envelope.Agent."
USER = 12345


class GrantsCase(AgentCase):
    """A user who may grant, a host that may nothing, an outsider."""

    @classmethod
    def prepare(cls):
        cls.program = client_case._build()
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
        cls.etc = cls.dir / "etc"
        cls.etc.mkdir()
        (cls.etc / "ca.pem").write_bytes(
            (cls.server.dir / "ca.pem").read_bytes())
        cls.write_conf()
        (cls.etc / "credentials").write_text(
            f"[host]\naws_access_key_id = {cls.host.access}\n"
            f"aws_secret_access_key = {cls.host.secret}\n")
        (cls.etc / "credentials").chmod(0o600)
        (cls.etc / "policy").write_text(
            f"[uid {USER}]\ndevices = passed\nnames = *\n")

    @classmethod
    def write_conf(cls):
        (cls.etc / "envelope.conf").write_text(
            f"[region {REGION}]\nendpoint = {cls.server.endpoint}\n"
            f"ca-file = {cls.etc}/ca.pem\nprofile = host\n"
            f"account = {ACCOUNT}\nhost-principal = {cls.host.arn}\n")

    @classmethod
    def command(cls):
        return [*super().command(), "--config",
                str(cls.etc / "envelope.conf"), "--policy",
                str(cls.etc / "policy")]

    def volume(self, name="disk"):
        """A new volume, made by the administrator."""
        path = self.dir / name
        path.unlink(missing_ok=True)
        with open(path, "wb") as file:
            file.truncate(4 << 20)
        done = subprocess.run(
            [BUILD / "bin" / "envelope", "format", "--config",
             self.server.dir / "envelope.conf", "--kms-endpoint",
             self.server.endpoint, "--kms-key", self.key, path],
            env=dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=str(
                self.server.dir / "credentials")),
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        path.chmod(0o666)
        return path

    def sign(self, person, disk, text, status=0, slot=0):
        """The signature of the user's process."""
        done = subprocess.run(
            [self.program, "--config", self.etc / "envelope.conf",
             "--signer", "answer", disk, text, str(slot)],
            env=dict(os.environ, HOME=str(self.dir),
                     AWS_ACCESS_KEY_ID=person.access,
                     AWS_SECRET_ACCESS_KEY=person.secret),
            capture_output=True, text=True, timeout=120, check=False,
            stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout).get("signature")

    def connect_user(self, uid=USER):
        with as_user(uid):
            connection = Connection(self.socket)
        self.addCleanup(connection.close)
        return connection

    def ask(self, disk, more=True, uid=USER):
        """A connection that waits for an answer to Attach."""
        connection = self.connect_user(uid)
        with open(disk, "r+b") as file:
            connection.send({"method": AGENT + "Attach", "more": more,
                             "parameters": {"device_fd": 0, "name": "x",
                                            "dry_run": True}},
                            [file.fileno()])
        return connection

    def offered(self, disk, uid=USER):
        connection = self.ask(disk, uid=uid)
        first = connection.receive()
        self.assertTrue(first.get("continues"), first)
        self.assertEqual(list(first["parameters"]), ["grant"])
        return connection, first["parameters"]["grant"]

    def send_signature(self, grant, signature, uid=USER):
        return self.connect_user(uid).call(
            AGENT + "Sign", {"nonce": grant["nonce"], **signature})

    def grants(self):
        return self.kms.list_grants(KeyId=self.key)["Grants"]

    def journal(self):
        path = self.state / "grants"
        return path.read_text().splitlines() if path.exists() else []

    def assert_nothing_left(self):
        wait_for(lambda: not self.grants() and not self.journal(),
                 "the grant to be retired")

    def events(self, name):
        return [r for r in self.server.audit() if r["eventName"] == name]


class Grants(GrantsCase):
    def test_whole_way(self):
        """agent grants: the user signs, the host opens, the grant is retired"""
        disk = self.volume()
        before = len(self.events("CreateGrant")), len(self.events("Decrypt"))
        connection, grant = self.offered(disk)
        self.assertEqual(self.grants(), [])
        self.assertEqual(self.journal(), [])
        body = json.loads(grant["body"])
        self.assertEqual((body["GranteePrincipal"], body["Operations"],
                          body["KeyId"]),
                         (self.host.arn, ["Decrypt"], grant["key_arn"]))
        signature = self.sign(self.user, disk, grant["body"])
        self.assertEqual(self.send_signature(grant, signature),
                         {"parameters": {}})
        answer = connection.receive()
        self.assertNotIn("error", answer)
        self.assertTrue(answer["parameters"]["dry_run"])
        made = self.events("CreateGrant")[before[0]:]
        self.assertEqual(
            [(r["userIdentity"]["arn"], r.get("errorCode")) for r in made],
            [(self.user.arn, "DryRunOperationException"),
             (self.user.arn, None)])
        opened, = self.events("Decrypt")[before[1]:]
        self.assertEqual((opened["userIdentity"]["arn"],
                          opened.get("errorCode")), (self.host.arn, None))
        self.assert_nothing_left()

    def test_outsider(self):
        """agent grants: an outsider's signature opens nothing, and names him"""
        disk = self.volume()
        before = len(self.events("Decrypt"))
        connection, grant = self.offered(disk)
        signature = self.sign(self.outsider, disk, grant["body"])
        self.send_signature(grant, signature)
        answer = connection.receive()
        self.assertEqual(answer["error"], AGENT + "Denied")
        self.assertIn(f"key '{self.key}': {self.outsider.arn} lacks "
                      "kms:CreateGrant", answer["parameters"]["message"])
        self.assertEqual(len(self.events("Decrypt")), before)
        self.assert_nothing_left()

    def test_other_caller(self):
        """agent grants: nobody signs for another user's attach, nor twice"""
        disk = self.volume()
        connection, grant = self.offered(disk)
        signature = self.sign(self.user, disk, grant["body"])
        says = "no attach of yours waits for this signature"
        for uid, nonce in ((0, grant["nonce"]), (USER, "0" * 32)):
            answer = self.send_signature({"nonce": nonce}, signature, uid)
            self.assertEqual((answer["error"],
                              answer["parameters"]["message"]),
                             (AGENT + "Denied", says))
        self.send_signature(grant, signature)
        answer = self.send_signature(grant, signature)
        self.assertEqual(answer["error"], AGENT + "Denied")
        self.assertNotIn("error", connection.receive())
        self.assert_nothing_left()

    def test_not_more(self):
        """agent grants: a call that cannot be asked back says what to do"""
        answer = self.ask(self.volume(), more=False).receive()
        self.assertEqual(answer["error"], AGENT + "Denied")
        self.assertIn("must sign a grant, so Attach wants to be called with "
                      "`more`", answer["parameters"]["message"])

    def test_gone(self):
        """agent grants: who goes away before he signs leaves nothing"""
        disk = self.volume()
        connection, grant = self.offered(disk)
        connection.close()
        signature = self.sign(self.user, disk, grant["body"])
        wait_for(lambda: "error" in self.send_signature(grant, signature),
                 "the attach to be given up")
        self.assertEqual((self.grants(), self.journal()), ([], []))

    def test_bad_signature(self):
        """agent grants: a signature that is none makes no grant"""
        disk = self.volume()
        for change in ({"date": "20200101T000000Z"},
                       {"authorization": "AWS4-HMAC-SHA256 x"},
                       {"dry_run_authorization": "a\r\nX-Amz-Target: b"}):
            connection, grant = self.offered(disk)
            signature = self.sign(self.user, disk, grant["body"])
            self.send_signature(grant, {**signature, **change})
            self.assertIn("error", connection.receive())
            self.assert_nothing_left()

    def test_copy_of_another(self):
        """security-12: a live grant of one user opens no volume for another"""
        disk = self.volume()
        self.kms.create_grant(
            KeyId=self.key, GranteePrincipal=self.host.arn,
            RetiringPrincipal=self.host.arn, Operations=["Decrypt"])
        self.addCleanup(self.revoke_all)
        before = len(self.events("Decrypt"))
        connection, grant = self.offered(disk)
        self.send_signature(grant, self.sign(self.outsider, disk,
                                             grant["body"]))
        self.assertEqual(connection.receive()["error"], AGENT + "Denied")
        self.assertEqual(len(self.events("Decrypt")), before)

    def test_another_slot(self):
        """security-12: nor behind a slot that needs no grant and is silent"""
        disk = self.volume()
        key = (f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/"
               "00000000-0000-0000-0000-000000000000")
        forge(disk, lambda core, slots: slots.insert(
            0, {**slots[0], "key_id": key}))
        self.addCleanup(self.write_conf)
        with open(self.etc / "envelope.conf", "a") as file:
            file.write("[region eu-west-1]\nendpoint = https://127.0.0.1:1\n"
                       f"ca-file = {self.etc}/ca.pem\nprofile = host\n"
                       f"account = {ACCOUNT}\n")
        self.kms.create_grant(
            KeyId=self.key, GranteePrincipal=self.host.arn,
            RetiringPrincipal=self.host.arn, Operations=["Decrypt"])
        self.addCleanup(self.revoke_all)
        before = len(self.events("Decrypt"))
        connection, grant = self.offered(disk)
        self.assertEqual((grant["slot"], grant["key_arn"]), (1, self.key))
        self.send_signature(grant, self.sign(self.outsider, disk,
                                             grant["body"], slot=1))
        answer = connection.receive()
        self.assertEqual(answer.get("error"), AGENT + "Denied", answer)
        self.assertEqual(len(self.events("Decrypt")), before)

    def revoke_all(self):
        for grant in self.grants():
            self.kms.revoke_grant(KeyId=self.key, GrantId=grant["GrantId"])

    def test_killed(self):
        """agent grants: killed with a grant in hand, the next start retires it"""
        disk = self.volume()
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            connection, grant = self.offered(disk)
            self.send_signature(grant, self.sign(self.user, disk,
                                                 grant["body"]))
            wait_for(self.journal, "the journal")
            self.stop(signal.SIGKILL)
        finally:
            self.server.process.send_signal(signal.SIGCONT)
        self.assertEqual(len(self.journal()), 1)
        # One that was made, and whose name alone tells that it is ours.
        self.kms.create_grant(
            KeyId=self.key, GranteePrincipal=self.host.arn,
            RetiringPrincipal=self.host.arn, Operations=["Decrypt"],
            Name=json.loads(grant["body"])["Name"] + "x")
        self.start()
        connection.close()
        self.assert_nothing_left()

    def test_hung(self):
        """agent grants: a KMS that hangs once it is signed: unreachable, and retired"""
        disk = self.volume()
        policy = self.etc / "policy"
        said = policy.read_text()
        policy.write_text(said + "[agent]\ntimeout = 2\n")
        self.reload_policy()
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            connection, grant = self.offered(disk)
            signature = self.sign(self.user, disk, grant["body"])
            self.send_signature(grant, signature)
            answer = connection.receive()
        finally:
            self.server.process.send_signal(signal.SIGCONT)
            policy.write_text(said)
            self.reload_policy()
        self.assertEqual(answer["error"], AGENT + "Unreachable")
        self.assertEqual(answer["parameters"]["status"], 4)
        self.assertIn("did not answer within the time budget of 2000 ms",
                      answer["parameters"]["message"])
        # Answered when it goes on, to nobody: it may be there, and goes.
        self.assert_nothing_left()

    def test_no_credentials_here(self):
        """canary: the user's secret is not in the agent's memory, the host's is findable"""
        disk = self.volume()
        connection, grant = self.offered(disk)
        self.send_signature(grant, self.sign(self.user, disk, grant["body"]))
        self.assertNotIn("error", connection.receive())
        with tempfile.TemporaryDirectory() as folder:
            core = pathlib.Path(folder) / "core"
            subprocess.run(["gcore", "-o", core, str(self.agent.pid)],
                           capture_output=True, timeout=120, check=True)
            memory = b"".join(p.read_bytes() for p in
                              pathlib.Path(folder).iterdir())
        self.assertIn(grant["nonce"].encode(), memory)
        self.assertNotIn(self.user.secret.encode(), memory)


if __name__ == "__main__":
    tap.main()
