# SPDX-License-Identifier: GPL-2.0-or-later
"""Envelope: encrypted volumes, attached at each boot, made at the first."""

import logging
import os
import stat
from textwrap import dedent

from cloudinit import subp, util
from cloudinit.config.schema import get_meta_doc, validate_cloudconfig_schema
from cloudinit.distros import ALL_DISTROS
from cloudinit.settings import PER_ALWAYS, PER_INSTANCE

LOG = logging.getLogger(__name__)
ID = "/usr/lib/udev/envelope-id"
MAPPER = "/dev/mapper"
END_BYTES = 4 << 20  # at both ends of a blank device: nothing but zeros
NO_HEADER = 5        # exit status of envelope-id

meta = {
    "id": "cc_envelope",
    "name": "Envelope",
    "title": "Attach encrypted volumes",
    "description": dedent(
        """\
        Each boot attaches the volumes of ``envelope`` and mounts them. The
        first boot of an instance also makes them, on devices that hold nothing
        at all: one with a file system, a partition table, any signature, or
        bytes at its ends other than zeros is never formatted. It runs before
        there is an agent, as the host: ``envelope attach --direct``.
        """),
    "distros": [ALL_DISTROS],
    "frequency": PER_ALWAYS,
    "examples": [
        dedent(
            """\
            envelope:
              volumes:
                - name: data
                  device: /dev/vdb
                  kms_key: alias/data
                  filesystem: ext4
                  mount: /srv/data
            """)
    ],
    "activate_by_schema_keys": ["envelope"],
}

schema = {
    "type": "object",
    "properties": {
        "envelope": {
            "type": "object",
            "additionalProperties": False,
            "required": ["volumes"],
            "properties": {
                "volumes": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["name", "device"],
                        "properties": {
                            "name": {
                                "type": "string",
                                "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,81}$",
                                "description": "of /dev/mapper/NAME"},
                            "device": {
                                "type": "string", "pattern": "^/",
                                "description": "what it is on"},
                            "format": {
                                "type": "boolean",
                                "description": "the first boot makes it on a"
                                " blank device. Default: ``true``"},
                            "kms_key": {
                                "type": "string", "pattern": "^[^-]",
                                "description": "id, ARN or alias. Default:"
                                " default-key of envelope.conf"},
                            "filesystem": {
                                "type": "string", "pattern": "^[a-z0-9]+$",
                                "description": "that the first boot makes"},
                            "mount": {
                                "type": "string", "pattern": "^/",
                                "description": "where it is mounted"},
                            "mount_options": {
                                "type": "string", "pattern": "^[^-]"},
                        },
                    },
                },
            },
        },
    },
}

__doc__ = get_meta_doc(meta, schema)


class Refused(Exception):
    """A sentence about one volume."""


def signature(path):
    """What libblkid knows of the device; an empty text if nothing."""
    # 2: nothing. Several at once are status 8, and an error.
    out, _ = subp.subp(["blkid", "-p", "-o", "export", path], rcs=[0, 2])
    return " ".join(line for line in out.split("\n")
                    if line.split("=")[0] in ("TYPE", "PTTYPE", "USAGE"))


def check_blank(path):
    """Refuse a device that is in use, or that anything was written to."""
    found = signature(path)
    if found:
        raise Refused(f"{path} carries data: {found}")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError as e:
        raise Refused(f"{path} cannot be had alone: {e.strerror}") from e
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        for start in (0, max(0, size - END_BYTES)):
            data = os.pread(fd, END_BYTES, start)
            if len(data) < min(END_BYTES, size) or data.count(0) < len(data):
                raise Refused(f"{path} carries data: bytes that are not zero "
                              f"in the {END_BYTES >> 20} MiB at {start}")
    finally:
        os.close(fd)


