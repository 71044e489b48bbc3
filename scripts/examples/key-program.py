#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A provider of keys for envelope(8), OTHER KEYS: one question on standard
input, its answer on standard output, both the JSON of AWS KMS.

Keys are files of 32 bytes in /etc/envelope/program-keys, AES-256-GCM with the
encryption context as additional data. It shows the protocol: a host that has
the keys beside its volumes protects nothing. Put a call of your own KMS in the
place of read_key().
"""
import base64
import json
import os
import re
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FOLDER = "/etc/envelope/program-keys"


class Refused(Exception):
    """A code that AWS KMS has, and a sentence."""


def read_key(key_id):
    name = key_id.partition("/")[2]
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise Refused("NotFoundException", "no such key")
    try:
        with open(f"{FOLDER}/{name}", "rb") as file:
            return AESGCM(file.read(32))
    except FileNotFoundError as e:
        raise Refused("NotFoundException", "no such key") from e


def bound(context):
    return json.dumps(context, sort_keys=True).encode()


def wrap(key_id, context, dek):
    nonce = os.urandom(12)
    blob = nonce + read_key(key_id).encrypt(nonce, dek, bound(context))
    return base64.b64encode(blob).decode()


def unwrap(key_id, context, blob):
    blob = base64.b64decode(blob)
    try:
        return read_key(key_id).decrypt(blob[:12], blob[12:], bound(context))
    except (InvalidTag, ValueError) as e:
        raise Refused("InvalidCiphertextException", "not this key's") from e


def answer(q):
    if q["Operation"] == "Decrypt":
        dek = unwrap(q["KeyId"], q.get("EncryptionContext", {}),
                     q["CiphertextBlob"])
        if q.get("DryRun"):
            raise Refused("DryRunOperationException", "it would go well")
        return {"KeyId": q["KeyId"],
                "Plaintext": base64.b64encode(dek).decode()}
    if q["Operation"] == "GenerateDataKeyWithoutPlaintext":
        dek = os.urandom(q["NumberOfBytes"])
        return {"KeyId": q["KeyId"], "CiphertextBlob": wrap(
            q["KeyId"], q.get("EncryptionContext", {}), dek)}
    if q["Operation"] == "Encrypt":
        return {"KeyId": q["KeyId"], "CiphertextBlob": wrap(
            q["KeyId"], q.get("EncryptionContext", {}),
            base64.b64decode(q["Plaintext"]))}
    if q["Operation"] == "ReEncrypt":
        dek = unwrap(q["SourceKeyId"], q.get("SourceEncryptionContext", {}),
                     q["CiphertextBlob"])
        return {"SourceKeyId": q["SourceKeyId"],
                "KeyId": q["DestinationKeyId"], "CiphertextBlob": wrap(
                    q["DestinationKeyId"],
                    q.get("DestinationEncryptionContext", {}), dek)}
    if q["Operation"] == "DescribeKey":
        read_key(q["KeyId"])
        return {"KeyMetadata": {
            "Arn": q["KeyId"], "KeyState": "Enabled", "Enabled": True,
            "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT",
            "KeyManager": "CUSTOMER"}}
    raise Refused("UnsupportedOperationException", "not done here")


def main():
    try:
        json.dump(answer(json.load(sys.stdin)), sys.stdout)
    except Refused as e:
        code, message = e.args
        json.dump({"__type": code, "message": message}, sys.stdout)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
