# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent's policy: every mistake by its line, and reading it anew."""
import os
import re
import signal
import socket
import subprocess

import tap
from agent_case import AGENT, NOBODY, AgentCase

ATTACH = "io.envelope.Agent.Attach"
SECTION = "[uid 5]\n"
KINDS = (r"a section is \[user NAME\], \[uid NUMBER\], \[group NAME\], "
         r"\[everyone\] or \[agent\], not ")
NAME = "no device can have a name like "
WORDS = "there are too many words at "
TWICE = "that line stands twice in its section: "

# What is wrong: the text, the line, what is said of it.
MISTAKES = {
    "a section without an end": ("\n[uid 5\n", 2,
                                 r"a section ends with \], not '\[uid 5'"),
    "a bracket alone": ("[", 1, r"a section ends with \], not '\['"),
    "a section of no kind": ("[]", 1, KINDS + "''"),
    "a section of an unknown kind": ("# x\n\n[host a]", 3, KINDS + "'host a'"),
    "a long kind": ("[everyone-else a]", 1, KINDS + "'everyone-else a'"),
    "a kind alone": ("[user]", 1, KINDS + "'user'"),
    "a kind and a blank": ("[user ]", 1, KINDS + "'user '"),
    "two names": ("[user a b]", 1, KINDS + "'user a b'"),
    "a uid that is a name": ("[uid root]", 1, "a uid is a number, not 'root'"),
    "a negative uid": ("[uid -1]", 1, "a uid is a number, not '-1'"),
    "the uid of nobody at all": ("[uid 4294967295]", 1,
                                 "a uid is a number, not '4294967295'"),
    "a uid that is too long": ("[uid 00000000005]", 1,
                               "a uid is a number, not '00000000005'"),
    "a uid with a tail": ("[uid 5x]", 1, "a uid is a number, not '5x'"),
    "an unknown user": ("[user no-such]", 1, "there is no user 'no-such'"),
    "an unknown group": ("[group no-such]", 1, "there is no group 'no-such'"),
    "a section twice": (SECTION + "\n" + SECTION, 3,
                        "there is a second section 'uid 5'"),
    "too many sections": ("".join(f"[uid {i}]\n" for i in range(257)), 257,
                          "there are too many sections at 'uid 256'"),
    "a relative path": (SECTION + "devices = passed dev/vda", 2,
                        "devices are 'passed' or absolute paths, not "
                        "'dev/vda'"),
    "a name with a slash": (SECTION + "names = good a/b", 2, NAME + "'a/b'"),
    "a name that is too long": (SECTION + "names = " + "x" * 100, 2,
                                NAME + f"'{'x' * 100}'"),
    "devices twice": (SECTION + "devices = passed\ndevices = /dev/x y", 3,
                      TWICE + "'/dev/x y'"),
    "a key that is an alias": (SECTION + "keys = alias/x", 2, "keys are "
                               "patterns of ARNs and other key ids, not "
                               "'alias/x'"),
    "names twice": (SECTION + "names = a\nnames = b", 3, TWICE + "'b'"),
    "too many words": (SECTION + "names =" + " n" * 64 + " last", 2,
                       WORDS + "'last'"),
    "no equals sign": (SECTION + "devices passed", 2,
                       "a line is NAME = VALUE, not 'devices passed'"),
    "no value": (SECTION + "names = \t", 2, "there is no value for 'names'"),
    "a line before any section": ("names = a\n" + SECTION, 1,
                                  "no section stands before 'names'"),
    "an unknown line": (SECTION + "paths = /dev/x", 2,
                        "a section knows devices, names and keys, not 'paths'"),
    "an unknown line of the agent's": (
        "[agent]\ndevices = passed", 2,
        r"\[agent\] knows workers, timeout, lease-cap, require-pin and "
        "allow-recovery, not 'devices'"),
    "pins that are neither": ("[agent]\nrequire-pin = maybe", 2,
                              "require-pin is yes or no, not 'maybe'"),
    "pins twice": ("[agent]\nrequire-pin = no\nrequire-pin = yes", 3,
                   TWICE + "'yes'"),
    "recovery that is neither": ("[agent]\nallow-recovery = 1", 2,
                                 "allow-recovery is yes or no, not '1'"),
    "recovery twice": (
        "[agent]\nallow-recovery = no\nallow-recovery = yes", 3,
        TWICE + "'yes'"),
    "no workers": ("[agent]\nworkers = 0", 2, "workers is 1 to 64, not '0'"),
    "too many workers": ("[agent]\nworkers = 65", 2,
                         "workers is 1 to 64, not '65'"),
    "no time": ("[agent]\ntimeout = 0", 2,
                "timeout is 1 to 120 seconds, not '0'"),
    "too much time": ("[agent]\ntimeout = 121", 2,
                      "timeout is 1 to 120 seconds, not '121'"),
    "workers that are no number": ("[agent]\nworkers = all", 2,
                                   "workers is 1 to 64, not 'all'"),
}


