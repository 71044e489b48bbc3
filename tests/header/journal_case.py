# SPDX-License-Identifier: GPL-2.0-or-later
"""A socket of the tests' own in the journal's place."""
import os
import socket
import subprocess

JOURNAL = "/run/systemd/journal"


class JournalCase:
    """Beside a HeaderCase."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.makedirs(JOURNAL, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", JOURNAL], check=True)
        cls.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        cls.journal.bind(JOURNAL + "/socket")
        cls.journal.setblocking(False)
        cls.addClassCleanup(cls.journal.close)

    def heard(self):
        """The fields of each message that is waiting."""
        messages = []
        while True:
            try:
                text = self.journal.recv(65536).decode()
            except BlockingIOError:
                return messages
            messages.append(dict(
                line.split("=", 1) for line in text.splitlines()))
