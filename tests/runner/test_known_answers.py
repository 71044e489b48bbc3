#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Known answers of the target on every sector size: another implementation of
AES-XTS computes what must be on the disk, a guest writes and reads it."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KERNELS = os.environ.get("VM_KERNELS", "6.1 6.12").split()
SEED = 77
BYTES = 65536
WORD = (1 << 64) - 1

# sector_size, iv_offset in sectors, iv_large_sectors; the last offsets carry
# into the second half of a 64-bit number
CASES = [(size, offset, large)
         for size in (512, 1024, 2048, 4096)
         for offset in (0, 8 * 12345, (1 << 32) - 8, (1 << 63) + 16)
         for large in ("", "iv_large_sectors")]


def splitmix64(x):
    """Endless numbers, as tests/vm/helpers/secret.h makes keys of a seed."""
    while True:
        x = (x + 0x9e3779b97f4a7c15) & WORD
        z = ((x ^ x >> 30) * 0xbf58476d1ce4e5b9) & WORD
        z = ((z ^ z >> 27) * 0x94d049bb133111eb) & WORD
        yield z ^ z >> 31


def take(stream, count):
    return b"".join(next(stream).to_bytes(8, "little") for _ in range(count))


def secret():
    return take(splitmix64((SEED + 1) * 0xd1342543de82ef95 & WORD), 8)


def encrypt(key, plain, size, offset, large):
    """IEEE 1619 with the data unit number as dm-crypt's plain64 has it."""
    out = []
    for at in range(0, len(plain), size):
        unit = at // 512 + offset
        if large:
            unit //= size // 512
        xts = modes.XTS(unit.to_bytes(16, "little"))
        encryptor = Cipher(algorithms.AES(key), xts).encryptor()
        out.append(encryptor.update(plain[at:at + size]))
    return b"".join(out)


def make_files(folder):
    """The plaintext, a ciphertext a case, and a list of the cases."""
    plain = take(splitmix64(5), BYTES // 8)
    (folder / "plain").write_bytes(plain)
    lines = []
    for n, (size, offset, large) in enumerate(CASES):
        (folder / f"cipher{n}").write_bytes(
            encrypt(secret(), plain, size, offset, large))
        lines.append(f"{n} {offset} sector_size:{size} {large}\n")
    (folder / "cases").write_text("".join(lines))


def main():
    number = failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_files(folder)
        files = [f"--file={p}:known/{p.name}" for p in folder.iterdir()]
        for kernel in KERNELS:
            done = subprocess.run(
                [ROOT / "scripts/vm", "run", "--kernel", kernel, *files,
                 ROOT / "tests/vm/helpers/known-answers.sh"],
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for line in done.stdout.splitlines():
                found = re.match(r"(ok|not ok) \d+ - (.*)", line)
                if found:
                    number += 1
                    line = f"{found[1]} {number} - {found[2]} on {kernel}"
                if not line.startswith("1.."):
                    print(line, flush=True)
            failed += done.returncode != 0
    print(f"1..{number}")
    return 1 if failed or number != 2 * len(CASES) * len(KERNELS) else 0


if __name__ == "__main__":
    sys.exit(main())
