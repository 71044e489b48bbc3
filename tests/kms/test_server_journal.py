#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The audit trail's copy in the journal: a real journald, in its own /run."""
import json
import pathlib
import signal
import subprocess
import unittest

from server_fixture import WAIT_SECONDS, Server, b64, wait_for
import tap

# journald and the server share a /run of their own; journalctl reads it.
JOURNALD = """
mount -t tmpfs kms-test /run && mkdir -p /run/log/journal &&
exec /lib/systemd/systemd-journald
"""


class Journal(unittest.TestCase):
    def setUp(self):
        self.journald = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             JOURNALD], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.addCleanup(self.journald.wait)
        self.addCleanup(self.journald.kill)
        self.run_dir = pathlib.Path(f"/proc/{self.journald.pid}/root/run")
        wait_for((self.run_dir / "systemd/journal/socket").exists,
                 "journald")
        self.server = Server(start=False, under=(
            "nsenter", "--mount", f"--target={self.journald.pid}"))
        self.addCleanup(self.server.end)

    def entries(self):
        done = subprocess.run(
            ["nsenter", "--mount", f"--target={self.journald.pid}",
             "journalctl", "--directory=/run/log/journal", "--output=json",
             "--all", "--identifier=envelope-kms"], capture_output=True,
            text=True, timeout=WAIT_SECONDS, check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def entry(self, reply):
        """The entry of the request that @reply answers."""
        identity = reply.headers["x-amzn-RequestId"]
        return wait_for(lambda: [
            e for e in self.entries()
            if e.get("ENVELOPE_KMS_REQUEST_ID") == identity],
            "the entry")[0]

    def test_fields(self):
        """kms-journal-has-each-record-with-fields"""
        self.server.start("--journal")
        context = {"a\nMESSAGE": "forged\nPRIORITY=0"}
        entry = self.entry(self.server.call("GenerateDataKey", {
            "KeyId": "alias/envelope", "NumberOfBytes": 64,
            "EncryptionContext": context}))
        record = self.server.audit()[-1]
        self.assertEqual(record, json.loads(entry["ENVELOPE_KMS_RECORD"]))
        who = record["userIdentity"]["arn"]
        self.assertEqual(
            {"MESSAGE": f"GenerateDataKey by {who}", "PRIORITY": "6",
             "ENVELOPE_KMS_EVENT": "GenerateDataKey",
             "ENVELOPE_KMS_EVENT_ID": record["eventID"],
             "ENVELOPE_KMS_REGION": "us-east-1",
             "ENVELOPE_KMS_SOURCE": "127.0.0.1",
             "ENVELOPE_KMS_ACCOUNT": "111122223333",
             "ENVELOPE_KMS_PRINCIPAL": who,
             "ENVELOPE_KMS_RESOURCE": record["resources"][0]["ARN"]},
            {name: entry[name] for name in (
                "MESSAGE", "PRIORITY", "ENVELOPE_KMS_EVENT",
                "ENVELOPE_KMS_EVENT_ID", "ENVELOPE_KMS_REGION",
                "ENVELOPE_KMS_SOURCE", "ENVELOPE_KMS_ACCOUNT",
                "ENVELOPE_KMS_PRINCIPAL", "ENVELOPE_KMS_RESOURCE")})
        entry = self.entry(self.server.call("DescribeKey", {
            "KeyId": "alias/absent"}))
        self.assertEqual(
            ("4", "NotFoundException",
             f"DescribeKey by {who}: NotFoundException"),
            (entry["PRIORITY"], entry["ENVELOPE_KMS_ERROR"],
             entry["MESSAGE"]))

    def test_no_secret(self):
        """security-34-no-secret-in-the-journal"""
        self.server.start("--journal")
        made = self.server.call("GenerateDataKey", {
            "KeyId": "alias/envelope", "NumberOfBytes": 64})
        sent = self.server.call("Encrypt", {
            "KeyId": "alias/envelope", "Plaintext": b64(b"canary" * 8)})
        self.entry(sent)
        text = json.dumps(self.entries())
        self.assertIn("GenerateDataKey", text)
        for secret in (made.json["Plaintext"], b64(b"canary" * 8),
                       made.json["CiphertextBlob"]):
            self.assertNotIn(secret, text)

    def test_journal_that_does_not_read(self):
        """kms-journal-that-is-stopped-or-gone-holds-up-nothing"""
        self.server.start("--journal")
        self.journald.send_signal(signal.SIGSTOP)
        for _ in range(600):
            self.assertEqual(200, self.server.call("ListKeys").status)
            if "did not take" in self.server.stderr():
                break
        self.assertIn("records that the journal did not take: 1, ignoring: Resource temporarily unavailable\n",
                      self.server.stderr())
        self.journald.send_signal(signal.SIGCONT)
        self.journald.kill()
        self.journald.wait()
        self.assertEqual(200, self.server.call("ListKeys").status)


if __name__ == "__main__":
    tap.main()
