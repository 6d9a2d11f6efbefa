"""Delta tables whose logs have what the package does not write."""

from __future__ import annotations

import base64
import json
import struct
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def commit(folder: Path, *actions: dict[str, Any]) -> None:
    """Write a version whose log has these actions."""
    version = max(int(path.stem) for path in (folder / "_delta_log").glob("*.json")) + 1
    (folder / f"_delta_log/{version:020}.json").write_text("\n".join(map(json.dumps, actions)))


def protocol(*features: str) -> dict[str, Any]:
    """Return the action after which a table has features."""
    return {
        "protocol": {
            "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features,
        }
    }  # fmt: skip


def delete_rows(folder: Path, rows: Sequence[int]) -> Path:
    """Delete rows of the file of a table that was added first, by a deletion vector in a file, which is returned."""
    log = [line for path in sorted((folder / "_delta_log").glob("*.json")) for line in path.read_text().splitlines()]
    added = [json.loads(line)["add"] for line in log if '"add"' in line]
    add = [each for each in added if each["path"] == added[0]["path"]][-1]
    # A bitmap of 64 bits, with one of 32 bits, with one container of 16 bits, an array (RoaringFormatSpec).
    bitmap = struct.pack("<IQIIIHHI", 1681511377, 1, 0, 12346, 1, 0, len(rows) - 1, 16)
    bitmap += struct.pack(f"<{len(rows)}H", *rows)
    name = uuid.uuid4()
    file = folder / f"deletion_vector_{name}.bin"
    file.write_bytes(b"\x01" + struct.pack(">I", len(bitmap)) + bitmap + struct.pack(">I", zlib.crc32(bitmap)))
    z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    b85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    vector = {
        "storageType": "u",
        "pathOrInlineDv": base64.b85encode(name.bytes).translate(bytes.maketrans(b85, z85)).decode(),
        "offset": 1,
        "sizeInBytes": len(bitmap),
        "cardinality": len(rows),
    }
    removed = {"path": add["path"], "dataChange": True, "deletionTimestamp": 1, "partitionValues": {}}
    if "deletionVector" in add:
        removed["deletionVector"] = add["deletionVector"]
    commit(folder, protocol("deletionVectors"))
    commit(folder, {"remove": removed}, {"add": {**add, "deletionVector": vector}})
    return file
