# SPDX-License-Identifier: GPL-2.0-or-later
"""Installation, and that what is documented is what is there."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build"))
PROGRAMS = {"envelope": ROOT / "tools/envelope",
            "envelope-snapshot": ROOT / "tools/envelope-snapshot",
            "envelope-kms": ROOT / "tools/envelope-kms"}
# It has no verbs.
DAEMON, DAEMON_FOLDER = "envelope-agent", ROOT / "agent/daemon"


def make(*args):
    return subprocess.run(["make", "-s", f"O={BUILD}", *args], cwd=ROOT,
                          check=True, capture_output=True, text=True).stdout


def says(program, *args):
    out = subprocess.run([BUILD / "bin" / program, *args], text=True,
                         capture_output=True, stdin=subprocess.DEVNULL)
    return out.returncode, out.stdout


def verbs(program):
    """The verbs that --help lists, in a table or in lines of usage."""
    _, text = says(program, "--help")
    return (re.findall(r"^  ([a-z][a-z-]+) ", text, re.M)
            + re.findall(rf"^(?:Usage:| +) {program} ([a-z][a-z-]+)", text, re.M))


def manual_of(program, folder):
    """The manual as it is read: rendered, without overstriking."""
    out = subprocess.run(["mandoc", "-T", "ascii",
                          folder / f"{program}.8"], check=True, text=True,
                         capture_output=True).stdout
    return re.sub(".\b", "", out)


def options(program, verb):
    """The options that the verb's --help names."""
    return set(re.findall(r"--[a-z][a-z-]+", says(program, verb, "--help")[1]))


