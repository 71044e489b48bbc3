# SPDX-License-Identifier: GPL-2.0-or-later
"""Our client library run against the stranger: one call, one process."""
import atexit
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))

from stranger import ACCOUNT, ALIAS, ARN, REGION, Stranger  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build"))
CONTEXT = {"envelope:volume-id": "vol-0123456789abcdef0",
           "envelope:generation": "1"}
KEY_ID = "AKIAENVELOPETEST"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
DONE, FAILED, USAGE, DENIED, UNREACHABLE, TAMPERED = 0, 1, 2, 3, 4, 6

_folder = pathlib.Path(tempfile.mkdtemp(prefix="kms-client-"))
atexit.register(shutil.rmtree, _folder, True)


def _build():
    """kms-call, with the flags of the programs; SAN=1: with sanitizers."""
    san = os.environ.get("SAN") == "1"
    library = BUILD / "san" / "libenvelope.a" if san else (
        BUILD / "libenvelope.a")
    subprocess.run(["make", "-s", f"O={BUILD}", *["SAN=1"] * san, library],
                   cwd=ROOT, check=True, stdout=sys.stderr)
    program = _folder / "kms-call"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "devmapper", "blkid", "libcurl",
         "jansson", "libcrypto", "expat", "libsystemd", "p11-kit-1"],
        check=True,
        capture_output=True,
        text=True).stdout.split()
    subprocess.run(
        ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall",
         "-Wextra", "-Werror", f"-I{ROOT}/agent", f"-I{ROOT}/kernel",
         *map(str, sorted((HERE / "client").glob("*.c"))),
         *["-fsanitize=address,undefined"] * san, library, *flags,
         "-lkeyutils", "-o", program], check=True)
    return program


class Result:
    """What a call printed and how it ended."""

    def __init__(self, done):
        self.status = done.returncode
        self.stderr = done.stderr.strip()
        self.out = json.loads(done.stdout) if done.stdout.strip() else {}

    @property
    def error(self):
        return self.out.get("error")


class Case(unittest.TestCase):
    """One stranger for a class; each test begins with a well-behaved one."""

    options = {}

    @classmethod
    def setUpClass(cls):
        if not hasattr(Case, "program"):
            Case.program = _build()
        cls.stranger = Stranger(**cls.options).__enter__()
        cls.stranger.verifier.add(KEY_ID, SECRET)
        cls.addClassCleanup(cls.stranger.__exit__)

    def setUp(self):
        self.stranger.behave()
        self.home = pathlib.Path(tempfile.mkdtemp(dir=_folder))

    def conf(self, name="envelope.conf", section=REGION, **changes):
        """A configuration file; None as a value leaves the line out."""
        lines = {"endpoint": self.stranger.url, "ca_file": self.stranger.ca,
                 "default_key": ALIAS,
                 "allow_keys": f"arn:aws:kms:{section}:{ACCOUNT}:key/*"}
        lines.update(changes)
        path = self.home / name
        path.write_text(f"[region {section}]\n" + "".join(
            f"{k.replace('_', '-')} = {v}\n" for k, v in lines.items()
            if v is not None))
        return path

    def call(self, *args, env=None, config=None, timeout=8000, options=(),
             under=()):
        """Run kms-call, under another command if given. Values of env that
        are None are left out."""
        full = {"PATH": os.environ["PATH"], "HOME": str(self.home),
                "LC_ALL": "C.UTF-8", "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ACCESS_KEY_ID": KEY_ID,
                "AWS_SECRET_ACCESS_KEY": SECRET}
        full.update(env or {})
        argv = [*under, str(self.program), "--config", str(config or self.conf()),
                "--timeout", str(timeout), *options, *args]
        return Result(subprocess.run(
            argv, env={k: v for k, v in full.items() if v is not None},
            capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL))

    def wrapped(self, plaintext=None, context=None, arn=ARN):
        """Hexadecimal of a data key that the stranger wrapped."""
        self.dek = os.urandom(64) if plaintext is None else plaintext
        return self.stranger.keys.wrap(
            arn, CONTEXT if context is None else context, self.dek).hex()

    def decrypt(self, arn=ARN, context=None, blob=None, **how):
        blob = blob or self.wrapped()
        return self.call("decrypt", arn, json.dumps(context or CONTEXT),
                         blob, **how)

    def assert_fails(self, result, status, error, sentence):
        """Exit status, type and exactly one sentence, which matches."""
        self.assertEqual(result.stderr.count("\n"), 0, result.stderr)
        self.assertRegex(result.stderr, sentence)
        self.assertEqual(result.status, status, result.stderr)
        self.assertEqual(result.error, error)
        self.assertNotIn("dek_sha256", result.out)
