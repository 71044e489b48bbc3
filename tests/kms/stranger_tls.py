# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates for the test servers, made when they start."""
import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.utcnow()
DAY = datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM)


def _key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM,
                             serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


class Authority:
    """A CA of its own, with ca.pem in folder."""

    def __init__(self, folder, name="stranger CA"):
        self.folder = pathlib.Path(folder)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cert = self._sign(_name(name), self.key, NOW + DAY, ca=True)
        self.path = self.folder / f"{name.replace(' ', '-')}.pem"
        self.path.write_bytes(_pem(self.cert))

    def _sign(self, subject, key, until, ca=False, hosts=()):
        issuer = self.cert.subject if hasattr(self, "cert") else subject
        builder = (x509.CertificateBuilder()
                   .subject_name(subject).issuer_name(issuer)
                   .public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(NOW - 3 * DAY).not_valid_after(until)
                   .add_extension(x509.BasicConstraints(ca, None), True))
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(list(hosts)), False)
        return builder.sign(self.key, hashes.SHA256())

    def server(self, kind="good"):
        """Path of a PEM file with certificate and key: good, expired, or
        wrong-host."""
        hosts = [x509.DNSName("localhost"),
                 x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        if kind == "wrong-host":
            hosts = [x509.DNSName("elsewhere.example.com")]
        until = NOW - DAY if kind == "expired" else NOW + DAY
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._sign(_name("stranger"), key, until, hosts=hosts)
        path = self.folder / f"server-{cert.serial_number}.pem"
        path.write_bytes(_pem(cert) + _key_pem(key))
        return path
