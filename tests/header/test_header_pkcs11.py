# SPDX-License-Identifier: GPL-2.0-or-later
"""Volumes whose key is in a PKCS#11 token: SoftHSM, and no server at all."""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

import header_case
import client_case
import reader
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cryptography.hazmat.primitives import serialization

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "hsm-pin-314159"
TOKEN = "hsm one"
PLACE = "pkcs11:token=hsm%20one"
AES = f"{PLACE};object=volumes"
RSA = f"{PLACE};object=pair"
BY_ID = f"{PLACE};id=%0A%FF"
DENIED, UNREACHABLE, TAMPERED = 3, 4, 6


def canonical(pairs):
    """agent/context.h, written from its comment alone."""
    out = struct.pack(">I", len(pairs))
    for name, value in sorted((n.encode(), v.encode())
                              for n, v in pairs.items()):
        out += struct.pack(">I", len(name)) + name
        out += struct.pack(">I", len(value)) + value
    return out


def tool(*args):
    subprocess.run(args, check=True, capture_output=True, timeout=120)


class Pkcs11Case(header_case.HeaderCase):
    """One token with an AES and an RSA key, whose bytes the test knows."""

    @classmethod
    def setUpClass(cls):
        cls.base = pathlib.Path(tempfile.mkdtemp(prefix="header-hsm-"))
        cls.addClassCleanup(shutil.rmtree, cls.base)
        (cls.base / "tokens").mkdir()
        conf = cls.base / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {cls.base}/tokens\n"
                        f"objectstore.backend = file\n")
        os.environ["SOFTHSM2_CONF"] = str(conf)
        tool("softhsm2-util", "--init-token", "--free", "--label", TOKEN,
             "--so-pin", "so-pin-2718", "--pin", PIN)
        cls.aes = cls.add_aes("volumes", "01")
        cls.other = cls.add_aes("other", "0aff")
        cls.rsa = cls.add_rsa()
        # Where root alone can write, or root would not load it.
        cls.proxy = pathlib.Path(header_case.STATE) / "proxy.so"
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "p11-kit-1", "libcrypto"],
            check=True, capture_output=True, text=True).stdout.split()
        tool("gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared",
             "-fPIC", header_case.HERE / "pkcs11" / "proxy.c", *flags, "-o",
             cls.proxy)
        cls.pin = cls.base / "pin"
        cls.pin.write_text(PIN + "\n")
        cls.pin.chmod(0o600)
        cls.conf = cls.base / "envelope.conf"
        cls.write_conf(cls.conf)

    @classmethod
    def tearDownClass(cls):
        pass

    @classmethod
    def pkcs11_tool(cls, *args):
        tool("pkcs11-tool", "--module", MODULE, "--token-label", TOKEN,
             "--login", "--pin", PIN, *args)

    @classmethod
    def add_aes(cls, label, key_id, bits=256):
        key = os.urandom(bits // 8)
        path = cls.base / "key"
        path.write_bytes(key)
        cls.pkcs11_tool("--write-object", path, "--type", "secrkey",
                        "--key-type", f"AES:{bits // 8}", "--usage-wrap",
                        "--label", label, "--id", key_id)
        return key

    @classmethod
    def add_rsa(cls, label="pair", key_id="02", bits=2048):
        key = rsa.generate_private_key(65537, bits)
        path = cls.base / "key.pem"
        path.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        tool("softhsm2-util", "--import", path, "--token", TOKEN,
             "--label", label, "--id", key_id, "--pin", PIN)
        return key

    @classmethod
    def write_conf(cls, path, token=TOKEN, more="", **changes):
        lines = {"module": MODULE, "token": token, "pin-file": cls.pin}
        lines.update({k.replace("_", "-"): v for k, v in changes.items()})
        path.write_text("[pkcs11 test]\n" + "".join(
            f"{k} = {v}\n" for k, v in lines.items() if v is not None) + more)

    def environment(self):
        return dict(os.environ)

    def config(self, **how):
        path = self.folder / "envelope.conf"
        self.write_conf(path, **how)
        return path

    def blank(self, name="blank"):
        path = self.folder / name
        path.write_bytes(bytes(4 << 20))
        return path

    def slot(self, disk):
        copy = reader.read(disk.read_bytes()[:2 * reader.COPY])
        slot = copy.slots[0]
        return copy, slot, base64.b64decode(slot["ciphertext"])

    def payload(self, disk):
        """The slot's payload, unwrapped by a second implementation."""
        _, slot, blob = self.slot(disk)
        if blob[0] == 1:
            key = self.other if slot["key_id"] == BY_ID else self.aes
            return aes_key_unwrap(key, blob[1:])
        kind = hashes.SHA256() if blob[0] == 2 else hashes.SHA1()
        return self.rsa.decrypt(blob[1:], padding.OAEP(
            padding.MGF1(kind), kind, None))

    def assert_sound(self, disk, key):
        copy, slot, _ = self.slot(disk)
        self.assertEqual(("pkcs11", key), (slot["provider"], slot["key_id"]))
        payload = self.payload(disk)
        self.assertEqual(96, len(payload))
        self.assertEqual(hashlib.sha256(
            b"envelope pkcs11 v1" + canonical(copy.context(slot))).digest(),
            payload[:32])
        reader.read(disk.read_bytes()[:2 * reader.COPY], payload[32:])


class Volumes(Pkcs11Case):

    def test_aes(self):
        """pkcs11: format under an AES key, as a second implementation reads it"""
        disk = self.volume("--kms-key", AES)
        self.assert_sound(disk, AES)

    def test_rsa(self):
        """pkcs11: format under an RSA key, as a second implementation reads it"""
        disk = self.volume("--kms-key", RSA, "--context", "team=blue")
        self.assert_sound(disk, RSA)

    def test_attach(self):
        """pkcs11: attach --dry-run, check --unwrap and export unwrap it"""
        for key in (AES, RSA):
            disk = self.volume("--kms-key", key, name=f"disk-{key[-4:]}")
            self.with_kms("attach", "--direct", "--dry-run", disk)
            self.with_kms("check", "--unwrap", disk)
            self.with_kms("export", disk, f"{disk}.plain")
            self.with_kms("resize", disk)

    def test_by_id(self):
        """pkcs11: a key found by its id"""
        disk = self.volume("--kms-key", BY_ID)
        self.assert_sound(disk, BY_ID)

    def test_default_key(self):
        """pkcs11: default-key of the section, where there is no region"""
        conf = self.config(default_key=AES)
        disk = self.blank()
        self.with_kms("format", disk, conf=conf, says=f"under {AES}")
        self.with_kms("format", "--force", disk, status=2,
                      says="no region is configured")

    def test_inspect(self):
        """pkcs11: inspect shows provider and key id"""
        disk = self.volume("--kms-key", AES)
        slots = self.json(self.envelope("inspect", "--json", disk))["slots"]
        self.assertEqual(("pkcs11", AES),
                         (slots[0]["provider"], slots[0]["key_id"]))

    def test_rewrap(self):
        """pkcs11: rewrap to another key of the token, and the pin follows"""
        disk = self.volume("--kms-key", AES)
        old = self.slot(disk)[2]
        dek = self.payload(disk)[32:]
        for key in (RSA, BY_ID, AES):
            self.with_kms("rewrap", "--kms-key", key, disk, says=f"to   {key}")
            self.assert_sound(disk, key)
            self.assertEqual(dek, self.payload(disk)[32:])
            self.with_kms("attach", "--direct", "--dry-run", disk)
        self.assertEqual(old, self.slot(disk)[2])

    def test_slots(self):
        """pkcs11: a slot more under another key, and the first one removed"""
        disk = self.volume("--kms-key", AES)
        dek = self.payload(disk)[32:]
        self.with_kms("slot add", "--kms-key", RSA, "--context", "team=blue",
                      disk)
        self.with_kms("slot remove", "--slot", "0", disk)
        self.assert_sound(disk, RSA)
        self.assertEqual(dek, self.payload(disk)[32:])

    def test_rewrap_away(self):
        """pkcs11: rewrap does not lead out of the section"""
        disk = self.volume("--kms-key", AES)
        conf = self.config(more="[pkcs11 two]\nmodule = /none\n"
                                "[region us-east-1]\n"
                                "account = 111122223333\n")
        self.with_kms("rewrap", "--kms-key", "pkcs11:token=two;object=x",
                      disk, conf=conf, status=2,
                      says="in [pkcs11 two], but the volume's key is in "
                      "[pkcs11 test], and a KMS rewraps within one section only")
        self.with_kms("rewrap", "--kms-key", "arn:aws:kms:us-east-1:"
                      "111122223333:key/x", disk, conf=conf, status=2,
                      says="in region us-east-1, but the volume's key is in "
                      "[pkcs11 test]")


class Refusals(Pkcs11Case):

    def refused(self, status, says, key=AES, **how):
        """Nothing is written; one sentence, which names the key."""
        disk = self.blank()
        done = self.with_kms("format", "--kms-key", key, disk, status=status,
                             says=says, conf=self.config(**how))
        self.assertEqual(1, done.stderr_text.count("\n"), done.stderr_text)
        self.assertEqual(bytes(4 << 20), disk.read_bytes())

    def test_swapped(self):
        """security-27-pkcs11-slot-of-another-volume-refused"""
        for key in (AES, RSA):
            mine = self.volume("--kms-key", key, name="mine")
            other = self.volume("--kms-key", key, name="other")
            slots = [self.slot(d)[1]["ciphertext"] for d in (mine, other)]
            self.forge(mine, slots[0].encode(), slots[1].encode())
            self.with_kms("attach", "--direct", "--dry-run", mine,
                          status=DENIED, says="bound to another volume, "
                          "generation or context")

    def test_changed(self):
        """pkcs11: a changed wrapped key is a denial"""
        for key in (AES, RSA):
            disk = self.volume("--kms-key", key)
            blob = bytearray(self.slot(disk)[2])
            blob[40] ^= 1
            self.forge(disk, self.slot(disk)[1]["ciphertext"].encode(),
                       base64.b64encode(blob))
            self.with_kms("check", "--unwrap", disk, status=DENIED,
                          says="the wrapped key is another key's or was "
                          "changed")

    def test_scheme(self):
        """pkcs11: a wrapped key of no known kind, or of the other kind"""
        disk = self.volume("--kms-key", AES)
        for first, says in ((9, "none that was made for a token"),
                            (2, "the key is of another kind")):
            blob = bytearray(self.slot(disk)[2])
            text = self.slot(disk)[1]["ciphertext"].encode()
            blob[0] = first
            self.forge(disk, text, base64.b64encode(blob))
            self.with_kms("check", "--unwrap", disk, status=DENIED, says=says)

    def test_token_gone(self):
        """pkcs11: a token that is not there is unreachable, not a denial"""
        self.refused(UNREACHABLE, "no token has the label 'gone'",
                     key="pkcs11:token=gone;object=x", token="gone")

    def test_key_gone(self):
        """pkcs11: a key that the token does not have is a denial"""
        self.refused(DENIED, "has no AES or RSA key of that name",
                     key=f"{PLACE};object=none")

    def test_other_key(self):
        """pkcs11: a slot put under another key does not unwrap"""
        disk = self.volume("--kms-key", f"{PLACE};id=%01")
        self.forge(disk, b"id=%01", b"id=%02")
        self.pins.unlink()
        self.with_kms("check", "--unwrap", disk, status=DENIED,
                      says="the key is of another kind")

    def test_not_a_key_id(self):
        """pkcs11: a key id in another spelling is a usage error"""
        for key in ("pkcs11:object=volumes;token=hsm%20one",
                    "pkcs11:token=hsm one;object=volumes",
                    f"{AES};module-path=/tmp/evil.so",
                    f"{AES}?pin-value=1", "pkcs11:", f"{PLACE};id=0A",
                    f"{PLACE};object=", f"{PLACE};object=%61"):
            self.refused(2, "not a key id of pkcs11, which are "
                         "pkcs11:token=LABEL;object=LABEL or", key=key)

    def test_allow_keys(self):
        """security-01-pkcs11-allow-keys"""
        self.refused(DENIED, "allow-keys does not cover it; if this host "
                     "shall use it, add it for [pkcs11 test]",
                     allow_keys=f"{PLACE};object=vol-* {RSA}")
        disk = self.blank("fine")
        self.with_kms("format", "--kms-key", AES, disk, conf=self.config(
            allow_keys=f"{PLACE};object=vol*"))

    def test_not_configured(self):
        """security-05-pkcs11-token-without-section"""
        self.refused(DENIED, "'two' is not configured on this host; if it "
                     "shall be used, add a section [pkcs11 NAME]",
                     key="pkcs11:token=two;object=x")

    def test_module(self):
        """pkcs11: a module that is missing, or is none"""
        self.refused(UNREACHABLE, "PKCS#11 module '/none.so': No such file",
                     module="/none.so")
        self.refused(UNREACHABLE, "PKCS#11 module '/etc': not a file",
                     module="/etc")
        self.refused(UNREACHABLE, "cannot be loaded as a PKCS#11 module",
                     module="/etc/passwd")

    def test_module_writable(self):
        """security-05-pkcs11-module-others-can-change-is-not-loaded"""
        copy = self.folder / "module.so"
        shutil.copy(MODULE, copy)
        self.refused(DENIED, "PKCS#11 module: others than root can change "
                     "'/tmp'", module=copy)

    def test_weak(self):
        """pkcs11: AES keys of 128 bits and RSA keys of 1024 are refused"""
        self.add_aes("weak", "77", bits=128)
        self.refused(DENIED, "the AES key is not one of 256 bits",
                     key=f"{PLACE};object=weak")
        self.add_rsa("weak-pair", "78", bits=1024)
        self.refused(DENIED, "the RSA key has less than 2048 bits",
                     key=f"{PLACE};object=weak-pair")

    def test_twice(self):
        """pkcs11: two keys of one name are not guessed between"""
        self.add_aes("twice", "71")
        self.add_aes("twice", "72")
        self.refused(2, "two keys have the name", key=f"{PLACE};object=twice")
        disk = self.blank("one")
        self.with_kms("format", "--kms-key", f"{PLACE};id=%71", disk)


class Pins(Pkcs11Case):
    """Wrong PINs, which tokens count."""

    def fails(self, status, says, **how):
        disk = self.blank()
        done = self.with_kms("format", "--kms-key", AES, disk, status=status,
                             says=says, conf=self.config(**how))
        self.assertEqual(1, done.stderr_text.count("\n"), done.stderr_text)
        self.assertNotIn(PIN, done.stderr_text + done.stdout_text)

    def pin_file(self, text, mode=0o600):
        path = self.folder / "pin"
        path.write_text(text)
        path.chmod(mode)
        return path

    def test_wrong(self):
        """pkcs11: a wrong PIN is refused, said once and not repeated"""
        self.fails(DENIED, "the PIN is wrong and was not tried again",
                   pin_file=self.pin_file("wrong-pin\n"))

    def test_none(self):
        """pkcs11: a token that wants a PIN, and no pin-file"""
        self.fails(DENIED, "the token wants a PIN; set pin-file",
                   pin_file=None)

    def test_missing(self):
        """pkcs11: a pin-file that is not there, or empty"""
        self.fails(DENIED, "pin-file '/none': cannot be opened: No such file",
                   pin_file="/none")
        self.fails(DENIED, "its first line is empty or too long",
                   pin_file=self.pin_file("\n"))
        self.fails(DENIED, "its first line is empty or too long",
                   pin_file=self.pin_file("1" * 5000))
        self.fails(DENIED, "pin-file '/etc': not a file", pin_file="/etc")

    def test_readable(self):
        """security-09-pkcs11-pin-file-of-others-is-not-used"""
        self.fails(DENIED, "others than its owner can read or change it",
                   pin_file=self.pin_file(PIN, 0o640))

    def test_counted(self):
        """pkcs11: a session gives a wrong PIN once, however often it is asked"""
        log = self.folder / "log"
        conf = self.config(pin_file=self.pin_file("wrong-pin"),
                           module=self.proxy)
        done = subprocess.run(
            [client_case._build(), "--config", conf, "--times", "3", "--persist",
             "describe", AES], env=dict(os.environ, PROXY_LOG=str(log)),
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(DENIED, done.returncode, done.stderr)
        self.assertEqual(2, done.stderr.count(
            "the PIN was refused before and is not tried again"))
        self.assertEqual(1, log.read_text().count("C_Login"))

    def test_describe(self):
        """pkcs11: what describe says of AES and RSA keys"""
        for key, spec in ((AES, "AES_256"), (RSA, "RSA_2048")):
            done = subprocess.run(
                [client_case._build(), "--config", self.conf, "describe",
                 key], capture_output=True, text=True, timeout=120,
                check=True)
            said = json.loads(done.stdout)
            self.assertEqual((key, spec, "Enabled"),
                             (said["arn"], said["spec"], said["state"]))


class Faults(Pkcs11Case):
    """A token that misbehaves, by the proxy in front of it."""

    def environment(self):
        return dict(super().environment(), **self.env)

    def setUp(self):
        super().setUp()
        self.env = {}
        self.conf = self.config(module=self.proxy)

    def check(self, status, says, env, **how):
        disk = self.blank()
        self.env = env
        done = self.with_kms("format", "--kms-key", how.pop("key", AES), disk,
                             status=status, says=says, conf=self.conf)
        if status:
            self.assertEqual(1, done.stderr_text.count("\n"),
                             done.stderr_text)
            self.assertEqual(bytes(4 << 20), disk.read_bytes())
        return disk

    def test_oaep_sha256(self):
        """pkcs11: OAEP is with SHA-256 where the token knows it"""
        env = {"PROXY_OAEP": str(self.base / "key.pem")}
        disk = self.check(0, RSA, env, key=RSA)
        self.assertEqual(2, self.slot(disk)[2][0])
        self.assert_sound(disk, RSA)

    def test_oaep_sha1(self):
        """pkcs11: OAEP is with SHA-1 where the token knows no other"""
        self.assertEqual(3, self.slot(self.check(0, RSA, {}, key=RSA))[2][0])

    def test_flags(self):
        """pkcs11: a token that says its PIN is locked, or nearly, is not tried"""
        log = self.folder / "log"
        for flags, says in (
                ("0x40000", "the PIN is locked (CKR_PIN_LOCKED)"),
                ("0x20000", "one wrong PIN more locks the token, so none is "
                 "tried")):
            self.check(DENIED, says, {"PROXY_FLAGS": flags,
                                      "PROXY_LOG": str(log)})
        self.assertNotIn("C_Login", log.read_text())

    def test_unwrap_faults(self):
        """pkcs11: a token that fails while unwrapping"""
        disk = self.check(0, AES, {})
        for fault, status, says in (
                ("C_UnwrapKey=0x32", UNREACHABLE, "the token was taken away"),
                ("C_UnwrapKey=0x70", 1, "the token does not do that"),
                ("C_UnwrapKey=0x112", DENIED, "another key's or was changed"),
                ("C_GetAttributeValue=0x11", 1, "does not let out what"),
                ("C_GetAttributeValue=0x150", DENIED, "another key's")):
            self.env = {"PROXY_FAULT": fault}
            self.with_kms("check", "--unwrap", disk, status=status, says=says)
        disk = self.check(0, RSA, {}, key=RSA)
        self.env = {"PROXY_FAULT": "C_DecryptInit=0x68"}
        self.with_kms("check", "--unwrap", disk, status=DENIED,
                      says="the key may not be used so")

    def test_hangs(self):
        """pkcs11: a module that hangs is killed when the time budget ends"""
        disk = self.check(0, AES, {})
        log = self.folder / "pids"
        log.touch()
        for call in ("C_UnwrapKey", "C_Finalize"):
            self.env = {"PROXY_HANG": call, "PROXY_PIDS": str(log)}
            done = self.with_kms(
                "check", "--unwrap", "--timeout", 3, disk, status=UNREACHABLE,
                says=f"key '{AES}': [pkcs11 test]: the token has not answered "
                "within the time budget, so its module was killed; see what "
                "the token does or raise --timeout")
            self.assertEqual(1, done.stderr_text.count("\n"),
                             done.stderr_text)
        for pid in log.read_text().split():
            self.assertFalse(os.path.exists(f"/proc/{pid}"), pid)
        blank = self.folder / "blank"
        self.env = {"PROXY_HANG": "C_WrapKey"}
        blank.write_bytes(bytes(4 << 20))
        self.with_kms("format", "--kms-key", AES, "--timeout", 3, blank,
                      status=UNREACHABLE, says="has not answered within")
        self.assertEqual(bytes(4 << 20), blank.read_bytes())

    def test_dies(self):
        """pkcs11: a module that dies takes nobody with it"""
        disk = self.check(0, AES, {})
        self.env = {"PROXY_DIE": "C_UnwrapKey"}
        self.with_kms("check", "--unwrap", disk, status=UNREACHABLE,
                      says="the token's module has died while it was asked; "
                      "try the token's own tools")

    def test_protected_path(self):
        """pkcs11: a token with a keypad of its own needs no pin-file"""
        self.conf = self.config(module=self.proxy, pin_file=None)
        self.check(DENIED, "the PIN is wrong", {
            "PROXY_FLAGS": "0x100", "PROXY_FAULT": "C_Login=0xA0"})


header_case.tap.add_rows(Faults, [
    (f"pkcs11: {fault} is status {status}",
     (status, says, {"PROXY_FAULT": fault}))
    for fault, status, says in (
        ("C_Initialize=0x30", UNREACHABLE,
         "the token has a fault (CKR_DEVICE_ERROR)"),
        ("C_GetSlotList=0x5", UNREACHABLE,
         "the token or its module has a fault (CKR_0x00000005)"),
        ("C_GetTokenInfo=0xE0", UNREACHABLE, "no token has the label"),
        ("C_OpenSession=0xB1", UNREACHABLE, "the token has no session left"),
        ("C_Login=0xA0", DENIED, "the PIN is wrong and was not tried again"),
        ("C_Login=0xA2", DENIED, "the PIN is too short or too long"),
        ("C_Login=0xA3", DENIED, "the PIN has expired"),
        ("C_Login=0xA4", DENIED, "the PIN is locked"),
        ("C_Login=0x102", DENIED, "the token has no user PIN yet"),
        ("C_Login=0x32", UNREACHABLE, "the token was taken away"),
        ("C_FindObjectsInit=0xB3", UNREACHABLE,
         "the token was taken away or reset"),
        ("C_FindObjects=0x32", UNREACHABLE, "the token was taken away"),
        ("C_CreateObject=0x31", UNREACHABLE, "the token's memory is full"),
        ("C_WrapKey=0x68", DENIED, "the key may not be used so"),
        ("C_WrapKey=0x2", 1, "memory is short on this host"),
        ("C_WrapKey=0x101", DENIED, "the key wants the PIN"))])


if __name__ == "__main__":
    header_case.main()
