# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent's socket: framing, introspection, hostile clients, limits."""
import json
import os
import pathlib
import re
import socket
import subprocess
import time

import tap
from agent_case import AGENT, NOBODY, SANITIZED, AgentCase, Connection

SERVICE = "org.varlink.service"
INTERFACE = "io.envelope.Agent"
EXAMPLE = (pathlib.Path(__file__).resolve().parent.parent.parent
           / "scripts/examples/agent-volumes.py")


def error(answer):
    return answer.get("error"), answer.get("parameters", {})


class Introspection(AgentCase):
    def test_info(self):
        """agent: GetInfo names product, version and both interfaces"""
        info = self.connect().call(f"{SERVICE}.GetInfo")["parameters"]
        self.assertEqual(info["product"], "envelope-agent")
        self.assertEqual(info["interfaces"], [SERVICE, INTERFACE])
        version = subprocess.run([AGENT, "--version"], capture_output=True,
                                 text=True).stdout.split()[1]
        self.assertEqual(info["version"], version)

    def describe(self, name):
        return self.connect().call(f"{SERVICE}.GetInterfaceDescription",
                                   {"interface": name})

    def test_description(self):
        """agent: GetInterfaceDescription answers the whole interface"""
        for name in SERVICE, INTERFACE:
            text = self.describe(name)["parameters"]["description"]
            self.assertIn(f"\ninterface {name}\n", "\n" + text)
            self.assertTrue(text.endswith("\n"))

    def test_described_methods_exist(self):
        """agent: every method that is described is there"""
        text = self.describe(INTERFACE)["parameters"]["description"]
        names = re.findall(r"^method (\w+)", text, re.M)
        self.assertIn("List", names)
        c = self.connect()
        for name in names:
            answer = c.call(f"{INTERFACE}.{name}", {"no_such": 1})
            self.assertEqual(error(answer), (
                f"{SERVICE}.InvalidParameter", {"parameter": "no_such"}))

    def test_unknown_interface(self):
        """agent: an unknown interface is InterfaceNotFound"""
        expected = (f"{SERVICE}.InterfaceNotFound", {"interface": "a.b"})
        self.assertEqual(error(self.describe("a.b")), expected)
        self.assertEqual(error(self.connect().call("a.b.C")), expected)

    def test_unknown_method(self):
        """agent: an unknown method is MethodNotFound"""
        self.assertEqual(
            error(self.connect().call(f"{INTERFACE}.Nothing")),
            (f"{SERVICE}.MethodNotFound",
             {"method": f"{INTERFACE}.Nothing"}))


class Calls(AgentCase):
    def test_list_of_nothing(self):
        """agent: a list of nothing is an empty list, for anybody"""
        for uid in 0, NOBODY:
            answer = self.connect(uid).call(f"{INTERFACE}.List")
            self.assertEqual(answer, {"parameters": {"volumes": []}})

    def test_not_attached(self):
        """agent: the status of what is not there is NotAttached, status 8"""
        answer = self.connect().call(f"{INTERFACE}.Status", {"name": "x"})
        self.assertEqual(error(answer), (
            f"{INTERFACE}.NotAttached",
            {"message": "'x' is not attached", "status": 8}))

    def test_parameters(self):
        """agent: missing, mistyped and null parameters are named"""
        c = self.connect()
        for parameters in {}, {"name": 1}, {"name": None}, {"name": ["x"]}:
            self.assertEqual(
                error(c.call(f"{INTERFACE}.Status", parameters)),
                (f"{SERVICE}.InvalidParameter", {"parameter": "name"}))

    def test_pipelined(self):
        """agent: calls in one write are answered one after the other"""
        c = self.connect()
        one = json.dumps({"method": f"{SERVICE}.GetInfo"}).encode() + b"\0"
        two = json.dumps({"method": f"{INTERFACE}.List"}).encode() + b"\0"
        c.raw(one + two + one)
        self.assertIn("product", c.receive()["parameters"])
        self.assertIn("volumes", c.receive()["parameters"])
        self.assertIn("product", c.receive()["parameters"])

    def test_byte_by_byte(self):
        """agent: a call may come byte by byte"""
        c = self.connect()
        for byte in json.dumps({"method": f"{INTERFACE}.List"}).encode():
            c.raw(bytes([byte]))
        self.quiet(c)
        c.raw(b"\0")
        self.assertEqual(c.receive(), {"parameters": {"volumes": []}})

    def test_oneway(self):
        """agent: a oneway call gets no answer, not even an error"""
        c = self.connect()
        c.send({"method": f"{INTERFACE}.List", "oneway": True})
        c.send({"method": "no.such.Method", "oneway": True})
        self.assertIn("product",
                      c.call(f"{SERVICE}.GetInfo")["parameters"])
        self.quiet(c)

    def test_more(self):
        """agent: a method of one answer gives one also where more are asked"""
        answer = self.connect().call(f"{INTERFACE}.List", more=True)
        self.assertNotIn("continues", answer)

    def test_half_closed(self):
        """agent: who closes his sending half still gets the answer"""
        c = self.connect()
        c.send({"method": f"{INTERFACE}.List"})
        c.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(c.receive(), {"parameters": {"volumes": []}})
        self.ended(c)


