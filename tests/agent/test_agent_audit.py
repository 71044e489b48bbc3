# SPDX-License-Identifier: GPL-2.0-or-later
"""What the agent leaves in the audit of its host."""
import json
import signal
import subprocess
import time

import tap
from agent_case import NOBODY
from kms_case import ENVELOPE, KmsCase

FLOOD = 2000                # tries, on a slow machine


class Audit(KmsCase):
    def setUp(self):
        self.audit = self.dir / "audit"

    def records(self):
        return [json.loads(line) for line in
                (self.audit / "audit.log").read_text().splitlines()]

    def verify(self):
        """What `audit verify` prints of the agent's own folder."""
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             'mkdir -p /var/lib/envelope && mount --bind "$0" '
             '/var/lib/envelope && exec "$@"', self.dir, ENVELOPE, "audit",
             "verify"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_granted(self):
        """agent audit: an attach has uid, volume, key and request id"""
        answer = self.attach(self.connect(NOBODY), name="mine-1")
        record = self.records()[-1]
        decrypts = [r["requestID"] for r in self.server.audit()
                    if r["eventName"] == "Decrypt"]
        self.assertEqual(
            {n: record[n] for n in ("event", "result", "uid", "by", "name",
                                    "device", "volume_id", "key_id",
                                    "request_id")},
            {"event": "attach-dry-run", "result": "granted", "uid": NOBODY,
             "by": "envelope-agent", "name": "mine-1",
             "device": str(self.volume),
             "volume_id": answer["parameters"]["volume_id"],
             "key_id": self.key, "request_id": decrypts[-1]})
        self.verify()

    def test_denied_by_policy(self):
        """agent audit: who may not attach is recorded, with the sentence"""
        answer = self.attach(self.connect(7), name="mine-1")
        record = self.records()[-1]
        self.assertEqual((record["result"], record["uid"], record["why"]),
                         ("denied", 7, answer["parameters"]["message"]))
        self.assertNotIn("request_id", record)

    def test_denied_by_kms(self):
        """agent audit: a denial of the KMS has its request id"""
        self.kms.disable_key(KeyId=self.key)
        try:
            self.attach(self.connect(NOBODY), name="mine-1")
        finally:
            self.kms.enable_key(KeyId=self.key)
        record = self.records()[-1]
        denied = [r["requestID"] for r in self.server.audit()
                  if r["eventName"] == "Decrypt" and "errorCode" in r]
        self.assertEqual((record["result"], record["request_id"],
                          record["key_id"]),
                         ("denied", denied[-1], self.key))

    def test_not_attached(self):
        """agent audit: a detach of what is not attached is recorded"""
        c = self.connect(11)
        for name, recorded in ("mine-1", "mine-1"), ("x" * 999, None):
            c.call("io.envelope.Agent.Detach", {"name": name})
            record = self.records()[-1]
            self.assertEqual(
                [record.get(n) for n in ("event", "result", "uid", "name",
                                         "why")],
                ["detach", "failed", 11, recorded, "it is not attached"])

    def test_flood(self):
        """agent audit: a user's failures are counted when they are many"""
        c = self.connect(9)
        before = len(self.records())
        begun = time.monotonic()
        tried = 0
        # Sixty, and one more a second, on a machine of any speed.
        while tried <= 70 + time.monotonic() - begun:
            self.assertLess(tried, FLOOD)
            self.attach(c, name="mine-1")
            tried += 1
        took = time.monotonic() - begun
        written = [r for r in self.records()[before:] if r["uid"] == 9]
        self.assertGreaterEqual(len(written), 60)
        self.assertLessEqual(len(written), 61 + took)
        time.sleep(1.1)
        self.attach(c, name="mine-1")
        written = [r for r in self.records()[before:] if r["uid"] == 9]
        self.assertEqual(tried + 1, len(written) + sum(
            r.get("left_out", 0) for r in written))
        # Another user's are not among them.
        self.attach(self.connect(10), name="mine-1")
        self.assertEqual(self.records()[-1]["uid"], 10)

    def test_refused(self):
        """agent audit: what cannot be recorded is not attached"""
        aside = self.dir / "aside"
        self.audit.rename(aside)
        self.audit.write_text("")
        try:
            answer = self.attach(self.connect(NOBODY), name="mine-1")
        finally:
            self.audit.unlink()
            aside.rename(self.audit)
        self.assertEqual(answer.get("error"), "io.envelope.Agent.Failed",
                         answer)
        self.assertRegex(answer["parameters"]["message"],
                         "/audit': cannot open the folder: Not a directory: "
                         "nothing is done that cannot be recorded")
        answer = self.attach(self.connect(NOBODY), name="mine-1")
        self.assertIn("parameters", answer)
        self.assertNotIn("error", answer)

    def test_killed(self):
        """agent audit: start and stop are recorded, and a kill is seen"""
        self.stop()
        self.assertEqual(self.records()[-1]["event"], "stop")
        self.start()
        self.wait_for_record("start")
        self.assertNotIn("was killed", self.verify())
        self.stop(signal.SIGKILL)
        with open(self.audit / "audit.log", "ab") as log:
            log.write(b'{"by":"envelope-a')
        self.start()
        self.wait_for_record("start")
        said = self.verify()
        self.assertIn("the agent starts, and its end before that was not "
                      "recorded: it was killed", said)
        self.assertIn("half a line was cut off before it", said)
        self.wait_for("the audit ended in half a line of 17 bytes")

    def wait_for_record(self, event):
        """It is there before the first answer."""
        self.attach(self.connect(7), name="mine-1")
        self.assertIn(event, [r["event"] for r in self.records()[-4:]])


if __name__ == "__main__":
    tap.main()
