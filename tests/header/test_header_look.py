# SPDX-License-Identifier: GPL-2.0-or-later
"""inspect and check, on headers good, damaged, forged and hostile."""
import base64
import json

import header_case
import reader
from header_case import COPY, flip


class Inspect(header_case.HeaderCase):

    def test_text(self):
        """inspect shows a header as unverified, and asks no KMS"""
        disk = self.volume("--context", "team=storage")
        before = len(self.calls())
        done = self.envelope("inspect", disk)
        copy = self.verified(disk)
        for pattern in (r"^copy A: good, sequence 1$",
                        r"^copy B: good, sequence 1, shown here$",
                        r"^core \(unverified\):$", r"^slot 0 \(unverified\):$",
                        f"volume id +{copy.core['volume_id']}",
                        f"uuid +{copy.uuid}", "size +3145728",
                        "data offset +1048576", "sector size +4096",
                        "flags +holes", f"lineage +{copy.core['lineage']}",
                        f"key +{self.key}", "context +team=storage",
                        "wrapped key +[0-9]+ bytes"):
            self.assert_matches(pattern, done)
        self.assertEqual(before + 1, len(self.calls()))  # the test's own

    def test_json(self):
        """inspect --json is what the second reader reads"""
        disk = self.volume()
        copy = self.verified(disk)
        shown = self.json(self.envelope("inspect", "--json", disk))
        self.assertIs(shown["verified"], False)
        self.assertEqual(copy.core, shown["core"])
        self.assertEqual(copy.uuid, shown["uuid"])
        self.assertEqual([self.key], [s["key_id"] for s in shown["slots"]])
        self.assertNotIn("ciphertext", shown["slots"][0])
        self.assertEqual(["good", "good"],
                         [c["state"] for c in shown["copies"]])

    def test_no_secret(self):
        """inspect shows neither the DEK nor the wrapped DEK"""
        disk = self.volume()
        slot = self.verified(disk).slots[0]["ciphertext"]
        dek = self.dek(disk)
        for option in ([], ["--json"]):
            out = self.envelope("inspect", *option, disk).stdout
            for secret in (slot.encode(), base64.b64decode(slot), dek,
                           dek[:32].hex().encode(), dek[32:].hex().encode()):
                self.assertNotIn(secret, out)

    def test_escapes(self):
        """security-06-inspect-escapes"""
        disk = self.volume()
        copy = self.verified(disk)
        copy.slots[0]["context"] = {"a\x1b[2J\x07": "b\x9bm\u202e\n  volume id"}
        image = reader.write(copy.core, {"slots": copy.slots}, copy.uuid,
                             self.dek(disk))
        disk.write_bytes(image)
        for option in ([], ["--json"]):
            out = self.envelope("inspect", *option, disk).stdout
            self.assertTrue(all(c == 10 or 32 <= c < 127 for c in out), out)
        self.assertIn("context        a\\x1b[2J\\x07=b\\xc2\\x9bm",
                      self.envelope("inspect", disk).stdout_text)

    def test_nothing_there(self):
        """inspect of a file without header ends with 5"""
        path = self.folder / "empty"
        path.write_bytes(bytes(1 << 20))
        self.envelope("inspect", path, status=5,
                      says="no envelope header in either copy")
        self.envelope("inspect", self.folder / "none", status=1,
                      says="No such file or directory")
        self.envelope("inspect", status=2, says="name a device, or --header")

    def test_detached(self):
        """inspect reads a detached header and a backup alike"""
        header = self.folder / "header"
        disk = self.volume("--header", header)
        for args in ([header], ["--header", header], [disk, "--header",
                                                      header]):
            shown = self.json(self.envelope("inspect", "--json", *args))
            self.assertEqual(0, shown["core"]["data_offset"])
            self.assertEqual(4 << 20, shown["core"]["device"]["size"])
        self.envelope("header-backup", header, self.folder / "backup")
        self.envelope("inspect", self.folder / "backup")
        self.envelope("inspect", disk, status=5)


