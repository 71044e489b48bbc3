#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A second reader and writer of the header, from the text of agent/header.h.

  reader.py FILE             what a header says
  reader.py FILE DEK-IN-HEX  the same, verified

It shares no code with the library: struct, json, hashlib and hmac of Python,
HKDF of the cryptography package. FILE may be compressed with gzip.
"""
import base64
import gzip
import hashlib
import hmac
import json
import re
import struct
import sys
import uuid

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

COPY = 131072
SUPERBLOCK = 4096
# magic, version, superblock, copy and core sizes, UUID: the first 40 bytes.
FIXED = struct.Struct("<8sIIII16s")
# sequence, copy index, size of the slots: from byte 64.
MOVING = struct.Struct("<QII")
KNOWN = {"volume_id", "revision", "generation", "critical", "size",
         "data_offset", "sector_size", "cipher", "flags", "created",
         "lineage", "origin", "device", "holes", "iv_large_sectors", "lease"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
PKCS11 = ("pkcs11:token=([-._~A-Za-z0-9]|%[0-9A-F]{2})+;"
          "(object=([-._~A-Za-z0-9]|%[0-9A-F]{2})+|id=(%[0-9A-F]{2})+)")
ARN = re.compile(r"arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+")


class Damaged(Exception):
    """A copy that an accident can explain."""


class Refused(Exception):
    """A header that nobody may use."""


def hkdf(dek, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(dek)


def lineage(dek):
    return hkdf(dek, b"", b"envelope lineage v1").hex()


def digest(copy):
    return hashlib.sha256(copy[:128] + bytes(32) + copy[160:]).digest()


def mac(dek, copy, core_bytes, volume_id):
    key = hkdf(dek, copy[24:40], b"envelope header v1" + volume_id.encode())
    covered = copy[:64] + copy[192:4096] + copy[4096:4096 + core_bytes]
    return hmac.new(key, covered, hashlib.sha256).digest()


def demand(condition, sentence):
    if not condition:
        raise Refused(sentence)


def no_twins(pairs):
    demand(len({name for name, _ in pairs}) == len(pairs), "a name twice")
    return dict(pairs)


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def texts(value):
    """Every text in @value, names of members too."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from texts(member)
    elif isinstance(value, str):
        yield value


def integer(digits):
    demand(-2**63 <= int(digits) < 2**63, "a number beyond 64 bits")
    return int(digits)


def real(digits):
    demand(abs(float(digits)) != float("inf"), "a number beyond a double")
    return float(digits)


def constant(name):
    raise Refused(f"{name} is not JSON")


