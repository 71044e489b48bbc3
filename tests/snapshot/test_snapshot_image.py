# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk image with a partition table, and a system that boots from it."""
import filecmp
import pathlib
import re
import subprocess

import snapshot_case

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GUEST = ROOT / "tests" / "snapshot" / "guest"


class Image(snapshot_case.SnapshotCase):
    # Whom the guest asks.
    SERVER_OPTIONS = ("--host", "10.0.2.2")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.image = subprocess.run(
            [ROOT / "scripts" / "debian-image"], text=True, check=True,
            stdout=subprocess.PIPE).stdout.strip()

    def boot(self, disk):
        """The results of a guest that boots from the volume on @disk."""
        self.server.stop()
        done = subprocess.run(
            [ROOT / "scripts" / "vm", "run", "--kernel", "6.12",
             "--kms-dir", self.server.dir, "--disk", disk,
             "--file", f"{GUEST / 'booted.sh'}:/test/booted.sh",
             GUEST / "boot.sh"], text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False)
        self.server.start()
        self.assertEqual(0, done.returncode, done.stdout)
        return done.stdout

    def test_boots(self):
        """a partitioned image: imported, copied, restored, exported, and it boots"""
        one = self.made("import", self.image)
        copy = self.made("copy", "--kms-key", self.new_key(), one)
        self.snap("export", copy, self.folder / "plain")
        self.assertTrue(filecmp.cmp(self.image, self.folder / "plain",
                                    shallow=False))
        (self.folder / "plain").unlink()
        disk = self.folder / "restored"
        self.snap("restore", copy, disk)
        out = self.boot(disk)
        self.assertIsNotNone(re.search("^ok .* it reaches its target$", out,
                                       re.M), out)

    def test_sectors(self):
        """import: larger blocks than a partition table counts are refused"""
        self.snap("import", "--sector-size", 4096, self.image, status=2,
                  says="holds a partition table (gpt) with sectors of 512 bytes: "
                  "it would not be found on sectors of 4096")
        self.assertEqual({}, self.listed())


if __name__ == "__main__":
    snapshot_case.main()
