# SPDX-License-Identifier: GPL-2.0-or-later
"""A KMS that is broken, slow or lies, as who attaches through the agent sees
it: one time budget, one clear sentence, nothing left behind."""
import base64
import contextlib
import datetime
import os
import pathlib
import re
import signal
import socket
import sys
import time
import types

import tap
from agent_case import NOBODY
from kms_case import ATTACH, KmsCase

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "kms"))

from client_case import KEY_ID, SECRET  # noqa: E402
from stranger import (ARN, OTHER_ARN, Stranger, drip, error,  # noqa: E402
                      hang_up, raw, slow)

LIMIT = "[agent]\ntimeout = {}\n"
PATIENT = 100       # seconds, for what shall succeed on any machine
HASTY = 2           # seconds, for what shall not


class BadKms(KmsCase):
    """A volume of the user nobody's under a key of the stranger's."""
    options = {}

    @classmethod
    def prepare(cls):
        cls.stranger = Stranger(folder=cls.dir, **cls.options).__enter__()
        cls.stranger.verifier.add(KEY_ID, SECRET)
        cls.addClassCleanup(cls.stranger.__exit__)
        cls.server = types.SimpleNamespace(
            endpoint=cls.stranger.url, dir=cls.dir, close=lambda: None)
        cls.config = cls.dir / "etc" / "envelope.conf"
        cls.config.parent.mkdir(mode=0o700)
        cls.write_config()
        credentials = cls.config.parent / "credentials"
        credentials.write_text(f"[envelope]\naws_access_key_id = {KEY_ID}\n"
                               f"aws_secret_access_key = {SECRET}\n")
        credentials.chmod(0o600)
        cls.policy = cls.dir / "agent.policy"
        cls.policy.write_text(cls.POLICY + LIMIT.format(PATIENT))
        cls.ARGUMENTS = ("--config", str(cls.config), "--policy",
                         str(cls.policy))
        cls.key = ARN
        cls.volume = cls.format("volume")

    @classmethod
    def write_config(cls, **more):
        super().write_config(**{"ca-file": cls.stranger.ca, **more})

    def setUp(self):
        self.stranger.behave()

    def tearDown(self):
        self.nothing_left()

    def nothing_left(self):
        """No worker, nobody waiting, and who asks next is answered."""
        path = f"/proc/{self.agent.pid}/task/{self.agent.pid}/children"
        deadline = time.monotonic() + 120
        while open(path).read().split():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertEqual(self.connect().call("io.envelope.Agent.List"),
                         {"parameters": {"volumes": []}})
        grants = self.state / "grants"
        self.assertFalse(grants.exists() and grants.read_text())

    @contextlib.contextmanager
    def budget(self, seconds):
        """Another one meanwhile."""
        self.set_policy(LIMIT.format(seconds))
        try:
            yield
        finally:
            self.set_policy(LIMIT.format(PATIENT))

    def set_policy(self, more):
        self.policy.write_text(self.POLICY + more)
        self.reload_policy()

    def try_it(self):
        return self.attach(self.connect(NOBODY), name="mine-1")

    def opened(self, attempts):
        """It attaches, after so many requests."""
        answer = self.try_it()
        self.assertNotIn("error", answer, answer)
        self.assertEqual(len(self.stranger.calls), attempts)

    def unreachable(self, sentence):
        answer = self.try_it()
        self.assertEqual(answer.get("error"), "io.envelope.Agent.Unreachable",
                         answer)
        self.assertEqual(answer["parameters"]["status"], 4)
        self.assertRegex(answer["parameters"]["message"],
                         f"^(key '{re.escape(ARN)}': .*)?{sentence}")


