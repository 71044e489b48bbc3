# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope-kms identity and policy-lint, on a running server."""
import concurrent.futures
import json
import os
import subprocess

import tap
from server_fixture import ACCOUNT, PROGRAM, REGION, WAIT_SECONDS, Server, \
    ServerCase, run
from server_people import Person, document, identity, statement

OTHER = "999988887777"
ALLOW_ALL = document(statement("Allow", "*"))
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": ACCOUNT},
     "Action": "sts:AssumeRole"}]})


class Verbs(ServerCase):
    def ident(self, verb, *args, **more):
        return identity(self.server, verb, *args, **more)

    def fails(self, verb, *args, says, status=1, text=None):
        self.assertEqual(f"envelope-kms: {says}\n",
                         self.ident(verb, *args, status=status, text=text))

    def test_accounts(self):
        self.ident("create-account", "222233334444")
        self.assertIn("222233334444\n", self.ident("list-accounts"))
        self.fails("create-account", "222233334444",
                   says="account 222233334444: exists")
        self.fails("create-account", "2222", says="account 2222: not 12 digits")
        self.fails("delete-account", ACCOUNT,
                   says=f"account {ACCOUNT}: still has users, roles or keys")
        self.ident("delete-account", "222233334444")
        self.fails("delete-account", "222233334444",
                   says="account 222233334444: no such account")
        listed = json.loads(self.ident("list-accounts", "--json"))["Accounts"]
        self.assertEqual([ACCOUNT], [a["AccountId"] for a in listed])

    def test_users(self):
        arn = f"arn:aws:iam::{ACCOUNT}:user/eve"
        self.assertEqual(arn + "\n", self.ident("create-user", "eve"))
        self.fails("create-user", "eve", says="user eve: exists")
        self.fails("create-user", "e/ve", says="user e/ve: names are 1 to 64 letters, digits and _+=,.@-")
        self.fails("create-user", "eve", "--account", OTHER,
                   says=f"account {OTHER}: no such account")
        listed = json.loads(self.ident("list-users", "--json"))["Users"]
        ids = {u["UserName"]: u["UserId"] for u in listed}
        self.assertIn("administrator", ids)
        self.assertRegex(ids["eve"], "^AIDA[A-Z2-7]{16}$")
        self.ident("delete-user", "eve")
        self.fails("delete-user", "eve", says="user eve: no such user")

    def test_roles(self):
        self.fails("create-role", "host", says="create-role: give --trust FILE, who may assume it")
        self.fails("create-role", "host", "--trust", "-", text=ALLOW_ALL,
                   says="-: Policy contains a statement with one or more invalid principals.")
        self.fails("create-role", "host", "--trust", "/nowhere",
                   says="/nowhere: No such file or directory")
        self.fails("create-role", "host", "--trust", "-", "--max-session",
                   "60", says="--max-session 60: not a number from 3600 to 43200")
        self.ident("create-role", "host", "--trust", "-", text=TRUST)
        self.fails("create-role", "host", "--trust", "-", text=TRUST,
                   says="role host: exists")
        role, = json.loads(self.ident("list-roles", "--json"))["Roles"]
        self.assertEqual((f"arn:aws:iam::{ACCOUNT}:role/host",
                          json.loads(TRUST)),
                         (role["Arn"], role["AssumeRolePolicyDocument"]))
        self.ident("set-trust", "host", "-", text=TRUST.replace("Allow", "Deny"))
        self.assertIn("Deny", self.ident("list-roles", "--json"))
        self.fails("set-trust", "nobody", "-", text=TRUST,
                   says="role nobody: no such role")
        for verb, *args in (("set-trust", "host", "-"),
                            ("create-role", "guest", "--trust", "-")):
            self.fails(verb, *args, text=TRUST.replace(
                f'"{ACCOUNT}"', f'"arn:aws:iam::{ACCOUNT}:user/nobody"'),
                       says=f"role {args[0]}: the trust policy names a user or a role that does not exist")
        self.ident("delete-role", "host")
        self.fails("delete-role", "host", says="role host: no such role")

    def test_access_keys(self):
        """kms-access-key-life: active, inactive, active, gone."""
        carol = Person(self.server, "carol", statement("Allow", "*"))
        refused = (400, "UnrecognizedClientException")
        self.assertEqual(200, carol.call("ListKeys").status)
        self.ident("deactivate-access-key", "carol", carol.access)
        answer = carol.call("ListKeys")
        self.assertEqual(refused, (answer.status, answer.code))
        self.assertEqual(f"{carol.access}\tInactive\n",
                         self.ident("list-access-keys", "carol"))
        self.ident("activate-access-key", "carol", carol.access)
        self.assertEqual(200, carol.call("ListKeys").status)
        self.ident("create-access-key", "carol")
        self.fails("create-access-key", "carol", says="user carol: has 2 access keys, which is the limit; delete one")
        self.ident("delete-access-key", "carol", carol.access)
        answer = carol.call("ListKeys")
        self.assertEqual(refused, (answer.status, answer.code))
        self.fails("delete-access-key", "carol", carol.access,
                   says=f"access key {carol.access}: no such access key")
        self.fails("activate-access-key", "administrator", carol.access,
                   says=f"access key {carol.access}: no such access key")

    def test_new_key_is_a_profile_and_is_sealed(self):
        self.ident("create-user", "dora")
        lines = self.ident("create-access-key", "dora").splitlines()
        self.assertEqual("[dora]", lines[0])
        self.assertRegex(lines[1], "^aws_access_key_id = AKIA[A-Z2-7]{16}$")
        secret = lines[2].removeprefix("aws_secret_access_key = ")
        self.assertEqual(40, len(secret))
        for path in self.server.dir.glob("kms.db*"):
            self.assertNotIn(secret.encode(), path.read_bytes())

    def test_deleted_user_is_nobody(self):
        fred = Person(self.server, "fred", statement("Allow", "*"))
        self.ident("delete-user", "fred")
        self.assertEqual("UnrecognizedClientException",
                         fred.call("ListKeys").code)
        again = Person(self.server, "fred")
        self.assertEqual("AccessDeniedException", again.call("ListKeys").code)

    def test_policies(self):
        gina = Person(self.server, "gina")
        who = ("--user", "gina")
        self.assertEqual("AccessDeniedException", gina.call("ListKeys").code)
        self.ident("attach-policy", "KeyAuditor", *who)
        self.assertEqual(200, gina.call("ListKeys").status)
        self.assertEqual("KeyAuditor\n", self.ident("list-policies", *who))
        self.assertIn("kms:List*", self.ident("get-policy", "KeyAuditor", *who))
        self.ident("delete-policy", "KeyAuditor", *who)
        self.assertEqual("AccessDeniedException", gina.call("ListKeys").code)
        for verb in ("get-policy", "delete-policy"):
            self.fails(verb, "KeyAuditor", *who,
                       says="policy KeyAuditor: no such policy")
        self.fails("attach-policy", "Nothing", *who, says="policy Nothing: does not come with this server; see envelope-kms identity list-policies DIR, or put-policy")
        self.fails("put-policy", "x", "-", *who, text="{",
                   says="-: Syntax errors in policy: malformed JSON at byte 1.")
        self.fails("put-policy", "x y", "-", *who, text=ALLOW_ALL, says="policy x y: names are 1 to 128 letters, digits and _+=,.@-")
        self.fails("put-policy", "x", "-", text=ALLOW_ALL,
                   says="give --user NAME or --role NAME")
        self.fails("list-policies", "--role", "nobody",
                   says="role nobody: no such role")
        self.assertEqual("AdministratorAccess\nKeyAdministrator\n"
                         "KeyOperator\nKeyAuditor\n",
                         self.ident("list-policies"))

    def test_usage(self):
        self.fails("fly", says="identity fly: no such verb; see envelope-kms identity --help", status=2)
        self.fails("create-user", status=2,
                   says="give: envelope-kms identity create-user DIR NAME")
        self.fails("list-users", "--account", "1", status=2,
                   says="--account 1: not 12 digits")
        done = run("identity", "--help")
        self.assertEqual(0, done.returncode)
        for verb in ("create-account", "put-policy", "set-trust"):
            self.assertIn(f"  {verb} ", done.stdout)


