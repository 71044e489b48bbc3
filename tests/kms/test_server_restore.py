#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""No backup brings back what was revoked since: restore replays the trail."""
import gzip
import json
import os
import time
import unittest

from server_backup import BackupCase, policy, restore
from server_fixture import ACCOUNT, Api, key_arn, run, wait_for
from test_server_import import FOREVER, wrap
import tap

DAY = 86400
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
DENY = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "kms:Encrypt",
        "Resource": "*"}


class Replay(BackupCase):
    options = ("--test", "--region", "us-east-1", "--region", "eu-west-1")

    def test_states(self):
        """security-29-restore-replays-the-states-of-keys"""
        disabled, enabled, doomed, spared, gone = (self.new_key()
                                                   for _ in range(5))
        self.kms.disable_key(KeyId=enabled)
        self.kms.schedule_key_deletion(KeyId=spared)
        self.backup()
        self.kms.disable_key(KeyId=disabled)
        self.kms.enable_key(KeyId=enabled)
        self.kms.cancel_key_deletion(KeyId=spared)
        self.kms.schedule_key_deletion(KeyId=gone, PendingWindowInDays=7)
        self.server.advance(8 * DAY)
        wait_for(lambda: self.code(self.kms.describe_key, KeyId=gone),
                 "the key to go")
        date = self.kms.schedule_key_deletion(
            KeyId=doomed, PendingWindowInDays=9)["DeletionDate"]
        self.assertEqual([], self.restore())
        self.assertEqual(["Disabled", "Enabled", "Disabled",
                          "PendingDeletion"],
                         [self.state(k) for k in (disabled, enabled, spared,
                                                  doomed)])
        self.assertEqual(int(date), self.kms.describe_key(KeyId=doomed)[
            "KeyMetadata"]["DeletionDate"])
        self.assertEqual("NotFoundException",
                         self.code(self.kms.describe_key, KeyId=gone))

    def test_digested(self):
        """security-29-restore-replays-what-is-in-signed-digests"""
        key = self.new_key()
        other = Api(self.server, region="eu-west-1")
        there = other.create_key()["KeyMetadata"]["KeyId"]
        self.digest()
        self.backup()
        self.kms.disable_key(KeyId=key)
        self.digest()
        other.disable_key(KeyId=there)
        self.digest()
        self.assertEqual([], self.restore())
        self.assertEqual("Disabled", self.state(key))
        self.assertEqual("Disabled", Api(self.server, region="eu-west-1")
                         .describe_key(KeyId=there)["KeyMetadata"][
                             "KeyState"])

    def digest(self):
        """Until all that was recorded so far is in a log file."""
        trail = self.server.dir / "audit"
        wait_for(lambda: not (trail / "audit.log").read_text() and
                 not list(trail.glob("pending-*")), "a digest")

    def test_grants(self):
        """security-29-restore-replays-revoked-and-retired-grants"""
        key = self.new_key()
        run("identity", "create-user", self.server.dir, "alice")
        made = [self.kms.create_grant(KeyId=key, GranteePrincipal=ALICE,
                                      Operations=["Decrypt"], Name=name)
                for name in ("revoked", "retired", "by-token", "kept")]
        self.backup()
        self.kms.revoke_grant(KeyId=key, GrantId=made[0]["GrantId"])
        self.kms.retire_grant(KeyId=key_arn(key),
                              GrantId=made[1]["GrantId"])
        self.kms.retire_grant(GrantToken=made[2]["GrantToken"])
        late = self.kms.create_grant(KeyId=key, GranteePrincipal=ALICE,
                                     Operations=["Encrypt"])
        self.code(self.kms.revoke_grant, KeyId=key, DryRun=True,
                  GrantId=made[3]["GrantId"])
        notes = self.restore()
        self.assertEqual([made[3]["GrantId"]], [
            g["GrantId"] for g in self.kms.list_grants(KeyId=key)["Grants"]])
        self.assertEqual(1, len(notes))
        self.assertRegex(notes[0], f"^CreateGrant of [0-9TZ:-]+, {key_arn(key)}: not in the backup; do it again$")
        self.assertTrue(late)

    def test_left_twice(self):
        """kms-restore-counts-once-what-a-crash-left-twice"""
        key = self.new_key()
        run("identity", "create-user", self.server.dir, "alice")
        self.backup()
        self.kms.create_grant(KeyId=key, GranteePrincipal=ALICE,
                              Operations=["Encrypt"])
        trail = self.server.dir / "audit"
        self.digest()
        # A server that was killed here had not yet removed what it put away.
        log = max(trail.glob("AWSLogs/*/CloudTrail/us-east-1/**/*.gz"),
                  key=lambda p: p.name.split("_")[-1])
        records = json.loads(gzip.decompress(log.read_bytes()))["Records"]
        stamp = log.name.split("_")[-1].split(".")[0]
        self.server.stop()
        (trail / f"pending-{stamp}.log").write_text("".join(
            json.dumps(r, separators=(",", ":")) + "\n" for r in records))
        self.assertIn("CreateGrant", [r["eventName"] for r in records])
        self.assertEqual(1, len(self.restore()))

    def test_no_live_file(self):
        """kms-backup-and-restore-without-a-live-file-of-the-trail"""
        key = self.new_key()
        self.digest()
        self.server.stop()
        live = self.server.dir / "audit" / "audit.log"
        live.unlink()
        self.backup()
        self.serve()
        self.kms.disable_key(KeyId=key)
        self.assertEqual([], self.restore())
        self.assertEqual("Disabled", self.state(key))

    def test_policies(self):
        """security-29-restore-replays-policies-of-any-length"""
        short, long = self.new_key(), self.new_key()
        longest = policy(*({**DENY, "Sid": f"s{i:0200}\n\t\"\u00e9"}
                           for i in range(99)))
        longest += " " * (32768 - len(longest.encode()))
        self.backup()
        for key, text in ((short, policy(DENY)), (long, longest)):
            self.kms.put_key_policy(KeyId=key, PolicyName="default",
                                    Policy=text)
        self.assertEqual([], self.restore())
        for key in (short, long):
            self.assertEqual("AccessDeniedException", self.code(
                self.kms.encrypt, KeyId=key, Plaintext=b"x"))
        self.assertEqual(longest, self.kms.get_key_policy(
            KeyId=long)["Policy"])

    def test_untold_policy(self):
        """security-29-restore-disables-the-key-of-an-untold-policy"""
        key = self.new_key()
        self.backup()
        self.serve_without_digests()
        self.kms.put_key_policy(KeyId=key, PolicyName="default",
                                Policy=policy(DENY))
        # What was done with the key since does not open it.
        self.kms.disable_key(KeyId=key)
        self.kms.enable_key(KeyId=key)
        self.alter_trail(r',"policy":"(\\.|[^"])*"', "")
        notes = self.restore()
        self.assertEqual("Disabled", self.state(key))
        self.assertEqual(1, len(notes))
        self.assertRegex(notes[0], f"^PutKeyPolicy of [0-9TZ:-]+, {key_arn(key)}: not told by the trail; the key is disabled: do it again, then enable the key$")
        # It stays so in whatever is restored from the same backup later.
        self.kms.enable_key(KeyId=key)
        self.assertEqual(
            ["DisableKey", "EnableKey", "DisableKey", "EnableKey"],
            [r["eventName"] for r in self.server.audit()
             if r["eventName"] in ("DisableKey", "EnableKey")])

    def test_unknown_change(self):
        """security-29-restore-disables-the-key-of-a-change-it-does-not-know"""
        key = self.new_key()
        self.backup()
        self.serve_without_digests()
        self.kms.tag_resource(KeyId=key, Tags=[{"TagKey": "a",
                                                "TagValue": "b"}])
        self.alter_trail('"eventName":"TagResource"',
                         '"eventName":"FutureOperation"')
        notes = self.restore()
        self.assertEqual("Disabled", self.state(key))
        self.assertRegex(notes[0], "^FutureOperation of .*the key is disabled")

    def test_aliases_and_tags(self):
        """security-29-restore-replays-aliases-and-tags"""
        old, new = self.new_key(), self.new_key()
        for name in ("moved", "deleted", "to-a-lost-key"):
            self.kms.create_alias(AliasName=f"alias/{name}",
                                  TargetKeyId=old)
        self.kms.tag_resource(KeyId=old, Tags=[
            {"TagKey": "gone", "TagValue": "x"},
            {"TagKey": "changed", "TagValue": "x"}])
        self.backup()
        lost = self.new_key()
        self.kms.update_alias(AliasName="alias/moved", TargetKeyId=new)
        self.kms.update_alias(AliasName="alias/to-a-lost-key",
                              TargetKeyId=lost)
        self.kms.delete_alias(AliasName="alias/deleted")
        self.kms.create_alias(AliasName="alias/made", TargetKeyId=new)
        self.kms.untag_resource(KeyId=old, TagKeys=["gone"])
        self.kms.tag_resource(KeyId=old, Tags=[
            {"TagKey": "changed", "TagValue": "y"}])
        notes = self.restore()
        self.assertEqual(
            {"alias/moved": new, "alias/made": new},
            {a["AliasName"]: a["TargetKeyId"]
             for a in self.kms.list_aliases()["Aliases"]
             if a["AliasName"] != "alias/envelope" and
             not a["AliasName"].startswith("alias/aws/")})
        self.assertEqual([{"TagKey": "changed", "TagValue": "y"}],
                         self.kms.list_resource_tags(KeyId=old)["Tags"])
        self.assertEqual(1, len(notes))
        self.assertRegex(notes[0], f"^CreateKey of .*{lost}: made after the backup and lost$")

    def test_rotation(self):
        """kms-restore-says-what-a-rotation-since-costs"""
        key = self.new_key()
        self.backup()
        self.kms.rotate_key_on_demand(KeyId=key)
        notes = self.restore()
        self.assertEqual(1, len(notes))
        self.assertRegex(notes[0], f"^RotateKey of .*{key}: not in the backup; what the key has encrypted since cannot be decrypted$")

    def test_imported_material(self):
        """security-29-restore-replays-deleted-imported-material"""
        key = self.new_key(Origin="EXTERNAL")
        data = os.urandom(32)
        self.bring(key, data)
        blob = self.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        self.backup()
        self.kms.delete_imported_key_material(KeyId=key)
        self.assertEqual([], self.restore())
        self.assertEqual("PendingImport", self.state(key))
        self.bring(key, data)
        self.assertEqual(b"x", self.kms.decrypt(CiphertextBlob=blob)[
            "Plaintext"])

    def test_states_without_material(self):
        """security-29-restore-enables-no-key-without-its-material"""
        enabled, disabled = (self.new_key(Origin="EXTERNAL")
                             for _ in range(2))
        self.backup()
        for key in (enabled, disabled):
            self.bring(key, os.urandom(32))
            self.kms.disable_key(KeyId=key)
        self.kms.enable_key(KeyId=enabled)
        notes = self.restore()
        self.assertEqual(["PendingImport"] * 2,
                         [self.state(k) for k in (enabled, disabled)])
        self.assertEqual(2, len(notes))
        for line in notes:
            self.assertRegex(line, "^ImportKeyMaterial of .*: not in the backup; do it again$")

    def test_expiry(self):
        """security-29-restore-replays-the-dates-of-imported-material"""
        shortened, expired = (self.new_key(Origin="EXTERNAL")
                              for _ in range(2))
        data = os.urandom(32)
        self.bring(shortened, data)
        end = int(time.time()) + DAY
        self.bring(expired, os.urandom(32), ValidTo=end,
                   ExpirationModel="KEY_MATERIAL_EXPIRES")
        self.backup()
        self.server.advance(2 * DAY)
        wait_for(lambda: self.state(expired) == "PendingImport",
                 "the material to expire")
        end = int(time.time()) + 3 * DAY + 0.5
        self.bring(shortened, data, ValidTo=end,
                   ExpirationModel="KEY_MATERIAL_EXPIRES")
        self.assertEqual([], self.restore())
        self.assertEqual("PendingImport", self.state(expired))
        self.assertEqual(end, self.kms.describe_key(KeyId=shortened)[
            "KeyMetadata"]["ValidTo"])
        self.server.advance(4 * DAY)
        self.assertEqual("PendingImport", self.state(shortened))

    def bring(self, key, data, **options):
        got = self.kms.get_parameters_for_import(
            KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256",
            WrappingKeySpec="RSA_2048")
        self.kms.import_key_material(
            KeyId=key, ImportToken=got["ImportToken"],
            EncryptedKeyMaterial=wrap(got["PublicKey"], data),
            **(options or FOREVER))

    def test_primary_region(self):
        """kms-restore-replays-the-primary-region"""
        key = self.new_key(MultiRegion=True)
        self.kms.replicate_key(KeyId=key, ReplicaRegion="eu-west-1")
        self.backup()
        self.kms.update_primary_region(KeyId=key, PrimaryRegion="eu-west-1")
        self.restore()
        self.assertEqual("REPLICA", self.kms.describe_key(KeyId=key)[
            "KeyMetadata"]["MultiRegionConfiguration"]["MultiRegionKeyType"])

    def test_order_of_regions(self):
        """kms-restore-replays-all-regions-in-the-order-of-time"""
        apis = [self.kms, Api(self.server, region="eu-west-1")]
        keys = []
        for here, there in (apis, apis[::-1]):
            keys.append(here.create_key(MultiRegion=True)[
                "KeyMetadata"]["KeyId"])
            here.replicate_key(KeyId=keys[-1], ReplicaRegion=there.how["region"])
        self.backup()
        for i, (here, there) in enumerate((apis, apis[::-1])):
            here.update_primary_region(KeyId=keys[i],
                                       PrimaryRegion=there.how["region"])
            self.server.advance(10 * i + 10)
            there.update_primary_region(KeyId=keys[i],
                                        PrimaryRegion=here.how["region"])
        self.restore()
        self.assertEqual(
            [api.how["region"] for api in apis],
            [self.kms.describe_key(KeyId=k)["KeyMetadata"][
                "MultiRegionConfiguration"]["PrimaryKey"]["Region"]
             for k in keys])

    def identity(self, verb, *args):
        done = run("identity", verb, self.server.dir, *args)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return done.stdout

    def test_people(self):
        """security-29-restore-replays-users-roles-and-access-keys"""
        folder = self.server.folder
        (folder / "deny").write_text(json.dumps({
            "Version": "2012-10-17", "Statement": [{
                "Effect": "Deny", "Action": "*", "Resource": "*"}]}))
        trusts = []
        for name in ("root", "user/kept"):
            trusts.append(json.dumps({"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:{name}"}}]}))
            (folder / name.replace("/", "-")).write_text(trusts[-1])
        for name in ("deleted", "kept"):
            self.identity("create-user", name)
        for name in ("r-deleted", "r-kept"):
            self.identity("create-role", name, "--trust", folder / "root")
        keys = [json.loads(self.identity("create-access-key", "kept",
                                         "--json"))["AccessKey"]["AccessKeyId"]
                for _ in range(2)]
        for name in ("lost", "KeyAuditor"):
            self.identity("put-policy", name, folder / "deny", "--user",
                          "kept")
        self.identity("create-account", "444455556666")
        self.backup()
        self.identity("delete-user", "deleted")
        self.identity("delete-role", "r-deleted")
        self.identity("deactivate-access-key", "kept", keys[0])
        self.identity("delete-access-key", "kept", keys[1])
        self.identity("delete-policy", "lost", "--user", "kept")
        self.identity("put-policy", "new", folder / "deny", "--role",
                      "r-kept")
        self.identity("attach-policy", "KeyAuditor", "--user", "kept")
        self.identity("set-trust", "r-kept", folder / "user-kept")
        self.identity("delete-account", "444455556666")
        self.identity("create-user", "late")
        notes = self.restore()
        self.assertEqual(["administrator", "kept"], [
            r[0] for r in self.server.sql(
                "SELECT name FROM user ORDER BY name")])
        self.assertEqual([("r-kept", trusts[1])], self.server.sql(
            "SELECT name, trust FROM role"))
        self.assertIn("AIDA", self.server.sql(
            "SELECT principals FROM role")[0][0])
        self.assertEqual([(keys[0], 0)], self.server.sql(
            "SELECT access_key_id, active FROM access_key"
            " WHERE user_name = 'kept'"))
        self.assertEqual([("r-kept", "new"), ("kept", "KeyAuditor")],
                         self.server.sql(
            "SELECT owner, name FROM identity_policy WHERE owner"
            " <> 'administrator' ORDER BY kind"))
        self.assertNotIn("Deny", self.server.sql(
            "SELECT document FROM identity_policy WHERE name ="
            " 'KeyAuditor'")[0][0])
        self.assertEqual([(ACCOUNT,)], self.server.sql(
            "SELECT account FROM account"))
        self.assertEqual(1, len(notes))
        self.assertRegex(notes[0], "^CreateUser of .*, late: made after the backup and lost$")

    def test_unknown_change_of_people(self):
        """security-29-restore-closes-whom-a-change-it-does-not-know-is-about"""
        (self.server.folder / "trust").write_text(json.dumps({
            "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}]}))
        self.identity("create-user", "alice")
        key = json.loads(self.identity(
            "create-access-key", "alice", "--json"))["AccessKey"][
                "AccessKeyId"]
        self.identity("create-role", "role", "--trust",
                      self.server.folder / "trust")
        self.backup()
        self.serve_without_digests()
        self.identity("attach-policy", "KeyAuditor", "--user", "alice")
        self.identity("attach-policy", "KeyAuditor", "--role", "role")
        self.identity("deactivate-access-key", "alice", key)
        self.identity("activate-access-key", "alice", key)
        self.alter_trail('"eventName":"Attach', '"eventName":"Future', 2)
        notes = self.restore()
        self.assertEqual([(0,)], self.server.sql(
            "SELECT active FROM access_key WHERE user_name = 'alice'"))
        self.assertEqual([], self.server.sql("SELECT name FROM role"))
        self.assertEqual(["alice", "role"],
                         [n.split(", ")[1].split(":")[0] for n in notes])
        for line in notes:
            self.assertIn("the access keys of the user are deactivated, the role is deleted", line)

    def test_twice(self):
        """kms-restored-directory-is-backed-up-and-restored-again"""
        key = self.new_key()
        self.backup()
        first = self.file
        self.kms.disable_key(KeyId=key)
        self.restore()
        other = self.new_key()
        self.backup()
        self.kms.disable_key(KeyId=other)
        self.server.stop()
        restore(self.server, self.file, "second")
        self.serve()
        self.assertEqual(["Disabled", "Disabled"],
                         [self.state(key), self.state(other)])
        # The first one is still good, with all that came since.
        self.server.stop()
        restore(self.server, first, "third")
        self.serve()
        self.assertEqual("Disabled", self.state(key))


if __name__ == "__main__":
    tap.main()
