# SPDX-License-Identifier: GPL-2.0-or-later
"""Users, roles and policies for a test, made on the command line."""
import json

from server_fixture import ACCOUNT, run

KEY_ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def identity(server, verb, *args, text=None, status=0):
    """One `envelope-kms identity` verb; its standard output."""
    done = run("identity", verb, server.dir, *args, input=text)
    if done.returncode != status:
        raise AssertionError(f"identity {verb}: {done.returncode} "
                             f"{done.stderr}")
    return done.stdout if status == 0 else done.stderr


def statement(effect, actions, resource="*", **more):
    return {"Effect": effect, "Action": actions, "Resource": resource, **more}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


class Person:
    """A user with an access key, and what he may do."""

    def __init__(self, server, name, *statements, account=ACCOUNT):
        self.server, self.name, self.account = server, name, account
        self.arn = f"arn:aws:iam::{account}:user/{name}"
        self.who = ("--account", account, "--user", name)
        identity(server, "create-user", name, "--account", account)
        made = json.loads(identity(server, "create-access-key", name,
                                   "--account", account, "--json"))
        self.access = made["AccessKey"]["AccessKeyId"]
        self.secret = made["AccessKey"]["SecretAccessKey"]
        if statements:
            self.may(*statements)

    def may(self, *statements):
        """Replaces all that he may."""
        identity(self.server, "put-policy", "test", "-", *self.who,
                 text=document(*statements))

    def keys(self):
        return {"access": self.access, "secret": self.secret}

    def boto(self):
        return {"aws_access_key_id": self.access,
                "aws_secret_access_key": self.secret}

    def call(self, operation, body=None, **more):
        return self.server.call(operation, body, **self.keys(), **more)


def denied(who, action, resource, reason):
    """The sentence of an AccessDeniedException."""
    return (f"User: {who} is not authorized to perform: {action} on "
            f"resource: {resource} {reason}")


def missing(kind, action):
    return f"because no {kind}-based policy allows the {action} action"