class Trail(ServerCase):
    """What the verbs change is in the trail, and secrets are not."""

    def changes(self, server=None):
        return [r for r in (server or self.server).audit()
                if r["eventSource"] in ("iam.amazonaws.com",
                                        "organizations.amazonaws.com")]

    def test_every_change_is_recorded(self):
        """kms-identity-changes-are-in-the-trail"""
        allow = document(statement("Allow", "kms:ListKeys"))
        user, role = {"userName": "hal"}, {"roleName": "crew"}
        text = identity(self.server, "create-user", "hal", "--json")
        hal = json.loads(text)
        made = json.loads(identity(self.server, "create-access-key", "hal",
                                   "--json"))["AccessKey"]
        key = {**user, "accessKeyId": made["AccessKeyId"]}
        on = ("--user", "hal")
        steps = (
            ("put-policy", "p", "-", *on),
            ("attach-policy", "KeyAuditor", *on), ("delete-policy", "p", *on),
            ("deactivate-access-key", "hal", made["AccessKeyId"]),
            ("activate-access-key", "hal", made["AccessKeyId"]),
            ("delete-access-key", "hal", made["AccessKeyId"]),
            ("create-role", "crew", "--trust", "-", "--max-session", "7200"),
            ("put-policy", "p", "-", "--role", "crew"),
            ("attach-policy", "KeyAuditor", "--role", "crew"),
            ("delete-policy", "p", "--role", "crew"),
            ("set-trust", "crew", "-"), ("delete-role", "crew"),
            ("delete-user", "hal"), ("create-account", OTHER),
            ("delete-account", OTHER))
        for verb, *args in steps:
            identity(self.server, verb, *args, text={
                "put-policy": allow}.get(verb, TRUST))
        trust = {**role, "assumeRolePolicyDocument": TRUST,
                 "maxSessionDuration": 7200}
        expected = [
            ("CreateUser", user), ("CreateAccessKey", user),
            ("PutUserPolicy", {**user, "policyName": "p",
                               "policyDocument": allow}),
            ("AttachUserPolicy", {**user, "policyName": "KeyAuditor"}),
            ("DeleteUserPolicy", {**user, "policyName": "p"}),
            ("UpdateAccessKey", {**key, "status": "Inactive"}),
            ("UpdateAccessKey", {**key, "status": "Active"}),
            ("DeleteAccessKey", key), ("CreateRole", trust),
            ("PutRolePolicy", {**role, "policyName": "p",
                               "policyDocument": allow}),
            ("AttachRolePolicy", {**role, "policyName": "KeyAuditor"}),
            ("DeleteRolePolicy", {**role, "policyName": "p"}),
            ("UpdateAssumeRolePolicy", trust), ("DeleteRole", role),
            ("DeleteUser", user), ("CreateAccount", {"accountId": OTHER}),
            ("CloseAccount", {"accountId": OTHER})]
        records = self.changes()[-len(expected):]
        self.assertEqual(expected, [(r["eventName"], r["requestParameters"])
                                    for r in records])
        self.assertEqual({"user": {"userName": "hal", "userId": hal["UserId"],
                                   "arn": hal["Arn"]}},
                         records[0]["responseElements"])
        self.assertEqual({"accessKey": {"userName": "hal", "status": "Active",
                                        "accessKeyId": made["AccessKeyId"]}},
                         records[1]["responseElements"])
        for record in records:
            self.assertEqual(
                ("Unknown", f"uid:{os.getuid()}", ACCOUNT, REGION, False,
                 ACCOUNT, os.getuid()),
                (record["userIdentity"]["type"],
                 record["userIdentity"]["principalId"],
                 record["userIdentity"]["accountId"], record["awsRegion"],
                 record["readOnly"], record["recipientAccountId"],
                 record["additionalEventData"]["uid"]))
        self.assertEqual(
            {"organizations.amazonaws.com"},
            {r["eventSource"] for r in records[-2:]})
        trail = (self.server.dir / "audit" / "audit.log").read_text()
        self.assertNotIn(made["SecretAccessKey"], trail)

    def test_refused_and_reading_verbs_are_not(self):
        before = len(self.changes())
        identity(self.server, "delete-user", "nobody", status=1)
        for verb in ("list-users", "list-roles", "list-accounts"):
            identity(self.server, verb)
        self.assertEqual(before, len(self.changes()))

    def test_no_trail_no_change(self):
        """kms-identity-without-a-trail-changes-nothing"""
        server = Server(start=False)
        self.addCleanup(server.close)
        trail = server.dir / "audit" / "audit.log"
        trail.unlink()
        trail.symlink_to("/dev/full")
        said = identity(server, "create-user", "ida", status=1)
        self.assertIn("cannot write the audit trail, refusing the call: No space left on device", said)
        self.assertNotIn("ida", identity(server, "list-users"))
        trail.unlink()
        identity(server, "create-user", "ida")
        self.assertEqual(["CreateUser"],
                         [r["eventName"] for r in self.changes(server)])

    def test_trail_made_by_root_is_the_servers(self):
        """kms-identity-leaves-the-trail-to-the-server"""
        server = Server(start=False)
        self.addCleanup(server.close)
        folder = server.dir / "audit"
        (folder / "audit.log").unlink()
        owner = 65534 if os.getuid() == 0 else os.getuid()
        os.chown(folder, owner, -1)
        identity(server, "create-user", "ida")
        self.assertEqual(owner, (folder / "audit.log").stat().st_uid)

    def test_none_is_lost_while_the_server_signs(self):
        """kms-identity-and-server-share-the-trail"""
        server = Server("--test", start=False)
        self.addCleanup(server.end)
        server.start_test_clock()
        names = [f"user-{i}" for i in range(24)]
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            jobs = [pool.submit(identity, server, "create-user", name)
                    for name in names]
            for hour in range(1, 13):
                server.advance(3600 * hour)
                self.assertEqual(200, server.call("ListKeys").status)
            for job in jobs:
                job.result()
        self.assertEqual(sorted(names), sorted(
            r["requestParameters"]["userName"]
            for r in self.changes(server)))
        server.advance(3600 * 20)
        done = run("audit", "verify", server.dir)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)


