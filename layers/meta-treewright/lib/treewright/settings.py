# SPDX-License-Identifier: MIT
"""From BitBake's variables to treewright's configuration."""

import os
import re
import sys

import bb

from . import variables
from .variables import MEANINGLESS, OFF

_ON = ("1", "yes", "true", "y", "t")


class SettingsError(Exception):
    """A variable that cannot be used; the message names it and says what to do."""


def value(d, name):
    return (d.getVar(name) or "").strip()


def words(d, name):
    return value(d, name).split()


def flag(d, name):
    """True, False, or None when the variable is empty."""
    text = value(d, name).lower()
    return None if text == "" else text in _ON


def mark_modules(d):
    """
    Has BitBake read a recipe again when these modules change. It knows that of classes, but of modules only the
    functions' checksums: a cached recipe would then be one that "is not deterministic".
    """
    for module in (variables, sys.modules[__name__]):
        bb.parse.mark_dependency(d, module.__file__)
    return ""


def is_product(d):
    """Whether an image is a product: `1`, or `0` for an initramfs and the like."""
    name = value(d, "PN")
    inner = words(d, "INITRAMFS_IMAGE") + words(d, "INITRD_IMAGE") + words(d, "INITRD_IMAGE_LIVE")
    return "0" if name in inner or "initramfs" in name or "initrd" in name else "1"


def multiconfig_suffix(d):
    name = value(d, "BB_CURRENT_MC")
    return "" if name in ("", "default") else "-" + name


def default_version(d):
    """
    Each image that is built is a version of its own: the distribution's version and the time of the image, as
    IMAGE_NAME has it. GARAGE_TARGET_VERSION is the version itself.
    """
    fixed = value(d, "GARAGE_TARGET_VERSION")
    if fixed:
        return fixed
    return (value(d, "OSTREE_COMMIT_VERSION") or value(d, "DISTRO_VERSION")) + value(d, "IMAGE_VERSION_SUFFIX")


def apps(d):
    """Pairs of a name, or None, and the compose file."""
    found = []
    for item in words(d, "TREEWRIGHT_APPS"):
        name, colon, path = item.partition(":")
        if not colon:
            name, path = None, item
        if not os.path.isabs(path):
            raise SettingsError("TREEWRIGHT_APPS: %s is not an absolute path; begin it with ${TOPDIR} or ${THISDIR}" % path)
        if os.path.isdir(path):
            path = os.path.join(path, "docker-compose.yml")
        found.append((name, path))
    return found


def file_checksums(d):
    """For `file-checksums`: what is no variable and makes a new release all the same."""
    paths = [value(d, "TREEWRIGHT_BUNDLE"), value(d, "TREEWRIGHT_CONFIG")] + words(d, "TREEWRIGHT_WATCH")
    # A compose file is not alone: env files and build contexts lie beside it.
    paths += [os.path.dirname(path) for _, path in apps(d)]
    return " ".join("%s:%s" % (path, os.path.exists(path)) for path in paths if path)


def task_depends(d):
    """Tasks of other recipes that put into the deploy directory what is read there."""
    if is_product(d) == "0" or flag(d, "TREEWRIGHT") is False:
        return ""
    depends = ["virtual/kernel:do_deploy"]
    initramfs = value(d, "INITRAMFS_IMAGE")
    if initramfs and flag(d, "INITRAMFS_IMAGE_BUNDLE") is not True:
        depends.append("%s:do_image_complete" % initramfs)
    if value(d, "PREFERRED_PROVIDER_virtual/dtb"):
        depends.append("virtual/dtb:do_deploy")
    if image_forms(d):
        depends += ["%s:do_deploy" % name for name in words(d, "PREFERRED_PROVIDER_virtual/bootloader")]
    if value(d, "TREEWRIGHT_NODE") == "native":
        depends += ["nodejs-native:do_populate_sysroot", "xz-native:do_populate_sysroot"]
    return " ".join(depends)


