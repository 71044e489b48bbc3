# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel's console says when something is wrong."""
import re

# lockdep sets no taint bit, so the text is the judge; a KASAN report may
# switch lockdep off.
TROUBLE = re.compile(
    r"BUG:|WARNING:|Oops|INFO: (possible|task|rcu|trying)|rcu:.*stall"
    r"|possible (circular|recursive)|UBSAN|kmemleak: [1-9]|ODEBUG"
    r"|Kernel panic|scheduling while atomic|sleeping function"
    r"|general protection|lockdep is turned off|soft lockup"
    r"|blocked for more than|bad unlock balance|stack overflow")

RACE = re.compile(r"BUG: KCSAN: (.*)")
RULE = re.compile(r"={60}")
# Modules that are built here; the kernel's own code races in many places.
OURS = re.compile(r"\[(dm_envelope|selftest\w*)\]")


def foreign_races(lines):
    """Reports of data races without a frame of ours: {index: what}. Each is
    printed between two rules."""
    found = {}
    for start, line in enumerate(lines):
        head = RACE.search(line)
        if not head:
            continue
        end = next((i for i in range(start, len(lines))
                    if RULE.search(lines[i])), len(lines))
        if not any(OURS.search(text) for text in lines[start:end]):
            found[start] = head.group(1)
    return found


def trouble(lines):
    """The lines that fail a run."""
    foreign = foreign_races(lines)
    return [line for i, line in enumerate(lines)
            if TROUBLE.search(line) and i not in foreign]
