# SPDX-License-Identifier: MIT
"""What the class treewright.bbclass does, importable by BitBake (addpylib) and by tests."""

BBIMPORTS = ["variables", "settings", "task", "kernel", "wic"]
