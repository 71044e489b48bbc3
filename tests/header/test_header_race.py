# SPDX-License-Identifier: GPL-2.0-or-later
"""Which slot opens a volume, when the first one is slow, dead or denied."""
import array
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import termios

import header_case
import slots_case
from header_case import ENVELOPE
from server_fixture import wait_for

DENIED, UNREACHABLE, TAMPERED = 3, 4, 6
REPORT = 1 << 16  # more than what a slot's process says at once
SAID = 0  # its first word: a sentence
PIDFD_GETFD = 438

# Where root alone can write, or root would not run it.
PLACE = pathlib.Path(header_case.STATE)
PROGRAM = """#!/bin/sh
q=$(cat)
key='"KeyId":"program:slow/x"'
case $q in
*'"Decrypt"'*)
	[ ! -e {folder}/slow ] || {{
		echo $$ > {folder}/pid
		exec sleep 100000
	}}
	blob=$(echo "$q" | sed -n 's/.*"CiphertextBlob":"\\([^"]*\\)".*/\\1/p')
	echo "{{$key,\\"Plaintext\\":\\"$blob\\"}}";;
*)
	blob=$(head -c 64 /dev/urandom | base64 -w 0)
	echo "{{$key,\\"CiphertextBlob\\":\\"$blob\\"}}";;
esac
"""


def state(pid):
    """Of a process, as ps(1) has it; "Z" if there is none."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "Z"
    return stat.rpartition(")")[2].split()[0]


def children(pid):
    """How many it has."""
    stats = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            stats.append(path.read_text().rpartition(")")[2].split())
        except (FileNotFoundError, ProcessLookupError):
            pass
    return sum(stat[1] == str(pid) for stat in stats)


@contextlib.contextmanager
def lines(process):
    """Where it hears its slots' processes, shared with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with contextlib.ExitStack() as stack:
        pidfd = os.pidfd_open(process.pid)
        stack.callback(os.close, pidfd)
        found = []
        for fd in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
            if not os.readlink(fd).startswith("socket:"):
                continue
            mine = libc.syscall(PIDFD_GETFD, pidfd, int(fd.name), 0)
            if mine < 0:
                raise OSError(ctypes.get_errno(), "pidfd_getfd")
            found.append(stack.enter_context(socket.socket(fileno=mine)))
        yield [s for s in found if s.type == socket.SOCK_SEQPACKET]


def answered(line, said):
    """A call and its result wait there; a sentence before them goes to said."""
    waiting = array.array("i", [0])
    fcntl.ioctl(line, termios.FIONREAD, waiting)
    if not waiting[0]:
        return False
    report = line.recv(REPORT, socket.MSG_PEEK)
    if struct.unpack_from("i", report)[0] == SAID:
        said.append(line.recv(REPORT))
        return False
    return waiting[0] == 2 * len(report)


