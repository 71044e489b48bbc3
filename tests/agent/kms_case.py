# SPDX-License-Identifier: GPL-2.0-or-later
"""An agent beside an envelope-kms of its own, and a volume in a file."""
import os
import pathlib
import shutil
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "kms"))

from agent_case import BUILD, NOBODY, AgentCase  # noqa: E402
from server_fixture import Server  # noqa: E402

ENVELOPE = str(BUILD / "bin" / "envelope")
ATTACH = "io.envelope.Agent.Attach"
POLICY = (f"[uid {NOBODY}]\ndevices = passed /dev/disk/by-id/nobody-*\n"
          "names = mine-* vol-*\n")


class KmsCase(AgentCase):
    """`self.volume` is a formatted file of the user nobody's."""
    POLICY = POLICY

    @classmethod
    def prepare(cls):
        cls.server = Server()
        cls.kms = cls.server.client()
        cls.config = cls.dir / "etc" / "envelope.conf"
        cls.config.parent.mkdir(mode=0o700)
        cls.write_config()
        shutil.copy(cls.server.dir / "credentials",
                    cls.config.parent / "credentials")
        os.chmod(cls.config.parent / "credentials", 0o600)
        cls.policy = cls.dir / "agent.policy"
        cls.policy.write_text(cls.POLICY)
        cls.ARGUMENTS = ("--config", str(cls.config), "--policy",
                         str(cls.policy))
        cls.key = cls.kms.describe_key(
            KeyId="alias/envelope")["KeyMetadata"]["Arn"]
        cls.volume = cls.format("volume")

    @classmethod
    def write_config(cls, **more):
        lines = {"endpoint": cls.server.endpoint,
                 "ca-file": cls.server.dir / "ca.pem", "profile": "envelope",
                 "default-key": "alias/envelope",
                 "allow-keys": "arn:aws:kms:us-east-1:111122223333:key/*",
                 **more}
        cls.config.write_text("[region us-east-1]\n" + "".join(
            f"{name} = {value}\n" for name, value in lines.items()))

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.server.close()

    @classmethod
    def format(cls, name, *options):
        path = cls.dir / name
        with open(path, "wb") as file:
            file.truncate(4 << 20)
        # In a place of its own /var/lib: the pins are the agent's to make.
        pins = cls.dir / "pins"
        pins.mkdir(exist_ok=True)
        env = dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=str(
            cls.config.parent / "credentials"))
        subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             'mkdir -p /var/lib/envelope && mount --bind "$0" '
             '/var/lib/envelope && exec "$@"', pins, ENVELOPE, "format",
             "--config", cls.config, *options, path], env=env, check=True,
            stdout=subprocess.DEVNULL)
        os.chown(path, NOBODY, NOBODY)
        return path

    def attach(self, connection, path=None, mode=os.O_RDWR, **parameters):
        """The answer to a dry run by descriptor."""
        fd = os.open(path or self.volume, mode)
        try:
            return connection.call(ATTACH, {
                "device_fd": 0, "dry_run": True, **parameters}, [fd])
        finally:
            os.close(fd)
