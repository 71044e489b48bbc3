# SPDX-License-Identifier: GPL-2.0-or-later
"""A KMS by somebody else, for our client to meet.

Nothing in it is shared with our own server: signatures are verified with
botocore's signer, request bodies against botocore's model of AWS KMS, and
data keys are wrapped by AES-GCM of `cryptography`. It can misbehave on
request; see misbehave().
"""
import base64
import datetime
import http.server
import json
import os
import pathlib
import re
import socket
import ssl
import struct
import tempfile
import threading
import time

import botocore.session
import botocore.validate
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import ServiceModel
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stranger_tls import Authority

REGION = "us-east-1"
ACCOUNT = "111122223333"
KEY_ID = "11111111-2222-3333-4444-555555555555"
OTHER_KEY_ID = "99999999-8888-7777-6666-555555555555"
ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
OTHER_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{OTHER_KEY_ID}"
ALIAS = "alias/envelope"

MODEL = ServiceModel(botocore.session.get_session().get_component(
    "data_loader").load_service_model("kms", "service-2"), "kms")


class Refusal(Exception):
    """An error answer."""

    def __init__(self, code, message="", status=400, headers=None):
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers or {}

    def body(self):
        return json.dumps({"__type": self.code,
                           "message": self.message}).encode()


def unblob(shape, value):
    """Members that the model calls blobs, from base64 to bytes."""
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "structure" and isinstance(value, dict):
        return {k: unblob(shape.members[k], v) if k in shape.members else v
                for k, v in value.items()}
    return value


def reblob(value):
    """The way back, for an answer."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {k: reblob(v) for k, v in value.items()}
    return value


def validate(operation, params):
    """By botocore's model; an unknown member is a fault as well."""
    shape = MODEL.operation_model(operation).input_shape
    params = unblob(shape, params)
    # Debian's model is older than DryRun (botocore 1.31).
    unknown = set(params) - set(shape.members) - {"DryRun"}
    if unknown:
        raise Refusal("ValidationException", f"unknown: {sorted(unknown)}")
    report = botocore.validate.ParamValidator().validate(
        {k: v for k, v in params.items() if k in shape.members}, shape)
    if report.has_errors():
        raise Refusal("ValidationException", report.generate_report())
    return params


class Keys:
    """Key store and cryptography."""

    def __init__(self):
        self.material = {ARN: AESGCM.generate_key(256),
                         OTHER_ARN: AESGCM.generate_key(256)}
        self.state = {ARN: "Enabled", OTHER_ARN: "Enabled"}
        self.aliases = {ALIAS: ARN, "alias/other": OTHER_ARN}

    def resolve(self, key):
        arn = self.aliases.get(key.split(":", 5)[-1], key)
        if "/" not in arn:
            arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{arn}"
        if not arn.startswith(f"arn:aws:kms:{REGION}:"):
            raise Refusal("NotFoundException", f"Invalid arn {REGION}")
        if arn not in self.material:
            raise Refusal("NotFoundException", f"Key '{arn}' does not exist")
        return arn

    def usable(self, key):
        arn = self.resolve(key)
        state = self.state[arn]
        if state == "Disabled":
            raise Refusal("DisabledException", f"{arn} is disabled.")
        if state != "Enabled":
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", state).lower()
            raise Refusal("KMSInvalidStateException", f"{arn} is {words}.")
        return arn

    @staticmethod
    def aad(context):
        return json.dumps(context or {}, sort_keys=True).encode()

    def wrap(self, arn, context, plaintext):
        nonce = os.urandom(12)
        sealed = AESGCM(self.material[arn]).encrypt(nonce, plaintext,
                                                    self.aad(context))
        return struct.pack(">H", len(arn)) + arn.encode() + nonce + sealed

    def unwrap(self, blob, key, context):
        arn, rest = self.split(blob)
        if key and self.resolve(key) != arn:
            raise Refusal("IncorrectKeyException",
                          "The key ID in the request does not identify a "
                          "CMK that can perform this operation.")
        arn = self.usable(arn)
        try:
            return arn, AESGCM(self.material[arn]).decrypt(
                rest[:12], rest[12:], self.aad(context))
        except (InvalidTag, ValueError):
            raise Refusal("InvalidCiphertextException") from None

    def split(self, blob):
        try:
            size = struct.unpack_from(">H", blob)[0]
            arn = blob[2:2 + size].decode()
        except (struct.error, UnicodeDecodeError):
            raise Refusal("InvalidCiphertextException") from None
        if arn not in self.material:
            raise Refusal("InvalidCiphertextException")
        return arn, blob[2 + size:]


