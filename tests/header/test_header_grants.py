#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A volume's grant on its way: offered, answered, sent, swept away."""
import json
import os

from header_case import HeaderCase, main, subprocess
import client_case
from server_fixture import ACCOUNT, REGION
from server_people import Person, statement

HOST = "0123abc"
PREFIX = f"envelope-{HOST}-"


class Grants(HeaderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = client_case._build()
        cls.user = Person(cls.server, "user", statement(
            "Allow", "kms:CreateGrant", cls.key))
        cls.host = Person(cls.server, "host", statement(
            "Allow", "kms:ListRetirableGrants"))
        cls.outsider = Person(cls.server, "outsider")
        cls.agent_conf = cls.server.dir / "agent.conf"
        cls.write_agent_conf(cls.agent_conf)

    @classmethod
    def write_agent_conf(cls, path, *lines, endpoint=None):
        path.write_text("\n".join([
            f"[region {REGION}]",
            f"endpoint = {endpoint or cls.server.endpoint}",
            f"ca-file = {cls.server.dir / 'ca.pem'}",
            f"account = {ACCOUNT}", *(lines or [
                f"host-principal = {cls.host.arn}"]), ""]))

    def run_as(self, person, *args, conf=None, signer=False, status=0,
               says=""):
        env = dict(os.environ, HOME=str(self.folder),
                   AWS_ACCESS_KEY_ID=person.access,
                   AWS_SECRET_ACCESS_KEY=person.secret)
        done = subprocess.run(
            [self.program, "--config", str(conf or self.agent_conf),
             *["--signer"] * signer, "--timeout", "60000", *map(str, args)],
            env=env, capture_output=True, text=True, timeout=120,
            stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(says, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def offer(self, disk, **how):
        return self.run_as(self.host, "offer", disk, HOST, **how)

    def answer(self, person, disk, text, **how):
        return self.run_as(person, "answer", disk, text, 0, signer=True,
                           **how).get("signature")

    def send(self, offer, signature, **how):
        return self.run_as(self.host, "send", json.dumps(offer),
                           json.dumps(signature), **how)

    def names(self):
        return sorted(g.get("Name") for g in
                      self.kms.list_grants(KeyId=self.key)["Grants"])

    def sweep(self, wanted="", **how):
        return self.run_as(self.host, "sweep", REGION, self.host.arn, PREFIX,
                           wanted, **how)

    def test_flow(self):
        """grant: offered by the host, signed by the user, sent, and swept away"""
        disk = self.volume()
        offers = [self.offer(disk) for _ in range(2)]
        self.assertNotEqual(offers[0]["name"], offers[1]["name"])
        for offer in offers:
            self.assertTrue(offer["name"].startswith(PREFIX))
            signature = self.answer(self.user, disk, offer["body"])
            sent = self.send(offer, signature)
            self.assertEqual((len(sent["id"]), sent["sent"]), (64, False))
        names = sorted(o["name"] for o in offers)
        self.assertEqual(self.names(), names)
        dry = [r for r in self.server.audit()
               if r["eventName"] == "CreateGrant"]
        self.assertEqual([r.get("errorCode") for r in dry],
                         ["DryRunOperationException", None] * 2)
        self.assertEqual({r["userIdentity"]["arn"] for r in dry},
                         {self.user.arn})
        self.sweep(names[0])
        self.assertEqual(self.names(), names[:1])
        self.sweep()
        self.sweep()
        self.assertEqual(self.names(), [])

    def test_sweep_spares_others(self):
        """grant: names of other hosts are not swept away"""
        self.kms.create_grant(
            KeyId=self.key, GranteePrincipal=self.host.arn,
            RetiringPrincipal=self.host.arn, Operations=["Decrypt"],
            Name="envelope-other-1")
        self.sweep()
        self.assertEqual(self.names(), ["envelope-other-1"])
        self.run_as(self.outsider, "sweep", REGION, self.host.arn, PREFIX, "",
                    status=3, says="refuses ListRetirableGrants")
        for grant in self.kms.list_grants(KeyId=self.key)["Grants"]:
            self.kms.revoke_grant(KeyId=self.key, GrantId=grant["GrantId"])

    def test_other_volume(self):
        """security-12: a user signs no grant for a volume he has not opened"""
        mine, other = self.volume(name="mine"), self.volume(name="other")
        offer = self.offer(other)
        self.answer(self.user, mine, offer["body"], status=6,
                    says=f"'{mine}': the grant that the agent wants signed is "
                    "not bound to this volume and its generation, so it is "
                    "not signed")

    def test_outsider(self):
        """grant: an outsider may sign, but no grant is made"""
        disk = self.volume()
        offer = self.offer(disk)
        signature = self.answer(self.outsider, disk, offer["body"])
        sent = self.send(offer, signature, status=3,
                         says=f"key '{self.key}': {self.outsider.arn} lacks "
                         "kms:CreateGrant")
        self.assertFalse(sent["sent"])
        self.assertEqual(self.names(), [])

    def test_no_principal(self):
        """grant: without host-principal there is neither offer nor answer"""
        disk = self.volume()
        body = self.offer(disk)["body"]
        conf = self.folder / "conf"
        self.write_agent_conf(conf, "profile = x")
        says = (f"key '{self.key}': nobody can grant this host its use, as "
                f"region {REGION} has no host-principal; write who the "
                "profile of the region is at the KMS")
        self.offer(disk, conf=conf, status=3, says=says)
        self.answer(self.user, disk, body, conf=conf, status=3, says=says)

    def test_other_principal(self):
        """security-12: a user signs for the host-principal of this host only"""
        disk = self.volume()
        conf = self.folder / "conf"
        self.write_agent_conf(conf, f"host-principal = {self.outsider.arn}")
        offer = self.offer(disk, conf=conf)
        self.answer(self.user, disk, offer["body"], status=6,
                    says="goes to another principal than this host's")

    def test_bad_signatures(self):
        """grant: what is no signature is not sent"""
        disk = self.volume()
        offer = self.offer(disk)
        good = self.answer(self.user, disk, offer["body"])
        before = len(self.server.audit())
        for change in ({"date": None}, {"date": "x" * 17},
                       {"date": "20260101\r\nX: y"}, {"authorization": ""},
                       {"authorization": "x" * 512},
                       {"dry_run_authorization": 1},
                       {"dry_run_authorization": "a\r\nX-Amz-Target: b"},
                       {"session_token": ""},
                       {"session_token": "t\n"},
                       {"session_token": "t" * 16385}):
            self.send(offer, {**good, **change}, status=2,
                      says=f"key '{self.key}': the signature of the grant "
                      "is none")
        self.assertEqual(len(self.server.audit()), before)

    def test_unreachable(self):
        """grant: a KMS that is not there was sent nothing"""
        disk = self.volume()
        offer = self.offer(disk)
        signature = self.answer(self.user, disk, offer["body"])
        conf = self.folder / "conf"
        self.write_agent_conf(conf, f"host-principal = {self.host.arn}",
                              endpoint="https://127.0.0.1:1")
        # Not even the dry run came through: there is none.
        sent = self.send(offer, signature, conf=conf, status=4,
                         says="cannot be reached")
        self.assertFalse(sent["sent"])

    def test_bad_host(self):
        """grant: a host that has no name makes no offer"""
        self.run_as(self.host, "offer", self.volume(), "a b", status=2,
                    says="no grant can be composed for volume vol-")


if __name__ == "__main__":
    main()