def image_forms(d):
    """The formats of images to make: those that are asked for, and what wic puts into a disk."""
    forms = words(d, "TREEWRIGHT_IMAGES")
    return forms + ["ext4"] if value(d, "TREEWRIGHT_WKS") and "ext4" not in forms else forms


def image_path(d, suffix):
    """Where an image is put: beside the releases."""
    name = "%s-%s%s" % (value(d, "IMAGE_BASENAME"), value(d, "MACHINE"), suffix)
    return os.path.join(value(d, "TREEWRIGHT_OUTPUT") + ".images", name)


def ignored(d):
    """One line for each of meta-updater's variables that is set and has no meaning here."""
    return [
        "%s has no meaning for treewright: %s" % (name, why)
        for name, why in MEANINGLESS.items()
        if value(d, name) not in OFF
    ]


def _identifier(text):
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.") or "product"


def _from_meta_updater(d):
    return value(d, "OSTREE_BRANCHNAME") != "" or value(d, "OSTREE_OSNAME") != ""


def _boot_loader(d):
    text = value(d, "TREEWRIGHT_BOOTLOADER")
    if text:
        return text
    old = value(d, "OSTREE_BOOTLOADER")
    known = {"": None, "u-boot": "u-boot", "syslinux": "extlinux", "none": "none"}
    if old not in known:
        raise SettingsError(
            'OSTREE_BOOTLOADER is "%s", and treewright writes files for U-Boot only; set TREEWRIGHT_BOOTLOADER = "none" '
            "when something else makes the boot entries" % old
        )
    return known[old]


def _device_trees(d):
    names = words(d, "TREEWRIGHT_DEVICETREES")
    if not names and flag(d, "OSTREE_DEPLOY_DEVICETREE"):
        names = words(d, "OSTREE_DEVICETREE")
    deploy = value(d, "DEPLOY_DIR_IMAGE")
    # Deploying drops the vendor's directory.
    return [name if os.path.isabs(name) else os.path.join(deploy, os.path.basename(name)) for name in names]


def _kernel(d):
    name = value(d, "TREEWRIGHT_KERNEL") or value(d, "OSTREE_KERNEL")
    if not name or name == value(d, "KERNEL_IMAGETYPE"):
        return None
    return os.path.join(value(d, "DEPLOY_DIR_IMAGE"), name)


def _expiry(d):
    text = value(d, "TREEWRIGHT_EXPIRES")
    if text:
        return text
    old = value(d, "GARAGE_TARGET_EXPIRE_AFTER")
    if not old:
        return None
    parts = re.fullmatch(r"(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?", old)
    if parts is None:
        raise SettingsError('GARAGE_TARGET_EXPIRE_AFTER is "%s"; expected such as 1Y3M or 30D, or set TREEWRIGHT_EXPIRES' % old)
    years, months, days = (int(part or 0) for part in parts.groups())
    return "%dd" % (years * 365 + months * 30 + days)


def continues(d):
    """The repository whose branch goes on: named, or meta-updater's while it has the branch."""
    text = value(d, "TREEWRIGHT_CONTINUES")
    if text:
        return text
    old, branch = value(d, "OSTREE_REPO"), value(d, "TREEWRIGHT_BRANCH") or value(d, "OSTREE_BRANCHNAME")
    return old if old and branch and os.path.exists(os.path.join(old, "refs/heads", branch)) else None


def _label(kargs):
    """The label that the kernel looks for is the one that the image must have."""
    labels = [word[len("root=LABEL=") :] for word in kargs if word.startswith("root=LABEL=")]
    return labels[-1] if labels else None


def _number(d, name):
    text = value(d, name)
    if text and not text.isdigit():
        raise SettingsError('%s is "%s"; expected a whole number' % (name, text))
    return int(text) if text else None