class Operations:
    """What the client may call."""

    def __init__(self, keys):
        self.keys = keys
        self.deks = []      # every data key that was ever made
        self.dry_run = True # this KMS knows what that is

    def Decrypt(self, p):
        arn, plain = self.keys.unwrap(p["CiphertextBlob"], p.get("KeyId"),
                                      p.get("EncryptionContext"))
        if p.get("DryRun") and self.dry_run:
            raise Refusal("DryRunOperationException", "The request would "
                          "have succeeded, but the DryRun option is set.")
        return {"KeyId": arn, "Plaintext": plain,
                "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}

    def GenerateDataKeyWithoutPlaintext(self, p):
        arn = self.keys.usable(p["KeyId"])
        self.deks.append(os.urandom(p["NumberOfBytes"]))
        return {"KeyId": arn, "CiphertextBlob": self.keys.wrap(
            arn, p.get("EncryptionContext"), self.deks[-1])}

    def ReEncrypt(self, p):
        source, plain = self.keys.unwrap(p["CiphertextBlob"],
                                         p.get("SourceKeyId"),
                                         p.get("SourceEncryptionContext"))
        arn = self.keys.usable(p["DestinationKeyId"])
        return {"KeyId": arn, "SourceKeyId": source,
                "CiphertextBlob": self.keys.wrap(
                    arn, p.get("DestinationEncryptionContext"), plain)}

    def DescribeKey(self, p):
        arn = self.keys.resolve(p["KeyId"])
        return {"KeyMetadata": {
            "KeyId": arn.split("/")[1], "Arn": arn,
            "KeyState": self.keys.state[arn],
            "Enabled": self.keys.state[arn] == "Enabled",
            "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT",
            "KeyManager": "CUSTOMER", "Description": "for a stranger"}}


AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/"
    r"aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$")


class Verifier:
    """SigV4 as botocore computes it."""

    def __init__(self):
        self.users = {}     # access key id -> (secret, token or None)
        self.expired = set()

    def add(self, key_id, secret, token=None):
        self.users[key_id] = (secret, token)

    def check(self, headers, body, now):
        match = AUTHORIZATION.match(headers.get("Authorization", ""))
        if not match:
            raise Refusal("MissingAuthenticationToken", status=403)
        key_id, date, region, service, names, signature = match.groups()
        if key_id not in self.users:
            raise Refusal("UnrecognizedClientException", "The security token "
                          "included in the request is invalid.")
        names = names.split(";")
        self._check_names(names, headers)
        stamp = headers["X-Amz-Date"]
        if (region, service, date) != (REGION, "kms", stamp[:8]):
            raise Refusal("InvalidSignatureException", "Credential should "
                          "be scoped to a valid region.")
        self._check_clock(stamp, now)
        secret, token = self.users[key_id]
        if token != headers.get("X-Amz-Security-Token"):
            raise Refusal("UnrecognizedClientException", "The security token "
                          "included in the request is invalid.")
        if self._sign(key_id, secret, names, headers, body) != signature:
            raise Refusal("InvalidSignatureException", "The request "
                          "signature we calculated does not match the "
                          "signature you provided.")
        if key_id in self.expired:
            raise Refusal("ExpiredTokenException", "The security token "
                          "included in the request is expired")

    @staticmethod
    def _check_names(names, headers):
        needed = {"host", "x-amz-date", "x-amz-target", "content-type"}
        needed |= {h.lower() for h in headers
                   if h.lower().startswith("x-amz-")}
        if not needed <= set(names) or names != sorted(names):
            raise Refusal("IncompleteSignature", f"unsigned: "
                          f"{sorted(needed - set(names))}")

    @staticmethod
    def _check_clock(stamp, now):
        then = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ")
        if now - then > datetime.timedelta(minutes=5):
            raise Refusal("InvalidSignatureException", f"Signature expired: "
                          f"{stamp} is now earlier than {now} (- 5 min.)")
        if then - now > datetime.timedelta(minutes=5):
            raise Refusal("InvalidSignatureException", f"Signature not yet "
                          f"current: {stamp} is still later than {now}")

    @staticmethod
    def _sign(key_id, secret, names, headers, body):
        signer = SigV4Auth(Credentials(key_id, secret), "kms", REGION)
        request = AWSRequest("POST", f"https://{headers['Host']}/",
                             data=body,
                             headers={n: headers[n] for n in names})
        request.context["timestamp"] = headers["X-Amz-Date"]
        canonical = signer.canonical_request(request)
        return signer.signature(signer.string_to_sign(request, canonical),
                                request)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        call = {"headers": dict(self.headers), "path": self.path,
                "connection": id(self.connection), "raw": body}
        stranger = self.server.stranger
        stranger.calls.append(call)
        fault = stranger.next_fault()
        if fault and fault(self):
            self.close_connection = True
            return
        try:
            answer = reblob(stranger.answer(self.headers, body, call))
            answer = stranger.twist(answer)
            self.send(200, json.dumps(answer).encode())
        except Refusal as refusal:
            self.send(refusal.status, refusal.body(), refusal.headers)

    def send(self, status, body, headers=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def finish_request(self, request, client_address):
        stranger = self.stranger
        stranger.connections += 1
        if stranger.reset_at_once:
            reset(request)
            return
        with stranger.tls.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request, client_address):
        pass    # clients that hang up are part of the tests


