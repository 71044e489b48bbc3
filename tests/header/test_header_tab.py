# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope tab: volumes that envelopetab names, as far as no kernel is needed."""
import json
import os
import subprocess

import header_case
from header_case import ENVELOPE, WAIT_SECONDS

TAB = "/etc/envelope/envelopetab"


class Tab(header_case.HeaderCase):

    def setUp(self):
        super().setUp()
        self.etc = self.cover("/etc/envelope", **{
            "envelope.conf": self.conf.read_text()})

    def tab(self, *lines):
        (self.etc / "envelopetab").write_text("".join(f"{line}\n"
                                                      for line in lines))

    def attach(self, name="data", **how):
        return self.envelope("tab attach", "--dry-run", name, **how)

    def back(self):
        """The KMS again, where it was."""
        self.server.start("--port", str(self.server.port))

    def begin(self, name="data"):
        """An attach that has failed once, and goes on; its process."""
        process = subprocess.Popen(
            [ENVELOPE, "tab", "attach", "--dry-run", name],
            env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        said = ""
        while "trying again" not in said:
            line = process.stderr.readline()
            self.assertNotEqual("", line, said)
            said += line
        return process, said

    def ends(self, process, status=0):
        out, err = process.communicate(timeout=WAIT_SECONDS)
        self.assertEqual(status, process.returncode, err)
        return out + err

    def test_list(self):
        """tab list: what the lines say"""
        self.tab("data /dev/vdb lease=15m,grace=1h", "logs LABEL=a direct",
                 "old vol-0123456789abcdef0 noauto,read-only")
        text = self.envelope("tab list").stdout_text
        self.assertEqual(
            [["data", "/dev/vdb", "agent,remote"], ["logs", "LABEL=a", "direct"],
             ["old", "vol-0123456789abcdef0",
              "agent,noauto,remote,read-only"]],
            [line.split() for line in text.splitlines()])
        found = json.loads(self.envelope("tab list", "--json").stdout_text)
        self.assertEqual(0, found["broken"])
        self.assertEqual(
            {"name": "data", "line": 1, "device": "/dev/vdb", "direct": False,
             "noauto": False, "nofail": False, "remote": True,
             "read_only": False, "allow_discards": False, "on_lock": "queue",
             "tries": 0, "header": None, "volume_id": None, "timeout": 90,
             "lease": 900, "grace": 3600}, found["volumes"][0])

    def test_broken(self):
        """tab list: a broken line is told, and spoils no other"""
        self.tab("data /dev/vdb luks", "logs /dev/vdc")
        said = self.envelope("tab list", status=1)
        self.assertIn(f"envelope: {TAB}:1: 'data': luks: no such option;",
                      said.stderr_text)
        self.assertIn("logs", said.stdout_text)
        found = json.loads(self.envelope("tab list", "--json",
                                         status=1).stdout_text)
        self.assertEqual((1, ["logs"]), (found["broken"], [
            v["name"] for v in found["volumes"]]))

    def test_missing(self):
        """tab: without the file there are no volumes"""
        self.assertEqual("", self.envelope("tab list").stdout_text)
        self.attach(status=1, says=f"{TAB}: no line is called 'data'")
        self.envelope("tab list", "--tab", self.folder / "none", status=2,
                      says="cannot be opened: No such file")

    def test_trust(self):
        """tab: a file that others can change is not read"""
        disk = self.volume()
        self.tab(f"data {disk} direct")
        os.chmod(self.etc / "envelopetab", 0o664)
        for verb in ("tab list", "tab check"):
            self.envelope(verb, status=3, says="others than root can change it")
        self.attach(status=3, says="others than root can change it")
        os.chmod(self.etc / "envelopetab", 0o644)
        os.chown(self.etc / "envelopetab", 65534, 0)
        self.attach(status=3, says="others than root can change it")

    def test_check(self):
        """tab check: is the device there, and is it that volume"""
        disk = self.volume()
        volume = json.loads(self.envelope("inspect", "--json",
                                          disk).stdout_text)["core"]["volume_id"]
        blank = self.folder / "blank"
        blank.write_bytes(bytes(4 << 20))
        other = "vol-0123456789abcdef0"
        self.tab(f"data {disk} volume={volume}")
        self.envelope("tab check",
                      says=f"data: volume {volume} on {disk}, not attached")
        self.tab(f"gone {disk}.gone", f"data {disk}")
        said = self.envelope("tab check", status=1)
        self.assertIn(f"'gone': {disk}.gone is not there: plug it in, or correct"
                      " line 1", said.stderr_text)
        self.assertIn("data: volume", said.stdout_text)
        self.tab(f"blank {blank}")
        self.envelope("tab check", status=5)
        self.tab(f"data {disk} volume={other}")
        self.envelope("tab check", status=6, says=other)
        self.tab(f"data {other}")
        self.envelope("tab check", status=1, says=f"{other} is not there")
        self.tab(f"data {disk}", "nonsense")
        self.envelope("tab check", status=1, says="there is no DEVICE")

    def test_name_taken(self):
        """tab check: a name that something else has"""
        disk = self.volume()
        self.tab(f"data {disk} direct")
        self.cover("/dev/mapper", data="")
        self.envelope("tab check", status=7,
                      says="'data': something else has /dev/mapper/data")

    def test_attach(self):
        """tab attach: as the line says"""
        disk = self.folder / "disk"
        header = self.folder / "a header"
        with open(disk, "wb") as file:
            file.truncate(4 << 20)
        self.with_kms("format", "--header", header, disk)
        line = f"data {disk} direct,header={self.folder}/a\\040header"
        self.tab(line, "nonsense")
        said = self.attach(says="can be unwrapped; nothing attached")
        self.assertEqual("", said.stderr_text)
        self.tab(f"{line},volume=vol-0123456789abcdef0")
        self.attach(status=6, says="vol-0123456789abcdef0")

    def test_kms_late(self):
        """tab attach: a KMS that is late is waited for"""
        self.tab(f"data {self.volume()} direct,timeout=120")
        self.server.stop()
        try:
            process, said = self.begin()
        finally:
            self.back()
        self.assertRegex(said, r"'data': trying again in \d+\.\d s")
        self.assertIn("can be unwrapped", self.ends(process))

    def test_device_late(self):
        """tab attach: a device that is late is waited for"""
        disk = self.volume()
        away = disk.rename(self.folder / "away")
        self.tab(f"data {disk} direct,timeout=120")
        process, said = self.begin()
        self.assertIn(f"'data': {disk} is not there", said)
        away.rename(disk)
        self.assertIn("can be unwrapped", self.ends(process))

    def test_denied(self):
        """tab attach: what the KMS denies is not tried again"""
        disk = self.volume("--kms-key", self.new_key())
        key = json.loads(self.envelope("inspect", "--json", disk)
                         .stdout_text)["slots"][0]["key_id"]
        self.tab(f"data {disk} direct,timeout=120")
        self.kms.disable_key(KeyId=key)
        said = self.attach(status=3)
        self.assertNotIn("trying again", said.stderr_text)

    def test_no_volume(self):
        """tab attach: a device without a header is not tried again"""
        blank = self.folder / "blank"
        blank.write_bytes(bytes(4 << 20))
        self.tab(f"data {blank} direct,timeout=120")
        said = self.attach(status=5)
        self.assertNotIn("trying again", said.stderr_text)

    def test_bounded(self):
        """tab attach: tries= and timeout= end it"""
        disk = self.volume()
        gone = self.folder / "gone"
        self.tab(f"data {disk} direct,tries=2", f"gone {gone} timeout=1",
                 f"agent {disk} tries=1")
        self.server.stop()
        try:
            said = self.attach(status=4).stderr_text
        finally:
            self.back()
        self.assertIn("'data': not attached after 2 tries; timeout= and tries="
                      " in its line say how long to go on", said)
        self.assertEqual(1, said.count("trying again"))
        self.assertRegex(self.attach("gone", status=1).stderr_text,
                         r"'gone': not attached after \d+ tries")
        # It is the agent that is asked.
        self.envelope("tab attach", "--socket", self.folder / "sock",
                      "agent", status=4, says="after 1 try;")

    def test_detach(self):
        """tab detach: what is not attached is fine"""
        self.envelope("tab detach", "data", says="'data' is not attached")


if __name__ == "__main__":
    header_case.main()
