#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that take their time, under a clock that the test moves."""
import mmap
import struct
import subprocess
import unittest

from server_fixture import Server
import tap

REQUEST_SECONDS = 30
IDLE_SECONDS = 60

# All clocks of the server are ahead by what the shared file says, and no
# poll() sleeps through a change of it.
SHIM = rb"""
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *ahead_seconds;

__attribute__((constructor)) static void map_file(void)
{
	int fd = open(getenv("TEST_AHEAD"), O_RDONLY);

	ahead_seconds = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int rc = syscall(SYS_clock_gettime, clock, t);

	if (rc == 0 && ahead_seconds)
		t->tv_sec += *ahead_seconds;
	return rc;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	int64_t end_ms = now_ms() + timeout_ms;

	for (;;) {
		int64_t left = end_ms - now_ms();
		struct timespec slice = { 0, 20 * 1000 * 1000 };
		int n;

		if (timeout_ms >= 0 && left <= 0)
			slice.tv_nsec = 0;
		n = syscall(SYS_ppoll, fds, count, &slice, NULL, 0);
		if (n || (timeout_ms >= 0 && left <= 0))
			return n;
	}
}
"""


class Slow(unittest.TestCase):
    def setUp(self):
        self.server = Server(start=False)
        self.addCleanup(self.server.end)
        shim = self.server.folder / "shim.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, "-xc", "-"],
                       check=True, input=SHIM)
        path = self.server.folder / "ahead"
        path.write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self.ahead = mmap.mmap(file.fileno(), 8)
        self.addCleanup(self.ahead.close)
        self.server.start(LD_PRELOAD=str(shim), TEST_AHEAD=str(path))
        self.connection = self.server.connection()
        self.addCleanup(self.connection.close)
        self.connection.connect()

    def pass_seconds(self, seconds):
        now, = struct.unpack("q", self.ahead[:])
        self.ahead[:] = struct.pack("q", now + seconds)

    def send(self, data):
        self.connection.sock.sendall(data)

    def ends(self):
        """Long before it would for having been idle since."""
        self.connection.sock.settimeout(30)
        self.assertEqual(b"", self.status_line())

    def status_line(self):
        with self.connection.sock.makefile("rb") as reader:
            return reader.readline()

    def stays_open(self):
        """It does for some slices of the poll() above."""
        self.connection.sock.settimeout(1)
        with self.assertRaises(TimeoutError):
            self.connection.sock.recv(1)
        self.connection.sock.settimeout(120)

    def begin(self):
        """The time counts from when the server has seen the head."""
        self.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                  b"Expect: 100-continue\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n",
                         self.connection.sock.recv(100))
        self.send(b"a")

    def test_slow_body(self):
        """kms-a-body-may-take-thirty-seconds"""
        self.begin()
        self.pass_seconds(REQUEST_SECONDS // 2)
        self.send(b"b")
        self.stays_open()
        self.send(b"c")
        self.assertEqual(b"HTTP/1.1 400 Bad Request\r\n", self.status_line())

    def test_too_slow_body(self):
        """kms-a-body-that-takes-longer-ends-its-connection"""
        self.begin()
        self.pass_seconds(REQUEST_SECONDS + 1)
        self.send(b"b")
        self.ends()

    def test_slow_head(self):
        """kms-a-head-of-single-bytes-may-take-a-minute-and-a-half"""
        self.send(b"POST / HTTP/1.1\r\n")
        self.pass_seconds(REQUEST_SECONDS)
        self.send(b"Host: x\r\n")
        self.pass_seconds(REQUEST_SECONDS)
        self.send(b"\r\n")
        self.assertEqual(b"HTTP/1.1 400 Bad Request\r\n", self.status_line())

    def test_too_slow_head(self):
        """kms-a-head-of-single-bytes-ends-its-connection-after-that"""
        for _ in range(2):  # also after a request that was in time
            self.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200", self.connection.sock.recv(1000))
            self.stays_open()  # the server, too, is done with it
            self.pass_seconds(IDLE_SECONDS // 2)
        self.send(b"P")
        self.pass_seconds(20)
        self.send(b"O")
        self.pass_seconds(25)
        self.stays_open()
        self.send(b"S")
        self.pass_seconds(16)
        self.ends()

    def test_idle(self):
        """kms-an-idle-connection-ends-after-a-minute"""
        self.pass_seconds(IDLE_SECONDS // 2)
        self.stays_open()
        self.pass_seconds(IDLE_SECONDS + 1)
        self.ends()


if __name__ == "__main__":
    tap.main()
