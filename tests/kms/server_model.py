# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of the server's sources, so that no test forgets a row."""
import pathlib
import re

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "tools/envelope-kms"


def operations():
    """The operations that have a handler."""
    text = (SOURCES / "operations.c").read_text()
    found = re.findall(r'^\t\{ "(\w+)",\s+op_\w+,', text, re.M)
    if len(found) < text.count(" op_"):
        raise AssertionError("operations.c is not read as it is written")
    return set(found)


def condition_keys():
    """The condition keys of policies that are known."""
    text = (SOURCES / "policy_keys.c").read_text()
    return set(re.findall(r'"((?:aws|kms|sts):[^"]+)"', text))
