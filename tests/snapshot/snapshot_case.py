# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope-snapshot on files under a real envelope-kms, a store a test."""
import base64
import importlib.util
import os
import pathlib
import random
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "header"))

import header_case  # noqa: E402
from header_case import BUILD, DATA, WAIT_SECONDS, HeaderCase, flip, main  # noqa: E402,F401

PROGRAM = str(BUILD / "bin" / "envelope-snapshot")
CHUNK = 1 << 19
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 30)))

# The second reader of snapshots; that of headers has the same name.
spec = importlib.util.spec_from_file_location(
    "snapshot_reader", HERE.parent / "vectors" / "snapshot" / "reader.py")
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)

KEYLESS = {"list", "show", "diff", "delete", "gc"}


class SnapshotCase(HeaderCase):
    def setUp(self):
        super().setUp()
        self.store = self.folder / "store"
        self.random = random.Random(f"{SEED} {self.id()}")

    def command(self, verb, *args):
        kms = [] if verb in KEYLESS else ["--config", self.conf]
        return [PROGRAM, verb, "--store", str(self.store),
                *map(str, kms), *map(str, args)]

    def snap(self, verb, *args, status=0, says=None):
        """Run a verb; its exit status and message are part of the promise."""
        done = subprocess.run(self.command(verb, *args),
                              env=self.environment(), capture_output=True,
                              text=True, timeout=WAIT_SECONDS, check=False)
        everything = done.stdout + done.stderr
        self.assertEqual(status, done.returncode, everything)
        if says:
            self.assertIn(says, everything)
        return done

    def made(self, verb, *args):
        """The id of the snapshot that the verb made."""
        return self.json(self.snap(verb, "--json", *args))["snapshot_id"]

    def listed(self, *args):
        return {s["snapshot_id"]: s
                for s in self.json(self.snap("list", "--json", *args))}

    def fill(self, disk, *places):
        """Noise at the places, (offset in the data, bytes)."""
        with open(disk, "r+b") as file:
            for offset, size in places:
                file.seek(DATA + offset)
                file.write(self.random.randbytes(size))

    def data(self, disk):
        """The stored bytes of the volume's data."""
        return disk.read_bytes()[DATA:]

    @staticmethod
    def copy(disk):
        """The header that serves, by the second reader."""
        return header_case.reader.read(
            disk.read_bytes()[:2 * header_case.COPY])

    def snapshot_dek(self, snapshot_id):
        """The DEK of a snapshot, through boto3 and the second reader."""
        wrapper = self.wrapper(snapshot_id)
        body = self.body(snapshot_id).read_bytes()
        meta = reader.json.loads(body[128:128 + int.from_bytes(
            body[20:24], "little")])
        slot = wrapper["slots"][0]
        return self.kms.decrypt(
            KeyId=slot["key_id"],
            EncryptionContext=reader.context(wrapper, meta, slot),
            CiphertextBlob=base64.b64decode(slot["ciphertext"]))["Plaintext"]

    def read(self, snapshot_id):
        """The data of a snapshot, by the second reader."""
        return b"".join(reader.data(self.store, snapshot_id,
                                    self.snapshot_dek(snapshot_id)))

    def wrapper(self, snapshot_id):
        return reader.json.loads(
            (self.store / "snapshots" / snapshot_id).read_text())

    def body(self, snapshot_id):
        wrapper = self.wrapper(snapshot_id)
        return self.store / "bodies" / wrapper["lineage"] / wrapper["body"]

    def blocks(self):
        return {p.name: p for p in self.store.glob("blocks/*/*/*")}

    def plaintext(self, disk):
        """What a volume, or (by its id) a snapshot decrypts to."""
        out = self.folder / f"plain-{self.random.randrange(1 << 40)}"
        if isinstance(disk, str):
            self.snap("export", disk, out)
        else:
            self.with_kms("export", disk, out)
        return out.read_bytes()
