# SPDX-License-Identifier: GPL-2.0-or-later
"""A server with the API of Vault's Transit engine, as its documents tell it:
paths, status codes, errors and members of the answers; the ciphers are real."""
import base64
import http.server
import json
import os
import pathlib
import re
import ssl
import tempfile
import threading

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from stranger_tls import Authority

MISSING_CONTEXT = (
    "missing 'context' for key derivation; the key was created using a derived "
    "key, which means additional, per-request information must be included in "
    "order to perform operations with the key")


class Refusal(Exception):
    def __init__(self, status, *errors):
        super().__init__(errors)
        self.status, self.errors = status, list(errors)


class Key:
    """A named encryption key with its versions."""

    def __init__(self, derived=True):
        self.derived = derived
        self.versions = [AESGCM.generate_key(256)]
        self.min_decryption_version = 1

    def rotate(self):
        self.versions.append(AESGCM.generate_key(256))

    def _cipher(self, version, context):
        key = self.versions[version - 1]
        if not self.derived:
            return AESGCM(key)
        if not context:
            raise Refusal(400, MISSING_CONTEXT)
        return AESGCM(HKDF(hashes.SHA256(), 32, None, context).derive(key))

    def encrypt(self, plaintext, context):
        version = len(self.versions)
        nonce = os.urandom(12)
        sealed = nonce + self._cipher(version, context).encrypt(
            nonce, plaintext, None)
        return f"vault:v{version}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, ciphertext, context):
        match = re.fullmatch(r"vault:v(\d+):([A-Za-z0-9+/=]+)", ciphertext)
        if not match:
            raise Refusal(400, "invalid ciphertext: no prefix")
        version = int(match[1])
        if version < self.min_decryption_version:
            raise Refusal(400, "ciphertext or signature version is disallowed "
                          "by policy (too old)")
        if version > len(self.versions):
            raise Refusal(400, "invalid ciphertext: version is too new")
        sealed = base64.b64decode(match[2])
        try:
            return self._cipher(version, context).decrypt(
                sealed[:12], sealed[12:], None)
        except InvalidTag:
            raise Refusal(400, "cipher: message authentication "
                          "failed") from None

    def describe(self, name):
        return {"type": "aes256-gcm96", "deletion_allowed": False,
                "derived": self.derived, "exportable": False,
                "keys": {str(i + 1): 1442851412
                         for i in range(len(self.versions))},
                "min_decryption_version": self.min_decryption_version,
                "min_encryption_version": 0, "name": name,
                "supports_encryption": True, "supports_decryption": True,
                "supports_derivation": True, "supports_signing": False}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.serve("GET")

    def do_POST(self):
        self.serve("POST")

    def serve(self, method):
        vault = self.server.vault
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call = {"method": method, "path": self.path, "raw": body,
                "headers": dict(self.headers),
                "certificate": self.connection.getpeercert()}
        vault.calls.append(call)
        fault = vault.faults.pop(0) if vault.faults else None
        if fault and fault(self):
            self.close_connection = True
            return
        try:
            self.send(200, json.dumps(vault.answer(call)).encode())
        except Refusal as refusal:
            self.send(refusal.status, json.dumps(
                {"errors": refusal.errors}).encode(), vault.headers)

    def send(self, status, body, headers=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def finish_request(self, request, client_address):
        with self.vault.tls.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request, client_address):
        pass    # clients that hang up are part of the tests


