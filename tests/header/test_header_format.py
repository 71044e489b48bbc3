# SPDX-License-Identifier: GPL-2.0-or-later
"""format: what it does before it writes, and before it asks the KMS."""
import os
import unittest.mock

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

    def test_no_curl(self):
        """without libcurl no KMS can be asked, which is said; the rest works"""
        disk = self.volume()
        (self.folder / "libcurl.so.4").write_bytes(b"")
        with unittest.mock.patch.dict(os.environ,
                                      LD_LIBRARY_PATH=str(self.folder)):
            self.envelope("inspect", disk)
            done = self.with_kms("attach", "--direct", "--dry-run",
                                 disk, "data", status=1)
        self.assertRegex(done.stderr_text,
                         r"\Aenvelope: cannot load libcurl\.so\.4 \(.*file too "
                         r"short\): install libcurl 7\.85 or later, Debian's "
                         r"libcurl4\n\Z")

    def test_lease(self):
        """format --lease is kept in core, under the HMAC"""
        disk = self.volume("--lease", "15m", "--grace", "1h")
        self.assertEqual(self.verified(disk).core["lease"],
                         {"seconds": 900, "grace": 3600})
        self.assertRegex(self.envelope("inspect", disk).stdout.decode(),
                         "lease +15m, grace 1h")
        plain = self.volume(name="plain")
        self.assertNotIn("lease", self.verified(plain).core)
        self.assertRegex(self.envelope("inspect", plain).stdout.decode(),
                         "lease +none")

    def test_lease_refused(self):
        """format refuses a lease that cannot be kept, and asks no KMS"""
        disk = self.folder / "disk"
        disk.write_bytes(bytes(4 << 20))
        calls = len(self.calls())
        for args, says in (
                (["--lease", "9s"], "a lease has at least 10s"),
                (["--grace", "1h"], "a grace needs a lease"),
                (["--lease", "20d", "--grace", "11d"],
                 "lease and grace have at most 30d together")):
            self.with_kms("format", *args, disk, status=2,
                          says=f"this lease cannot be kept: {says}")
        self.assertEqual(calls, len(self.calls()))


if __name__ == "__main__":
    header_case.main()
