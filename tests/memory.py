"""A destination in memory: what the protocol `Destination` means, as short as it can be said."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from isal import isal_zlib

from converter.delivery.destinations.base import Arrived
from converter.errors import DestinationError, Finding
from converter.spec.names import FileName


@dataclass
class Store:
    """What is there, for all destinations that share it."""

    visible: dict[str, bytes] = field(default_factory=dict)
    hidden: dict[str, bytes] = field(default_factory=dict)
    claims: dict[str, MemoryDestination] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class MemoryDestination:
    """Parts in a `Store`."""

    direct = False
    at_once = None

    def __init__(self, store: Store) -> None:
        self._store = store
        self.on_retry: Callable[[str], None] = lambda _: None  # no client repeats requests by itself

    @property
    def identity(self) -> str:
        return f"memory:{id(self._store)}"

    def claim(self, name: FileName, *, own: bool = False, visible: bool = False) -> list[Finding]:
        found = self.check(name)
        with self._store.lock:
            if self._store.claims.setdefault(name.stem, self) is not self:
                found.append(Finding("E-NAME-IN-USE", f"'{name.stem}' is claimed.", "Use another timestamp (N2)."))
        if found:
            self.release(name)
        return found

    def release(self, name: FileName) -> None:
        with self._store.lock:
            if self._store.claims.get(name.stem) is self:
                del self._store.claims[name.stem]

    def check(self, name: FileName) -> list[Finding]:
        taken = [each for each in [*self._store.visible, *self._store.hidden] if name.has_part(each)]
        return [Finding("E-NAME-TAKEN", f"'{each}' is there already.", "Use another timestamp (N2).") for each in taken]

    def create(self, name: str) -> _MemoryPart:
        return _MemoryPart(self._store, name)

    def holds(self, part: Arrived) -> bool:
        there = (self._store.hidden.get(part.name), self._store.visible.get(part.name))
        return any(content is not None and len(content) == part.bytes for content in there)

    def publish(self, part: Arrived) -> None:
        with self._store.lock:
            content = self._store.hidden.pop(part.name, None)
            there = self._store.visible.get(part.name)
            if there is not None:
                if (len(there), isal_zlib.crc32(there)) != (part.bytes, part.crc32):
                    raise DestinationError(
                        "E-NAME-TAKEN", f"'{part.name}' is there already.", "Nothing is ever overwritten (N2)."
                    )
            elif content is None:
                raise DestinationError("E-NAME-TAKEN", f"'{part.name}' is not there any more.", "Send it again.")
            else:
                self._store.visible[part.name] = content

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        self._store.hidden.pop(name, None)

    def sweep(self, name: FileName, keep: Collection[Arrived]) -> None:
        kept = {part.name for part in keep}
        for each in list(self._store.hidden):
            if name.has_part(each) and each not in kept:
                del self._store.hidden[each]

    def url(self, name: str) -> str:
        return f"memory:{name}"

    def close(self) -> None:
        pass


class _MemoryPart:
    """A part in memory."""

    state: Mapping[str, Any] = {}

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        store.hidden[name] = b""

    def write(self, data: bytes | memoryview) -> None:
        self._store.hidden[self._name] += data

    def finish(self) -> Arrived:
        content = self._store.hidden[self._name]
        return Arrived(self._name, len(content), isal_zlib.crc32(content), self.state)

    def abort(self) -> None:
        self._store.hidden.pop(self._name, None)
