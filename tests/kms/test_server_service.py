#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope-kms as a service: readiness, sockets, reload, health, rates."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest

from server_fixture import PROGRAM, Server, run, wait_for

import tap

UNITS = (pathlib.Path(__file__).resolve().parent.parent.parent /
         "scripts/systemd")


class Service(unittest.TestCase):
    def server(self, **options):
        server = Server(start=False, **options)
        self.addCleanup(server.close)
        return server

    def test_readiness_is_told(self):
        """kms-service-manager-is-told"""
        server = self.server()
        path = str(server.folder / "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(path)
        manager.settimeout(30)
        server.start(NOTIFY_SOCKET=path)
        self.assertEqual(b"READY=1", manager.recv(100))
        server.process.send_signal(signal.SIGHUP)
        self.assertRegex(manager.recv(100),
                         rb"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.assertEqual(b"READY=1", manager.recv(100))
        server.stop()
        self.assertEqual(b"STOPPING=1", manager.recv(100))

    def pass_sockets(self, server, count):
        """Starts the server with @count listening sockets from fd 3 on."""
        listeners = [socket.create_server(("127.0.0.1", 0))
                     for _ in range(count)]
        for one in listeners:
            self.addCleanup(one.close)
        script = "import os, sys\n" + "".join(
            f"os.dup2({one.fileno()}, {60 + n})\n"
            for n, one in enumerate(listeners)) + "".join(
            f"os.dup2({60 + n}, {3 + n})\n" for n in range(count)) + (
            f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='{count}')\n"
            "os.execv(sys.argv[1], sys.argv[1:])\n")
        process = subprocess.Popen(
            ["/usr/bin/python3", "-c", script, PROGRAM, "serve",
             str(server.dir)], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
            pass_fds=[one.fileno() for one in listeners])
        return process, listeners[0].getsockname()[1]

    def test_socket_of_the_service_manager(self):
        """kms-socket-activation"""
        server = self.server()
        server.process, server.port = self.pass_sockets(server, 1)
        server.out = server.err = open(os.devnull)
        self.assertEqual(200, server.call("ListKeys").status)
        self.assertEqual(0, server.stop())

    def test_several_sockets(self):
        process, _ = self.pass_sockets(self.server(), 2)
        _, err = process.communicate(timeout=60)
        self.assertEqual(
            (1, "envelope-kms: the service manager passes 2 sockets; one is served\n"),
            (process.returncode, err))

    def certificate(self, server):
        return ssl.get_server_certificate(("127.0.0.1", server.port))

    def offered(self, server):
        """As certificate(), while the server goes from one to the other."""
        try:
            return self.certificate(server)
        except (ssl.SSLError, ConnectionError):
            return "none"

    def test_reload_of_the_certificate(self):
        """kms-reload-takes-a-new-certificate-and-keeps-calls"""
        server = self.server().start()
        other = self.server()
        old = self.certificate(server)
        connection = server.connection()
        connection.connect()
        for name in ("server.pem", "server.key"):
            shutil.copy(other.dir / name, server.dir / name)
        server.process.send_signal(signal.SIGHUP)
        new = (other.dir / "server.pem").read_text()
        wait_for(lambda: self.offered(server).strip() in new,
                 "the new certificate")
        self.assertNotEqual(old, self.certificate(server))
        wait_for(lambda: "certificate reloaded" in server.stderr(),
                 "the message")
        connection.close()
        shutil.copy(other.dir / "ca.pem", server.dir / "ca.pem")
        self.assertEqual(200, server.call("ListKeys").status)
        self.assertEqual(0, server.stop())

    def test_reload_of_a_broken_certificate(self):
        """kms-reload-of-a-broken-certificate-changes-nothing"""
        server = self.server().start()
        kept = self.certificate(server)
        (server.dir / "server.pem").write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "certificate not reloaded, keeping the old one\n"
                 in server.stderr(), "the message")
        self.assertEqual(kept, self.certificate(server))
        self.assertEqual(200, server.call("ListKeys").status)

    def test_health(self):
        """security-30-health-is-the-only-unsigned-request"""
        server = self.server().start()
        records = len(server.audit())
        answer = server.send(b"", [("Host", "x")], "GET", "/health")
        self.assertEqual((200, b""), (answer.status, answer.body))
        for method, path in (("POST", "/health"), ("GET", "/"),
                             ("GET", "/health/"), ("GET", "/health?x=1"),
                             ("PUT", "/health"), ("GET", "/metrics")):
            answer = server.send(b"", [("Host", "x")], method, path)
            self.assertEqual(400, answer.status, (method, path))
        self.assertEqual(records, len(server.audit()))

    def test_rate_of_an_account(self):
        """kms-rate-of-an-account-is-limited"""
        server = self.server().start("--rate", "1")
        codes = []
        for _ in range(30):
            answer = server.call("ListKeys")
            codes.append((answer.status, answer.code, answer.message))
            if answer.status != 200:
                break
        self.assertEqual((400, "ThrottlingException", "Rate exceeded"),
                         codes[-1])
        self.assertEqual("ThrottlingException",
                         server.audit()[-1]["errorCode"])
        wait_for(lambda: server.call("ListKeys").status == 200,
                 "the rate to allow a call again")

    def test_usage(self):
        for option, what in (("--rate", "1000000"),
                             ("--digest-seconds", "86400")):
            for value in ("0", "x", "", "1x", "-1"):
                done = run("serve", "x", option, value)
                self.assertEqual(
                    (2, f"envelope-kms: {option} {value}: not a number from 1 to {what}\n"),
                    (done.returncode, done.stderr))