class Example(AgentCase):
    def ask(self, *names):
        return subprocess.run([EXAMPLE, self.socket, *names], text=True,
                              capture_output=True, timeout=60, check=False)

    def test_example(self):
        """agent: the example of a client lists volumes, and asks for one"""
        done = self.ask()
        self.assertEqual((0, "", ""),
                         (done.returncode, done.stdout, done.stderr))
        done = self.ask("x")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertEqual(error(json.loads(done.stdout)), (
            f"{INTERFACE}.NotAttached",
            {"message": "'x' is not attached", "status": 8}))


HOSTILE = {
    "no JSON": b"hello\0",
    "an empty message": b"\0",
    "an array": b"[]\0",
    "a number": b"1\0",
    "two objects": b"{}{}\0",
    "duplicate names": b'{"method": "a.b", "method": "a.c"}\0',
    "invalid UTF-8": b'{"method": "\xff"}\0',
    "an escaped NUL": b'{"method": "a\\u0000.b"}\0',
    "deep nesting": b'{"method": "a.b", "parameters": '
                    + b'{"a":' * 100 + b"1" + b"}" * 100 + b"}\0",
    "no method": b'{"parameters": {}}\0',
    "a method that is a number": b'{"method": 1}\0',
    "parameters that are a list": b'{"method": "a.b", "parameters": []}\0',
    "a flag that is a text": b'{"method": "a.b", "more": "yes"}\0',
}


class Hostile(AgentCase):
    def check(self, data):
        c = self.connect(NOBODY)
        c.raw(data)
        self.ended(c)
        self.assertIn("product", self.connect().call(
            f"{SERVICE}.GetInfo")["parameters"])

    def test_too_long(self):
        """agent: a message that never ends is cut off at 64 KiB"""
        c = self.connect(NOBODY)
        try:
            for _ in range(64):
                c.raw(b" " * 4096)
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.ended(c)
        self.wait_for(f"of user {NOBODY}: a message too long, or too many "
                      "descriptors: connection closed")

    def test_too_many_descriptors(self):
        """agent: more than four descriptors end the connection, none stay"""
        before = self.descriptors()
        for count in 5, 40:
            c = self.connect(NOBODY)
            c.raw(b"{", [0] * count)
            self.ended(c)
        self.settled(before)

    def test_unwanted_descriptors(self):
        """agent: descriptors that no method wants are closed"""
        c = self.connect()
        c.call(f"{SERVICE}.GetInfo")
        before = self.descriptors()
        for _ in range(3):
            c.call(f"{INTERFACE}.List", fds=[0, 0, 0, 0])
        c.call(f"{SERVICE}.GetInfo")
        self.assertEqual(self.descriptors(), before)

    def test_who_does_not_read(self):
        """agent: a client that does not read stops nobody else"""
        c = self.connect(NOBODY)
        c.socket.settimeout(1)
        call = json.dumps({"method": f"{SERVICE}.GetInterfaceDescription",
                           "parameters": {"interface": INTERFACE}}).encode()
        try:
            for _ in range(2000):
                c.raw(call + b"\0")
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        self.assertIn("product", self.connect().call(
            f"{SERVICE}.GetInfo")["parameters"])
        c.close()

    def test_vanishing(self):
        """agent: clients that vanish in the middle leave nothing behind"""
        before = self.descriptors()
        for i in range(200):
            c = Connection(self.socket)
            c.raw(b'{"method": "io.envelope.Agent.List"}\0'[:i % 40])
            c.close()
        self.settled(before)

    def test_crowd(self):
        """agent: one user cannot take all connections"""
        before = self.descriptors()
        crowd = [self.connect(NOBODY) for _ in range(40)]
        refused = 0
        for c in crowd:
            try:
                c.send({"method": f"{INTERFACE}.List"})
                refused += c.receive() is None
            except (BrokenPipeError, ConnectionResetError):
                refused += 1
        self.assertEqual(refused, 8)
        self.wait_for("a connection was refused: there are too many")
        other = self.connect()
        self.assertIn("parameters", other.call(f"{INTERFACE}.List"))
        for c in [*crowd, other]:
            c.close()
        self.settled(before)  # or the next test's are too many


tap.add_rows(Hostile, [(f"agent: {name} ends the connection, and no more",
                        (data,)) for name, data in HOSTILE.items()])


