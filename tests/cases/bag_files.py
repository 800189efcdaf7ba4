"""Cases that damage the bag: its files, their names, manifests, tag files and compression."""

from kit.bundle import bag
from tests.cases.case import damaged, edit, group
from tests.edits.files import add_file, edit_file, remove_file, reseal, reseal_changed

METRICS_FILE = "data/metrics/warmup-0-before.prom.gz"


def reversed_lines(text: bytes) -> bytes:
    """Return the lines in reverse order."""
    return b"".join(reversed(text.splitlines(keepends=True)))


def repeated_line(text: bytes) -> bytes:
    """Return the lines with the first one twice."""
    return text.splitlines(keepends=True)[0] + text


BAG_FILES = group(
    "Files of the bag",
    damaged("A byte of a payload file is changed", "integrity-digest",
            edit(edit_file, bag.RECORDS, lambda text: text.replace(b"warmup", b"warmuq", 1))),
    damaged("A payload file is removed", "integrity-missing-file",
            edit(remove_file, "data/metrics/measured-1-after.prom.gz")),
    damaged("`bundle.json` is removed", "integrity-missing-file", edit(remove_file, bag.DOCUMENT)),
    damaged("`bag-info.txt` is removed", "integrity-missing-file", edit(remove_file, bag.BAG_INFO)),
    damaged("A payload file is added that no manifest lists", "integrity-unlisted-file",
            edit(add_file, "data/metrics/stream-2-after.prom.gz", bag.compress(b""))),
    damaged("A script is added to the payload", "integrity-unknown-file",
            edit(add_file, "data/run.sh", b"#!/bin/sh\n")),
    damaged("A file is added beside the bag's own", "integrity-unknown-file",
            edit(add_file, ".DS_Store", b"x")),
    damaged("A `fetch.txt` is added", "integrity-fetch",
            edit(add_file, "fetch.txt", b"http://example.org/x 1 data/x\n")),
    damaged("A file's name leads out of the bag", "integrity-name",
            edit(add_file, "data/../../x", b"x")),
    damaged("A name in the manifest leads out of the bag", "integrity-name",
            edit(edit_file, bag.MANIFEST,
                 lambda text: text + b"0" * 64 + b"  data/../../../etc/passwd\n")),
    damaged("A file's name is absolute", "integrity-name", edit(add_file, "/etc/passwd", b"x")),
    damaged("A file's name has a backslash", "integrity-name", edit(add_file, "data\\x", b"x")),
    damaged("A file's name has a terminal escape", "integrity-name",
            edit(add_file, "data/\x1b[2J", b"x")),
    damaged("The manifest's lines are in another order", "integrity-manifest",
            edit(edit_file, bag.MANIFEST, reversed_lines)),
    damaged("The manifest has a line twice", "integrity-manifest",
            edit(edit_file, bag.MANIFEST, repeated_line)),
    damaged("The manifest is in upper case", "integrity-manifest",
            edit(edit_file, bag.MANIFEST, bytes.upper)),
    damaged("The BagIt version is another one", "integrity-tag-file",
            edit(edit_file, bag.BAGIT, lambda text: text.replace(b"1.0", b"0.9"))),
    damaged("The bagging date is another one", "integrity-tag-file",
            edit(edit_file, bag.BAG_INFO, lambda text: text.replace(b"2026", b"2025"))),
    damaged("The tag manifest marks its files as binary", "integrity-tag-file",
            edit(edit_file, bag.TAG_MANIFEST, lambda text: text.replace(b"  ", b" *"))),
    damaged("A metrics file is not compressed", "integrity-gzip",
            edit(reseal, METRICS_FILE, b"plain text")),
    damaged("A metrics file has two gzip members", "integrity-gzip",
            edit(reseal_changed, METRICS_FILE, lambda data: data + bag.compress(b"more"))),
    damaged("A metrics file inflates to more than allowed", "integrity-gzip",
            edit(reseal, METRICS_FILE, bag.compress(bytes(17 * 2**20)))),
    damaged("The server's log is cut off", "integrity-gzip",
            edit(reseal_changed, bag.SERVER_LOG, lambda data: data[:-3])),
)  # fmt: skip
