# SPDX-License-Identifier: GPL-2.0-or-later
"""Sections of RESULTS.md, each of which its own bench rewrites."""
import pathlib
import re

RESULTS = pathlib.Path(__file__).resolve().parent / "RESULTS.md"


def markdown(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |",
                      "|---" * len(head) + "|"]
                     + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def put(text, title, section):
    """The text with this section replaced, or put at the end."""
    parts = re.split(r"(?m)^(?=## )", text)
    section = f"{title}\n\n{section.rstrip()}\n\n"
    for i, part in enumerate(parts):
        if part.startswith(title + "\n"):
            parts[i] = section
            return "".join(parts).rstrip() + "\n"
    return "".join(parts).rstrip() + "\n\n" + section.rstrip() + "\n"


def write(title, section):
    RESULTS.write_text(put(RESULTS.read_text(), title, section))
