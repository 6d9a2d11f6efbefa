"""Rules on IDs in inbound files that depend on their type, or on the kind of file, as patterns of what breaks them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converter.spec.files import DEVICE_HYPHEN, DEVICE_ZERO, ID_FORM_WRONG, ID_SPACED, SYNC_ENCODED, FileRule
from converter.spec.ids import GLOBAL_DATA_SOURCES, ID_TYPES, IdType
from converter.spec.names import OF_IDS, FileName, Kind

PATTERNS = {DEVICE_ZERO: "^0{8}[0-]*$", DEVICE_HYPHEN: "-", SYNC_ENCODED: "%[0-9A-Fa-f]{2}", ID_SPACED: "^ | $"}


def type_of(dpid: int) -> IdType:
    """Return the type of the IDs of a data source, by its number."""
    return ID_TYPES["uuid"] if dpid == 0 else GLOBAL_DATA_SOURCES.get(dpid, ID_TYPES["crm"])


def types_of(name: FileName) -> Sequence[IdType]:
    """Return the types of the IDs of a line, in their order; one type where a line may have any number of IDs."""
    if name.kind == "odc":
        return [ID_TYPES["idfa"]]  # or those of Android: device IDs in either case
    return [ID_TYPES["crm"]] if name.kind == "c2c-id-sync" else [type_of(dpid) for dpid in name.dpids]


def forms_text(name: FileName) -> str:
    """Return a sentence on the forms of the IDs in the files of a name, where an ID has another one."""
    types = {f"IDs of {dpid} ({type_.title})": type_ for dpid in name.dpids if (type_ := type_of(dpid)).characters}
    if name.kind == "c2c-id-sync":
        types["hashes"] = ID_TYPES["hashed_email"]
    forms = "; ".join(f"{whose} are {type_.describe}" for whose, type_ in types.items())
    return f"{ID_FORM_WRONG.text.removesuffix('.')}: {forms}."


def patterns_of(type_: IdType, kind: Kind) -> Iterator[tuple[FileRule, str]]:
    """Yield the rules on IDs of a type in a kind of file, with the pattern that an ID matches which breaks it."""
    applies = {
        DEVICE_ZERO: type_.device,
        DEVICE_HYPHEN: type_.doubtful,
        SYNC_ENCODED: kind in OF_IDS,
        ID_SPACED: kind == "data" and not type_.characters,  # others have a form, or end where their line does
    }
    yield from ((rule, pattern) for rule, pattern in PATTERNS.items() if applies[rule])