class Units(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kms-units-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("envelope-kms.service", "envelope-kms.socket"):
            text = (UNITS / name).read_text()
            (self.folder / name).write_text(re.sub(
                r"^ExecStart=\S+", f"ExecStart={PROGRAM}", text, flags=re.M))

    def analyze(self, *args):
        return subprocess.run(["systemd-analyze", *args], text=True,
                              capture_output=True, timeout=120, check=False)

    def test_verify(self):
        """kms-systemd-units-are-valid"""
        done = self.analyze("verify", "--man=no",
                            *map(str, sorted(self.folder.iterdir())))
        self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_confined(self):
        """kms-systemd-unit-is-confined"""
        done = self.analyze("security", "--offline=true", "--threshold=20",
                            str(self.folder / "envelope-kms.service"))
        self.assertEqual(0, done.returncode, done.stdout)


class Durable(unittest.TestCase):
    """kill -9 while clients change things."""

    def round(self, server, number):
        """Acknowledged key ids of one life of the server."""
        kms = server.client()
        made = []

        def work(n):
            try:
                for i in range(50):
                    made.append((kms.create_key(
                        Description=f"{number}.{n}.{i}")["KeyMetadata"][
                            "KeyId"]))
            except Exception:  # the server is gone
                pass

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            done = [pool.submit(work, n) for n in range(4)]
            wait_for(lambda: len(made) > 4, "some calls")
            server.process.send_signal(signal.SIGKILL)
            for one in done:
                one.result()
        server.process.wait()
        return made

    def test_kill_under_load(self):
        """kms-killed-under-load-loses-nothing-acknowledged"""
        rounds = int(os.environ.get("KMS_KILL_ROUNDS", "3"))
        server = Server(start=False)
        self.addCleanup(server.close)
        made = []
        for number in range(rounds):
            server.start("--digest-seconds", "1")
            made += self.round(server, number)
            server.process = None
        server.start()
        kept = {row[0] for row in server.sql("SELECT key_id FROM kms_key")}
        self.assertEqual(set(), set(made) - kept)
        logged = {r["responseElements"]["keyMetadata"]["keyId"]
                  for r in server.audit() if r["eventName"] == "CreateKey"
                  and r.get("responseElements")}
        self.assertEqual(set(), set(made) - logged)
        self.assertEqual([("ok",)], server.sql("PRAGMA integrity_check"))
        server.stop()
        done = run("audit", "verify", server.dir)
        torn = re.search(r"^(\d+) lines there are no records", done.stdout,
                         re.M)
        self.assertNotIn("log ", done.stdout.replace("log files", ""))
        self.assertEqual((0, None), (done.returncode, torn), done.stdout)


if __name__ == "__main__":
    tap.main()
