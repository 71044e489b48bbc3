#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""envelope-kms meets signers by others: AWS's C library, npm's aws4, botocore."""
import datetime
import io
import json
import os
import pathlib
import subprocess

import awscrt.auth
import awscrt.http
import awscrt.io
import botocore.auth
import botocore.awsrequest
import botocore.credentials

from server_fixture import REGION, WAIT_SECONDS, ServerCase
import tap

HERE = pathlib.Path(__file__).resolve().parent
NODE_MODULES = pathlib.Path(os.environ.get(
    "XDG_CACHE_HOME", pathlib.Path.home() / ".cache"
)) / "dm-envelope" / "node" / "node_modules"
BODIES = [
    ("ListKeys", {}),
    ("DescribeKey", {"KeyId": "alias/envelope"}),
    ("GenerateDataKey", {"KeyId": "alias/envelope", "NumberOfBytes": 64,
                         "EncryptionContext": {"ключ": "🔑", "a": ""}}),
]


def sign_awscrt(server, target, body):
    """AWS's own signer in C."""
    access, secret = server.credentials()
    headers = awscrt.http.HttpHeaders([
        ("Host", f"127.0.0.1:{server.port}"),
        ("Content-Type", "application/x-amz-json-1.1"),
        ("X-Amz-Target", target)])
    request = awscrt.http.HttpRequest(
        "POST", "/", headers, awscrt.io.InputStream(io.BytesIO(body)))
    config = awscrt.auth.AwsSigningConfig(
        algorithm=awscrt.auth.AwsSigningAlgorithm.V4,
        signature_type=awscrt.auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=awscrt.auth.AwsCredentialsProvider.new_static(
            access, secret),
        region=REGION, service="kms",
        date=datetime.datetime.now(datetime.timezone.utc))
    awscrt.auth.aws_sign_request(request, config).result(WAIT_SECONDS)
    return list(request.headers)


def sign_aws4(server, target, body):
    """npm's aws4, run by node."""
    access, secret = server.credentials()
    done = subprocess.run(
        ["node", str(HERE / "node" / "sign.js")],
        input=json.dumps({"host": f"127.0.0.1:{server.port}",
                          "region": REGION, "target": target,
                          "body": body.decode(), "access": access,
                          "secret": secret}),
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return [(n, str(v)) for n, v in json.loads(done.stdout)
            if n.lower() != "content-length"]


def sign_botocore(server, target, body):
    """The signer of boto3, without the rest of it."""
    access, secret = server.credentials()
    request = botocore.awsrequest.AWSRequest(
        "POST", server.endpoint + "/", data=body, headers={
            "Host": f"127.0.0.1:{server.port}", "X-Amz-Target": target,
            "Content-Type": "application/x-amz-json-1.1"})
    botocore.auth.SigV4Auth(
        botocore.credentials.Credentials(access, secret), "kms",
        REGION).add_auth(request)
    return list(request.headers.items())


class Signers(ServerCase):
    def check(self, sign):
        for operation, params in BODIES:
            body = json.dumps(params, ensure_ascii=False).encode()
            target = f"TrentService.{operation}"
            pairs = sign(self.server, target, body)
            reply = self.server.send(body, pairs)
            self.assertEqual(200, reply.status, reply.body)
            reply = self.server.send(body + b" ", pairs)
            self.assertEqual("InvalidSignatureException", reply.code)

    def test_awscrt(self):
        """kms-requests-signed-by-awscrt"""
        self.check(sign_awscrt)

    def test_aws4(self):
        """kms-requests-signed-by-aws4"""
        self.check(sign_aws4)

    def test_botocore(self):
        """kms-requests-signed-by-botocore"""
        self.check(sign_botocore)


if __name__ == "__main__":
    tap.main()