COMPLETE = """
. "$1"
read -r _ _ function _ <<< "$(complete -p "$2" | sed 's/.* -F/x -F/')"
COMP_WORDS=("$2" "$3" "$4") COMP_CWORD=$5
"$function" "$6" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


def completes(program, *words):
    """What the shell offers for the last of the words (at most two)."""
    verb, word = (*words, "")[:2]
    return subprocess.run(
        ["bash", "-c", COMPLETE, "bash",
         PROGRAMS.get(program, DAEMON_FOLDER) / f"{program}.bash",
         program, verb, word, str(len(words)), BUILD / "bin" / program],
        check=True, capture_output=True, text=True).stdout.split()


class Install(unittest.TestCase):
    def test_round_trip(self):
        """install: uninstall leaves nothing behind"""
        with tempfile.TemporaryDirectory() as folder:
            make("install", f"DESTDIR={folder}")
            files = {str(p.relative_to(folder))
                     for p in pathlib.Path(folder).rglob("*") if p.is_file()}
            for wanted in ("usr/local/sbin/envelope",
                           "usr/local/sbin/envelope-kms",
                           "usr/local/sbin/envelope-snapshot",
                           "usr/local/share/man/man8/envelope-snapshot.8",
                           "usr/local/sbin/envelope-agent",
                           "usr/local/share/man/man8/envelope.8",
                           "usr/local/share/man/man5/envelopetab.5",
                           "usr/local/share/man/man8/envelope-generator.8",
                           "usr/lib/systemd/system-generators/"
                           "envelope-generator",
                           "usr/local/share/man/man8/envelope-kms.8",
                           "usr/local/share/man/man8/envelope-agent.8",
                           "usr/local/share/bash-completion/completions/"
                           "envelope-agent",
                           "usr/lib/systemd/system/envelope-agent.service",
                           "usr/lib/systemd/system/envelope-agent.socket",
                           "usr/lib/systemd/system/envelope-drill.service",
                           "usr/lib/systemd/system/envelope-drill.timer",
                           "usr/lib/systemd/system/envelope-metrics.service",
                           "usr/lib/systemd/system/envelope-metrics.timer",
                           "usr/lib/systemd/system/"
                           "envelope-metrics-http.service",
                           "usr/lib/systemd/system/"
                           "envelope-metrics-http.socket",
                           "usr/lib/systemd/system/envelope-kms.service",
                           "usr/lib/systemd/system/envelope-kms.socket",
                           "usr/lib/sysusers.d/dm-envelope.conf",
                           "usr/local/share/doc/dm-envelope/examples/"
                           "kms-key-policy.json",
                           "usr/local/share/doc/dm-envelope/examples/"
                           "agent-volumes.py"):
                self.assertIn(wanted, files)
            make("uninstall", f"DESTDIR={folder}")
            left = [p for p in pathlib.Path(folder).rglob("*") if p.is_file()]
            self.assertEqual(left, [])

    def test_help(self):
        """make help: names every target of the build"""
        text = make("help")
        for target in ("demo", "test", "check", "mutants", "bench", "module",
                       "install", "clean"):
            self.assertIn(f"make {target}", text)


class Documents(unittest.TestCase):
    def test_verbs(self):
        """documents: every verb has --help, manual and completion"""
        for program, folder in PROGRAMS.items():
            listed = verbs(program)
            self.assertGreater(len(listed), 1, program)
            manual = manual_of(program, folder)
            completion = (folder / f"{program}.bash").read_text()
            for verb in listed:
                with self.subTest(program=program, verb=verb):
                    status, text = says(program, verb, "--help")
                    self.assertEqual(status, 0)
                    self.assertIn(verb, text)
                    self.assertTrue(verb in manual)
                    self.assertTrue(verb in completion)

    def test_options(self):
        """documents: every option of --help is in the manual"""
        for program, folder in PROGRAMS.items():
            manual = manual_of(program, folder)
            for verb in verbs(program):
                for option in options(program, verb):
                    with self.subTest(verb=verb, option=option):
                        self.assertTrue(option in manual)

    def test_completion(self):
        """documents: the shell completes every verb and every option"""
        for program in PROGRAMS:
            wanted, offered = set(), set()
            for verb in verbs(program):
                self.assertIn(verb, completes(program, ""))
                _, text = says(program, verb, "--help")
                # envelope-kms has one text for all its verbs.
                owner = verb if program == "envelope" else "any"
                wanted |= {(owner, o) for o in
                           re.findall(r"^  (--[a-z][a-z-]+)", text, re.M)}
                offered |= {(owner, o) for o in
                            completes(program, verb, "--")}
            with self.subTest(program=program):
                self.assertGreater(len(offered), 5)
                self.assertEqual(set(), wanted - offered)
        self.assertEqual(["--on-lock"], completes("envelope", "attach", "--on"))
        self.assertEqual(["--host"], completes("envelope-kms", "init", "--ho"))

    def test_tab(self):
        """documents: envelope tab's verbs, and envelopetab's options"""
        self.assertEqual(["attach"], completes("envelope", "tab", "at"))
        manual = manual_of("envelope", PROGRAMS["envelope"])
        for verb in ("list", "check", "attach", "detach"):
            status, text = says("envelope", "tab", verb, "--help")
            self.assertEqual(0, status)
            self.assertIn(f"tab {verb}", manual)
            self.assertIn("--socket" if verb == "detach" else "--tab", text)
        page = subprocess.run(
            ["mandoc", "-T", "ascii", PROGRAMS["envelope"] / "envelopetab.5"],
            check=True, text=True, capture_output=True).stdout
        page = re.sub(".\b", "", page)
        table = (ROOT / "agent/tab_options.c").read_text()
        options = re.findall(r'^\t\{ "([a-z_.-]+=?)", ', table, re.M)
        self.assertGreater(len(options), 20)
        self.assertEqual([], [o for o in options if o not in page])

    def test_daemon(self):
        """documents: the agent's options are in its manual and completed"""
        status, text = says(DAEMON, "--help")
        named = set(re.findall(r"^  (--[a-z][a-z-]+)", text, re.M))
        self.assertEqual((status, "--policy" in named), (0, True))
        manual = manual_of(DAEMON, DAEMON_FOLDER)
        self.assertEqual(set(), {o for o in named if o not in manual})
        self.assertEqual(named, set(completes(DAEMON, "--")))
        self.assertEqual([str(ROOT / "Makefile")],
                         completes(DAEMON, "--policy", str(ROOT / "Makef")))

    def test_modinfo(self):
        """documents: modinfo says what the module is"""
        modules = sorted(BUILD.glob("[0-9]*/dm-envelope.ko"))
        self.assertGreater(len(modules), 0)
        for module in modules:
            out = subprocess.run(["/sbin/modinfo", module], check=True,
                                 capture_output=True, text=True).stdout
            for line in ("license: +GPL", "author: +.+",
                         r"version: +\d+\.\d+\.\d+",
                         "description: +device-mapper target for .+",
                         "depends: +dm-mod", "softdep: +pre: .*xts",
                         "parm: +allow_hibernation:.+default: 0"):
                with self.subTest(module=module.parent.name, line=line):
                    self.assertRegex(out, f"(?m)^{line}")

    def test_version(self):
        """documents: every program answers --version"""
        for program in (*PROGRAMS, DAEMON, "envelope-generator"):
            status, text = says(program, "--version")
            self.assertEqual(status, 0)
            self.assertRegex(text, rf"^{program} \d+\.\d+")

    def test_unknown_verb(self):
        """documents: an unknown verb is a usage error"""
        for program in (*PROGRAMS, DAEMON):
            self.assertEqual(says(program, "no-such-verb")[0], 2)


if __name__ == "__main__":
    tap.main()