def settings(d, build_info=None):
    """
    What the variables say, by dotted key. Keys that no variable says anything about are left to the tool. `build_info`
    is the path of the document about the build.
    """
    updater = _from_meta_updater(d)
    link = value(d, "IMAGE_LINK_NAME")
    target = value(d, "GARAGE_TARGET_NAME")
    kargs = words(d, "TREEWRIGHT_KARGS") or words(d, "OSTREE_KERNEL_ARGS")
    root = value(d, "TREEWRIGHT_ROOT")
    readonly = flag(d, "TREEWRIGHT_SYSROOT_READONLY")
    found = {
        "source.yocto": value(d, "DEPLOY_DIR_IMAGE"),
        # The identity of the archive's name, whatever the user has made of it.
        "source.image": re.sub(r"\.rootfs$", "", link) if link else value(d, "IMAGE_BASENAME"),
        "source.device-trees": _device_trees(d),
        "source.kernel": _kernel(d),
        # Files and licences of packages; what do_rootfs needs is still there after it.
        "source.pkgdata": value(d, "PKGDATA_DIR"),
        "source.build-info": build_info,
        "product": value(d, "TREEWRIGHT_PRODUCT") or (_identifier(target) if target else None),
        "machine": value(d, "TREEWRIGHT_MACHINE") or value(d, "SOTA_HARDWARE_ID"),
        "ostree.branch": value(d, "TREEWRIGHT_BRANCH") or value(d, "OSTREE_BRANCHNAME"),
        "ostree.osname": value(d, "TREEWRIGHT_OSNAME") or value(d, "OSTREE_OSNAME"),
        "ostree.layout": value(d, "TREEWRIGHT_LAYOUT") or ("meta-updater" if updater else None),
        "ostree.continues": continues(d),
        "boot.loader": _boot_loader(d),
        "boot.board": value(d, "TREEWRIGHT_BOARD"),
        "boot.root": root,
        "boot.kargs": kargs,
        "boot.commit-kargs": words(d, "TREEWRIGHT_COMMIT_KARGS"),
        "boot.overlays": words(d, "TREEWRIGHT_OVERLAYS"),
        "boot.initramfs.make": value(d, "TREEWRIGHT_INITRAMFS"),
        "boot.rollback.attempts": _number(d, "TREEWRIGHT_ROLLBACK_ATTEMPTS"),
        "boot.rollback.profile": value(d, "TREEWRIGHT_ROLLBACK_PROFILE"),
        "device.scripts": flag(d, "TREEWRIGHT_DEVICE_SCRIPTS"),
        "device.watchdog": value(d, "TREEWRIGHT_WATCHDOG"),
        "image.remote.url": value(d, "TREEWRIGHT_REMOTE_URL"),
        "image.label": _label(kargs + ["root=" + root]),
        # "0" is meta-updater's default, which asks for nothing.
        "image.sysroot-readonly": (flag(d, "OSTREE_SYSROOT_READONLY") or None) if readonly is None else readonly,
        "deltas.from.last": _number(d, "TREEWRIGHT_DELTAS_LAST"),
        "limits.max-download": value(d, "TREEWRIGHT_MAX_DOWNLOAD"),
        "apps": [
            {"compose": path} if name is None else {"compose": path, "name": name} for name, path in apps(d)
        ],
        "documents": [build_info] if build_info else None,
        "signing.keys": value(d, "TREEWRIGHT_KEYS"),
        "signing.expires.targets": _expiry(d),
    }
    return {key: item for key, item in found.items() if item is not None and item != "" and item != []}


def defaults(d):
    """What a configuration needs and no variable says."""
    product = _identifier(value(d, "DISTRO") or "product")
    return {"product": product, "machine": _identifier(value(d, "MACHINE"))}


def nested(flat):
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    document = {}
    for key, item in flat.items():
        *path, last = key.split(".")
        place = document
        for name in path:
            place = place.setdefault(name, {})
        place[last] = item
    return document
