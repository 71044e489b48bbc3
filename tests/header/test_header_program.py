# SPDX-License-Identifier: GPL-2.0-or-later
"""Volumes whose key is known to an external program: the sample, and others."""
import base64
import json
import os
import pathlib
import pwd
import shutil
import subprocess

import header_case
import client_case
import reader

ROOT = header_case.TESTS.parent
SAMPLE = ROOT / "scripts" / "examples" / "key-program.py"
# Where root alone can write, or root would not run it.
PLACE = pathlib.Path(header_case.STATE)
KEY = "program:mine/volumes"
FAILED, DENIED, UNREACHABLE, TAMPERED = 1, 3, 4, 6
ZEROS = base64.b64encode(bytes(64)).decode()


class ProgramCase(header_case.HeaderCase):

    @classmethod
    def setUpClass(cls):
        PLACE.chmod(0o755)
        keys = PLACE / "program-keys"
        keys.mkdir(exist_ok=True)
        for name in ("volumes", "other"):
            path = keys / name
            path.write_bytes(os.urandom(32))
            shutil.chown(path, "nobody")
            path.chmod(0o400)
        cls.sample = PLACE / "sample"
        cls.sample.write_text(SAMPLE.read_text().replace(
            "/etc/envelope/program-keys", str(keys)))
        cls.sample.chmod(0o755)

    @classmethod
    def tearDownClass(cls):
        pass

    def environment(self):
        return dict(os.environ, CANARY="of the caller")

    def setUp(self):
        super().setUp()
        self.conf = self.config(self.sample)

    def config(self, path, more=""):
        conf = self.folder / "envelope.conf"
        conf.write_text(f"[program mine]\npath = {path}\n{more}")
        return conf

    def script(self, text):
        """A program in place of the sample."""
        path = PLACE / "script"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        self.config(path)
        return path

    def blank(self):
        path = self.folder / "blank"
        path.write_bytes(bytes(4 << 20))
        return path

    def slot(self, disk):
        copy = reader.read(disk.read_bytes()[:2 * reader.COPY])
        return copy.slots[0]

    def refused(self, status, says, key=KEY, options=()):
        disk = self.blank()
        done = self.with_kms("format", "--kms-key", key, *options, disk,
                             status=status, says=says)
        self.assertEqual(1, done.stderr_text.count("\n"), done.stderr_text)
        self.assertEqual(bytes(4 << 20), disk.read_bytes())


