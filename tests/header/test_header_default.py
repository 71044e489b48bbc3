# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope default: the rules by which EBS chooses a key, and format's."""
import json
import stat
import subprocess

import header_case
from header_case import ENVELOPE

REGION = "us-east-1"


class Default(header_case.HeaderCase):

    def setUp(self):
        super().setUp()
        self.conf = self.folder / "envelope.conf"
        self.kept = self.folder / "defaults.json"
        self.write_conf(self.conf, f"arn:aws:kms:{REGION}:111122223333:key/*")

    def without_key(self):
        """The configuration names no default-key any more."""
        self.conf.write_text("".join(
            line for line in self.conf.read_text().splitlines(True)
            if not line.startswith("default-key")))

    def get(self, *args):
        done = self.with_kms("default", "get", "--json", *args)
        return {r.pop("region"): r for r in self.json(done)["regions"]}

    def rule(self, *args):
        """What format says of the key that it takes, and that key."""
        path = self.folder / "rule"
        path.write_bytes(b"")
        with open(path, "r+b") as file:
            file.truncate(4 << 20)
        answer = self.json(self.with_kms("format", "--force", "--json", *args,
                                         path))
        return answer["key_rule"], answer["key_id"]

    def test_precedence(self):
        """default: --kms-key, then key set, then default-key, then aws/ebs"""
        kept, given = self.new_key(), self.new_key()
        self.with_kms("default", "key", "set", kept)
        rule = {"key": given, "from": "option", "region": REGION,
                "encryption_by_default": False}
        self.assertEqual((rule, given), self.rule("--kms-key", given))
        rule.update({"key": kept, "from": "default"})
        self.assertEqual((rule, kept), self.rule())
        self.with_kms("default", "key", "reset")
        rule.update({"key": "alias/envelope", "from": "configuration"})
        self.assertEqual((rule, self.key), self.rule())
        self.without_key()
        rule.update({"key": "alias/aws/ebs", "from": "aws/ebs"})
        found, key = self.rule()
        self.assertEqual(rule, found)
        self.assertEqual("AWS", self.kms.describe_key(
            KeyId=key)["KeyMetadata"]["KeyManager"])

    def test_sentences(self):
        """format says which key it took, who said so, and the default"""
        path = self.folder / "disk"
        kept = self.new_key()

        def says(text, *args):
            with open(path, "w+b") as file:
                file.truncate(4 << 20)
            done = self.with_kms("format", "--force", *args, path)
            self.assertEqual(text, done.stdout_text.splitlines()[1])

        says(f"key alias/envelope: default-key of region {REGION} in {self.conf}; encryption by default is off there")
        self.with_kms("default", "enable")
        self.with_kms("default", "key", "set", kept)
        says(f"key {kept}: default key of region {REGION} by 'envelope default'; encryption by default is on there")
        says("key alias/envelope: given by --kms-key; encryption by default is on there",
             "--kms-key", "alias/envelope")
        self.with_kms("default", "key", "reset")
        self.without_key()
        says(f"key alias/aws/ebs: region {REGION} has no default key of its own; encryption by default is on there")

    def test_enable(self):
        """default: enable and disable are kept, for everybody to read"""
        off = {"encryption_by_default": False, "key": "alias/envelope",
               "key_from": "configuration"}
        self.assertEqual({REGION: off}, self.get())
        self.assertFalse(self.kept.exists())
        self.with_kms("default", "enable", says=(
            f"{REGION}: encryption by default is on; default key alias/envelope (default-key in {self.conf})\n"))
        self.assertEqual({REGION: {**off, "encryption_by_default": True}},
                         self.get())
        self.assertEqual(0o644, stat.S_IMODE(self.kept.stat().st_mode))
        self.with_kms("default", "disable",
                      says="encryption by default is off")
        self.assertEqual({REGION: off}, self.get())
        self.assertEqual(["defaults.json", "envelope.conf"], sorted(
            p.name for p in self.folder.iterdir()))

    def test_regions(self):
        """default: each region has its own, and get --region shows one"""
        with open(self.conf, "a", encoding="ascii") as file:
            file.write("[region eu-west-1]\nendpoint = "
                       f"{self.server.endpoint}\n")
        self.with_kms("default", "enable", "--region", "eu-west-1")
        both = self.get()
        self.assertFalse(both[REGION]["encryption_by_default"])
        self.assertTrue(both["eu-west-1"]["encryption_by_default"])
        self.assertEqual("aws/ebs", both["eu-west-1"]["key_from"])
        self.assertEqual(["eu-west-1"],
                         list(self.get("--region", "eu-west-1")))
        self.with_kms("default", "enable")
        self.with_kms("default", "disable", "--region", "eu-west-1")
        self.assertEqual({"encryption_by_default": True},
                         json.loads(self.kept.read_text())[REGION])

    def test_key_forms(self):
        """default key set takes id, ARN and alias, and keeps the ARN"""
        for key in (self.key, self.key.rpartition("/")[2], "alias/envelope",
                    self.key.rpartition("key/")[0] + "alias/envelope"):
            done = self.with_kms("default", "key", "set", key, says=(
                f"default key {self.key} (envelope default key set)"))
            self.assertEqual("", done.stderr_text)
            self.assertEqual(self.key, json.loads(
                self.kept.read_text())[REGION]["key"])

    def test_key_refused(self):
        """default key set keeps no key that cannot be used"""
        disabled = self.new_key()
        self.kms.disable_key(KeyId=disabled)
        for key, status, says in (
                (disabled, 3, "its state is Disabled; enable it, or choose another key"),
                ("alias/none", 3, "the key does not exist there"),
                (self.key.replace(REGION, "eu-west-1"), 2,
                 f"it is not in region {REGION}; give --region eu-west-1"),
                ("program:mine/x", 2, "it is in no region; set default-key of its section in"),
                ("nonsense", 2, "not a KMS key id, key ARN, alias/NAME or alias ARN"),
                (self.key.replace("111122223333", "999988887777"), 3,
                 "allow-keys does not cover it")):
            self.with_kms("default", "key", "set", key, status=status,
                          says=says)
            self.assertFalse(self.kept.exists())

    def test_usage(self):
        """default: every other word is a usage error"""
        for words in (["get", "x"], ["on"], ["enable", "x"],
                      ["disable", "x"], ["key"]):
            self.with_kms("default", *words, status=2, says=(
                "want get, enable, disable, 'key set KEY' or 'key reset'; see 'envelope default --help'"))
        for words in (["key", "set"], ["key", "reset", "x"], ["key", "x"]):
            self.with_kms("default", *words, status=2,
                          says="want 'key set KEY' or 'key reset'; see")
        self.assertFalse(self.kept.exists())

    def test_damaged(self):
        """default: a damaged file is refused by all, and never replaced"""
        for text, says in (
                ("{", "defaults.json: "),
                ("[]", "defaults.json: not an object; mend it, or remove it"),
                ('{"a b": {}}', "region 'a b': not a region and its defaults"),
                ('{"us-east-1": 1}', "not a region and its defaults"),
                ('{"us-east-1": {"x": 1}}', "a name that is not known"),
                ('{"us-east-1": {"encryption_by_default": 1}}',
                 "encryption_by_default is true or false"),
                ('{"us-east-1": {"key": "alias/x"}}',
                 "key is the ARN of a KMS key of that region"),
                (json.dumps({"eu-west-1": {"key": self.key}}),
                 "region 'eu-west-1': key is the ARN of a KMS key of that region")):
            self.kept.write_text(text)
            for words in (["get"], ["enable"], ["key", "reset"]):
                self.with_kms("default", *words, status=2, says=says)
            self.assertEqual(text, self.kept.read_text())

    def test_unwritable(self):
        """default: who cannot write the file is told, and it stays"""
        self.with_kms("default", "enable")
        before = self.kept.read_text()
        (self.folder / "defaults.json.new").mkdir()
        self.with_kms("default", "disable", status=1, says=(
            "defaults.json: cannot be written: Is a directory; nothing was changed"))
        self.assertEqual(before, self.kept.read_text())
        (self.folder / "defaults.json.new").rmdir()

    def test_other_kms(self):
        """default: against AWS a default key must be set, and it says so"""
        self.conf.write_text(f"[region {REGION}]\naccount = 111122223333\n")
        done = self.with_kms("default", "enable", says=(
            f"warning: region {REGION} has no default key, and AWS lets only its own services use alias/aws/ebs: run 'envelope default key set'"))
        self.assertIn("encryption by default is on", done.stdout_text)
        path = self.folder / "disk"
        path.write_bytes(bytes(4 << 20))
        self.with_kms("format", path, status=2, says=(
            "no key was given and no default key is set, and AWS lets only its own services use alias/aws/ebs; give --kms-key, run 'envelope default key set' or"))

    def test_nothing_configured(self):
        """default get without any region says what to write"""
        self.conf.write_text("")
        self.with_kms("default", "get", status=2,
                      says="no region is configured; write [region NAME] into")

    def test_at_once(self):
        """default: of changes at once none is lost"""
        names = [f"eu-west-{n}" for n in range(1, 9)]
        runs = [subprocess.Popen(
            [ENVELOPE, "default", "--config", self.conf, "--region", name,
             "enable"], env=self.environment(), stdout=subprocess.DEVNULL)
            for name in names]
        self.assertEqual([0] * len(names), [run.wait(120) for run in runs])
        self.assertEqual(names, sorted(json.loads(self.kept.read_text())))


if __name__ == "__main__":
    header_case.main()
