# SPDX-License-Identifier: GPL-2.0-or-later
"""What the journal hears when a KMS key does not let a volume be used."""
import header_case
import journal_case


class Events(journal_case.JournalCase, header_case.HeaderCase):
    """A socket of our own in the journal's place."""

    def one(self, event, key, cause):
        messages = self.heard()
        self.assertEqual(len(messages), 1, messages)
        found = messages[0]
        volume = found["ENVELOPE_VOLUME_ID"]
        self.assertRegex(volume, "^vol-[0-9a-f]{17}$")
        self.assertEqual(
            (found["ENVELOPE_EVENT"], found["ENVELOPE_RESULT"],
             found["ENVELOPE_KEY_ID"], found["ENVELOPE_CAUSE"],
             found["PRIORITY"], found["MESSAGE"]),
            (event, "failed", key, cause, "3",
             f"{event} of {volume} failed: {cause}"))

    def attach(self, disk, status, says):
        self.with_kms("attach", "--direct", "--dry-run", disk, status=status,
                      says=says)

    def test_disabled(self):
        """event attachVolume failed: the key is disabled"""
        key = self.new_key()
        disk = self.volume("--kms-key", key)
        self.assertEqual(self.heard(), [])
        self.kms.disable_key(KeyId=key)
        self.attach(disk, 3, "the key is disabled")
        self.one("attachVolume", key, f"{key} is disabled.")
        self.kms.enable_key(KeyId=key)
        self.with_kms("attach", "--direct", "--dry-run", disk)
        self.assertEqual(self.heard(), [])

    def test_pending_deletion(self):
        """event attachVolume failed: the key is pending deletion"""
        key = self.new_key()
        disk = self.volume("--kms-key", key)
        self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        self.attach(disk, 3, "the key is pending deletion")
        self.one("attachVolume", key, f"{key} is pending deletion.")

    def test_create(self):
        """event createVolume failed: the key is pending import, or disabled"""
        disk = self.folder / "disk"
        disk.write_bytes(bytes(4 << 20))
        key = self.kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
        self.with_kms("format", "--kms-key", key, disk, status=3,
                      says="pending import")
        self.one("createVolume", key, f"{key} is pending import.")
        key = self.new_key()
        self.kms.disable_key(KeyId=key)
        self.with_kms("format", "--kms-key", key, disk, status=3,
                      says="the key is disabled")
        self.one("createVolume", key, f"{key} is disabled.")

    def test_no_event(self):
        """no event where nothing was denied by a KMS"""
        key = self.new_key()
        disk = self.volume("--kms-key", key)
        other = self.folder / "other.conf"
        self.write_conf(other, key[:-4] + "none")
        self.with_kms("attach", "--direct", "--dry-run", disk, conf=other,
                      status=3, says="allow-keys does not cover it")
        self.assertEqual(self.heard(), [])


if __name__ == "__main__":
    header_case.main()
