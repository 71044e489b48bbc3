# SPDX-License-Identifier: GPL-2.0-or-later
"""What somebody at a terminal sees of what takes over a second."""
import os
import pty
import socket
import subprocess
import time

import header_case


class Waiting(header_case.HeaderCase):

    def setUp(self):
        super().setUp()
        # Connections are taken, and nobody ever speaks.
        self.silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.silent.close)

    def environment(self):
        return dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=str(
            self.server.dir / "credentials"))

    def on_terminal(self, verb, *args):
        """Run a verb that ends with 4; what its terminal showed."""
        master, slave = pty.openpty()
        env = self.environment()
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
        """every verb that asks the KMS says that it waits"""
        disk = self.volume()
        blank = self.folder / "blank"
        blank.write_bytes(bytes(2 << 20))
        for verb in (["format", blank],
                     ["attach", "--direct", "--dry-run", disk],
                     ["resize", "--size", "2M", "--force", disk],
                     ["check", "--unwrap", disk],
                     ["rewrap", "--kms-key", self.key, disk],
                     ["export", disk, self.folder / "out"]):
            with self.subTest(verb[0]):
                self.assertIn("envelope: waiting for the KMS",
                              self.on_terminal(*verb))

    def test_progress(self):
        """export shows how far it is"""
        disk = self.volume()
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [header_case.ENVELOPE, "export", "--config", self.conf, disk, "-"],
            env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=slave)
        try:
            # Behind the first MiB it starts to count seconds.
            plain = process.stdout.read((1 << 20) + 1)
            time.sleep(2.5)
            plain += process.stdout.read()
            self.assertEqual(0, process.wait(header_case.WAIT_SECONDS))
            shown = os.read(master, 4096).decode()
        finally:
            process.kill()
            process.stdout.close()
            os.close(master)
            os.close(slave)
        self.assertEqual(3 << 20, len(plain))
        self.assertIn("export: 2.0 MiB of 3.0 MiB (66 %)", shown)
        self.assertRegex(shown, r"\rexport: 3\.0 MiB of 3\.0 MiB \(100 %\), "
                                r"\S+ [KM]iB/s, in \d\d:\d\d\x1b\[K\r\n\Z")


if __name__ == "__main__":
    header_case.main()
