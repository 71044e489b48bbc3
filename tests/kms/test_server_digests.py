#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Signed digests of the audit trail, judged by us and by the AWS CLI."""
import argparse
import base64
import contextlib
import gzip
import io
import json
import pathlib
import re
import shutil
import sys
import unittest

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from server_fixture import ACCOUNT, REGION, Server, run, wait_for

import tap

BUCKET = "envelope-kms-audit"
TRAIL = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/envelope-kms"
HOUR = 3600


def public_key(path):
    """As ListPublicKeys gives it: fingerprint and DER of PKCS #1."""
    key = serialization.load_pem_public_key(path.read_bytes())
    der = key.public_bytes(serialization.Encoding.DER,
                           serialization.PublicFormat.PKCS1)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return {"Fingerprint": digest.finalize().hex(),
            "Value": base64.b64encode(der).decode()}


class Bucket:
    """The folder of a trail as the S3 and CloudTrail clients of the CLI."""

    def __init__(self, folder, key):
        self.folder = folder
        self.key = key

    def create_client(self, name, *_args, **_kwargs):
        return self

    def get_bucket_location(self, Bucket):
        return {"LocationConstraint": None}

    def list_public_keys(self, **_range):
        return {"PublicKeyList": [self.key]}

    def get_paginator(self, name):
        return self

    def paginate(self, Bucket, Marker):
        self.marker = Marker
        return self

    def search(self, _what):
        keys = sorted(str(p.relative_to(self.folder))
                      for p in self.folder.rglob("AWSLogs/**/*.gz"))
        return [key for key in keys if key > self.marker]

    def get_object(self, Bucket, Key):
        import botocore.exceptions
        path = self.folder / Key
        if Bucket != BUCKET or not path.exists():
            raise botocore.exceptions.ClientError(
                {"Error": {"Code": "NoSuchKey", "Message": Key}},
                "GetObject")
        metadata = {"signature-algorithm": "SHA256withRSA"}
        sig = path.with_name(path.name + ".sig")
        if sig.exists():
            metadata["signature"] = sig.read_text()
        return {"Body": io.BytesIO(path.read_bytes()), "Metadata": metadata}


def aws_cli(folder, key):
    """(exit status, errors) of the CLI's own validate-logs."""
    from awscli.customizations.cloudtrail import validation
    judge = validation.CloudTrailValidateLogs(Bucket(folder, key))
    args = argparse.Namespace(
        trail_arn=TRAIL, start_time="2020-01-01T00:00:00Z",
        end_time="2099-01-01T00:00:00Z", s3_bucket=BUCKET, s3_prefix=None,
        account_id=ACCOUNT, verbose=False)
    options = argparse.Namespace(region=REGION, verify_ssl=None,
                                 endpoint_url=None)
    err = io.StringIO()
    with contextlib.redirect_stderr(err), \
            contextlib.redirect_stdout(io.StringIO()):
        status = judge._run_main(args, options)
    return status, err.getvalue()


def findings(text):
    """What is wrong with which object, in the words that both share."""
    found = set()
    for line in text.splitlines():
        match = re.match(
            r"(?:Digest file|Log file|digest|log)\s+(?:s3://[^/]+/)?(\S+?):?\s+"
            r"INVALID: (.*)", line)
        if match:
            what = match.group(2)
            if "public key not found" in what:
                what = "public key not found"
            found.add((match.group(1), what))
    return found


