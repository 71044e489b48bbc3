#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every operation on a key in every state that a key can have."""
import json
import time

from server_fixture import ACCOUNT, REGION, ServerCase
import tap

OTHER = "eu-west-1"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
     "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}]})

# The states of the API, one a column; the last three need things that this
# server does not have (other key stores) or passes through within one call.
STATES = ("Enabled", "Disabled", "PendingDeletion", "PendingReplicaDeletion",
          "PendingImport", "Unavailable", "Creating", "Updating")

# Y: goes well. Any other letter is an answer below.
TABLE = """
CancelKeyDeletion                N N Y Y N N N N
CreateAlias                      Y Y P P Y Y Y Y
UpdateAlias                      Y Y P P Y Y Y Y
DeleteAlias                      Y Y Y Y Y Y Y Y
ListAliases                      Y Y Y Y Y Y Y Y
CreateGrant                      Y D P P I Y C Y
ListGrants                       Y Y Y Y Y Y Y Y
RetireGrant                      Y Y Y Y Y Y Y Y
RevokeGrant                      Y Y Y Y Y Y Y Y
Encrypt                          Y D P P I U C Y
Decrypt                          Y D P P I U C Y
ReEncryptFrom                    Y D P P I U C Y
ReEncryptTo                      Y D P P I U C Y
GenerateDataKey                  Y D P P I U C Y
GenerateDataKeyWithoutPlaintext  Y D P P I U C Y
DescribeKey                      Y Y Y Y Y Y Y Y
ListResourceTags                 Y Y Y Y Y Y Y Y
EnableKey                        Y Y P P I Y C G
DisableKey                       Y Y P P I Y C G
ScheduleKeyDeletion              Y Y P P Y Y Y G
TagResource                      Y Y P P Y Y Y Y
UntagResource                    Y Y P P Y Y Y Y
UpdateKeyDescription             Y Y P P Y Y Y Y
EnableKeyRotation                Y D P P E U C Y
DisableKeyRotation               Y D P P E U C Y
GetKeyRotationStatus             Y Y Y Y E Y Y Y
RotateKeyOnDemand                Y D P P I U C G
ListKeyRotations                 Y Y Y Y Y Y Y Y
GetKeyPolicy                     Y Y Y Y Y Y Y Y
PutKeyPolicy                     Y Y Y Y Y Y Y Y
ListKeyPolicies                  Y Y Y Y Y Y Y Y
ReplicateKey                     Y D P P I U C G
UpdatePrimaryRegion              Y D P P I U C Y
"""

# What leaves nothing for the next row of the table to work on.
CHANGES = """CancelKeyDeletion EnableKey DisableKey ScheduleKeyDeletion
RetireGrant ReplicateKey UpdatePrimaryRegion""".split()

ANSWERS = {
    "D": ("DisabledException", "{} is disabled."),
    "P": ("KMSInvalidStateException", "{} is pending deletion."),
    "N": ("KMSInvalidStateException", "{} is not pending deletion."),
    "I": ("KMSInvalidStateException", "{} is pending import."),
    "E": ("UnsupportedOperationException",
          "{} origin is EXTERNAL which is not valid for this operation."),
    "U": ("KMSInvalidStateException", "{} is unavailable."),
    "C": ("KMSInvalidStateException", "{} is creating."),
    "G": ("KMSInvalidStateException", "{} is updating."),
}