class Vault:
    """A running server; use it in a `with` statement. Each of `faults` takes
    the place of one answer, as those of the stranger do."""

    def __init__(self, certificate="good", folder=None):
        self._tmp = None if folder else tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(folder or self._tmp.name)
        self.authority = Authority(self.folder, "vault CA")
        self.people = Authority(self.folder, "people CA")
        self.ca = self.authority.path
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.authority.server(certificate))
        self.tls.load_verify_locations(self.people.path)
        self.tls.verify_mode = ssl.CERT_OPTIONAL
        self.behave()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.vault = self
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def behave(self):
        self.calls = []
        self.faults = []
        self.mount = "transit"
        self.namespace = None
        self.sealed = False
        self.headers = {}           # of refusals
        self.keys = {"volumes": Key(), "other": Key(),
                     "plain": Key(derived=False)}
        self.tokens = {"hvs.the-token"}
        self.denied = set()         # paths that no token may
        self.lease = 1200           # seconds, of a login's token
        self.logins = 0
        self.roles = {"role-id": "secret-id"}
        self.jwts = {"hosts": "header.payload.signature"}

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,),
                         daemon=True).start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()
        if self._tmp:
            self._tmp.cleanup()

    def asked(self):
        """Methods and paths, in their order."""
        return [f"{c['method']} {c['path']}" for c in self.calls]

    def answer(self, call):
        if self.sealed:
            raise Refusal(503, "Vault is sealed")
        if call["headers"].get("X-Vault-Request") != "true":
            raise Refusal(403, "missing required header")
        path = call["path"].removeprefix("/v1/")
        if call["headers"].get("X-Vault-Namespace") != self.namespace:
            raise Refusal(404, "no handler for route")
        call["params"] = json.loads(call["raw"]) if call["raw"] else {}
        if path.startswith("auth/") and path.endswith("/login"):
            return self.login(path.split("/")[1], call)
        if call["headers"].get("X-Vault-Token") not in self.tokens:
            raise Refusal(403, "2 errors occurred:\n\t* permission denied\n"
                          "\t* invalid token\n\n")
        if path in self.denied:
            raise Refusal(403, "1 error occurred:\n\t* permission denied\n\n")
        if path == "auth/token/lookup-self":
            return {"data": {"policies": ["default"]}}
        return {"data": self.transit(path, call)}

    def login(self, method, call):
        params = call["params"]
        good = {
            "approle": lambda: self.roles.get(
                params["role_id"], 0) == params.get("secret_id"),
            "kubernetes": lambda: self.jwts.get(
                params["role"], 0) == params.get("jwt"),
            "cert": lambda: bool(call["certificate"]),
        }.get(method)
        if not good:
            raise Refusal(404, "no handler for route")
        if not good():
            raise Refusal(400, "invalid role or secret ID")
        self.logins += 1
        token = f"hvs.login-{self.logins}"
        self.tokens.add(token)
        return {"auth": {"renewable": True, "lease_duration": self.lease,
                         "metadata": None, "token_policies": ["default"],
                         "accessor": "fd6c9a00-d2dc-3b11-0be5-af7ae0e1d374",
                         "client_token": token},
                "warnings": None, "wrap_info": None, "data": None,
                "lease_duration": 0, "renewable": False, "lease_id": ""}

    def transit(self, path, call):
        if not path.startswith(self.mount + "/"):
            raise Refusal(404, "no handler for route")
        verb, _, name = path.removeprefix(self.mount + "/").rpartition("/")
        key = self.keys.get(name)
        if call["method"] == "GET" and verb == "keys":
            if not key:
                raise Refusal(404)
            return key.describe(name)
        params = call["params"]
        if call["method"] != "POST" or verb not in (
                "datakey/wrapped", "decrypt", "encrypt", "rewrap"):
            raise Refusal(405, "unsupported operation")
        if not key:
            raise Refusal(400, "encryption key not found")
        context = base64.b64decode(params.get("context", ""), validate=True)
        if verb == "decrypt":
            return {"plaintext": base64.b64encode(key.decrypt(
                params["ciphertext"], context)).decode()}
        if verb == "datakey/wrapped":
            plaintext = os.urandom(params["bits"] // 8)
        elif verb == "encrypt":
            plaintext = base64.b64decode(params["plaintext"], validate=True)
        else:
            plaintext = key.decrypt(params["ciphertext"], context)
        return {"ciphertext": key.encrypt(plaintext, context),
                "key_version": len(key.versions)}