class Race(slots_case.SlotsCase):

    def far_calls(self):
        return [r["eventName"] for r in self.far.audit()]

    def disable(self, kms, key):
        kms.disable_key(KeyId=key)
        self.addCleanup(kms.enable_key, KeyId=key)

    def stop(self, process):
        """Until the test ends, or it is told to go on."""
        process.send_signal(signal.SIGSTOP)
        self.addCleanup(process.send_signal, signal.SIGCONT)
        wait_for(lambda: state(process.pid) == "T", "a process to stop")

    def check(self, disk, conf=None):
        process = subprocess.Popen(
            [ENVELOPE, "check", "--unwrap", "--config", conf or self.conf,
             disk], env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        return process

    def begin(self, disk):
        """check --unwrap, and it is waiting for the KMS that is held."""
        held = self.line.held
        process = self.check(disk)
        wait_for(lambda: self.line.held > held, "a connection to be held")
        return process

    def hear(self, process, text):
        """All that it says until it says this."""
        said = ""
        while text not in said:
            line = process.stderr.readline()
            self.assertTrue(line, f"its end, without '{text}': {said}")
            said += line
        return said

    def end(self, process, status):
        _, said = process.communicate(timeout=header_case.WAIT_SECONDS)
        self.assertEqual(status, process.returncode, said)
        return said

    def test_silent(self):
        """security-19-silence-asks-the-next-slot-while-the-first-is-in-flight"""
        disk = self.two_slots()
        self.line.hold()
        for verb in (["attach", "--direct", "--dry-run"],
                     ["check", "--unwrap"]):
            held = self.line.held
            done = self.with_kms(" ".join(verb), disk)
            self.assertEqual(f"envelope: '{disk}': trying the next slot, "
                             "2 of 2\n", done.stderr_text)
            wait_for(lambda: self.line.held == held + 1, "one to be held")
        self.with_kms("export", disk, "-")

    def test_order(self):
        """security-19-the-first-slot-that-answers-is-the-only-one-asked"""
        disk = self.two_slots()
        calls = self.far_calls()
        # Enough for a machine of any load: nobody waits here.
        for _ in range(5):
            done = self.with_kms("check", "--unwrap", disk)
            if not done.stderr_text:
                break
            calls = self.far_calls()
        self.assertEqual("", done.stderr_text)
        self.assertEqual(calls, self.far_calls())

    def test_dead(self):
        """security-19-an-unreachable-kms-asks-the-next-slot-at-once"""
        disk = self.two_slots()
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        conf = self.folder / "dead.conf"
        conf.write_text(self.conf.read_text().replace(
            f":{self.line.port}\n", f":{port}\n"))
        self.with_kms("check", "--unwrap", disk, conf=conf)
        # And if there is nobody else, that is the answer.
        self.with_kms("slot remove", "--slot", "1", "--force", disk)
        self.with_kms("check", "--unwrap", "--timeout", "2", disk, conf=conf,
                      status=UNREACHABLE)

    def test_denied(self):
        """security-19-a-denial-asks-no-other-slot"""
        disk = self.two_slots()
        self.disable(self.kms, self.key)
        # A server that is slower than the next slot's turn proves nothing.
        for _ in range(5):
            calls = self.far_calls()
            done = self.with_kms("check", "--unwrap", disk, status=DENIED,
                                 says=f"key '{self.key}'")
            if "trying the next slot" not in done.stderr_text:
                break
        self.assertNotIn("trying the next slot", done.stderr_text)
        self.assertEqual(calls, self.far_calls())

    def test_denied_by_the_second(self):
        """security-19-a-denial-ends-the-attempt-whoever-else-is-in-flight"""
        disk = self.two_slots()
        self.disable(self.far_kms, self.far_key)
        self.line.hold()
        process = self.begin(disk)
        said = self.hear(process, "the key is disabled")
        self.assertIn(f"key '{self.far_key}'", said)
        # Too late for the first one.
        self.line.release()
        self.end(process, DENIED)

    def test_slow_and_refused_here(self):
        """security-19-a-slot-this-host-refuses-does-not-end-a-slow-one"""
        disk = self.two_slots()
        pin = json.loads(self.pins.read_text())
        pin["key_ids"] = [self.key]
        self.pins.write_text(json.dumps(pin) + "\n")
        calls = self.far_calls()
        self.line.hold()
        process = self.begin(disk)
        # What is said is read at the end: the line must be held until then.
        self.hear(process, "is not pinned with key")
        self.line.release()
        self.end(process, 0)
        self.assertEqual(calls, self.far_calls())

    def test_slow_and_at_fault(self):
        """security-19-this-hosts-own-fault-does-not-end-a-slow-one"""
        disk = self.two_slots()
        good = self.credentials.read_text()
        self.addCleanup(self.credentials.write_text, good)
        here, far = good.split("[far]")
        self.line.hold()
        self.credentials.write_text(here + "[far]" + re.sub(
            "(secret_access_key = ).*", r"\g<1>wrong", far))
        process = self.begin(disk)
        self.hear(process, f"key '{self.far_key}'")
        self.line.release()
        self.end(process, 0)

    def test_both_at_once(self):
        """security-19-this-hosts-own-fault-takes-no-answer-of-the-same-time"""
        disk = self.two_slots()
        good = self.credentials.read_text()
        self.addCleanup(self.credentials.write_text, good)
        here, far = good.split("[far]")
        self.credentials.write_text(re.sub(
            "(secret_access_key = ).*", r"\g<1>wrong", here) + "[far]" + far)
        self.line.hold()
        self.stop(self.far.process)
        process = self.begin(disk)
        wait_for(lambda: children(process.pid) == 2, "two slots to be asked")
        self.stop(process)
        self.line.release()
        self.far.process.send_signal(signal.SIGCONT)
        # Else they might come one by one, and the second one in vain.
        said = []
        with lines(process) as both:
            wait_for(lambda: sum(answered(line, said) for line in both) == 2,
                     "both answers")
        self.assertEqual(1, len(said))
        self.assertIn(f"key '{self.key}'".encode(), said[0])
        process.send_signal(signal.SIGCONT)
        self.end(process, 0)

    def test_program_left(self):
        """security-19-a-program-ends-with-the-slot-that-it-was-asked-for"""
        PLACE.chmod(0o755)
        folder = PLACE / "slow-program"
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder)
        pid = folder / "pid"
        pid.touch()
        shutil.chown(pid, "nobody")
        program = folder / "keys"
        program.write_text(PROGRAM.format(folder=folder))
        program.chmod(0o755)
        conf = self.folder / "program.conf"
        conf.write_text(self.conf.read_text() +
                        f"[program slow]\npath = {program}\n")
        disk = self.volume("--config", conf, "--kms-key", "program:slow/x")
        self.with_kms("slot add", "--kms-key", self.far_key, disk, conf=conf)
        (folder / "slow").touch()
        self.stop(self.far.process)
        process = self.check(disk, conf)
        wait_for(lambda: pid.read_text().endswith("\n"), "the program")
        self.assertNotEqual("Z", state(int(pid.read_text())))
        self.far.process.send_signal(signal.SIGCONT)
        self.end(process, 0)
        wait_for(lambda: state(int(pid.read_text())) == "Z", "its end")

    def test_slow(self):
        """security-19-the-first-slot-may-still-win"""
        disk = self.two_slots()
        self.line.hold()
        self.far.process.send_signal(19)
        try:
            process = self.begin(disk)
            self.hear(process, "trying the next slot")
            self.line.release()
            self.end(process, 0)
        finally:
            self.far.process.send_signal(18)

    def test_passed_over(self):
        """security-19-recovery-slots-are-nobody-to-ask"""
        disk = self.volume()
        self.with_kms("recovery-key add", disk)
        self.with_kms("slot add", "--kms-key", self.far_key, disk)
        self.line.hold()
        done = self.with_kms("check", "--unwrap", disk)
        self.assertEqual(f"envelope: '{disk}': trying the next slot, 3 of 3\n",
                         done.stderr_text)


if __name__ == "__main__":
    header_case.main()
