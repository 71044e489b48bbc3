# SPDX-License-Identifier: GPL-2.0-or-later
"""cc_envelope in the real cloud-init: what it formats, and what it never does.

Format, blkid and mkfs are real; a wrapper attaches without a kernel.
"""
import importlib.util
import logging
import os
import pathlib
import subprocess
import sys
import types

import yaml

import header_case
from header_case import BUILD, ENVELOPE

SOURCES = header_case.TESTS.parent / "scripts" / "cloud-init"
PACKAGE = pathlib.Path(os.environ.get(
    "XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "dm-envelope/cloud-init"
sys.path.insert(0, str(PACKAGE / "usr/lib/python3/dist-packages"))
logging.disable(logging.CRITICAL)

from cloudinit import cloud, helpers  # noqa: E402
from cloudinit.config import schema as schemas  # noqa: E402

SPEC = importlib.util.spec_from_file_location(
    "cloudinit.config.cc_envelope", SOURCES / "cc_envelope.py")
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)

WRAPPER = """#!/bin/sh
echo "${0##*/} $*" >> "$LOG"
case ${0##*/}:$1 in
envelope:format) shift; exec "$REAL" format --config "$CONF" "$@" ;;
envelope:attach)
	[ ! -e "$MAPPED/../away" ] || exit 4
	[ -e "$MAPPED/.$4" ] || truncate -s 8M "$MAPPED/.$4"
	cp "$MAPPED/.$4" "$MAPPED/$4" ;;
mkfs.*) exec "/sbin/${0##*/}" -q -F "$1" ;;
esac
"""


class Cloud(header_case.HeaderCase):

    def setUp(self):
        super().setUp()
        self.mapped, tools = self.folder / "mapper", self.folder / "tools"
        self.log = self.folder / "log"
        for folder in (self.mapped, tools):
            folder.mkdir()
        for name in ("envelope", "mkfs.ext4", "mount"):
            (tools / name).write_text(WRAPPER)
            (tools / name).chmod(0o755)
        old = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(old)))
        os.environ.update(self.environment(), LOG=str(self.log),
                          REAL=ENVELOPE, CONF=str(self.conf),
                          MAPPED=str(self.mapped),
                          PATH=f"{tools}:/usr/sbin:{os.environ['PATH']}")
        MODULE.ID, MODULE.MAPPER = str(BUILD / "bin/envelope-id"), self.mapped
        MODULE.attached_uuid = lambda name: (
            MODULE.uuid_of(str(self.disk)) if (self.mapped / name).exists()
            else None)
        self.disk = self.folder / "disk"
        self.fresh()
        self.instance = "first"

    def fresh(self, size=8 << 20):
        self.disk.write_bytes(b"")
        os.truncate(self.disk, size)

    def boot(self, fails=False, **volume):
        """One boot; the programs that it ran."""
        paths = helpers.Paths(
            {"cloud_dir": str(self.folder / "cloud"),
             "run_dir": str(self.folder / "run")},
            ds=types.SimpleNamespace(get_instance_id=lambda: self.instance))
        there = cloud.Cloud(None, paths, {}, None, helpers.Runners(paths))
        self.log.write_text("")
        for path in self.mapped.glob("[!.]*"):
            path.replace(self.mapped / f".{path.name}")
        one = dict({"name": "data", "device": str(self.disk),
                    "kms_key": self.key, "filesystem": "ext4",
                    "mount": str(self.folder / "place")}, **volume)
        cfg = {"envelope": {"volumes": [one]}}
        if fails:
            with self.assertRaisesRegex(RuntimeError, "failed: data"):
                MODULE.handle("envelope", cfg, there, None, [])
        else:
            MODULE.handle("envelope", cfg, there, None, [])
        return [" ".join(line.split()[:2 if "envelope" in line else 1])
                for line in self.log.read_text().splitlines()]

    def never(self, **volume):
        """A first boot leaves this disk as it is."""
        before = self.digest(self.disk)
        self.assertEqual([], self.boot(fails=True, **volume))
        self.assertEqual(before, self.digest(self.disk))

    def test_boots(self):
        """cloud: the first boot makes a volume, each one attaches it"""
        self.assertEqual(["envelope format", "envelope attach", "mkfs.ext4",
                          "mount"], self.boot())
        header = self.digest(self.disk)
        for self.instance in ("first", "second"):
            self.assertEqual(["envelope attach", "mount"], self.boot())
        self.assertEqual(header, self.digest(self.disk))

    def test_again(self):
        """cloud: a second run in one boot changes nothing"""
        self.boot()
        MODULE.set_up({"name": "data", "device": str(self.disk)}, None)
        self.assertEqual(1, self.log.read_text().count("attach"))

    def test_later(self):
        """cloud: a blank disk in a later boot is not formatted"""
        self.boot()
        self.fresh()
        self.never()

    def test_names(self):
        """cloud: volumes with similar names are two volumes"""
        for name in ("a-b", "a_b"):
            self.fresh()
            self.assertIn("envelope format", self.boot(name=name))

    def test_told_not_to(self):
        """cloud: format: false"""
        self.never(format=False)

    def test_data(self):
        """cloud: a disk that carries data is never formatted"""
        makers = {
            "ext4": ["mkfs.ext4", "-q", "-F", self.disk],
            "swap": ["mkswap", "-q", self.disk],
            "LUKS": ["cryptsetup", "luksFormat", "-q", "--pbkdf", "pbkdf2",
                     "--pbkdf-force-iterations", "1000", self.disk, "-"],
        }
        for name, command in makers.items():
            with self.subTest(name):
                self.fresh(32 << 20)
                subprocess.run(list(map(str, command)), check=True,
                               input=b"a", capture_output=True,
                               env=dict(os.environ, PATH="/usr/sbin:/usr/bin"))
                self.never()
        for label in ("dos", "gpt"):
            with self.subTest(label):
                self.fresh()
                subprocess.run(["sfdisk", "-q", "--label", label, self.disk],
                               input=b"start=2048\n", check=True)
                self.never()
        for at in (0, 1 << 20, (8 << 20) - 1):
            with self.subTest(at=at):
                self.fresh()
                with open(self.disk, "r+b") as file:
                    file.seek(at)
                    file.write(b"x")
                self.never()

    def test_header(self):
        """cloud: another header of ours is attached, or told; not replaced"""
        self.with_kms("format", self.disk)
        header = self.digest(self.disk)
        self.assertEqual(["envelope attach", "mount"], self.boot())
        for at in (4200, header_case.COPY + 4200):
            header_case.flip(self.disk, at)
        self.never()
        self.assertNotEqual(header, self.digest(self.disk))

    def test_file_system(self):
        """cloud: no file system over what the volume holds already"""
        (self.mapped / ".data").write_bytes(b"x" * (1 << 20))
        self.assertEqual(["envelope format", "envelope attach"],
                         self.boot(fails=True))
        self.assertEqual(b"x" * (1 << 20),
                         (self.mapped / "data").read_bytes())

    def test_interrupted(self):
        """cloud: the KMS away: the next boot goes on where this one stopped"""
        (self.folder / "away").touch()
        self.assertEqual(["envelope format", "envelope attach"],
                         self.boot(fails=True))
        (self.folder / "away").unlink()
        self.assertEqual(["envelope attach", "mkfs.ext4", "mount"],
                         self.boot())

    def test_schema(self):
        """cloud: user data are checked by cloud-init's own schema"""
        for name in ("user-data.yaml", "user-data-bootcmd.yaml"):
            config = yaml.safe_load((SOURCES / name).read_text())
            schemas.validate_cloudconfig_schema(config, strict=True)
            schemas.validate_cloudconfig_schema(config, MODULE.schema,
                                                strict=True)
        good = {"name": "data", "device": "/dev/vdb"}
        for bad in ({}, {"name": "data"}, dict(good, device="vdb"),
                    dict(good, name="../x"), dict(good, luks=True),
                    dict(good, kms_key="--force"), dict(good, format="no")):
            with self.assertRaises(schemas.SchemaValidationError):
                schemas.validate_cloudconfig_schema(
                    {"envelope": {"volumes": [bad]}}, MODULE.schema,
                    strict=True)
        self.assertEqual("always", MODULE.meta["frequency"])

    def test_place(self):
        """cloud: behind disk_setup, before mounts, nothing else changed"""
        mine = yaml.safe_load((SOURCES / "90_envelope.cfg").read_text())
        mine = mine["cloud_init_modules"]
        stock = yaml.safe_load((PACKAGE / "etc/cloud/cloud.cfg").read_text())
        at = mine.index("envelope")
        self.assertEqual(["disk_setup", "envelope", "mounts"],
                         mine[at - 1:at + 2])
        self.assertEqual(stock["cloud_init_modules"],
                         mine[:at] + mine[at + 1:])


header_case.main()
