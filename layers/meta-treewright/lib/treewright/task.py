# SPDX-License-Identifier: MIT
"""The task do_treewright. It reads files of the deploy directory only, so that it needs no pseudo."""

import hashlib
import json
import os
import shutil
import subprocess

import bb
import oe.buildcfg

from . import settings as config
from .settings import SettingsError, flag, value

NODE_VERSION = (20, 19)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def run(d):
    """Makes the release, and the images that TREEWRIGHT_IMAGES names. What goes wrong ends in one bb.fatal."""
    for line in config.ignored(d):
        bb.warn(line)
    try:
        tool = [find_node(d), check_bundle(d)]
        env = environment(d)
        make_keys(d, tool, env)
        options = configuration(d)
    except SettingsError as error:
        bb.fatal(str(error))
    strict = ["--strict"] if flag(d, "TREEWRIGHT_STRICT") else []
    output = value(d, "TREEWRIGHT_OUTPUT")
    release = ["release"] + options + strict + ["--version", value(d, "TREEWRIGHT_VERSION"), "--output", output]
    answer = call(d, tool, release, env)
    bb.plain(summary(d, answer))
    for form in config.image_forms(d):
        image(d, tool, env, options + strict, form, answer["version"])


def find_node(d):
    """Path of node, which must be new enough. Of the two places nodejs-native's comes first in PATH."""
    if value(d, "TREEWRIGHT_NODE") not in ("host", "native"):
        raise SettingsError('TREEWRIGHT_NODE is "%s"; expected "host" or "native"' % value(d, "TREEWRIGHT_NODE"))
    node = shutil.which("node", path=value(d, "PATH"))
    needed = ".".join(str(part) for part in NODE_VERSION)
    if node is None:
        raise SettingsError(
            "treewright needs Node %s or newer, and there is no node: install it on the build machine and start BitBake "
            'again, or set TREEWRIGHT_NODE = "native" to build nodejs-native' % needed
        )
    text = subprocess.run([node, "--version"], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    found = tuple(int(part) for part in text.lstrip("v").split(".")[:2])
    if found < NODE_VERSION:
        raise SettingsError(
            "treewright needs Node %s or newer, and %s is %s: install a newer one on the build machine, or set "
            'TREEWRIGHT_NODE = "native" to build nodejs-native' % (needed, node, text)
        )
    return node


def check_bundle(d):
    """Path of the tool, whose checksum must be the one that is known."""
    bundle = os.path.normpath(value(d, "TREEWRIGHT_BUNDLE"))
    if not os.path.isfile(bundle):
        raise SettingsError(
            "%s is not there: TREEWRIGHT_BUNDLE must be the path of treewright.mjs (npm run bundle makes it)" % bundle
        )
    wanted = value(d, "TREEWRIGHT_BUNDLE_SHA256")
    source = "TREEWRIGHT_BUNDLE_SHA256"
    if not wanted:
        source = bundle + ".sha256"
        try:
            with open(source) as file:
                wanted = (file.read().split() or [""])[0]
        except FileNotFoundError:
            raise SettingsError(
                "the checksum of %s is not known: set TREEWRIGHT_BUNDLE_SHA256, or put %s beside it" % (bundle, source)
            )
    with open(bundle, "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    if found != wanted.lower():
        raise SettingsError("%s is not the file that %s names: expected sha256 %s, found %s" % (bundle, source, wanted, found))
    return bundle


def environment(d):
    """
    A small environment. SOURCE_DATE_EPOCH is not passed on: for image recipes it is a constant of 2011, and devices
    refuse a commit that is older than theirs.
    """
    env = {"PATH": value(d, "PATH"), "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": os.environ.get("HOME", value(d, "WORKDIR"))}
    if value(d, "TREEWRIGHT_TIMESTAMP"):
        env["SOURCE_DATE_EPOCH"] = value(d, "TREEWRIGHT_TIMESTAMP")
    passphrase = value(d, "TREEWRIGHT_KEY_PASSPHRASE_FILE")
    if passphrase:
        try:
            with open(passphrase) as file:
                env["TREEWRIGHT_KEY_PASSPHRASE"] = file.read().rstrip("\n")
        except OSError as error:
            raise SettingsError("TREEWRIGHT_KEY_PASSPHRASE_FILE: %s cannot be read (%s)" % (passphrase, error.strerror))
    if flag(d, "TREEWRIGHT_NETWORK"):
        for name in _PROXIES + tuple(name.upper() for name in _PROXIES):
            if value(d, name):
                env[name] = value(d, name)
    return env


def make_keys(d, tool, env):
    """Makes keys when there are none. Several images may want to at once."""
    keys = value(d, "TREEWRIGHT_KEYS")
    if os.path.isdir(keys):
        return
    if not flag(d, "TREEWRIGHT_MAKE_KEYS"):
        raise SettingsError("there are no keys in %s: set TREEWRIGHT_KEYS, or make them with `treewright init`" % keys)
    lock = bb.utils.lockfile(keys + ".lock")
    try:
        if os.path.isdir(keys):
            return
        scratch = keys + ".new"
        shutil.rmtree(scratch, ignore_errors=True)
        known = dict(config.defaults(d), **config.settings(d))
        call(d, tool, ["init", scratch, "--product", known["product"], "--machine", known["machine"]], env)
        os.rename(os.path.join(scratch, "keys"), keys)
        shutil.rmtree(scratch)
    finally:
        bb.utils.unlockfile(lock)
    bb.warn("new keys were made in %s: back them up, and move root.key off this machine once it is backed up" % keys)


def configuration(d):
    """Options that give the configuration: the user's file with what variables say, or a file of our own."""
    found = config.settings(d, build_info(d, layer_revisions(d)))
    own = value(d, "TREEWRIGHT_CONFIG")
    if own:
        if not os.path.isfile(own):
            raise SettingsError("TREEWRIGHT_CONFIG: there is no file %s" % own)
        text = lambda item: item if isinstance(item, str) else json.dumps(item)
        return ["--config", own] + [part for key, item in found.items() for part in ("--set", "%s=%s" % (key, text(item)))]
    # JSON is YAML, and needs no quoting of ours.
    path = os.path.join(value(d, "WORKDIR"), "treewright", "treewright.yaml")
    with open(path, "w") as file:
        json.dump(config.nested(dict(config.defaults(d), **found)), file, indent=2)
        file.write("\n")
    return ["--config", path]


def layer_revisions(d):
    """Name, branch and revision of each layer, and whether it has changes that are in no commit."""
    return [
        {"name": name, "branch": branch, "revision": revision, "modified": modified != ""}
        for _, name, branch, revision, modified in oe.buildcfg.get_layer_revisions(d)
    ]


def build_info(d, layers):
    """Path of a document about the build: what its SBOM does not have."""
    names = ("DISTRO", "DISTRO_VERSION", "MACHINE", "IMAGE_BASENAME", "IMAGE_NAME", "LAYERSERIES_CORENAMES")
    document = {
        "variables": {name: value(d, name) for name in names},
        "layers": layers,
        "kernel": {"recipe": value(d, "PREFERRED_PROVIDER_virtual/kernel"), "type": value(d, "KERNEL_IMAGETYPE")},
    }
    path = os.path.join(value(d, "WORKDIR"), "treewright", "build-info.json")
    with open(path, "w") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
    return path


def call(d, tool, arguments, env):
    """Runs the tool; its warnings become BitBake's, its error the task's. Answers its JSON document."""
    command = tool + arguments + ["--json"]
    bb.note("running %s" % " ".join(command))
    log = os.path.join(value(d, "WORKDIR"), "treewright", "%s.log" % arguments[0])
    with open(log, "w") as stderr:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True)
    with open(log) as stderr:
        bb.note(stderr.read())
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        bb.fatal("treewright %s ended with code %d and without an answer; see %s" % (arguments[0], done.returncode, log))
    for diagnostic in answer.get("diagnostics", []):
        if diagnostic["severity"] == "warning":
            bb.warn("%s [%s]" % (diagnostic["message"], diagnostic["code"]))
        elif diagnostic["severity"] == "error":
            bb.error("%s [%s]" % (diagnostic["message"], diagnostic["code"]))
    if done.returncode != 0:
        error = answer.get("error", {"message": "it failed", "code": "internal/no-error"})
        hint = "; %s" % error["hint"] if error.get("hint") else ""
        bb.fatal("treewright %s: %s [%s]%s" % (arguments[0], error["message"], error["code"], hint))
    with open(os.path.join(value(d, "WORKDIR"), "treewright", "%s.json" % arguments[0]), "w") as file:
        file.write(done.stdout)
    return answer


def summary(d, answer):
    """One line about a release."""
    objects = answer["objects"]
    return "treewright: %s %s for %s: commit %s on %s, %d of %d objects new, in %s%s" % (
        answer["product"],
        answer["version"],
        answer["machine"],
        answer["commit"],
        answer["branch"],
        objects["written"],
        objects["total"],
        answer["output"],
        " (published before; nothing is new)" if answer["unchanged"] else "",
    )


IMAGE_SUFFIX = {"tar": ".tar", "ext4": ".ext4", "disk": ".img", "genimage": "-genimage", "wic": "-wic"}


def image(d, tool, env, options, form, version):
    """Makes the image of a new device, beside the releases."""
    if form not in IMAGE_SUFFIX:
        bb.fatal('TREEWRIGHT_IMAGES: there is no format "%s"; expected %s' % (form, ", ".join(IMAGE_SUFFIX)))
    release = value(d, "TREEWRIGHT_OUTPUT")
    path = config.image_path(d, IMAGE_SUFFIX[form])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    for old in (path, path + ".bmap"):
        if os.path.isdir(old):
            shutil.rmtree(old)
        elif os.path.exists(old):
            os.remove(old)
    arguments = ["image"] + options + ["--release", release, "--version", version, "--format", form, "--output", path]
    bb.plain("treewright: %s" % call(d, tool, arguments, env)["output"])
