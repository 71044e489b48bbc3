#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A grant's token, from the process that makes it to the lease's checks."""
import json
import os
import socket
import subprocess
import tempfile

import tap
from agent_case import AGENT as PROGRAM, WAIT_SECONDS, Connection
from test_agent_grants import GrantsCase

GRANTED, TOKEN_REFUSED = 0, 2


class Worker(Connection):
    """The agent's worker, with this test in the root part's place."""

    def __init__(self, etc, disk=None, **start):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(WAIT_SECONDS)
        self.rest = b""
        with tempfile.TemporaryFile() as page, \
                open(disk or os.devnull, "rb") as device:
            page.truncate(os.sysconf("SC_PAGESIZE"))
            fds = theirs.fileno(), page.fileno(), device.fileno()
            # Where WORKER_FD_SOCKET, _PAGE and _DEVICE want them, by way of
            # numbers that none of them has.
            self.process = subprocess.Popen(
                ["bash", "-c", 'exec 100<&$1 101<>/proc/self/fd/$2 102<&$3 '
                 '3<&100 4<&101 5<&102 && exec -a envelope-agent "$0" --worker',
                 PROGRAM, *map(str, fds)], pass_fds=fds,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env={
                    "PATH": os.environ["PATH"],
                    "AWS_SHARED_CREDENTIALS_FILE": str(etc / "credentials")})
        theirs.close()
        self.send({"start": {
            "config": str(etc / "envelope.conf"), "aws_dir": str(etc),
            "known_dir": str(etc), "timeout_ms": 30000, "header_file": False,
            "check": disk is None, **start}})

    def says(self, name):
        while True:
            message = self.receive()
            if message is None or name in message:
                return message and message[name]

    def close(self):
        super().close()
        self.process.kill()
        self.process.wait(WAIT_SECONDS)


class Token(GrantsCase):
    def worker(self, *arguments, **start):
        w = Worker(self.etc, *arguments, **start)
        self.addCleanup(w.close)
        return w

    def check(self, header, **start):
        w = self.worker(**start)
        w.send({"header": header})
        return w.says("checked")

    def test_way(self):
        """security-17-agent-the-token-of-a-new-grant-comes-to-the-check"""
        disk = self.volume()
        connection, grant = self.offered(disk)
        signature = self.sign(self.user, disk, grant["body"])
        connection.close()
        w = self.worker(disk)
        header = w.says("header")
        w.send({"grant": {
            "entry": {"name": json.loads(grant["body"])["Name"],
                      "key_arn": self.key, "id": ""},
            "body": grant["body"], "signature": signature}})
        made = w.says("granted")
        self.assertEqual([g["GrantId"] for g in self.grants()], [made["id"]])
        self.assertEqual(self.check(header, grant_token=made["token"]),
                         {"answer": GRANTED})
        # No check without it would hear that: it is sent.
        self.assertEqual(self.check(header, grant_token="x" + made["token"]),
                         {"answer": TOKEN_REFUSED})
        self.assertEqual(self.check(header), {"answer": GRANTED})


if __name__ == "__main__":
    tap.main()
