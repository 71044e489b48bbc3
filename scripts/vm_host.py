# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs outside the guest: envelope-kms, and a door for the guest's tests.

Inside, `host VERB ARG...` (a script put into the guest) asks this side for
  aws ARG...      AWS CLI's `aws kms ARG...` as the administrator
  person NAME [ACTION...]   a user of the KMS who may do just these; the first
                  time a profile of AWS credentials called NAME is printed
  as NAME ARG...  as `aws`, but as that user
  kms-stop, kms-start   end the server (SIGKILL), and bring it back
  kms-pause, kms-cont   a server that accepts and does not answer
  audit           print the audit trail so far
  memory SEED...  what `vmkey dump` finds in the guest's memory
and gets the output and the exit status.
"""
import glob
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import subprocess
import threading
import time

HOST_SCRIPT = r"""#!/bin/bash
# Ask the machine outside the guest: VERB ARG...
exec 3<>"/dev/tcp/10.0.2.2/$HOST_PORT" || exit 125
printf '%s\0' "$@" >&3
printf '\n' >&3
read -r rc <&3
cat <&3
exit "${rc:-125}"
"""


class Kms:
    """An envelope-kms with a state folder of its own."""

    def __init__(self, build, folder):
        self.program = build / "bin" / "envelope-kms"
        self.folder = pathlib.Path(folder)
        self.log = self.folder.parent / "kms.log"
        self.process = None
        self.port = 0
        self.people = {}

    def init(self):
        if not (self.folder / "ca.pem").exists():
            out = subprocess.run(
                [self.program, "init", self.folder, "--host", "10.0.2.2"],
                capture_output=True, text=True)
            if out.returncode:
                raise SystemExit(f"vm: envelope-kms init: {out.stderr}")

    def start(self):
        with open(self.log, "ab") as log:
            mark = log.tell()
            self.process = subprocess.Popen(
                [self.program, "serve", self.folder, "--port", str(self.port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            text = self.log.read_bytes()[mark:].decode(errors="replace")
            found = re.search(r"listening on https://\S+:(\d+)", text)
            if found:
                self.port = int(found.group(1))
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"vm: envelope-kms serve does not start: {text}")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def identity(self, verb, *args, text=None):
        """One `envelope-kms identity` verb; its standard output."""
        return subprocess.run([self.program, "identity", verb, self.folder,
                               *args], input=text, text=True, check=True,
                              capture_output=True).stdout

    def person(self, name, *actions):
        """A user who may do @actions, with all keys; (status, output)."""
        text = ""
        if name not in self.people:
            self.identity("create-user", name)
            key = json.loads(self.identity("create-access-key", name,
                                           "--json"))["AccessKey"]
            self.people[name] = {
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
            text = f"[{name}]\n" + "".join(
                f"{k.lower()} = {v}\n" for k, v in self.people[name].items())
        self.identity("put-policy", "test", "-", "--user", name,
                      text=json.dumps({
                          "Version": "2012-10-17", "Statement": [{
                              "Effect": "Allow", "Resource": "*",
                              "Action": actions or ["kms:ListAliases"]}]}))
        return 0, text

    def aws(self, args, who=None):
        """AWS CLI as the administrator, or as @who; (status, output)."""
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("AWS_", "CURL_", "SSL_"))}
        env.update(AWS_SHARED_CREDENTIALS_FILE=str(self.folder / "credentials"),
                   AWS_CONFIG_FILE="/dev/null", AWS_REGION="us-east-1",
                   AWS_EC2_METADATA_DISABLED="true", AWS_PAGER="",
                   AWS_CA_BUNDLE=str(self.folder / "ca.pem"),
                   **(self.people[who] if who else {}))
        out = subprocess.run(
            ["/usr/bin/aws", "--endpoint-url", f"https://127.0.0.1:{self.port}",
             "--output", "json", "kms", *args], env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        return out.returncode, out.stdout

    def audit(self):
        """The audit trail's lines, oldest first."""
        return "".join(
            pathlib.Path(p).read_text() for p in
            sorted(glob.glob(str(self.folder / "audit" / "*.log*"))))


