# SPDX-License-Identifier: GPL-2.0-or-later
"""The sealing of secrets in envelope-kms's database, written a second time."""
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.kbkdf import (CounterLocation,
                                                      KBKDFHMAC, Mode)

from server_fixture import ACCOUNT


def kdf(key, label, context):
    return KBKDFHMAC(algorithm=hashes.SHA256(), mode=Mode.CounterMode,
                     length=32, rlen=4, llen=4,
                     location=CounterLocation.BeforeFixed, label=label,
                     context=context, fixed=None).derive(key)


def open_row(root, parts, sealed):
    """As seal.h says."""
    aad = b"".join(struct.pack(">I", len(p)) + p for p in parts)
    key = kdf(kdf(root, b"envelope-kms seal v1", parts[0]),
              b"envelope-kms row v1", sealed[:32])
    return AESGCM(key).decrypt(b"\0" * 12, sealed[32:], aad)


def open_material(server, row, sealed=None):
    """The plaintext of the material at (region, key id, material id)."""
    place = " WHERE (region, key_id, material_id) = (?, ?, ?)"
    if sealed is None:
        sealed = server.sql("SELECT sealed FROM material" + place, *row)[0][0]
    subkey = server.sql("SELECT subkey FROM subkey" + place, *row,
                        database="subkeys.db")[0][0]
    root = (server.dir / "root.key").read_bytes()
    own = kdf(root, b"envelope-kms material v1", subkey)
    region, key, material = (part.encode() for part in row)
    return open_row(own, [b"material", ACCOUNT.encode(), region, key,
                          material], sealed)
