#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every operation on a key in every state that a key can have."""
import json
import re

from server_clients import make_material, wrap_material
from server_fixture import ACCOUNT, REGION, Api, ServerCase, b64
from server_model import operations
import tap

OTHER = "eu-west-1"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
     "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}]})
FOREVER = "KEY_MATERIAL_DOES_NOT_EXPIRE"

# The states of the API. Unavailable, Creating and Updating need things that
# this server does not have (other key stores) or passes through within one
# call, so that they are written into its database.
WRITTEN = ("Unavailable", "Creating", "Updating")
STATES = ("Enabled", "Disabled", "PendingDeletion", "PendingReplicaDeletion",
          *WRITTEN, "PendingImport")
# One column of the table each; only imported material can be waited for.
COLUMNS = [("AWS_KMS", state) for state in STATES[:-1]] + \
    [("EXTERNAL", state) for state in STATES]

# Y: goes well. Any other letter is an answer below.
TABLE = """
CancelKeyDeletion                N N Y Y N N N   N N Y Y N N N N
CreateAlias                      Y Y P P Y Y Y   Y Y P P Y Y Y Y
UpdateAlias                      Y Y P P Y Y Y   Y Y P P Y Y Y Y
DeleteAlias                      Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
ListAliases                      Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
CreateGrant                      Y D P P Y C Y   Y D P P Y C Y I
ListGrants                       Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
RetireGrant                      Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
RevokeGrant                      Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
Encrypt                          Y D P P U C Y   Y D P P U C Y I
Decrypt                          Y D P P U C Y   Y D P P U C Y I
ReEncryptFrom                    Y D P P U C Y   Y D P P U C Y I
ReEncryptTo                      Y D P P U C Y   Y D P P U C Y I
GenerateDataKey                  Y D P P U C Y   Y D P P U C Y I
GenerateDataKeyWithoutPlaintext  Y D P P U C Y   Y D P P U C Y I
DescribeKey                      Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
ListResourceTags                 Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
EnableKey                        Y Y P P Y C G   Y Y P P Y C G I
DisableKey                       Y Y P P Y C G   Y Y P P Y C G I
ScheduleKeyDeletion              Y Y P P Y Y G   Y Y P P Y Y G Y
TagResource                      Y Y P P Y Y Y   Y Y P P Y Y Y Y
UntagResource                    Y Y P P Y Y Y   Y Y P P Y Y Y Y
UpdateKeyDescription             Y Y P P Y Y Y   Y Y P P Y Y Y Y
EnableKeyRotation                Y D P P U C Y   E E E E E E E E
DisableKeyRotation               Y D P P U C Y   E E E E E E E E
GetKeyRotationStatus             Y Y Y Y Y Y Y   E E E E E E E E
RotateKeyOnDemand                Y D P P U C G   Y D P P U C G I
ListKeyRotations                 Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
GetKeyPolicy                     Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
PutKeyPolicy                     Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
ListKeyPolicies                  Y Y Y Y Y Y Y   Y Y Y Y Y Y Y Y
ReplicateKey                     Y D P P U C G   Y D P P U C G I
UpdatePrimaryRegion              Y D P P U C Y   Y D P P U C Y I
GetParametersForImport           O O O O O O O   Y Y P P U C G Y
ImportKeyMaterial                O O O O O O O   Y Y P P U C Y Y
DeleteImportedKeyMaterial        O O O O O O O   Y Y Y Y Y C G Y
"""

# What has no key, or none yet, or all of them.
KEYLESS = {"CreateKey", "ListKeys", "GenerateRandom", "ListRetirableGrants"}

# What leaves nothing for the next row of the table to work on.
CHANGES = """CancelKeyDeletion EnableKey DisableKey ScheduleKeyDeletion
RetireGrant ReplicateKey UpdatePrimaryRegion RotateKeyOnDemand
ImportKeyMaterial DeleteImportedKeyMaterial""".split()

