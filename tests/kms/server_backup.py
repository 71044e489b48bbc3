# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of `envelope-kms backup`, written a second time."""
import json
import os
import re
import struct
import unittest

import botocore.exceptions
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server_fixture import ACCOUNT, Api, Server, run
from server_seal import kdf

HEAD = 56
PIECE = 65536
MAGIC = b"ENVKMSB\1"


def _piece(key, number, last):
    return AESGCM(kdf(key, b"envelope-kms backup piece v1",
                      struct.pack(">QB", number, last)))


def plain(root, sealed):
    """What a sealed file holds, as sealed_file.h says."""
    assert sealed[:8] == MAGIC
    key = kdf(root, b"envelope-kms backup v1", sealed[8:40])
    assert sealed[40:HEAD] == kdf(key, b"envelope-kms backup check v1",
                                  b"")[:16]
    step = PIECE + 16
    pieces = [sealed[i:i + step] for i in range(HEAD, len(sealed), step)]
    return b"".join(
        _piece(key, i, i == len(pieces) - 1).decrypt(b"\0" * 12, piece, None)
        for i, piece in enumerate(pieces))


def seal(root, text):
    """The other way round."""
    nonce = os.urandom(32)
    key = kdf(root, b"envelope-kms backup v1", nonce)
    pieces = [text[i:i + PIECE] for i in range(0, len(text), PIECE)] or [b""]
    return MAGIC + nonce + kdf(key, b"envelope-kms backup check v1",
                               b"")[:16] + b"".join(
        _piece(key, i, i == len(pieces) - 1).encrypt(b"\0" * 12, piece, None)
        for i, piece in enumerate(pieces))


def unpack(text):
    """Head and files of an open backup, as backup.h says."""
    size, = struct.unpack(">I", text[:4])
    head, at, files = json.loads(text[4:4 + size]), 4 + size, {}
    for entry in head["files"]:
        files[entry["name"]] = text[at:at + entry["bytes"]]
        at += entry["bytes"]
    assert at == len(text)
    return head, files


def pack(head, files):
    text = json.dumps({**head, "files": [
        {"name": name, "bytes": len(data)}
        for name, data in files.items()]}).encode()
    return struct.pack(">I", len(text)) + text + b"".join(files.values())


def open_backup(server, path):
    root = (server.dir / "root.key").read_bytes()
    return unpack(plain(root, path.read_bytes()))


def backup(server, name="backup"):
    """A new backup of a server, running or not."""
    path = server.folder / name
    path.unlink(missing_ok=True)
    done = run("backup", server.dir, path)
    if done.returncode or done.stderr:
        raise AssertionError(done.stderr)
    return path


def restore(server, path, name="restored"):
    """The server's directory out of a backup and of itself; what it said."""
    fresh = server.folder / name
    done = run("restore", path, fresh, "--from", server.dir)
    if done.returncode or done.stderr:
        raise AssertionError(done.stderr)
    server.dir.rename(server.folder / f"before-{name}")
    fresh.rename(server.dir)
    return done.stdout


def policy(*more):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {
            "AWS": f"arn:aws:iam::{ACCOUNT}:root"},
         "Action": "kms:*", "Resource": "*"}, *more]})


class BackupCase(unittest.TestCase):
    """A served directory, and what a backup of it becomes."""

    options = ("--test",)

    def setUp(self):
        self.server = Server(*self.options, start=False)
        self.addCleanup(self.server.close)
        self.serve()

    def serve(self, digest_seconds=5):
        self.server.start_test_clock("--digest-seconds", str(digest_seconds))
        self.kms = Api(self.server)

    def serve_without_digests(self):
        """What is recorded from now on stays in the live file."""
        self.server.stop()
        self.serve(86400)

    def alter_trail(self, pattern, text, times=1):
        """Stops the server and puts @text where its last records have
        @pattern, which they must so many times."""
        self.server.stop()
        trail = self.server.dir / "audit" / "audit.log"
        lines, found = re.subn(pattern, text, trail.read_text())
        self.assertEqual(times, found)
        trail.write_text(lines)

    def new_key(self, **options):
        return self.kms.create_key(**options)["KeyMetadata"]["KeyId"]

    def state(self, key):
        return self.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]

    def backup(self):
        self.file = backup(self.server)
        return self.file

    def restore(self):
        """Stops the server, restores, serves again; lines that it said."""
        if self.server.process:
            self.assertEqual(0, self.server.stop())
        said = restore(self.server, self.file).splitlines()
        done = run("check", self.server.dir)
        self.assertEqual((0, ""), (done.returncode, done.stderr),
                         done.stdout)
        self.serve()
        return said[:-2]

    def code(self, call, **body):
        try:
            call(**body)
        except botocore.exceptions.ClientError as e:
            return e.response["Error"]["Code"]
        return None
