# SPDX-License-Identifier: GPL-2.0-or-later
"""format: what it does before it writes, and before it asks the KMS."""
import header_case


class Format(header_case.HeaderCase):

    def test_pin_first(self):
        """security-01-format-without-pin-writes-nothing"""
        disk = self.volume()
        blank = self.folder / "blank"
        header = self.folder / "header"
        blank.write_bytes(bytes(4 << 20))
        before = self.digest(disk), self.digest(blank)
        self.pins.write_text("no pins\n")
        for args in (["--force", disk], [blank],
                     ["--header", header, blank]):
            self.with_kms("format", *args, status=6,
                          says="known' line 1: not a pin: mend or remove")
        self.assertEqual(before, (self.digest(disk), self.digest(blank)))
        self.assertFalse(header.exists())

    def test_header_exists(self):
        """format over an existing header file does not ask the KMS"""
        disk = self.folder / "disk"
        header = self.folder / "header"
        disk.write_bytes(bytes(4 << 20))
        header.write_bytes(b"somebody's")
        calls = len(self.calls())
        self.with_kms("format", "--header", header, disk, status=7,
                      says="header' exists: name a new file")
        self.with_kms("format", "--header", self.folder / "none" / "header",
                      disk, status=1, says="none/header': cannot open it")
        self.assertEqual(calls, len(self.calls()))
        self.assertEqual(b"somebody's", header.read_bytes())


if __name__ == "__main__":
    header_case.main()
