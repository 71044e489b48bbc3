# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope doctor: each finding, good and bad, and what it says to do."""
import datetime
import email.utils
import http.server
import ipaddress
import json
import os
import pathlib
import platform
import re
import socket
import ssl
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import header_case
from header_case import BUILD, COPY, ENVELOPE, STATE, WAIT_SECONDS, flip
from server_people import KEY_ROOT, Person, document, identity
from server_fixture import ACCOUNT, Server

REGION = "us-east-1"
GENERATE = "GenerateDataKeyWithoutPlaintext"
HOST = f"arn:aws:iam::{ACCOUNT}:role/envelope-hosts"
POLICY = "/etc/envelope/agent.policy"
DAY = datetime.timedelta(days=1)


class Doctor(header_case.HeaderCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        identity(cls.server, "create-role", "envelope-hosts", "--trust", "-",
                 text=document({"Effect": "Allow", "Principal": {
                     "AWS": KEY_ROOT}, "Action": "sts:AssumeRole"}))

    def setUp(self):
        super().setUp()
        self.conf = self.folder / "envelope.conf"
        self.write_conf(self.conf, f"arn:aws:kms:{REGION}:{ACCOUNT}:key/*")
        self.person = None

    def environment(self):
        env = super().environment()
        if self.person:
            env.update(AWS_ACCESS_KEY_ID=self.person.access,
                       AWS_SECRET_ACCESS_KEY=self.person.secret)
        return env

    def say(self, **changes):
        """Other values in the region's section; None leaves one out."""
        lines = dict(line.split(" = ") for line in
                     self.conf.read_text().splitlines()[1:])
        lines.update({k.replace("_", "-"): v for k, v in changes.items()})
        self.conf.write_text(f"[region {REGION}]\n" + "".join(
            f"{k} = {v}\n" for k, v in lines.items() if v is not None))

    def doctor(self, *args, under=()):
        """All findings."""
        done = subprocess.run(
            [*under, ENVELOPE, "doctor", "--config", self.conf, "--json",
             *map(str, args)], env=self.environment(), capture_output=True,
            timeout=WAIT_SECONDS, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(b"", done.stderr)
        answer = json.loads(done.stdout)
        found = answer.pop("findings")
        for level, count in answer.items():
            self.assertEqual(count, sum(f["level"] == level for f in found))
        self.assertEqual(1 if answer["fail"] else 0, done.returncode)
        return found

    def finds(self, check, level, text, advice="", args=(), under=()):
        """Of @check there is that finding; it is returned."""
        found = self.doctor(*args, under=under)
        for one in found:
            if (one["check"], one["level"]) == (check, level) and (
                    text in one["text"]) and advice in one["advice"]:
                return one
        raise AssertionError(f"no {level} {check} '{text}' '{advice}' in "
                             + json.dumps(found, indent=1))

    def cover_file(self, place, text):
        path = self.folder / place.replace("/", "-")
        path.write_text(text)
        pathlib.Path(place).touch()
        subprocess.run(["mount", "--bind", path, place], check=True)
        self.addCleanup(subprocess.run, ["umount", place], check=True)

    def fake_module(self, end=""):
        modules = self.cover("/lib/modules")
        self.put(modules / platform.release() / "updates/dm-envelope.ko",
                 "ELF" + end)

    # The host

    def test_kernel(self):
        """doctor: a kernel that is too old is named"""
        self.finds("kernel", "ok", f"Linux {platform.release()}")
        self.finds("kernel", "fail", "is older than the module can be built for",
                   "boot Linux 6.1", under=["setarch", "--uname-2.6"])

    def test_module(self):
        """doctor: the module is missing, unsigned, signed or refused"""
        modules = self.cover("/lib/modules")
        sys_modules = self.cover("/sys/module")
        self.finds("module", "fail", "there is no dm-envelope for the kernel",
                   "make install")
        file = modules / platform.release() / "updates/dm-envelope.ko"
        self.put(file, "ELF")
        self.finds("module", "ok", "not signed; loaded when it is first needed")
        self.put(sys_modules / "module/parameters/sig_enforce", "Y\n")
        self.finds("module", "fail", "is not signed, and this kernel takes signed modules only",
                   "mokutil --import")
        self.put(file, "ELF~Module signature appended~\n")
        self.finds("module", "ok", "dm-envelope.ko, signed")

    def test_memory(self):
        """doctor: memory that cannot be locked is a failure"""
        self.finds("keyring", "ok", "the kernel takes keys")
        self.finds("keyring", "fail", "no memory can be locked",
                   "LimitMEMLOCK",
                   under=["setpriv", "--bounding-set=-ipc_lock", "prlimit",
                          "--memlock=0"])

    def test_agent(self):
        """doctor: the agent is away, of another version, or mute"""
        run = self.cover("/run/envelope")
        self.finds("agent", "warn", "no agent at /run/envelope/agent.sock",
                   "systemctl enable --now envelope-agent.socket")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(run / "agent.sock"))
        listener.listen()

        def serve(*answers):
            for answer in answers:
                client, _ = listener.accept()
                with client:
                    if answer is not None:
                        client.recv(65536)
                        client.sendall(json.dumps(answer).encode() + b"\0")

        thread = threading.Thread(target=serve, daemon=True, args=(
            {"parameters": {"version": "0.1.0"}},
            {"parameters": {"version": "9.9"}}, None))
        thread.start()
        self.finds("agent", "ok", "version 0.1.0 answers")
        self.finds("agent", "warn", "version '9.9' runs, and this program is 0.1.0",
                   "systemctl restart envelope-agent")
        self.finds("agent", "fail", "has ended the connection")
        thread.join(WAIT_SECONDS)

    def test_policy(self):
        """doctor: whom the agent's policy lets attach, and what is wrong in it"""
        file = self.cover("/etc/envelope") / "agent.policy"
        self.finds("policy", "ok", f"{POLICY} lets nobody but root attach",
                   "write sections into it")
        self.put(file, "[agent]\nworkers = 2\n")
        self.finds("policy", "ok", "lets nobody but root attach")
        self.put(file, "[uid 5]\ndevices = passed\nnames = *\n")
        self.finds("policy", "ok", f"{POLICY} has 1 section of those")
        self.put(file, file.read_text() + "[uid 6]\nnames = *\n[uid 7]\n")
        self.finds("policy", "warn", f"{POLICY}: section [uid 6] lets nobody "
                   "attach anything: it has no devices or no names",
                   "give it both")
        self.put(file, "[uid 5]\npaths = /dev/x\n")
        self.finds("policy", "fail", f"{POLICY}:2: a section knows devices, "
                   "names and keys, not 'paths'",
                   "systemctl reload-or-restart envelope-agent")
        self.put(file)
        for owner, mode in (0, 0o660), (65534, 0o600):
            os.chown(file, owner, 0)
            file.chmod(mode)
            self.finds("policy", "fail", "others than root can write it: "
                       "chown root, chmod go-w", "the agent does not start")
        os.chown(file, 0, 0)
        file.parent.chmod(0o755)
        self.folder.chmod(0o755)
        self.finds("policy", "warn", "cannot be read by this user",
                   "run the doctor as root",
                   under=["setpriv", "--reuid=65534", "--clear-groups"])

    def test_boot(self):
        """doctor: what no boot starts, and an fstab that waits for a volume"""
        units = self.cover("/etc/systemd/system")
        loads = self.cover("/etc/modules-load.d")
        self.cover("/usr/lib/modules-load.d")
        volume = "/dev/mapper/vol-0123456789abcdef0"
        self.cover_file("/etc/fstab", f"{volume} /srv ext4 defaults 0 2\n"
                        "/dev/mapper/other /home ext4 defaults 0 2\n")
        for text in ("no boot starts envelope-agent.socket",
                     "no boot loads dm-envelope",
                     f"the KMS of region {REGION} is on this host, and no boot starts it"):
            self.finds("boot", "warn", text)
        self.finds("boot", "fail", f"/etc/fstab waits for {volume}, which nothing attaches at boot",
                   "add noauto or nofail")
        self.put(units / "sockets.target.wants/envelope-agent.socket")
        self.put(units / "multi-user.target.wants/envelope-kms.service")
        self.put(loads / "dm-envelope.conf")
        pathlib.Path("/etc/fstab").write_text(
            f"{volume} /srv ext4 defaults,nofail 0 2\n")
        found = [f for f in self.doctor() if f["check"] == "boot"]
        self.assertEqual(["ok"] * 4, [f["level"] for f in found])
        self.assertIn(f"/etc/fstab does not wait for {volume}",
                      [f["text"] for f in found])

    def test_boot_tab(self):
        """doctor: an fstab that waits for what envelopetab names"""
        etc = self.cover("/etc/envelope", envelopetab="data /dev/vdb\n"
                         "near /dev/vdc direct\nlate /dev/vdd noauto\n")
        self.cover_file("/etc/fstab", "".join(
            f"/dev/mapper/{line} 0 2\n" for line in (
                "data /srv ext4 defaults", "near /a ext4 defaults",
                "late /b ext4 defaults,_netdev", "other /c ext4 defaults")))
        tab = "/etc/envelope/envelopetab"
        self.finds("boot", "ok", f"{tab} names 3 volumes")
        self.finds("boot", "fail", "/etc/fstab waits for /dev/mapper/data "
                   f"before the network is there, and line 1 of {tab}",
                   "add _netdev to its options in /etc/fstab")
        self.finds("boot", "ok", "/etc/fstab waits for /dev/mapper/near, "
                   f"which line 2 of {tab} attaches")
        self.finds("boot", "ok", "/etc/fstab waits for /dev/mapper/late, "
                   f"which line 3 of {tab} attaches")
        pathlib.Path("/etc/fstab").write_text(
            "/dev/mapper/data /srv ext4 _netdev 0 2\n")
        self.finds("boot", "ok", "/etc/fstab waits for /dev/mapper/data, "
                   f"which line 1 of {tab} attaches")
        (etc / "envelopetab").write_text("data /dev/vdb luks\n")
        self.finds("boot", "fail", f"1 of the lines of {tab} are wrong",
                   "envelope tab check")
        os.chmod(etc / "envelopetab", 0o666)
        self.finds("boot", "fail", "others than root can change it")

    # The KMS

    def test_configuration(self):
        """doctor: a configuration that cannot be read, or names no region"""
        self.conf.write_text("nonsense\n")
        self.finds("configuration", "fail", "envelope.conf:1: ")
        self.conf.write_text("")
        self.finds("configuration", "warn", "envelope.conf names no region")

    def test_unreachable(self):
        """doctor: a KMS that is not there, and one that speaks no HTTPS"""
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.close()
        self.say(endpoint=f"https://127.0.0.1:{port}")
        self.finds("kms", "fail", f"https://127.0.0.1:{port} cannot be reached: ",
                   "check the network, endpoint and proxy, and that the KMS runs")
        found = [f["check"] for f in self.doctor()]
        self.assertNotIn("permissions", found)

    def test_tls(self):
        """doctor: another CA, no CA file, and one that is none"""
        self.finds("tls", "ok", "holds for")
        other = Server(start=False)
        self.addCleanup(other.close)
        self.say(ca_file=other.dir / "ca.pem")
        self.finds("tls", "fail", "does not prove its identity",
                   "set ca-file to the certificate of the authority")
        self.say(ca_file=self.conf)
        self.finds("tls", "fail", "is no readable PEM file of CA certificates",
                   "correct ca-file")

    def fake(self, start=-DAY, end=90 * DAY, name="127.0.0.1", ahead_s=0,
             status=404, body=b""):
        """A server of no KMS, with that certificate, clock and answer."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kms")])
        cert = x509.CertificateBuilder().subject_name(who).issuer_name(
            who).public_key(key.public_key()).serial_number(7).not_valid_before(
                now + start).not_valid_after(now + end).add_extension(
                    x509.SubjectAlternativeName([x509.IPAddress(
                        ipaddress.ip_address(name))]), False).add_extension(
                            x509.BasicConstraints(True, None), True).sign(
                                key, hashes.SHA256())
        pem = self.folder / "fake.pem"
        pem.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        (self.folder / "fake.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response_only(status)
                if ahead_s is not None:
                    self.send_header("Date", email.utils.formatdate(
                        time.time() + ahead_s, usegmt=True))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *args):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            def handle_error(self, *args):
                pass

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem, self.folder / "fake.key")
        server = Listener(("127.0.0.1", 0), Handler)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.say(endpoint=f"https://127.0.0.1:{server.server_port}",
                 ca_file=pem)

    def test_certificate(self):
        """doctor: a certificate that ends soon, has ended, or is another's"""
        self.fake(end=5 * DAY + DAY / 2)
        self.finds("tls", "warn", "ends in 5 days", "renew it")
        self.fake(start=-2 * DAY, end=-DAY)
        self.finds("tls", "fail", "certificate has expired",
                   "renew the server's certificate")
        self.fake(start=DAY)
        self.finds("tls", "fail", "not yet valid", "set this host's clock")
        self.fake(name="127.0.0.9")
        self.finds("tls", "fail", "subject name",
                   "set endpoint to a name that the certificate has")

    def test_clock(self):
        """doctor: a clock that is off, by how much and in which direction"""
        self.finds("clock", "ok", "within a minute of the KMS")
        for ahead_s, level, text in (
                (200, "warn", r"this host is (19|20)\d s behind the KMS"),
                (-200, "warn", r"this host is 20\d s ahead of the KMS"),
                (900, "fail", r"this host is (89|90)\d s behind the KMS"),
                (None, "warn", "does not say its time")):
            self.fake(ahead_s=ahead_s)
            found = [f for f in self.doctor() if f["check"] == "clock"]
            self.assertEqual([level], [f["level"] for f in found])
            self.assertRegex(found[0]["text"], text)

    def test_identity(self):
        """doctor: who signs, with which credentials, and who is refused"""
        self.finds("identity", "ok", f"arn:aws:iam::{ACCOUNT}:user/administrator, by profile 'envelope' in ")
        person = Person(self.server, "identity")
        self.person = person
        self.finds("identity", "ok", f"{person.arn}, by the environment")
        person.secret = "x" * 40
        self.finds("identity", "fail", "refuses the credentials from the environment (SignatureDoesNotMatch)")
        self.person = None
        self.say(profile="nobody")
        self.finds("identity", "fail", "profile 'nobody'")
        self.fake()
        self.say(profile="envelope")
        self.finds("identity", "warn", "answers GetCallerIdentity with garbage")

    def test_identity_later(self):
        """doctor: an STS that is busy or ill refuses no credentials"""
        self.say(profile="envelope")
        for status, code in (400, "Throttling"), (503, "ServiceUnavailable"):
            self.fake(status=status, body=f"<ErrorResponse><Error><Code>{code}"
                      "</Code></Error></ErrorResponse>".encode())
            self.finds("identity", "warn",
                       f"cannot answer GetCallerIdentity now ({code}, "
                       f"HTTP status {status}); try again later",
                       args=("--timeout", 3))

    # Permissions

    def key_for(self, *statements, readable=True):
        """A key with that policy, besides what the account keeps."""
        arn = self.new_key()
        keep = {"Sid": "keep", "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/administrator"},
                "Action": "kms:*", "Resource": "*"}
        look = {"Sid": "look", "Effect": "Allow",
                "Principal": {"AWS": KEY_ROOT if not self.person
                              else self.person.arn},
                "Action": ["kms:DescribeKey"] + ["kms:GetKeyPolicy"] * readable,
                "Resource": "*"}
        self.policy = {"Version": "2012-10-17",
                       "Statement": [keep, look, *statements]}
        self.put_policy(arn)
        self.say(default_key=arn, host_principal=HOST)
        return arn

    def put_policy(self, arn):
        self.kms.put_key_policy(KeyId=arn, PolicyName="default",
                                Policy=json.dumps(self.policy))

    def allow(self, action, sid="s", effect="Allow", **condition):
        return {"Sid": sid, "Effect": effect,
                "Principal": {"AWS": self.person.arn},
                "Action": f"kms:{action}", "Resource": "*",
                **({"Condition": condition} if condition else {})}

    def test_granted(self):
        """doctor: all that a user needs, each asked by DryRun, is ok"""
        self.person = Person(self.server, "granted")
        arn = self.key_for(self.allow("*"))
        before = len(self.kms.list_grants(KeyId=arn)["Grants"])
        for operation in (GENERATE, "Decrypt", "CreateGrant"):
            self.finds("permissions", "ok", f"kms:{operation} with key {arn}")
        self.assertEqual(before, len(
            self.kms.list_grants(KeyId=arn)["Grants"]))
        self.say(host_principal=f"{HOST}-none")
        self.finds("permissions", "fail", f"the KMS knows no {HOST}-none, which host-principal names",
                   "set host-principal to a role")

    def test_ebs_policy(self):
        """doctor names kms:GrantIsForAWSResource, and its statement works"""
        self.person = Person(self.server, "ebs")
        arn = self.key_for(self.allow(GENERATE), self.allow("Decrypt"),
                           self.allow("CreateGrant", "attach", Bool={
                               "kms:GrantIsForAWSResource": "true"}))
        one = self.finds(
            "permissions", "fail", f"{self.person.arn} may not do kms:CreateGrant with key {arn}",
            "statement 'attach' of the key policy allows it under the condition kms:GrantIsForAWSResource, which only AWS's own services fulfil")
        self.add_printed(arn, one)
        self.finds("permissions", "ok", f"kms:CreateGrant with key {arn}")

    def add_printed(self, arn, finding):
        self.policy["Statement"].append(json.loads(re.search(
            r"this statement in the key policy allows it: (.*)$",
            finding["advice"]).group(1)))
        self.put_policy(arn)

    def test_denied(self):
        """doctor names why a key policy says no, and a statement that works"""
        self.person = Person(self.server, "denied")
        for statement, why in (
                (self.allow("Generate*", "via", StringEquals={
                    "kms:ViaService": f"ec2.{REGION}.amazonaws.com"}),
                 "statement 'via' of the key policy allows it under the condition kms:ViaService, which only requests through an AWS service fulfil"),
                (self.allow("*", "ebs", Null={
                    "kms:EncryptionContext:aws:ebs:id": "false"}),
                 "the condition kms:EncryptionContext:aws:ebs:id, a pair of the encryption context that this volume does not have"),
                (self.allow("Decrypt"),
                 f"no statement of the key policy allows kms:{GENERATE} to {self.person.arn}")):
            arn = self.key_for(statement)
            one = self.finds("permissions", "fail", f"may not do kms:{GENERATE}",
                             why)
            self.add_printed(arn, one)
            self.finds("permissions", "ok", f"kms:{GENERATE}")

    def test_denied_otherwise(self):
        """doctor: a Deny, the account's own policies, an unreadable policy"""
        self.person = Person(self.server, "otherwise")
        text = f"may not do kms:{GENERATE}"
        self.key_for(self.allow("*"), self.allow(GENERATE, "never", "Deny"))
        self.finds("permissions", "fail", text,
                   "statement 'never' of the key policy denies it")
        # Who may write key policies has no say at this terminal.
        self.key_for(self.allow("*"), self.allow(GENERATE, "\u202ena", "Deny"))
        self.finds("permissions", "fail", text,
                   r"statement '\xe2\x80\xaena' of the key policy denies it")
        root = {**self.allow("*", "root"), "Principal": {"AWS": KEY_ROOT}}
        self.key_for(root)
        self.finds("permissions", "fail", text,
                   f"statement 'root' of the key policy leaves it to the account's own policies, which do not allow kms:{GENERATE}")
        self.key_for(readable=False)
        self.finds("permissions", "fail", text,
                   "the key policy cannot be read by this caller (kms:GetKeyPolicy); in one made for EBS the likely condition is kms:ViaService")

    def test_host(self):
        """security-12: doctor reports a host's standing right to unwrap"""
        self.person = Person(self.server, "host")
        self.key_for(self.allow("*"))
        self.say(host_principal=self.person.arn)
        self.finds("permissions", "warn", f"the host {self.person.arn} may do kms:Decrypt with key",
                   "take it from the key policy")
        self.key_for()
        self.say(host_principal=self.person.arn)
        self.finds("permissions", "ok", f"the host may not do kms:{GENERATE} but by a grant; kms:Decrypt is asked about with each volume")

    def of_host(self, name, statements=list):
        """A volume under a key of that policy, and we the host from now on."""
        self.person = Person(self.server, name)
        arn = self.key_for(*statements())
        self.say(host_principal=self.person.arn)
        person, self.person = self.person, None
        disk = self.volume("--kms-key", arn)
        self.person = person
        return disk, arn

    def test_host_decrypt(self):
        """security-12: doctor finds a host's right to Decrypt and no more"""
        disk, arn = self.of_host("standing", lambda: [self.allow("Decrypt")])
        for drill in ([], ["--drill"]):
            self.finds("volume", "warn", f"{disk}: the host may do kms:Decrypt with key {arn} by itself, so with any volume's key",
                       "take it from the key policy", args=[*drill, disk])

    def test_host_grants(self):
        """doctor: a host that opens volumes by grants only is in order"""
        disk, arn = self.of_host("grantee")
        text = f"{disk}: the host opens it under {arn} by grants only"
        self.finds("volume", "ok", text, args=[disk])
        core = self.json(self.envelope("inspect", "--json", disk))["core"]
        self.kms.create_grant(
            KeyId=arn, GranteePrincipal=self.person.arn,
            Operations=["Decrypt"], Constraints={"EncryptionContextSubset": {
                "envelope:volume-id": core["volume_id"],
                "envelope:generation": "1"}})
        self.with_kms("attach", "--direct", "--dry-run", disk)
        self.finds("volume", "ok", text, args=[disk])
        self.finds("volume", "ok", text, args=["--drill", disk])
        one = self.finds("drill", "warn", f"{disk}: its key was not unwrapped: the host may do that by grants only",
                         "--profile of an identity with kms:Decrypt and kms:ReEncrypt*",
                         args=["--drill", disk])
        self.assertIn("envelope-drill.service", one["advice"])
        found = self.doctor("--drill", disk)
        self.assertEqual([], [f for f in found if f["level"] == "fail" and
                              f["check"] in ("volume", "drill", "key",
                                             "permissions")])

    def test_host_refused(self):
        """doctor: of a host's volume, too, allow-keys and a denial count"""
        disk, arn = self.of_host("refused", lambda: [self.allow("Decrypt")])
        self.kms.disable_key(KeyId=arn)
        self.finds("volume", "fail", "the key is disabled", args=[disk])
        self.say(allow_keys=f"arn:aws:kms:{REGION}:{ACCOUNT}:key/none")
        self.finds("volume", "fail", "allow-keys does not cover it",
                   args=[disk])

    def test_key(self):
        """doctor: a default key that is disabled, unknown or not allowed"""
        self.finds("key", "ok", "key alias/envelope is Enabled")
        arn = self.new_key()
        self.kms.disable_key(KeyId=arn)
        self.finds("key", "fail", f"key {arn} is Disabled", "enable it",
                   args=["--kms-key", arn])
        self.finds("permissions", "fail", "the key does not exist there",
                   args=["--kms-key", "alias/none"])
        self.say(allow_keys=f"arn:aws:kms:{REGION}:999988887777:key/*",
                 default_key=self.key)
        self.finds("key", "fail", "allow-keys does not cover it")

    # Volumes

    def test_volumes(self):
        """doctor: a good header, a damaged copy, an interrupted update"""
        disk = self.volume()
        self.finds("header", "ok", "both copies good, revision 1, sequence 1",
                   args=[disk])
        self.finds("volume", "ok", f"the KMS would unwrap it under {self.key}",
                   args=[disk])
        old = disk.read_bytes()[COPY:2 * COPY]
        self.with_kms("rewrap", "--kms-key", "alias/envelope", disk)
        with open(disk, "r+b") as file:
            file.seek(COPY)
            file.write(old)
        self.finds("header", "warn", "copy A has sequence 2, copy B 1",
                   "envelope check --repair", args=[disk])
        header_case.flip(disk, COPY + 5000)
        self.finds("header", "fail", "copy A is good, copy B is damaged",
                   "envelope check --repair", args=[disk])
        header_case.flip(disk, 5000)
        self.finds("header", "fail", "", args=[disk])
        blank = self.folder / "blank"
        blank.write_bytes(bytes(4 << 20))
        self.finds("header", "fail", "no envelope header in either copy",
                   args=[blank])
        self.finds("header", "fail", r"\xff': cannot open",
                   args=[os.fsdecode(b"/none/\xff")])

    def test_slots(self):
        """doctor asks about each slot of a KMS, and none is a failure"""
        disk = self.volume()
        key = self.new_key()
        self.with_kms("recovery-key add", disk)
        self.with_kms("slot add", "--kms-key", key, disk)
        for arn in (self.key, key):
            self.finds("volume", "ok", f"unwrap it under {arn}", args=[disk])
        self.with_kms("slot remove", "--slot", 0, disk)
        found = [(f["level"], f["text"]) for f in self.doctor(disk)
                 if f["check"] == "volume"]
        self.assertEqual([("ok", f"{disk}: the KMS would unwrap it under {key}")],
                         found)
        self.with_kms("slot add", "--kms-key", self.key, disk)
        self.kms.disable_key(KeyId=key)
        self.finds("volume", "fail", "the key is disabled", args=[disk])
        self.finds("volume", "ok", f"unwrap it under {self.key}", args=[disk])
        self.with_kms("slot remove", "--slot", 2, "--force", disk)
        self.with_kms("slot remove", "--slot", 1, "--force", disk)
        for drill in ([], ["--drill"]):
            self.finds("volume", "fail", f"{disk}: it has no slot of a KMS that this version can ask",
                       "envelope slot add --recovery-key FILE",
                       args=[*drill, disk])

    def test_detached(self):
        """doctor --header looks at a header that is a file of its own"""
        header = self.folder / "header"
        disk = self.volume("--header", header)
        for args in (["--header", header], ["--header", header, disk]):
            self.finds("header", "ok", f"{header}: vol-", args=args)

    def test_volume_refused(self):
        """doctor: a pin that differs, a disabled key, a foreign key"""
        key = self.new_key()
        disk = self.volume("--kms-key", key)
        self.kms.disable_key(KeyId=key)
        self.finds("volume", "fail", "the key is disabled", args=[disk])
        self.say(allow_keys=f"arn:aws:kms:{REGION}:{ACCOUNT}:key/none")
        self.finds("volume", "fail", "allow-keys does not cover it",
                   args=[disk])
        pins = pathlib.Path(STATE) / "known"
        pins.write_text(re.sub('"lineage":"[0-9a-f]{4}', '"lineage":"0000',
                               pins.read_text()))
        self.finds("volume", "fail", "is pinned with another data key",
                   args=[disk])

    def test_scan(self):
        """doctor without a name looks at all devices of the host"""
        found = [f for f in self.doctor() if f["check"] in ("volumes",
                                                            "header")]
        self.assertTrue(found)
        found = self.finds("drill", "ok", "no snapshot was restored",
                           args=["--drill"])
        self.assertEqual("", found["advice"])

    def test_drill(self):
        """doctor --drill unwraps, is refused, rewraps, and writes nothing"""
        disk = self.volume()
        before, calls = self.digest(disk), len(self.calls())
        found = [f for f in self.doctor("--drill", disk)
                 if f["check"] == "drill"]
        self.assertEqual(["ok"] * 4, [f["level"] for f in found])
        for text, one in zip((
                "its key was unwrapped, and the HMAC of the header holds",
                "refused under another volume's context (InvalidCiphertextException)",
                "rewrapped in memory and unwrapped again; nothing was written",
                "no snapshot was restored: there is no "), found):
            self.assertIn(text, one["text"])
        self.assertEqual(before, self.digest(disk))
        self.assertEqual(["Decrypt", "Decrypt", "ReEncrypt", "Decrypt"],
                         self.calls()[calls:][-4:])

    def test_drill_restores(self):
        """doctor --drill restores the oldest snapshot into nothing"""
        disk, store = self.volume(), self.folder / "store"
        with open(disk, "r+b") as file:
            file.seek(2 << 20)
            file.write(os.urandom(4096))
        args = ["--drill", "--store", store, disk]
        self.finds("drill", "fail", "cannot open the folder", args=args)
        ids = [self.snapshot(store, disk) for _ in range(2)]
        (store / "snapshots" / "snap-00000000000000000").write_text("{")
        one = self.finds("drill", "ok", "was restored into nothing: 1 of 6 chunks read, verified and decrypted", args=args)
        self.assertIn(one["text"].split(",")[0], ids)
        for block in store.glob("blocks/*/*/*"):
            flip(block, 77)
        self.finds("drill", "fail", "is damaged or forged", args=args)
        for wrapper in store.glob("snapshots/*"):
            wrapper.unlink()
        self.finds("drill", "warn", "has no snapshot, so none was restored",
                   args=args)

    def snapshot(self, store, disk):
        done = subprocess.run(
            [BUILD / "bin" / "envelope-snapshot", "create", "--store", store,
             "--config", self.conf, "--json", disk], env=self.environment(),
            capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["snapshot_id"]

    def test_drill_fails(self):
        """doctor --drill: a key that was disabled, a rewrap that is denied"""
        key = self.new_key()
        disk = self.volume("--kms-key", key)
        self.person = Person(self.server, "drill")
        self.key_for(self.allow("Decrypt"))
        self.kms.put_key_policy(KeyId=key, PolicyName="default",
                                Policy=json.dumps(self.policy))
        self.finds("drill", "fail", "refuses ReEncrypt", args=["--drill", disk])
        self.kms.disable_key(KeyId=key)
        self.finds("drill", "fail", "the key is disabled",
                   args=["--drill", disk])

    def test_exit(self):
        """doctor: the text, and status 0 where nothing failed"""
        self.fake_module()
        self.cover("/sys/module")
        self.cover_file("/etc/fstab", "")
        self.cover("/run/envelope")
        disk = self.volume()
        done = self.with_kms("doctor", disk)
        self.assertRegex(done.stdout_text, r"(?m)^ok    kernel: Linux ")
        self.assertRegex(done.stdout_text, r"(?m)^warn  agent: no agent .*\n      systemctl enable")
        self.assertRegex(done.stdout_text, r"\n\d+ ok, \d+ to be warned of, 0 failed\n$")
        header_case.flip(disk, 5000)
        done = self.with_kms("doctor", disk, status=1)
        self.assertRegex(done.stdout_text, r"(?m)^FAIL  header: ")


if __name__ == "__main__":
    header_case.main()
