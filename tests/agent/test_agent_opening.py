# SPDX-License-Identifier: GPL-2.0-or-later
"""Two slots, two KMS: whom the agent asks when, and whose word counts."""
import json
import os
import re
import signal
import subprocess
import sys

from test_agent_grants import AGENT, TESTS, GrantsCase

for folder in (TESTS / "header", TESTS / "vectors" / "header"):
    sys.path.insert(0, str(folder))

from server_fixture import ACCOUNT, BUILD, Server, wait_for  # noqa: E402
from server_people import Person, statement  # noqa: E402
from slots_case import HERE, THERE, Line  # noqa: E402
import tap  # noqa: E402

NEXT = "trying the next slot, 2 of 2"


class Slots(GrantsCase):
    """`line` leads to the KMS of slot 0, `far` is that of slot 1."""
    line = None

    @classmethod
    def prepare(cls):
        cls.far = Server("--region", THERE)
        cls.addClassCleanup(cls.far.close)
        cls.far_kms = cls.far.client(region=THERE)
        cls.far_key = cls.far_kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]
        cls.far_user = Person(cls.far, "user", statement(
            "Allow", "kms:CreateGrant", cls.far_key))
        cls.far_host = Person(cls.far, "host", statement(
            "Allow", "kms:ListRetirableGrants"))
        super().prepare()
        near, far = (text.replace("[envelope]", f"[{name}]") for name, text in (
            ("near", (cls.server.dir / "credentials").read_text()),
            ("far", (cls.far.dir / "credentials").read_text())))
        with open(cls.etc / "credentials", "a") as file:
            file.write(f"[far-host]\naws_access_key_id = {cls.far_host.access}"
                       f"\naws_secret_access_key = {cls.far_host.secret}\n"
                       f"{near}{far}")
        cls.good = (cls.etc / "credentials").read_text()

    @classmethod
    def write_conf(cls):
        if cls.line is None:
            cls.line = Line(cls.server.port)
            cls.addClassCleanup(cls.line.close)
        cls.configure()

    @classmethod
    def configure(cls, grants=False, port=None):
        """Without grants the host itself may do what it likes."""
        text = ""
        for name, at, who, server in (
                (HERE, port or cls.line.port, "host", cls.server),
                (THERE, cls.far.port, "far-host", cls.far)):
            text += (f"[region {name}]\nendpoint = https://127.0.0.1:{at}\n"
                     f"ca-file = {server.dir}/ca.pem\naccount = {ACCOUNT}\n")
            if grants:
                principal = (cls.host if name == HERE else cls.far_host).arn
                text += f"profile = {who}\nhost-principal = {principal}\n"
            else:
                text += f"profile = {'near' if name == HERE else 'far'}\n"
        (cls.etc / "envelope.conf").write_text(text)

    def setUp(self):
        self.configure()
        self.line.release()
        self.disk = self.volume()
        self.add_slot()

    def add_slot(self, key=None):
        done = subprocess.run(
            [BUILD / "bin" / "envelope", "slot", "add", "--config",
             self.etc / "envelope.conf", "--kms-key", key or self.far_key,
             self.disk],
            env=dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=str(
                self.etc / "credentials")),
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def calls(self, name):
        """Of the far KMS."""
        return [r for r in self.far.audit() if r["eventName"] == name]

    def said_anew(self, text, before):
        wait_for(lambda: text in self.said()[before:], text)

    def attached(self, connection):
        answer = connection.receive()
        self.assertTrue(answer["parameters"].get("dry_run"), answer)

    def denied(self, connection, says):
        answer = connection.receive()
        self.assertEqual(answer.get("error"), AGENT + "Denied", answer)
        self.assertIn(says, answer["parameters"]["message"])

    def disable(self, kms, key):
        kms.disable_key(KeyId=key)
        self.addCleanup(kms.enable_key, KeyId=key)

    def stop_far(self):
        self.far.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.far.process.send_signal, signal.SIGCONT)

    def test_silent(self):
        """security-19-agent: silence asks the next slot, and the first stays in flight"""
        self.line.hold()
        before, held = len(self.said()), self.line.held
        self.attached(self.ask(self.disk))
        self.assertIn(NEXT, self.said()[before:])
        wait_for(lambda: self.line.held == held + 1, "one to be held")

    def test_dead(self):
        """security-19-agent: an unreachable KMS costs no more than silence"""
        self.configure(port=1)
        self.attached(self.ask(self.disk))

    def test_denied(self):
        """security-19-agent: a denial asks no other slot"""
        self.disable(self.kms, self.key)
        # A server that is slower than the next slot's turn proves nothing.
        for _ in range(5):
            before, calls = len(self.said()), len(self.calls("Decrypt"))
            self.denied(self.ask(self.disk), "the key is disabled")
            if NEXT not in self.said()[before:]:
                break
        self.assertNotIn(NEXT, self.said()[before:])
        self.assertEqual(len(self.calls("Decrypt")), calls)

    def test_denied_by_the_second(self):
        """security-19-agent: a denial ends it, whoever else is in flight"""
        self.disable(self.far_kms, self.far_key)
        self.line.hold()
        before = len(self.said())
        connection = self.ask(self.disk)
        self.said_anew(f"key '{self.far_key}'", before)
        # Too late for the first one.
        self.line.release()
        self.denied(connection, f"key '{self.far_key}'")

    def test_slow(self):
        """security-19-agent: the first slot may still win"""
        self.line.hold()
        self.stop_far()
        before = len(self.said())
        connection = self.ask(self.disk)
        self.said_anew(NEXT, before)
        self.line.release()
        self.attached(connection)

    def test_fault(self):
        """security-19-agent: this host's own fault does not end a slow one"""
        self.add_slot(self.far_kms.create_key()["KeyMetadata"]["Arn"])
        near, far = self.good.split("[far]")
        (self.etc / "credentials").write_text(near + "[far]" + re.sub(
            "(secret_access_key = ).*", r"\g<1>wrong", far))
        self.addCleanup((self.etc / "credentials").write_text, self.good)
        self.line.hold()
        before = len(self.said())
        connection = self.ask(self.disk)
        self.said_anew(f"key '{self.far_key}'", before)
        # The third one's turn passes.
        self.quiet(connection, 1)
        self.line.release()
        self.attached(connection)

    def second_grant(self):
        """The first KMS holds the grant that was signed for it."""
        self.configure(grants=True)
        self.line.hold()
        connection, grant = self.offered(self.disk)
        self.assertEqual((grant["slot"], grant["key_arn"]), (0, self.key))
        self.send_signature(grant, self.sign(self.user, self.disk,
                                             grant["body"]))
        more = connection.receive()["parameters"]["grant"]
        self.assertEqual((more["slot"], more["key_arn"]), (1, self.far_key))
        return connection, more

    def nothing_left(self):
        wait_for(lambda: not self.far_kms.list_grants(
            KeyId=self.far_key)["Grants"] and not self.grants() and
            not self.journal(), "the grants to be retired")

    def test_grant(self):
        """security-14-agent: the second slot has a grant on its own key"""
        calls = len(self.calls("CreateGrant")), len(self.calls("Decrypt"))
        connection, grant = self.second_grant()
        self.assertEqual(len(self.calls("CreateGrant")), calls[0])
        body = json.loads(grant["body"])
        self.assertEqual(body["GranteePrincipal"], self.far_host.arn)
        self.send_signature(grant, self.sign(self.far_user, self.disk,
                                             grant["body"], slot=1))
        self.attached(connection)
        self.assertEqual(
            [(r["userIdentity"]["arn"], r.get("errorCode"))
             for r in self.calls("CreateGrant")[calls[0]:]],
            [(self.far_user.arn, "DryRunOperationException"),
             (self.far_user.arn, None)])
        opened, = self.calls("Decrypt")[calls[1]:]
        self.assertEqual(opened["userIdentity"]["arn"], self.far_host.arn)
        self.line.release()
        self.nothing_left()

    def test_grant_refused(self):
        """security-19-agent: a grant that a KMS denies ends it"""
        connection, grant = self.second_grant()
        self.far_user.may(statement("Deny", "kms:CreateGrant"))
        self.addCleanup(self.far_user.may, statement(
            "Allow", "kms:CreateGrant", self.far_key))
        self.send_signature(grant, self.sign(self.far_user, self.disk,
                                             grant["body"], slot=1))
        self.denied(connection, "lacks kms:CreateGrant")
        self.line.release()
        self.nothing_left()

    def decline(self, grant, uid=12345):
        return self.connect_user(uid).call(AGENT + "Decline",
                                           {"nonce": grant["nonce"]})

    def test_declined(self):
        """agent slots: what is not signed is not asked, and the first may win"""
        connection, grant = self.second_grant()
        answer = self.decline(grant, 0)
        self.assertEqual(answer.get("error"), AGENT + "Denied")
        self.assertEqual(self.decline(grant), {"parameters": {}})
        self.quiet(connection)
        self.line.release()
        self.attached(connection)
        self.nothing_left()

    def test_declined_alone(self):
        """agent slots: without another one it is the end"""
        self.configure(grants=True)
        connection, grant = self.offered(self.disk)
        self.assertEqual(self.decline(grant), {"parameters": {}})
        self.denied(connection, "has not signed the grant for slot 0")
        self.assertEqual(self.decline(grant)["error"], AGENT + "Denied")

    def test_command(self):
        """agent slots: envelope attach signs for each slot that is asked"""
        self.configure(grants=True)
        self.line.hold()
        before = len(self.said())
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             'mkdir -p /etc/envelope && mount --bind "$0" /etc/envelope && '
             'exec setpriv --reuid 12345 --clear-groups "$@"', self.etc,
             BUILD / "bin" / "envelope", "attach", "--dry-run", "--socket",
             self.socket, self.disk, "x"],
            env=dict(os.environ, HOME=str(self.dir),
                     AWS_ACCESS_KEY_ID=self.user.access,
                     AWS_SECRET_ACCESS_KEY=self.user.secret),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        # Nobody knows this user there, but that is no denial of the key.
        self.said_anew(f"key '{self.far_key}'", before)
        self.line.release()
        _, said = process.communicate(timeout=120)
        self.assertEqual((process.returncode, said), (0, ""))
        self.nothing_left()


if __name__ == "__main__":
    tap.main()