class Sample(ProgramCase):

    def test_volume(self):
        """program: format, attach --dry-run, check, export with the sample"""
        disk = self.volume("--kms-key", KEY, "--context", "team=blue")
        slot = self.slot(disk)
        self.assertEqual(("program", KEY), (slot["provider"], slot["key_id"]))
        self.with_kms("attach", "--direct", "--dry-run", disk)
        self.with_kms("check", "--unwrap", disk)
        self.with_kms("export", disk, self.folder / "plain")

    def test_rewrap(self):
        """program: rewrap to another key of the sample"""
        disk = self.volume("--kms-key", KEY)
        self.with_kms("rewrap", "--kms-key", "program:mine/other", disk,
                      says="to   program:mine/other")
        self.assertEqual("program:mine/other", self.slot(disk)["key_id"])
        self.with_kms("attach", "--direct", "--dry-run", disk)

    def test_swapped(self):
        """security-27-program-slot-of-another-volume-refused"""
        mine = self.volume("--kms-key", KEY, name="mine")
        other = self.volume("--kms-key", KEY, name="other")
        self.forge(mine, self.slot(mine)["ciphertext"].encode(),
                   self.slot(other)["ciphertext"].encode())
        self.with_kms("attach", "--direct", "--dry-run", mine, status=DENIED,
                      says="(InvalidCiphertextException)")

    def test_describe(self):
        """program: what describe says"""
        done = subprocess.run(
            [client_case._build(), "--config", self.conf, "describe", KEY],
            capture_output=True, text=True, timeout=120, check=True)
        said = json.loads(done.stdout)
        self.assertEqual((KEY, "Enabled"), (said["arn"], said["state"]))

    def test_check(self):
        """program: the sample's answers to the question of a lease"""
        context = '{"team": "blue"}'

        def call(*args):
            done = subprocess.run(
                [client_case._build(), "--config", self.conf, *args],
                capture_output=True, text=True, timeout=120, check=True)
            return json.loads(done.stdout)

        blob = call("generate", KEY, context)["blob"]
        self.assertEqual("granted",
                         call("check", KEY, context, blob)["answer"])
        self.assertEqual("alarm", call("check", KEY, "{}", blob)["answer"])
        done = subprocess.run([self.sample], input=json.dumps({
            "Operation": "Decrypt", "KeyId": KEY, "DryRun": True,
            "EncryptionContext": json.loads(context),
            "CiphertextBlob": base64.b64encode(bytes.fromhex(blob)).decode()}),
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertEqual({"__type": "DryRunOperationException",
                          "message": "it would go well"},
                         json.loads(done.stdout))

    def test_refusal(self):
        """program: a refusal of the sample is one by the table of the KMS"""
        self.refused(DENIED, "refuses GenerateDataKeyWithoutPlaintext: the "
                     "key does not exist there (NotFoundException)",
                     key="program:mine/none")

    def test_configuration(self):
        """security-01-program-allow-keys"""
        self.config(self.sample, "allow-keys = program:mine/vol*\n")
        self.volume("--kms-key", KEY)
        self.refused(DENIED, "allow-keys does not cover it",
                     key="program:mine/other")
        self.refused(DENIED, "'yours' is not configured on this host",
                     key="program:yours/volumes")


class Others(ProgramCase):

    def test_surroundings(self):
        """security-05-program-runs-as-nobody-with-nothing-of-the-caller"""
        seen = PLACE / "seen"
        seen.mkdir()
        shutil.chown(seen, "nobody")
        self.script(f"exec > {seen}/all; id -u; id -G; pwd; env | sort; "
                    f"ls /proc/self/fd | sort -n | tr '\\n' ' '; "
                    f"grep NoNewPrivs /proc/self/status; cat")
        self.refused(UNREACHABLE, "with garbage")
        text = (seen / "all").read_text()
        nobody = pwd.getpwnam("nobody")
        self.assertIn(f"{nobody.pw_uid}\n{nobody.pw_gid}\n/\n", text)
        self.assertNotIn("CANARY", text)
        self.assertIn("PATH=/usr/sbin:/usr/bin:/sbin:/bin", text)
        self.assertIn("NoNewPrivs:\t1", text)
        self.assertIn("\n0 1 2 3 NoNew", text)
        request = json.loads(text[text.index("{"):])
        self.assertEqual(
            ("GenerateDataKeyWithoutPlaintext", KEY, 64, "1"),
            (request["Operation"], request["KeyId"],
             request["NumberOfBytes"],
             request["EncryptionContext"]["envelope:generation"]))

    def test_slow(self):
        """program: one that does not end is killed with all it started"""
        mark = f"7{os.getpid()}"
        self.script(f"sleep {mark} & sleep {mark}")
        self.refused(UNREACHABLE, "did not end within the time budget, so it "
                     "was killed", options=["--timeout", "1"])
        self.script(f"exec > /dev/null; sleep {mark}")
        self.refused(UNREACHABLE, "did not end within the time budget, so it "
                     "was killed", options=["--timeout", "1"])
        left = subprocess.run(["pgrep", "-f", f"^sleep {mark}$"], check=False)
        self.assertEqual(1, left.returncode)

    def test_loud(self):
        """program: one that prints too much is killed"""
        self.script("exec yes")
        self.refused(UNREACHABLE, "printed more than 65536 bytes")

    def test_deaf(self):
        """program: one that does not read its question does no harm"""
        self.script("echo '{\"__type\": \"ThrottlingException\"}'; exit 3")
        self.refused(UNREACHABLE, "too many requests (ThrottlingException)")

    def test_dies(self):
        """program: one that dies by a signal, or cannot be run"""
        self.script("kill -9 $$")
        self.refused(UNREACHABLE, "died by signal 9")
        self.script("exit 0").write_text("#!/none\n")
        self.refused(UNREACHABLE, "cannot be run as it should (status 127)")

    def test_garbage(self):
        """program: answers that are none"""
        for text, says in (
                ("echo hello; exit 1", "with garbage (exit status 1), so it "
                 "is no sound KMS; check path of [program mine]"),
                ("echo hello", "with garbage"),
                ("echo '[]'", "no JSON object"),
                ("echo '{}'", "no KeyId in it"),
                (f"echo '{{\"KeyId\": \"{KEY}\"}}'",
                 "no sound CiphertextBlob in it")):
            self.script(text)
            self.refused(UNREACHABLE, says)

    def test_lies(self):
        """security-08-program-answers-about-another-key-or-no-data-key"""
        self.script("echo '{\"KeyId\": \"program:mine/other\", "
                    "\"CiphertextBlob\": \"eA==\"}'")
        self.refused(TAMPERED, "the KeyId of another key")
        self.script(
            f"case $(cat) in *Generate*) echo '{{\"KeyId\": \"{KEY}\", "
            f"\"CiphertextBlob\": \"eA==\"}}';; *) echo '{{\"KeyId\": "
            f"\"{KEY}\", \"Plaintext\": \"{ZEROS}\"}}';; esac")
        self.refused(TAMPERED, "a data key of two equal halves")

    def test_writable(self):
        """security-05-program-others-can-change-is-not-run"""
        path = self.script("exit 1")
        path.chmod(0o775)
        self.refused(DENIED, "program: others than root can change "
                     f"'{path}'; run chown root and chmod go-w on it")
        copy = self.folder / "copy"
        shutil.copy(self.sample, copy)
        self.config(copy)
        self.refused(DENIED, "others than root can change '/tmp'")

    def test_missing(self):
        """program: one that is not there, or no file"""
        self.config("/none")
        self.refused(UNREACHABLE, "program '/none': No such file or directory")
        self.config("/etc")
        self.refused(UNREACHABLE, "program '/etc': not a file")

    def test_user(self):
        """security-05-program-never-runs-as-root"""
        self.config(self.sample, "user = root\n")
        self.refused(DENIED, "was not run: user 'root' is root; correct user")
        self.config(self.sample, "user = no-such-user\n")
        self.refused(DENIED, "user 'no-such-user' is not known here")


if __name__ == "__main__":
    header_case.main()
