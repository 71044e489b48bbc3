# SPDX-License-Identifier: GPL-2.0-or-later
"""What envelope-generator makes of envelopetab, as systemd reads it."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import tap
from agent_case import BUILD

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GENERATOR = BUILD / "bin" / "envelope-generator"
VOLUME = "vol-0123456789abcdef0"
UUID = "6a3b9d51-0c6f-4a59-9d51-a7d2f3b0c111"


def escape(*args):
    options, text = args[:-1], args[-1]
    return subprocess.run(["systemd-escape", *options, "--", text], check=True,
                          text=True, capture_output=True).stdout.rstrip("\n")


def service(name):
    return f"envelope-attach@{escape(name)}.service"


def mapped(name):
    return escape("-p", "--suffix=device", f"/dev/mapper/{name}")


class TabUnits(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tab-units-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.units = self.folder / "units"
        self.units.mkdir()
        self.tab = self.folder / "tab"

    def generate(self, *lines, status=0):
        """What it says of a tab of these lines."""
        self.tab.write_text("".join(f"{line}\n" for line in lines))
        for old in self.units.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        done = subprocess.run(
            [GENERATOR, self.units, self.folder / "early",
             self.folder / "late", self.tab], text=True, capture_output=True)
        self.assertEqual(status, done.returncode, done.stderr)
        return done.stderr

    def settings(self, name):
        """All values of each setting of a line's service, as words."""
        found = {}
        for line in (self.units / service(name)).read_text().splitlines():
            if line and line[0] not in "#[":
                key, value = line.split("=", 1)
                found[key] = found.get(key, []) + value.split(" ")
        return found

    def links(self):
        """Folder and target of each link."""
        return {(str(p.parent.relative_to(self.units)),
                 p.resolve().name) for p in self.units.rglob("*")
                if p.is_symlink()}

    def drop_in(self, unit):
        path = self.units / f"{unit}.d" / "40-envelope.conf"
        return path.read_text().splitlines()[-1] if path.exists() else None

    def verify(self):
        """systemd's own reading of everything, with programs that exist."""
        for name in ("envelope-agent.service", "envelope-agent.socket"):
            shutil.copy(ROOT / "scripts/systemd" / name, self.units)
        services = list(self.units.glob("*.service"))
        for path in services:
            path.write_text(re.sub(
                r"^(Exec\w+)=(?:/\S+/)?(envelope(?:-agent)?)\b",
                rf"\1={BUILD}/bin/\2", path.read_text(), flags=re.M))
        # A colon in an argument is the analyzer's own.
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "multi-user.target",
             *(str(p) for p in services if ":" not in p.name)],
            text=True, capture_output=True, timeout=120, check=False,
            env=dict(os.environ, SYSTEMD_UNIT_PATH=f"{self.units}:"))
        # What this machine has besides is not the generator's.
        self.assertEqual([], [line for line in done.stderr.splitlines()
                              if re.search("envelope|cycle", line)])

    def test_agent(self):
        """tab units: by the agent, behind the network, before remote-fs"""
        self.generate("data /dev/vdb")
        found = self.settings("data")
        self.assertEqual(["oneshot"], found["Type"])
        self.assertEqual(["yes"], found["RemainAfterExit"])
        self.assertEqual("envelope tab attach -- data".split(),
                         found["ExecStart"])
        self.assertEqual("envelope tab detach -- data".split(),
                         found["ExecStop"])
        self.assertEqual(["infinity"], found["TimeoutStartSec"])
        self.assertEqual(["no"], found["DefaultDependencies"])
        self.assertEqual(["umount.target"], found["Conflicts"])
        self.assertEqual(["dev-vdb.device"], found["BindsTo"])
        blockdev = "blockdev@dev-mapper-data.target"
        self.assertEqual({blockdev, "umount.target", "remote-fs.target"},
                         set(found["Before"]))
        self.assertEqual({"envelope-agent.socket", "envelope-agent.service",
                          "network-online.target", "dev-vdb.device"},
                         set(found["After"]))
        self.assertEqual({"envelope-agent.socket", "network-online.target",
                          blockdev}, set(found["Wants"]))
        self.assertEqual(
            {("remote-fs.target.requires", service("data")),
             ("dev-vdb.device.wants", service("data")),
             (f"{mapped('data')}.requires", service("data"))}, self.links())
        self.assertEqual("JobTimeoutSec=infinity",
                         self.drop_in(mapped("data")))
        self.assertIsNone(self.drop_in("dev-vdb.device"))
        self.verify()

    def test_direct(self):
        """tab units: directly, before local-fs, or with _netdev remote-fs"""
        self.generate("data /dev/vdb direct", "logs /dev/vdc direct,_netdev")
        found = self.settings("data")
        self.assertIn("local-fs.target", found["Before"])
        self.assertNotIn("remote-fs.target", found["Before"])
        self.assertFalse({"network-online.target", "envelope-agent.socket",
                          "envelope-agent.service"} & set(found["After"]))
        self.assertIn("modprobe@dm-envelope.service", found["After"])
        self.assertIn('"/var/lib/envelope"', found["RequiresMountsFor"])
        self.assertIn(("local-fs.target.requires", service("data")),
                      self.links())
        found = self.settings("logs")
        self.assertIn("remote-fs.target", found["Before"])
        self.assertNotIn("local-fs.target", found["Before"])
        self.assertIn("network-online.target", found["After"])
        self.assertNotIn("envelope-agent.socket", found["After"])
        self.assertIn(("remote-fs.target.requires", service("logs")),
                      self.links())
        self.verify()

    def test_nofail(self):
        """tab units: nofail is wanted, and a boot does not wait for it"""
        self.generate("data /dev/vdb nofail", "logs /dev/vdc nofail,direct")
        for name, target in (("data", "remote-fs.target"),
                             ("logs", "local-fs.target")):
            self.assertNotIn(target, self.settings(name)["Before"])
            self.assertIn((f"{target}.wants", service(name)), self.links())
            self.assertNotIn((f"{target}.requires", service(name)),
                             self.links())
        self.verify()

    def test_noauto(self):
        """tab units: noauto is there for who wants it, and for no boot"""
        self.generate("data /dev/vdb noauto")
        self.assertEqual({(f"{mapped('data')}.requires", service("data"))},
                         self.links())
        self.generate("data /dev/vdb noauto,x-systemd.wanted-by=a.target,"
                      "x-systemd.required-by=b@c.service")
        self.assertEqual({(f"{mapped('data')}.requires", service("data")),
                          ("a.target.wants", service("data")),
                          ("b@c.service.requires", service("data"))},
                         self.links())
        self.verify()

    def test_relations(self):
        """tab units: x-systemd.* is passed on"""
        self.generate(
            "data /dev/disk/by-id/a-b x-systemd.requires=modprobe@nbd.service,"
            "x-systemd.after=/srv/a-b,x-systemd.before=c.target,"
            "x-systemd.requires-mounts-for=/keys,"
            "x-systemd.after=/dev/sdz,x-systemd.device-timeout=2m",
            "logs /dev/vdc x-systemd.device-timeout=infinity")
        found = self.settings("data")
        self.assertEqual(["modprobe@nbd.service"], found["Requires"])
        self.assertLess({"modprobe@nbd.service", r"srv-a\x2db.mount",
                         "dev-sdz.device"}, set(found["After"]))
        self.assertIn("c.target", found["Before"])
        self.assertEqual(['"/keys"'], found["RequiresMountsFor"])
        device = r"dev-disk-by\x2did-a\x2db.device"
        self.assertEqual([device], found["BindsTo"])
        self.assertEqual("JobRunningTimeoutSec=120", self.drop_in(device))
        self.assertEqual("JobRunningTimeoutSec=infinity",
                         self.drop_in("dev-vdc.device"))
        self.verify()

    def test_devices(self):
        """tab units: each kind of device"""
        self.generate(
            "link PARTUUID=00AB-01", r"label LABEL=a\040b/c",
            r"file /srv/a\040%n.img header=/keys/h\134x", f"id {VOLUME}",
            f"uuid UUID={UUID.upper()} x-systemd.device-timeout=2m",
            "header /dev/vdb header=/dev/vdc")
        wanted = {"link": "/dev/disk/by-partuuid/00ab-01",
                  "label": r"/dev/disk/by-label/a\x20b\x2fc",
                  "uuid": f"/dev/disk/by-uuid/{UUID}"}
        for name, path in wanted.items():
            unit = escape("-p", "--suffix=device", path)
            self.assertEqual([unit], self.settings(name)["BindsTo"])
            self.assertIn(unit, self.settings(name)["After"])
            self.assertIn((f"{unit}.wants", service(name)), self.links())
        self.assertEqual("JobRunningTimeoutSec=120", self.drop_in(unit))
        by_id = escape("-p", "--suffix=device",
                       f"/dev/disk/by-id/envelope-{VOLUME}")
        self.assertIn((f"{by_id}.wants", service("id")), self.links())
        text = (self.units / service("file")).read_text()
        self.assertIn('RequiresMountsFor="/srv/a %%n.img"\n'
                      'RequiresMountsFor="/keys/h\\\\x"\n', text)
        for name in ("file", "id"):
            self.assertNotIn("BindsTo", self.settings(name))
        self.assertEqual(["dev-vdb.device", "dev-vdc.device"],
                         self.settings("header")["BindsTo"])
        self.verify()

    def test_escape(self):
        """tab units: names are escaped as systemd does"""
        names = ["a-b", ".hidden", "a.b:c_d", "x@y+z=#", "--help",
                 "-", "a--b", "A" * 59]
        self.generate(*(f"{name} /dev/vdb" for name in names))
        self.assertEqual({service(name) for name in names},
                         {p.name for p in self.units.glob("*.service")})
        self.assertEqual(
            {f"{mapped(name)}.requires" for name in names},
            {p.name for p in self.units.glob("*.device.requires")})
        for name in names:
            self.assertEqual(["envelope", "tab", "attach", "--", name],
                             self.settings(name)["ExecStart"])
        self.verify()

    def test_contained(self):
        """tab units: no line gets out of its unit's file"""
        quotes = r'a /srv/"x"\134;%h\134n${A} header=/h%i"'
        said = self.generate(
            quotes, "b%n /dev/vdb", "c /dev/vdb x-systemd.after=d.target\v",
            "d /dev/vdb x-systemd.after=../e.service",
            "e /dev/vdb\vf", "f /dev/vdb x-systemd.wanted-by=/etc/g.target",
            "g /dev/vdb\u0085h", r"h /srv/x\011y", "i /dev/../etc/x", status=1)
        self.assertEqual([service("a")],
                         [p.name for p in self.units.glob("*.service")])
        self.assertEqual({("remote-fs.target.requires", service("a")),
                          (f"{mapped('a')}.requires", service("a"))},
                         self.links())
        self.assertEqual(8, said.count("\n"))
        text = (self.units / service("a")).read_text()
        self.assertIn('RequiresMountsFor="/srv/\\"x\\"\\\\;%%h\\\\n${A}"\n'
                      'RequiresMountsFor="/h%%i\\""\n', text)
        self.verify()

    def test_broken(self):
        """tab units: a broken line is told, and spoils no other"""
        said = self.generate("data /dev/vdb luks", "logs /dev/vdc",
                             f"{'-' * 80} /dev/vdd", status=1)
        self.assertIn(f"envelope-generator: {self.tab}:1: 'data': luks: no "
                      "such option;", said)
        self.assertRegex(said, r":3: '-+': NAME: too long for the name of a "
                         r"unit; write a shorter one\n")
        self.assertEqual([service("logs")],
                         [p.name for p in self.units.glob("*.service")])
        self.verify()

    def test_cycle(self):
        """tab units: systemd would tell of a wrong order"""
        self.generate("data /dev/vdb x-systemd.before=local-fs.target,"
                      "x-systemd.required-by=local-fs.target")
        with self.assertRaisesRegex(AssertionError, "ordering cycle"):
            self.verify()

    def test_nothing(self):
        """tab units: no file and no folder"""
        self.generate("# nothing")
        self.assertEqual([], list(self.units.iterdir()))
        self.generate("data /dev/vdb")
        shutil.rmtree(self.units)
        done = subprocess.run([GENERATOR, self.units, "e", "l", self.tab],
                              text=True, capture_output=True)
        self.assertEqual(1, done.returncode)
        self.assertIn(": No such file or directory\n", done.stderr)
        done = subprocess.run([GENERATOR, self.folder], text=True,
                              capture_output=True)
        self.assertEqual(2, done.returncode)
        self.assertIn("usage:", done.stderr)


if __name__ == "__main__":
    tap.main()