def load(data):
    """One JSON object without NUL, twins and deep nests."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=no_twins,
                           parse_int=integer, parse_float=real,
                           parse_constant=constant)
        for item in texts(value):
            item.encode("utf-8")    # half a surrogate pair is no text
            demand("\0" not in item, "NUL")
    except ValueError as error:
        raise Refused(f"no JSON: {error}") from error
    demand(isinstance(value, dict), "no object")
    demand(depth(value) <= 8, "too deep")
    return value


def whole(o, name, low, high):
    value = o.get(name)
    demand(type(value) is int and low <= value <= high, f"{name}: range")
    return value


def text(o, name, pattern):
    value = o.get(name)
    demand(isinstance(value, str) and re.fullmatch(pattern, value), name)


def names(o, name):
    value = o.get(name)
    demand(isinstance(value, list) and
           all(isinstance(item, str) for item in value), name)


def check_core(core):
    names(core, "critical")
    names(core, "flags")
    demand(all(name in KNOWN for name in core["critical"]), "critical")
    demand(core["cipher"] == "aes-xts-plain64", "cipher")
    text(core, "volume_id", "vol-[0-9a-f]{17}")
    text(core, "lineage", "[0-9a-f]{64}")
    text(core, "created", TIME)
    whole(core, "revision", 1, 2**53)
    whole(core, "generation", 1, 2**31)
    demand(core["sector_size"] in (512, 1024, 2048, 4096), "sector_size")
    size = whole(core, "size", 1, 2**62)
    demand(size % core["sector_size"] == 0, "size")
    offset = whole(core, "data_offset", 0, 2**62)
    demand(offset % 4096 == 0, "data_offset")
    if "device" in core:
        demand(offset == 0, "data_offset")
        whole(core["device"], "size", 1, 2**62)
        for name, most in (("wwn", 128), ("partuuid", 36)):
            if name in core["device"]:
                text(core["device"], name, "[!-~]{0,%d}" % most)
    else:
        demand(offset >= 1048576, "data_offset")
    if "origin" in core:
        text(core["origin"], "snapshot_id", "snap-[0-9a-f]{17}")
    if "lease" in core:
        seconds = whole(core["lease"], "seconds", 10, 2592000)
        whole(core["lease"], "grace", 0, 2592000 - seconds)


def check_slot(slot):
    text(slot, "provider", "[a-z0-9-]{1,32}")
    text(slot, "created", TIME)
    text(slot, "key_id", "(?s).*")
    if slot["provider"] == "aws-kms":
        text(slot, "key_id", ARN)
    if slot["provider"] == "pkcs11":
        text(slot, "key_id", PKCS11)
    if slot["provider"] == "recovery":
        text(slot, "key_id", "recovery:[0-9a-f]{16}")
    if slot["provider"] == "program":
        text(slot, "key_id", "program:[-._A-Za-z0-9]+/[-._A-Za-z0-9/:@=+,]+")
    if slot["provider"] == "vault-transit":
        text(slot, "key_id", r"vault:[-._A-Za-z0-9]+/\w([-._A-Za-z0-9]*\w)?")
    for name, value in slot["context"].items():
        demand(not name.startswith("envelope:"), "reserved context")
        demand(name and isinstance(value, str), "context")
    wrapped = base64.b64decode(slot["ciphertext"], validate=True)
    demand(1 <= len(wrapped) <= 6144, "ciphertext")
    demand(base64.b64encode(wrapped).decode() == slot["ciphertext"], "base64")


class Copy:
    """One copy that is whole, and follows the rules."""

    def __init__(self, data, index):
        if data[:8] != b"ENVELOPE":
            raise Damaged("absent")
        if digest(data) != data[128:160]:
            raise Damaged("SHA-256")
        (_, version, superblock, size, self.core_bytes,
         raw_uuid) = FIXED.unpack_from(data)
        self.sequence, place, slots_bytes = MOVING.unpack_from(data, 64)
        if place != index:
            raise Damaged("in the other's place")
        demand(version == 1, "version")
        demand((superblock, size) == (SUPERBLOCK, COPY), "sizes")
        demand(1 <= self.sequence < 2**63, "sequence")
        end = SUPERBLOCK + self.core_bytes
        demand(end + slots_bytes <= COPY, "sizes")
        for start, stop in ((40, 64), (80, 128), (192, 4096),
                            (end + slots_bytes, COPY)):
            demand(not any(data[start:stop]), "reserved bytes")
        self.data = data
        self.index = index
        self.uuid = str(uuid.UUID(bytes=raw_uuid))
        self.core = load(data[SUPERBLOCK:end])
        check_core(self.core)
        self.slots = load(data[end:end + slots_bytes])["slots"]
        demand(1 <= len(self.slots) <= 16, "slots")
        for slot in self.slots:
            check_slot(slot)

    def rank(self):
        return self.core["revision"], self.sequence, self.index

    def verify(self, dek):
        demand(len(dek) == 64 and dek[:32] != dek[32:], "DEK")
        demand(lineage(dek) == self.core["lineage"], "lineage")
        want = mac(dek, self.data, self.core_bytes, self.core["volume_id"])
        demand(hmac.compare_digest(want, self.data[160:192]), "HMAC")

    def context(self, slot):
        return {"envelope:volume-id": self.core["volume_id"],
                "envelope:generation": str(self.core["generation"]),
                **slot["context"]}


def read(image, dek=None):
    """The copy to use; with `dek`, verified. Damaged or Refused otherwise."""
    copies = []
    for index in (0, 1):
        try:
            copies.append(Copy(image[index * COPY:(index + 1) * COPY], index))
        except Damaged:
            pass
    if not copies:
        raise Damaged("no good copy")
    demand(len({(c.core["volume_id"], c.uuid) for c in copies}) == 1,
           "copies of different volumes")
    if dek is not None:
        for copy in copies:
            copy.verify(dek)
    return max(copies, key=Copy.rank)


def write(core, slots, volume_uuid, dek, sequences=(1, 1)):
    """Both copies, from texts or objects, as A WRITER leaves them."""
    def dump(value):
        return value if isinstance(value, bytes) else json.dumps(value).encode()

    core_text, slots_text = dump(core), dump(slots)
    volume_id = load(core_text)["volume_id"]
    image = b""
    for index, sequence in enumerate(sequences):
        copy = bytearray(COPY)
        FIXED.pack_into(copy, 0, b"ENVELOPE", 1, SUPERBLOCK, COPY,
                        len(core_text), uuid.UUID(volume_uuid).bytes)
        MOVING.pack_into(copy, 64, sequence, index, len(slots_text))
        copy[4096:4096 + len(core_text)] = core_text
        end = 4096 + len(core_text)
        copy[end:end + len(slots_text)] = slots_text
        copy[160:192] = mac(dek, bytes(copy), len(core_text), volume_id)
        copy[128:160] = digest(bytes(copy))
        image += copy
    return image


def open_image(path):
    with open(path, "rb") as file:
        data = file.read(2 * COPY)
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def main():
    dek = bytes.fromhex(sys.argv[2]) if len(sys.argv) > 2 else None
    copy = read(open_image(sys.argv[1]), dek)
    json.dump({"copy": "AB"[copy.index], "sequence": copy.sequence,
               "uuid": copy.uuid, "verified": dek is not None,
               "core": copy.core, "slots": copy.slots}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
