# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job, as the demonstration shows it: every step is a test."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STEPS = 20


def main():
    out = subprocess.run([ROOT / "scripts/demo"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, errors="replace")
    steps = re.findall(r"^ ?\d+\. (.*)$", out.stdout, re.M)
    failed = re.search(r"^demo: step (\d+) failed", out.stdout, re.M)
    last = int(failed.group(1)) if failed else len(steps)
    for number, step in enumerate(steps, 1):
        verdict = "not ok" if failed and number == last else "ok"
        print(f"{verdict} {number} - demo: {step}")
    whole = (out.returncode == 0 and not failed and len(steps) == STEPS
             and out.stdout.rstrip().endswith("demo: done"))
    print(f"{'ok' if whole else 'not ok'} {len(steps) + 1} - demo: "
          f"all {STEPS} steps, status 0")
    if not whole:
        for line in out.stdout.splitlines():
            print(f"#   {line}")
    print(f"1..{len(steps) + 1}")
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