class Check(header_case.HeaderCase):

    def test_good(self):
        """check reads, --unwrap verifies with one Decrypt"""
        disk = self.volume()
        before = self.digest(disk)
        calls = self.calls("Decrypt")
        done = self.envelope("check", disk)
        self.assertEqual("copy A: good, not verified\n"
                         "copy B: good, not verified\n", done.stdout_text)
        self.assertEqual(calls, self.calls("Decrypt"))
        done = self.with_kms("check", "--unwrap", disk)
        self.assertEqual("copy A: good, verified\ncopy B: good, verified\n",
                         done.stdout_text)
        self.assertEqual(calls + 1, self.calls("Decrypt"))
        shown = self.json(self.with_kms("check", "--unwrap", "--json", disk))
        self.assertTrue(shown["verified"] and shown["agree"])
        self.assertEqual(before, self.digest(disk))

    def test_damage(self):
        """a damaged copy: the other serves, check --repair mends"""
        for index in (0, 1):
            for offset in (0, 9, 70, 130, 165, 4200, 60000, COPY - 1):
                disk = self.volume(name=f"disk-{index}-{offset}")
                flip(disk, index * COPY + offset)
                done = self.envelope("check", disk, status=6)
                self.assert_matches(f"^copy {'AB'[index]}: " + (
                    "not there" if offset == 0 else "damaged"), done)
                self.with_kms("check", "--repair", disk,
                              says="both copies of the header are good now")
                self.envelope("check", disk)
                self.verified(disk)
                disk.unlink()

    def test_both_damaged(self):
        """both copies damaged: status 6 everywhere, nothing written"""
        disk = self.volume()
        flip(disk, 4100)
        flip(disk, COPY + 4100)
        before = self.digest(disk)
        calls = len(self.calls())
        for verb, *args in (("inspect",), ("check",), ("check", "--repair"),
                            ("header-backup",), ("rewrap", "--kms-key",
                                                 self.key), ("export",)):
            tail = ([self.folder / "out"]
                    if verb in ("header-backup", "export") else [])
            conf = [] if verb in ("inspect", "header-backup") else [
                "--config", self.conf]
            self.envelope(verb, *conf, *args, disk, *tail, status=6,
                          says="no undamaged copy of the header is left")
        self.assertEqual(before, self.digest(disk))
        self.assertEqual(calls, len(self.calls()))
        self.assertFalse((self.folder / "out").exists())

    def test_tampered(self):
        """security-03-tampered-core-writes-nothing"""
        edits = ((b'"size":3145728', b'"size":2097152'),
                 (b'"sector_size":4096', b'"sector_size":2048'),
                 (b'"revision":1', b'"revision":5'),
                 (b'"flags":["holes"]', b'"flags":["h_les"]'))
        for old, new in edits:
            for copies in ("A", "B", "AB"):
                disk = self.volume(name=f"disk-{old[1:5]}-{copies}")
                self.forge(disk, old, new, copies)
                before = self.digest(disk)
                for args in (["check", "--unwrap"], ["check", "--repair"]):
                    self.with_kms(*args, disk, status=6,
                                  says="of the header was tampered with")
                self.with_kms("export", disk, self.folder / "out", status=6,
                              says="of the header was tampered with")
                self.assertFalse((self.folder / "out").exists())
                self.assertEqual(before, self.digest(disk))
                disk.unlink()

    def test_survivor(self):
        """security-03-good-copy-repairs-a-forged-one"""
        disk = self.volume()
        good = disk.read_bytes()[COPY:2 * COPY]
        self.forge(disk, b'"revision":1', b'"revision":9', "A")
        self.with_kms("check", "--copy", "A", "--repair", disk, status=6,
                      says="copy A of the header was tampered with")
        self.assertEqual(good, disk.read_bytes()[COPY:2 * COPY])
        done = self.with_kms("check", "--copy", "B", "--unwrap", disk)
        self.assertEqual("copy B: good, verified\n", done.stdout_text)
        self.with_kms("check", "--copy", "B", "--repair", disk)
        self.with_kms("check", "--unwrap", disk)
        self.assertEqual(1, self.verified(disk).core["revision"])
        self.envelope("check", "--copy", "C", disk, status=2,
                      says="'C' is not A or B")

    def test_sequence(self):
        """security-03-forged-sequence-keeps-the-good-copy"""
        disk = self.volume()
        dek = self.dek(disk)
        copy = self.verified(disk)
        newer = dict(copy.core, revision=2, size=2 << 20)
        image = reader.write(newer, {"slots": copy.slots}, copy.uuid, dek)
        old = reader.write(copy.core, {"slots": copy.slots}, copy.uuid, dek,
                           (2**63 - 1, 1))
        data = disk.read_bytes()
        disk.write_bytes(old[:COPY] + image[COPY:] + data[2 * COPY:])
        done = self.with_kms("check", "--unwrap", disk, status=6)
        self.assert_matches("^copy A: good, verified, older", done)
        self.with_kms("check", "--repair", disk)
        self.assertEqual(2, self.verified(disk).core["revision"])
        self.with_kms("rewrap", "--kms-key", self.key, disk)
        self.assertEqual(2, self.verified(disk).core["revision"])

    def test_moved(self):
        """a header under an edited volume id is refused by the KMS"""
        disk = self.volume()
        volume_id = self.verified(disk).core["volume_id"].encode()
        other = b"vol-0" + bytes(reversed(volume_id[5:]))
        self.forge(disk, volume_id, other)
        self.with_kms("check", "--unwrap", disk, status=3)

    def test_replaced(self):
        """security-01-replaced-header-refused-by-pin"""
        disk = self.volume(name="mine")
        mine = self.verified(disk).core
        forged = self.volume("--kms-key", self.new_key(), name="theirs")
        theirs = self.verified(forged)
        dek = self.dek(forged)
        self.pins.write_text("".join(
            line + "\n" for line in self.pins.read_text().splitlines()
            if mine["volume_id"] in line))
        context = {"envelope:volume-id": mine["volume_id"],
                   "envelope:generation": "1"}
        wrapped = self.kms.encrypt(KeyId=theirs.slots[0]["key_id"],
                                   Plaintext=dek, EncryptionContext=context)
        slot = dict(theirs.slots[0], ciphertext=base64.b64encode(
            wrapped["CiphertextBlob"]).decode())
        core = dict(theirs.core, volume_id=mine["volume_id"])
        disk.write_bytes(reader.write(core, {"slots": [slot]}, theirs.uuid,
                                      dek) + disk.read_bytes()[2 * COPY:])
        calls = len(self.calls())
        self.with_kms("check", "--unwrap", disk, status=6,
                      says="is pinned with another data key")
        self.with_kms("export", disk, self.folder / "out", status=6,
                      says="is pinned with another data key")
        self.assertEqual(calls, len(self.calls()))
        # Without the pin it is a valid volume: that is what pins are for.
        self.pins.unlink()
        self.with_kms("check", "--unwrap", disk)

    def test_allow_keys(self):
        """security-01-key-outside-allow-keys-refused-before-any-call"""
        disk = self.volume("--kms-key", self.new_key())
        conf = self.server.dir / "strict.conf"
        self.write_conf(conf, self.key)
        calls = len(self.calls())
        self.with_kms("check", "--unwrap", disk, conf=conf, status=3,
                      says="allow-keys")
        self.assertEqual(calls, len(self.calls()))

    def test_old_header(self):
        """security-01-rolled-back-header-refused-by-pin"""
        disk = self.volume()
        pin = json.loads(self.pins.read_text())
        self.assertEqual(1, pin["revision"])
        self.pins.write_text(json.dumps(dict(pin, revision=2)) + "\n")
        self.with_kms("check", "--unwrap", disk, status=6,
                      says="is pinned at revision 2, the header has 1")

    def test_hostile(self):
        """hostile and newer headers: status 6 and 1, and no call"""
        disk = self.volume()
        calls = len(self.calls())
        self.forge(disk, b'"generation":1', b'"generation":0', "A")
        self.with_kms("check", "--unwrap", disk, status=6,
                      says="generation is not a number in its range")
        self.forge(disk, b'"generation":0', b'"generation":1', "A")
        self.forge(disk, b'"critical":["holes"]', b'"critical":["h0les"]')
        self.with_kms("check", "--unwrap", disk, status=1,
                      says="the volume needs 'h0les', which this program does not know")
        self.assertEqual(calls, len(self.calls()))

    def test_second_reader(self):
        """the second reader verifies what format writes"""
        for options in ([], ["--no-holes"], ["--sector-size", "512"],
                        ["--iv-large-sectors"], ["--context", "a=b"],
                        ["--size", "1M"]):
            disk = self.volume(*options)
            self.assertIn(self.verified(disk).core["sector_size"], (512, 4096))
            disk.unlink()


if __name__ == "__main__":
    header_case.main()
