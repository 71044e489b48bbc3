# SPDX-License-Identifier: GPL-2.0-or-later
"""What counts as trouble on a kernel's console."""
import pathlib
import sys
import unittest

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import vm_console  # noqa: E402

RULE = "=" * 66
HEAD = "BUG: KCSAN: data-race in a / b"


def race(access, *frames):
    """The console with a data race: another's access, and this one."""
    lines = [RULE, HEAD, "", "write to 0xffff88800423e52c of 4 bytes by task "
             "137 on cpu 0:", " __blk_flush_plug+0x228/0x260", "",
             f"{access} to 0xffff88800423e52c of 4 bytes by interrupt on "
             "cpu 1:", *frames, "", RULE]
    return [f"[   58.970502] {line}" for line in lines]


class Races(unittest.TestCase):
    def check_ours(self, ours, *report):
        lines = race(*report)
        self.assertEqual([bool(vm_console.trouble(lines)),
                          len(vm_console.foreign_races(lines))],
                         [ours, 0 if ours else 1])

    def test_itself(self):
        """console: a data race of the module is trouble"""
        self.check_ours(True, "read", " decrypt+0x1/0x2 [dm_envelope]")

    def test_reordered(self):
        """console: so is one of an access that may be reordered"""
        self.check_ours(True, "write (reordered)",
                        " decrypt+0x1/0x2 [dm_envelope]")

    def test_called(self):
        """console: and one in a function that the module calls"""
        self.check_ours(True, "read (marked)", " sized_strscpy+0x1/0x2",
                        " adopt_key+0x1/0x2 [dm_envelope]")

    def test_deeper(self):
        """console: one further down is the kernel's own, and counted"""
        self.check_ours(False, "read", " kernel_fpu_begin_mask+0x46/0x100",
                        " xts_decrypt_aesni_avx+0x72/0x2f0 [aesni_intel]",
                        " run_blocks+0x576/0x690 [dm_envelope]")

    def test_other_trouble(self):
        """console: a warning beside it is trouble"""
        lines = race("read", " vfs_read+0x1/0x2") + ["WARNING: CPU: 0"]
        self.assertEqual(vm_console.trouble(lines), ["WARNING: CPU: 0"])


if __name__ == "__main__":
    tap.main()
