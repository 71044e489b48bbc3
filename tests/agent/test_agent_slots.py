# SPDX-License-Identifier: GPL-2.0-or-later
"""Slots by the agent, as far as no device mapper is needed."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import tap  # noqa: E402
from agent_case import NOBODY  # noqa: E402
from kms_case import ENVELOPE, KmsCase  # noqa: E402

INTERFACE = "io.envelope.Agent."
SET = {"key_id": "arn:aws:kms:us-east-1:111122223333:key/x",
       "ciphertext": "eA=="}
WRAP = {"key_id": SET["key_id"], "from": 0}
METHODS = {"Slots": {}, "WrapSlot": WRAP, "SetSlot": SET, "RemoveSlot": {"slot": 0}}


class Slots(KmsCase):
    def envelope(self, *args, uid=0):
        env = dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=str(
            self.config.parent / "credentials"))
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             'mount --bind "$0" /var/lib/envelope && exec "$@"',
             self.dir / "pins", "setpriv", "--reuid", str(uid),
             "--clear-groups", ENVELOPE, *args], env=env, capture_output=True,
            text=True)

    def test_not_there(self):
        """agent slots: of what is not there there are none"""
        c = self.connect(NOBODY)
        for method, parameters in METHODS.items():
            answer = c.call(INTERFACE + method, {"name": "none", **parameters})
            self.assertEqual(answer["error"], INTERFACE + "NotAttached")
            self.assertEqual(answer["parameters"], {
                "message": "'none' is not attached", "status": 8})

    def test_wrong(self):
        """agent slots: what is missing or of another type is named"""
        c = self.connect(NOBODY)
        for method, parameters, wrong in (
                ("Slots", {}, "name"),
                ("SetSlot", {"name": "x"}, "key_id"),
                ("SetSlot", {"name": "x", "key_id": "k"}, "ciphertext"),
                ("SetSlot", {"name": "x", **SET, "context": "x"}, "context"),
                ("SetSlot", {"name": "x", **SET, "context": []}, "context"),
                ("SetSlot", {"name": "x", **SET, "slot": -1}, "slot"),
                ("RemoveSlot", {"name": "x"}, "slot"),
                ("RemoveSlot", {"name": "x", "slot": 0, "force": True},
                 "force")):
            self.assertEqual(c.call(INTERFACE + method, parameters), {
                "error": "org.varlink.service.InvalidParameter",
                "parameters": {"parameter": wrong}})

    def test_names(self):
        """agent slots: the verbs say that a name is no volume of his"""
        for verb in (("rewrap", "--kms-key", "alias/x"), ("slot", "list"),
                     ("slot", "add", "--kms-key", "alias/x"),
                     ("slot", "remove", "--slot", "0")):
            done = self.envelope(*verb, "--socket", self.socket, "none",
                                 uid=NOBODY)
            self.assertEqual((done.returncode, done.stderr), (
                8, "envelope: 'none' is not attached, and there is no such "
                "file\n"))

    def test_no_agent(self):
        """agent slots: with --socket somebody must answer"""
        done = self.envelope("slot", "list", "--socket", self.dir / "none",
                             self.volume)
        self.assertEqual(done.returncode, 4)
        self.assertIn("none", done.stderr)

    def test_directly(self):
        """agent slots: what the agent does not have is changed directly"""
        new = self.kms.create_key()["KeyMetadata"]["Arn"]
        done = self.envelope("rewrap", "--socket", self.socket, "--config",
                             self.config, "--kms-key", new, self.volume)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = self.envelope("slot", "list", "--socket", self.socket,
                             self.volume)
        self.assertIn(new, done.stdout)


if __name__ == "__main__":
    tap.main()
