# SPDX-License-Identifier: GPL-2.0-or-later
"""A running envelope-kms for a test, and requests to it at every level."""
import atexit
import base64
import configparser
import datetime
import gzip
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

BUILD = pathlib.Path(os.environ.get(
    "BUILD", pathlib.Path(__file__).resolve().parent.parent.parent / "build"))
PROGRAM = str(BUILD / "bin" / "envelope-kms")
REGION = "us-east-1"
ACCOUNT = "111122223333"
WAIT_SECONDS = 120
INTERNAL = "The request was rejected because an internal exception occurred. The request can be retried."

# What the machine sets must not decide how these tests go.
for _name in list(os.environ):
    if _name.startswith("AWS_") or _name in (
            "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE",
            "NODE_EXTRA_CA_CERTS", "HTTPS_PROXY", "https_proxy"):
        del os.environ[_name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def run(*args, **options):
    """envelope-kms with arguments, to its end."""
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True,
                          text=True, timeout=WAIT_SECONDS, check=False,
                          **options)


def wait_for(condition, what):
    """Polls until @condition holds; a test fails with @what otherwise."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {WAIT_SECONDS} s for {what}")


def read_lines(path):
    """The records of one file of the trail; none once it has moved on."""
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []


def key_arn(key_id, region=REGION, account=ACCOUNT):
    return f"arn:aws:kms:{region}:{account}:key/{key_id}"


class Reply:
    """Status, headers and body of one HTTP answer."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body) if self.body else {}

    @property
    def code(self):
        return self.json.get("__type")

    @property
    def message(self):
        return self.json.get("message", self.json.get("Message", ""))