class Monitor:
    """QEMU's monitor of the guest, and what it shows of its memory."""

    def __init__(self, build, work, megabytes):
        self.program = build / "vm" / "vmkey"
        self.path = work / "qmp"
        self.dump = work / "memory"
        self.bytes = int(megabytes) << 20

    @staticmethod
    def command(stream, name, **arguments):
        """One command; its answer stands among events."""
        text = json.dumps({"execute": name, "arguments": arguments})
        stream.write(text.encode() + b"\n")
        stream.flush()
        for line in stream:
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(f"{name}: {answer['error']['desc']}")
            if "return" in answer:
                return

    def search(self, seeds):
        """Dump all memory, while the guest stands still, and look there."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.path))
            with s.makefile("rwb") as stream:
                stream.readline()  # the greeting
                self.command(stream, "qmp_capabilities")
                self.command(stream, "pmemsave", val=0, size=self.bytes,
                             filename=str(self.dump))
        out = subprocess.run([self.program, "dump", self.dump, *seeds],
                             text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        self.dump.unlink()
        return out.returncode, out.stdout


class Services:
    """Context manager: `files` and `variables` for the guest's image."""

    def __init__(self, opts, build, work):
        self.files = {}
        self.variables = {}
        self.work = work
        self.monitor = Monitor(build, work, opts.memory) \
            if opts.monitor else None
        self.kms = None
        if opts.kms or opts.kms_dir:
            self.kms = Kms(build, opts.kms_dir or work / "kms")

    def __enter__(self):
        self.server = socketserver.ThreadingTCPServer(
            ("127.0.0.1", 0), self._handler(), bind_and_activate=True)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        self.variables["HOST_PORT"] = self.server.server_address[1]
        self._script("usr/local/sbin/host", HOST_SCRIPT)
        if self.kms:
            self.kms.init()
            self.kms.start()
            self._configure()
        return self

    def __exit__(self, *_):
        if self.kms:
            self.kms.stop()
        self.server.shutdown()
        self.server.server_close()

    def _script(self, target, text):
        path = self.work / target.replace("/", "_")
        path.write_text(text)
        path.chmod(0o755)
        self.files[target] = path

    def _configure(self):
        """The guest's /etc/envelope and credentials, from what init made."""
        conf = (self.kms.folder / "envelope.conf").read_text()
        conf = re.sub(r"(?m)^endpoint *=.*",
                      f"endpoint = https://10.0.2.2:{self.kms.port}", conf)
        conf = re.sub(r"(?m)^ca-file *=.*", "ca-file = /etc/envelope/ca.pem",
                      conf)
        path = self.work / "envelope.conf"
        path.write_text(conf)
        path.chmod(0o644)
        self.files["etc/envelope/envelope.conf"] = path
        self.files["etc/envelope/ca.pem"] = self.kms.folder / "ca.pem"
        for path in "root/.aws/credentials", "etc/envelope/credentials":
            self.files[path] = self.kms.folder / "credentials"

    def _handler(self):
        services = self

        class Handler(socketserver.StreamRequestHandler):
            """One request a connection."""

            def handle(self):
                args = [a.decode() for a in
                        self.rfile.readline().rstrip(b"\n").split(b"\0")[:-1]]
                try:
                    status, text = services.answer(args)
                except Exception as e:  # the guest's test reports it
                    status, text = 125, f"host: {e!r}\n"
                self.wfile.write(f"{status}\n{text}".encode())

        return Handler

    def answer(self, args):
        """Carry out one request of the guest's: (status, text)."""
        verbs = {"kms-stop": lambda: self.kms.stop(),
                 "kms-start": lambda: self.kms.start(),
                 "kms-pause": lambda: self.kms.signal(signal.SIGSTOP),
                 "kms-cont": lambda: self.kms.signal(signal.SIGCONT)}
        verb = args[0] if args else ""
        if verb == "memory" and self.monitor:
            return self.monitor.search(args[1:])
        if not self.kms:
            return 125, "host: this guest was started without --kms\n"
        if verb == "aws":
            return self.kms.aws(args[1:])
        if verb == "as":
            return self.kms.aws(args[2:], args[1])
        if verb == "person":
            return self.kms.person(*args[1:])
        if verb == "audit":
            return 0, self.kms.audit()
        if verb not in verbs:
            return 125, f"host: no verb {verb}\n"
        verbs[verb]()
        return 0, ""
