# SPDX-License-Identifier: GPL-2.0-or-later
"""What users try who may attach something: headers of their own making, other
people's names, links that lead elsewhere."""
import os
import pathlib
import re
import signal
import subprocess
import time

import tap
from agent_case import NOBODY, forge
from kms_case import ATTACH, KmsCase

OTHER_KEY = "00000000-0000-0000-0000-000000000000"


class Hostile(KmsCase):
    def refused(self, answer, name, status, sentence):
        self.assertEqual(answer.get("error"), f"io.envelope.Agent.{name}",
                         answer)
        self.assertEqual(answer["parameters"]["status"], int(status))
        self.assertRegex(answer["parameters"]["message"], sentence)

    def crafted(self, change):
        path = self.dir / "crafted"
        path.write_bytes(self.volume.read_bytes())
        os.chown(path, NOBODY, NOBODY)
        forge(path, change)
        return path


class Header(Hostile):
    """The agent and its workers under strace(1)."""

    def setUp(self):
        self.trace = self.dir / "trace"
        said = self.dir / "strace"
        with open(said, "wb") as log:
            self.strace = subprocess.Popen(
                ["strace", "-f", "-s", "256", "-o", self.trace, "-e",
                 "trace=connect,execve,open,openat,sendto", "-p",
                 str(self.agent.pid)], stderr=log)
        self.addCleanup(self.untraced)
        deadline = time.monotonic() + 120
        while "attached" not in said.read_text():
            self.assertIsNone(self.strace.poll(), said.read_text())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def untraced(self):
        if self.strace.poll() is None:
            self.strace.send_signal(signal.SIGINT)
            self.strace.wait(120)

    def traced(self):
        """What was done so far: addresses, programs, files."""
        self.untraced()
        text = self.trace.read_text(errors="replace")
        ports = re.findall(r"connect\(.*htons\((\d+)\), .*?\"([^\"]*)\"", text)
        return (set(ports), set(re.findall(r'execve\("([^"]*)"', text)),
                set(re.findall(r'open(?:at)?\([^"]*"([^"]*)"', text)))

    def kms_address(self):
        host, port = self.server.endpoint.split("/")[2].split(":")
        return {(port, host)}

    def test_endpoints(self):
        """security-05: a crafted header reaches no endpoint that is not configured"""
        account = self.key.split(":")[4]
        arn = f"arn:aws:kms:us-east-1:{account}:key/{OTHER_KEY}"
        foreign = {
            arn.replace("us-east-1", "eu-west-1"):
                "Denied 3 region .eu-west-1. is not configured on this host",
            arn.replace(account, "999999999999"): "Denied 3 allow-keys",
            arn.replace("arn:aws:", "arn:aws-cn:"): "Denied 3 allow-keys",
            arn.replace("us-east-1", "evil.example.com/"): "Tampered 6 key_id",
            arn.replace("us-east-1", "us-east-1@127.0.0.1"):
                "Tampered 6 key_id",
            "https://127.0.0.1:1/key": "Tampered 6 key_id",
        }
        for key, says in foreign.items():
            path = self.crafted(lambda core, slots, key=key: slots[0].update(
                key_id=key, endpoint="https://127.0.0.1:1", proxy="http://x"))
            self.refused(self.attach(self.connect(NOBODY), path,
                                     name="mine-1"), *says.split(" ", 2))
        connected, executed, _ = self.traced()
        self.assertEqual(connected, set())
        self.assertEqual(executed, {"/proc/self/exe"})

    def test_slot_says_where(self):
        """security-05: an endpoint in a slot is a word like any other"""
        path = self.crafted(lambda core, slots: slots[0].update(
            endpoint="https://127.0.0.1:1", region="eu-west-1",
            profile="root", ca_file="/tmp/ca.pem"))
        answer = self.attach(self.connect(NOBODY), path, name="mine-1")
        self.assertNotIn("error", answer, answer)
        self.assertEqual(self.traced()[0], self.kms_address())

    def test_code(self):
        """security-05: a crafted header loads no code and runs no program"""
        evil = self.dir / "evil.so"
        evil.write_bytes(b"\x7fELF")
        evil.chmod(0o755)
        for provider, key, says in [
                ("pkcs11", "pkcs11:token=evil;object=k",
                 "Denied 3 .evil. is not configured on this host"),
                ("pkcs11", f"pkcs11:token=x;object=k?module-path={evil}",
                 "Tampered 6 key_id"),
                ("program", "program:evil.so/k", "Denied 3 .evil.so. is not configured on this host"),
                ("program", f"program:{evil}/k", "Tampered 6 key_id"),
                ("program", "program:../evil.so/k",
                 "Denied 3 '..' is not configured on this host"),
                (str(evil), str(evil), "Tampered 6 provider is not a name"),
                ("evil", str(evil), "Denied 3 no slot that this version can")]:
            path = self.crafted(lambda core, slots, p=provider, k=key:
                                slots[0].update(provider=p, key_id=k,
                                                module=str(evil),
                                                path=str(evil)))
            self.refused(self.attach(self.connect(NOBODY), path,
                                     name="mine-1"), *says.split(" ", 2))
        connected, executed, opened = self.traced()
        self.assertEqual(connected, set())
        self.assertEqual(executed, {"/proc/self/exe"})
        self.assertNotIn(str(evil), opened)
        self.assertFalse([p for p in opened if "evil" in p])

    def test_shown(self):
        """security-05: such a trace shows a KMS that is asked"""
        self.assertNotIn("error", self.attach(self.connect(NOBODY),
                                              name="mine-1"))
        connected, executed, opened = self.traced()
        self.assertEqual(connected, self.kms_address())
        self.assertEqual(executed, {"/proc/self/exe"})
        self.assertIn(str(self.config), opened)


