# SPDX-License-Identifier: GPL-2.0-or-later
"""Two KMS in two regions, the first one behind a line that can be held."""
import base64
import pathlib
import os
import select
import socket
import tempfile
import threading
import shutil

import header_case
import reader
from header_case import COPY
from server_fixture import Server

HERE, THERE = "us-east-1", "eu-west-1"


class Line:
    """Passes connections on to @port of this host, or keeps them waiting."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.open = threading.Event()
        self.open.set()
        self.ended = False
        self.held = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def hold(self):
        self.open.clear()

    def release(self):
        self.open.set()

    def close(self):
        self.ended = True
        self.open.set()
        self.listener.close()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,),
                             daemon=True).start()

    def carry(self, client):
        with client:
            if not self.open.is_set():
                self.held += 1
                self.open.wait()
            if self.ended:
                return
            with socket.create_connection(("127.0.0.1",
                                           self.target)) as server:
                self.pump({client: server, server: client})

    def pump(self, ways):
        while True:
            for end in select.select(list(ways), [], [])[0]:
                try:
                    data = end.recv(65536)
                    if not data:
                        return
                    ways[end].sendall(data)
                except OSError:
                    return


class SlotsCase(header_case.HeaderCase):
    """`self.server` and `self.key` are HERE, `self.far` and `far_key` THERE."""
    SERVER_OPTIONS = ("--region", HERE, "--region", THERE)

    @classmethod
    def setUpClass(cls):
        cls.far = Server("--region", THERE)
        cls.addClassCleanup(cls.far.close)
        cls.far_kms = cls.far.client(region=THERE)
        cls.far_key = cls.far_kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]
        super().setUpClass()
        cls.credentials = pathlib.Path(tempfile.mkdtemp(
            prefix="slots-")) / "credentials"
        cls.addClassCleanup(shutil.rmtree, cls.credentials.parent)
        text = (cls.server.dir / "credentials").read_text()
        far = (cls.far.dir / "credentials").read_text()
        cls.credentials.write_text(
            text + far.replace("[envelope]", "[far]"))
        cls.credentials.chmod(0o600)

    @classmethod
    def write_conf(cls, path, allow_keys):
        cls.line = Line(cls.server.port)
        cls.addClassCleanup(cls.line.close)
        super().write_conf(path, allow_keys)
        path.write_text(path.read_text().replace(
            cls.server.endpoint, f"https://127.0.0.1:{cls.line.port}") +
            f"[region {THERE}]\n"
            f"endpoint = {cls.far.endpoint}\n"
            f"ca-file = {cls.far.dir / 'ca.pem'}\n"
            f"profile = far\n"
            f"allow-keys = arn:aws:kms:{THERE}:111122223333:key/*\n")

    def setUp(self):
        super().setUp()
        self.line.release()

    def environment(self):
        return dict(os.environ,
                    AWS_SHARED_CREDENTIALS_FILE=str(self.credentials))

    def two_slots(self, **how):
        """A volume with a slot HERE and one THERE."""
        disk = self.volume(**how)
        self.with_kms("slot add", "--kms-key", self.far_key, disk)
        return disk

    def keys(self, disk):
        """Key ids of the slots, as the second reader finds them."""
        return [slot["key_id"] for slot in self.copy(disk).slots]

    @staticmethod
    def copy(disk):
        return reader.read(disk.read_bytes()[:2 * COPY])

    def unwrap(self, kms, copy, index):
        """The DEK by slot @index, through boto3."""
        slot = copy.slots[index]
        return kms.decrypt(
            KeyId=slot["key_id"], EncryptionContext=copy.context(slot),
            CiphertextBlob=base64.b64decode(slot["ciphertext"]))["Plaintext"]