class Digests(unittest.TestCase):
    """A trail of five hours, the third of them empty; tests damage copies."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--test", start=False)
        cls.server.start_test_clock()
        cls.kms = cls.server.client()
        for hour in range(1, 6):
            if hour != 3:
                for _ in range(3):
                    cls.kms.generate_data_key(KeyId="alias/envelope",
                                              NumberOfBytes=64)
            cls.server.advance(hour * HOUR)
            wait_for(lambda: len(cls.digests(cls.server.dir)) == hour,
                     f"digest {hour}")
        if cls.server.stop():
            raise AssertionError(cls.server.stderr())

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    @staticmethod
    def digests(folder):
        return sorted((folder / "audit").glob(
            "AWSLogs/*/CloudTrail-Digest/**/*.json.gz"))

    @staticmethod
    def logs(folder):
        return sorted((folder / "audit").glob(
            "AWSLogs/*/CloudTrail/**/*.json.gz"))

    def setUp(self):
        self.dir = self.server.folder / "copy"
        shutil.copytree(self.server.dir, self.dir)
        self.addCleanup(shutil.rmtree, self.dir)

    def verify(self, *options):
        return run("audit", "verify", self.dir, *options)

    def object(self, path):
        return str(path.relative_to(self.dir / "audit"))

    def damaged(self, expected, cli_sees=True):
        """Both find @expected: {(object, what is wrong)}."""
        done = self.verify()
        self.assertEqual((1, ""), (done.returncode, done.stderr),
                         done.stdout)
        self.assertEqual(expected, findings(done.stdout))
        status, text = aws_cli(self.dir / "audit",
                               public_key(self.dir / "audit.pem"))
        if cli_sees:
            self.assertEqual((1, expected), (status, findings(text)))
        else:
            self.assertEqual((0, set()), (status, findings(text)))

    def test_good(self):
        """kms-audit-digests-are-valid-to-the-aws-cli"""
        done = self.verify()
        self.assertEqual(
            (0, "5 of 5 digests valid, 4 of 4 log files valid\n"
             "0 records since the last digest, which nothing proves yet\n",
             ""), (done.returncode, done.stdout, done.stderr))
        self.assertEqual((0, ""), aws_cli(
            self.dir / "audit", public_key(self.dir / "audit.pem")))

    def test_all_records_are_in_log_files(self):
        records = [record["eventName"] for log in self.logs(self.dir)
                   for record in json.loads(
                       gzip.decompress(log.read_bytes()))["Records"]]
        self.assertEqual(["GenerateDataKey"] * 12, records)
        self.assertEqual("", (self.dir / "audit/audit.log").read_text())

    def test_empty_hour(self):
        """kms-audit-empty-hour-has-a-digest"""
        body = json.loads(gzip.decompress(
            self.digests(self.dir)[2].read_bytes()))
        self.assertEqual(([], None, None), (
            body["logFiles"], body["newestEventTime"],
            body["oldestEventTime"]))

    def test_members(self):
        bodies = [json.loads(gzip.decompress(path.read_bytes()))
                  for path in self.digests(self.dir)]
        for before, after in zip(bodies, bodies[1:]):
            self.assertEqual(before["digestEndTime"],
                             after["digestStartTime"])
            self.assertEqual(before["digestS3Object"],
                             after["previousDigestS3Object"])
        self.assertEqual([None] * 5, [
            bodies[0][f"previousDigest{name}"] for name in (
                "S3Bucket", "S3Object", "HashValue", "HashAlgorithm",
                "Signature")])
        self.assertEqual({"SHA256withRSA"},
                         {b["digestSignatureAlgorithm"] for b in bodies})

    def rewrite(self, path, change):
        text = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(change(text)))

    def test_flipped_byte(self):
        """kms-audit-verify-finds-a-flipped-byte"""
        log = self.logs(self.dir)[1]
        self.rewrite(log, lambda text: text.replace(b"64", b"63", 1))
        self.damaged({(self.object(log), "hash value doesn't match")})

    def test_log_that_is_no_gzip(self):
        log = self.logs(self.dir)[1]
        log.write_bytes(log.read_bytes()[:-9])
        done = self.verify()
        self.assertEqual(1, done.returncode)
        self.assertIn(self.object(log) + ": INVALID: ", done.stdout)

    def test_removed_log(self):
        """kms-audit-verify-finds-a-removed-log"""
        log = self.logs(self.dir)[0]
        log.unlink()
        self.damaged({(self.object(log), "not found")})

    def test_removed_digest(self):
        """kms-audit-verify-finds-a-removed-digest"""
        digest = self.digests(self.dir)[2]
        digest.unlink()
        self.damaged({(self.object(digest), "not found")})

    def test_cut_tail(self):
        """kms-audit-verify-finds-a-cut-tail"""
        digest = self.digests(self.dir)[-1]
        log = self.logs(self.dir)[-1]
        digest.unlink()
        log.unlink()
        self.damaged({(self.object(digest), "not found")}, cli_sees=False)

    def test_swapped_digests(self):
        """kms-audit-verify-finds-swapped-digests"""
        one, two = self.digests(self.dir)[1:3]
        for suffix in ("", ".sig"):
            a, b = (p.with_name(p.name + suffix) for p in (one, two))
            kept = a.read_bytes()
            a.write_bytes(b.read_bytes())
            b.write_bytes(kept)
        moved = "has been moved from its original location"
        done = self.verify()
        self.assertEqual({(self.object(one), moved),
                          (self.object(two), moved)},
                         {f for f in findings(done.stdout)
                          if "Digest" in f[0]})
        status, text = aws_cli(self.dir / "audit",
                               public_key(self.dir / "audit.pem"))
        self.assertEqual((1, {(self.object(one), moved),
                              (self.object(two), moved)}),
                         (status, findings(text)))

    def test_signed_with_another_key(self):
        """kms-audit-verify-finds-another-key"""
        digest = self.digests(self.dir)[-1]
        sig = digest.with_name(digest.name + ".sig")
        text = gzip.decompress(digest.read_bytes())
        body = json.loads(text)
        sha = hashes.Hash(hashes.SHA256())
        sha.update(text)
        to_sign = (f"{body['digestEndTime']}\n{BUCKET}/"
                   f"{body['digestS3Object']}\n{sha.finalize().hex()}\n"
                   f"{body['previousDigestSignature']}")
        stranger = rsa.generate_private_key(65537, 2048)
        sig.write_text(stranger.sign(to_sign.encode(), padding.PKCS1v15(),
                                     hashes.SHA256()).hex())
        done = self.verify()
        wrong = (self.object(digest), "signature verification failed")
        self.assertEqual(1, done.returncode)
        self.assertIn(wrong, findings(done.stdout))
        status, text = aws_cli(self.dir / "audit",
                               public_key(self.dir / "audit.pem"))
        self.assertEqual((1, {wrong}), (status, findings(text)))

    def test_key_kept_elsewhere(self):
        """kms-audit-verify-with-a-key-kept-elsewhere"""
        kept = self.server.folder / "kept.pem"
        shutil.copy(self.dir / "audit.pem", kept)
        self.assertEqual(0, self.verify("--key", kept).returncode)
        stranger = rsa.generate_private_key(65537, 2048).public_key()
        kept.write_bytes(stranger.public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo))
        done = self.verify("--key", kept)
        self.assertEqual(1, done.returncode)
        self.assertEqual(5, done.stdout.count(
            "INVALID: public key not found for its fingerprint"))

    def test_log_in_no_digest(self):
        """kms-audit-verify-finds-a-log-in-no-digest"""
        log = self.logs(self.dir)[0]
        extra = log.with_name(log.name.replace(ACCOUNT, "0"))
        shutil.copy(log, extra)
        self.damaged({(self.object(extra), "not in any digest")},
                     cli_sees=False)

    def test_log_before_its_digest(self):
        """kms-audit-verify-takes-what-a-crash-left-before-a-digest"""
        log = self.logs(self.dir)[-1]
        trail, stem = self.dir / "audit", log.name.rsplit("_", 1)[0]
        older = log.name.rsplit("_", 1)[1][:16]
        for stamp, good in (("20990101T000000Z", True), (older, False)):
            fresh = log.with_name(f"{stem[:-1]}_{stamp}.json.gz")
            pending = trail / f"pending-{stamp}.log"
            shutil.copy(log, fresh)
            pending.write_text('{"eventName":"Decrypt"}\n')
            done = self.verify()
            self.assertEqual((0 if good else 1, ""),
                             (done.returncode, done.stderr), done.stdout)
            self.assertIn("1 records since the last digest", done.stdout)
            pending.unlink()
            self.damaged({(self.object(fresh), "not in any digest")},
                         cli_sees=False)
            fresh.unlink()

    def test_tail_without_digest(self):
        """security-30-audit-verify-reports-the-undigested-tail"""
        tail = self.dir / "audit/audit.log"
        tail.write_text('{"eventName":"Decrypt"}\n{"eventName":"De')
        done = self.verify()
        self.assertEqual(1, done.returncode)
        self.assertIn("1 records since the last digest, which nothing proves yet\n1 lines there are no records: INVALID\n",
                      done.stdout)

    def test_json(self):
        """kms-audit-verify-answers-in-json"""
        good = {"valid": True, "digests": {"valid": 5, "total": 5},
                "log_files": {"valid": 4, "total": 4},
                "undigested_records": 0, "torn_lines": 0,
                "chain_begins_anew": [], "findings": []}
        done = self.verify("--json")
        self.assertEqual((0, good, ""), (
            done.returncode, json.loads(done.stdout), done.stderr))
        log, digest = self.logs(self.dir)[-1], self.digests(self.dir)[2]
        log.unlink()
        digest.unlink()
        (self.dir / "audit/audit.log").write_text("{}\nx\n")
        done = self.verify("--json")
        self.assertEqual((1, {
            **good, "valid": False, "digests": {"valid": 4, "total": 5},
            "log_files": {"valid": 3, "total": 4}, "undigested_records": 1,
            "torn_lines": 1, "findings": [
                {"kind": "log", "object": self.object(log),
                 "problem": "not found"},
                {"kind": "digest", "object": self.object(digest),
                 "problem": "not found"}]}, ""), (
            done.returncode, json.loads(done.stdout), done.stderr))

    def test_usage(self):
        for args in (("audit",), ("audit", "verify"),
                     ("audit", "verify", "a", "b"), ("audit", "mend", "a")):
            done = run(*args)
            self.assertEqual((2, "envelope-kms: audit: give verify and a directory; see envelope-kms audit --help\n"),
                             (done.returncode, done.stderr))
        self.assertIn("audit verify DIR", run("audit", "--help").stdout)
        done = run("audit", "verify", "/nonexistent")
        self.assertEqual((1, "envelope-kms: /nonexistent/audit.pem: cannot read a public key in PEM\n"),
                         (done.returncode, done.stderr))


class Crashes(unittest.TestCase):
    def test_torn_record_of_a_power_cut(self):
        """kms-audit-torn-record-of-a-power-cut-is-removed"""
        server = Server()
        self.addCleanup(server.close)
        server.call("ListKeys")
        server.stop()
        trail = server.dir / "audit/audit.log"
        whole = trail.read_bytes()
        for torn in (b'{"eventName":"De', b"x" * 10000):
            trail.write_bytes(whole + torn)
            server.start()
            server.stop()
            self.assertEqual(whole, trail.read_bytes())
            self.assertIn(f"{trail}: removing a torn record of {len(torn)} bytes at its end\n",
                          server.stderr())

    def test_digest_without_its_name_gets_it(self):
        """kms-audit-digest-survives-a-crash-before-its-name"""
        server = Server("--test", start=False)
        self.addCleanup(server.close)
        server.start_test_clock()
        server.call("ListKeys")
        server.advance(HOUR)
        wait_for(lambda: Digests.digests(server.dir), "a digest")
        server.stop()
        digest, = Digests.digests(server.dir)
        sig = digest.with_name(digest.name + ".sig")
        digest.rename(server.dir / "audit" / f"next-{REGION}")
        sig.rename(server.dir / "audit" / f"next-{REGION}.sig")
        server.start_test_clock()
        server.stop()
        self.assertTrue(digest.exists() and sig.exists())
        done = run("audit", "verify", server.dir)
        self.assertEqual(0, done.returncode, done.stdout)

    def test_regions_that_were(self):
        """kms-audit-digests-of-a-region-that-was-stay-in-order"""
        server = Server("--test", start=False)
        self.addCleanup(server.close)
        server.advance(3 * HOUR)
        server.start_test_clock("--digest-seconds", "1")
        server.call("ListKeys")
        wait_for(lambda: Digests.logs(server.dir), "a log file")
        server.stop()
        count = len(Digests.digests(server.dir))
        # Its last records, under a clock that was set back meanwhile.
        trail = server.dir / "audit/audit.log"
        record = {"eventID": "late", "awsRegion": REGION,
                  "eventTime": "2026-01-01T00:00:00Z"}
        trail.write_text(json.dumps(record, separators=(",", ":")) + "\n")
        server.advance(HOUR)
        server.start_test_clock("--region", "eu-central-1",
                                "--digest-seconds", "1")
        wait_for(lambda: len(Digests.digests(server.dir)) > count + 2,
                 "digests of both")
        server.stop()
        self.assertIn("late", {r["eventID"] for r in server.audit()})
        done = run("audit", "verify", server.dir)
        self.assertEqual(0, done.returncode, done.stdout)


if __name__ == "__main__":
    tap.main()
