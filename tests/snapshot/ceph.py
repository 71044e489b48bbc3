# SPDX-License-Identifier: GPL-2.0-or-later
"""An S3 server that nobody here wrote: Ceph, as small as it gets.

A monitor, one OSD in memory and the gateway, all on loopback, in a folder and
with ports of their own. They end with the process that started them, however
that ends.
"""
import atexit
import pathlib
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid

ACCESS, SECRET, REGION = "RGWACCESSKEY", "rgw-secret-key", "us-east-1"
START_SECONDS = 240
CONF = """\
[global]
fsid = {fsid}
mon initial members = a
mon host = {addresses}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
pid file = {folder}/run/$name.pid
log file = {folder}/log/$name.log
mon cluster log file = {folder}/log/cluster.log
crash dir = {folder}/run
keyring = {folder}/keyring
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 2
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw data = {folder}/run
rgw thread pool size = 32
"""


def free_ports(count):
    """Ports nobody listens on, each another one."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Ceph:
    """Serves at `endpoint` when it has been made, until close()."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ceph-"))
        self.running = []
        atexit.register(self.close)
        v2, v1, port = free_ports(3)
        self.addresses = f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]"
        self.fsid = str(uuid.uuid4())
        self.endpoint = f"http://127.0.0.1:{port}"
        for name in "mon", "osd", "run", "log":
            (self.folder / name).mkdir()
        (self.folder / "ceph.conf").write_text(CONF.format(
            fsid=self.fsid, addresses=self.addresses, folder=self.folder,
            port=port))
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def run(self, program, *args):
        """A command of Ceph's, to its end."""
        done = subprocess.run(
            [program, "-c", self.folder / "ceph.conf", *map(str, args)],
            capture_output=True, text=True, timeout=START_SECONDS, check=False)
        if done.returncode:
            raise AssertionError(f"{program} {args[0]}: {done.stderr}")

    def daemon(self, program, *args):
        with open(self.folder / "log" / program, "w") as log:
            self.running.append(subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, "-f", "-c",
                 self.folder / "ceph.conf", *args],
                stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT))

    def make_keys(self):
        keyring = self.folder / "keyring"
        for name, caps in (
                ("mon.", {"mon": "allow *"}),
                ("client.admin", {"mon": "allow *", "osd": "allow *"}),
                ("osd.0", {"mon": "allow profile osd", "osd": "allow *"}),
                ("client.rgw.a", {"mon": "allow *", "osd": "allow *"})):
            self.run("ceph-authtool", keyring, "--gen-key", "-n", name,
                     *([] if keyring.exists() else ["--create-keyring"]),
                     *(w for of, cap in caps.items()
                       for w in ("--cap", of, cap)))
        return keyring

    def start(self):
        keyring, monmap = self.make_keys(), self.folder / "monmap"
        self.run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a",
                 self.addresses, monmap)
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap,
                 "--keyring", keyring)
        self.daemon("ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        self.run("ceph", "osd", "new", osd, "0")
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.daemon("ceph-osd", "-i", "0")
        self.daemon("radosgw", "-n", "client.rgw.a")
        self.wait()
        self.run("radosgw-admin", "user", "create", "--uid=snapshots",
                 "--display-name=snapshots", f"--access-key={ACCESS}",
                 f"--secret-key={SECRET}")

    def said(self):
        """The last words of each daemon."""
        return "\n".join(f"{log}: {log.read_text(errors='replace')[-2000:]}"
                         for log in sorted((self.folder / "log").iterdir()))

    def wait(self):
        """Until the gateway answers."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if any(p.poll() is not None for p in self.running):
                raise AssertionError(f"Ceph has ended:\n{self.said()}")
            try:
                urllib.request.urlopen(self.endpoint, timeout=10).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"no gateway in {START_SECONDS} s:\n{self.said()}")

    @staticmethod
    def bucket_name():
        return f"snapshots-{secrets.token_hex(4)}"

    def close(self):
        atexit.unregister(self.close)
        # Nothing of it outlives this: none of them has to save anything.
        for process in reversed(self.running):
            process.kill()
            process.wait()
        self.running.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
