# SPDX-License-Identifier: GPL-2.0-or-later
"""A real attach through the agent, and where its secrets are afterwards: the
data key nowhere, the user's secret in his own process alone."""
import base64
import contextlib
import hashlib
import hmac
import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading

import tap
from agent_case import as_user
from kms_case import ENVELOPE, KmsCase
from server_canary import halves, memory_of
from server_fixture import ACCOUNT, wait_for
from server_people import Person, statement

USER = 12345


def derive(dek, salt, info):
    """HKDF-SHA-256 (RFC 5869), 32 bytes."""
    key = hmac.digest(salt, dek, hashlib.sha256)
    return hmac.digest(key, info.encode() + b"\1", hashlib.sha256)


class Proxy:
    """Between client and agent: forwards as the user, remembers all bytes.

    The answer that says which device it is waits until `go` is set.
    """

    def __init__(self, path, agent):
        self.agent = agent
        self.seen = bytearray()
        self.held = threading.Event()
        self.go = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        path.chmod(0o666)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                agent = socket.socket(socket.AF_UNIX)
                with as_user(USER):
                    agent.connect(str(self.agent))
                threading.Thread(target=self.forward, args=(client, agent),
                                 daemon=True).start()

    def forward(self, client, agent):
        with contextlib.suppress(OSError):
            while True:
                for one in select.select([client, agent], [], [])[0]:
                    data, fds, _, _ = socket.recv_fds(one, 65536, 8)
                    self.seen += data
                    if b'"device":' in data and one is agent:
                        self.held.set()
                        self.go.wait()
                    if not data:
                        client.close()
                        agent.close()
                        return
                    socket.send_fds(agent if one is client else client,
                                    [data], fds)
                    for fd in fds:
                        os.close(fd)


