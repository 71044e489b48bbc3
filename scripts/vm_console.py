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
ACCESS = re.compile(r" to 0x[0-9a-f]+ of \d+ bytes by ")
# Modules that are built here; the kernel's own code races in many places.
OURS = re.compile(r"\[(dm_envelope|selftest\w*)\]")


def is_ours(report):
    """Whether our code makes one of the two accesses, by itself or by a
    function of the kernel that it calls. What that calls in turn is the
    kernel's: the state of the FPU while we call a cipher, or of a queue."""
    return any(ACCESS.search(line) and
               any(OURS.search(frame) for frame in report[i + 1:i + 3])
               for i, line in enumerate(report))


def foreign_races(lines):
    """Reports of data races that are not ours: {index: what}. Each is printed
    between two rules."""
    found = {}
    for start, line in enumerate(lines):
        head = RACE.search(line)
        if not head:
            continue
        end = next((i for i in range(start, len(lines))
                    if RULE.search(lines[i])), len(lines))
        if not is_ours(lines[start:end]):
            found[start] = head.group(1)
    return found


def trouble(lines):
    """The lines that fail a run."""
    foreign = foreign_races(lines)
    return [line for i, line in enumerate(lines)
            if TROUBLE.search(line) and i not in foreign]
