# SPDX-License-Identifier: GPL-2.0-or-later
"""A bucket in memory, and all that can be wrong with a server of one.

It checks every signature with botocore's signer, and what it is told to do
wrong it does wrong: `faults` has functions that are called with the handler
before a request is served, and serve it themselves when they return True.
"""
import email.utils
import hashlib
import http.server
import re
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

import botocore.auth
import botocore.awsrequest
import botocore.credentials

ACCESS, SECRET, REGION = "AKIDSNAPSHOT", "snapshot-secret", "eu-west-1"
BUCKET = "snaps"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", len(body))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def signed(self):
        """Would botocore have signed it so?"""
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=(\S+)/(\d+)/(\S+)/s3/aws4_request, ?"
            r"SignedHeaders=(\S+), ?Signature=([0-9a-f]{64})",
            self.headers.get("Authorization", ""))
        if not found or (found[1], found[3]) != (ACCESS, REGION):
            return False
        request = botocore.awsrequest.AWSRequest(
            self.command, f"http://{self.headers['Host']}{self.path}",
            {n: self.headers[n] for n in found[4].split(";") if n != "host"},
            self.body)
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        signer = botocore.auth.S3SigV4Auth(
            botocore.credentials.Credentials(ACCESS, SECRET), "s3", REGION)
        canonical = signer.canonical_request(request)
        text = signer.string_to_sign(request, canonical)
        return signer.signature(text, request) == found[5] and (
            self.headers["x-amz-content-sha256"]
            == hashlib.sha256(self.body).hexdigest())

    def serve(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        store = self.server.store
        with store.lock:
            store.requests.append((self.command, self.path,
                                   dict(self.headers)))
            faults = list(store.faults)
        if any(fault(self) for fault in faults):
            return
        if not self.signed():
            self.error(403, "SignatureDoesNotMatch")
            return
        place = urllib.parse.urlsplit(self.path)
        bucket, _, key = place.path[1:].partition("/")
        if bucket != BUCKET:
            self.error(404, "NoSuchBucket")
        elif key:
            self.serve_object(store, key)
        else:
            self.serve_list(store, dict(urllib.parse.parse_qsl(place.query)))

    do_GET = do_HEAD = do_PUT = do_DELETE = serve

    def serve_object(self, store, key):
        with store.lock:
            there = store.objects.get(key)
            of = self.headers.get("x-amz-copy-source")
            if of:
                found = store.objects.get(of.removeprefix(f"/{BUCKET}/"))
                if not found:
                    self.error(404, "NoSuchKey")
                    return
                store.objects[key] = (found[0], time.time())
            elif self.command == "PUT":
                if there and self.headers.get("If-None-Match") == "*":
                    self.error(412, "PreconditionFailed")
                    return
                store.objects[key] = (self.body, time.time())
            elif self.command == "DELETE":
                store.objects.pop(key, None)
        if self.command == "DELETE":
            self.answer(204)
        elif of:
            self.answer(200, b"<CopyObjectResult><ETag>x</ETag>"
                             b"</CopyObjectResult>")
        elif self.command == "PUT":
            self.answer(200)
        elif not there:
            self.error(404, "NoSuchKey")
        else:
            self.answer(200, there[0], Last_Modified=email.utils.formatdate(
                there[1], usegmt=True), **(
                    {"Content_Length": len(there[0])}
                    if self.command == "HEAD" else {}))

    def serve_list(self, store, query):
        with store.lock:
            keys = sorted(k for k in store.objects
                          if k.startswith(query["prefix"])
                          and k > query.get("continuation-token", ""))
            page = keys[:store.page]
            rows = "".join(
                f"<Contents><Key>{escape(k)}</Key><Size>"
                f"{len(store.objects[k][0])}</Size><LastModified>"
                + time.strftime("%Y-%m-%dT%H:%M:%S.000Z",
                                time.gmtime(store.objects[k][1]))
                + "</LastModified></Contents>" for k in page)
        more = (f"<NextContinuationToken>{escape(page[-1])}"
                "</NextContinuationToken>" if len(keys) > len(page) else "")
        self.answer(200, f"<ListBucketResult>{rows}{more}"
                         "</ListBucketResult>".encode())


class Bucket:
    """Served until close()."""

    def __init__(self):
        self.lock = threading.Lock()
        self.objects, self.requests, self.faults = {}, [], []
        self.page = 1000
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.store = self
        self.endpoint = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
