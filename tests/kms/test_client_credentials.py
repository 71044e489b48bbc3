# SPDX-License-Identifier: GPL-2.0-or-later
"""The client's credentials: roles, web identities, programs, containers."""
import json
import os
import pathlib

import boto3

from client_case import (ARN, DONE, KEY_ID, SECRET, UNREACHABLE, Case)
from credentials_servers import (Container, Sts, answer, redirect, say, slow,
                                 sts_error, until)
from server_fixture import ACCOUNT, Server
from server_people import Person, identity, statement
from test_client_transport import dead_port
import tap

ROLE = f"arn:aws:iam::{ACCOUNT}:role/host"
ACCESS, HIDDEN, SESSION = "ASIAENVELOPETEMP", "c2VjcmV0/+dGVtcA", "dG9rZW4+/w=="


class Sources(Case):
    """With no keys but those that the source gives."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stranger.verifier.add(ACCESS, HIDDEN, SESSION)

    def files(self, config="", credentials=""):
        folder = self.home / ".aws"
        folder.mkdir(exist_ok=True)
        (folder / "config").write_text(config)
        (folder / "credentials").write_text(credentials)

    def ask(self, *options, env=None, **how):
        """DescribeKey without keys in the environment."""
        full = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
        full.update(env or {})
        return self.call("describe", ARN, env=full, options=options, **how)

    def assert_works(self, result):
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.stderr, "")

    def assert_none(self, result, sentence):
        """No credentials, and one sentence to that end."""
        self.assertEqual(result.stderr, f"kms-call: {sentence}")
        self.assertEqual((result.status, result.error),
                         (UNREACHABLE, "NoCredentials"))
        self.assertEqual(self.stranger.calls, [])

    def script(self, text, name="give"):
        path = self.home / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def give(self, **changes):
        """Shell that prints credentials."""
        made = {"Version": 1, "AccessKeyId": ACCESS,
                "SecretAccessKey": HIDDEN, "SessionToken": SESSION,
                "Expiration": until(), **changes}
        return f"cat <<'EOF'\n{json.dumps(made)}\nEOF\n"


class Process(Sources):
    def process(self, text, *args, line=None, **how):
        path = self.script(text)
        self.files(f"[profile p]\ncredential_process = "
                   f"{line or ' '.join([str(path), *args])}\n")
        return self.ask("--profile", "p", **how)

    def assert_fault(self, result, what):
        self.assert_none(result, f"credential_process of profile 'p': {what}")

    def test_works(self):
        """credentials: a process gives them"""
        self.assert_works(self.process(self.give()))

    def test_keys_forever(self):
        """credentials: a process may give keys without token and end"""
        text = json.dumps({"Version": 1, "AccessKeyId": KEY_ID,
                           "SecretAccessKey": SECRET})
        self.assert_works(self.process(f"echo '{text}'\n"))

    def test_words(self):
        """security-05-credentials: a process runs without a shell, its words as shlex splits them"""
        seen = self.home / "seen"
        path = self.script(f'for a; do echo "<$a>"; done > {seen}\n'
                           + self.give(), "other")
        line = (f"{path} 'a b' \"c \\\" \\x\" d\\ e $HOME `id` ; > x | y & "
                "f'g'h ''")
        self.assert_works(self.process("", line=line))
        self.assertEqual(seen.read_text().splitlines(), [
            "<a b>", "<c \" \\x>", "<d e>", "<$HOME>", "<`id`>", "<;>", "<>>",
            "<x>", "<|>", "<y>", "<&>", "<fgh>", "<>"])
        self.assertEqual(sorted(p.name for p in self.home.iterdir()),
                         [".aws", "envelope.conf", "give", "other", "seen"])

    def test_search(self):
        """credentials: a process is found on the PATH"""
        self.script(self.give(), "give-them")
        self.assert_works(self.process("", line="give-them", env={
            "PATH": f"{self.home}:{os.environ['PATH']}"}))

    def test_open_quote(self):
        """credentials: an open quote in a process's command is named"""
        for line in ("'/bin/x", '/bin/x "', "/bin/x \\", " ".join("x" * 65)):
            self.assert_fault(self.process("", line=line), "its command has an open quote or over 64 words; correct it")

    def test_closed(self):
        """security-09-credentials: a process has no input and nothing of ours open"""
        seen = self.home / "seen"
        self.assert_works(self.process(
            f"{{ wc -c; ls /proc/self/fd; }} > {seen}\n" + self.give()))
        # The last is that of the folder which ls reads.
        self.assertEqual(seen.read_text().split(), ["0", "0", "1", "2", "3"])

    def test_missing(self):
        """credentials: a process that is not there is named"""
        self.assert_fault(self.process("", line="/nonexistent/x y"), "'/nonexistent/x' cannot be started: No such file or directory; correct its path")

    def test_fails(self):
        """credentials: a process that fails is named with its status"""
        self.assert_fault(self.process(self.give() + "exit 7\n"), "it ended with status 7; run it by hand to see why")
        self.assert_fault(self.process("kill -9 $$\n"), "signal 9 killed it; run it by hand to see why")

    def test_hangs(self):
        """credentials: a process that hangs costs the time budget, and is killed"""
        pid = self.home / "pid"
        for text in ("exec sleep 600\n", "exec sleep 600 > /dev/null\n",
                     "sleep 600 &\nexec sleep 600\n"):
            self.assert_fault(self.process(f"echo $$ > {pid}\n" + text,
                                           timeout=3000), "it did not end within the time budget; it was killed, run it by hand to see why")
            self.assertFalse(pathlib.Path(
                f"/proc/{pid.read_text().strip()}").exists())

    def test_endless(self):
        """credentials: a process that prints without end is killed"""
        self.assert_fault(self.process("exec cat /dev/zero\n"), "it printed more than 65536 bytes, so it was killed; correct it")

    def test_garbage(self):
        """credentials: a process that prints no credentials is named"""
        self.assert_fault(self.process("echo hello\n"), "gave no sound credentials (malformed JSON at byte 5); correct what gives them")
        self.assert_fault(self.process(self.give(Version=2)), 'gave no sound credentials ("Version" is not 1); correct what gives them')

    def test_expired(self):
        """credentials: expired ones of a process are not used"""
        self.assert_fault(self.process(self.give(Expiration=until(-1))), "the credentials have expired; get fresh ones, and check this host's clock")

    def test_foreign_file(self):
        """security-05-credentials: root runs no process that others can name"""
        self.files(f"[profile p]\ncredential_process = "
                   f"{self.script(self.give())}\n")
        (self.home / ".aws/config").chmod(0o666)
        self.assert_fault(self.ask("--profile", "p"), "others than root can change the file that names it, so root does not run it; run chown root and chmod go-w on the file")

    def test_order(self):
        """credentials: keys in the credentials file go before a process, that before keys in the config file"""
        path = self.script("exit 7\n")
        keys = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
        self.files(f"[profile p]\ncredential_process = {path}\n",
                   f"[p]\n{keys}")
        self.assert_works(self.ask("--profile", "p"))
        self.stranger.behave()
        self.files(f"[profile p]\ncredential_process = {path}\n{keys}")
        self.assert_fault(self.ask("--profile", "p"), "it ended with status 7; run it by hand to see why")

    def test_renewed(self):
        """credentials: keys that the KMS refuses are read anew by a session"""
        count = self.home / "count"
        other = json.dumps({"Version": 1, "AccessKeyId": "AKIAGONE",
                            "SecretAccessKey": "x"})
        result = self.process(
            f"echo >> {count}\nif [ $(wc -l < {count}) = 1 ]; then\n"
            f"echo '{other}'\nelse\n{self.give()}fi\n")
        self.assertEqual(result.error, "UnrecognizedClientException")
        self.stranger.behave()
        count.unlink()
        result = self.ask("--profile", "p", "--times", "3", "--persist")
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(len(self.stranger.calls), 3)
        self.assertEqual(count.read_text(), "\n\n")

    def test_memory(self):
        """security-09-credentials: a process's secrets do not stay in memory"""
        patterns = [HIDDEN.encode(), SESSION.encode(),
                    b"arn:aws:kms:us-east-1:"]
        result = self.process(self.give(), env={"SCAN": ",".join(
            bytes(b ^ 0x55 for b in p).hex() for p in patterns)})
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["found"], [2])


