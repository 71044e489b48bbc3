# SPDX-License-Identifier: GPL-2.0-or-later
"""Stores in S3 at a server that nobody here wrote: the gateway of Ceph."""
import re
import subprocess

import boto3
import botocore.config

import ceph
import snapshot_case
from s3_case import S3Case
from snapshot_case import CHUNK


class Gateway(S3Case):
    ACCESS, SECRET, REGION = ceph.ACCESS, ceph.SECRET, ceph.REGION

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ceph = ceph.Ceph()
        cls.addClassCleanup(cls.ceph.close)
        cls.s3 = boto3.client(
            "s3", endpoint_url=cls.ceph.endpoint, region_name=cls.REGION,
            aws_access_key_id=cls.ACCESS, aws_secret_access_key=cls.SECRET,
            config=botocore.config.Config(s3={"addressing_style": "path"}))

    def setUp(self):
        super().setUp()
        self.bucket = self.new_bucket()
        self.endpoint = self.ceph.endpoint
        self.place = f"s3://{self.bucket}/of/host-1"

    def new_bucket(self):
        name = self.ceph.bucket_name()
        self.s3.create_bucket(Bucket=name)
        return name

    def objects(self, bucket=None):
        """By their keys."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket or self.bucket)
        return {o["Key"]: o for page in pages
                for o in page.get("Contents", [])}

    def count(self, kind):
        return sum(f"/{kind}/" in key for key in self.objects())

    def aws(self, *args):
        return subprocess.run(
            ["/usr/bin/aws", "--endpoint-url", self.endpoint, "--profile",
             "s3", "--region", self.REGION, *args], env=self.environment(),
            capture_output=True, text=True, check=True,
            timeout=snapshot_case.WAIT_SECONDS).stdout

    def test_life(self):
        """rgw: create, list, show, verify, copy, restore, delete, gc"""
        disk, one = self.taken()
        self.fill(disk, (CHUNK, 4096))
        two = self.made("create", disk)
        self.assertEqual({one, two}, set(self.listed()))
        self.snap("show", two, says=two)
        self.snap("verify", two)
        self.assertEqual(5, self.count("blocks"))
        copy = self.made("copy", "--kms-key", self.new_key(), two)
        self.assertEqual(9, self.count("blocks"))
        target = self.folder / "target"
        self.snap("restore", copy, target)
        self.assertEqual(self.plaintext(disk), self.plaintext(target))
        self.snap("delete", one)
        self.snap("gc", "--min-age", "0s")
        self.assertEqual(8, self.count("blocks"))
        self.snap("verify", two)
        self.snap("verify", copy)

    def test_aws(self):
        """rgw: the AWS command line lists a store, and copies it whole"""
        _, one = self.taken()
        lines = [line.split(None, 3) for line in self.aws(
            "s3", "ls", "--recursive", self.place + "/").splitlines()]
        sizes = {key: int(size) for _, _, size, key in lines}
        self.assertEqual({k: o["Size"] for k, o in self.objects().items()},
                         sizes)
        self.assertIn(f"of/host-1/snapshots/{one}", sizes)
        self.assertEqual([CHUNK] * 4, [size for key, size in sizes.items()
                                       if "/blocks/" in key])
        there = self.folder / "there"
        self.aws("s3", "sync", "--quiet", self.place, str(there))
        self.place = str(there)
        self.snap("verify", one)

    def test_condition(self):
        """rgw: what is there is not written again"""
        _, one = self.taken()
        before = self.objects()
        self.made("copy", "--same-key", one)
        after = self.objects()
        self.assertEqual(1, len(after.keys() - before.keys()))
        for key, was in before.items():
            self.assertEqual(was["LastModified"], after[key]["LastModified"],
                             key)

    def copied(self, one, place, *args):
        """The copy's id, and how much was sent or received for it."""
        trace = self.folder / "trace"
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", trace, "-e", "trace=network", "-e",
             "signal=none", *self.command("copy", "--same-key", "--json",
                                          *self.to(place), *args, one)],
            env=self.environment(), capture_output=True, text=True,
            check=True, timeout=snapshot_case.WAIT_SECONDS)
        return self.json(done)["snapshot_id"], sum(
            int(n) for n in re.findall(
                r"(?:recv|send)\w*(?:\(| resumed).* = (\d+)$",
                trace.read_text(), re.M))

    def test_copied_by_server(self):
        """rgw: with the same key the server copies, also into another bucket"""
        disk, one = self.taken()
        _, moved = self.copied(one, self.place + "-read", "--verify")
        self.assertGreater(moved, 8 * CHUNK)
        for place in self.place + "-2", f"s3://{self.new_bucket()}/x":
            copy, moved = self.copied(one, place)
            self.assertLess(moved, CHUNK // 2)
            here, self.place = self.place, place
            self.snap("verify", copy)
            self.assertEqual(self.plaintext(disk), self.plaintext(copy))
            self.place = here

    def test_pages(self):
        """rgw: a list of more than a page"""
        self.taken()
        for i in range(1005):
            self.s3.put_object(
                Bucket=self.bucket, Body=b"",
                Key=f"of/host-1/snapshots/snap-{i:017x}")
        done = self.snap("list", status=6)
        self.assertEqual(1005, len({w for w in done.stderr.split() if
                                    w.strip("':").startswith("snap-0")}))

    def test_refused(self):
        """rgw: a wrong secret, a bucket that is not there, a wrong clock"""
        _, one = self.taken()
        self.write_credentials("not-the-secret")
        self.snap("verify", "--hashes-only", one, status=3,
                  says="SignatureDoesNotMatch; check the credentials")
        self.write_credentials(self.SECRET)
        fast = ["faketime", "-f", "+1h"]
        command = self.command
        self.command = lambda *args: [*fast, *command(*args)]
        self.snap("list", status=3,
                  says="RequestTimeTooSkewed; check the credentials, the clock")
        self.command = command
        self.place = f"s3://{self.ceph.bucket_name()}/x"
        self.snap("list", status=1, says="there is no such bucket: make it")
        disk = self.volume()
        self.snap("create", disk, status=1, says="there is no such bucket")
        self.place = f"s3://{self.bucket}/of/host-2"
        self.snap("list", status=1, says="is no store of snapshots")


snapshot_case.main()
