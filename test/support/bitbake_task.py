"""
Runs a task of an image class as BitBake does, without BitBake: variables of the class over those of a testdata.json,
expansion, flags, the layer's Python modules, and `bb` as far as a task uses it. Reads one JSON document:

    {"class": PATH, "layer": PATH, "testdata": PATH, "set": {VARIABLE: VALUE}, "task": NAME or null, "print": [EXPRESSION]}

Prints one JSON document with what was told and what the expressions gave. Exit code 1: the task failed.
"""

import fcntl
import json
import os
import re
import shutil
import sys
import types


class Data:
    """BitBake's datastore, with the part of its expansion that variables of a class use."""

    def __init__(self):
        self.values, self.weak, self.flags, self.functions = {}, {}, {}, {}
        self.globals = {}

    def setVar(self, name, text):
        self.values[name] = text

    def setVarFlag(self, name, flag, text):
        self.flags.setdefault(name, {})[flag] = text

    def getVarFlag(self, name, flag):
        text = self.flags.get(name, {}).get(flag)
        return None if text is None else self.expand(text)

    def getVar(self, name, expand=True):
        text = self.values.get(name, self.weak.get(name))
        return self.expand(text) if expand and text is not None else text

    def expand(self, text):
        while True:
            match = re.search(r"\$\{(@.+?|[\w:/+-]+)\}(?![^$]*\]\s*\})", text, re.S)
            if match is None:
                return text
            inner = match.group(1)
            if inner.startswith("@"):
                value = str(eval(inner[1:], self.globals, {"d": self}))
            else:
                value = self.getVar(inner)
                if value is None:
                    # BitBake leaves what it does not know as it is.
                    value = "$\0{" + inner + "}"
            text = text[: match.start()] + value + text[match.end() :]
            if "\0" in text and not re.search(r"\$\{", text):
                return text.replace("$\0{", "${")

    def read_class(self, path):
        lines = iter(open(path).read().split("\n"))
        for line in lines:
            while line.endswith("\\"):
                line = line[:-1] + next(lines)
            if not line or line.startswith("#"):
                continue
            function = re.match(r"python (\w*)\s*\(\)\s*\{$", line)
            if function:
                body = []
                for part in lines:
                    if part == "}":
                        break
                    body.append(part)
                self.functions[function.group(1)] = "\n".join(body)
                continue
            if line.startswith("addtask "):
                continue
            assignment = re.match(r'([\w:/+-]+)(?:\[([\w-]+)\])?\s*(\?\?=|\?=|\+=|:=|=)\s*(["\'])(.*)\4$', line)
            if assignment is None:
                raise SyntaxError("%s: %s" % (path, line))
            self.assign(*assignment.group(1, 2, 3, 5))

    def assign(self, name, flag, operator, text):
        if name.endswith(":append"):
            name = name[: -len(":append")]
            self.values[name] = self.values.get(name, "") + text
        elif flag:
            old = self.flags.get(name, {}).get(flag)
            self.setVarFlag(name, flag, "%s %s" % (old, text) if operator == "+=" and old else text)
        elif operator == "??=":
            self.weak[name] = text
        elif operator == "?=":
            self.values.setdefault(name, text)
        elif operator == "+=":
            self.values[name] = "%s %s" % (self.values.get(name, ""), text)
        else:
            self.values[name] = self.expand(text) if operator == ":=" else text


class Fatal(Exception):
    pass


def fake_bb(told):
    bb = types.ModuleType("bb")

    def tell(level):
        return lambda *texts: told.append([level, " ".join(str(text) for text in texts)])

    for level in ("plain", "note", "warn", "error", "debug"):
        setattr(bb, level, tell(level))

    def fatal(text):
        told.append(["fatal", text])
        raise Fatal()

    bb.fatal = fatal
    bb.parse = types.ModuleType("bb.parse")
    bb.parse.mark_dependency = lambda d, path: open(path).close()
    bb.build = types.ModuleType("bb.build")
    bb.build.addtask = lambda task, before, after, d: d.setVarFlag(task, "added", "%s %s" % (after, before))
    bb.utils = types.ModuleType("bb.utils")

    def lockfile(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        file = open(path, "a+")
        fcntl.flock(file, fcntl.LOCK_EX)
        return file

    bb.utils.lockfile = lockfile
    bb.utils.unlockfile = lambda file: file.close()
    return bb


def fake_oe():
    oe = types.ModuleType("oe")
    oe.types = types.ModuleType("oe.types")
    oe.buildcfg = types.ModuleType("oe.buildcfg")
    oe.buildcfg.get_layer_revisions = lambda d: [("/layers/meta", "meta", "scarthgap", "0" * 40, "")]
    oe.types.boolean = lambda text: str(text).lower() in ("yes", "y", "true", "t", "1")
    return oe


def main():
    request = json.load(sys.stdin)
    told, values = [], []
    d = Data()
    bb = sys.modules["bb"] = fake_bb(told)
    oe = sys.modules["oe"] = fake_oe()
    sys.modules["oe.buildcfg"] = oe.buildcfg
    sys.path.insert(0, os.path.join(request["layer"], "lib"))
    sys.dont_write_bytecode = True
    import treewright

    for name in treewright.BBIMPORTS:
        __import__("treewright." + name)
    d.globals = {"bb": bb, "oe": oe, "treewright": treewright, "os": os}
    d.values.update(json.load(open(request["testdata"])))
    # Not of the datastore that the class was read into, but what the class itself gave.
    for name in list(d.values):
        if name.startswith("TREEWRIGHT") or name == "IMAGE_CMD_TAR":
            del d.values[name]
    d.setVar("TREEWRIGHT_LAYERDIR", request["layer"])
    d.read_class(request["class"])
    for name, text in request.get("set", {}).items():
        d.setVar(name, text)
    code = 0
    try:
        exec(compile("def f(d):\n" + d.functions[""], "anonymous", "exec"), d.globals)
        d.globals["f"](d)
        task = request.get("task")
        if task:
            run(d, task)
    except Fatal:
        code = 1
    for expression in request.get("print", []):
        values.append(eval(expression, d.globals, {"d": d}))
    json.dump({"told": told, "values": values}, sys.stdout)
    return code


def run(d, task):
    if d.getVarFlag(task, "noexec"):
        return
    for folder in (d.getVarFlag(task, "cleandirs") or "").split():
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    for folder in (d.getVarFlag(task, "dirs") or "").split():
        os.makedirs(folder, exist_ok=True)
        os.chdir(folder)
    locks = [d.globals["bb"].utils.lockfile(path) for path in (d.getVarFlag(task, "lockfiles") or "").split()]
    exec(compile("def task(d):\n" + d.functions[task], task, "exec"), d.globals)
    d.globals["task"](d)
    for lock in locks:
        lock.close()


sys.exit(main())
