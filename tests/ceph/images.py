#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-only
"""images.py state [--ids] | export rbd/ID@SNAPSHOT[:OPTIONS] FILE

What lies in the pool rbd of the cluster of $CEPH_CONF: all images, their parents
and snapshots, those out of sight too, and the trash; or the content of one
snapshot, of an image named by its id."""
import os
import sys

import rados
import rbd


def parent_of(image):
    try:
        return image.parent_id()
    except rbd.ImageNotFound:
        return ""


def state(io, with_ids):
    for name in sorted(rbd.RBD().list(io)):
        with rbd.Image(io, name, read_only=True) as i:
            ids = (i.id(), parent_of(i)) if with_ids else (bool(parent_of(i)),)
            print(name, *ids, i.size(), [(s["name"], s["namespace"]) for s in i.list_snaps()])
    print("trash", [e["name"] for e in rbd.RBD().trash_list(io)])


def export(io, what, path):
    image_id, snapshot = what.partition(":")[0].partition("/")[2].split("@")
    with rbd.Image(io, image_id=image_id, snapshot=snapshot, read_only=True) as i, \
            open(path, "wb") as out:
        def copy(offset, length, exists):
            if exists:
                out.seek(offset)
                out.write(i.read(offset, length))
        out.truncate(i.size())
        i.diff_iterate(0, i.size(), None, copy)


def main(verb, *words):
    with rados.Rados(conffile=os.environ["CEPH_CONF"]) as cluster, \
            cluster.open_ioctx("rbd") as io:
        if verb == "state":
            state(io, "--ids" in words)
        else:
            export(io, *words)


main(*sys.argv[1:])
