# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs on files under a real envelope-kms; pins in a folder of their own."""
import base64
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
for folder in (TESTS, TESTS / "kms", TESTS / "vectors" / "header"):
    sys.path.insert(0, str(folder))

import reader  # noqa: E402
import tap  # noqa: E402
from server_fixture import BUILD, Server  # noqa: E402

ENVELOPE = str(BUILD / "bin" / "envelope")
COPY = reader.COPY
DATA = 1 << 20
STATE = "/var/lib/envelope"
WAIT_SECONDS = 120


def main():
    """Run the calling file where /var/lib/envelope is a fresh folder."""
    if os.environ.get("HEADER_CASE_STATE") is None:
        state = tempfile.mkdtemp(prefix="header-state-")
        os.makedirs(STATE, mode=0o700, exist_ok=True)
        try:
            done = subprocess.run(
                ["unshare", "--mount", "--propagation", "private",
                 sys.executable, *sys.argv],
                env=dict(os.environ, HEADER_CASE_STATE=state), check=False)
        finally:
            shutil.rmtree(state)
        sys.exit(done.returncode)
    subprocess.run(["mount", "--bind", os.environ["HEADER_CASE_STATE"], STATE],
                   check=True)
    tap.main()


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x20]))


class HeaderCase(unittest.TestCase):
    """One KMS for all tests of a class, one folder for each test."""
    SERVER_OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.SERVER_OPTIONS)
        cls.kms = cls.server.client()
        cls.conf = cls.server.dir / "test.conf"
        cls.write_conf(cls.conf, "arn:aws:kms:us-east-1:111122223333:key/*")
        cls.key = cls.kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    @classmethod
    def write_conf(cls, path, allow_keys):
        path.write_text(f"[region us-east-1]\n"
                        f"endpoint = {cls.server.endpoint}\n"
                        f"ca-file = {cls.server.dir / 'ca.pem'}\n"
                        f"profile = envelope\n"
                        f"default-key = alias/envelope\n"
                        f"allow-keys = {allow_keys}\n")

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="header-case-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.pins = pathlib.Path(STATE) / "known"
        self.pins.unlink(missing_ok=True)

    def environment(self):
        """What a verb finds there."""
        return dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=str(
            self.server.dir / "credentials"))

    def envelope(self, verb, *args, status=0, says=None, **how):
        """Run a verb; its exit status and message are part of the promise."""
        how.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run([ENVELOPE, *verb.split(), *map(str, args)],
                              env=self.environment(),
                              capture_output=True, timeout=WAIT_SECONDS,
                              check=False, **how)
        done.stdout_text = done.stdout.decode(errors="replace")
        done.stderr_text = done.stderr.decode(errors="replace")
        everything = done.stdout_text + done.stderr_text
        self.assertEqual(status, done.returncode, everything)
        if says:
            self.assertIn(says, everything)
        return done

    def with_kms(self, verb, *args, **how):
        return self.envelope(verb, "--config", how.pop("conf", self.conf),
                             *args, **how)

    def volume(self, *options, name="disk", size=4 << 20):
        """The path of a new volume."""
        path = self.folder / name
        with open(path, "wb") as file:
            file.truncate(size)
        self.with_kms("format", *options, path)
        return path

    def cover(self, place, **files):
        """An own folder over @place; None as a value makes a folder."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        for name, text in files.items():
            self.put(folder / name, text)
        os.makedirs(place, exist_ok=True)
        subprocess.run(["mount", "--bind", folder, place], check=True)
        self.addCleanup(subprocess.run, ["umount", place], check=True)
        return folder

    @staticmethod
    def put(path, text=""):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def new_key(self):
        return self.kms.create_key()["KeyMetadata"]["Arn"]

    def dek(self, path):
        """The volume's DEK, through boto3 and the second reader."""
        copy = reader.read(path.read_bytes()[:2 * COPY])
        slot = copy.slots[0]
        answer = self.kms.decrypt(
            KeyId=slot["key_id"], EncryptionContext=copy.context(slot),
            CiphertextBlob=base64.b64decode(slot["ciphertext"]))
        return answer["Plaintext"]

    def verified(self, path):
        """The copy that serves, both copies verified by the second reader."""
        return reader.read(path.read_bytes()[:2 * COPY], self.dek(path))

    def digest(self, path):
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def forge(self, path, old, new, copies="AB"):
        """Edit the texts of copies and make their SHA-256 right."""
        self.assertEqual(len(old), len(new))
        data = bytearray(path.read_bytes())
        for index in (0, 1):
            if "AB"[index] not in copies:
                continue
            at = index * COPY
            copy = data[at:at + COPY]
            self.assertIn(old, copy)
            copy = copy.replace(old, new, 1)
            copy[128:160] = reader.digest(bytes(copy))
            data[at:at + COPY] = copy
        path.write_bytes(data)

    def calls(self, name=None):
        """KMS calls that the audit trail has: their names, or those of one."""
        names = [record["eventName"] for record in self.server.audit()]
        return names if name is None else names.count(name)

    def json(self, done):
        return json.loads(done.stdout)

    def assert_matches(self, pattern, done):
        self.assertRegex(done.stdout_text + done.stderr_text,
                         re.compile(pattern, re.M))
