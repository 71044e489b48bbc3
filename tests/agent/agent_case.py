# SPDX-License-Identifier: GPL-2.0-or-later
"""An agent of its own for each test file, and a client of ten lines."""
import contextlib
import hashlib
import json
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
AGENT = BUILD / "bin" / "envelope-agent"
# With sanitizers a program takes its time, and memory as it likes.
SANITIZED = BUILD.name == "san"
WAIT_SECONDS = 120
NOBODY = 65534
CORE_AND_SLOTS = 20, 76     # where a copy's superblock has their lengths


class Connection:
    """One connection to the agent; messages are dictionaries."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        # A queue that is full is waited for, but not with a time-out set.
        self.socket.connect(str(path))
        self.socket.settimeout(WAIT_SECONDS)
        self.rest = b""

    def raw(self, data, fds=()):
        if fds:
            socket.send_fds(self.socket, [data], list(fds))
        else:
            self.socket.sendall(data)

    def send(self, message, fds=()):
        self.raw(json.dumps(message).encode() + b"\0", fds)

    def receive(self):
        """The next message; None at the end of the connection."""
        while b"\0" not in self.rest:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.rest += data
        first, _, self.rest = self.rest.partition(b"\0")
        return json.loads(first)

    def call(self, method, parameters=None, fds=(), **more):
        message = {"method": method, **more}
        if parameters is not None:
            message["parameters"] = parameters
        self.send(message, fds)
        return self.receive()

    def close(self):
        self.socket.close()


@contextlib.contextmanager
def as_user(uid, gid=None, groups=()):
    """This thread of the process acts as another user meanwhile."""
    os.setgroups(list(groups))
    os.setresgid(gid if gid is not None else uid, -1, 0)
    os.setegid(gid if gid is not None else uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setresgid(0, 0, 0)
        os.setgroups([])


def forge(path, change):
    """Change core and slots, as anybody can who writes the device: all but the
    HMAC is right then."""
    image = bytearray(path.read_bytes()[:256 << 10])
    for at in 0, 128 << 10:
        copy = image[at:at + (128 << 10)]
        sizes = [struct.unpack_from("<I", copy, field)[0]
                 for field in CORE_AND_SLOTS]
        middle = 4096 + sizes[0]
        texts = [copy[4096:middle], copy[middle:middle + sizes[1]]]
        parts = [json.loads(text) for text in texts]
        change(parts[0], parts[1]["slots"])
        # A core that is as it was keeps its HMAC.
        texts = [text if json.loads(text) == part else
                 json.dumps(part).encode() for text, part in zip(texts, parts)]
        for field, text in zip(CORE_AND_SLOTS, texts):
            struct.pack_into("<I", copy, field, len(text))
        copy[4096:] = b"".join(texts).ljust((128 << 10) - 4096, b"\0")
        copy[128:160] = bytes(32)
        copy[128:160] = hashlib.sha256(copy).digest()
        image[at:at + (128 << 10)] = copy
    with open(path, "r+b") as file:
        file.write(image)


class AgentCase(unittest.TestCase):
    """`self.agent` runs; `self.connect()` reaches it."""
    ARGUMENTS = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="agent-")
        cls.dir = pathlib.Path(cls.folder.name)
        cls.dir.chmod(0o755)
        cls.socket = cls.dir / "agent.sock"
        cls.state = cls.dir / "state"
        cls.agent = None
        cls.prepare()
        cls.start()

    @classmethod
    def prepare(cls):
        """What a file's agent needs before it starts."""

    @classmethod
    def tearDownClass(cls):
        cls.stop()
        cls.folder.cleanup()

    @classmethod
    def command(cls):
        return [str(AGENT), "--socket", str(cls.socket), "--state",
                str(cls.state), *cls.ARGUMENTS]

    @classmethod
    def start(cls, **environment):
        cls.log = open(cls.dir / "log", "ab")
        cls.agent = subprocess.Popen(
            cls.command(), stdin=subprocess.DEVNULL, stdout=cls.log,
            stderr=cls.log, env={**os.environ, **environment})
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            with contextlib.suppress(OSError):
                Connection(cls.socket).close()
                os.chmod(cls.socket, 0o666)
                return
            if cls.agent.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no agent: {cls.said()}")
            time.sleep(0.02)

    @classmethod
    def stop(cls, how=signal.SIGTERM):
        """Its exit status."""
        if cls.agent is None:
            return None
        cls.agent.send_signal(how)
        status = cls.agent.wait(WAIT_SECONDS)
        cls.agent = None
        cls.log.close()
        return status

    @classmethod
    def said(cls):
        return (cls.dir / "log").read_text(errors="replace")

    def wait_for(self, text):
        """Until the agent has said it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in self.said():
            self.assertLess(time.monotonic(), deadline, self.said())
            time.sleep(0.02)

    def reload_policy(self):
        before = self.said().count("read again")
        self.agent.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + WAIT_SECONDS
        while self.said().count("read again") == before:
            self.assertLess(time.monotonic(), deadline, self.said())
            time.sleep(0.02)

    def connect(self, uid=0, groups=()):
        if uid == 0:
            c = Connection(self.socket)
        else:
            with as_user(uid, groups=groups):
                c = Connection(self.socket)
        self.addCleanup(c.close)
        return c

    def ended(self, connection):
        """The agent closes the connection, and says nothing more on it."""
        self.assertIsNone(connection.receive())

    def quiet(self, connection, seconds=0):
        """Nothing has come, or does, that was not asked for."""
        self.assertEqual(select.select([connection.socket], [], [],
                                       seconds)[0], [])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.agent.pid}/fd"))

    def settled(self, count):
        """Until the agent has no more descriptors than that."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.descriptors() > count:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