class UnixConnection(http.client.HTTPConnection):
    """Plain HTTP over a UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=WAIT_SECONDS)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def send_on(connection, body, headers, method="POST", path="/"):
    """One request with just these headers, and its answer."""
    connection.putrequest(method, path, skip_host=True,
                          skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    return Reply(answer.status, dict(answer.getheaders()), answer.read())


class Server:
    """A KMS directory in a temporary folder, and the process that serves it."""

    def __init__(self, *options, start=True, under=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kms-server-"))
        atexit.register(self.close)
        self.dir = self.folder / "kms"
        self.process = None
        self.endpoint, self.port = "", None
        self.under = under  # a command that runs its arguments
        self.client_cert = None  # file that connection() shows, with its key
        done = run("init", self.dir, *options)
        if done.returncode:
            raise AssertionError(done.stderr)
        if start:
            self.start()

    def copy(self):
        """Another one, not started, with the same directory."""
        other = Server.__new__(Server)
        other.folder = pathlib.Path(tempfile.mkdtemp(prefix="kms-server-"))
        atexit.register(other.close)
        other.dir = other.folder / "kms"
        other.process = None
        other.under = ()
        shutil.copytree(self.dir, other.dir)
        return other

    def start(self, *options, **environment):
        """Serves, and returns once the server answers."""
        endpoint = self.dir / "endpoint"
        endpoint.unlink(missing_ok=True)
        self.out = open(self.folder / "stdout", "ab")
        self.err = open(self.folder / "stderr", "ab")
        self.process = subprocess.Popen(
            [*self.under, PROGRAM, "serve", str(self.dir), "--port", "0",
             *options],
            stdout=self.out, stderr=self.err, stdin=subprocess.DEVNULL,
            env={**os.environ, **environment})
        wait_for(lambda: self.process.poll() is not None or
                 (endpoint.exists() and endpoint.read_text()),
                 "the server to listen")
        if self.process.poll() is not None:
            raise AssertionError(self.stderr())
        self.endpoint = endpoint.read_text()
        if not self.endpoint.startswith("unix:"):
            self.port = int(self.endpoint.rsplit(":", 1)[1])
        return self

    def stop(self, number=signal.SIGTERM):
        """Ends the server and returns its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(WAIT_SECONDS)
        self.process = None
        self.out.close()
        self.err.close()
        return status

    def start_test_clock(self, *options):
        """As start(), for a server made with --test: advance() moves it."""
        return self.start("--test-clock-file",
                          str(self.folder / "clock"), *options)

    def advance(self, seconds):
        """The server's clock is this far ahead of the real one."""
        fresh = self.folder / "clock.new"
        fresh.write_text(f"{int(seconds)}\n")
        fresh.rename(self.folder / "clock")

    def restart(self, number=signal.SIGTERM):
        status = self.stop(number)
        self.start()
        return status

    def end(self):
        """Stops the server, which must have been well until then."""
        if self.process and self.stop() != 0 or "ERROR: " in self.stderr():
            raise AssertionError(self.stderr())
        self.close()

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def stderr(self):
        return (self.folder / "stderr").read_text(errors="replace")

    def stdout(self):
        return (self.folder / "stdout").read_text()

    def credentials(self):
        """Access key id and secret of the administrator."""
        ini = configparser.ConfigParser()
        ini.read(self.dir / "credentials")
        profile = ini["envelope"]
        return (profile["aws_access_key_id"],
                profile["aws_secret_access_key"])

    def client(self, region=REGION, **options):
        """A boto3 client that tries once."""
        import boto3
        import botocore.config
        access, secret = self.credentials()
        return boto3.client("kms", **{
            "region_name": region, "endpoint_url": self.endpoint,
            "verify": str(self.dir / "ca.pem"), "aws_access_key_id": access,
            "aws_secret_access_key": secret,
            "config": botocore.config.Config(
                retries={"total_max_attempts": 1},
                read_timeout=WAIT_SECONDS), **options})

    def connection(self, **options):
        """A connection as the endpoint has it; one with TLS trusts this
        server's CA and no other."""
        if self.endpoint.startswith("unix:"):
            return UnixConnection(self.endpoint[len("unix:"):])
        if self.endpoint.startswith("http:"):
            return http.client.HTTPConnection("127.0.0.1", self.port,
                                              timeout=WAIT_SECONDS, **options)
        tls = ssl.create_default_context(cafile=str(self.dir / "ca.pem"))
        if self.client_cert:
            tls.load_cert_chain(self.client_cert)
        return http.client.HTTPSConnection("127.0.0.1", self.port,
                                           context=tls, timeout=WAIT_SECONDS,
                                           **options)

    def send(self, body, headers, method="POST", path="/"):
        """One request as it stands; @headers is a list of pairs."""
        connection = self.connection()
        try:
            return send_on(connection, body, headers, method, path)
        finally:
            connection.close()

    def call(self, operation, body=None, **how):
        """One signed request; @body is an object or raw bytes."""
        if body is None:
            body = {}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(raw, Signer(self, **how).headers(operation, raw))

    def audit(self):
        """The records of the trail, oldest first.

        They move on from audit.log while this reads, so the files are read
        in that direction: a record may be seen twice, but never missed."""
        folder = self.dir / "audit"
        late = [read_lines(folder / "audit.log")]
        late += [read_lines(path) for path in
                 sorted(folder.glob("pending-*"), reverse=True)]
        records = []
        for path in sorted((folder / "AWSLogs").glob("*/CloudTrail/**/*.gz"),
                           key=lambda path: path.name.split("_")[-1]):
            records += json.loads(gzip.decompress(path.read_bytes()))[
                "Records"]
        for lines in reversed(late):
            records += lines
        return list({record["eventID"]: record
                     for record in records}.values())

    def sql(self, statement, *args, database="kms.db"):
        """Runs SQL on a live database."""
        db = sqlite3.connect(self.dir / database, timeout=WAIT_SECONDS)
        try:
            rows = db.execute(statement, args).fetchall()
            db.commit()
            return rows
        finally:
            db.close()