class Copies(Hostile):
    def test_other_id(self):
        """security-12: a volume's wrapped key opens nothing under another id"""
        for change in ({"volume_id": "vol-0123456789abcdef0"},
                       {"generation": 2}):
            path = self.crafted(lambda core, slots, c=change: core.update(c))
            self.refused(self.attach(self.connect(NOBODY), path,
                                     name="mine-1"), "Denied", 3,
                         f"key '{re.escape(self.key)}': .*the wrapped key is "
                         "not this volume's or was changed")

    def test_other_core(self):
        """security-02: a core that was changed opens nothing, with its own key"""
        for change in ({"data_offset": 2 << 20, "size": 2 << 20},
                       {"revision": 2}):
            path = self.crafted(lambda core, slots, c=change: core.update(c))
            self.refused(self.attach(self.connect(NOBODY), path,
                                     name="mine-1"), "Tampered", 6, "HMAC")

    def test_anothers_id_as_name(self):
        """security-13: the id of another volume is no name for a user's device"""
        self.refused(self.attach(self.connect(NOBODY),
                                 name="vol-0123456789abcdef0"), "Denied", 3,
                     "the name 'vol-0123456789abcdef0' is the id of another")
        own = self.attach(self.connect(NOBODY))["parameters"]["volume_id"]
        answer = self.attach(self.connect(NOBODY), name=own)
        self.assertEqual(answer["parameters"]["name"], own)

    def test_no_utf8(self):
        """agent attach: a path that is no UTF-8 gets an answer"""
        path = os.path.join(os.fsencode(self.dir), b"caf\xe9")
        with open(path, "wb"):
            pass
        self.refused(self.attach(self.connect(NOBODY), path, os.O_RDONLY,
                                 name="mine-1"), "Denied", 3,
                     "no UTF-8: the agent's journal has it")


class Links(Hostile):
    """Below a folder that the policy names; none leads to a block device, so
    what passes is refused for that alone."""
    ELSEWHERE = "others than root can make it lead elsewhere"

    @classmethod
    def prepare(cls):
        cls.POLICY = (f"[uid {NOBODY}]\nnames = *\ndevices = {cls.dir}/*/* "
                      f"{cls.dir}/*/*/*\n")
        super().prepare()

    def link(self, *names):
        """A link to a device in these folders, all of them root's."""
        folder = pathlib.Path(self.dir, *names)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        path = folder / "link"
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/null")
        return path

    def ask(self, path):
        return self.connect(NOBODY).call(ATTACH, {
            "link": str(path), "dry_run": True, "name": "x"})

    def test_roots(self):
        """security-13: a link of root's is followed, but to a block device only"""
        self.refused(self.ask(self.link("good")), "Denied", 3,
                     "is no block device")

    def test_owner(self):
        """security-13: a link of another's is not followed"""
        path = self.link("owner")
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        self.refused(self.ask(path), "Denied", 3, self.ELSEWHERE)

    def test_folder(self):
        """security-13: nor one in a folder that others can write"""
        path = self.link("folder")
        os.chmod(path.parent, 0o775)
        self.refused(self.ask(path), "Denied", 3, self.ELSEWHERE)

    def test_folder_above(self):
        """security-13: nor one below a folder of another's"""
        path = self.link("above", "below")
        os.chown(path.parent.parent, NOBODY, NOBODY)
        self.refused(self.ask(path), "Denied", 3, self.ELSEWHERE)

    def test_folder_linked(self):
        """security-13: nor one in a folder of another's by a link of root's"""
        path = self.link("theirs")
        os.chown(path.parent, NOBODY, NOBODY)
        (self.dir / "lane").symlink_to(path.parent)
        self.refused(self.ask(self.dir / "lane" / "link"), "Denied", 3,
                     self.ELSEWHERE)


if __name__ == "__main__":
    tap.main()
