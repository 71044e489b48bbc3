# SPDX-License-Identifier: GPL-2.0-or-later
"""What somebody at a terminal sees while the KMS does not answer."""
import os
import pty
import socket
import subprocess

import header_case


class Waiting(header_case.HeaderCase):

    def setUp(self):
        super().setUp()
        # Connections are taken, and nobody ever speaks.
        self.silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.silent.close)

    def on_terminal(self, verb, *args):
        """Run a verb that ends with 4; what its terminal showed."""
        master, slave = pty.openpty()
        env = dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=str(
            self.server.dir / "credentials"))
        endpoint = f"https://127.0.0.1:{self.silent.getsockname()[1]}"
        try:
            done = subprocess.run(
                [header_case.ENVELOPE, verb, "--config", self.conf, *args,
                 "--kms-endpoint", endpoint, "--timeout", "3"], env=env,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=slave, timeout=header_case.WAIT_SECONDS, check=False)
            shown = os.read(master, 4096).decode()
        finally:
            os.close(master)
            os.close(slave)
        self.assertEqual(4, done.returncode, shown)
        return shown

    def test_waiting(self):
        """check, rewrap and export say that they wait for the KMS"""
        disk = self.volume()
        for verb in (["check", "--unwrap", disk],
                     ["rewrap", "--kms-key", self.key, disk],
                     ["export", disk, self.folder / "out"]):
            with self.subTest(verb[0]):
                self.assertIn("envelope: waiting for the KMS",
                              self.on_terminal(*verb))


if __name__ == "__main__":
    header_case.main()
