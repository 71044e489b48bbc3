# SPDX-License-Identifier: GPL-2.0-or-later
"""Leases, locks and events as far as they go without a kernel."""
import json
import os
import signal
import subprocess

import tap
from agent_case import NOBODY
from kms_case import ENVELOPE, POLICY, KmsCase

INTERFACE = "io.envelope.Agent."
CAP = "[agent]\nlease-cap = {}\n"


class Lease(KmsCase):
    def refused(self, answer, name, status, sentence):
        self.assertEqual(answer.get("error"), INTERFACE + name, answer)
        self.assertEqual(answer["parameters"]["status"], status)
        self.assertRegex(answer["parameters"]["message"], sentence)

    def reread(self, text):
        """The agent with another policy."""
        self.policy.write_text(text)
        before = self.said().count("read again")
        self.agent.send_signal(signal.SIGHUP)
        self.connect().call(INTERFACE + "List")
        while self.said().count("read again") == before:
            self.assertNotIn("going on with what it said", self.said())

    def terms(self, **wish):
        found = self.attach(self.connect(NOBODY), name="mine-1",
                            **wish)["parameters"]
        return found["lease"], found["grace"], found["warnings"]

    def test_wish(self):
        """agent lease: who attaches may wish for one"""
        self.assertEqual(self.terms(), (0, 0, []))
        self.assertEqual(self.terms(lease=900, grace=3600), (900, 3600, []))

    def test_wrong(self):
        """agent lease: one that cannot be kept is InvalidRequest"""
        for wish, why in [({"lease": 9}, "a lease has at least 10s"),
                          ({"grace": 9}, "a grace needs a lease"),
                          ({"lease": 2147483647}, "at most 30d together")]:
            self.refused(self.attach(self.connect(NOBODY), name="mine-1",
                                     **wish), "InvalidRequest", 2,
                         "this lease cannot be kept: .*" + why)

    def test_cap(self):
        """agent lease: the policy caps lease and grace, and says so"""
        self.reread(POLICY + CAP.format("75m"))
        try:
            self.assertEqual(self.terms(lease=900, grace=3600),
                             (900, 3600, []))
            lease, grace, said = self.terms(lease=900, grace=3601)
            self.assertEqual((lease, grace), (900, 3600))
            self.assertRegex(said[0], "by lease-cap of the policy, its lease "
                             "is 15m and its grace 1h")
            self.assertEqual(self.terms(lease=9000)[:2], (4500, 0))
            self.assertEqual(self.terms(lease=0)[:2], (4500, 0))
        finally:
            self.reread(POLICY)
        self.assertEqual(self.terms(lease=9000), (9000, 0, []))

    def test_stored(self):
        """agent lease: what the header has applies, unless one is wished"""
        path = self.format("leased", "--lease", "20m", "--grace", "5m")
        c = self.connect(NOBODY)
        found = self.attach(c, path, name="mine-1")["parameters"]
        self.assertEqual((found["lease"], found["grace"]), (1200, 300))
        found = self.attach(c, path, name="mine-1", lease=60)["parameters"]
        self.assertEqual((found["lease"], found["grace"]), (60, 300))

    def test_not_there(self):
        """agent lease: what is not there is not locked, unlocked or renewed"""
        c = self.connect(NOBODY)
        for method in "Lock", "Unlock", "Renew":
            self.refused(c.call(INTERFACE + method, {"name": "none"}),
                         "NotAttached", 8, "'none' is not attached")

    def test_commands(self):
        """agent lease: envelope lock, unlock and renew ask it"""
        for verb in "lock", "unlock", "renew":
            done = subprocess.run(
                ["setpriv", "--reuid", str(NOBODY), "--clear-groups",
                 ENVELOPE, verb, "--socket", self.socket, "none"],
                capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr),
                             (8, "envelope: 'none' is not attached\n"))

    def listen(self, uid):
        c = self.connect(uid)
        c.send({"method": INTERFACE + "Subscribe", "more": True})
        self.assertEqual(c.receive(), {"parameters": {}, "continues": True})
        return c

    def deny(self, uid):
        """An attach that fails, since the key is disabled."""
        self.kms.disable_key(KeyId=self.key)
        try:
            answer = self.attach(self.connect(uid), name="mine-1")
        finally:
            self.kms.enable_key(KeyId=self.key)
        self.refused(answer, "Denied", 3, "disabled")

    def test_events(self):
        """agent events: a failed attach is told to its user and to root"""
        his, root, other = (self.listen(u) for u in (NOBODY, 0, 7))
        self.deny(NOBODY)
        event = his.receive()["parameters"]["event"]
        self.assertEqual(root.receive()["parameters"]["event"], event)
        self.assertEqual(
            (event["name"], event["result"], event["cause"], event["key_id"],
             event["device"]),
            ("attachVolume", "failed", f"{self.key} is disabled.", self.key,
             "mine-1"))
        self.assertRegex(event["volume_id"], "^vol-[0-9a-f]{17}$")
        self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.quiet(other)
        # What is root's is nobody else's.
        self.deny(0)
        self.assertIn("event", root.receive()["parameters"])
        self.quiet(his)

    def test_not_more(self):
        """agent events: Subscribe wants to be called with more"""
        self.refused(self.connect().call(INTERFACE + "Subscribe"),
                     "InvalidRequest", 2, "Subscribe wants to be called with")

    def test_gone(self):
        """agent events: listeners that go leave nothing behind"""
        self.connect().call(INTERFACE + "List")
        before = self.descriptors()
        for c in [self.listen(NOBODY) for _ in range(10)]:
            c.close()
        self.settled(before)
        self.deny(NOBODY)
        self.assertIn("parameters", self.connect().call(INTERFACE + "List"))

    def test_command_events(self):
        """agent events: envelope events prints them, and ends with the agent"""
        listeners = [subprocess.Popen(
            [ENVELOPE, "events", "--socket", self.socket, *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for more in ([], ["--json"])]
        probe = self.listen(0)
        count = 0
        # Until both have come in: each denial is one line.
        while not all(os.path.exists(f"/proc/{p.pid}/fd/3")
                      for p in listeners) or count == 0:
            self.deny(NOBODY)
            probe.receive()
            count += 1
        self.deny(NOBODY)
        line = listeners[0].stdout.readline()
        self.assertRegex(
            line, r"^\d{4}-.*Z attachVolume failed: vol-[0-9a-f]{17} mine-1: "
            f"{self.key} is disabled.\n$")
        found = json.loads(listeners[1].stdout.readline())
        self.assertEqual((found["name"], found["result"]),
                         ("attachVolume", "failed"))
        self.stop()
        for p in listeners:
            _, errors = p.communicate(timeout=120)
            self.assertEqual(p.returncode, 4)
            self.assertIn("has ended the connection", errors)
        self.start()


def wrong():
    for value in "9s", "31d", "1w", "0", "75", "m":
        yield (value, CAP.format(value),
               f"lease-cap is a time of 10s to 30d, not '{value}'")
    yield ("twice", CAP.format("1h") + "lease-cap = 2h\n",
           "that line stands twice in its section: '2h'")
    yield ("unknown", "[agent]\nlease = 1h\n",
           "[agent] knows workers, timeout, lease-cap, require-pin and "
           "allow-recovery, not 'lease'")


class Policy(KmsCase):
    def check(self, text, sentence):
        self.policy.write_text(text)
        self.agent.send_signal(signal.SIGHUP)
        self.wait_for(sentence)


tap.add_rows(Policy, [(f"agent lease: a wrong cap is refused: {name}",
                       (text, sentence)) for name, text, sentence in wrong()])

if __name__ == "__main__":
    tap.main()