def reset(sock):
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()


class Stranger:
    """A running server; use it in a `with` statement.

    certificate: good, expired or wrong-host. old_tls: nothing newer than 1.1.
    """

    def __init__(self, folder=None, certificate="good", old_tls=False):
        self._tmp = None if folder else tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(folder or self._tmp.name)
        self.authority = Authority(self.folder)
        self.ca = self.authority.path
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.authority.server(certificate))
        if old_tls:
            self.tls.set_ciphers("ALL:@SECLEVEL=0")
            self.tls.minimum_version = ssl.TLSVersion.TLSv1_1
            self.tls.maximum_version = ssl.TLSVersion.TLSv1_1
        self.keys = Keys()
        self.operations = Operations(self.keys)
        self.verifier = Verifier()
        self.calls = []
        self.connections = 0
        self.reset_at_once = False
        self.clock_offset = datetime.timedelta()
        self._faults = []
        self._twist = None
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.stranger = self
        self.port = self._server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        args=(0.02,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()
        if self._tmp:
            self._tmp.cleanup()

    # What happens to the next requests

    def misbehave(self, *faults):
        """One fault a request, in this order; None is a proper answer. A
        fault is called with the handler, answers itself and returns True, or
        returns False to let the request through."""
        self._faults = list(faults)

    def twist_answers(self, change):
        """change(dict) alters every proper answer."""
        self._twist = change

    def behave(self):
        self._faults = []
        self._twist = None
        self.reset_at_once = False
        self.clock_offset = datetime.timedelta()
        self.operations.dry_run = True
        self.verifier.expired.clear()
        self.calls.clear()
        self.connections = 0
        for arn in self.keys.state:
            self.keys.state[arn] = "Enabled"

    def next_fault(self):
        return self._faults.pop(0) if self._faults else None

    def twist(self, answer):
        return self._twist(answer) if self._twist else answer

    # What is proper

    def answer(self, headers, body, call):
        if headers.get("Content-Type") != "application/x-amz-json-1.1":
            raise Refusal("SerializationException")
        prefix, _, name = headers.get("X-Amz-Target", "").partition(".")
        if prefix != "TrentService" or not hasattr(self.operations, name):
            raise Refusal("UnknownOperationException")
        call["operation"] = name
        self.verifier.check(headers, body, datetime.datetime.utcnow()
                            + self.clock_offset)
        params = json.loads(body)
        call["params"] = params
        return getattr(self.operations, name)(validate(name, params))


# Faults for misbehave()

def error(code, message="", status=400, headers=None):
    """A proper error answer."""
    refusal = Refusal(code, message, status, headers)

    def fault(handler):
        handler.send(refusal.status, refusal.body(), refusal.headers)
        return True
    return fault


def raw(body, status=200, headers=None):
    """Any body at all."""
    def fault(handler):
        handler.send(status, body, headers)
        return True
    return fault


def slow(seconds):
    """A proper answer, later."""
    def fault(_handler):
        time.sleep(seconds)
        return False
    return fault


def drip(seconds):
    """Headers, then a byte now and then."""
    def fault(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            handler.wfile.write(b" ")
            time.sleep(0.1)
        return True
    return fault


def endless(handler):
    """More and more, without a length in advance."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    for _ in range(1024):
        handler.wfile.write(b'{"a":' * 1000)
    return True


def hang_up(handler):
    """RST in place of an answer."""
    reset(handler.connection)
    return True


def not_http(handler):
    """An answer in another language."""
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n")
    return True
