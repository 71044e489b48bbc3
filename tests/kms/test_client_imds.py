# SPDX-License-Identifier: GPL-2.0-or-later
"""Credentials by the instance metadata service, version 2."""
import json
import pathlib
import subprocess

from client_case import DONE, KEY_ID, SECRET, UNREACHABLE
from credentials_servers import Metadata, answer, redirect, say, slow
from test_client_credentials import (ACCESS, HIDDEN, ROLE, SESSION, Sources)
from test_client_transport import dead_port
import tap

PUT = "PUT /latest/api/token"
GET = "GET /latest/meta-data/iam/security-credentials/"


class Imds(Sources):
    def setUp(self):
        super().setUp()
        self.web = Metadata(answer(ACCESS, HIDDEN, SESSION)).__enter__()
        self.addCleanup(self.web.__exit__)

    def ask(self, *options, env=None, **how):
        full = {"AWS_EC2_METADATA_DISABLED": None,
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.web.url,
                "AWS_METADATA_SERVICE_TIMEOUT": "20"}
        full.update(env or {})
        return super().ask(*options, env=full, timeout=60000, **how)

    def fault(self, what, **how):
        self.assert_none(self.ask(**how),
                         f"instance metadata: {self.web.url}: {what}")

    def test_works(self):
        """credentials: the instance metadata give them, for a token that is soon void"""
        self.assert_works(self.ask())
        self.assertEqual(self.web.asked(), [PUT, GET, GET + "host"])
        self.assertEqual(self.web.lifetimes, [60])
        tokens = [c[2].get("X-aws-ec2-metadata-token") for c in self.web.calls]
        self.assertEqual(tokens, [None, "metadata-token=="] +
                         ["metadata-token=="])

    def test_role_line(self):
        """credentials: the role is the first line of the metadata's list"""
        self.web.role = "host\nother"
        self.assert_works(self.ask())

    def test_no_version_1(self):
        """security-05-credentials: version 1 of the metadata is never used"""
        self.web.v1 = True
        for status in (403, 404, 405, 400):
            self.web.faults = [say(status)]
            self.web.calls.clear()
            self.fault(f"it gives no token (HTTP status {status}), and version 1 is never used; allow version 2 in the instance's metadata options")
            self.assertEqual(self.web.asked(), [PUT])

    def test_no_token_arrives(self):
        """security-05-credentials: a token that does not arrive is explained, by the hop limit"""
        self.web.v1 = True
        self.web.faults = [slow(30)] * 2
        self.fault("it takes the connection but no token arrives, and version 1 is never used; in a container raise the instance's HttpPutResponseHopLimit",
                   env={"AWS_METADATA_SERVICE_TIMEOUT": "1",
                        "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "2"})
        self.assertEqual(self.web.asked(), [PUT, PUT])

    def test_attempts(self):
        """credentials: three attempts of the metadata unless configured"""
        self.web.faults = [say(500)] * 2
        self.assert_works(self.ask())
        self.web.faults = [say(500)] * 3
        self.web.calls.clear()
        self.stranger.behave()
        self.fault("it gives no token (HTTP status 500), and version 1 is never used; allow version 2 in the instance's metadata options")
        self.assertEqual(self.web.asked(), [PUT] * 3)
        self.files("[default]\nmetadata_service_num_attempts = 1\n")
        self.web.faults = [say(500)]
        self.web.calls.clear()
        self.fault("it gives no token (HTTP status 500), and version 1 is never used; allow version 2 in the instance's metadata options")
        self.assertEqual(self.web.asked(), [PUT])

    def test_limits(self):
        """credentials: limits of the metadata that are none are named"""
        for name in ("AWS_METADATA_SERVICE_TIMEOUT",
                     "AWS_METADATA_SERVICE_NUM_ATTEMPTS"):
            for value in ("0", "601", "x"):
                self.assert_none(self.ask(env={name: value}), "instance metadata: metadata_service_timeout is a number from 1 to 600 and metadata_service_num_attempts one from 1 to 10; correct them")

    def test_garbage_token(self):
        """security-05-credentials: a metadata token becomes no other header"""
        for text in ("", "a\r\nX-Evil: b", "a" * 1025, "\x7f"):
            self.web.faults = [say(200, text)]
            self.web.calls.clear()
            self.fault("what it gives is no token, so it is no metadata service; check the endpoint")
            self.assertEqual(self.web.asked(), [PUT])

    def test_garbage_role(self):
        """security-05-credentials: a role's name from the metadata leads nowhere else"""
        for text in ("", "../../x", "a b", "<html>", "a" * 65, "a/b"):
            self.web.calls.clear()
            self.web.faults = [None, say(200, text)]
            self.fault("what it gives is no role's name, so it is no metadata service; check the endpoint")
            self.assertEqual(self.web.asked(), [PUT, GET])

    def test_no_role(self):
        """credentials: an instance without a role is named"""
        self.web.role = ""
        self.fault("it knows no role; give the instance an instance profile")
        self.web.faults = [None, say(403)]
        self.fault("it refuses to tell the role (HTTP status 403); check the instance's metadata options")

    def test_no_credentials(self):
        """credentials: metadata that hold no credentials are named"""
        self.web.faults = [None, None, say(404)]
        self.fault("it knows no credentials of the role; give the instance an instance profile")
        self.web.give = {"Code": "AssumeRoleUnauthorizedAccess",
                         "Message": "EC2 cannot assume the role host."}
        self.assert_none(self.ask(), f"role host of the instance metadata at {self.web.url}: gave no sound credentials (no AccessKeyId); correct what gives them")
        self.web.give = answer(ACCESS, HIDDEN, SESSION, seconds=-5)
        self.assert_none(self.ask(), f"role host of the instance metadata at {self.web.url}: the credentials have expired; get fresh ones, and check this host's clock")

    def test_redirect(self):
        """security-05-credentials: a redirect of the metadata is not followed"""
        with Metadata(answer(ACCESS, HIDDEN, SESSION), v1=True) as elsewhere:
            for before in (0, 1, 2):
                self.web.faults = [None] * before + [redirect(
                    elsewhere.url + "/latest/api/token")]
                self.assert_none(self.ask(), f"instance metadata: no answer from {self.web.url} (it answers with a redirect, which is never followed); check that address and what runs there")
            self.assertEqual(elsewhere.calls, [])

    def test_oversized(self):
        """security-05-credentials: metadata of too many bytes are named"""
        self.web.faults = [None, None, say(200, " " * 65537)]
        self.assert_none(self.ask(), f"instance metadata: no answer from {self.web.url} (it answers too much); check that address and what runs there")

    def test_endpoints(self):
        """security-05-credentials: the metadata's endpoint is their own or on this host"""
        for url in ("http://192.0.2.1", "https://127.0.0.1", "127.0.0.1",
                    "http://127.0.0.1@192.0.2.1", "http://127.0.0.1/path",
                    "http://169.254.169.254.example", "http://[::2]",
                    "http://[::1", "http://127.0.0.1:80x", "http://" + "a" * 99,
                    "http://127.0.0.1:" + "1" * 200):
            self.assert_none(self.ask(env={
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": url}), "instance metadata: ec2_metadata_service_endpoint is http://169.254.169.254, http://[fd00:ec2::254] or http:// to this host, without a path; correct it")
        self.assert_none(self.ask(env={
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv5"}), "instance metadata: ec2_metadata_service_endpoint_mode is IPv4 or IPv6; correct it")
        self.assert_works(self.ask(env={
            "AWS_EC2_METADATA_SERVICE_ENDPOINT":
            f"http://localhost:{self.web.port}/",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "ipv6"}))

    def test_profile(self):
        """credentials: the metadata's endpoint by the profile"""
        self.files(f"[default]\nec2_metadata_service_endpoint = {self.web.url}\n")
        self.assert_works(self.ask(env={
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": None}))

    def test_disabled(self):
        """credentials: metadata that are switched off are not asked"""
        result = self.ask(env={"AWS_EC2_METADATA_DISABLED": "TRUE"})
        self.assert_none(result, f"no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write aws_access_key_id and aws_secret_access_key of profile 'default' into {self.home}/.aws/credentials")
        self.assertEqual(self.web.calls, [])

    def test_absent(self):
        """credentials: without metadata, the sentence says that they were asked for"""
        url = f"http://127.0.0.1:{dead_port(self)}"
        env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url}
        result = self.ask(env=env)
        self.assertRegex(result.stderr, f"^kms-call: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write aws_access_key_id and aws_secret_access_key of profile 'default' into {self.home}/.aws/credentials \\(no instance metadata service either: {url}: .*connect.*\\)$")
        self.assertEqual(result.status, UNREACHABLE)
        self.files(f"[profile r]\nrole_arn = {ROLE}\n"
                   "credential_source = Ec2InstanceMetadata\n")
        result = self.ask("--profile", "r", env=env)
        self.assertRegex(result.stderr, f"^kms-call: instance metadata: no answer from {url} \\(.*connect.*\\); check that address and what runs there$")

    def test_last(self):
        """credentials: keys in the environment or the file go before metadata"""
        self.assert_works(self.ask(env={"AWS_ACCESS_KEY_ID": KEY_ID,
                                        "AWS_SECRET_ACCESS_KEY": SECRET}))
        self.stranger.behave()
        self.files(credentials=f"[default]\naws_access_key_id = {KEY_ID}\n"
                   f"aws_secret_access_key = {SECRET}\n")
        self.assert_works(self.ask())
        self.assertEqual(self.web.calls, [])

    def test_daemon(self):
        """credentials: a daemon asks the metadata, whatever its environment says"""
        self.files(f"[profile p]\nec2_metadata_service_endpoint = {self.web.url}\n"
                   "metadata_service_timeout = 20\n")
        passwd = self.home / "passwd"
        passwd.write_text(f"root:x:0:0:root:{self.home}:/bin/sh\n")
        self.assert_works(self.ask(
            "--no-environment", config=self.conf(profile="p"),
            env={"AWS_EC2_METADATA_DISABLED": "true",
                 "AWS_ACCESS_KEY_ID": "AKIAOTHER",
                 "AWS_SECRET_ACCESS_KEY": "x",
                 "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://192.0.2.1"},
            under=["unshare", "--map-root-user", "--mount", "sh", "-c",
                   f'mount --bind {passwd} /etc/passwd && exec "$@"', "-"]))

    def test_session(self):
        """credentials: a session asks the metadata once, and again when they expired"""
        self.assert_works(self.ask("--times", "5"))
        self.assertEqual(self.web.asked(), [PUT, GET, GET + "host"])
        self.assertEqual(len(self.stranger.calls), 5)

    def test_proxy(self):
        """security-05-credentials: no proxy sees the instance metadata"""
        with Metadata({}) as proxy:
            self.assert_works(self.ask(env={
                "http_proxy": proxy.url, "ALL_PROXY": proxy.url}))
            self.assertEqual(proxy.calls, [])

    def test_memory(self):
        """security-09-credentials: nothing of the metadata stays in memory"""
        patterns = [HIDDEN.encode(), SESSION.encode(), b"metadata-token==",
                    b"arn:aws:kms:us-east-1:"]
        result = self.ask(env={"SCAN": ",".join(
            bytes(b ^ 0x55 for b in p).hex() for p in patterns)})
        self.assertEqual(result.status, DONE, result.stderr)
        self.assertEqual(result.out["found"], [3])


ADDRESSES = """
    ip link set lo up
    ip address add 169.254.169.254/32 dev lo
    ip -6 address add fd00:ec2::254/128 dev lo
    exec "$@"
"""
ECS = ADDRESSES.replace("169.254.169.254", "169.254.170.2")
# A client and, behind a router, the metadata.
ROUTED = """
    set -e
    mount -t tmpfs none /run
    echo 1 > /proc/sys/net/ipv4/ip_forward
    for name in client server; do
        ip netns add $name
        ip link add $name type veth peer eth0 netns $name
        ip link set $name up
        ip -n $name link set lo up
        ip -n $name link set eth0 up
    done
    ip address add 192.0.2.1/24 dev client
    ip -n client address add 192.0.2.2/24 dev eth0
    ip -n client route add default via 192.0.2.1
    ip address add 169.254.169.1/24 dev server
    ip -n server address add 169.254.169.254/24 dev eth0
    ip -n server route add default via 169.254.169.1
    exec 3<&0
    ip netns exec server "$@" <&3 &
    wait
"""


class RealAddress(Sources):
    """In a network of its own, from where the KMS is not reached: that it is
    asked for shows that there are credentials."""

    def serve(self, script, hops=64):
        """The server, its namespaces' options for nsenter."""
        child = subprocess.Popen(
            ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c",
             script, "-", "/usr/bin/python3",
             str(pathlib.Path(__file__).with_name("credentials_servers.py")),
             json.dumps(answer(ACCESS, HIDDEN, SESSION)), str(hops)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(child.wait)
        self.addCleanup(child.stdin.close)
        self.assertEqual(child.stdout.readline(), "ready\n")
        return child, ["nsenter", "--preserve-credentials", "--user", "--net",
                       "--mount", "--target", str(child.pid)]

    def ask_from(self, under, **env):
        return self.ask(under=under, timeout=60000, env={
            "AWS_EC2_METADATA_DISABLED": None,
            "AWS_METADATA_SERVICE_TIMEOUT": "20", **env})

    def assert_asked(self, child, result, *lines):
        self.assertEqual(result.error, "NoConnection", result.stderr)
        self.assertEqual(self.end(child), [
            f"{line} HTTP/1.1" for line in lines or (PUT, GET, GET + "host")])

    def end(self, child):
        """All that it was asked."""
        child.stdin.close()
        lines = child.stdout.read().splitlines()
        child.stdout.close()
        return lines

    def test_ipv4(self):
        """credentials: the metadata at their real address"""
        child, under = self.serve(ADDRESSES)
        self.assert_asked(child, self.ask_from(under))

    def test_ipv6(self):
        """credentials: the metadata at their real IPv6 address"""
        child, under = self.serve(ADDRESSES)
        self.assert_asked(child, self.ask_from(
            under, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE="IPv6"))

    def test_container(self):
        """credentials: a container's relative address is one of ECS"""
        child, under = self.serve(ECS)
        self.assert_asked(child, self.ask_from(
            under, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/role?id=1",
            AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1/other"),
            "GET /role?id=1")

    def test_hops(self):
        """credentials: the metadata behind a router, within the hop limit"""
        child, under = self.serve(ROUTED, hops=2)
        self.assert_asked(child, self.ask_from(
            [*under, "--", "ip", "netns", "exec", "client"]))

    def test_hop_limit(self):
        """security-05-credentials: beyond the hop limit nothing but the token is asked for"""
        child, under = self.serve(ROUTED, hops=1)
        self.assert_none(self.ask_from(
            [*under, "--", "ip", "netns", "exec", "client"],
            AWS_METADATA_SERVICE_TIMEOUT="1"), "instance metadata: http://169.254.169.254: it takes the connection but no token arrives, and version 1 is never used; in a container raise the instance's HttpPutResponseHopLimit")
        self.assertEqual(set(self.end(child)), {PUT + " HTTP/1.1"})


if __name__ == "__main__":
    tap.main()
