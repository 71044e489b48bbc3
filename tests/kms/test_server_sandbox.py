#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a running envelope-kms has given up, seen from outside."""
import os
import pathlib
import re
import signal
import socket
import unittest

from server_fixture import Server, wait_for
import tap

NOBODY = 65534


def statuses(pid):
    """The status file of each thread, as dictionaries."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        try:
            text = path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that has ended
        found.append(dict(re.findall(r"^(\w+):[ \t]*(.*)$", text, re.M)))
    return found


class Sandbox(unittest.TestCase):
    def server(self, **options):
        server = Server(start=False, **options)
        self.addCleanup(server.end)
        return server

    def confined(self, server):
        threads = statuses(server.process.pid)
        self.assertGreater(len(threads), 2)
        for status in threads:
            self.assertEqual(
                {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0,
                 "CapAmb": 0},
                {name: int(value, 16) for name, value in status.items()
                 if name.startswith("Cap")})
            self.assertEqual(("1", "2"), (status["NoNewPrivs"],
                                          status["Seccomp"]))

    def test_privileges(self):
        """kms-server-has-no-privileges-in-any-thread"""
        server = self.server().start()
        connection = server.connection()
        connection.request("GET", "/health")
        connection.getresponse().read()
        self.confined(server)
        connection.close()
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "certificate reloaded" in server.stderr(),
                 "the reload")
        self.assertEqual(200, server.call("ListKeys").status)
        self.confined(server)

    def test_owner(self):
        """kms-server-that-root-starts-becomes-the-owner-of-dir"""
        server = self.server()
        server.folder.chmod(0o711)
        for path in (server.dir, *server.dir.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        server.start("--digest-seconds", "1")
        self.confined(server)
        for status in statuses(server.process.pid):
            self.assertEqual(([str(NOBODY)] * 4, [str(NOBODY)] * 4, ""),
                             (status["Uid"].split(), status["Gid"].split(),
                              status["Groups"].strip()))
        self.assertEqual(200, server.call("CreateKey").status)
        wait_for(lambda: list(server.dir.glob("audit/AWSLogs/**/*.gz")),
                 "a digest")
        self.assertEqual({NOBODY}, {path.stat().st_uid for path in
                                    server.dir.rglob("*")})

    def test_without_root(self):
        """kms-server-without-any-privilege-from-the-start"""
        server = self.server(under=(
            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
            "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"))
        server.folder.chmod(0o711)
        for path in (server.dir, *server.dir.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        server.start()
        self.confined(server)
        self.assertEqual(200, server.call("CreateKey").status)

    def test_low_port(self):
        """kms-server-that-root-starts-may-have-a-low-port"""
        for port in range(1023, 600, -1):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                    break
                except OSError:
                    continue
        server = self.server().start("--port", str(port))
        self.assertEqual(port, server.port)
        self.confined(server)

    def test_files_outside(self):
        """kms-server-reaches-no-file-outside-its-folder"""
        server = self.server()
        outside = server.folder / "outside"
        outside.mkdir()
        server.start()
        trail = server.dir / "audit"
        # A folder that root may write, and that a link now leads to.
        trail.rename(server.dir / "kept")
        (server.dir / "kept" / "audit.log").unlink()
        trail.symlink_to(outside)
        self.assertEqual(500, server.call("ListKeys").status)
        self.assertIn(f"{trail}/audit.log: cannot write the audit trail, refusing the call: Permission denied\n",
                      server.stderr())
        self.assertEqual([], list(outside.iterdir()))
        trail.unlink()
        (server.dir / "kept").rename(trail)
        self.assertEqual(200, server.call("ListKeys").status)

    def test_link(self):
        """kms-server-follows-the-link-to-its-trail"""
        server = self.server()
        elsewhere = server.folder / "elsewhere"
        (server.dir / "audit").rename(elsewhere)
        (server.dir / "audit").symlink_to(elsewhere)
        server.start("--digest-seconds", "1")
        self.assertEqual(200, server.call("ListKeys").status)
        wait_for(lambda: list(elsewhere.glob("AWSLogs/**/*.gz")), "a digest")


if __name__ == "__main__":
    tap.main()