ANSWERS = {
    "D": ("DisabledException", "{} is disabled."),
    "P": ("KMSInvalidStateException", "{} is pending deletion."),
    "N": ("KMSInvalidStateException", "{} is not pending deletion."),
    "I": ("KMSInvalidStateException", "{} is pending import."),
    "E": ("UnsupportedOperationException",
          "{} origin is EXTERNAL which is not valid for this operation."),
    "O": ("UnsupportedOperationException",
          "{} origin is AWS_KMS which is not valid for this operation."),
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
        cls.api = Api(cls.server)

    @classmethod
    def encrypt(cls, key):
        return cls.server.call("Encrypt", {
            "KeyId": key, "Plaintext": "eA=="}).json["CiphertextBlob"]

    def importable(self, made, kms):
        """What ImportKeyMaterial takes for each of the key's materials."""
        got = kms.get_parameters_for_import(
            KeyId=made["key"], WrappingAlgorithm="RSAES_OAEP_SHA_256",
            WrappingKeySpec="RSA_2048")
        return [{"KeyId": made["key"], "ImportToken": got["ImportToken"],
                 "ExpirationModel": FOREVER, "EncryptedKeyMaterial":
                     wrap_material(material, got["PublicKey"],
                                   self.server.folder)}
                for material in made["materials"]]

    def prepare(self, origin):
        """A key with all that an operation may want to work on."""
        cls = type(self)
        cls.count += 1
        key, arn = self.new_key(MultiRegion=True, Origin=origin, Tags=[
            {"TagKey": "a", "TagValue": "b"}])
        made = {"key": key, "arn": arn, "alias": f"alias/state-{self.count}",
                "materials": [make_material(), make_material()],
                "import": {"KeyId": key, "ImportToken": b"x",
                           "EncryptedKeyMaterial": b"x"}}
        if origin == "EXTERNAL":
            made["import"], new = self.importable(made, self.api)
            self.api.import_key_material(**made["import"])
            self.api.import_key_material(**new,
                                         ImportType="NEW_KEY_MATERIAL")
        made["grant"] = self.kms.create_grant(
            KeyId=key, GranteePrincipal=ADMIN,
            Operations=["Decrypt"])["GrantId"]
        self.kms.create_alias(AliasName=made["alias"], TargetKeyId=key)
        made["blob"] = self.encrypt(key)
        return made

    def replicate(self, made, origin):
        """A replica that could become the primary."""
        self.kms.replicate_key(KeyId=made["key"], ReplicaRegion=OTHER)
        if origin == "EXTERNAL":
            there = Api(self.server, OTHER)
            there.import_key_material(**self.importable(made, there)[0])

    def bring(self, made, state):
        """Brings the key into a state, by the API where that can."""
        key = {"KeyId": made["key"]}
        if state == "Disabled":
            self.kms.disable_key(**key)
        elif state == "PendingReplicaDeletion":
            self.kms.replicate_key(**key, ReplicaRegion=OTHER)
        elif state == "PendingImport":
            self.kms.delete_imported_key_material(**key)
        elif state in WRITTEN:
            self.server.sql("UPDATE kms_key SET state = ? WHERE region = ?"
                            " AND key_id = ?", state, REGION, made["key"])
        if state in ("PendingDeletion", "PendingReplicaDeletion"):
            self.kms.schedule_key_deletion(**key)
        self.assertEqual(state, self.server.call(
            "DescribeKey", key).json["KeyMetadata"]["KeyState"])

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
            "GetParametersForImport": ("GetParametersForImport", {
                **key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
                "WrappingKeySpec": "RSA_2048"}),
            "ImportKeyMaterial": ("ImportKeyMaterial", {
                k: b64(v) if isinstance(v, bytes) else v
                for k, v in made["import"].items()}),
        }.get(name, (name, key))

    def answers(self, name, state, letter, made):
        operation, body = self.request(name, made)
        answer = self.server.call(operation, body)
        got = answer.code, answer.message
        if letter == "Y":
            self.assertEqual((None, ""), got, (name, state))
        else:
            code, text = ANSWERS[letter]
            self.assertEqual((code, text.format(made["arn"])), got,
                             (name, state))

    def check(self, column):
        """All share a key but those that end its state."""
        origin, state = COLUMNS[column]
        shared = self.prepare(origin)
        self.bring(shared, state)
        for line in TABLE.strip().splitlines():
            name, *letters = line.split()
            self.assertEqual(len(COLUMNS), len(letters), name)
            made = shared
            if letters[column] == "Y" and name in CHANGES:
                made = self.prepare(origin)
                if name == "UpdatePrimaryRegion":
                    self.replicate(made, origin)
                self.bring(made, state)
            self.answers(name, (origin, state), letters[column], made)
            self.server.call("UpdateAlias", {
                "AliasName": "alias/envelope", "TargetKeyId": self.good})

    def test_table(self):
        """states-every-operation-of-the-server-has-a-row"""
        rows = [line.split()[0] for line in TABLE.strip().splitlines()]
        self.assertEqual(sorted(set(rows)), sorted(rows))
        self.assertEqual(
            operations() - KEYLESS,
            {re.sub("^ReEncrypt(From|To)$", "ReEncrypt", row)
             for row in rows})


tap.add_rows(States, [
    (f"states-every-operation-on-a-key-{state}"
     f"{'-with-imported-material' * (origin == 'EXTERNAL')}", (column,))
    for column, (origin, state) in enumerate(COLUMNS)])

if __name__ == "__main__":
    tap.main()
