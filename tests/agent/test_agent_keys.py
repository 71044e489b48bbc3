# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent and keys that are in no KMS of the AWS kind."""
import os
import pathlib
import shutil

import tap
from kms_case import NOBODY, KmsCase

from vault import Vault

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SAMPLE = ROOT / "scripts" / "examples" / "key-program.py"


class Keys(KmsCase):

    @classmethod
    def prepare(cls):
        cls.vault = Vault().__enter__()
        cls.addClassCleanup(cls.vault.__exit__)
        super().prepare()

    @classmethod
    def write_config(cls, **more):
        super().write_config(**more)
        token = cls.config.parent / "token"
        token.write_text("hvs.the-token\n")
        token.chmod(0o600)
        # Where root alone can write, or root would not run it.
        place = pathlib.Path(f"/var/lib/envelope-keys-{os.getpid()}")
        place.mkdir(exist_ok=True)
        cls.addClassCleanup(shutil.rmtree, place, True)
        (place / "key").write_bytes(os.urandom(32))
        shutil.chown(place / "key", "nobody")
        (place / "sample").write_text(SAMPLE.read_text().replace(
            "/etc/envelope/program-keys", str(place)))
        (place / "sample").chmod(0o755)
        with open(cls.config, "a", encoding="utf-8") as file:
            file.write(f"[vault v]\nendpoint = {cls.vault.url}\n"
                       f"ca-file = {cls.vault.ca}\ntoken-file = {token}\n"
                       f"[program mine]\npath = {place}/sample\n")

    def test_vault(self):
        """agent: a volume whose key is in a vault"""
        disk = self.format("vault", "--kms-key", "vault:v/volumes")
        self.vault.calls.clear()
        answer = self.attach(self.connect(NOBODY), disk)
        self.assertNotIn("error", answer)
        self.assertIn("POST /v1/transit/decrypt/volumes", self.vault.asked())

    def test_vault_denies(self):
        """agent: what a vault denies"""
        disk = self.format("denied", "--kms-key", "vault:v/other")
        self.vault.denied = {"transit/decrypt/other"}
        self.addCleanup(self.vault.behave)
        answer = self.attach(self.connect(NOBODY), disk)
        self.assertIn("the policies of its token do not allow that",
                      str(answer))

    def test_program(self):
        """security-10-agent: a key's program is not run, and --direct is named"""
        disk = self.format("program", "--kms-key", "program:mine/key")
        answer = self.attach(self.connect(NOBODY), disk)
        self.assertIn("key 'program:mine/key': [program mine] runs code on this host, which the agent does not; attach with --direct", str(answer))


if __name__ == "__main__":
    tap.main()