class Mistakes(AgentCase):
    @classmethod
    def start(cls, **environment):
        """None: each test has its own, which ends at once."""

    def run_with(self, path):
        return subprocess.run(
            [AGENT, "--socket", self.socket, "--state", self.state,
             "--policy", path], capture_output=True, text=True, timeout=300,
            check=False)

    def refused(self, path, status, sentence):
        done = self.run_with(path)
        self.assertRegex(done.stderr,
                         rf"\Aenvelope-agent: {re.escape(str(path))}{sentence}"
                         r"\n\Z")
        self.assertEqual(done.returncode, status)
        self.assertFalse(self.socket.exists())

    def check(self, text, line, sentence):
        path = self.dir / "policy"
        path.write_text(text)
        self.refused(path, 2, f":{line}: {sentence}")

    def test_nul(self):
        """agent policy: a NUL in it is refused"""
        path = self.dir / "policy"
        path.write_bytes(b"[uid 5]\n\0")
        self.refused(path, 2, ": there is a NUL in it")

    def test_no_file(self):
        """agent policy: what is no file, or too large a one, is refused"""
        path = self.dir / "policy"
        path.write_text("#" * 65537)
        for path in path, self.dir, "/dev/null":
            self.refused(path, 2, ": not a file of at most 65536 bytes")

    def test_unreadable(self):
        """agent policy: one that cannot be opened or read is refused"""
        (self.dir / "policy").write_text("")
        self.refused(self.dir / "policy/x", 2, ": Not a directory")
        self.refused("/proc/self/mem", 2, ": Input/output error")

    def test_others(self):
        """agent policy: one that others can write is refused with status 3"""
        path = self.dir / "policy"
        for owner, mode in (0, 0o620), (0, 0o602), (NOBODY, 0o600):
            path.write_text(SECTION)
            os.chown(path, owner, 0)
            path.chmod(mode)
            self.refused(path, 3, ": others than root can write it: "
                         "chown root, chmod go-w")
            path.unlink()


tap.add_rows(Mistakes, [(f"agent policy: {name} is refused with its line", row)
                        for name, row in MISTAKES.items()])


class Reload(AgentCase):
    """What nobody may attach shows what the policy says."""

    @classmethod
    def prepare(cls):
        cls.policy = cls.dir / "policy"
        cls.write("mine")
        (cls.dir / "envelope.conf").write_text("")
        cls.ARGUMENTS = ("--policy", str(cls.policy), "--config",
                         str(cls.dir / "envelope.conf"))
        (cls.dir / "disk").write_bytes(bytes(1 << 20))

    @classmethod
    def write(cls, name):
        cls.policy.write_text(
            f"[uid {NOBODY}]\ndevices = passed\nnames = {name}\n")

    def lets(self, name):
        """Not refused by the policy, but by what is not on the disk."""
        disk = os.open(self.dir / "disk", os.O_RDWR)
        answer = self.connect(NOBODY).call(ATTACH, {
            "device_fd": 0, "name": name, "dry_run": True}, [disk])
        os.close(disk)
        self.assertIn(answer["error"], ("io.envelope.Agent.NoHeader",
                                        "io.envelope.Agent.Denied"))
        return answer["error"].endswith("NoHeader")

    def reload(self, says):
        """SIGHUP, and all that the agent says until it says this."""
        before = len(self.said())
        self.agent.send_signal(signal.SIGHUP)
        self.wait_for(says)
        return self.said()[before:]

    def setUp(self):
        self.write("mine")
        self.stop()
        (self.dir / "log").write_text("")
        self.start()

    def test_good(self):
        """agent policy: SIGHUP reads it anew"""
        self.assertEqual((self.lets("mine"), self.lets("other")),
                         (True, False))
        self.write("other")
        self.assertEqual(self.reload("read again"),
                         f"envelope-agent: {self.policy}: read again\n")
        self.assertEqual((self.lets("mine"), self.lets("other")),
                         (False, True))

    def test_bad(self):
        """agent policy: SIGHUP with a mistake names its line, changes nothing"""
        self.policy.write_text(f"[uid {NOBODY}]\ndevices = all\n")
        self.assertEqual(
            self.reload("going on"),
            f"envelope-agent: {self.policy}:2: devices are 'passed' or "
            f"absolute paths, not 'all'\nenvelope-agent: warning: "
            f"{self.policy}: going on with what it said before\n")
        self.assertEqual((self.lets("mine"), self.lets("other")),
                         (True, False))
        self.write("other")
        self.reload("read again")
        self.assertTrue(self.lets("other"))

    def test_others(self):
        """agent policy: SIGHUP takes none that others can write"""
        self.write("other")
        self.policy.chmod(0o666)
        self.assertIn("others than root can write it",
                      self.reload("going on"))
        self.policy.unlink()
        self.assertTrue(self.lets("mine"))

    def test_gone(self):
        """agent policy: SIGHUP without a file leaves root alone"""
        self.policy.unlink()
        self.reload("read again")
        self.assertFalse(self.lets("mine"))

    def test_attach_under_way(self):
        """agent policy: SIGHUP in the middle of a call loses nothing"""
        c = self.connect(NOBODY)
        c.raw(b'{"method": "io.envelope')
        self.reload("read again")
        c.raw(b'.Agent.List"}\0')
        self.assertEqual(c.receive(), {"parameters": {"volumes": []}})

    def test_notify(self):
        """agent policy: the service manager hears RELOADING, then READY"""
        path = self.dir / "notify"
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(path))
        manager.settimeout(300)
        self.stop()
        self.start(NOTIFY_SOCKET=str(path))
        self.assertIn("READY=1", self.hear(manager))
        for text in "", "nonsense":
            self.policy.write_text(text)
            self.agent.send_signal(signal.SIGHUP)
            self.assertIn("RELOADING=1", self.hear(manager))
            self.assertIn("READY=1", self.hear(manager))

    def hear(self, manager):
        return manager.recv(4096).decode().split("\n")


if __name__ == "__main__":
    tap.main()
