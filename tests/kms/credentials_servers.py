# SPDX-License-Identifier: GPL-2.0-or-later
"""Local servers that give credentials: metadata, container endpoint, STS.

  credentials_servers.py CREDENTIALS HOPS

serves metadata, and a container's /role?id=1, on port 80 of every address until
its input ends, and prints each request's line; what it answers lives for HOPS
hops.
"""
import datetime
import http.server
import json
import socket
import ssl
import sys
import threading
import time
import urllib.parse

from stranger import REGION
from stranger_tls import Authority

TOKEN = "metadata-token=="


def until(seconds=3600):
    """An Expiration."""
    return (datetime.datetime.utcnow() + datetime.timedelta(
        seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(access, secret, token, seconds=3600, **more):
    """What metadata services and container endpoints say."""
    return {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": access,
            "SecretAccessKey": secret, "Token": token,
            "Expiration": until(seconds), **more}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *args):
        pass

    def do_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        web = self.server.web
        web.calls.append((self.command, self.path, dict(self.headers), body))
        fault = web.faults.pop(0) if web.faults else None
        status, text, headers = fault(self) if fault else web.reply(
            self.command, self.path, self.headers, body)
        if status is None:
            self.close_connection = True
            return
        if isinstance(text, (dict, list)):
            text = json.dumps(text)
        text = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass    # clients that hang up are part of the tests


class Web:
    """A server on this host; use it in a `with` statement. Each of `faults`
    answers one request in place of reply()."""

    def __init__(self, kind=Server, address=("127.0.0.1", 0)):
        self.calls = []
        self.faults = []
        self._server = kind(address, Handler)
        self._server.web = self
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,),
                         daemon=True).start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()

    def over_tls(self, folder, name):
        """From now on, by a CA of its own, `ca`."""
        authority = Authority(folder, name)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(authority.server())
        self._server.socket = tls.wrap_socket(self._server.socket,
                                              server_side=True)
        self.ca = authority.path
        self.url = f"https://127.0.0.1:{self.port}"

    def asked(self):
        """Methods and paths, in their order."""
        return [f"{method} {path}" for method, path, _, _ in self.calls]

    def reply(self, method, path, headers, body):
        raise NotImplementedError


# Faults

def say(status, text="", headers=None):
    return lambda handler: (status, text, headers)


def slow(seconds):
    """Nothing, for so long."""
    def fault(_handler):
        time.sleep(seconds)
        return None, "", None
    return fault


def redirect(url):
    return say(302, "", {"Location": url})


class Container(Web):
    """Gives `give` to whoever shows the token."""

    def __init__(self, give, token=None):
        super().__init__()
        self.give, self.token = give, token

    def reply(self, method, path, headers, body):
        if headers.get("Authorization") != self.token:
            return 401, {"code": "Unauthorized"}, None
        if method != "GET" or path != "/role?id=1":
            return 404, "", None
        return 200, self.give, None


class Metadata(Web):
    """Instance metadata: version 2, with `v1` both."""

    path = "/latest/meta-data/iam/security-credentials/"

    def __init__(self, give, role="host", v1=False, **where):
        super().__init__(**where)
        self.give, self.role, self.v1 = give, role, v1
        self.lifetimes = []

    def reply(self, method, path, headers, body):
        if (method, path) == ("PUT", "/latest/api/token"):
            if "X-Forwarded-For" in headers:
                return 403, "", None
            life = headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if not life.isdigit() or not 1 <= int(life) <= 21600:
                return 400, "", None
            self.lifetimes.append(int(life))
            return 200, TOKEN, None
        if not self.v1 and headers.get("X-aws-ec2-metadata-token") != TOKEN:
            return 401, "", None
        if not path.startswith(self.path) or not self.role:
            return 404, "", None
        if path == self.path:
            return 200, self.role, None
        if path == self.path + self.role.split("\n")[0]:
            return 200, self.give, None
        return 404, "", None


STS_ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:a:b</SubjectFromWebIdentityToken>
    <AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/pod/x</Arn></AssumedRoleUser>
    <Credentials>
      <SessionToken>{token}</SessionToken>
      <SecretAccessKey>{secret}</SecretAccessKey>
      <Expiration>{until}</Expiration>
      <AccessKeyId>{access}</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>
"""


def sts_error(code, status=400):
    return say(status, f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}"
               f"</Code><Message>no</Message></Error></ErrorResponse>")


class Sts(Web):
    """AssumeRoleWithWebIdentity, and AssumeRole by what that gave; over TLS."""

    def __init__(self, folder, access, secret, token):
        super().__init__()
        self.over_tls(folder, "sts CA")
        self.fields = {"access": access, "secret": secret, "token": token}
        self.forms = []

    def reply(self, method, path, headers, body):
        self.forms.append(dict(urllib.parse.parse_qsl(
            body.decode(), strict_parsing=True)))
        action = self.forms[-1]["Action"]
        scope = (f"Credential={self.fields['access']}/", f"/{REGION}/sts/")
        signed = [s in headers.get("Authorization", "") for s in scope]
        if signed != [action == "AssumeRole"] * 2:
            return 400, f"signed {signed}", None
        return 200, STS_ANSWER.format(until=until(), **self.fields), None


class Everywhere(Server):
    """IPv4 and IPv6."""

    address_family = socket.AF_INET6


class Far(Metadata):
    """Metadata whose answers do not get further than `hops`."""

    def __init__(self, give, hops):
        super().__init__(give, kind=Everywhere, address=("::", 80))
        self.hops = hops
        self.faults = self

    def reply(self, method, path, headers, body):
        if (method, path) == ("GET", "/role?id=1"):
            return 200, self.give, None
        return super().reply(method, path, headers, body)

    def pop(self, _first):
        """Instead of faults: each answer is sent with its hops."""
        def fault(handler):
            handler.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL,
                                          self.hops)
            print(handler.requestline, flush=True)
            return self.reply(handler.command, handler.path, handler.headers,
                              b"")
        return fault


if __name__ == "__main__":
    with Far(json.loads(sys.argv[1]), int(sys.argv[2])):
        print("ready", flush=True)
        sys.stdin.read()
