# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent's systemd units, as far as that can be seen without a boot."""
import configparser
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import tap
from agent_case import AGENT

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
UNITS = ROOT / "scripts/systemd"
NAMES = ("envelope-agent.service", "envelope-agent.socket",
         "envelope-drill.service", "envelope-drill.timer",
         "envelope-metrics.service", "envelope-metrics.timer",
         "envelope-metrics-http.service", "envelope-metrics-http.socket",
         "envelope-snapshot-nightly.service",
         "envelope-snapshot-nightly.timer")


class Units(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-units-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name in NAMES:
            text = (UNITS / name).read_text()
            (self.folder / name).write_text(re.sub(
                r"^ExecStart=\S+", f"ExecStart={AGENT}", text, flags=re.M))

    def analyze(self, *args):
        return subprocess.run(["systemd-analyze", *args], text=True,
                              capture_output=True, timeout=120, check=False)

    def test_verify(self):
        """agent units: systemd finds nothing wrong with them"""
        done = self.analyze("verify", "--man=no",
                            *(str(self.folder / name) for name in NAMES))
        self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_confined(self):
        """agent units: the service is confined"""
        for name, threshold in ((NAMES[0], 35),
                                ("envelope-metrics-http.service", 25)):
            done = self.analyze("security", "--offline=true",
                                f"--threshold={threshold}",
                                str(self.folder / name))
            self.assertEqual(0, done.returncode, done.stdout)

    def test_loopback(self):
        """agent units: the metrics' port is open to this host alone"""
        text = (UNITS / "envelope-metrics-http.socket").read_text()
        self.assertEqual(["127.0.0.1:9755"],
                         re.findall(r"^Listen\w+=(.*)$", text, re.M))

    def test_socket(self):
        """agent units: the socket is where clients look, of root and a group"""
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str
        unit.read(UNITS / NAMES[1])
        said = subprocess.run([AGENT, "--help"], capture_output=True,
                              text=True, check=True).stdout
        self.assertIn(unit["Socket"]["ListenStream"], said)
        self.assertEqual(
            ("root", "envelope", "0660"),
            tuple(unit["Socket"][f"Socket{what}"]
                  for what in ("User", "Group", "Mode")))

    def test_group(self):
        """agent units: the socket's group is made by sysusers"""
        root = self.folder / "root"
        (root / "etc").mkdir(parents=True)
        subprocess.run(["systemd-sysusers", f"--root={root}",
                        str(UNITS / "sysusers.conf")], check=True,
                       env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"})
        self.assertRegex((root / "etc/group").read_text(),
                         r"(?m)^envelope:x:\d+:$")


if __name__ == "__main__":
    tap.main()
