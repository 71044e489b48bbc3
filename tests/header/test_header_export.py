# SPDX-License-Identifier: GPL-2.0-or-later
"""export against another implementation of aes-xts-plain64."""
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import threading
import unittest.mock

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import header_case
from header_case import COPY, DATA, flip

SIZE = 3 << 20


def crypt(core, dek, data, encrypt=True):
    """aes-xts-plain64 by the cryptography package, block by block."""
    block = core["sector_size"]
    large = "iv_large_sectors" in core["flags"]
    out = []
    for at in range(0, len(data), block):
        number = at // block if large else at // 512
        xts = Cipher(algorithms.AES(dek),
                     modes.XTS(number.to_bytes(16, "little")))
        one = xts.encryptor() if encrypt else xts.decryptor()
        out.append(one.update(data[at:at + block]))
    return b"".join(out)


def noise(size):
    """The same bytes in every run."""
    return hashlib.shake_128(b"export").digest(size)


class Export(header_case.HeaderCase):

    def fill(self, disk, plain, offset=DATA, header=None):
        """Encrypt @plain into the data area; the core that it was done by."""
        core = self.verified(header or disk).core
        dek = self.dek(header or disk)
        with open(disk, "r+b") as file:
            file.seek(offset)
            file.write(crypt(core, dek, plain))
        return core, dek

    def test_sizes_and_modes(self):
        """export decrypts every sector size and IV mode"""
        plain = noise(SIZE)
        for size in (512, 1024, 2048, 4096):
            for large in ([], ["--iv-large-sectors"]):
                disk = self.volume("--sector-size", size, *large)
                self.fill(disk, plain)
                out = self.folder / "out"
                self.with_kms("export", disk, out)
                self.assertEqual(hashlib.sha256(plain).digest(),
                                 hashlib.sha256(out.read_bytes()).digest())
                out.unlink()
                disk.unlink()

    def test_holes(self):
        """export turns holes into zeros, and the file is sparse"""
        disk = self.volume()
        block = noise(4096)
        core, dek = self.fill(disk, block)
        with open(disk, "r+b") as file:
            file.seek(DATA + (2 << 20))
            file.write(crypt(core, dek, bytes(2 << 20) + block)[2 << 20:])
        out = self.folder / "out"
        self.with_kms("export", disk, out)
        data = out.read_bytes()
        self.assertEqual(SIZE, len(data))
        want = bytearray(SIZE)
        want[:4096] = want[2 << 20:(2 << 20) + 4096] = block
        self.assertEqual(bytes(want), data)
        self.assertLess(out.stat().st_blocks * 512, SIZE // 2)
        self.assertEqual(0o600, out.stat().st_mode & 0o777)

    def test_written_zeros(self):
        """export of zeros that were written gives zeros"""
        disk = self.volume()
        self.fill(disk, bytes(SIZE))
        self.with_kms("export", disk, self.folder / "out")
        self.assertEqual(bytes(SIZE), (self.folder / "out").read_bytes())

    def test_no_holes(self):
        """export of a volume without holes reads blank blocks as noise"""
        disk = self.volume("--no-holes")
        core = self.verified(disk).core
        self.with_kms("export", disk, self.folder / "out")
        self.assertEqual(crypt(core, self.dek(disk), bytes(SIZE), False),
                         (self.folder / "out").read_bytes())

    def test_standard_output(self):
        """export to standard output, which gets every zero"""
        disk = self.volume()
        plain = noise(4096) + bytes(1 << 20) + noise(8192)
        core, dek = self.fill(disk, plain)
        self.assertEqual(core["size"], SIZE)
        done = self.with_kms("export", disk, "-")
        self.assertEqual(plain + bytes(SIZE - len(plain)), done.stdout)

    def test_size(self):
        """export ends where the volume ends"""
        disk = self.volume("--size", "1M")
        plain = noise(1 << 20)
        self.fill(disk, plain)
        self.with_kms("export", disk, self.folder / "out")
        self.assertEqual(plain, (self.folder / "out").read_bytes())

    def test_detached(self):
        """export with a detached header reads from sector 0"""
        header = self.folder / "header"
        disk = self.volume("--header", header)
        plain = noise(4 << 20)
        self.fill(disk, plain, offset=0, header=header)
        self.with_kms("export", disk, self.folder / "out", "--header", header)
        self.assertEqual(plain, (self.folder / "out").read_bytes())

    def put_magic(self, path):
        path.write_bytes(b"ENVELOPE" + path.read_bytes()[8:])

    def make_ext4(self, path):
        subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", path], check=True)

    def test_other_device(self):
        """security-07-detached-header-refuses-another-device"""
        header = self.folder / "header"
        disk = self.volume("--header", header)
        other = self.folder / "other"
        other.write_bytes(bytes(5 << 20))
        out = self.folder / "out"
        self.with_kms("export", other, out, "--header", header, status=6,
                      says="is not the device of")
        # Our magic, or a file system, says that it is not ciphertext.
        for make in (self.put_magic, self.make_ext4):
            shutil.copy(disk, other)
            make(other)
            self.with_kms("export", other, out, "--header", header, status=6,
                          says="is not the device of")
        self.assertFalse(out.exists())
        self.with_kms("export", other, out, "--header", header, "--force")

    def test_backup(self):
        """security-07-backup-refuses-another-volume"""
        disk = self.volume()
        other = self.volume(name="other")
        backup = self.folder / "backup"
        out = self.folder / "out"
        self.envelope("header-backup", disk, backup)
        self.with_kms("export", other, out, "--header", backup, status=6,
                      says="has the header of another volume, so it is not "
                           "the device of")
        other.write_bytes(bytes(4 << 20))
        self.make_ext4(other)
        self.with_kms("export", other, out, "--header", backup, status=6,
                      says="has a file system (ext4), so it is not the device")
        self.assertFalse(out.exists())
        self.with_kms("export", other, out, "--header", backup, "--force",
                      says="so it may not be the device of")
        # What a backup is for: both copies damaged, or gone.
        for index in (0, 1):
            flip(disk, index * COPY + 4100)
        self.with_kms("export", disk, self.folder / "damaged", "--header",
                      backup, says="is the copy of a header that belongs on")
        disk.write_bytes(bytes(2 * COPY) + disk.read_bytes()[2 * COPY:])
        self.with_kms("export", disk, self.folder / "gone", "--header", backup)

    def test_one_decrypt(self):
        """export asks the KMS once"""
        disk = self.volume()
        before = self.calls("Decrypt")
        self.with_kms("export", disk, self.folder / "out")
        self.assertEqual(before + 1, self.calls("Decrypt"))

    def test_denied(self):
        """export under a disabled key ends with 3 and leaves no file"""
        key = self.new_key()
        disk = self.volume("--kms-key", key)
        self.kms.disable_key(KeyId=key)
        self.with_kms("export", disk, self.folder / "out", status=3)
        self.assertFalse((self.folder / "out").exists())

    def test_output(self):
        """export overwrites nothing, and leaves no half volume"""
        disk = self.volume()
        out = self.folder / "out"
        out.write_text("mine")
        self.with_kms("export", disk, out, status=7,
                      says="exists: name a new file")
        self.assertEqual("mine", out.read_text())
        with open("/dev/full", "wb") as full:
            done = self.run_to(full, disk)
        self.assertEqual(1, done.returncode)
        self.assertIn(b"'standard output': cannot write: No space left",
                      done.stderr)

    def run_to(self, stdout, disk):
        env = dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=str(
            self.server.dir / "credentials"))
        return subprocess.run(
            [header_case.ENVELOPE, "export", "--config", str(self.conf),
             str(disk), "-"], env=env, stdout=stdout, check=False,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            timeout=header_case.WAIT_SECONDS)

    def test_short_device(self):
        """export of a device that shrank: 6, no file"""
        disk = self.volume()
        os.truncate(disk, 3 << 20)
        self.with_kms("export", disk, self.folder / "out", status=6,
                      says="the volume ends at byte 4194304, the device at 3145728")
        self.assertFalse((self.folder / "out").exists())

    def test_killed(self):
        """export that is killed leaves nothing that looks like a volume"""
        disk = self.volume()
        self.fill(disk, noise(SIZE))
        out = self.folder / "out"
        self.with_kms(
            "export", disk, out, status=-signal.SIGXFSZ,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                  (DATA, DATA)))
        self.assertFalse(out.exists())
        # What is left is not taken for nothing, either.
        self.with_kms("export", disk, out, status=7,
                      says="out.part' exists: name a new file")

    def test_name_taken(self):
        """export replaces no file that came meanwhile"""
        disk = self.volume()
        plain = noise(SIZE)
        self.fill(disk, plain)
        out, conf = self.folder / "out", self.folder / "conf"
        os.mkfifo(conf)

        def answer():
            # Opens once the export, which looked for a file, reads it.
            with open(conf, "w", encoding="ascii") as file:
                out.write_text("mine")
                file.write(self.conf.read_text())

        threading.Thread(target=answer, daemon=True).start()
        self.with_kms("export", disk, out, conf=conf, status=7,
                      says="out.part' is whole, but cannot become '")
        self.assertEqual("mine", out.read_text())
        self.assertEqual(plain, (self.folder / "out.part").read_bytes())

    def test_no_such_rename(self):
        """export to a file system whose rename can only replace"""
        disk = self.volume()
        plain = noise(SIZE)
        self.fill(disk, plain)
        shim = self.folder / "shim.so"
        subprocess.run(["cc", "-shared", "-o", shim, "-xc", "-"], check=True,
                       input=b"#include <errno.h>\n"
                             b"int renameat2() { errno = EINVAL; return -1; }")
        out = self.folder / "out"
        with unittest.mock.patch.dict(os.environ, LD_PRELOAD=str(shim)):
            self.with_kms("export", disk, out)
        self.assertEqual(plain, out.read_bytes())
        self.assertFalse((self.folder / "out.part").exists())

    def test_usage(self):
        """export wants a device and a file"""
        self.envelope("export", "x", status=2, says="too few arguments")


if __name__ == "__main__":
    header_case.main()
