# SPDX-License-Identifier: GPL-2.0-or-later
"""The reader in Python against the golden images, and against the library."""
import base64
import json
import hashlib
import pathlib
import random
import subprocess
import tempfile
import unittest

import header_case
import reader
from header_case import COPY, ENVELOPE

VECTORS = header_case.TESTS / "vectors" / "header"
GOLDEN = json.loads((VECTORS / "golden.json").read_text())
DEK = bytes.fromhex(GOLDEN["dek"])

# What a mutation puts in place of some bytes of a text.
SPLINTERS = [b"", b"\0", b"\\u0000", b"\xff", b"\xc3\xa9", b"null", b"true",
             b"-1", b"0", b"1.0", b"1e3", b"9007199254740993", b"[]", b"{}",
             b'""', b'"a":1,', b"99999999999999999999", b" ", b"\n", b"\x1b",
             b'"', b",", b"[[[[[[[[[", b'"envelope:x":"y",', b"]", b"}"]


class Readers(unittest.TestCase):

    def test_golden(self):
        """the second reader opens and verifies every golden image"""
        for want in GOLDEN["images"]:
            with self.subTest(want["image"]):
                image = reader.open_image(VECTORS / want["image"])
                copy = reader.read(image, DEK)
                self.assertEqual(want["copy"], "AB"[copy.index])
                for name in ("sequence", "uuid"):
                    self.assertEqual(want[name], getattr(copy, name))
                for name in ("volume_id", "revision", "generation", "size",
                             "data_offset", "sector_size", "created"):
                    self.assertEqual(want[name], copy.core[name])
                for slot, w in zip(copy.slots, want["slots"], strict=True):
                    self.assertEqual(w["key_id"], slot["key_id"])
                    self.assertEqual(w["context"], copy.context(slot))
                    self.assertEqual(
                        w["ciphertext_sha256"], hashlib.sha256(
                            base64.b64decode(slot["ciphertext"])).hexdigest())

    def test_wrong_dek(self):
        """the second reader refuses another DEK and a forged core"""
        image = reader.open_image(VECTORS / "plain.img.gz")
        with self.assertRaisesRegex(reader.Refused, "lineage"):
            reader.read(image, DEK[::-1])
        with self.assertRaisesRegex(reader.Refused, "DEK"):
            reader.read(image, DEK[:32] * 2)
        forged = bytearray(image)
        at = forged.index(b'"revision":1')
        forged[at:at + 12] = b'"revision":2'
        forged[128:160] = reader.digest(bytes(forged[:COPY]))
        with self.assertRaisesRegex(reader.Refused, "HMAC"):
            reader.read(bytes(forged), DEK)

    def mutate(self, rng, image):
        """A copy A with one wound in a field or text, SHA-256 made right."""
        copy = bytearray(image[:COPY])
        core, = reader.struct.unpack_from("<I", copy, 20)
        slots, = reader.struct.unpack_from("<I", copy, 76)
        if rng.random() < 0.2:
            copy[rng.choice((8, 12, 17, 20, 22, 33, 50, 64, 71, 72, 76, 90,
                             170, 200, 4095, COPY - 1))] ^= 1 << rng.randrange(8)
        else:
            start, size, field = rng.choice(
                ((4096, core, 20), (4096 + core, slots, 76)))
            at = start + rng.randrange(size)
            cut = rng.choice((0, 1, 1, 2, 5))
            splinter = rng.choice(SPLINTERS)
            copy[at:at + cut] = splinter
            copy = copy[:COPY] + bytes(max(0, COPY - len(copy)))
            reader.struct.pack_into("<I", copy, field,
                                    size - cut + len(splinter))
        copy[128:160] = reader.digest(bytes(copy))
        return bytes(copy) + bytes(COPY)

    def opinion(self, image):
        try:
            return reader.read(image).core
        except reader.Damaged:
            return "damaged"
        except (reader.Refused, KeyError, TypeError, AttributeError,
                ValueError, RecursionError):
            return "refused"

    def test_agree(self):
        """both readers judge 600 wounded headers alike"""
        rng = random.Random(1619)
        images = [reader.open_image(VECTORS / f"{name}.img.gz")
                  for name in ("plain", "detached", "foreign-unknown")]
        judged = {"accepted": 0, "refused": 0, "damaged": 0}
        with tempfile.NamedTemporaryFile() as file:
            for number in range(600):
                image = self.mutate(rng, rng.choice(images))
                pathlib.Path(file.name).write_bytes(image)
                done = subprocess.run(
                    [ENVELOPE, "inspect", "--json", file.name], timeout=60,
                    capture_output=True, check=False)
                mine = self.opinion(image)
                said = done.stderr.decode(errors="replace")
                note = f"header {number}: {mine}; {done.returncode} {said}"
                if isinstance(mine, dict):
                    self.assertEqual(0, done.returncode, note)
                    self.assertEqual(mine, json.loads(done.stdout)["core"])
                    judged["accepted"] += 1
                    continue
                judged[mine] += 1
                self.assertIn(done.returncode, (1, 6), note)
                self.assertIn("tampered with" if mine == "refused" and
                              done.returncode == 6 else "envelope:", said)
        self.assertTrue(all(judged.values()), judged)


if __name__ == "__main__":
    header_case.main()