class Process(AgentCase):
    def field(self, name):
        status = open(f"/proc/{self.agent.pid}/status").read()
        return re.search(rf"^{name}:\s*(.*)$", status, re.M).group(1)

    if not SANITIZED:
        def test_memory(self):
            """agent: idle, it takes less than 16 MB"""
            self.connect().call(f"{INTERFACE}.List")
            self.assertLess(int(self.field("VmRSS").split()[0]), 16 * 1024)

        def test_locked(self):
            """agent: its memory is locked"""
            self.assertGreater(int(self.field("VmLck").split()[0]), 0)

    def test_no_core(self):
        """agent: no core dumps, and not dumpable"""
        limits = open(f"/proc/{self.agent.pid}/limits").read()
        self.assertRegex(limits, r"Max core file size +0 +0 ")

    def test_second(self):
        """agent: a second one on the same socket is refused"""
        done = subprocess.run(self.command(), capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, f"envelope-agent: {self.socket}: "
                         "another agent answers there\n")

    def test_stale_socket(self):
        """agent: the socket that a killed one left is replaced"""
        self.stop(9)
        self.assertTrue(self.socket.exists())
        self.start()
        self.connect().call(f"{INTERFACE}.List")

    def test_no_socket(self):
        """agent: a file in the socket's place stays"""
        path = self.dir / "file"
        path.write_text("x")
        done = subprocess.run([AGENT, "--socket", path, "--state", self.state],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (
            1, f"envelope-agent: {path}: there is a file that is no socket\n"))

    def test_terminated(self):
        """agent: SIGTERM ends it with status 0"""
        self.assertEqual(self.stop(), 0)
        self.start()

    def test_notify(self):
        """agent: tells the service manager READY, WATCHDOG and STOPPING"""
        path = self.dir / "notify"
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(path))
        manager.settimeout(60)
        self.stop()
        self.start(NOTIFY_SOCKET=str(path), WATCHDOG_USEC="1000000")
        self.hears(manager, "READY=1")
        self.hears(manager, "WATCHDOG=1")
        self.stop()
        self.hears(manager, "STOPPING=1")
        self.start()

    def hears(self, manager, line):
        """In one of the next messages; the watchdog's come in between."""
        while line not in manager.recv(4096).decode().split("\n"):
            pass

    def test_activated(self):
        """agent: takes the socket that systemd passes"""
        path = self.dir / "activated.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        done = subprocess.Popen(
            ["/bin/sh", "-c", "exec 3<&%d; export LISTEN_PID=$$ LISTEN_FDS=1; "
             'exec "$0" --state "$1"' % listener.fileno(), AGENT,
             self.dir / "other"], pass_fds=[listener.fileno()])
        try:
            c = Connection(path)
            self.assertIn("volumes",
                          c.call(f"{INTERFACE}.List")["parameters"])
            c.close()
        finally:
            done.terminate()
            self.assertEqual(done.wait(60), 0)
            listener.close()

    def test_wrong_socket(self):
        """agent: what systemd passes must be a listening UNIX socket"""
        done = subprocess.run(
            ["/bin/sh", "-c", "exec 3</dev/null; export LISTEN_PID=$$ "
             'LISTEN_FDS=1; exec "$0" --state "$1"', AGENT,
             self.dir / "other"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("what is not one listening UNIX stream socket",
                      done.stderr)

    def test_not_root(self):
        """agent: must be root"""
        done = subprocess.run(["setpriv", "--reuid", str(NOBODY),
                               "--clear-groups", AGENT], capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the agent must be root", done.stderr)

    def test_usage(self):
        """agent: unknown options and arguments are usage errors"""
        for arguments in ["--nonsense"], ["argument"]:
            done = subprocess.run([AGENT, *arguments], capture_output=True)
            self.assertEqual(done.returncode, 2)


class State(AgentCase):
    GOOD = {"name": "x", "volume_id": "vol-" + "0" * 17,
            "uuid": "01234567-89ab-cdef-0123-456789abcdef", "uid": 5,
            "stage": "attached", "more": {}}

    def check(self, text):
        """It does not start, and leaves the file alone."""
        self.stop()
        path = self.state / "volumes.json"
        path.write_text(text)
        done = subprocess.run(self.command(), capture_output=True, text=True)
        self.assertEqual(path.read_text(), text)
        path.unlink()
        self.start()
        self.assertEqual((done.returncode, done.stderr), (
            6, f"envelope-agent: '{path}' is damaged: move it away; volumes "
            "that are attached now are root's then\n"))

    def test_mode(self):
        """agent: its state is root's alone"""
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)


def damaged():
    yield "not JSON", "hello"
    yield "no list", "{}"
    yield "an entry that is no object", '{"volumes": [1]}'
    for name in State.GOOD:
        entry = {k: v for k, v in State.GOOD.items() if k != name}
        yield f"no {name}", json.dumps({"volumes": [entry]})
    for name, value in [("name", "a/b"), ("volume_id", "vol-1"), ("uid", -1),
                        ("stage", "gone"), ("uuid", "x" * 99), ("more", [])]:
        entry = {**State.GOOD, name: value}
        yield f"a wrong {name}", json.dumps({"volumes": [entry]})


tap.add_rows(State, [(f"agent: state with {name} is refused", (text,))
                     for name, text in damaged()])

if __name__ == "__main__":
    tap.main()