class Closed(Sources):
    """As a daemon: the environment is not read."""

    def setUp(self):
        super().setUp()
        self.etc = self.home / "etc"

    def closed(self, config, files_mode=0o600, script_mode=0o755,
               command=None):
        """The files are those of the effective user's own home: a namespace
        with another /etc/passwd gives one."""
        self.files(config.replace("COMMAND", command or
                                  str(self.script(self.give()))))
        (self.home / ".aws/config").chmod(files_mode)
        (self.home / "give").chmod(script_mode)
        passwd = self.home / "passwd"
        passwd.write_text(f"root:x:0:0:root:{self.home}:/bin/sh\n")
        return self.ask(
            "--no-environment", config=self.conf(profile="p"),
            env={"AWS_CONFIG_FILE": "/nonexistent", "GIVEN": "yes"},
            under=["unshare", "--map-root-user", "--mount", "sh", "-c",
                   f'mount --bind {passwd} /etc/passwd && exec "$@"', "-"])

    CONFIG = "[profile p]\ncredential_process = COMMAND\n"

    def test_works(self):
        """credentials: a daemon runs root's process of a root's file"""
        self.assert_works(self.closed(self.CONFIG))

    def test_folder(self):
        """credentials: a daemon's files are with its configuration where that has a folder for them"""
        etc = self.home / "etc"
        (etc / "envelope/aws").mkdir(parents=True)
        (etc / "passwd").write_text(f"root:x:0:0:root:{self.home}:/bin/sh\n")
        self.files("[profile p]\ncredential_process = /bin/false\n")
        (etc / "envelope/aws/config").write_text(
            f"[profile p]\ncredential_process = {self.script(self.give())}\n")
        how = {"config": self.conf(profile="p"), "under": [
            "unshare", "--map-root-user", "--mount", "sh", "-c",
            f'mount --bind {etc} /etc && exec "$@"', "-"]}
        self.assert_works(self.ask("--no-environment", **how))
        self.stranger.behave()
        # For who may read the environment it is not there.
        self.assert_none(self.ask(**how), "credential_process of profile 'p': it ended with status 1; run it by hand to see why")

    def test_environment(self):
        """security-05-credentials: a daemon's process does not see its environment"""
        seen = self.home / "seen"
        path = self.script(f"env | sort | grep -v '^_=\\|^PWD=' > {seen}\n"
                           + self.give(), "other")
        self.script("")
        self.assert_works(self.closed(self.CONFIG, command=str(path)))
        self.assertEqual(seen.read_text().splitlines(), [
            f"HOME={self.home}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])

    def test_foreign_file(self):
        """security-05-credentials: a daemon reads no file that others can change"""
        self.assert_none(self.closed(self.CONFIG, files_mode=0o666), f"{self.home}/.aws/config: others can change it, so it is not read; run chown root and chmod go-w on it")

    def test_foreign_program(self):
        """security-05-credentials: a daemon runs no program that others can change"""
        self.assert_none(self.closed(self.CONFIG, script_mode=0o777), "credential_process of profile 'p': others than root can change the program, so it is not run; run chown root and chmod go-w on it")

    def test_relative(self):
        """security-05-credentials: a daemon searches no PATH for a program"""
        self.script("")
        self.assert_none(self.closed(self.CONFIG, command="true"), "credential_process of profile 'p': it has to be named by its absolute path here; write that")

    def test_credential_source(self):
        """security-05-credentials: a daemon's role comes from no environment"""
        self.script("")
        for source in ("Environment", "EcsContainer"):
            self.assert_none(self.closed(
                f"[profile p]\nrole_arn = {ROLE}\ncredential_source = {source}\n",
                command="x"), "profile 'p': credential_source is in the environment, which is not read here; use Ec2InstanceMetadata or source_profile")

    def test_foreign_token(self):
        """security-05-credentials: a daemon reads no token that others can change"""
        self.script("")
        token = self.home / "token"
        token.write_text("t\n")
        token.chmod(0o666)
        self.assert_none(self.closed(
            f"[profile p]\nrole_arn = {ROLE}\nweb_identity_token_file = {token}\n",
            command="x"), f"web identity token file {token}: others can change it, so it is not read; run chown root and chmod go-w on it")


class WebIdentity(Sources):
    def setUp(self):
        super().setUp()
        self.sts = Sts(self.home, ACCESS, HIDDEN, SESSION).__enter__()
        self.addCleanup(self.sts.__exit__)
        self.token = self.home / "token"
        self.token.write_text("header.pay+load/=.sign\n")
        bundle = self.home / "both.pem"
        bundle.write_bytes(self.sts.ca.read_bytes()
                           + pathlib.Path(self.stranger.ca).read_bytes())
        self.both = bundle

    def ask(self, *options, env=None, sts=None, **how):
        return super().ask(*options, env=env, config=self.conf(
            sts_endpoint=sts or self.sts.url, ca_file=self.both), **how)

    def in_env(self, **more):
        return {"AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token),
                "AWS_ROLE_ARN": ROLE, **more}

    def refused(self, fault, what, **how):
        self.sts.faults = [fault]
        self.assert_none(self.ask(env=self.in_env(), **how), f"role {ROLE} of profile 'default': STS {self.sts.url} {what}")

    def test_environment(self):
        """credentials: a web identity by the environment"""
        self.assert_works(self.ask(env=self.in_env(
            AWS_ROLE_SESSION_NAME="pod-1")))
        self.assertEqual(self.sts.forms, [{
            "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15",
            "RoleArn": ROLE, "RoleSessionName": "pod-1",
            "WebIdentityToken": "header.pay+load/=.sign"}])

    def test_profile(self):
        """credentials: a web identity by the profile, and as a role's source"""
        web = (f"role_arn = {ROLE}\nweb_identity_token_file = {self.token}\n"
               "role_session_name = by-profile\n")
        self.files(f"[profile w]\n{web}")
        self.assert_works(self.ask("--profile", "w"))
        self.assertEqual(self.sts.forms[0]["RoleSessionName"], "by-profile")
        self.files(f"[profile w]\n{web}[profile r]\nrole_arn = {ROLE}2\n"
                   "source_profile = w\n")
        self.sts.forms.clear()
        self.assert_works(self.ask("--profile", "r"))
        self.assertEqual([(f["Action"], f["RoleArn"]) for f in self.sts.forms],
                         [("AssumeRoleWithWebIdentity", ROLE),
                          ("AssumeRole", ROLE + "2")])

    def test_option(self):
        """credentials: --profile shuts out a web identity of the environment"""
        self.files(f"[profile k]\naws_access_key_id = {KEY_ID}\n"
                   f"aws_secret_access_key = {SECRET}\n")
        self.assert_works(self.ask("--profile", "k", env=self.in_env()))
        self.assertEqual(self.sts.calls, [])

    def test_session_name(self):
        """security-14-credentials: a session without a name has the host's, each time"""
        for _ in range(2):
            self.assert_works(self.ask(env=self.in_env()))
        first, second = (f["RoleSessionName"] for f in self.sts.forms)
        self.assertEqual(first, second)
        self.assertRegex(first, r"^envelope-[\w+=,.@-]+$")

    def test_no_role(self):
        """credentials: a web identity without a role is named"""
        self.assert_none(self.ask(env=self.in_env(AWS_ROLE_ARN=None)), f"web identity token file {self.token}: no role goes with it; set AWS_ROLE_ARN or role_arn")
        self.files(f"[profile w]\nweb_identity_token_file = {self.token}\n")
        self.assert_none(self.ask("--profile", "w"), f"web identity token file {self.token}: no role goes with it; set role_arn")

    def test_token_file(self):
        """credentials: a token file that is none is named"""
        fault = f"web identity token file {self.token}: "
        for text in ("", "\n", "a\nb\n", "a" * 20001):
            self.token.write_text(text)
            self.assert_none(self.ask(env=self.in_env()), fault + "not one line of at most 20000 bytes; check who writes it")
        self.token.unlink()
        self.assert_none(self.ask(env=self.in_env()), fault + "missing; check who writes it")
        # One that nobody writes into costs no time.
        for make in (os.mkdir, os.mkfifo):
            self.token = self.home / make.__name__
            make(self.token)
            self.assert_none(self.ask(env=self.in_env()), f"{self.token}: not a file of at most 262144 bytes")

    def test_refused(self):
        """credentials: what STS refuses is said, with its code"""
        for code, what in {
                "InvalidIdentityToken": "refuses AssumeRoleWithWebIdentity: the web identity token is not accepted (InvalidIdentityToken); check the token file and the identity provider",
                "ExpiredTokenException": "refuses AssumeRoleWithWebIdentity: the token has expired (ExpiredTokenException); have it renewed",
                "IDPRejectedClaim": "refuses AssumeRoleWithWebIdentity: the identity provider refuses the token (IDPRejectedClaim); check the token file and the role's conditions",
                "RegionDisabledException": "refuses AssumeRoleWithWebIdentity: it is switched off in that region (RegionDisabledException); have it activated or set sts-endpoint",
                "ValidationError": "refuses AssumeRoleWithWebIdentity: it does not take the request (ValidationError); check role_arn, role_session_name, external_id and duration_seconds",
                "Fancy": "refuses AssumeRoleWithWebIdentity: its reason is Fancy (HTTP status 400); look that up in its manual",
        }.items():
            self.refused(sts_error(code), what)

    def test_retried(self):
        """credentials: what STS cannot do now is tried again"""
        for fault in (sts_error("Throttling"), say(503, "no"),
                      sts_error("IDPCommunicationError")):
            self.sts.faults = [fault]
            self.assert_works(self.ask(env=self.in_env()))

    def test_garbage(self):
        """credentials: STS answers that are none are named"""
        good = "<R><Credentials>{}</Credentials></R>"
        field = "<{0}>x</{0}>"
        parts = [field.format(n) for n in (
            "AccessKeyId", "SecretAccessKey", "SessionToken")]
        for status, text in (
                (200, ""), (200, "{}"), (200, "<a>"), (200, "<a/>"),
                (400, "<a/>"), (403, "forbidden"),
                (200, good.format("".join(parts))),
                (200, good.format("".join(parts[1:]) +
                                  f"<Expiration>{until()}</Expiration>")),
                (200, good.format("".join(parts + parts) +
                                  f"<Expiration>{until()}</Expiration>")),
                (200, "<a>" * 9 + "</a>" * 9),
                (200, '<!DOCTYPE R [<!ENTITY a "x">]>' + good.format(
                    "".join(parts) + f"<Expiration>{until()}</Expiration>"))):
            self.refused(say(status, text), f"answers AssumeRoleWithWebIdentity with garbage (HTTP status {status}); check sts-endpoint of region us-east-1")

    def test_redirect(self):
        """security-05-credentials: STS's redirect is not followed"""
        with Container({}) as elsewhere:
            self.sts.faults = [redirect(elsewhere.url)]
            self.assert_none(self.ask(env=self.in_env()), f"AssumeRoleWithWebIdentity for profile 'default': no answer from {self.sts.url} (it answers with a redirect, which is never followed); check that address and what runs there")
            self.assertEqual(elsewhere.calls, [])

    def test_unreachable(self):
        """credentials: an STS that is not there is named"""
        url = f"https://127.0.0.1:{dead_port(self)}"
        result = self.ask(env=self.in_env(), sts=url, timeout=2000)
        self.assertRegex(result.stderr, f"^kms-call: AssumeRoleWithWebIdentity for profile 'default': no answer from {url} \\(.*\\); check that address and what runs there$")
        self.assertEqual(result.status, UNREACHABLE)

    def test_memory(self):
        """security-09-credentials: what STS gives and gets does not stay in memory"""
        patterns = [HIDDEN.encode(), SESSION.encode(), b"header.pay",
                    b"pay%2Bload", b"arn:aws:kms:us-east-1:"]
        result = self.ask(env=self.in_env(SCAN=",".join(
            bytes(b ^ 0x55 for b in p).hex() for p in patterns)))
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["found"], [4])


class ContainerEndpoint(Sources):
    def setUp(self):
        super().setUp()
        self.web = Container(answer(ACCESS, HIDDEN, SESSION)).__enter__()
        self.addCleanup(self.web.__exit__)

    def in_env(self, url=None, **more):
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI":
                url or f"{self.web.url}/role?id=1", **more}

    def test_works(self):
        """credentials: a container's endpoint gives them"""
        self.assert_works(self.ask(env=self.in_env()))
        self.assertEqual(self.web.asked(), ["GET /role?id=1"])

    def test_token(self):
        """credentials: a container's token is shown, from a file before the variable"""
        self.web.token = "Bearer x/+="
        self.assert_works(self.ask(env=self.in_env(
            AWS_CONTAINER_AUTHORIZATION_TOKEN="Bearer x/+=")))
        path = self.home / "token"
        path.write_text("Bearer x/+=\n")
        self.assert_works(self.ask(env=self.in_env(
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(path),
            AWS_CONTAINER_AUTHORIZATION_TOKEN="other")))

    def test_bad_token(self):
        """credentials: a container's token of two lines, or none, is named"""
        self.assert_none(self.ask(env=self.in_env(
            AWS_CONTAINER_AUTHORIZATION_TOKEN="a\r\nX-Evil: b")), "AWS_CONTAINER_AUTHORIZATION_TOKEN: the token has more than one line; correct it")
        path = self.home / "token"
        path.write_text("\n")
        for name in (path, "/nonexistent"):
            self.assert_none(self.ask(env=self.in_env(
                AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(name))), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: the file is missing or empty; check who writes it")
        self.assertEqual(self.web.calls, [])

    def test_refused(self):
        """credentials: a container's endpoint that refuses is named"""
        self.web.token = "wanted"
        self.assert_none(self.ask(env=self.in_env()), f"container credentials: {self.web.url}/role?id=1 refuses them (HTTP status 401); check AWS_CONTAINER_AUTHORIZATION_TOKEN and the role of the task")

    def test_hosts(self):
        """security-05-credentials: a container's endpoint is asked in the clear on this host and link only"""
        for url in ("http://192.0.2.1/x", "http://localhost.example.com/x",
                    "http://127.0.0.1@192.0.2.1/", "http://127.1.example/x",
                    "http://169.254.169.254/x", "http://[fd00:ec2::24]/x",
                    "http://127.0.0.1\\@192.0.2.1/", "http://1277.0.0.1/",
                    "http://[::1]x/"):
            result = self.ask(env=self.in_env(url))
            self.assertIn(result.stderr, (
                "kms-call: AWS_CONTAINER_CREDENTIALS_FULL_URI: plain HTTP goes to this host, 169.254.170.2, 169.254.170.23 and [fd00:ec2::23] only; give one of them or https://",
                "kms-call: AWS_CONTAINER_CREDENTIALS_FULL_URI: not a clean address; correct it"), url)
            self.assertEqual(result.status, UNREACHABLE)
        self.assert_none(self.ask(env=self.in_env("ftp://127.0.0.1/x")), "AWS_CONTAINER_CREDENTIALS_FULL_URI: no http:// or https:// address; correct it")
        self.assert_none(self.ask(env={
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "@192.0.2.1/"}), "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: it has to begin with a slash; correct it")
        self.assert_none(self.ask(env={
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x y"}), "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: not a clean address; correct it")
        self.assert_works(self.ask(env=self.in_env(
            f"http://localhost:{self.web.port}/role?id=1")))

    def test_hidden_host(self):
        """security-05-credentials: a container's endpoint is not hidden behind a name and a password"""
        for name in ("localhost:80", "127.0.0.1:x", "[::1]:80"):
            url = f"http://{name}@127.0.0.1:{self.web.port}/role?id=1"
            self.assert_none(self.ask(env=self.in_env(url)), f"container credentials: no answer from {url} (Login denied); check that address and what runs there")
        self.assertEqual(self.web.calls, [])

    def test_tls(self):
        """credentials: a container's endpoint over TLS, by AWS_CA_BUNDLE"""
        self.web.over_tls(self.home, "container CA")
        both = self.home / "both.pem"
        both.write_bytes(self.web.ca.read_bytes()
                         + pathlib.Path(self.stranger.ca).read_bytes())
        self.assert_works(self.ask(env=self.in_env(AWS_CA_BUNDLE=str(both))))
        self.assertEqual(self.web.asked(), ["GET /role?id=1"])
        self.stranger.behave()
        # The CAs of the KMS are not those of the container.
        result = self.ask(env=self.in_env(), config=self.conf(ca_file=both))
        self.assertRegex(result.stderr, f"^kms-call: container credentials: no answer from {self.web.url}/role.id=1 \\(SSL certificate problem: .*\\); check that address and what runs there$")
        self.assertEqual(result.status, UNREACHABLE)
        self.assertEqual(len(self.web.calls), 1)

    def test_redirect(self):
        """security-05-credentials: a container endpoint's redirect is not followed"""
        with Container(answer(ACCESS, HIDDEN, SESSION)) as elsewhere:
            self.web.faults = [redirect(elsewhere.url + "/role?id=1")] * 3
            url = f"{self.web.url}/role?id=1"
            self.assert_none(self.ask(env=self.in_env()), f"container credentials: no answer from {url} (it answers with a redirect, which is never followed); check that address and what runs there")
            self.assertEqual(elsewhere.calls, [])

    def test_slow(self):
        """credentials: a container's endpoint is given two seconds, thrice"""
        self.web.faults = [slow(30)] * 3
        result = self.ask(env=self.in_env(), timeout=60000)
        self.assertRegex(result.stderr, f"^kms-call: container credentials: no answer from {self.web.url}/role.id=1 \\(.*\\); check that address and what runs there$")
        self.assertEqual(len(self.web.calls), 3)

    def test_trouble(self):
        """credentials: a container's endpoint in trouble is asked again"""
        self.web.faults = [say(500), say(429)]
        self.assert_works(self.ask(env=self.in_env()))

    def test_oversized(self):
        """security-05-credentials: a container's endpoint that answers too much is named"""
        self.web.faults = [say(200, " " * 65537)]
        self.assert_none(self.ask(env=self.in_env()), f"container credentials: no answer from {self.web.url}/role?id=1 (it answers too much); check that address and what runs there")

    def test_garbage(self):
        """credentials: a container's endpoint that gives none is named"""
        self.web.give = {"code": "x"}
        self.assert_none(self.ask(env=self.in_env()), f"the container endpoint {self.web.url}/role?id=1: gave no sound credentials (no AccessKeyId); correct what gives them")

    def test_proxy(self):
        """security-05-credentials: no proxy sees a container's credentials"""
        with Container({}) as proxy:
            self.assert_works(self.ask(env=self.in_env(
                http_proxy=proxy.url, HTTP_PROXY=proxy.url,
                all_proxy=proxy.url, ALL_PROXY=proxy.url)))
            self.assertEqual(proxy.calls, [])

    def test_after_profile(self):
        """credentials: a profile's keys go before a container's endpoint"""
        self.files(credentials=f"[default]\naws_access_key_id = {KEY_ID}\n"
                   f"aws_secret_access_key = {SECRET}\n")
        self.assert_works(self.ask(env=self.in_env()))
        self.assertEqual(self.web.calls, [])


class Roles(Sources):
    """Assumed at a stranger that is no STS, so nothing comes of it."""

    def fault(self, config, what, credentials="", name="r", **how):
        self.files(config, credentials)
        self.assert_none(self.ask("--profile", name, **how), what)

    def test_incomplete(self):
        """credentials: a role's profile that cannot work is named"""
        role = f"[profile r]\nrole_arn = {ROLE}\n"
        self.fault(role, "profile 'r': it has role_arn but neither source_profile nor credential_source; add one")
        self.fault(role + "source_profile = k\ncredential_source = Environment\n",
                   "profile 'r': it has both source_profile and credential_source; remove one")
        self.fault(role + "source_profile = nobody\n",
                   f"profile 'r': its source_profile 'nobody' is neither in {self.home}/.aws/credentials nor in {self.home}/.aws/config; write it there")
        self.fault(role + "source_profile = k\n[profile k]\nregion = x\n",
                   "profile 'r': its source_profile 'k' has no credentials; write them there")
        self.fault(role + "credential_source = Moon\n",
                   "profile 'r': credential_source is Environment, EcsContainer or Ec2InstanceMetadata; write one of them")
        for source in ("Environment", "EcsContainer"):
            self.fault(role + f"credential_source = {source}\n",
                       "profile 'r': the environment has nothing for its credential_source; set the variables or choose another source")
        self.fault(role + "credential_source = Ec2InstanceMetadata\n",
                   "instance metadata: AWS_EC2_METADATA_DISABLED forbids to ask for credentials there; unset it or choose another source")

    def test_limits(self):
        """credentials: mfa_serial and a wrong duration_seconds are refused"""
        role = f"[profile r]\nrole_arn = {ROLE}\nsource_profile = r\n"
        self.fault(role + "mfa_serial = arn:aws:iam::1:mfa/x\n",
                   "profile 'r': mfa_serial asks for a code that nobody is here to type; use a profile with credential_process = aws configure export-credentials")
        for duration in ("899", "43201", "1h"):
            self.fault(role + f"duration_seconds = {duration}\n",
                       "profile 'r': duration_seconds is a number from 900 to 43200; correct it")

    def test_circles(self):
        """credentials: roles that lead in a circle, or too far, are named"""
        back = "its source_profile leads back to where it came from; name one with credentials"
        self.fault(f"[profile r]\nrole_arn = {ROLE}\nsource_profile = r\n",
                   f"profile 'r': {back}")
        self.fault(f"[profile r]\nrole_arn = {ROLE}\nsource_profile = s\n"
                   f"[profile s]\nrole_arn = {ROLE}\nsource_profile = r\n",
                   f"profile 's': {back}")
        self.fault("".join(
            f"[profile r{i}]\nrole_arn = {ROLE}\nsource_profile = r{i + 1}\n"
            for i in range(9)) + "[profile r9]\n",
            "profile 'r0': its source_profile leads through too many profiles; shorten the chain", name="r0")


class OwnSts(Sources):
    """AssumeRole at envelope-kms, which is KMS and STS on one address."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server()
        cls.addClassCleanup(cls.server.end)
        cls.amy = Person(cls.server, "amy", statement(
            "Allow", "sts:AssumeRole", "*"))
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ACCOUNT},
             "Action": "sts:AssumeRole",
             "Condition": {"StringEquals": {"sts:ExternalId": "42+/"}}}]}
        identity(cls.server, "create-role", "host", "--trust", "-",
                 text=json.dumps(trust))
        del trust["Statement"][0]["Condition"]
        identity(cls.server, "create-role", "first", "--trust", "-",
                 text=json.dumps(trust))
        for name in ("host", "first"):
            identity(cls.server, "attach-policy", "KeyOperator", "--role",
                     name)
        identity(cls.server, "put-policy", "more", "-", "--role", "first",
                 text=json.dumps({"Version": "2012-10-17", "Statement": [
                     statement("Allow", "sts:AssumeRole", "*")]}))
        cls.keys = (f"aws_access_key_id = {cls.amy.access}\n"
                    f"aws_secret_access_key = {cls.amy.secret}\n")

    def ask(self, *options, **how):
        conf = self.conf(endpoint=self.server.endpoint,
                         ca_file=self.server.dir / "ca.pem",
                         default_key="alias/envelope",
                         allow_keys=f"arn:aws:kms:us-east-1:{ACCOUNT}:key/*")
        full = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None,
                **how.pop("env", {})}
        return self.call("describe", "-", env=full, options=options,
                         config=conf, **how)

    def caller(self):
        """Who asked last, by the trail."""
        return self.server.audit()[-1]["userIdentity"]["arn"]

    HOST = f"[profile h]\nrole_arn = {ROLE}\nexternal_id = 42+/\n"

    def test_role(self):
        """credentials: a role is assumed with all that its profile says"""
        self.files(self.HOST + "source_profile = k\n"
                   "role_session_name = me@here\nduration_seconds = 901\n",
                   f"[k]\n{self.keys}")
        self.assert_works(self.ask("--profile", "h"))
        self.assertEqual(self.caller(), f"arn:aws:sts::{ACCOUNT}:assumed-role/host/me@here")
        assumed = self.server.audit()[-2]
        self.assertEqual(assumed["eventName"], "AssumeRole")
        self.assertEqual({"roleArn": ROLE, "roleSessionName": "me@here",
                          "durationSeconds": "901", "externalId": "42+/"}, {
                              name: str(value) for name, value
                              in assumed["requestParameters"].items()})

    def test_itself(self):
        """credentials: a role's profile may hold the keys itself"""
        self.files(self.HOST + "source_profile = h\n" + self.keys)
        self.assert_works(self.ask("--profile", "h"))
        self.assertRegex(self.caller(), ":assumed-role/host/envelope-")

    def test_chain(self):
        """credentials: a role is assumed as another role"""
        self.files(self.HOST + "source_profile = f\n[profile f]\n"
                   f"role_arn = {ROLE.replace('host', 'first')}\n"
                   "source_profile = k\n", f"[k]\n{self.keys}")
        self.assert_works(self.ask("--profile", "h"))
        self.assertEqual([r["userIdentity"]["arn"].split("/")[1]
                          for r in self.server.audit()[-3:]],
                         ["amy", "first", "host"])

    def test_environment(self):
        """credentials: credential_source = Environment takes the keys there"""
        self.files(self.HOST + "credential_source = Environment\n")
        self.assert_works(self.ask("--profile", "h", env={
            "AWS_ACCESS_KEY_ID": self.amy.access,
            "AWS_SECRET_ACCESS_KEY": self.amy.secret}))
        self.assertRegex(self.caller(), ":assumed-role/host/envelope-")

    def test_container(self):
        """credentials: credential_source = EcsContainer asks the endpoint first"""
        made = self.amy_session()
        with Container(answer(*made)) as web:
            self.files(self.HOST + "credential_source = EcsContainer\n")
            self.assert_works(self.ask("--profile", "h", env={
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": web.url + "/role?id=1"}))
        self.assertRegex(self.caller(), ":assumed-role/host/envelope-")

    def amy_session(self):
        """Keys of the role that may assume others."""
        made = boto3.client(
            "sts", region_name="us-east-1", endpoint_url=self.server.endpoint,
            verify=str(self.server.dir / "ca.pem"),
            **self.amy.boto()).assume_role(
                RoleArn=ROLE.replace("host", "first"),
                RoleSessionName="one")["Credentials"]
        return (made["AccessKeyId"], made["SecretAccessKey"],
                made["SessionToken"])

    def refused(self, config, what, keys=None):
        self.files(config, f"[k]\n{keys or self.keys}")
        self.assert_none(self.ask("--profile", "h"), f"role {ROLE} of profile 'h': STS {self.server.endpoint} refuses AssumeRole: {what}")

    def test_refused(self):
        """credentials: a role that may not be assumed is exit 4, not a denial"""
        self.refused(f"[profile h]\nrole_arn = {ROLE}\nsource_profile = k\n",
                     "these credentials may not assume it (AccessDenied); ask the role's owner to trust them, and allow them sts:AssumeRole")
        source = self.HOST + "source_profile = k\n"
        self.refused(source, "the access key is unknown there (InvalidClientTokenId); check that it is the right one for this STS",
                     keys="aws_access_key_id = AKIAGONE\naws_secret_access_key = x\n")
        self.refused(source, "the secret access key is not that of the access key (SignatureDoesNotMatch); check that they are the right ones, and this host's clock",
                     keys=f"aws_access_key_id = {self.amy.access}\naws_secret_access_key = x\n")

    def test_before_keys(self):
        """credentials: a role goes before the keys of its own profile"""
        self.files(self.HOST + "source_profile = k\n",
                   f"[k]\n{self.keys}[h]\naws_access_key_id = AKIAGONE\n"
                   "aws_secret_access_key = x\n")
        self.assert_works(self.ask("--profile", "h"))


if __name__ == "__main__":
    tap.main()
