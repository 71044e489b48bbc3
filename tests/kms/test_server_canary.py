#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""No data key and no key material stays anywhere in envelope-kms."""
import os
import time
import unittest

from server_canary import halves, search
from server_fixture import Server, Signer, b64, wait_for
from server_seal import open_material
import tap

PLACES = ["kms.db", "kms.db-wal", "audit.log", "stdout", "stderr", "memory"]


class Canary(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.end)

    def plant_in_files(self, data):
        """In the database file, in its log, and in all that is text."""
        self.server.sql("CREATE TABLE planted (x BLOB)")
        self.server.sql("INSERT INTO planted VALUES (?)", data)
        self.server.sql("PRAGMA wal_checkpoint(FULL)")
        self.server.sql("INSERT INTO planted VALUES (?)", data)
        for path in (self.server.dir / "audit" / "audit.log",
                     self.server.folder / "stdout",
                     self.server.folder / "stderr"):
            with open(path, "ab") as out:
                out.write(data)

    def plant_in_memory(self, data):
        """A request whose body never ends; the open connection."""
        connection = self.server.connection()
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", str(len(data) + 1))
        connection.endheaders()
        connection.send(data)
        return connection

    def test_planted_canary_is_found(self):
        """security-34-planted-canary-found-in-every-place"""
        canary = os.urandom(64)
        forms = halves(canary)
        data = b" ".join(forms.values())
        self.plant_in_files(data)
        connection = self.plant_in_memory(data)
        want = {(place, "canary", form) for form in forms
                for place in PLACES}
        wait_for(lambda: want <= search(self.server, {"canary": canary}),
                 "the planted canary to be found")
        connection.close()

    def material(self):
        """The plaintext of the default key's material."""
        return open_material(self.server, self.server.sql(
            "SELECT region, key_id, material_id FROM material")[0])

    def test_no_secret_stays(self):
        """security-34-no-data-key-and-no-material-stays"""
        kms = self.server.client()
        context = {"envelope:volume-id": "vol-1"}
        made = kms.generate_data_key(KeyId="alias/envelope",
                                     NumberOfBytes=64,
                                     EncryptionContext=context)
        key = made["Plaintext"]
        for _ in range(3):
            self.assertEqual(key, kms.decrypt(
                CiphertextBlob=made["CiphertextBlob"],
                EncryptionContext=context)["Plaintext"])
        kms.re_encrypt(CiphertextBlob=made["CiphertextBlob"],
                       SourceEncryptionContext=context,
                       DestinationKeyId="alias/envelope")
        sent = os.urandom(64)
        kms.encrypt(KeyId="alias/envelope", Plaintext=sent)
        chance = kms.generate_random(NumberOfBytes=64)["Plaintext"]
        # Failures on the way must not keep it either.
        for body in ({"KeyId": "alias/absent", "Plaintext": b64(sent)},
                     {"KeyId": "alias/envelope", "Plaintext": b64(sent),
                      "EncryptionContext": {"a": 1}},
                     {"KeyId": "alias/envelope",
                      "Plaintext": [b64(sent)]}):
            self.assertEqual(400, self.server.call("Encrypt", body).status)
        self.server.call("Encrypt", b'{"Plaintext":"' +
                         b64(sent).encode() + b'"')
        secrets = {"data key": key, "plaintext of Encrypt": sent,
                   "random": chance, "material": self.material()}
        # The client of boto3 still holds its connection open.
        self.settle(secrets)

    def settle(self, secrets):
        """Threads that end a moment after the answer get that moment."""
        found = search(self.server, secrets)
        until = time.monotonic() + 60
        while found and time.monotonic() < until:
            time.sleep(0.2)
            found = search(self.server, secrets)
        self.assertEqual(set(), found)

    def test_cut_off_upload_leaves_nothing(self):
        """security-34-plaintext-of-a-cut-off-request-leaves"""
        sent = os.urandom(64)
        body = b'{"KeyId":"alias/envelope","Plaintext":"' + b64(sent).encode()
        connection = self.server.connection()
        connection.putrequest("POST", "/", skip_host=True)
        for name, value in Signer(self.server).headers("Encrypt", body):
            connection.putheader(name, value)
        connection.putheader("Content-Length", "10000")
        connection.endheaders()
        connection.send(body)
        time.sleep(0.3)
        connection.close()
        self.settle({"cut off": sent})


if __name__ == "__main__":
    tap.main()
