# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics, as Prometheus's own parser reads them."""
import json
import os
import re
import socket
import subprocess
import threading

from prometheus_client.parser import text_string_to_metric_families

import tap
from agent_case import NOBODY
from kms_case import ENVELOPE, KmsCase

METRICS = "io.envelope.Agent.Metrics"
KMS = {"kms": "us-east-1", "operation": "Decrypt"}
LATENCY = "envelope_kms_request_duration_seconds"
ERRORS = "envelope_kms_request_errors_total"
OPERATIONS = "envelope_operations_total"


class Metrics(KmsCase):
    def setUp(self):
        self.out = self.dir / "out"
        self.out.mkdir(exist_ok=True)
        self.file = self.out / "envelope.prom"

    def text(self):
        return self.connect().call(METRICS)["parameters"]["text"]

    @staticmethod
    def samples(text):
        """{(name, labels): value}"""
        return {(s.name, tuple(sorted(s.labels.items()))): s.value
                for family in text_string_to_metric_families(text)
                for s in family.samples}

    def value(self, name, **labels):
        return self.samples(self.text()).get(
            (name, tuple(sorted(labels.items()))), 0)

    def envelope(self, *options, status=0, uid=0):
        done = subprocess.run(
            ["setpriv", "--reuid", str(uid), "--clear-groups", ENVELOPE,
             "metrics", "--socket", self.socket, *options],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def test_kms(self):
        """agent metrics: a call of a KMS has its time, and its error"""
        before = [self.value(LATENCY + "_count", **KMS),
                  self.value(ERRORS, **KMS, result="denied"),
                  self.value(LATENCY + "_sum", **KMS)]
        self.attach(self.connect(NOBODY), name="mine-1")
        self.kms.disable_key(KeyId=self.key)
        try:
            self.attach(self.connect(NOBODY), name="mine-1")
        finally:
            self.kms.enable_key(KeyId=self.key)
        self.assertEqual(
            [self.value(LATENCY + "_count", **KMS),
             self.value(LATENCY + "_bucket", **KMS, le="+Inf"),
             self.value(ERRORS, **KMS, result="denied")],
            [before[0] + 2, before[0] + 2, before[1] + 1])
        self.assertGreater(self.value(LATENCY + "_sum", **KMS), before[2])
        self.assertEqual(self.value(ERRORS, **KMS, result="tampered"), 0)

    def test_operations(self):
        """agent metrics: attaches are counted by their result"""
        labels = {"operation": "attach-dry-run"}
        before = [self.value(OPERATIONS, **labels, result=r)
                  for r in ("granted", "denied")]
        self.attach(self.connect(NOBODY), name="mine-1")
        # Also those that are too many for the audit.
        c = self.connect(7)
        for _ in range(70):
            self.attach(c, name="mine-1")
        self.assertEqual(
            [self.value(OPERATIONS, **labels, result=r)
             for r in ("granted", "denied")], [before[0] + 1, before[1] + 70])

    def test_conventions(self):
        """agent metrics: names, types and buckets are as Prometheus wants"""
        self.attach(self.connect(NOBODY), name="mine-1")
        text = self.envelope().stdout
        families = list(text_string_to_metric_families(text))
        self.assertEqual(len(families), len({f.name for f in families}))
        for f in families:
            self.assertRegex(f.name, "^envelope_[a-z_]*[a-z]$")
            self.assertRegex(f.documentation, r"^[A-Z1].*[.?]$", f.name)
            self.assertNotRegex(f.name, "_(total|count|sum|bucket|gauge|"
                                "counter|milliseconds|ms|kilobytes)$")
            self.assertIn(f.type, ("gauge", "counter", "histogram"))
        # The parser takes the end off; promtool wants it.
        for name in re.findall(r"^# TYPE (\S+) counter$", text, re.M):
            self.assertRegex(name, "_total$")
        for name in re.findall(r"^# TYPE (\S+_(?:time|age|remaining|duration|"
                               r"lease)_\S+) ", text, re.M):
            self.assertRegex(name, "_(seconds|checks)$")
        found = [v for (name, labels), v in self.samples(text).items()
                 if name == LATENCY + "_bucket"
                 and dict(labels)["operation"] == "Decrypt"]
        self.assertEqual(found, sorted(found))
        self.assertGreater(found[-1], 0)

    def test_others(self):
        """agent metrics: they are for root alone"""
        answer = self.connect(NOBODY).call(METRICS)
        self.assertEqual(answer["error"], "io.envelope.Agent.Denied")
        said = "the metrics are of all volumes, and for root alone"
        self.assertEqual(answer["parameters"]["message"], said)
        done = self.envelope(status=3, uid=NOBODY)
        self.assertEqual((done.stdout, done.stderr),
                         ("", f"envelope: {said}\n"))

    def big(self):
        """An agent whose metrics are more than a buffer of the C library's."""
        path = str(self.dir / "big")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.addCleanup(os.unlink, path)
        self.addCleanup(listener.close)
        text = "".join(f"envelope_line_{i} {i}\n" for i in range(1000))
        answer = json.dumps({"parameters": {"text": text}}).encode() + b"\0"

        def serve():
            while True:
                try:
                    s, _ = listener.accept()
                except OSError:
                    return
                with s:
                    while not s.recv(4096).endswith(b"\0"):
                        pass
                    s.sendall(answer)
        threading.Thread(target=serve, daemon=True).start()
        return path, text

    def test_output(self):
        """agent metrics: --output replaces a file that anybody can read"""
        self.file.write_text("old\n")
        os.link(self.file, self.out / "before")
        self.assertEqual(self.envelope("--output", self.file).stdout, "")
        text = self.file.read_text()
        self.assertEqual(self.samples(text)["envelope_agent_up", ()], 1)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o644)
        # Not written over: who reads the old one has all of it.
        self.assertEqual((self.out / "before").read_text(), "old\n")
        (self.out / "before").unlink()
        self.assertEqual(os.listdir(self.out), ["envelope.prom"])

    def test_unwritable(self):
        """agent metrics: a file that cannot be replaced stays as it is"""
        done = self.envelope("--output", self.out / "no" / "file", status=1)
        self.assertRegex(done.stderr, "file': cannot write it: No such file")
        folder = self.out / "folder"
        folder.mkdir()
        done = self.envelope("--output", folder, status=1)
        self.assertRegex(done.stderr, "folder': cannot replace it: Is a dir")
        folder.rmdir()
        self.file.write_text("old")
        done = subprocess.run(
            ["prlimit", "--fsize=100", "env", "--ignore-signal=XFSZ",
             ENVELOPE, "metrics", "--socket", self.socket, "--output",
             self.file], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("cannot write it: File too large", done.stderr)
        self.assertEqual(self.file.read_text(), "old")
        self.file.unlink()
        self.assertEqual(os.listdir(self.out), [])
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run(
                [ENVELOPE, "metrics", "--socket", self.socket], stdout=full,
                stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write to standard output", done.stderr)

    def test_big(self):
        """agent metrics: what is written in parts is all there, or nothing of it"""
        path, text = self.big()
        self.file.write_text("old\n")
        command = [ENVELOPE, "metrics", "--socket", path, "--output",
                   self.file]
        for prefix, cause in (
                (["prlimit", "--fsize=4096", "env", "--ignore-signal=XFSZ"],
                 "File too large"),
                # Two pages, of which the old one has one.
                (["unshare", "--mount", "--propagation", "private", "sh", "-c",
                  'cp "$2" "$1.old" && mount -t tmpfs -o size=8k none "$1" && '
                  'cp "$1.old" "$2" && rm "$1.old" && shift 2 || exit 9\n'
                  '"$@"; rc=$?; cat "$0"; ls -A "${0%/*}"; exit $rc',
                  self.file, self.out, self.file],
                 "No space left on device")):
            done = subprocess.run([*prefix, *command], capture_output=True,
                                  text=True, timeout=120, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"cannot write it: {cause}", done.stderr)
            if done.stdout:
                self.assertEqual(done.stdout, "old\nenvelope.prom\n")
            self.assertEqual(self.file.read_text(), "old\n")
            self.assertEqual(os.listdir(self.out), ["envelope.prom"])
        subprocess.run(command, timeout=120, check=True)
        self.assertTrue(self.file.read_text().endswith(text))

    def test_no_agent(self):
        """agent metrics: where no agent answers, that is the metric"""
        self.stop()
        try:
            self.assertEqual(self.envelope(status=4).stdout, "")
            done = self.envelope("--output", self.file, status=4)
        finally:
            self.start()
        self.assertIn("agent", done.stderr)
        self.assertEqual(self.samples(self.file.read_text()),
                         {("envelope_agent_up", ()): 0})


if __name__ == "__main__":
    tap.main()
