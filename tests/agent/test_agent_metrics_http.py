# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics over HTTP, on a socket that is passed as systemd does it."""
import http.client
import os
import signal
import socket
import subprocess

import tap
from agent_case import WAIT_SECONDS
from kms_case import ENVELOPE, KmsCase

NO_AGENT = ("# HELP envelope_agent_up Has envelope-agent answered?\n"
            "# TYPE envelope_agent_up gauge\nenvelope_agent_up 0\n")
LATER = 3600


class Http(KmsCase):
    def setUp(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]

    def serve(self, *options, agent=None, passed=True):
        fd = self.listener.fileno()
        env = {**os.environ, **({"LISTEN_FDS": "1"} if passed else {})}
        process = subprocess.Popen(
            ["bash", "-c", f'exec 3<&{fd}; LISTEN_PID=$$ exec "$@"', "-",
             ENVELOPE, "metrics", "--socket", agent or self.socket, "--http",
             *map(str, options)], pass_fds=[fd], env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def ask(self, method="GET", path="/metrics", body=None):
        """Status, headers and body of the answer."""
        c = http.client.HTTPConnection("127.0.0.1", self.port,
                                       timeout=WAIT_SECONDS)
        try:
            c.request(method, path, body)
            answer = c.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            c.close()

    def wait(self):
        """A connection that has asked, whoever answers."""
        c = http.client.HTTPConnection("127.0.0.1", self.port,
                                       timeout=WAIT_SECONDS)
        self.addCleanup(c.close)
        c.request("GET", "/metrics")
        return c

    def test_get(self):
        """agent metrics http: /metrics has what `envelope metrics` prints"""
        self.serve("--idle", LATER)
        status, headers, text = self.ask()
        self.assertEqual(200, status)
        self.assertEqual("text/plain; version=0.0.4; charset=utf-8",
                         headers["Content-Type"])
        printed = subprocess.run([ENVELOPE, "metrics", "--socket",
                                  self.socket], capture_output=True,
                                 text=True, check=True).stdout
        names = [line.split()[2] for line in printed.splitlines()
                 if line.startswith("# TYPE")]
        self.assertIn("envelope_agent_up 1\n", text)
        self.assertGreater(len(names), 5)
        for name in names:
            self.assertIn(f"# TYPE {name} ", text)
        # The next one on another connection, and without a body.
        status, headers, text = self.ask("HEAD")
        self.assertEqual((200, ""), (status, text))
        self.assertGreater(int(headers["Content-Length"]), 100)

    def test_others(self):
        """agent metrics http: nothing else is there, and nothing is taken"""
        self.serve("--idle", LATER)
        for path in "/", "/metrics/", "/metricsx", "//metrics", "/health":
            self.assertEqual(404, self.ask(path=path)[0], path)
        for method in "POST", "PUT", "DELETE", "OPTIONS":
            status, headers, _ = self.ask(method, body=b"x" * 100000)
            self.assertEqual((405, "GET, HEAD"), (status, headers["Allow"]))
        self.assertEqual(200, self.ask()[0])

    def test_no_agent(self):
        """agent metrics http: no agent is one of the metrics"""
        self.serve("--idle", LATER, agent=self.dir / "none")
        status, _, text = self.ask()
        self.assertEqual((200, NO_AGENT), (status, text))

    def test_silent(self):
        """agent metrics http: who says nothing keeps nobody waiting"""
        self.serve("--idle", LATER)
        silent = [socket.create_connection(("127.0.0.1", self.port))
                  for _ in range(4)]
        for s in silent:
            self.addCleanup(s.close)
            s.sendall(b"GET /metr")
        self.assertEqual(200, self.ask()[0])

    def test_idle(self):
        """agent metrics http: it ends when nobody asks, and the socket stays"""
        first = self.wait()
        process = self.serve("--idle", 1)
        self.assertEqual(200, first.getresponse().status)
        first.close()
        self.assertEqual(0, process.wait(WAIT_SECONDS))
        # Who comes then is heard by the next one.
        second = self.wait()
        self.serve("--idle", LATER)
        self.assertEqual(200, second.getresponse().status)

    def test_no_socket(self):
        """agent metrics http: by hand there is no socket"""
        process = self.serve(passed=False)
        said, _ = process.communicate(timeout=WAIT_SECONDS)
        self.assertEqual((2, True), (process.returncode, "systemctl enable "
                                     "--now envelope-metrics-http.socket"
                                     in said), said)

    def test_words(self):
        """agent metrics http: wrong words are usage errors"""
        for words, why in ((["--output", "x"], "are two ways"),
                           (["--idle", "0"], "is not 1 to 3600 seconds")):
            done = self.serve(*words)
            said, _ = done.communicate(timeout=WAIT_SECONDS)
            self.assertEqual(2, done.returncode)
            self.assertIn(why, said)
        done = subprocess.run([ENVELOPE, "metrics", "--idle", "5"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(2, done.returncode)
        self.assertIn("--idle is for --http", done.stderr)

    def test_not_loaded(self):
        """agent metrics http: its library is no other verb's"""
        done = subprocess.run(["ldd", ENVELOPE], capture_output=True,
                              text=True, check=True)
        self.assertNotIn("microhttpd", done.stdout)

    def test_stopped(self):
        """agent metrics http: it can be stopped"""
        process = self.serve("--idle", LATER)
        self.assertEqual(200, self.ask()[0])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(-signal.SIGTERM, process.wait(WAIT_SECONDS))


if __name__ == "__main__":
    tap.main()
