#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Several regions in one envelope-kms, and nothing of one in another."""
import unittest

from server_fixture import ACCOUNT, Server, ServerCase, key_arn, run
import tap

HERE, THERE = "eu-central-1", "us-west-2"
REGIONS = ("--region", HERE, "--region", THERE)
NO_KEY = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."


class Regions(ServerCase):
    options = REGIONS

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.here = cls.server.client(region=HERE)
        cls.there = cls.server.client(region=THERE)

    def test_default_key_in_each(self):
        ids = set()
        for region, kms in ((HERE, self.here), (THERE, self.there)):
            m = kms.describe_key(KeyId="alias/envelope")["KeyMetadata"]
            self.assertEqual(key_arn(m["KeyId"], region), m["Arn"])
            ids.add(m["KeyId"])
        self.assertEqual(2, len(ids))

    def test_configuration_has_a_section_of_each(self):
        conf = (self.server.dir / "envelope.conf").read_text()
        for region in (HERE, THERE):
            self.assertIn(f"[region {region}]\n", conf)
            self.assertIn(f"allow-keys = arn:aws:kms:{region}:{ACCOUNT}:key/*\n",
                          conf)

    def test_a_key_stays_in_its_region(self):
        """kms-single-region-key-never-leaves-its-region"""
        made = self.here.create_key()["KeyMetadata"]
        blob = self.here.encrypt(KeyId=made["KeyId"],
                                 Plaintext=b"x")["CiphertextBlob"]
        self.refused("NotFoundException",
                     f"Key '{key_arn(made['KeyId'], THERE)}' does not exist",
                     self.there.describe_key, KeyId=made["KeyId"])
        self.refused("AccessDeniedException", NO_KEY, self.there.decrypt,
                     CiphertextBlob=blob)
        self.assertEqual(made["Arn"], self.here.decrypt(
            CiphertextBlob=blob)["KeyId"])
        listed = [k["KeyId"] for k in self.there.list_keys()["Keys"]]
        self.assertNotIn(made["KeyId"], listed)

    def test_arn_of_another_region(self):
        """kms-arn-of-another-region-refused"""
        made = self.here.create_key()["KeyMetadata"]
        alias = f"arn:aws:kms:{HERE}:{ACCOUNT}:alias/envelope"
        for kms, arn in ((self.there, made["Arn"]), (self.there, alias)):
            self.refused("NotFoundException", f"Invalid arn {HERE}",
                         kms.describe_key, KeyId=arn)
        self.refused("NotFoundException", f"Invalid arn {HERE}",
                     self.there.encrypt, KeyId=made["Arn"], Plaintext=b"x")
        self.refused("NotFoundException", f"Invalid arn {HERE}",
                     self.there.re_encrypt, CiphertextBlob=b"x" * 200,
                     SourceKeyId=made["Arn"],
                     DestinationKeyId="alias/envelope")

    def test_aliases_are_of_a_region(self):
        mine = self.here.create_key()["KeyMetadata"]["KeyId"]
        theirs = self.there.create_key()["KeyMetadata"]["KeyId"]
        self.here.create_alias(AliasName="alias/same", TargetKeyId=mine)
        self.refused("NotFoundException",
                     f"Alias arn:aws:kms:{THERE}:{ACCOUNT}:alias/same is not found.",
                     self.there.describe_key, KeyId="alias/same")
        self.there.create_alias(AliasName="alias/same", TargetKeyId=theirs)
        for kms, key in ((self.here, mine), (self.there, theirs)):
            self.assertEqual(key, kms.describe_key(
                KeyId="alias/same")["KeyMetadata"]["KeyId"])

    def test_a_region_that_is_not_served(self):
        reply = self.server.call("ListKeys", region="ap-south-1")
        self.assertEqual(
            ("InvalidSignatureException",
             "Credential should be scoped to a valid region, not 'ap-south-1'."),
            (reply.code, reply.message))

    def test_the_trail_names_the_region(self):
        self.there.create_key(Description="trail")
        record = [r for r in self.server.audit()
                  if r["eventName"] == "CreateKey"][-1]
        self.assertEqual(THERE, record["awsRegion"])


class Chosen(unittest.TestCase):
    def test_serve_decides(self):
        server = Server(start=False)
        self.addCleanup(server.end)
        server.start("--region", HERE, "--region", "us-east-1")
        self.assertEqual(200, server.call("ListKeys", region=HERE).status)
        self.assertEqual(200, server.call("ListKeys").status)
        self.assertIn(f"[region {HERE}]\n", server.stdout())

    def test_wrong_lists(self):
        for args, words in (
                ((HERE, HERE), f"--region {HERE}: named twice"),
                (("EU",), "--region EU: not a region name"),
                (tuple("r" * 30 + f"{i:02}" for i in range(40)),
                 "--region: more than fit into 1024 characters")):
            options = [o for name in args for o in ("--region", name)]
            done = run("serve", "/nonexistent", *options)
            self.assertEqual(2, done.returncode)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    tap.main()
