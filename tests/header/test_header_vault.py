# SPDX-License-Identifier: GPL-2.0-or-later
"""Volumes whose key is in a vault's Transit engine."""
import os

import header_case
import reader
from vault import Vault

KEY = "vault:v/volumes"
DENIED, UNREACHABLE = 3, 4


class VaultCase(header_case.HeaderCase):

    @classmethod
    def setUpClass(cls):
        cls.vault = Vault().__enter__()
        cls.addClassCleanup(cls.vault.__exit__)

    @classmethod
    def tearDownClass(cls):
        pass

    def environment(self):
        return dict(os.environ)

    def setUp(self):
        super().setUp()
        self.vault.behave()
        self.conf = self.folder / "envelope.conf"
        token = self.folder / "token"
        token.write_text("hvs.the-token\n")
        token.chmod(0o600)
        self.conf.write_text(
            f"[vault v]\nendpoint = {self.vault.url}\n"
            f"ca-file = {self.vault.ca}\ntoken-file = {token}\n"
            f"default-key = {KEY}\nallow-keys = vault:v/*\n")

    def slot(self, disk):
        return reader.read(disk.read_bytes()[:2 * reader.COPY]).slots[0]

    def test_help(self):
        """vault: help says that it is experimental"""
        self.envelope("format", "--help",
                      says="or, experimental, in HashiCorp Vault or OpenBao\n"
                      "(vault:NAME/KEY): see envelope(8)")

    def test_volume(self):
        """vault: format by default-key, attach --dry-run, check, export"""
        disk = self.volume("--context", "team=blue")
        slot = self.slot(disk)
        self.assertEqual(("vault-transit", KEY), (slot["provider"], slot["key_id"]))
        self.with_kms("attach", "--direct", "--dry-run", disk)
        self.with_kms("check", "--unwrap", disk)
        self.with_kms("export", disk, self.folder / "plain")

    def test_rewrap(self):
        """vault: rewrap to the newest version, then to another key"""
        disk = self.volume()
        self.vault.keys["volumes"].rotate()
        before = self.slot(disk)["ciphertext"]
        self.with_kms("rewrap", "--kms-key", KEY, disk,
                      says=f"from {KEY}\n  to   {KEY}")
        self.assertNotEqual(before, self.slot(disk)["ciphertext"])
        self.vault.keys["volumes"].min_decryption_version = 2
        self.with_kms("attach", "--direct", "--dry-run", disk)
        self.with_kms("rewrap", "--kms-key", "vault:v/other", disk,
                      says="to   vault:v/other")
        del self.vault.keys["volumes"]
        self.with_kms("attach", "--direct", "--dry-run", disk)

    def test_slots(self):
        """vault: a slot more under another key, and the first one removed"""
        disk = self.volume()
        self.with_kms("slot add", "--kms-key", "vault:v/other", "--context",
                      "team=blue", disk)
        self.with_kms("slot remove", "--slot", "0", disk)
        slot = self.slot(disk)
        self.assertEqual(("vault-transit", "vault:v/other"),
                         (slot["provider"], slot["key_id"]))
        del self.vault.keys["volumes"]
        self.with_kms("attach", "--direct", "--dry-run", disk)

    def test_swapped(self):
        """security-27-vault-slot-of-another-volume-refused"""
        mine = self.volume(name="mine")
        other = self.volume(name="other")
        self.forge(mine, self.slot(mine)["ciphertext"].encode(),
                   self.slot(other)["ciphertext"].encode())
        self.with_kms("attach", "--direct", "--dry-run", mine, status=DENIED,
                      says="(InvalidCiphertextException)")

    def test_refused(self):
        """vault: a key without derivation is refused by format"""
        disk = self.folder / "blank"
        disk.write_bytes(bytes(4 << 20))
        self.with_kms("format", "--kms-key", "vault:v/plain", disk,
                      status=DENIED, says="was not made with derived=true")
        self.assertEqual(bytes(4 << 20), disk.read_bytes())

    def test_sealed(self):
        """vault: a sealed one is exit 4"""
        disk = self.volume()
        self.vault.sealed = True
        self.vault.headers = {"Retry-After": "80000"}
        self.with_kms("attach", "--direct", "--dry-run", disk,
                      status=UNREACHABLE, says="it is sealed")


if __name__ == "__main__":
    header_case.main()
