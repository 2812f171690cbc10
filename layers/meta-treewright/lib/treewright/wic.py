# SPDX-License-Identifier: MIT
"""The task do_treewright_wic: wic puts the root filesystem that do_treewright has made into a disk image."""

import os
import re
import shlex
import shutil
import subprocess

import bb

from .settings import SettingsError, image_path, value


def add(d):
    """Adds the task to an image that is a release, as image_types_wic.bbclass adds do_image_wic. Called by the parser."""
    path = kickstart(d)
    if path is not None:
        bb.parse.mark_dependency(d, path)
        with open(path) as file:
            # As a variable, so that what it refers to is part of the task's checksum.
            d.setVar("TREEWRIGHT_WKS_TEXT", file.read())
    d.setVarFlag("TREEWRIGHT_WKS_TEXT", "vardepsexclude", "TREEWRIGHT_OUTPUT DEPLOY_DIR_IMAGE")
    bb.build.addtask("do_treewright_wic", "do_build", "do_treewright", d)


def kickstart(d):
    """Path of the kickstart file, or None."""
    name = value(d, "TREEWRIGHT_WKS")
    for folder in value(d, "WKS_SEARCH_PATH").split(":"):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    return None


def run(d):
    """Makes the image and its .bmap, if wic makes one, beside the releases. What goes wrong ends in one bb.fatal."""
    work = os.path.join(value(d, "WORKDIR"), "treewright-wic")
    try:
        command = [*shlex.split(value(d, "WIC_CREATE_EXTRA_ARGS"))]
        command = ["wic", "create", write_kickstart(d, work), "--vars", work, "-e", write_variables(d, work)] + command
    except SettingsError as error:
        bb.fatal(str(error))
    made, log = os.path.join(work, "out"), os.path.join(work, "wic.log")
    env = dict(os.environ, PATH=value(d, "PATH"), BUILDDIR=value(d, "TOPDIR"))
    with open(log, "w") as file:
        command += ["-o", made, "-w", os.path.join(work, "tmp")]
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    with open(log) as file:
        text = file.read()
    bb.note(text)
    names = os.listdir(made) if os.path.isdir(made) else []
    images = [name for name in names if name.endswith(".direct")]
    if done.returncode != 0 or len(images) != 1:
        said = [line for line in text.splitlines() if line.startswith("ERROR")] or ["it ended with code %d" % done.returncode]
        bb.fatal("wic with %s: %s; see %s" % (value(d, "TREEWRIGHT_WKS"), said[-1], log))
    path = image_path(d, ".wic")
    for suffix in ("", ".bmap"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)
        if images[0] + suffix in names:
            shutil.move(os.path.join(made, images[0] + suffix), path + suffix)
    bb.plain("treewright: %s" % path)


def write_kickstart(d, work):
    """Writes the kickstart file with its variables expanded, whatever its suffix; answers its path."""
    text = d.getVar("TREEWRIGHT_WKS_TEXT")
    if text is None:
        raise SettingsError(
            "there is no kickstart file %s: TREEWRIGHT_WKS must be a path or a name found in WKS_SEARCH_PATH, which is %s"
            % (value(d, "TREEWRIGHT_WKS"), value(d, "WKS_SEARCH_PATH"))
        )
    unknown = re.search(r"\$\{[^{}@\s:]+\}", re.sub(r"(?m)^\s*#.*$", "", text))
    if unknown:
        raise SettingsError("%s refers to %s, which is not set" % (value(d, "TREEWRIGHT_WKS"), unknown.group()))
    name = os.path.basename(value(d, "TREEWRIGHT_WKS"))
    path = os.path.join(work, re.sub(r"(\.wks)?(\.in)?$", "", name) + ".wks")
    with open(path, "w") as file:
        file.write(text)
    return path


def write_variables(d, work):
    """Writes what wic wants to know of the build, as do_rootfs_wicenv does; answers the name to call it by."""
    found = {name: value(d, name) for name in value(d, "WICVARS").split()}
    if not os.path.isdir(found.get("IMAGE_ROOTFS", "")) and "--source rootfs" not in d.getVar("TREEWRIGHT_WKS_TEXT"):
        # An image that came from sstate has none; wic wants the directory even when no part is made of it.
        found["IMAGE_ROOTFS"] = os.path.join(work, "rootfs")
        os.makedirs(found["IMAGE_ROOTFS"])
    with open(os.path.join(work, value(d, "IMAGE_BASENAME") + ".env"), "w") as file:
        file.writelines('%s="%s"\n' % item for item in found.items() if item[1])
    return value(d, "IMAGE_BASENAME")