def read(path):
    try:
        return [open(path, "rb").read()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def process(what, pid):
    """name -> chunks: all that there is of a live process."""
    yield f"{what}'s arguments", read(f"/proc/{pid}/cmdline")
    yield f"{what}'s environment", read(f"/proc/{pid}/environ")
    yield f"{what}'s memory", memory_of(pid)


def search(places, secrets):
    """{(place, secret, form)}"""
    forms = [(name, form, data) for name, secret in secrets.items()
             for form, data in halves(secret).items()]
    return {(place, name, form) for place, chunks in places
            for chunk in chunks for name, form, data in forms
            if data in chunk}


class Canary(KmsCase):
    @classmethod
    def prepare(cls):
        super().prepare()
        cls.user = Person(cls.server, "user", statement(
            "Allow", "kms:CreateGrant"))
        cls.host = Person(cls.server, "host", statement(
            "Allow", "kms:ListRetirableGrants"))
        principal = {"profile": "host", "account": ACCOUNT,
                     "host-principal": cls.host.arn}
        cls.write_config(**principal)
        cls.give(cls.config.parent, cls.host, "host")
        cls.policy.write_text(f"[uid {USER}]\ndevices = passed\nnames = *\n")
        os.chown(cls.volume, USER, USER)
        # What the user's own process reads below /etc and in his home.
        cls.etc = cls.dir / "clients-etc"
        cls.etc.mkdir()
        (cls.etc / "ca.pem").write_bytes(
            (cls.server.dir / "ca.pem").read_bytes())
        (cls.etc / "envelope.conf").write_text(
            cls.config.read_text().replace(str(cls.server.dir / "ca.pem"),
                                           "/etc/envelope/ca.pem"))
        (cls.dir / "home").mkdir()
        cls.give(cls.dir / "home", cls.user, "default")
        os.chown(cls.dir / "home/credentials", USER, USER)
        cls.proxy = Proxy(cls.dir / "proxy.sock", cls.socket)
        cls.addClassCleanup(cls.proxy.listener.close)
        cls.find_secrets()

    @classmethod
    def give(cls, folder, person, profile):
        path = folder / "credentials"
        path.write_text(f"[{profile}]\naws_access_key_id = {person.access}\n"
                        f"aws_secret_access_key = {person.secret}\n")
        path.chmod(0o600)

    @classmethod
    def find_secrets(cls):
        """What the administrator can know: data key and what derives of it."""
        header = cls.volume.read_bytes()[:128 << 10]
        end = 4096 + struct.unpack_from("<I", header, 20)[0]
        core = json.loads(header[4096:end])
        slots = json.loads(header[end:end + struct.unpack_from(
            "<I", header, 76)[0]])
        volume_id = core["volume_id"]
        dek = cls.kms.decrypt(
            KeyId=cls.key, CiphertextBlob=base64.b64decode(
                slots["slots"][0]["ciphertext"]),
            EncryptionContext={"envelope:volume-id": volume_id,
                               "envelope:generation": "1"})["Plaintext"]
        lineage = derive(dek, b"", "envelope lineage v1")
        assert lineage.hex() == core["lineage"], core
        cls.key_secrets = {
            "data key": dek,
            "key of the header": derive(dek, header[24:40],
                                        "envelope header v1" + volume_id)}
        cls.user_secret = {"user's secret": cls.user.secret.encode()}
        cls.host_secret = {"host's secret": cls.host.secret.encode()}

    def client(self):
        return subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             'mkdir -p /etc/envelope && mount --bind "$0" /etc/envelope && '
             f'exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@"',
             self.etc, ENVELOPE, "attach", "--socket", self.dir / "proxy.sock",
             "--dry-run", "--json", self.volume, "data"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.dir / "home"),
                 "AWS_SHARED_CREDENTIALS_FILE":
                 str(self.dir / "home/credentials")})

    def files(self):
        """What the agent writes, what the KMS says, what was sent."""
        yield "traffic", [bytes(self.proxy.seen)]
        yield "agent's log", read(self.dir / "log")
        for folder in self.state, self.server.dir / "audit":
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    yield path.name, read(path)
        yield "KMS's messages", read(self.server.folder / "stderr")

    def workers(self):
        path = f"/proc/{self.agent.pid}/task/{self.agent.pid}/children"
        return read(path)[0].split()

    def pause_at_grant(self):
        """The client has signed, and the KMS does not answer the worker."""
        os.kill(self.server.process.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.server.process.pid, signal.SIGCONT)
        client = self.client()
        self.addCleanup(client.kill)
        wait_for(lambda: client.poll() is not None or (
            b"dry_run_authorization" in self.proxy.seen
            and b'{"parameters":{}}' in self.proxy.seen), "the signature")
        if client.poll() is not None:
            self.fail(client.stderr.read() + self.said())
        return client

    def test_attach(self):
        """security-34-canary: an attach by the agent leaves no secret anywhere"""
        client = self.pause_at_grant()
        agent = list(process("agent", self.agent.pid))
        workers = [place for pid in self.workers()
                   for place in process("worker", int(pid))]
        self.assertGreater(len(workers), 0)
        self.assertEqual(search([*agent, *workers], {
            **self.key_secrets, **self.user_secret}), set())
        self.assertEqual(search(agent, self.host_secret), set())
        os.kill(self.server.process.pid, signal.SIGCONT)
        self.assertTrue(self.proxy.held.wait(300), self.said())
        self.assertEqual(search(
            process("client", client.pid),
            {**self.key_secrets, **self.host_secret}), set())
        everybody = {**self.key_secrets, **self.user_secret,
                     **self.host_secret}
        self.assertEqual(search([*process("agent", self.agent.pid),
                                 *self.files()], everybody), set())
        for word in "arguments", "environment":
            self.assertEqual(search(
                [p for p in process("client", client.pid) if word in p[0]],
                everybody), set())
        self.proxy.go.set()
        out, err = client.communicate(timeout=300)
        self.assertEqual((client.returncode, err), (0, ""))
        self.assertEqual(json.loads(out)["name"], "data")
        self.assertEqual(search([("output", [out.encode()])], everybody),
                         set())

    def test_planted(self):
        """security-34-canary: what is planted in each of these places is found"""
        canary = os.urandom(32)
        forms = {name: form for name, form in halves(canary).items()
                 if b"\0" not in form}
        data = b" ".join(forms.values())
        secrets = {"canary": canary}
        want = set()
        with open(self.dir / "log", "ab") as log:
            log.write(data)
        (self.state / "planted").write_bytes(data)
        connection = self.connect()
        connection.raw(data)
        other = socket.socket(socket.AF_UNIX)
        other.connect(str(self.dir / "proxy.sock"))
        self.addCleanup(other.close)
        other.sendall(data)
        sleeper = subprocess.Popen(
            [b"sleep", b"900"], env={b"PLANTED": data},
            stdout=subprocess.DEVNULL)
        self.addCleanup(sleeper.kill)
        named = subprocess.Popen(["/bin/sh", "-c", "sleep 900; :",
                                  data.decode("latin-1")], start_new_session=True)
        self.addCleanup(os.killpg, named.pid, signal.SIGKILL)
        for place in ("agent's log", "planted", "agent's memory", "traffic",
                      "client's environment"):
            want |= {(place, "canary", form) for form in forms}
        text = {name for name, form in forms.items() if form.isascii()}
        want |= {("client's arguments", "canary", form) for form in text}

        def found():
            try:
                return search([
                    *self.files(), *process("agent", self.agent.pid),
                    *process("client", sleeper.pid),
                    *process("client", named.pid)], secrets)
            except OSError:     # one of them was just becoming its program
                return set()

        wait_for(lambda: want <= found(), "the canary in every place")
        (self.state / "planted").unlink()


if __name__ == "__main__":
    tap.main()
