#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A second reader and writer of snapshots, from the text of agent/snapshot.h.

  reader.py STORE ID DEK-IN-HEX   the data, verified, on standard output
  reader.py golden                writes golden.json anew

It shares no code with the library: struct, json, hashlib and hmac of Python,
HKDF of the cryptography package.
"""
import base64
import hashlib
import hmac
import json
import pathlib
import re
import struct
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = pathlib.Path(__file__).resolve().parent
CHUNK = 524288
# magic, version, fixed part, chunk, meta, table, chunks, stored, UUID, zero
FIXED = struct.Struct("<8sIIIIQQQ16s64s")
RUN = struct.Struct("<IIQ")
SNAPSHOT = re.compile("snap-[0-9a-f]{17}")


class Refused(Exception):
    """A snapshot that nobody may use."""


def need(held, what):
    if not held:
        raise Refused(what)


def hkdf(secret, info):
    return HKDF(hashes.SHA256(), 32, b"", info).derive(secret)


def lineage(dek):
    return hkdf(dek, b"envelope lineage v1").hex()


def mac(dek, snapshot_id, before):
    seal = hkdf(dek, b"envelope seal v1")
    key = hkdf(seal, b"envelope snapshot v1" + snapshot_id.encode())
    return hmac.new(key, before, hashlib.sha256).digest()


def table_of(digests):
    """The runs of a list of digests, None for holes."""
    out, at = b"", 0
    while at < len(digests):
        end = at
        while end < len(digests) and bool(digests[end]) == bool(digests[at]):
            end += 1
        out += RUN.pack(bool(digests[at]), 0, end - at)
        out += b"".join(d or b"" for d in digests[at:end])
        at = end
    return out


def encode(meta, uuid, digests, dek):
    """A body."""
    text = json.dumps(meta, separators=(",", ":")).encode()
    table = table_of(digests)
    before = FIXED.pack(b"ENVSNAPB", 1, 128, CHUNK, len(text), len(table),
                        len(digests), sum(map(bool, digests)), uuid, bytes(64))
    before += text + table
    return before + mac(dek, meta["snapshot_id"], before)


def wrap(meta, body, slots, copy=None):
    """A wrapper; `copy` is the id of a copy."""
    core = meta["core"]
    return json.dumps({
        "format": "envelope snapshot", "version": 1,
        "snapshot_id": copy or meta["snapshot_id"],
        "binding": "snapshot" if copy else "volume",
        "region": slots[0]["key_id"].split(":")[3],
        "lineage": core["lineage"],
        "created": "2026-03-04T05:06:07Z" if copy else meta["created"],
        "size": core["size"],
        "volume_id": core["volume_id"],
        "body": hashlib.sha256(body).hexdigest(), "critical": [],
        "slots": slots})


def runs(table, chunks):
    """The digests of a table, None for holes."""
    out, last = [], None
    while table:
        need(len(table) >= 16, "cut run")
        kind, zero, count = RUN.unpack_from(table)
        need(kind in (0, 1) and not zero and count, "run")
        need(kind != last and len(out) + count <= chunks, "runs")
        last, table = kind, table[16:]
        if not kind:
            out += [None] * count
            continue
        need(len(table) >= 32 * count, "cut digests")
        out += [table[i:i + 32] for i in range(0, 32 * count, 32)]
        table = table[32 * count:]
    need(len(out) == chunks, "chunks")
    return out


def decode(body, dek):
    """(meta, digests) of a body that holds."""
    need(len(body) >= 160, "short")
    (magic, version, fixed, chunk, meta_bytes, table_bytes, chunks, stored,
     _, zero) = FIXED.unpack_from(body)
    need(magic == b"ENVSNAPB" and version == 1 and fixed == 128
         and chunk == CHUNK and not any(zero), "fixed part")
    need(128 + meta_bytes + table_bytes + 32 == len(body), "sizes")
    meta = json.loads(body[128:128 + meta_bytes])
    need(SNAPSHOT.fullmatch(meta["snapshot_id"]), "id")
    need(not set(meta["critical"]) - {"snapshot_id", "created", "core",
                                      "parent", "source"}, "critical")
    core = meta["core"]
    need(chunks == -(-core["size"] // CHUNK), "number of chunks")
    digests = runs(body[128 + meta_bytes:-32], chunks)
    need(stored == sum(map(bool, digests)), "stored")
    need(core["lineage"] == lineage(dek), "lineage")
    need(hmac.compare_digest(mac(dek, meta["snapshot_id"], body[:-32]),
                             body[-32:]), "HMAC")
    return meta, digests


def load(store, snapshot_id, dek):
    """(wrapper, meta, digests) of a snapshot in a folder."""
    store = pathlib.Path(store)
    need((store / "envelope-store").read_text()
         == "envelope snapshot store 1\n", "store")
    wrapper = json.loads((store / "snapshots" / snapshot_id).read_text())
    need(wrapper["format"] == "envelope snapshot" and wrapper["version"] == 1
         and wrapper["snapshot_id"] == snapshot_id, "wrapper")
    body = (store / "bodies" / wrapper["lineage"]
            / wrapper["body"]).read_bytes()
    need(hashlib.sha256(body).hexdigest() == wrapper["body"], "SHA-256")
    meta, digests = decode(body, dek)
    core = meta["core"]
    of_meta = {"volume": ("snapshot_id", "created"), "snapshot": ()}
    for member in of_meta[wrapper["binding"]]:
        need(wrapper[member] == meta[member], member)
    for member in ("lineage", "size", "volume_id"):
        need(wrapper[member] == core[member], member)
    return wrapper, meta, digests


def context(wrapper, meta, slot):
    """The encryption context of a slot."""
    core = meta["core"]
    if wrapper["binding"] == "volume":
        own = {"envelope:volume-id": core["volume_id"],
               "envelope:generation": str(core["generation"])}
    else:
        own = {"envelope:snapshot-id": wrapper["snapshot_id"],
               "envelope:snapshot-body": wrapper["body"]}
    return {**slot["context"], **own}


def data(store, snapshot_id, dek):
    """The stored bytes of the volume, chunk by chunk."""
    _, meta, digests = load(store, snapshot_id, dek)
    core = meta["core"]
    for index, digest in enumerate(digests):
        n = min(CHUNK, core["size"] - index * CHUNK)
        if not digest:
            yield bytes(n)
            continue
        name = digest.hex()
        chunk = (pathlib.Path(store) / "blocks" / core["lineage"] / name[:2]
                 / name).read_bytes()
        need(len(chunk) == n and hashlib.sha256(chunk).digest() == digest,
             f"chunk {index}")
        yield chunk


def golden():
    dek = bytes((7 * i + 1) % 256 for i in range(64))
    a, b = (hashlib.sha256(text).digest() for text in (b"a", b"b"))
    slots = [{
        "provider": "aws-kms", "context": {"team": "storage"},
        "key_id": "arn:aws:kms:us-east-1:111122223333:"
                  "key/11111111-2222-3333-4444-555555555555",
        "ciphertext": base64.b64encode(b"wrapped" * 20).decode(),
        "created": "2026-01-02T03:04:05Z"}]
    out = []
    for number, (name, size, digests) in enumerate((
            ("empty", 3 * CHUNK, [None, None, None]),
            ("full", 2 * CHUNK, [a, b]),
            ("mixed", 5 * CHUNK + 4096, [a, None, None, a, b, b]),
            ("short", 4096, [b]),
            ("copy", CHUNK, [a]),
            ("another key", CHUNK, [b]))):
        meta = {
            "snapshot_id": f"snap-0123456789abcdef{number}",
            "created": "2026-02-03T04:05:06Z", "critical": ["core"],
            "later": {"unknown": [1]},
            "core": {
                "volume_id": "vol-0123456789abcdef0", "revision": 3,
                "generation": 1, "critical": ["holes"], "size": size,
                "data_offset": 1048576, "sector_size": 4096,
                "cipher": "aes-xts-plain64", "flags": ["holes"],
                "created": "2026-01-02T03:04:05Z", "lineage": lineage(dek)}}
        copy = None
        if name == "copy":
            copy = "snap-fffffffffffffffff"
        if name == "another key":
            copy = meta["snapshot_id"]
            slots[0]["key_id"] = slots[0]["key_id"].replace("us-east",
                                                            "eu-west")
            meta["parent"] = "snap-00000000000000001"
            meta["source"] = {"snapshot_id": "snap-00000000000000002",
                              "lineage": "12" * 32, "body": "ab" * 32}
        body = encode(meta, bytes(range(16)), digests, dek)
        decode(body, dek)
        out.append({
            "name": name, "snapshot_id": copy or meta["snapshot_id"],
            "size": size, "chunks": [d.hex() if d else None for d in digests],
            "body": body.hex(), "wrapper": wrap(meta, body, slots, copy)})
    text = json.dumps({"dek": dek.hex(), "lineage": lineage(dek),
                       "snapshots": out}, indent=1)
    (HERE / "golden.json").write_text(text + "\n")


def main():
    if sys.argv[1:] == ["golden"]:
        golden()
        return
    store, snapshot_id, dek = sys.argv[1:]
    for chunk in data(store, snapshot_id, bytes.fromhex(dek)):
        sys.stdout.buffer.write(chunk)


if __name__ == "__main__":
    main()
