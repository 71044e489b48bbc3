# SPDX-License-Identifier: GPL-2.0-or-later
"""What real clients need to run the life of a key from end to end."""
import pathlib
import subprocess

from server_fixture import ACCOUNT, REGION, Server, ServerCase
from server_people import Person

OTHER = "eu-west-1"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/administrator"
DAY = 86400
# Debian's clients are older than RotateKeyOnDemand and ImportType: this is
# how botocore is told of them (AWS_DATA_PATH).
MODELS = str(pathlib.Path(__file__).resolve().parent / "models")


class ClientCase(ServerCase):
    """Two regions, a clock, and a friend who may do what grants give him."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--test", "--region", REGION, "--region", OTHER,
                            start=False)
        cls.server.start_test_clock()
        cls.kms = cls.server.client()
        cls.friend = Person(cls.server, "friend")
        cls.days = 0

    def pass_days(self, days):
        """The server's clock goes on, for what comes after this, too."""
        type(self).days += days
        self.server.advance(self.days * DAY)


def openssl(*args, data=b""):
    return subprocess.run(["openssl", *map(str, args)], input=data,
                          capture_output=True, check=True).stdout


def make_material():
    return openssl("rand", "32")


def wrap_material(material, public, folder):
    """@material as AWS's manual has it wrapped for RSAES_OAEP_SHA_256."""
    key = folder / "wrapping-key.der"
    key.write_bytes(public)
    return openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", key, "-keyform",
                   "DER", "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt",
                   "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256",
                   data=material)
