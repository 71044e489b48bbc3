# SPDX-License-Identifier: GPL-2.0-or-later
"""The script that copies snapshots to other regions."""
import os
import subprocess
import time

import snapshot_case
from snapshot_case import BUILD, DATA

SCRIPT = (snapshot_case.HERE.parent.parent / "scripts" / "examples" /
          "snapshot-copy-regions")


class Examples(snapshot_case.SnapshotCase):
    def copy(self, volume, *places, status=0):
        environment = self.environment()
        environment["PATH"] = f"{BUILD / 'bin'}:{os.environ['PATH']}"
        environment["COPY_OPTIONS"] = f"--config {self.conf}"
        done = subprocess.run([SCRIPT, volume, self.store, *places],
                              env=environment, capture_output=True, text=True,
                              timeout=120, check=False)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done.stderr

    def copies(self, store):
        done = subprocess.run(
            [snapshot_case.PROGRAM, "list", "--json", "--store", store],
            capture_output=True, text=True, check=True)
        return self.json(done)

    def test_regions(self):
        """examples: the newest snapshot goes to each region, the others, too"""
        disk = self.volume()
        for _ in range(4):
            self.made("create", disk)
        with open(disk, "r+b") as file:
            file.seek(DATA)
            file.write(bytes(range(256)) * 32)
        # A time has whole seconds, and ids have no order.
        second = int(time.time())
        while int(time.time()) == second:
            time.sleep(0.05)
        newest = self.made("create", disk)
        volume = self.listed()[newest]["volume_id"]
        there = [self.folder / "one", self.folder / "two"]
        key = self.new_key()
        places = [f"us-east-1={store}={key}" for store in there]
        said = self.copy(volume, f"us-east-1={self.folder / 'bad'}=alias/none",
                         *places, status=3)
        self.assertIn("alias/none", said)
        for store in there:
            (found,) = self.copies(store)
            self.assertIn(key, str(found))
            shown = subprocess.run(
                [snapshot_case.PROGRAM, "show", "--json", "--store", store,
                 found["snapshot_id"]],
                capture_output=True, text=True, check=True).stdout
            self.assertIn(newest, shown)

    def test_none(self):
        """examples: a volume without a snapshot"""
        self.made("create", self.volume())
        said = self.copy("vol-00000000000000000", "us-east-1=a=b", status=1)
        self.assertIn("has no snapshot of vol-00000000000000000", said)


snapshot_case.main()
