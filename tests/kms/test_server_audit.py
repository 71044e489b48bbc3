#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The audit trail of envelope-kms: its records, and no answer without one."""
import datetime
import os
import resource
import shutil
import subprocess
import uuid

from server_fixture import (ACCOUNT, INTERNAL, REGION, Server, ServerCase,
                            b64, key_arn)
import tap

FIELDS = """eventVersion userIdentity eventTime eventSource eventName awsRegion
sourceIPAddress userAgent requestParameters responseElements requestID eventID
readOnly eventType managementEvent recipientAccountId eventCategory""".split()


class Records(ServerCase):
    def record(self, operation, body):
        """The one record of one call, checked for what all have."""
        before = len(self.server.audit())
        reply = self.server.call(operation, body)
        records = self.server.audit()
        self.assertEqual(before + 1, len(records))
        record = records[-1]
        self.assertLessEqual(set(FIELDS), set(record))
        self.assertEqual(reply.headers["x-amzn-RequestId"],
                         record["requestID"])
        self.assertEqual(str(uuid.UUID(record["eventID"])),
                         record["eventID"])
        self.assertEqual(
            ("1.08", "kms.amazonaws.com", operation, REGION, "127.0.0.1",
             "AwsApiCall", True, ACCOUNT, "Management"),
            (record["eventVersion"], record["eventSource"],
             record["eventName"], record["awsRegion"],
             record["sourceIPAddress"], record["eventType"],
             record["managementEvent"], record["recipientAccountId"],
             record["eventCategory"]))
        when = datetime.datetime.strptime(
            record["eventTime"], "%Y-%m-%dT%H:%M:%SZ")
        self.assertLess(abs((datetime.datetime.utcnow() -
                             when).total_seconds()), 60)
        self.assertEqual(reply.code, record.get("errorCode"))
        return reply, record

    def resources(self, *arns):
        return [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": arn}
                for arn in arns]

    def test_identity(self):
        _, record = self.record("ListKeys", {})
        who = record["userIdentity"]
        self.assertRegex(who.pop("principalId"), "^AIDA[A-Z2-7]{16}$")
        self.assertEqual(
            {"type": "IAMUser", "accountId": ACCOUNT,
             "arn": f"arn:aws:iam::{ACCOUNT}:user/administrator",
             "accessKeyId": self.server.credentials()[0],
             "userName": "administrator"}, who)

    def test_data_key_and_decrypt(self):
        """kms-audit-decrypt-names-key-context-and-nothing-secret"""
        arn = self.kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]
        context = {"envelope:volume-id": "vol-1"}
        reply, record = self.record("GenerateDataKeyWithoutPlaintext", {
            "KeyId": "alias/envelope", "NumberOfBytes": 64,
            "EncryptionContext": context})
        self.assertEqual({"keyId": "alias/envelope", "numberOfBytes": 64,
                          "encryptionContext": context},
                         record["requestParameters"])
        self.assertEqual(self.resources(arn), record["resources"])
        _, record = self.record("Decrypt", {
            "CiphertextBlob": reply.json["CiphertextBlob"],
            "EncryptionContext": context})
        self.assertEqual({"encryptionContext": context,
                          "encryptionAlgorithm": "SYMMETRIC_DEFAULT"},
                         record["requestParameters"])
        self.assertEqual((None, True), (record["responseElements"],
                                        record["readOnly"]))
        self.assertEqual(self.resources(arn), record["resources"])
        _, record = self.record("Decrypt", {
            "CiphertextBlob": reply.json["CiphertextBlob"], "KeyId": arn})
        self.assertEqual("InvalidCiphertextException", record["errorCode"])
        self.assertNotIn("errorMessage", record)
        self.assertEqual(self.resources(arn), record["resources"])

    def test_reencrypt_lists_both_keys(self):
        one, one_arn = self.new_key()
        two, two_arn = self.new_key()
        blob = self.kms.encrypt(KeyId=one, Plaintext=b"x")["CiphertextBlob"]
        _, record = self.record("ReEncrypt", {
            "CiphertextBlob": b64(blob), "DestinationKeyId": two,
            "DestinationEncryptionContext": {"a": "b"}})
        self.assertEqual(self.resources(one_arn, two_arn),
                         record["resources"])
        self.assertEqual(
            {"destinationKeyId": two,
             "sourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
             "destinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
             "destinationEncryptionContext": {"a": "b"}},
            record["requestParameters"])

    def test_life_of_a_key(self):
        reply, record = self.record("CreateKey", {"Description": "d"})
        m = reply.json["KeyMetadata"]
        logged = record["responseElements"]["keyMetadata"]
        self.assertEqual((m["Arn"], m["KeyId"], "Enabled", ACCOUNT),
                         (logged["arn"], logged["keyId"],
                          logged["keyState"], logged["aWSAccountId"]))
        self.assertRegex(logged["creationDate"],
                         r"^[A-Z][a-z]{2} \d{1,2}, \d{4}, \d{1,2}:\d\d:\d\d [AP]M$")
        self.assertEqual((False, self.resources(m["Arn"])),
                         (record["readOnly"], record["resources"]))
        for operation in ("DisableKey", "EnableKey"):
            _, record = self.record(operation, {"KeyId": m["KeyId"]})
            self.assertEqual(({"keyId": m["KeyId"]}, None, False), (
                record["requestParameters"], record["responseElements"],
                record["readOnly"]))
        _, record = self.record("ScheduleKeyDeletion", {
            "KeyId": m["KeyId"], "PendingWindowInDays": 7})
        scheduled = record["responseElements"]
        self.assertRegex(scheduled.pop("deletionDate"), r"^[A-Z][a-z]{2} ")
        self.assertEqual({"keyId": m["Arn"], "keyState": "PendingDeletion",
                          "pendingWindowInDays": 7}, scheduled)
        _, record = self.record("CancelKeyDeletion", {"KeyId": m["KeyId"]})
        self.assertEqual({"keyId": m["Arn"]}, record["responseElements"])

    def test_aliases_list_alias_and_key(self):
        key, arn = self.new_key()
        alias = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/logged"
        body = {"AliasName": "alias/logged", "TargetKeyId": key}
        _, record = self.record("CreateAlias", body)
        self.assertEqual(self.resources(alias, arn), record["resources"])
        self.assertEqual(({"aliasName": "alias/logged", "targetKeyId": key},
                          None), (record["requestParameters"],
                                  record["responseElements"]))
        _, record = self.record("DeleteAlias",
                                {"AliasName": "alias/logged"})
        self.assertEqual(self.resources(alias, arn), record["resources"])

    def test_failures_are_recorded(self):
        absent = "12345678-1234-1234-1234-123456789012"
        _, record = self.record("DescribeKey", {"KeyId": absent})
        self.assertEqual(
            ("NotFoundException", f"Key '{key_arn(absent)}' does not exist",
             {"keyId": absent}, None),
            (record["errorCode"], record["errorMessage"],
             record["requestParameters"], record["responseElements"]))
        _, record = self.record("DescribeKey", b"{")
        self.assertEqual(("SerializationException", None),
                         (record["errorCode"], record["requestParameters"]))
        _, record = self.record("Sign", {"KeyId": absent})
        self.assertEqual("UnsupportedOperationException",
                         record["errorCode"])
        _, record = self.record("Encrypt", {
            "KeyId": "alias/envelope", "Plaintext": "eA==", "DryRun": True})
        self.assertEqual(("DryRunOperationException", True),
                         (record["errorCode"],
                          record["requestParameters"]["dryRun"]))
        _, record = self.record("DescribeKey", {"KeyId": "é" * 2000})
        self.assertLessEqual(len(record["errorMessage"].encode()), 1024)

    def test_unknown_operation_has_no_name_of_the_clients(self):
        before = len(self.server.audit())
        self.server.call("", {}, target='TrentService.a","x":"')
        records = self.server.audit()[before:]
        self.assertEqual([("Unknown", "UnknownOperationException")],
                         [(r["eventName"], r["errorCode"]) for r in records])

    def test_hostile_user_agent(self):
        reply = self.server.call("ListKeys", extra=[
            ("User-Agent", 'x"}\x01é' + "y" * 2000)])
        self.assertEqual(200, reply.status)
        agent = self.server.audit()[-1]["userAgent"]
        self.assertTrue(agent.startswith('x"}'), agent)
        self.assertTrue(agent.isascii() and agent.isprintable())
        self.assertLess(len(agent), 1024)

    def test_nothing_secret_is_recorded(self):
        before = os.path.getsize(self.server.dir / "audit" / "audit.log")
        secret = os.urandom(33)
        blob = self.kms.encrypt(KeyId="alias/envelope", Plaintext=secret)
        self.kms.decrypt(CiphertextBlob=blob["CiphertextBlob"])
        self.server.call("Encrypt", {"KeyId": "nonsense",
                                     "Plaintext": b64(secret),
                                     "GrantTokens": ["token-of-mine"]})
        with open(self.server.dir / "audit" / "audit.log",
                  encoding="utf-8") as log:
            log.seek(before)
            text = log.read()
        self.assertEqual(3, text.count("\n"))
        for hidden in (b64(secret), "token-of-mine",
                       b64(blob["CiphertextBlob"])):
            self.assertNotIn(hidden, text)

    def test_signature_failures_leave_no_record(self):
        before = len(self.server.audit())
        self.server.call("ListKeys", secret="x" * 40)
        self.server.call("ListKeys", region="eu-west-1")
        self.assertEqual(before, len(self.server.audit()))

    def test_removed_trail_begins_anew(self):
        """security-30-removed-audit-trail-begins-anew"""
        trail = self.server.dir / "audit" / "audit.log"
        trail.unlink()
        for count in (1, 2):
            reply = self.server.call("ListKeys")
            records = self.server.audit()
            self.assertEqual((count, reply.headers["x-amzn-RequestId"]),
                             (len(records), records[-1]["requestID"]))
        self.assertEqual(0o600, trail.stat().st_mode & 0o777)
        self.assertIn(
            f"{trail}: the audit trail was removed, beginning another\n",
            self.server.stderr())

    def test_removed_folder_of_the_trail(self):
        """security-30-removed-audit-folder-answers-500"""
        folder = self.server.dir / "audit"
        shutil.rmtree(folder)
        try:
            reply = self.server.call("ListKeys")
        finally:
            folder.mkdir()
        self.assertEqual((500, {"__type": "KMSInternalException",
                                "message": INTERNAL}),
                         (reply.status, reply.json))
        self.assertIn("audit/audit.log: cannot write the audit trail, refusing the call: No such file or directory",
                      self.server.stderr())
        self.assertEqual(200, self.server.call("ListKeys").status)
        self.assertEqual(1, len(self.server.audit()))


