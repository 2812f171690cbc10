# SPDX-License-Identifier: MIT
"""What the class treewright-kernel.bbclass does: the sources of a kernel, for the releases that boot it."""

import json

import bb


def source(d):
    """The sources as JSON: addresses without what BitBake alone understands, and the revision of each repository."""
    found = []
    for uri in (d.getVar("SRC_URI") or "").split():
        data = bb.fetch2.FetchData(uri, d)
        if data.type == "file":
            continue
        scheme, host, path, _, _, _ = bb.fetch2.decodeurl(uri)
        address = "%s://%s%s" % (getattr(data, "proto", None) or scheme, host, path)
        for name in data.names:
            entry = {"uri": address}
            if data.method.supports_srcrev():
                # A dictionary until styhead, where a download may have several names.
                entry["revision"] = data.revisions[name] if hasattr(data, "revisions") else data.revision
            found.append(entry)
    return json.dumps({"version": d.getVar("PV"), "sources": found}, indent=2)
