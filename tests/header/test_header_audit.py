# SPDX-License-Identifier: GPL-2.0-or-later
"""What the verbs leave in the audit of this host, and `envelope audit`."""
import hashlib
import json
import pathlib
import resource
import shutil
import signal
import subprocess

import header_case
from header_case import COPY

AUDIT = pathlib.Path(header_case.STATE) / "audit"


class Audit(header_case.HeaderCase):
    def setUp(self):
        super().setUp()
        shutil.rmtree(AUDIT, ignore_errors=True)

    def records(self):
        return [json.loads(line) for line in
                (AUDIT / "audit.log").read_text().splitlines()]

    def last(self):
        return self.records()[-1]

    def request(self, event):
        """The request id of the KMS's newest record of that event."""
        return [r["requestID"] for r in self.server.audit()
                if r["eventName"] == event][-1]

    def test_format(self):
        """audit: format is recorded, with key and request id of the KMS"""
        disk = self.volume()
        record = self.last()
        volume_id = self.json(self.envelope("inspect", "--json", disk))[
            "core"]["volume_id"]
        self.assertEqual(
            {n: record[n] for n in ("event", "result", "uid", "by", "name",
                                    "volume_id", "seq", "prev")},
            {"event": "format", "result": "done", "uid": 0, "by": "envelope",
             "name": str(disk), "volume_id": volume_id, "seq": 1,
             "prev": "0" * 64})
        self.assertRegex(record["time"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertIn(record["request_id"],
                      [r["requestID"] for r in self.server.audit()])

    def test_attach(self):
        """audit: attach --direct is recorded with the Decrypt's request id"""
        disk = self.volume()
        self.with_kms("attach", "--direct", "--dry-run", disk, "data")
        record = self.last()
        self.assertEqual(
            (record["event"], record["result"], record["name"],
             record["key_id"], record["request_id"]),
            ("attach-dry-run", "granted", "data", self.key,
             self.request("Decrypt")))

    def test_denied(self):
        """audit: a denial is recorded with its sentence and request id"""
        key = self.new_key()
        disk = self.volume("--kms-key", key)
        self.kms.disable_key(KeyId=key)
        self.with_kms("attach", "--direct", "--dry-run", disk, status=3)
        record = self.last()
        self.assertEqual(
            (record["event"], record["result"], record["key_id"],
             record["request_id"]),
            ("attach-dry-run", "denied", key, self.request("Decrypt")))
        self.assertIn("disabled", record["why"])

    def test_unreachable(self):
        """audit: a KMS that does not answer is recorded as unreachable"""
        disk = self.volume()
        self.with_kms("attach", "--direct", "--dry-run", "--kms-endpoint",
                      "https://127.0.0.1:1", "--timeout", 1, disk, status=4)
        record = self.last()
        self.assertEqual(record["result"], "unreachable")
        self.assertNotIn("request_id", record)

    def test_others(self):
        """audit: rewrap, check, export, resize, header-restore, erase"""
        disk = self.volume()
        backup, out = self.folder / "backup", self.folder / "out"
        self.with_kms("rewrap", disk, "--kms-key", self.new_key())
        self.assertEqual(self.last()["request_id"],
                         self.request("ReEncrypt"))
        self.with_kms("check", "--unwrap", disk)
        self.with_kms("export", disk, out)
        with open(disk, "r+b") as file:
            file.truncate(8 << 20)
        self.with_kms("resize", disk)
        self.envelope("header-backup", disk, backup)
        self.envelope("header-restore", disk, backup)
        self.envelope("erase", "--yes", disk)
        found = [(r["event"], r["result"]) for r in self.records()]
        self.assertEqual(found, [
            ("format", "done"), ("rewrap", "done"), ("check", "done"),
            ("export", "granted"), ("resize", "done"),
            ("header-restore", "done"), ("erase", "done")])
        self.assertEqual(
            len({r["volume_id"] for r in self.records()}), 1)
        self.envelope("audit", "verify", says="7 records, as they were")

    def test_repair(self):
        """audit: a repair is done when it was, and failed when it was not"""
        disk = self.volume()

        def no_room():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (COPY // 2, COPY // 2))

        header_case.flip(disk, 5000)
        self.with_kms("check", "--repair", disk, status=1,
                      preexec_fn=no_room)
        record = self.last()
        self.assertEqual(("repair", "failed", self.request("Decrypt")),
                         (record["event"], record["result"],
                          record["request_id"]))
        self.with_kms("check", "--repair", disk)
        self.assertEqual(
            ["failed", "done"],
            [r["result"] for r in self.records() if r["event"] == "repair"])

    def told(self):
        """What was recorded since the last look."""
        found = self.records()[self.seen:]
        self.seen += len(found)
        return [(r["event"], r["result"], r.get("key_id")) for r in found]

    def test_slots(self):
        """audit: slots and recovery keys, made, used and removed"""
        disk, file = self.volume(), self.folder / "key"
        self.seen = 1
        key = self.new_key()
        self.with_kms("slot add", disk, "--kms-key", key)
        self.assertEqual(self.told(), [("slot-add", "done", key)])
        self.with_kms("slot add", disk, "--kms-key", key, status=7)
        self.assertEqual(self.told(), [("slot-add", "failed", key)])
        self.assertIn("slot 1 has key", self.last()["why"])
        made = self.json(self.with_kms("recovery-key add", "--json", disk))
        words = made["recovery_key"]
        self.assertEqual(self.told(), [
            ("recovery-key-add", "granted", made["key_id"])])
        file.write_text(words + "\n")
        self.with_kms("attach", "--direct", "--dry-run", "--recovery-key",
                      file, disk, "data")
        self.assertEqual(self.told()[0],
                         ("recovery", "granted", made["key_id"]))
        self.with_kms("slot remove", disk, "--slot", 1)
        self.assertEqual(self.told(), [("slot-remove", "done", key)])
        self.assertEqual(len({r["volume_id"] for r in self.records()}), 1)
        text = (AUDIT / "audit.log").read_text()
        self.assertFalse([w for w in words.split("-") if w in text])

    def test_recovery_refused(self):
        """audit: a recovery key that cannot be recorded is not made or used"""
        disk, file = self.volume(), self.folder / "key"
        file.write_text(self.json(self.with_kms(
            "recovery-key add", "--json", disk))["recovery_key"] + "\n")
        before = self.digest(disk)
        shutil.rmtree(AUDIT)
        AUDIT.write_text("")
        self.addCleanup(AUDIT.unlink)
        says = "nothing is done that cannot be recorded"
        done = self.with_kms("recovery-key add", disk, status=1, says=says)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(self.digest(disk), before)
        done = self.with_kms("attach", "--direct", "--dry-run",
                             "--recovery-key", file, disk, status=1, says=says)
        self.assertNotIn("is opened by recovery key", done.stderr_text)

    def test_default(self):
        """audit: encryption by default and its key, with region and key"""
        self.seen = 0
        conf = self.folder / "envelope.conf"
        self.write_conf(conf, "arn:aws:kms:us-east-1:111122223333:key/*")
        for words, event, result, key in [
                (["enable"], "default-enable", "done", None),
                (["disable"], "default-disable", "done", None),
                (["key", "set", "alias/envelope"], "default-key-set", "done",
                 self.key),
                (["key", "reset"], "default-key-reset", "done", None),
                (["key", "set", "alias/none"], "default-key-set", "denied",
                 "alias/none")]:
            self.with_kms("default", *words, conf=conf,
                          status=3 if result == "denied" else 0)
            self.assertEqual(self.told(), [(event, result, key)])
        self.assertEqual({r["name"] for r in self.records()}, {"us-east-1"})

    def test_drill(self):
        """audit: a drill, and one that fails"""
        key = self.new_key()
        disk = self.volume("--kms-key", key)
        self.seen = 1
        # Not all that doctor looks at is as it should be here.
        for result in "done", "denied":
            done = self.envelope("doctor", "--config", self.conf, "--drill",
                                 disk, status=1)
            self.assertEqual(self.told(), [("drill", result, key)],
                             done.stdout_text)
            self.kms.disable_key(KeyId=key)
        self.assertIn("disabled", self.last()["why"])

    def test_read_only(self):
        """audit: one on a read-only image is verified"""
        self.volume()
        subprocess.run(["mount", "--bind", AUDIT, AUDIT], check=True)
        self.addCleanup(subprocess.run, ["umount", AUDIT], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", AUDIT], check=True)
        done = self.envelope("audit", "verify", says="1 records, as they were")
        self.assertEqual(done.stderr_text, "")

    def test_refused(self):
        """audit: what cannot be recorded is not given out"""
        disk = self.volume()
        shutil.rmtree(AUDIT)
        AUDIT.write_text("")
        self.addCleanup(AUDIT.unlink)
        out = self.folder / "out"
        self.with_kms("attach", "--direct", "--dry-run", disk, status=1,
                      says="/audit': cannot open the folder: Not a directory: "
                      "nothing is done that cannot be recorded")
        self.with_kms("export", disk, out, status=1,
                      says="nothing is done that cannot be recorded")
        self.assertFalse(out.exists())
        # What gives nothing out is done, with a warning.
        self.with_kms("check", "--unwrap", disk,
                      says="warning: the check is in no audit")

    def test_verify(self):
        """audit verify: counts, and prints the head, which --head takes"""
        self.volume(name="one")
        head = self.json(self.envelope("audit", "verify", "--json"))
        self.assertEqual((head["ok"], head["records"], head["findings"]),
                         (True, 1, []))
        self.volume(name="two")
        done = self.envelope("audit", "verify", "--head", head["head"])
        self.assert_matches(r"\A2 records, as they were written\n"
                            r"head 2:[0-9a-f]{64}\n\Z", done)
        shutil.rmtree(AUDIT)
        self.volume(name="three")
        self.envelope("audit", "verify")
        self.envelope("audit", "verify", "--head", head["head"], status=6,
                      says="audit.log:1: record 1 is not the one of the head "
                      "that was noted")

    def test_tampered(self):
        """audit verify: a change is status 6, named by file and line"""
        self.volume(name="one")
        self.volume(name="two")
        log = AUDIT / "audit.log"
        log.write_text(log.read_text().replace('"uid":0', '"uid":5', 1))
        done = self.envelope("audit", "verify", status=6,
                             says="envelope: audit: audit.log:1: not as it "
                             "was written: the sum is not the line's\n")
        self.assertIn("1 records, not as they were written", done.stdout_text)
        found = self.json(self.envelope("audit", "verify", "--json", status=6))
        self.assertFalse(found["ok"])
        self.assertTrue(found["findings"][0]["wrong"])
        self.envelope("audit", "show", says="audit.log:1: not as it was")
        copy = self.folder / "copy"
        shutil.copy(log, copy)
        self.envelope("audit", "verify", copy, status=6, says=f"{copy}:1: ")

    def test_show(self):
        """audit show: a line a record, --volume, --newest, --json"""
        one = self.volume(name="one")
        self.volume(name="two")
        self.with_kms("check", "--unwrap", one)
        volume_id = self.records()[0]["volume_id"]
        lines = self.envelope("audit", "show").stdout_text.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[0], rf"^\S+Z  1  format done  uid 0  {volume_id}"
                         rf"  {one}  .*  request [0-9a-f-]{{36}}$")
        shown = self.json(self.envelope("audit", "show", "--json", "--volume",
                                        volume_id))
        self.assertEqual([r["seq"] for r in shown], [1, 3])
        shown = self.json(self.envelope("audit", "show", "--json", "--newest",
                                        1))
        self.assertEqual(shown, [self.last()])

    def test_escaped(self):
        """audit show: a file from elsewhere writes nothing to the terminal"""
        text = json.dumps({"event": "a\x1b[2J", "prev": "0" * 64,
                           "result": "b\x1b", "seq": 1, "time": "c\x1b"},
                          separators=(",", ":"))
        total = hashlib.sha256(text.encode()).hexdigest()
        copy = self.folder / "copy"
        copy.write_text(f'{text[:-1]},"sum":"{total}"}}\n')
        done = self.envelope("audit", "show", copy)
        self.assertEqual("c\\x1b  1  a\\x1b[2J b\\x1b\n", done.stdout_text)

    def test_usage(self):
        """audit: wrong words are usage errors"""
        for args, says in [
                (["mend"], "'mend' is neither verify nor show"),
                (["verify", "--head", "1"], "--head: '1' is not what"),
                (["verify", "--newest", "1"], "are for show"),
                (["show", "--head", "1"], "--head is for verify")]:
            self.envelope("audit", *args, status=2, says=says)

    def test_absent(self):
        """audit: nothing recorded, and no such file, are status 1"""
        self.envelope("audit", "verify", status=1,
                      says="nothing was recorded on this host")
        self.envelope("audit", "show", self.folder / "none", status=1,
                      says="No such file")


if __name__ == "__main__":
    header_case.main()