def uuid_of(path):
    """UUID of the volume there; None: no header in either place."""
    try:
        out, _ = subp.subp([ID, path])
    except subp.ProcessExecutionError as e:
        if e.exit_code == NO_HEADER:
            return None
        raise
    found = dict(line.split("=", 1) for line in out.splitlines())
    if "ID_FS_UUID" not in found:
        raise Refused(f"{path} has a header that is damaged, newer than this "
                      "version, or of another device: envelope inspect tells")
    return found["ID_FS_UUID"]


def mark_of(volume, cloud):
    """There is such a file while this instance makes that volume."""
    return os.path.join(cloud.paths.get_ipath("sem"),
                        f"envelope-making-{volume['name']}")


def make(volume, path, cloud):
    """On a device that is blank at this moment; format looks once more."""
    check_blank(path)
    if "filesystem" in volume:
        util.write_file(mark_of(volume, cloud), "")
    key = volume.get("kms_key")
    subp.subp(["envelope", "format", *(["--kms-key", key] if key else []),
               path])


def attached_uuid(name):
    """UUID of the volume that has this name now; None: there is none."""
    path = f"{MAPPER}/{name}"
    if not os.path.exists(path):
        return None
    node = os.path.basename(os.path.realpath(path))
    with open(f"/sys/block/{node}/dm/uuid", encoding="ascii") as file:
        text = file.read().strip()
    if not text.startswith("ENVELOPE-"):
        raise Refused(f"{path} is not a volume of this kind: {text}")
    return text[len("ENVELOPE-"):][:36]


def make_file_system(volume, path, cloud):
    """Of a volume that this instance has made; others bring their own."""
    if not os.path.exists(mark_of(volume, cloud)):
        return
    if not signature(path):
        check_blank(path)
        subp.subp([f"mkfs.{volume['filesystem']}", path])
    util.del_file(mark_of(volume, cloud))


def mount(volume, path):
    place = volume["mount"]
    if os.path.ismount(place):
        return
    os.makedirs(place, exist_ok=True)
    subp.subp(["mount", "-o", volume.get("mount_options", "defaults"), path,
               place])


def set_up(volume, cloud):
    name, device = volume["name"], os.path.realpath(volume["device"])
    path = f"{MAPPER}/{name}"
    if not os.path.exists(device):
        raise Refused(f"{volume['device']} is not there")
    mode = os.stat(device).st_mode
    if not stat.S_ISBLK(mode) and not stat.S_ISREG(mode):
        raise Refused(f"{device} is no block device")
    if volume.get("format", True):
        # Once for each instance: a later boot finds a volume, or none. In
        # cloud-init's names of what has run, - and _ are the same.
        if uuid_of(device) is None:
            cloud.run(f"envelope_format_{name.encode().hex()}", make,
                      [volume, device, cloud], PER_INSTANCE,
                      clear_on_fail=True)
    uuid = uuid_of(device)
    if uuid is None:
        raise Refused(f"{device} has no volume, and only the first boot of an "
                      "instance makes one")
    there = attached_uuid(name)
    if there not in (None, uuid):
        raise Refused(f"{path} is another volume, {there}")
    if there is None:
        subp.subp(["envelope", "attach", "--direct", device, name])
    if "filesystem" in volume:
        make_file_system(volume, path, cloud)
    if "mount" in volume:
        mount(volume, path)


def handle(name, cfg, cloud, log, args):
    if "envelope" not in cfg:
        LOG.debug("%s: no 'envelope' in the configuration", name)
        return
    validate_cloudconfig_schema({"envelope": cfg["envelope"]}, schema,
                                strict=True)
    failed = []
    # One that fails is told, and does not keep the others away.
    for volume in cfg["envelope"]["volumes"]:
        try:
            set_up(volume, cloud)
        except (Refused, OSError, subp.ProcessExecutionError) as e:
            LOG.error("envelope: volume '%s': %s", volume["name"], e)
            failed.append(volume["name"])
    if failed:
        raise RuntimeError(f"envelope: failed: {', '.join(failed)}")