class Waiting(ServerCase):
    def test_nobody_waits_for_what_a_verb_reads(self):
        """kms-identity-reads-before-it-locks"""
        identity(self.server, "create-user", "joe")
        identity(self.server, "create-role", "slow", "--trust", "-",
                 text=TRUST)
        waiting = [subprocess.Popen(
            [PROGRAM, "identity", verb, self.server.dir, *args], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            for verb, *args in (("put-policy", "p", "-", "--user", "joe"),
                                ("set-trust", "slow", "-"),
                                ("create-role", "late", "--trust", "-"))]
        for job, text in zip(waiting, (ALLOW_ALL, TRUST, TRUST)):
            job.stdin.write(text[:5])
            job.stdin.flush()
        # The server and others go on meanwhile.
        identity(self.server, "create-user", "kim")
        self.kms.create_key()
        for job, text in zip(waiting, (ALLOW_ALL, TRUST, TRUST)):
            job.stdin.write(text[5:])
            job.stdin.close()
            self.assertEqual(0, job.wait(WAIT_SECONDS))

    def test_secret_that_nobody_reads(self):
        """kms-identity-unread-secret-is-named"""
        identity(self.server, "create-user", "lea")
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run(
                [PROGRAM, "identity", "create-access-key", self.server.dir,
                 "lea"], stdout=full, stderr=subprocess.PIPE, text=True,
                timeout=WAIT_SECONDS, check=False)
        key, = json.loads(identity(self.server, "list-access-keys", "lea",
                                   "--json"))["AccessKeyMetadata"]
        self.assertEqual(
            (1, "envelope-kms: cannot write to standard output: No space left on device\n"
             f"envelope-kms: access key {key['AccessKeyId']}: made, but nobody knows its secret now; delete it\n"),
            (done.returncode, done.stderr))


class Lint(ServerCase):
    def lint(self, text, *args):
        done = run("policy-lint", "-", *args, input=text)
        return done.returncode, done.stdout or done.stderr

    def test_broad_decrypt_is_named(self):
        """kms-policy-lint-flags-broad-decrypt"""
        everybody = document({**statement("Allow", "kms:*"), "Sid": "all",
                              "Principal": {"AWS": "*"}})
        self.assertEqual((1, "-: statement 1 (all): allows kms:Decrypt to everybody in every account\n-: statement 1 (all): allows kms:ReEncryptFrom to everybody in every account\n"),
                         self.lint(everybody))
        for resource in ("*", "arn:aws:kms:*:*:key/*", "arn:aws:kms:*",
                         f"arn:aws:kms:{REGION}:{ACCOUNT}:key/*"):
            self.assertEqual((1, "-: statement 2: allows kms:Decrypt on every key\n"),
                             self.lint(document(
                                 statement("Deny", "kms:Decrypt"),
                                 statement("Allow", "kms:D*", resource))))

    def test_narrow_policies_pass(self):
        for text in (
                document(statement("Allow", "kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab")),
                document(statement("Allow", "kms:Encrypt")),
                document(statement("Allow", "kms:Decrypt", Condition={
                    "StringEquals": {"kms:EncryptionContext:a": "b"}})),
                document({**statement("Allow", "kms:*"),
                          "Principal": {"AWS": ACCOUNT}})):
            self.assertEqual((0, ""), self.lint(text), text)

    def test_malformed(self):
        self.assertEqual((1, "envelope-kms: -: The policy has no Statement.\n"),
                         self.lint("{}"))
        self.assertEqual(2, self.lint("{}", "more")[0])

    def test_policy_of_a_key(self):
        key, _ = self.new_key()
        name = f"{REGION}/{key}"
        done = run("policy-lint", "--key", name, self.server.dir)
        self.assertEqual((0, "", ""),
                         (done.returncode, done.stdout, done.stderr))
        self.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(
            {**statement("Allow", "kms:*"), "Principal": {"AWS": "*"}}))
        done = run("policy-lint", "--key", name, self.server.dir)
        self.assertEqual(1, done.returncode)
        self.assertIn(f"{name}: statement 1: allows kms:Decrypt to everybody in every account\n", done.stdout)
        done = run("policy-lint", "--key", f"{REGION}/x", self.server.dir)
        self.assertIn(f"--key {REGION}/x: no such key in ", done.stderr)


if __name__ == "__main__":
    tap.main()
