# SPDX-License-Identifier: GPL-2.0-or-later
"""Searches files and the memory of a process for a secret in any disguise."""
import base64
import json
import re


def disguises(secret):
    """name -> bytes: the forms in which 32 bytes of a secret could show."""
    forms = {"raw": secret, "reversed": secret[::-1],
             "hex": secret.hex().encode(),
             "HEX": secret.hex().upper().encode(),
             "JSON": json.dumps(secret.decode("latin-1"))[1:-1].encode()}
    for shift in range(3):
        # The digits that depend on neighbours are cut off both ends.
        text = base64.b64encode(b"\0" * shift + secret)
        start = -(-shift * 4 // 3)
        end = (shift + len(secret)) * 8 // 6
        forms[f"base64+{shift}"] = text[start:end]
    return forms


def halves(secret):
    """All forms of each 32 bytes of a secret."""
    return {f"bytes {at}, {name}": form
            for at in range(0, len(secret) - 31, 32)
            for name, form in disguises(secret[at:at + 32]).items()}


def memory_of(pid):
    """Every readable byte of a live process, mapping by mapping."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        regions = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) r\S* .*$",
                             maps.read(), re.M)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for start, end in regions:
            start, end = int(start, 16), int(end, 16)
            try:
                mem.seek(start)
                left = end - start
                parts = []
                while left:
                    data = mem.read(left)
                    if not data:
                        break
                    parts.append(data)
                    left -= len(data)
                yield b"".join(parts)
            except (OSError, ValueError, OverflowError):
                continue  # vvar, and pages that even root cannot read


def places(server):
    """name -> chunks of bytes: all that a running server leaves or holds."""
    for path in sorted(server.dir.rglob("*")):
        if path.is_file() and path.name not in (
                "root.key", "credentials", "ca.key", "server.key"):
            yield path.name, [path.read_bytes()]
    for name in ("stdout", "stderr"):
        yield name, [(server.folder / name).read_bytes()]
    with open(f"/proc/{server.process.pid}/environ", "rb") as environ:
        yield "environment", [environ.read()]
    with open(f"/proc/{server.process.pid}/cmdline", "rb") as cmdline:
        yield "arguments", [cmdline.read()]
    yield "memory", memory_of(server.process.pid)


def search(server, secrets):
    """Where which form of which secret stands: {(place, secret, form)}."""
    forms = [(name, form, data) for name, secret in secrets.items()
             for form, data in halves(secret).items()]
    found = set()
    for place, chunks in places(server):
        for chunk in chunks:
            for name, form, data in forms:
                if data in chunk:
                    found.add((place, name, form))
    return found
