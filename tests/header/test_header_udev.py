# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope-id: what udev is told of a device."""
import gzip
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
import uuid as uuid_of

import header_case
import tap

VECTORS = header_case.TESTS / "vectors" / "header"
ID = header_case.BUILD / "bin" / "envelope-id"
COPY = header_case.COPY
# Of a header that says no more.
BARE = {"ID_FS_TYPE": "dm_envelope", "ID_FS_USAGE": "crypto"}

class Identify(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="udev-id-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.disk = self.folder / "disk"

    def put(self, name):
        """The header of that vector, and what it says."""
        data = gzip.decompress((VECTORS / f"{name}.img.gz").read_bytes())
        self.disk.write_bytes(data)
        return bytearray(data)

    def says(self, status=0, path=None):
        done = subprocess.run([ID, path or self.disk], text=True,
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(status, done.returncode, done.stderr)
        lines = done.stdout.splitlines()
        found = dict(line.split("=", 1) for line in lines)
        self.assertEqual(len(lines), len(found))
        return found

    def volume(self, data):
        """What there is to say of the good volume in @data."""
        uuid = str(uuid_of.UUID(bytes=bytes(data[24:40])))
        return dict(BARE, ID_FS_VERSION="1", ID_FS_UUID=uuid,
                    ID_FS_UUID_ENC=uuid, ENVELOPE_VOLUME_ID=re.search(
                        rb'"volume_id": ?"(vol-[0-9a-f]{17})"',
                        data)[1].decode())

    def test_whole(self):
        """udev: type, UUID and volume id of a header"""
        self.assertEqual(self.volume(self.put("plain")), self.says())

    def test_one_copy(self):
        """udev: one good copy is enough, whichever it is"""
        for index in (0, 1):
            for spoil in (slice(0, COPY), slice(4200, 4201)):
                data = self.put("plain")
                wanted = self.volume(data)
                at = slice(index * COPY + spoil.start,
                           index * COPY + spoil.stop)
                data[at] = bytes(spoil.stop - spoil.start)
                self.disk.write_bytes(data)
                self.assertEqual(wanted, self.says())

    def test_damaged(self):
        """udev: what is damaged is no blank device, and names no volume"""
        data = self.put("plain")
        for at in (4200, COPY + 4200):
            data[at] ^= 1
        self.disk.write_bytes(data)
        self.assertEqual(BARE, self.says())

    def test_detached(self):
        """udev: a detached header does not take the volume's place"""
        self.put("detached")
        self.assertEqual(dict(BARE, ID_FS_VERSION="1"), self.says())

    def test_hostile(self):
        """udev: no value of a forged header gets out of its line"""
        data = self.put("plain")
        for copy in (0, COPY):
            old = data[copy:copy + COPY]
            at = old.index(b'"vol-') + 3
            old[at] = 10
            old[128:160] = header_case.reader.digest(bytes(old))
            data[copy:copy + COPY] = old
        self.disk.write_bytes(data)
        self.assertEqual(BARE, self.says())

    def test_none(self):
        """udev: nothing of what has no header"""
        for data in (b"", b"ENVELOP", bytes(COPY * 2), b"LUKS" * COPY):
            self.disk.write_bytes(data)
            self.assertEqual({}, self.says(5))
        self.assertEqual({}, self.says(1, "/dev/null"))
        self.assertEqual({}, self.says(1, self.folder / "gone"))
        self.assertEqual({}, self.says(2, "--what"))

    def test_bounded(self):
        """udev: the header is all that is read, and nothing is written"""
        self.put("plain")
        self.disk.open("r+b").truncate(1 << 30)
        before = self.disk.stat().st_mtime_ns
        trace = self.folder / "trace"
        subprocess.run(["strace", "-f", "-o", trace, "-P", self.disk, ID,
                        self.disk], check=True, capture_output=True)
        text = trace.read_text()
        ends = [int(size) + int(start) for size, start in re.findall(
            r"pread64\(.*, (\d+), (\d+)\)", text)]
        self.assertTrue(ends)
        self.assertLessEqual(max(ends), 2 * COPY)
        self.assertNotIn("O_RDWR", text)
        self.assertEqual(before, self.disk.stat().st_mtime_ns)


tap.main()
