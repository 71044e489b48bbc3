# SPDX-License-Identifier: GPL-2.0-or-later
"""The VM runner itself: its verdicts must not be won by accident."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def guest(script, *options):
    """Run `script` in a guest: (exit status, output)."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "script.sh"
        path.write_text(script)
        out = subprocess.run(
            [ROOT / "scripts/vm", "run", "--kernel", "6.12", "--no-module",
             "--log", f"{folder}/log", *options, str(path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace")
        return out.returncode, out.stdout


class Runner(unittest.TestCase):
    def test_status(self):
        """vm: the script's exit status and output come out"""
        status, out = guest("echo hello; exit 7")
        self.assertEqual((status, "hello\n"), (7, out))

    def test_warning(self):
        """vm: a kernel warning fails the run"""
        status, out = guest("echo 'WARNING: planted' > /dev/kmsg; exit 0")
        self.assertEqual(status, 125, out)
        self.assertIn("the kernel complained", out)

    def test_no_verdict(self):
        """vm: a guest that dies without verdict fails"""
        status, out = guest("echo b > /proc/sysrq-trigger; sleep 60")
        self.assertEqual(status, 125, out)
        self.assertIn("without a verdict", out)

    def test_time_limit(self):
        """vm: a guest out of time is stopped"""
        status, out = guest("sleep 300", "--time", "20")
        self.assertEqual(status, 125, out)
        self.assertIn("no end after 20 s", out)


if __name__ == "__main__":
    os.environ.setdefault("BUILD", str(ROOT / "build"))
    tap.main()