class Broken(BadKms):
    def test_flapping(self):
        """agent and a broken KMS: one that comes and goes is tried again"""
        self.stranger.misbehave(
            hang_up, error("KMSInternalException", status=500),
            error("ThrottlingException", status=429), raw(b"", 503))
        self.opened(5)

    def test_stays_away(self):
        """agent and a broken KMS: 500 and 429 for ever end after six attempts"""
        for fault, why in [
                (error("KMSInternalException", status=500),
                 "cannot do Decrypt now: it has an internal fault"),
                (error("ThrottlingException", status=429),
                 "it gets too many requests")]:
            self.stranger.behave()
            self.stranger.misbehave(*[fault] * 20)
            self.unreachable(".*" + why)
            self.assertEqual(len(self.stranger.calls), 6)

    def test_killed(self):
        """agent and a broken KMS: one that is killed meanwhile is unreachable"""
        self.stranger.reset_at_once = True
        # Which of the two depends on how fast the machine tries again.
        with self.budget(HASTY):
            self.unreachable(f".*KMS {self.stranger.url} (cannot be reached|"
                             f".*time budget of {HASTY}000 ms)")
        self.assertEqual(self.stranger.calls, [])

    def test_garbage(self):
        """agent and a broken KMS: garbage is named, and asked for once"""
        for body in (b"<html>welcome to the hotel</html>", b"{}", b"[]", b""):
            self.stranger.behave()
            self.stranger.misbehave(raw(body))
            self.unreachable(".*answered Decrypt with garbage")
            self.assertEqual(len(self.stranger.calls), 1)

    def test_too_much(self):
        """agent and a broken KMS: an answer without an end is cut off"""
        self.stranger.misbehave(raw(b'{"KeyId":"' + b"x" * 70000 + b'"}'))
        self.unreachable(".*answered more than 65536 bytes")

    def test_liar(self):
        """agent and a broken KMS: another key's answer, another DEK: tampering"""
        dek = base64.b64encode(bytes(range(64))).decode()
        for lie, why in [({"KeyId": OTHER_ARN}, "the KeyId of another key"),
                         ({"Plaintext": dek}, "HMAC")]:
            self.stranger.twist_answers(lambda a, lie=lie: {**a, **lie})
            answer = self.try_it()
            self.assertEqual(answer.get("error"),
                             "io.envelope.Agent.Tampered", answer)
            self.assertEqual(answer["parameters"]["status"], 6)
            self.assertIn(why, answer["parameters"]["message"])

    def test_no_budget(self):
        """agent and a broken KMS: a budget that is none changes nothing"""
        for text in "0", "121", "2s", "":
            self.policy.write_text(self.POLICY + LIMIT.format(text))
            before = self.said().count("going on with")
            self.agent.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 120
            while self.said().count("going on with") == before:
                self.assertLess(time.monotonic(), deadline, self.said())
                time.sleep(0.02)
            self.assertIn(f"agent.policy:5: timeout is 1 to 120 seconds, not "
                          f"'{text}'" if text else "there is no value for "
                          "'timeout'", self.said())
        self.opened(1)

    def test_clock(self):
        """agent and a broken KMS: a clock that is wrong is unreachable, and said"""
        for hours in -1, 1:
            self.stranger.behave()
            self.stranger.clock_offset = datetime.timedelta(hours=hours)
            self.unreachable(".*clock")

    def test_hung(self):
        """agent and a broken KMS: hung, slow, dripping: all have one time budget"""
        with contextlib.ExitStack() as stack:
            hung = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stack.enter_context(self.budget(HASTY))
            faults = [slow(60), drip(60), slow(60)]
            self.stranger.misbehave(*faults)
            waiting = [self.begin() for _ in faults]
            self.stranger_called(len(faults))
            self.write_config(
                endpoint=f"https://127.0.0.1:{hung.getsockname()[1]}")
            stack.callback(self.write_config)
            waiting.append(self.begin())
            for connection in waiting:
                answer = connection.receive()
                self.assertEqual(answer["error"],
                                 "io.envelope.Agent.Unreachable")
                self.assertRegex(answer["parameters"]["message"],
                                 f"time budget of {HASTY}000 ms")

    def begin(self):
        connection = self.connect(NOBODY)
        fd = os.open(self.volume, os.O_RDWR)
        connection.send({"method": ATTACH, "parameters": {
            "device_fd": 0, "dry_run": True, "name": "mine-1"}}, [fd])
        os.close(fd)
        return connection

    def stranger_called(self, count):
        deadline = time.monotonic() + 120
        while len(self.stranger.calls) < count:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_others_go_on(self):
        """agent and a broken KMS: who hangs in it holds up no other volume"""
        self.stranger.misbehave(*[slow(30)] * 3)
        waiting = [self.begin() for _ in range(3)]
        self.stranger_called(3)
        self.opened(4)
        for connection in waiting:
            connection.close()


class Expired(BadKms):
    """Its certificate has ended since the volume was made."""

    def test_expired(self):
        """agent and a broken KMS: an expired certificate is sent nothing"""
        self.stranger.tls.load_cert_chain(
            self.stranger.authority.server("expired"))
        self.unreachable(".*does not prove its identity.*expired")
        self.assertEqual(self.stranger.calls, [])
        self.stranger.tls.load_cert_chain(
            self.stranger.authority.server("wrong-host"))
        self.unreachable(".*does not prove its identity")
        self.assertEqual(self.stranger.calls, [])


if __name__ == "__main__":
    tap.main()