class Api:
    """A client with boto3's manners that knows operations newer than it.

    Times are seconds since 1970."""

    BLOBS = ("CiphertextBlob", "Plaintext", "PublicKey", "ImportToken",
             "EncryptedKeyMaterial")

    def __init__(self, server, region=REGION, **how):
        self.server = server
        self.how = {"region": region, **how}

    def __getattr__(self, name):
        def call(**body):
            operation = "".join(w.capitalize() for w in name.split("_"))
            return self.request(operation.replace("Reencrypt", "ReEncrypt"),
                                body)
        return call

    def request(self, operation, body):
        import botocore.exceptions
        reply = self.server.call(operation, {
            k: b64(v) if isinstance(v, bytes) else v
            for k, v in body.items()}, **self.how)
        if reply.status != 200:
            raise botocore.exceptions.ClientError(
                {"Error": {"Code": reply.code, "Message": reply.message},
                 "ResponseMetadata": {"HTTPStatusCode": reply.status}},
                operation)
        return {k: base64.b64decode(v) if k in self.BLOBS else v
                for k, v in reply.json.items()}

    def pages(self, operation, **body):
        """All pages of a list."""
        pages = [self.request(operation, body)]
        while pages[-1]["Truncated"]:
            pages.append(self.request(operation, {
                **body, "Marker": pages[-1]["NextMarker"]}))
        return pages


class Signer:
    """SigV4 by hand, so that a test can bend each part of it."""

    def __init__(self, server, **how):
        access, secret = server.credentials()
        self.access = how.pop("access", access)
        self.secret = how.pop("secret", secret)
        self.region = how.pop("region", REGION)
        self.service = how.pop("service", "kms")
        self.terminator = how.pop("terminator", "aws4_request")
        self.age = how.pop("age_seconds", 0)
        self.date = how.pop("date", None)
        self.extra = how.pop("extra", [])
        self.unsigned = how.pop("unsigned", [])
        self.target = how.pop("target", None)
        self.method = how.pop("method", "POST")
        self.payload = how.pop("payload", None)
        self.host = f"127.0.0.1:{server.port}"
        if how:
            raise TypeError(f"unknown: {how}")

    def headers(self, operation, body):
        now = (datetime.datetime.now(datetime.timezone.utc) -
               datetime.timedelta(seconds=self.age))
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        pairs = [("Host", self.host), ("X-Amz-Date", stamp),
                 ("Content-Type", "application/x-amz-json-1.1"),
                 ("X-Amz-Target",
                  self.target or f"TrentService.{operation}"), *self.extra]
        signed = sorted((name.lower(), value) for name, value in pairs
                        if name not in self.unsigned)
        names = ";".join(sorted({name for name, _ in signed}))
        canonical = "\n".join(
            [self.method, "/", ""] + [f"{n}:{v}" for n, v in signed] +
            ["", names, self.payload or hashlib.sha256(body).hexdigest()])
        scope = "/".join([self.date or stamp[:8], self.region, self.service,
                          self.terminator])
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                          hashlib.sha256(canonical.encode("latin-1")).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return pairs + [("Authorization",
                         f"AWS4-HMAC-SHA256 Credential={self.access}/{scope},"
                         f" SignedHeaders={names}, Signature={signature}")]


class ServerCase(unittest.TestCase):
    """Tests that share one server and one boto3 client."""

    options = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.options)
        cls.kms = cls.server.client()

    @classmethod
    def tearDownClass(cls):
        cls.server.end()

    def refused(self, code, message, call, *args, **kwargs):
        """@call must fail with just that error name and text."""
        import botocore.exceptions
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(*args, **kwargs)
        error = caught.exception.response["Error"]
        self.assertEqual(code, error["Code"])
        if message is not None:
            self.assertEqual(message, error["Message"])
        status = caught.exception.response["ResponseMetadata"]
        self.assertEqual(500 if code == "KMSInternalException" else 400,
                         status["HTTPStatusCode"])

    def new_key(self, **options):
        """Key id and ARN of a fresh key."""
        made = self.kms.create_key(**options)["KeyMetadata"]
        return made["KeyId"], made["Arn"]


def b64(data):
    return base64.b64encode(data).decode()
