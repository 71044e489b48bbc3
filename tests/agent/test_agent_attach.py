# SPDX-License-Identifier: GPL-2.0-or-later
"""Attach as far as it goes without a kernel: policy, worker, KMS, pins."""
import json
import os
import re
import socket
import subprocess
import time

import tap
from agent_case import NOBODY, SANITIZED
from kms_case import ATTACH, ENVELOPE, KmsCase


class Attach(KmsCase):
    def refused(self, answer, name, status, sentence):
        self.assertEqual(answer.get("error"), f"io.envelope.Agent.{name}",
                         answer)
        self.assertEqual(answer["parameters"]["status"], status)
        self.assertRegex(answer["parameters"]["message"], sentence)

    def test_user(self):
        """agent attach: a user's header is read and unwrapped by a worker"""
        answer = self.attach(self.connect(NOBODY), name="mine-1")
        self.assertEqual(answer.get("parameters", answer).get("warnings"), [])
        found = answer["parameters"]
        self.assertEqual(
            (found["name"], found["device"], found["size"], found["dry_run"],
             found["read_only"]),
            ("mine-1", "/dev/mapper/mine-1", 3 << 20, True, False))
        self.assertRegex(found["volume_id"], "^vol-[0-9a-f]{17}$")

    def test_volume_id_as_name(self):
        """agent attach: the name is the volume id by default"""
        found = self.attach(self.connect(NOBODY))["parameters"]
        self.assertEqual(found["name"], found["volume_id"])

    def test_name_refused(self):
        """agent attach: a name that the policy does not have is refused"""
        answer = self.attach(self.connect(NOBODY), name="theirs")
        self.refused(answer, "Denied", 3, "the policy does not let user "
                     f"{NOBODY} attach a device that he opened under the "
                     "name theirs")

    def test_other_user(self):
        """agent attach: who is in no section may attach nothing"""
        self.refused(self.attach(self.connect(7), name="mine-1"), "Denied", 3,
                     "the policy does not let user 7 attach")

    def test_root(self):
        """agent attach: root may, whatever the policy says"""
        answer = self.attach(self.connect(), name="theirs")
        self.assertEqual(answer["parameters"]["name"], "theirs")

    def test_read_only_descriptor(self):
        """agent attach: a descriptor for reading only is not enough"""
        answer = self.attach(self.connect(NOBODY), mode=os.O_RDONLY,
                             name="mine-1")
        self.refused(answer, "Denied", 3,
                     "volume' was not opened for reading and writing")

    def test_strange_descriptors(self):
        """agent attach: folders, devices without blocks and pipes are refused"""
        c = self.connect(NOBODY)
        for path, mode in [(self.dir, os.O_RDONLY), ("/dev/null", os.O_RDWR),
                           (self.volume, os.O_PATH)]:
            self.refused(self.attach(c, path, mode, name="mine-1"), "Denied",
                         3, "is neither a block device nor a file"
                         "|was not opened for reading")

    def test_no_descriptor(self):
        """agent attach: a descriptor that did not come is named"""
        c = self.connect(NOBODY)
        self.refused(c.call(ATTACH, {"device_fd": 0}), "InvalidRequest", 2,
                     "device_fd is 0, but no such descriptor came")
        answer = self.attach(c, name="mine-1", header_fd=1)
        self.refused(answer, "InvalidRequest", 2,
                     "header_fd is 1, but no such descriptor came")

    def test_neither(self):
        """agent attach: either a descriptor or a link is wanted"""
        c = self.connect(NOBODY)
        for more in {}, {"device_fd": 0, "link": "/dev/x"}:
            self.refused(c.call(ATTACH, more), "InvalidRequest", 2,
                         "Attach wants either device_fd or link")

    def test_link_refused(self):
        """agent attach: a link that no policy names is not even looked at"""
        c = self.connect(NOBODY)
        for link in "/dev/vda", "/nonexistent", "relative":
            self.refused(c.call(ATTACH, {"link": link}), "Denied", 3,
                         f"does not let user {NOBODY} attach '{link}'")

    def test_on_lock(self):
        """agent attach: on_lock is queue or error"""
        answer = self.attach(self.connect(NOBODY), on_lock="perhaps")
        self.assertEqual(answer["parameters"], {"parameter": "on_lock"})

    def test_bad_name(self):
        """agent attach: a name that no device can have is refused"""
        for name in "a/b", "..", "x" * 90, "":
            self.refused(self.attach(self.connect(), name=name),
                         "InvalidRequest", 2, "is no name for a device")

    def test_link_with_header(self):
        """security-13: a user's header says nothing of what a link leads to"""
        header = os.open(self.volume, os.O_RDONLY)
        self.refused(self.connect(NOBODY).call(ATTACH, {
            "link": "/dev/disk/by-id/nobody-1", "header_fd": 0,
            "name": "mine-1"}, [header]), "Denied", 3,
                     "only root may attach what a link leads to with a header")
        os.close(header)

    def test_no_header(self):
        """agent attach: what has no header is NoHeader, status 5"""
        path = self.dir / "empty"
        path.write_bytes(bytes(4 << 20))
        self.refused(self.attach(self.connect(NOBODY), path, name="mine-1"),
                     "NoHeader", 5, "empty': no envelope header in either")

    def test_tampered(self):
        """agent attach: a header that was tampered with is Tampered"""
        path = self.dir / "tampered"
        data = bytearray(self.volume.read_bytes())
        data[200] ^= 1
        data[(128 << 10) + 200] ^= 1
        path.write_bytes(data)
        self.refused(self.attach(self.connect(NOBODY), path, name="mine-1"),
                     "Tampered", 6, "tampered'")

    def test_key_disabled(self):
        """agent attach: a disabled key is Denied, in the KMS's words"""
        self.kms.disable_key(KeyId=self.key)
        try:
            answer = self.attach(self.connect(NOBODY), name="mine-1")
        finally:
            self.kms.enable_key(KeyId=self.key)
        self.refused(answer, "Denied", 3, "^CustomerKeyHasBeenRevoked: volume "
                     "vol-[0-9a-f]{17} cannot be attached: the encrypted "
                     "volume was unable to access the KMS key: key '"
                     f"{self.key}': .*disabled")

    def test_key_not_allowed(self):
        """agent attach: a key outside allow-keys reaches no KMS"""
        self.write_config(**{
            "allow-keys": "arn:aws:kms:us-east-1:999999999999:key/*"})
        try:
            answer = self.attach(self.connect(NOBODY), name="mine-1")
        finally:
            self.write_config()
        self.refused(answer, "Denied", 3, "^key .*allow-keys")

    def test_unreachable(self):
        """agent attach: a KMS that is not there is Unreachable, status 4"""
        self.write_config(endpoint="https://127.0.0.1:1")
        try:
            answer = self.attach(self.connect(NOBODY), name="mine-1")
        finally:
            self.write_config()
        self.refused(answer, "Unreachable", 4, "127.0.0.1")

    def test_environment_ignored(self):
        """agent attach: the agent's environment changes nothing"""
        self.stop()
        self.start(AWS_ACCESS_KEY_ID="AKIAWRONG", AWS_PROFILE="wrong",
                   AWS_SECRET_ACCESS_KEY="wrong", AWS_REGION="eu-west-1",
                   AWS_ENDPOINT_URL_KMS="https://127.0.0.1:1",
                   SSLKEYLOGFILE=str(self.dir / "keys"))
        answer = self.attach(self.connect(NOBODY), name="mine-1")
        self.assertIn("volume_id", answer.get("parameters", answer))
        self.assertFalse((self.dir / "keys").exists())
        self.stop()
        self.start()

    def test_pin(self):
        """agent attach: a volume that is pinned otherwise is Tampered"""
        found = self.attach(self.connect())["parameters"]
        pins = self.dir / "known"
        pins.write_text(json.dumps({
            "volume_id": found["volume_id"], "lineage": "0" * 64,
            "revision": 1, "key_ids": [self.key]}) + "\n")
        pins.chmod(0o600)
        try:
            answer = self.attach(self.connect(NOBODY), name="mine-1")
        finally:
            pins.unlink()
        self.refused(answer, "Tampered", 6, "pinned with another data key")

    def test_pin_required(self):
        """agent attach: require-pin refuses what is not pinned, root's as well"""
        pins = self.dir / "known"
        self.policy.write_text(self.POLICY + "[agent]\nrequire-pin = yes\n")
        self.reload_policy()
        # Denied by the KMS, if it were asked.
        self.kms.disable_key(KeyId=self.key)
        try:
            for uid in NOBODY, 0:
                answer = self.attach(self.connect(uid), name="mine-1")
                self.refused(answer, "Tampered", 6, "vol-[0-9a-f]{17} is not "
                             "pinned on this host, as the agent's policy "
                             "requires: .* let root attach it once with "
                             "'envelope attach --direct'$")
            pins.write_text('{"damaged\n')
            pins.chmod(0o600)
            answer = self.attach(self.connect(NOBODY), name="mine-1")
            self.refused(answer, "Tampered", 6, "known")
            self.kms.enable_key(KeyId=self.key)
            pins.write_bytes((self.dir / "pins/known").read_bytes())
            answer = self.attach(self.connect(NOBODY), name="mine-1")
            self.assertIn("parameters", answer)
            self.assertNotIn("error", answer)
        finally:
            self.kms.enable_key(KeyId=self.key)
            pins.unlink()
            self.policy.write_text(self.POLICY)
            self.reload_policy()

    def test_detached_header(self):
        """agent attach: a detached header is a second descriptor"""
        header = self.dir / "header"
        with open(self.dir / "data", "wb") as file:
            file.truncate(4 << 20)
        self.format("data", "--header", str(header))
        data = os.open(self.dir / "data", os.O_RDWR)
        fd = os.open(header, os.O_RDONLY)
        answer = self.connect(NOBODY).call(ATTACH, {
            "device_fd": 0, "header_fd": 1, "dry_run": True,
            "name": "mine-1"}, [data, fd])
        os.close(data)
        os.close(fd)
        self.assertEqual(answer["parameters"]["size"], 4 << 20)

    def test_header_unreadable(self):
        """agent attach: root opens no header that its owner has not read"""
        for path, mode in [(self.volume, os.O_PATH), ("/dev/null", os.O_PATH),
                           (self.volume, os.O_WRONLY),
                           ("/dev/null", os.O_RDONLY), (self.dir, os.O_RDONLY)]:
            device = os.open(self.volume, os.O_RDWR)
            fd = os.open(path, mode)
            answer = self.connect(NOBODY).call(ATTACH, {
                "device_fd": 0, "header_fd": 1, "dry_run": True,
                "name": "mine-1"}, [device, fd])
            os.close(device)
            os.close(fd)
            self.refused(answer, "Denied", 3,
                         "is neither a block device nor a file"
                         "|was not opened for reading")

    def test_many_at_once(self):
        """agent attach: a hundred at once are all answered"""
        crowd = [self.connect() for _ in range(100)]
        fd = os.open(self.volume, os.O_RDWR)
        for c in crowd:
            c.send({"method": ATTACH, "parameters": {
                "device_fd": 0, "dry_run": True}}, [fd])
        os.close(fd)
        for c in crowd:
            self.assertIn("volume_id", c.receive().get("parameters"))

    def test_nothing_left(self):
        """agent attach: no process or descriptor is left of attaches"""
        c = self.connect()
        self.attach(c)
        before = self.descriptors()
        for _ in range(5):
            self.attach(c)
        c.call("org.varlink.service.GetInfo")
        self.settled(before)
        self.assertEqual(self.children(), [])

    def children(self):
        path = f"/proc/{self.agent.pid}/task/{self.agent.pid}/children"
        deadline = time.monotonic() + 120
        while (found := open(path).read().split()):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return found

    def test_command(self):
        """agent attach: envelope attach asks it, and prints its answer"""
        done = subprocess.run(
            ["setpriv", "--reuid", str(NOBODY), "--clear-groups", ENVELOPE,
             "attach", "--socket", self.socket, "--dry-run", "--json",
             self.volume, "mine-2"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout)["name"], "mine-2")
        done = subprocess.run(
            ["setpriv", "--reuid", str(NOBODY), "--clear-groups", ENVELOPE,
             "attach", "--socket", self.socket, self.volume, "theirs"],
            capture_output=True, text=True)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, "^envelope: the policy does not let "
                         f"user {NOBODY} attach .* theirs\n$")


