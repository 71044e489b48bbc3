# SPDX-License-Identifier: GPL-2.0-or-later
"""Recovery keys: made, typed, used without a KMS, and heard of."""
import base64
import json
import os
import pathlib
import pty
import re
import resource
import signal
import subprocess

import header_case
import journal_case
import slots_case
from header_case import COPY, ENVELOPE, WAIT_SECONDS, flip
from test_header_pkcs11 import canonical

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

AUDIT = pathlib.Path(header_case.STATE) / "audit" / "audit.log"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def bits(text):
    """The key behind the groups, by the page that describes them."""
    number = 0
    for group in text.split("-"):
        for c in group[:4]:
            number = number << 5 | ALPHABET.index(c)
    assert number & 15 == 0
    return (number >> 4).to_bytes(32, "big")


class Recovery(journal_case.JournalCase, slots_case.SlotsCase):
    """The first KMS is held in each test that says no KMS is needed."""

    def recoverable(self, *options):
        """A volume, and the file with its recovery key."""
        disk = self.volume(*options)
        out = self.json(self.with_kms("recovery-key add", "--json", disk))
        self.out = out
        file = self.folder / "key"
        file.write_text(out["recovery_key"] + "\n")
        return disk, file

    def recover(self, disk, file, *options, **how):
        return self.with_kms("attach", "--direct", "--dry-run", *options,
                             "--recovery-key", file, disk, **how)

    def test_add(self):
        """recovery-slot-as-a-second-implementation-opens-it"""
        disk, file = self.recoverable("--context", "team=storage")
        copy = self.verified(disk)
        slot = copy.slots[1]
        self.assertEqual(
            {"volume_id": copy.core["volume_id"], "slot": 1,
             "key_id": slot["key_id"]},
            {k: v for k, v in self.out.items() if k != "recovery_key"})
        self.assertEqual(("recovery", {}),
                         (slot["provider"], slot["context"]))
        key, blob = bits(file.read_text().strip()), base64.b64decode(
            slot["ciphertext"])
        self.assertEqual(self.dek(disk), AESGCM(key).decrypt(
            blob[:12], blob[12:], canonical(copy.context(slot))))
        self.assertEqual([self.key, slot["key_id"]],
                         json.loads(self.pins.read_text())["key_ids"])
        # It is kept nowhere here, and each is another.
        self.assertNotIn(key, disk.read_bytes())
        self.assertNotIn(key.hex(), disk.read_text(errors="replace"))
        again = self.with_kms("recovery-key add", disk)
        self.assertRegex(again.stdout_text, re.compile(
            r"^vol-\w+: slot 2, recovery:[0-9a-f]{16}$", re.M))
        self.assertRegex(again.stdout_text, re.compile(
            f"^([{ALPHABET}]{{5}}-){{12}}[{ALPHABET}]{{5}}$", re.M))
        self.assertIn("it is not shown again", again.stdout_text)
        self.assertNotIn(file.read_text().strip(), again.stdout_text)

    def test_use(self):
        """recovery-key-opens-the-volume-while-no-kms-answers"""
        disk, file = self.recoverable()
        calls = len(self.calls())
        self.heard()
        self.line.hold()
        done = self.recover(disk, file)
        key_id = self.copy(disk).slots[1]["key_id"]
        volume = self.copy(disk).core["volume_id"]
        self.assertIn(f"volume {volume} is opened by recovery key {key_id}: "
                      "no KMS was asked, and the journal has it",
                      done.stderr_text)
        self.with_kms("export", "--recovery-key", file, disk, "-")
        self.assertEqual((calls, 0), (len(self.calls()), self.line.held))
        record = json.loads(AUDIT.read_text().splitlines()[-1])
        self.assertEqual(
            ("export", "granted", key_id, False),
            (record["event"], record["result"], record["key_id"],
             "request_id" in record))
        found = self.heard()
        self.assertEqual(2, len(found), found)
        self.assertEqual(
            ("recoverVolume", "succeeded", volume, key_id, "5"),
            tuple(found[0][name] for name in (
                "ENVELOPE_EVENT", "ENVELOPE_RESULT", "ENVELOPE_VOLUME_ID",
                "ENVELOPE_KEY_ID", "PRIORITY")))

    def test_header_verbs(self):
        """recovery-key-verifies-mends-and-resizes-a-volume"""
        disk, file = self.recoverable()
        self.line.hold()
        how = "--recovery-key", file, disk
        done = self.with_kms("check", *how)
        self.assertEqual("copy A: good, verified\ncopy B: good, verified\n",
                         done.stdout_text)
        flip(disk, COPY + 4100)
        self.with_kms("check", "--repair", *how)
        with open(disk, "r+b") as image:
            image.truncate(disk.stat().st_size + (1 << 20))
        before = self.copy(disk).core
        self.with_kms("resize", *how)
        after = self.verified(disk).core
        self.assertEqual((before["size"] + (1 << 20), 2),
                         (after["size"], after["revision"]))
        self.assertEqual(0, self.line.held)
        bad = self.folder / "bad"
        bad.write_text("x")
        for verb in "check", "resize", "unlock --direct":
            self.with_kms(*verb.split(), "--recovery-key", bad, disk,
                          status=2, says="no recovery key, which has 13")
        self.with_kms("unlock", "--recovery-key", file, "x", status=2,
                      says="--recovery-key is for --direct: it is root's")

    def test_back_to_a_kms(self):
        """recovery-key-leads-a-volume-to-another-kms"""
        disk, file = self.recoverable()
        self.line.hold()
        self.with_kms("slot add", "--recovery-key", file, "--kms-key",
                      self.far_key, disk)
        self.with_kms("slot remove", "--slot", "0", disk)
        self.with_kms("check", "--unwrap", disk)
        self.assertEqual(["recovery", "aws-kms"],
                         [s["provider"] for s in self.copy(disk).slots])
        self.assertEqual(0, self.line.held)

    def test_last_kms(self):
        """slot-the-last-of-a-kms-goes-by-force-alone"""
        disk, file = self.recoverable()
        before = self.digest(disk)
        self.with_kms("slot remove", "--slot", "0", disk, status=2,
                      says="no KMS could open the volume any more")
        self.assertEqual(before, self.digest(disk))
        self.with_kms("slot remove", "--slot", "0", "--force", disk)
        self.recover(disk, file)
        self.with_kms("attach", "--direct", "--dry-run", disk, status=3,
                      says="no slot that this version can use")

    def test_typing(self):
        """recovery-typing-errors-are-named-by-their-group"""
        disk, file = self.recoverable()
        groups = file.read_text().strip().split("-")
        bad = list(groups)
        for i in (2, 11):
            bad[i] = ("0" if bad[i][0] != "0" else "Z") + bad[i][1:]
        file.write_text("-".join(bad))
        done = self.recover(disk, file, status=2)
        self.assertEqual(f"envelope: '{file}': typing error in group 3, 12 of "
                         "the recovery key\n", done.stderr_text)
        file.write_text("-".join(groups[:12]))
        self.recover(disk, file, status=2, says="no recovery key, which has "
                     "13 groups of 5 letters and digits")
        self.recover(disk, self.folder / "none", status=1,
                     says="cannot read the recovery key: No such file")
        self.recover(disk, self.folder, status=1,
                     says="cannot read the recovery key: Is a directory")
        # As people type: from standard input, small, with blanks and O.
        typed = " ".join(groups).lower().replace("0", "O")
        file.write_text(typed)
        with open(file, "rb") as stream:
            self.recover(disk, "-", stdin=stream)

    def test_memory(self):
        """recovery-key-that-no-locked-memory-is-left-for-is-said"""
        file = self.folder / "key"
        file.write_text("-".join(["0" * 5] * 13))
        # None for the text, for the key, for what is between them.
        for pages in (0, 1, 2):
            done = subprocess.run(
                ["setpriv", "--bounding-set=-ipc_lock", "prlimit",
                 f"--memlock={pages * os.sysconf('SC_PAGESIZE')}", ENVELOPE,
                 "attach", "--direct", "--recovery-key", file, "none"],
                capture_output=True, timeout=WAIT_SECONDS, check=False)
            self.assertEqual(
                (1, b"envelope: out of memory, or the limit of locked memory "
                 b"is spent\n"), (done.returncode, done.stderr))

    def test_terminal(self):
        """recovery-key-typed-unseen-with-three-tries"""
        disk, file = self.recoverable()
        text = file.read_text().strip()
        wrong = text.replace(text[:5], "0" * 5, 1)
        for tries, status in (([wrong, wrong, text], 0), ([wrong] * 3, 2)):
            master, slave = pty.openpty()
            try:
                process = subprocess.Popen(
                    [ENVELOPE, "attach", "--direct", "--dry-run", "--config",
                     self.conf, "--recovery-key", "-", disk],
                    env=self.environment(), stdin=slave,
                    stdout=subprocess.DEVNULL, stderr=slave,
                    start_new_session=True)
                shown = ""
                for line in tries:
                    asked = shown.count("Recovery key: ")
                    while shown.count("Recovery key: ") == asked:
                        shown += os.read(master, 4096).decode()
                    os.write(master, line.encode() + b"\n")
                self.assertEqual(status, process.wait(WAIT_SECONDS))
                os.set_blocking(master, False)
                try:
                    shown += os.read(master, 65536).decode()
                except BlockingIOError:
                    pass
            finally:
                os.close(master)
                os.close(slave)
            self.assertNotIn(text[12:], shown)
            self.assertEqual(tries.count(wrong),
                             shown.count("typing error in group 1 of"), shown)

    def test_refused(self):
        """recovery-key-of-another-volume-and-of-others-than-root"""
        disk, _ = self.recoverable()
        other = self.volume(name="other")
        out = self.json(self.with_kms("recovery-key add", "--json", other))
        file = self.folder / "other-key"
        file.write_text(out["recovery_key"])
        self.recover(disk, file, status=3,
                     says=f"no slot for this recovery key ({out['key_id']})")
        self.with_kms("attach", "--recovery-key", file, other, status=2,
                      says="--recovery-key is for --direct: it is root's")
        os.chmod(self.folder, 0o755)
        for path in (file, other, self.conf):
            os.chmod(path, 0o644)
        os.chmod(self.conf.parent, 0o755)
        os.chmod(self.conf.parent.parent, 0o755)
        self.with_kms("export", "--recovery-key", file, other, "-", status=3,
                      says="recovery keys are for root alone",
                      preexec_fn=lambda: os.setuid(65534))

    def test_lease(self):
        """security-20-no-recovery-where-a-lease-applies"""
        disk, file = self.recoverable("--lease", "15m")
        self.heard()
        self.recover(disk, file, status=3, says="has a lease, which a "
                     "recovery key cannot keep: --lease 0 attaches or unlocks "
                     "it without")
        self.assertEqual([], self.heard())
        self.recover(disk, file, "--lease", "0")
        self.recover(disk, file, "--lease", "1h", status=3)

    def test_policy(self):
        """security-20-no-recovery-where-the-policy-sets-a-lease"""
        disk, file = self.recoverable()
        policy = self.cover("/etc/envelope") / "agent.policy"
        self.put(policy, "[agent]\nallow-recovery = no\n")
        self.recover(disk, file)
        self.heard()
        self.put(policy, "[agent]\nlease-cap = 1h\n")
        for options in (), ("--lease", "0"):
            self.recover(disk, file, *options, status=3, says=
                         "/etc/envelope/agent.policy sets a lease (lease-cap), "
                         "which a recovery key cannot keep: 'allow-recovery = "
                         "yes' in its [agent] section lets recovery keys open")
        self.with_kms("export", "--recovery-key", file, disk, "-", status=3,
                      says="sets a lease (lease-cap)")
        self.put(policy, "[agent]\nlease-cap = soon\n")
        self.recover(disk, file, status=2, says="lease-cap is a time of")
        policy.chmod(0o666)
        self.recover(disk, file, status=3, says="others than root can write")
        policy.chmod(0o644)
        self.assertEqual([], self.heard())
        self.put(policy, "[agent]\nlease-cap = 1h\nallow-recovery = yes\n")
        self.recover(disk, file)
        self.assertEqual(1, len(self.heard()))

    def test_forged(self):
        """recovery-slot-that-was-changed-opens-nothing"""
        disk, file = self.recoverable()
        slot = self.copy(disk).slots[1]
        old = slot["ciphertext"].encode()
        self.forge(disk, old, old[:-8] + b"AAAAAAA=")
        self.recover(disk, file, status=6, says="slot 1 was changed: its "
                     "recovery key does not open it")
        self.forge(disk, slot["key_id"].encode(),
                   b"recovery:0123456789abcdeF")
        self.recover(disk, file, status=6,
                     says="key_id is not that of a recovery key")

    def test_unpinned(self):
        """recovery-slot-that-the-host-has-not-seen-is-refused"""
        disk, file = self.recoverable()
        pin = json.loads(self.pins.read_text())
        pin["key_ids"] = pin["key_ids"][:1]
        self.pins.write_text(json.dumps(pin) + "\n")
        self.recover(disk, file, status=6, says="is not pinned with key "
                     "recovery:")

    def test_unwritten(self):
        """recovery-key-that-nobody-could-read-makes-no-slot"""
        disk = self.volume()
        before = self.digest(disk)
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [ENVELOPE, "recovery-key", "add", "--config", self.conf,
                 disk], env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=full, stderr=subprocess.PIPE, timeout=WAIT_SECONDS,
                check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn(b"one that was printed opens nothing", done.stderr)
        self.assertEqual(before, self.digest(disk))
        flip(disk, COPY + 4100)
        self.with_kms("recovery-key add", disk, status=6,
                      says="'envelope check --repair' first")
        self.envelope("recovery-key", "add", status=2,
                      says="name a device, or --header")

    def test_killed(self):
        """recovery-key-add-that-is-killed-leaves-a-volume-that-opens"""
        disk = self.volume()
        self.with_kms(
            "recovery-key add", disk, status=-signal.SIGXFSZ,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                  (COPY, COPY)))
        self.with_kms("check", "--unwrap", disk)

    def test_half_stored(self):
        """recovery-key-that-may-open-the-volume-is-not-called-useless"""
        disk = self.volume()
        old = disk.read_bytes()[:COPY]
        self.with_kms("slot add", "--kms-key", self.far_key, disk)
        # B serves, so A is written first, and B not at all.
        disk.write_bytes(old + disk.read_bytes()[COPY:])

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (COPY, COPY))

        done = self.with_kms(
            "recovery-key add", "--json", disk, status=1, preexec_fn=limit,
            says="the slot of the recovery key may have been written: see "
            "'envelope slot list', and remove it before the key is thrown "
            "away")
        self.assertNotIn("opens nothing", done.stderr_text)
        file = self.folder / "key"
        file.write_text(self.json(done)["recovery_key"])
        self.recover(disk, file)


if __name__ == "__main__":
    header_case.main()
