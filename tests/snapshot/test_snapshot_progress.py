# SPDX-License-Identifier: GPL-2.0-or-later
"""How far it is, how fast, and how long it will take."""
import os
import pty
import re
import subprocess

import snapshot_case
from snapshot_case import CHUNK, DATA, WAIT_SECONDS

NOW = r"create: (\S+ \wi?B) of 16\.0 MiB \((\d+) %\), (\S+) MiB/s, (\S+) left"
END = r"create: 16\.0 MiB of 16\.0 MiB \(100 %\), (\S+) MiB/s, in (\S+)"


class Progress(snapshot_case.SnapshotCase):
    def setUp(self):
        super().setUp()
        self.disk = self.volume(size=DATA + (16 << 20))
        self.fill(self.disk, (0, 12 << 20))

    def on_terminal(self, *args, status=0):
        """What a command wrote to a terminal on standard error."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            self.command(*args), env=self.environment(), stderr=slave,
            stdout=subprocess.DEVNULL)
        os.close(slave)
        seen = b""
        while True:
            try:
                more = os.read(master, 4096)
            except OSError:
                break
            if not more:
                break
            seen += more
        os.close(master)
        self.assertEqual(status, process.wait(WAIT_SECONDS), seen)
        return seen.decode()

    def test_terminal(self):
        """progress: to a terminal, with rate and time left; none of short work"""
        seen = self.on_terminal("create", "--limit", "4M", self.disk)
        shown = [re.fullmatch(r"(.+)\x1b\[K\n?", line.replace("\r\n", "\n"))[1]
                 for line in re.split(r"\r(?!\n)", seen)[1:]]
        self.assertGreaterEqual(len(shown), 2, seen)
        for line in shown[:-1]:
            done, percent, rate, left = re.fullmatch(NOW, line).groups()
            part = float(done.split()[0]) / 16
            self.assertIn(int(percent), (int(part * 100 - 1), int(part * 100),
                                         int(part * 100 + 1)))
            # The limit holds for it, and what is left takes what it takes.
            self.assertLess(float(rate), 8)
            self.assertRegex(left, r"^\d\d:\d\d$")
        rate, took = re.fullmatch(END, shown[-1]).groups()
        self.assertGreater(float(rate), 0)
        self.assertNotEqual("00:00", took)
        small = self.volume(name="small", size=DATA + CHUNK)
        self.fill(small, (0, CHUNK))
        self.assertEqual("", self.on_terminal("create", small))

    def test_elsewhere(self):
        """progress: to no terminal only if it is asked for, and JSON stays JSON"""
        done = self.snap("create", "--json", self.disk)
        self.assertNotIn("create:", done.stderr)
        one = self.json(done)["snapshot_id"]
        done = self.snap("verify", "--progress", "--json", one)
        self.assertEqual(one, self.json(done)["snapshot_id"])
        self.assertRegex(done.stderr, r"(?m)^verify: 16\.0 MiB of 16\.0 MiB "
                                      r"\(100 %\), \S+ \wiB/s, in \d\d:\d\d$")
        for verb, *args in (("copy", "--kms-key", self.new_key(), one),
                            ("restore", one, self.folder / "back"),
                            ("export", one, self.folder / "plain")):
            done = self.snap(verb, "--progress", *args)
            self.assertRegex(done.stderr, rf"(?m)^{verb}: 16\.0 MiB of 16")
        plain = self.folder / "plain.too"
        done = self.with_kms("export", "--progress", self.disk, plain)
        self.assertRegex(done.stderr.decode(), r"(?m)^export: 16\.0 MiB of 16")

    def test_failure(self):
        """progress: an error is on a line of its own"""
        one = self.made("create", self.disk)
        # Whichever is read behind the first second is bad.
        for block in self.blocks().values():
            block.write_bytes(bytes(1 << 19))
        seen = self.on_terminal("verify", "--limit", "4M", one, status=6)
        self.assertRegex(seen, r"left\x1b\[K\r\nenvelope-snapshot: ")


snapshot_case.main()
