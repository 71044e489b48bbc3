# SPDX-License-Identifier: GPL-2.0-or-later
"""Stores in S3: signed as botocore signs, and whatever the server does wrong."""
import socket
import time

import snapshot_case
from s3_case import S3Case
from s3_server import ACCESS, BUCKET, REGION, SECRET, Bucket
from snapshot_case import CHUNK

STORE = f"s3://{BUCKET}/a/b"


class S3(S3Case):
    ACCESS, SECRET, REGION = ACCESS, SECRET, REGION

    def setUp(self):
        super().setUp()
        self.bucket = Bucket()
        self.addCleanup(self.bucket.close)
        self.place, self.endpoint = STORE, self.bucket.endpoint

    def fail(self, times, what):
        """What the server does instead, so many times."""
        left = [times]

        def fault(handler):
            if left[0] == 0 or what(handler) is False:
                return False
            left[0] -= 1
            return True
        self.bucket.faults.append(fault)
        return left

    def test_life(self):
        """s3: create, list, copy, restore, delete, gc; page by page"""
        self.bucket.page = 3
        disk, one = self.taken()
        self.fill(disk, (CHUNK, 4096))
        two = self.made("create", disk)
        self.assertEqual({one, two}, set(self.listed()))
        self.assertEqual(5, sum("/blocks/" in k for k in self.bucket.objects))
        self.snap("verify", two)
        copy = self.made("copy", "--kms-key", self.new_key(), two)
        target = self.folder / "target"
        self.snap("restore", copy, target)
        self.assertEqual(self.plaintext(disk), self.plaintext(target))
        self.snap("delete", one)
        self.snap("gc", "--min-age", "0s")
        self.snap("verify", two)
        self.assertEqual(8, sum("/blocks/" in k for k in self.bucket.objects))
        self.assertFalse([k for k in self.bucket.objects
                          if not k.startswith("a/b/")])
        there = self.folder / "there"
        self.made("copy", "--same-key", "--to-store", there, two)
        self.assertEqual(4, len(list(there.glob("blocks/*/*/*"))))

    def test_conditions(self):
        """s3: what is there is not written again, and put only where nothing is"""
        disk, _ = self.taken()
        puts = [r for r in self.bucket.requests if r[0] == "PUT"]
        self.assertEqual({"*"}, {
            r[2].get("If-None-Match") for r in puts if "/pending/" not in r[1]})
        self.bucket.requests.clear()
        self.made("create", disk)
        self.assertFalse([r for r in self.bucket.requests
                          if r[0] == "PUT" and "/blocks/" in r[1]])
        # A server that does not know the condition says so.
        self.fail(-1, lambda h: h.error(501, "NotImplemented") if h.headers.get(
            "If-None-Match") else False)
        self.fill(disk, (0, 4096))
        self.made("create", disk)

    def test_helped_by_another_try(self):
        """s3: errors, resets and cut answers are tried again"""
        def reset(handler):
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True

        def cut(handler):
            handler.answer(200, b"x" * 100, Content_Length=1 << 19)
            handler.close_connection = True

        _, one = self.taken()
        for what in (lambda h: h.error(500, "InternalError"),
                     lambda h: h.error(503, "SlowDown"),
                     lambda h: h.error(429, "TooManyRequests"), reset, cut):
            left = self.fail(2, what)
            self.snap("verify", one)
            self.assertEqual(0, left[0])

    def test_answer_lost(self):
        """s3: what was written, and nobody heard it, is not another's"""
        disk, _ = self.taken()
        for of in "/bodies/", "/snapshots/":
            def unheard(handler, of=of):
                if handler.command != "PUT" or of not in handler.path:
                    return False
                self.bucket.objects[handler.path.split("/", 2)[2]] = (
                    handler.body, time.time())
                handler.error(500, "InternalError")
                return True

            left = self.fail(1, unheard)
            self.fill(disk, (0, 4096))
            self.snap("verify", self.made("create", disk))
            self.assertEqual(0, left[0])

    def copied(self, one, place, *args):
        """Copy to a place of the same bucket; the blocks that were got."""
        self.bucket.requests.clear()
        copy = self.made("copy", "--same-key", *self.to(place), *args, one)
        got = [r for r in self.bucket.requests
               if r[0] == "GET" and "/blocks/" in r[1]]
        here, self.place = self.place, place
        self.snap("verify", copy)
        self.place = here
        return got

    def test_copied_by_server(self):
        """s3: with the same key the server copies, where it wants to"""
        _, one = self.taken()
        self.assertFalse(self.copied(one, f"s3://{BUCKET}/by-server"))
        self.assertEqual(4, len(self.copied(one, f"s3://{BUCKET}/by-us",
                                            "--verify")))
        # Again: all is there, and nothing travels at all.
        self.assertFalse(self.copied(one, f"s3://{BUCKET}/by-server"))
        self.assertFalse([r for r in self.bucket.requests
                          if r[0] == "PUT" and "/blocks/" in r[1]])
        # Another server has nothing to copy it from.
        other = Bucket()
        self.addCleanup(other.close)
        self.endpoint = other.endpoint
        there = self.to(STORE)
        self.endpoint = self.bucket.endpoint
        self.made("copy", "--same-key", *there, one)
        self.assertFalse([r for r in other.requests
                          if "x-amz-copy-source" in r[2]])
        for n, what in enumerate((
                lambda h: h.error(501, "NotImplemented"),
                lambda h: h.error(403, "AccessDenied"),
                lambda h: h.error(400, "InvalidRequest"),
                lambda h: h.error(200, "InternalError"),
                lambda h: h.answer(200))):
            def unless_copy(handler, what=what):
                return what(handler) is None if handler.headers.get(
                    "x-amz-copy-source") else False
            self.bucket.faults[:] = [unless_copy]
            self.assertEqual(4, len(self.copied(
                one, f"s3://{BUCKET}/refused-{n}")))

    def test_copied_unseen(self):
        """s3: what the server copies is there, and as long as it should be"""
        _, one = self.taken()
        blocks = sorted(k for k in self.bucket.objects if "/blocks/" in k)
        there = f"s3://{BUCKET}/there"

        def refused(says, status=6):
            self.snap("copy", "--same-key", *self.to(there), one,
                      status=status, says=says)
            self.assertFalse([k for k in self.bucket.objects
                              if k.startswith("there/snapshots/")])

        whole = self.bucket.objects[blocks[1]]
        self.bucket.objects[blocks[1]] = (whole[0][:-1], whole[1])
        refused("is damaged or forged: blocks/")
        del self.bucket.objects[blocks[1]]
        refused("is missing: blocks/")
        self.bucket.objects[blocks[1]] = whole

        def cut(handler):
            """The copy is not what it is of."""
            if not handler.headers.get("x-amz-copy-source"):
                return False
            self.bucket.objects[handler.path[1:].partition("/")[2]] = (
                b"short", time.time())
            handler.answer(200, b"<CopyObjectResult></CopyObjectResult>")
            return True
        self.bucket.faults.append(cut)
        refused("is not there whole any more: blocks/", status=1)
        self.bucket.faults.clear()
        self.copied(one, there)

    def test_read_back(self):
        """s3: what a copy has written is read back, zeros, too"""
        image = self.folder / "image"
        image.write_bytes(bytes(2 * CHUNK))
        one = self.made("import", "--no-holes", image)
        before = set(self.listed())

        def flipped(handler):
            if handler.command != "PUT" or "/blocks/" not in handler.path:
                return False
            self.bucket.objects[handler.path.split("/", 2)[2]] = (
                handler.body[:-1] + bytes([handler.body[-1] ^ 1]),
                time.time())
            handler.answer(200)
            return True

        left = self.fail(1, flipped)
        self.snap("copy", "--jobs", 1, "--kms-key", self.new_key(), one,
                  status=6, says="damaged or forged")
        self.assertEqual(0, left[0])
        self.assertEqual(before, set(self.listed()))

    def test_refused(self):
        """s3: what does not help is said, with its status"""
        disk, one = self.taken()
        for status, says, what in (
                (3, "AccessDenied", lambda h: h.error(403, "AccessDenied")),
                (4, "redirect", lambda h: h.answer(
                    301, Location="http://127.0.0.1:1/")),
                (6, "longer than it may be", lambda h: h.answer(
                    200, b"x" * (1 << 20))
                    if "/blocks/" in h.path else False)):
            self.bucket.faults.clear()
            self.fail(-1, what)
            self.snap("verify", "--hashes-only", one, status=status, says=says)
        self.bucket.faults.clear()
        self.fail(-1, lambda h: h.answer(200, b"<html>")
                  if "list-type" in h.path else False)
        self.snap("list", status=6, says="makes no sense")
        self.bucket.faults.clear()
        self.fail(-1, lambda h: h.answer(200, b"x" * 1000)
                  if "/blocks/" in h.path and h.command == "GET" else False)
        self.snap("verify", one, status=6, says="damaged or forged: blocks/")
        before = dict(self.bucket.objects)
        self.fill(disk, (0, 4096))
        self.bucket.faults.clear()
        self.fail(-1, lambda h: h.error(507, "QuotaExceeded")
                  if h.command == "PUT" and "/blocks/" in h.path else False)
        self.snap("create", disk, status=1, says="no room for blocks/")
        self.assertEqual(before, self.bucket.objects)

    def test_lists(self):
        """s3: a list that lies, never ends or has what is not ours"""
        _, one = self.taken()
        lineage = self.listed()[one]["lineage"]
        foreign = [f"a/b/{key}" for key in (
            "README", "blocks/README", f"blocks/{lineage}/old/{'0' * 64}",
            f"blocks/{'x' * 64}/00/{'0' * 64}", "snapshots/snap-1",
            f"snapshots/{one}?acl", f"blocks/{lineage}/../{'0' * 64}")]
        for key in foreign:
            self.bucket.objects[key] = (b"mine", 0)
        self.assertEqual([one], list(self.listed()))
        self.snap("gc", "--min-age", "0s")
        self.assertFalse([k for k in foreign if k not in self.bucket.objects])
        self.snap("verify", one)

        def page(*keys, more=""):
            rows = "".join(
                f"<Contents><Key>{k}</Key><Size>4</Size><LastModified>"
                "2020-01-01T00:00:00.000Z</LastModified></Contents>"
                for k in keys)
            return (f"<ListBucketResult>{rows}{more}"
                    "</ListBucketResult>").encode()
        more = "<NextContinuationToken>{}</NextContinuationToken>"
        for text in (page("x/y"), page("a/b/x"), page("a/b/"),
                     page(more=more.format("again")),
                     page(more=more.format("t" * 4000)),
                     page("a/b/snapshots/" + "x" * 3000),
                     page("a/b/snapshots/x").replace(b">4<", b">-4<"),
                     page("a/b/snapshots/x")[:-9]):
            self.bucket.faults[:] = [
                lambda h, text=text: h.answer(200, text) is None
                if "list-type" in h.path else False]
            before = dict(self.bucket.objects)
            for verb in "list", "gc":
                self.snap(verb, status=6, says="makes no sense")
            self.assertEqual(before, self.bucket.objects)

    def test_midway(self):
        """s3: a server that fails midway leaves nothing half, and a rerun ends"""
        def cut(handler):
            handler.answer(200, b"x" * 100, Content_Length=1 << 19)
            handler.close_connection = True

        def reset(handler):
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True

        disk, one = self.taken()
        key = self.new_key()
        faults = (("PUT", lambda h: h.error(503, "SlowDown"), 4, "SlowDown"),
                  ("PUT", reset, 4, "cannot be reached"),
                  ("GET", lambda h: h.error(500, "InternalError"), 4,
                   "InternalError"),
                  ("GET", cut, 4, "cannot be reached"),
                  ("GET", lambda h: h.answer(200, bytes(CHUNK)), 6,
                   f"of {one} is damaged or forged: blocks/"))
        for method, what, status, says in faults:
            passed = []

            def fault(handler, method=method, what=what, passed=passed):
                """From the second block on."""
                if handler.command != method or "/blocks/" not in handler.path:
                    return False
                if not passed or handler.path in passed:
                    passed.append(handler.path)
                    return False
                what(handler)
                return True
            self.bucket.faults[:] = [fault]
            verb = (("create", disk) if method == "PUT" else
                    ("copy", "--full", "--kms-key", key, one))
            if method == "PUT":
                self.fill(disk, (0, 4 * CHUNK))
            there = set(self.listed())
            self.snap(*verb, status=status, says=says)
            self.assertEqual(there, set(self.listed()))
            self.bucket.faults.clear()
            made = self.made(*verb)
            self.snap("verify", made)
            self.assertEqual(self.plaintext(disk if method == "PUT" else one),
                             self.plaintext(made))
        # One that is only slow is waited for.
        self.bucket.faults[:] = [lambda h: time.sleep(0.1)]
        self.snap("verify", one)

    def test_names(self):
        """s3: buckets, prefixes and endpoints that are none"""
        for place in ("s3://", "s3://ab", "s3://UPPER/x", "s3://snaps/a/../b",
                      "s3://snaps/a b", "ftp:x"):
            self.place = place
            self.snap("list", status=2)
        self.place = STORE
        self.snap("list", status=1, says="no store of snapshots")
        self.snap("list", "--store-endpoint", "http://192.0.2.1", status=2,
                  says="is not https://")
        self.snap("list", "--store-endpoint", "ftp://127.0.0.1", status=2)
        self.place = "s3://nothing/x"
        self.snap("list", status=1, says="no such bucket")
        self.bucket.objects["a/b/mine"] = (b"mine", 0)
        self.place = STORE
        self.snap("import", self.credentials, status=7,
                  says="something else in it")


snapshot_case.main()