class NoRecordNoAnswer(ServerCase):
    """The trail on a small file system of its own."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(start=False)
        cls.mount = cls.server.dir / "audit"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "kms-test",
                        cls.mount], check=True)
        cls.server.start()
        cls.kms = cls.server.client()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        subprocess.run(["umount", cls.mount], check=True)
        cls.server.close()

    def refuses_all(self):
        """Every operation that would give something away, or change."""
        keys = len(self.server.sql("SELECT key_id FROM kms_key"))
        state = self.server.sql("SELECT key_id, state FROM kms_key")
        blob = b64(self.blob)
        key = self.key
        for operation, body in (
                ("Decrypt", {"CiphertextBlob": blob}),
                ("Encrypt", {"KeyId": key, "Plaintext": "eA=="}),
                ("GenerateDataKey", {"KeyId": key, "NumberOfBytes": 64}),
                ("GenerateDataKeyWithoutPlaintext",
                 {"KeyId": key, "NumberOfBytes": 64}),
                ("GenerateRandom", {"NumberOfBytes": 64}),
                ("ReEncrypt", {"CiphertextBlob": blob,
                               "DestinationKeyId": key}),
                ("DescribeKey", {"KeyId": key}), ("CreateKey", {}),
                ("DisableKey", {"KeyId": key}),
                ("ScheduleKeyDeletion", {"KeyId": key}),
                ("DescribeKey", {"KeyId": "nonsense"})):
            reply = self.server.call(operation, body)
            self.assertEqual(
                (500, {"__type": "KMSInternalException",
                       "message": INTERNAL}), (reply.status, reply.json))
        self.assertEqual(keys, len(self.server.sql(
            "SELECT key_id FROM kms_key")))
        self.assertEqual(state, self.server.sql(
            "SELECT key_id, state FROM kms_key"))

    def setUp(self):
        self.key, _ = self.new_key()
        self.blob = self.kms.encrypt(KeyId=self.key,
                                     Plaintext=b"x")["CiphertextBlob"]

    def test_full_disk(self):
        """security-30-full-audit-disk-answers-500-and-gives-nothing"""
        whole = len(self.server.audit())
        filler = self.mount / "filler"
        with open(filler, "wb", buffering=0) as out:
            try:
                while out.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        # The trail's last page may still have room: fill it by calls.
        for _ in range(40):
            if self.server.call("ListKeys").status == 500:
                break
            whole += 1
        self.refuses_all()
        self.assertEqual(whole, len(self.server.audit()))
        self.assertIn("audit/audit.log: cannot write the audit trail, refusing the call: No space left on device",
                      self.server.stderr())
        filler.unlink()
        self.assertEqual(b"x", self.kms.decrypt(
            CiphertextBlob=self.blob)["Plaintext"])
        self.assertEqual(whole + 1, len(self.server.audit()))

    def test_read_only_disk(self):
        """security-30-read-only-audit-disk-answers-500-and-gives-nothing"""
        whole = len(self.server.audit())
        self.server.stop()
        self.remount("ro")
        self.server.start()
        try:
            self.refuses_all()
        finally:
            self.remount("rw")
        self.assertIn("audit/audit.log: cannot open the audit trail, refusing all calls until that is mended: Read-only file system",
                      self.server.stderr())
        self.assertEqual(whole, len(self.server.audit()))
        self.assertEqual(200, self.server.call("ListKeys").status)
        self.assertEqual(whole + 1, len(self.server.audit()))

    def test_file_that_cannot_grow(self):
        """security-30-torn-audit-records-are-taken-back"""
        whole = len(self.server.audit())
        size = os.path.getsize(self.mount / "audit.log")
        # Room for some of a record: what was written of it must not stay.
        self.limit(size + 100)
        try:
            self.refuses_all()
            self.assertEqual(size, os.path.getsize(self.mount / "audit.log"))
        finally:
            self.limit(resource.RLIM_INFINITY)
        self.assertEqual(200, self.server.call("ListKeys").status)
        self.assertEqual(whole + 1, len(self.server.audit()))

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.mount],
                       check=True)

    def limit(self, size):
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE,
                         (size, resource.RLIM_INFINITY))


if __name__ == "__main__":
    tap.main()