class States(ServerCase):
    options = ("--region", REGION, "--region", OTHER)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["KeyId"]
        cls.good_blob = cls.encrypt(cls.good)
        cls.count = 0

    @classmethod
    def encrypt(cls, key):
        return cls.server.call("Encrypt", {
            "KeyId": key, "Plaintext": "eA=="}).json["CiphertextBlob"]

    def prepare(self):
        """A key with all that an operation may want to work on."""
        cls = type(self)
        cls.count += 1
        key, arn = self.new_key(MultiRegion=True, Tags=[
            {"TagKey": "a", "TagValue": "b"}])
        grant = self.kms.create_grant(KeyId=key, GranteePrincipal=ADMIN,
                                      Operations=["Decrypt"])
        alias = f"alias/state-{self.count}"
        self.kms.create_alias(AliasName=alias, TargetKeyId=key)
        return {"key": key, "arn": arn, "blob": self.encrypt(key),
                "grant": grant["GrantId"], "alias": alias}

    def bring(self, made, state):
        """Brings the key into a state, by the API where that can."""
        if state == "Disabled":
            self.kms.disable_key(KeyId=made["key"])
        elif state == "PendingDeletion":
            self.kms.schedule_key_deletion(KeyId=made["key"])
        elif state != "Enabled":
            deletion = 0
            if state == "PendingReplicaDeletion":
                deletion = int(time.time() * 1000) + 7 * 86400 * 1000
            origin = "EXTERNAL" if state == "PendingImport" else "AWS_KMS"
            self.server.sql(
                "UPDATE kms_key SET state = ?, deletion_ms = ?, origin = ?"
                " WHERE region = ? AND key_id = ?", state, deletion, origin,
                REGION, made["key"])
        self.assertEqual(state, self.server.call(
            "DescribeKey", {"KeyId": made["key"]}).json
            ["KeyMetadata"]["KeyState"])

    def request(self, name, made):
        """Operation and body of a row of the table."""
        key = {"KeyId": made["key"]}
        return {
            "CreateAlias": ("CreateAlias", {
                "AliasName": made["alias"] + "/new",
                "TargetKeyId": made["key"]}),
            "UpdateAlias": ("UpdateAlias", {
                "AliasName": "alias/envelope", "TargetKeyId": made["key"]}),
            "DeleteAlias": ("DeleteAlias", {"AliasName": made["alias"]}),
            "CreateGrant": ("CreateGrant", {
                **key, "GranteePrincipal": ADMIN,
                "Operations": ["Encrypt"]}),
            "RetireGrant": ("RetireGrant", {
                "KeyId": made["arn"], "GrantId": made["grant"]}),
            "RevokeGrant": ("RevokeGrant", {
                **key, "GrantId": made["grant"]}),
            "Encrypt": ("Encrypt", {**key, "Plaintext": "eA=="}),
            "Decrypt": ("Decrypt", {"CiphertextBlob": made["blob"]}),
            "ReEncryptFrom": ("ReEncrypt", {
                "CiphertextBlob": made["blob"],
                "DestinationKeyId": self.good}),
            "ReEncryptTo": ("ReEncrypt", {
                "CiphertextBlob": self.good_blob,
                "DestinationKeyId": made["key"]}),
            "GenerateDataKey": ("GenerateDataKey", {
                **key, "NumberOfBytes": 64}),
            "GenerateDataKeyWithoutPlaintext":
                ("GenerateDataKeyWithoutPlaintext", {
                    **key, "NumberOfBytes": 64}),
            "TagResource": ("TagResource", {
                **key, "Tags": [{"TagKey": "c", "TagValue": "d"}]}),
            "UntagResource": ("UntagResource", {**key, "TagKeys": ["a"]}),
            "PutKeyPolicy": ("PutKeyPolicy", {**key, "Policy": POLICY}),
            "ReplicateKey": ("ReplicateKey", {
                **key, "ReplicaRegion": OTHER}),
            "UpdatePrimaryRegion": ("UpdatePrimaryRegion", {
                **key, "PrimaryRegion": OTHER}),
            "UpdateKeyDescription": ("UpdateKeyDescription", {
                **key, "Description": "new"}),
        }.get(name, (name, key))

    def check(self, name, state, letter, made):
        operation, body = self.request(name, made)
        answer = self.server.call(operation, body)
        got = answer.code, answer.message
        if letter == "Y":
            self.assertEqual((None, ""), got, (name, state))
        else:
            code, text = ANSWERS[letter]
            self.assertEqual((code, text.format(made["arn"])), got,
                             (name, state))

    def run_column(self, column):
        """All share a key but those that end its state."""
        state, shared = STATES[column], self.prepare()
        self.bring(shared, state)
        for line in TABLE.strip().splitlines():
            name, *letters = line.split()
            self.assertEqual(len(STATES), len(letters), name)
            made = shared
            if letters[column] == "Y" and name in CHANGES:
                made = self.prepare()
                if name == "UpdatePrimaryRegion":
                    self.kms.replicate_key(KeyId=made["key"],
                                           ReplicaRegion=OTHER)
                self.bring(made, state)
            self.check(name, state, letters[column], made)
            self.server.call("UpdateAlias", {
                "AliasName": "alias/envelope", "TargetKeyId": self.good})


def add_tests():
    """One test a state, named by it."""
    for i, state in enumerate(STATES):
        def test(self, column=i):
            self.run_column(column)
        test.__doc__ = f"states-every-operation-on-a-key-{state}"
        setattr(States, f"test_{state}", test)


add_tests()

if __name__ == "__main__":
    tap.main()
