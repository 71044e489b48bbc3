# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope-snapshot on a store in S3, whichever server that is."""
import os

import snapshot_case


class S3Case(snapshot_case.SnapshotCase):
    """What setUp() of a test sets before anything runs: place, endpoint."""
    ACCESS = SECRET = REGION = None
    place = endpoint = None

    def setUp(self):
        super().setUp()
        self.credentials = self.folder / "credentials"
        self.write_credentials(self.SECRET)

    def write_credentials(self, secret):
        self.credentials.write_text(
            (self.server.dir / "credentials").read_text()
            + f"\n[s3]\naws_access_key_id = {self.ACCESS}\n"
              f"aws_secret_access_key = {secret}\n")

    def environment(self):
        return {**os.environ,
                "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials)}

    def command(self, verb, *args):
        kms = [] if verb in snapshot_case.KEYLESS else ["--config", self.conf]
        return [snapshot_case.PROGRAM, verb, "--store", self.place,
                "--store-endpoint", self.endpoint, "--store-region",
                self.REGION, "--store-profile", "s3", *map(str, kms),
                *map(str, args)]

    def to(self, place):
        """Options for a copy to another place of the same server."""
        return ["--to-store", place, "--to-endpoint", self.endpoint,
                "--to-region", self.REGION, "--to-profile", "s3"]

    def taken(self):
        """A volume of four chunks of noise, and its snapshot."""
        chunk = snapshot_case.CHUNK
        disk = self.volume(size=snapshot_case.DATA + 4 * chunk)
        self.fill(disk, (0, 4 * chunk))
        return disk, self.made("create", disk)