class Worker(KmsCase):
    """A worker that waits for a KMS which does not answer."""

    def setUp(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        port = self.listener.getsockname()[1]
        self.write_config(endpoint=f"https://127.0.0.1:{port}")
        self.addCleanup(self.write_config)
        self.client = self.connect(NOBODY)
        fd = os.open(self.volume, os.O_RDWR)
        self.client.send({"method": ATTACH, "parameters": {
            "device_fd": 0, "dry_run": True, "name": "mine-1"}}, [fd])
        os.close(fd)
        self.listener.settimeout(120)
        self.kms_end = self.listener.accept()[0]
        self.addCleanup(self.kms_end.close)
        path = f"/proc/{self.agent.pid}/task/{self.agent.pid}/children"
        self.pid = int(open(path).read().split()[0])

    def field(self, name):
        status = open(f"/proc/{self.pid}/status").read()
        return re.search(rf"^{name}:[ \t]*(.*?)[ \t]*$", status, re.M).group(1)

    def test_confined(self):
        """agent worker: nobody, one capability, seccomp, no new privileges"""
        self.assertEqual(set(self.field("Uid").split()), {str(NOBODY)})
        self.assertEqual(set(self.field("Gid").split()), {str(NOBODY)})
        self.assertEqual(self.field("Groups"), "")
        self.assertEqual(int(self.field("CapEff"), 16), 1 << 2)
        self.assertEqual(int(self.field("CapPrm"), 16), 1 << 2)
        self.assertEqual(int(self.field("CapBnd"), 16), 0)
        self.assertEqual(self.field("NoNewPrivs"), "1")
        self.assertEqual(self.field("Seccomp"), "2")

    def test_limits(self):
        """agent worker: its memory, descriptors and processes are bounded"""
        limits = open(f"/proc/{self.pid}/limits").read()
        bounds = {"processes": 512, "open files": 64,
                  "locked memory": 16 << 20}
        # AddressSanitizer's shadow of all memory counts as data.
        if not SANITIZED:
            bounds["data size"] = 512 << 20
        for name, most in bounds.items():
            hard = re.search(rf"^Max {name} +\d+ +(\d+) ", limits, re.M)
            self.assertLessEqual(int(hard.group(1)), most, name)

    def test_descriptors(self):
        """agent worker: it has let go of the device when its KMS is asked"""
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            self.assertNotEqual(os.readlink(f"/proc/{self.pid}/fd/{fd}"),
                                str(self.volume))

    def test_others_meanwhile(self):
        """agent worker: a KMS that hangs holds up nobody else"""
        other = self.connect()
        self.assertIn("parameters", other.call("io.envelope.Agent.List"))

    def test_crowd(self):
        """agent worker: of a hundred at once, a KMS hears no more than eight"""
        crowd = [self.connect() for _ in range(99)]
        fd = os.open(self.volume, os.O_RDWR)
        for c in crowd:
            c.send({"method": ATTACH, "parameters": {
                "device_fd": 0, "dry_run": True}}, [fd])
        os.close(fd)
        for _ in range(7):
            self.addCleanup(self.listener.accept()[0].close)
        # All that was sent before this has been heard.
        self.assertIn("parameters",
                      self.connect().call("io.envelope.Agent.List"))
        path = f"/proc/{self.agent.pid}/task/{self.agent.pid}/children"
        self.assertEqual(len(open(path).read().split()), 8)
        self.listener.settimeout(0)
        self.assertRaises(BlockingIOError, self.listener.accept)
        for c in crowd:
            c.close()

    def test_client_goes(self):
        """agent worker: it ends when its client goes, which is recorded"""
        self.client.close()
        self.wait_for("who wanted it attached has gone; given up")
        audit = self.dir / "audit" / "audit.log"
        record = json.loads(audit.read_text().splitlines()[-1])
        self.assertEqual((record["result"], record["why"]),
                         ("failed", "who wanted it attached has gone"))
        deadline = time.monotonic() + 120
        while os.path.exists(f"/proc/{self.pid}"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_killed(self):
        """agent worker: one that dies fails its call, and no other"""
        os.kill(self.pid, 9)
        answer = self.client.receive()
        self.assertEqual(answer["error"], "io.envelope.Agent.Failed")
        self.assertIn("the worker died", answer["parameters"]["message"])
        self.assertIn("parameters",
                      self.connect().call("io.envelope.Agent.List"))

    def test_agent_dies(self):
        """agent worker: it does not outlive the agent"""
        self.stop(9)
        deadline = time.monotonic() + 120
        while os.path.exists(f"/proc/{self.pid}"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.start()


if __name__ == "__main__":
    tap.main()
