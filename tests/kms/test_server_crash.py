#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 under load: what was acknowledged is there, and all is sound.

5 rounds, or 100 with LONG=1; KMS_CRASH_ROUNDS and KMS_CRASH_SEED say others.
"""
import http.client
import json
import os
import random
import signal
import ssl
import subprocess
import threading
import time
import unittest

from server_fixture import ACCOUNT, PROGRAM, Server, run
import tap

LONG = os.environ.get("LONG") == "1"
ROUNDS = int(os.environ.get("KMS_CRASH_ROUNDS") or (100 if LONG else 5))
SEED = int(os.environ.get("KMS_CRASH_SEED") or random.randrange(1 << 32))
WORKERS = 4


class Worker(threading.Thread):
    """Changes one after the other, and what was acknowledged of them."""

    def __init__(self, server, number):
        super().__init__()
        self.server = server
        self.number = number
        self.keys = {}        # key id: its state
        self.aliases = {}     # name: key id
        self.tags = []        # (key id, value)
        self.grants = []      # (key id, grant id)
        self.revoked = []     # the same
        self.sent = 0         # of the operation that was not answered: 1
        self.asked = None     # that one

    def ask(self, operation, body):
        self.asked = (operation, body)
        reply = self.server.call(operation, body)
        if reply.status != 200:
            raise AssertionError(f"{operation}: {reply.status} {reply.body}")
        self.asked = None
        return reply.json

    def turn(self, i):
        key = self.ask("CreateKey", {})["KeyMetadata"]["KeyId"]
        self.keys[key] = "Enabled"
        name = f"alias/w{self.number}-{key}"
        self.ask("CreateAlias", {"AliasName": name, "TargetKeyId": key})
        self.aliases[name] = key
        self.ask("TagResource", {"KeyId": key, "Tags": [
            {"TagKey": "n", "TagValue": str(i)}]})
        self.tags.append((key, str(i)))
        grant = self.ask("CreateGrant", {
            "KeyId": key, "Operations": ["Decrypt"], "GranteePrincipal":
            f"arn:aws:iam::{ACCOUNT}:user/administrator"})["GrantId"]
        if i % 2:
            self.ask("RevokeGrant", {"KeyId": key, "GrantId": grant})
            self.revoked.append((key, grant))
        else:
            self.grants.append((key, grant))
        if i % 3 == 0:
            self.ask("DisableKey", {"KeyId": key})
            self.keys[key] = "Disabled"
        if i % 5 == 0:
            self.ask("RotateKeyOnDemand", {"KeyId": key})

    def run(self):
        i = 0
        try:
            while True:
                i += 1
                if i % 3 == 0 and i % 5 == 0:
                    continue  # a disabled key is not rotated
                self.turn(i)
        except (OSError, http.client.HTTPException, ssl.SSLError,
                json.JSONDecodeError):
            return
        except AssertionError as e:
            self.failed = e
    failed = None


class Crash(unittest.TestCase):
    def setUp(self):
        self.server = Server(start=False)
        self.addCleanup(self.server.close)

    def sound(self, changes):
        """What all workers were told is in the database, which is whole."""
        db = {r[0]: r[1] for r in self.server.sql(
            "SELECT key_id, state FROM kms_key")}
        aliases = dict(self.server.sql("SELECT name, key_id FROM alias"))
        tags = set(self.server.sql("SELECT key_id, value FROM tag"))
        grants = set(self.server.sql(
            "SELECT key_id, grant_id FROM kms_grant"))
        for w in changes:
            self.assertIsNone(w.failed)
            unsure = w.asked[1].get("KeyId") if w.asked else None
            for key, state in w.keys.items():
                if key == unsure and w.asked[0] == "DisableKey":
                    self.assertIn(db.get(key), ("Enabled", "Disabled"))
                else:
                    self.assertEqual(state, db.get(key), key)
            self.assertLessEqual(set(w.aliases.items()),
                                 set(aliases.items()))
            self.assertLessEqual(set(w.tags), tags)
            unsure = (w.asked and w.asked[0] == "RevokeGrant" and
                      (w.asked[1]["KeyId"], w.asked[1]["GrantId"]))
            self.assertLessEqual(set(w.grants) - {unsure}, grants)
            self.assertFalse(set(w.revoked) & grants)

    def trail_tells(self, changes):
        """Each acknowledged change has its record."""
        ids = {json.dumps(r["resources"]) + r["eventName"]
               for r in self.server.audit() if r.get("resources")}
        for w in changes:
            for key in w.keys:
                self.assertTrue(any(key in i and i.endswith("CreateKey")
                                    for i in ids), key)

    def test_killed_under_load(self):
        """kms-kill-9-under-load-loses-no-acknowledged-change"""
        print(f"# seed {SEED}, {ROUNDS} rounds", flush=True)
        chance = random.Random(SEED)
        acknowledged = backups = 0
        everything = []
        self.server.start("--digest-seconds", "1")
        for number in range(ROUNDS):
            workers = [Worker(self.server, f"{number}-{i}")
                       for i in range(WORKERS)]
            for w in workers:
                w.start()
            backup = subprocess.Popen(
                [PROGRAM, "backup", str(self.server.dir),
                 str(self.server.folder / f"b{number}")],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0.05, 1.5))
            self.server.stop(signal.SIGKILL)
            for w in workers:
                w.join()
            backups += backup.wait() == 0
            (self.server.folder / f"b{number}").unlink(missing_ok=True)
            everything = (everything + workers)[-12:]
            acknowledged += sum(len(w.keys) + len(w.aliases) + len(w.tags) +
                                len(w.grants) + 2 * len(w.revoked)
                                for w in workers)
            self.server.start("--digest-seconds", "1")
            self.sound(everything)
            self.trail_tells(workers)
            done = run("check", self.server.dir)
            self.assertEqual((0, ""), (done.returncode, done.stderr),
                             done.stdout)
        print(f"# {acknowledged} changes acknowledged, {backups} backups whole")
        self.assertGreater(acknowledged, ROUNDS)
        self.assertEqual(0, self.server.stop())


if __name__ == "__main__":
    tap.main()
