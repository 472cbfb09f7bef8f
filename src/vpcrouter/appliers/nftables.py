"""One nftables table of this network namespace: change it in one transaction, and prove that it is as desired.

Called by `router.py` with the desired ruleset. Other tables are not ours and are left alone.

The proof costs nothing while nobody else writes: the kernel counts transactions (the generation). If the
generation is the one that our last transaction left, the table is what we loaded, and the difference to that is
all there is to do. Otherwise (at start, or after a transaction of somebody else) the table is compared:

    what the kernel lists for our table   =?   what a kernel lists that was given the desired table
                                               (in a throwaway network namespace)

Both went through nft's own way of writing, so the comparison needs no understanding of rules, and the second is
kept (as digests) for as long as the same ruleset is asked for. Equal: trusted again. Different: what differs is filled
anew, and the table is compared once more; only if that is not enough, the whole table is replaced, which costs packets
(`plan.nftables`). So an applier that starts beside a table of another role or an older state loses none. A table that
was not there is loaded and trusted: the generation proves that it was our transaction, whole and alone.

The least change of a table that we know is done by libnftables in this process (`_libnftables`), where there is one:
that costs what the change costs. Everything else, all that is the first of an applier included, is a run of `nft`.

What the table's counters have counted comes back with a table that was replaced, up to the moment before. Where
somebody had deleted the table, it is what was last asked for (`traffic`).

Known holes: a generation that somebody raised and that then wrapped around by 2^32 would be taken for ours; rules
must name devices by name (`iifname`), for the throwaway namespace has none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any

from attrs import field, frozen

from vpcrouter.appliers import _process
from vpcrouter.appliers._libnftables import NftLibrary, open_library
from vpcrouter.appliers._sockets import GenerationSocket
from vpcrouter.errors import ApplierError
from vpcrouter.plan.nftables import (
    NO_TABLE,
    NOTHING_COUNTED,
    Damage,
    can_change,
    change_script,
    mend_script,
    remove_script,
    replace_script,
    ruleset_text,
)
from vpcrouter.values.desired import Ruleset
from vpcrouter.values.traffic import Traffic

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}", re.ASCII)
_BLOCK = re.compile(r"^\t(\w+ [^\s{]+) \{\n(.*?)^\t\}\n", re.ASCII | re.DOTALL | re.MULTILINE)
_BRACES = re.compile(r"\{ ([^{}]*) \}", re.ASCII)
_COMMA = re.compile(r",\s+", re.ASCII)
_TIMEOUT = 60.0
"""Seconds for one run of nft; 10,000 rules take 0.4 s here, with an anonymous set in every third 6 s."""
_LEAST = 64 * 1024
"""Characters of a change that libnftables does here: a longer one takes memory that stays, and more than a start."""
_TRIES = 4
"""Times that a settle starts again when somebody else wrote in the middle of it."""


@frozen(kw_only=True)
class NftOutcome:
    """What a settle found and did."""

    changed: bool
    """A transaction of ours was committed."""
    drift: bool = False
    """Somebody had changed our table since the last settle."""
    differences: tuple[str, ...] = ()
    """What somebody had changed, in words."""
    script_bytes: int = 0
    """Length of what was loaded."""


@frozen
class _Known:
    """What our table is proven to be, as long as the generation is this one."""

    ruleset: Ruleset = field(repr=False)
    generation: int


class NftablesApplier:
    """One table in the network namespace of the calling thread; one thread at a time."""

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._reference: tuple[Ruleset, dict[tuple[str, str], bytes]] | None = None
        self._socket: GenerationSocket | None = None
        self._library: NftLibrary | None = None
        self._counted: Mapping[str, Traffic] = NOTHING_COUNTED

    def close(self) -> None:
        """Close the netlink sockets; a later call opens them again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._library is not None:
            self._library.close()
            self._library = None

    def settle(self, desired: Ruleset) -> NftOutcome:
        """Make our table equal to `desired` with one transaction, or with none if it is.

        Raises ApplierError with nft's words if the transaction was refused; the table is as it was then.
        """
        _check(desired.table)
        drift: tuple[str, ...] = ()
        loaded = 0
        for _ in range(_TRIES):
            generation = self._generation()
            known, damage = self._known, Damage()
            if known is None or known.generation != generation:
                believed = desired if known is None else known.ruleset
                damage = self._damage(believed)
                if self._generation() != generation:
                    continue
                if known is not None:
                    drift += damage.words(desired.table)
                known = self._known = _Known(believed, generation)
            script_bytes = self._load(known, damage, desired)
            loaded += script_bytes
            if damage and not script_bytes:
                continue  # what was wrong is not wanted any more; proven by the next look
            if script_bytes:
                # If another generation than this follows, somebody else's transaction came before or after ours:
                # then the next try compares.
                self._known = _Known(desired, generation + 1)
                if self._generation() != generation + 1:
                    continue
                if damage and not damage.is_absence:
                    loaded += self._insist(desired)
            return NftOutcome(changed=loaded > 0, drift=bool(drift), differences=drift, script_bytes=loaded)
        raise ApplierError(
            f"somebody else changed nftables during each of {_TRIES} tries",
            where="nftables",
            hint="find out what else writes rules here: `nft monitor` names it",
        )

    def verify(self, desired: Ruleset, *, full: bool) -> tuple[str, ...]:
        """What differs from `desired`, in words; empty if nothing does.

        Unless `full`, an unchanged generation is proof enough.
        """
        _check(desired.table)
        generation = self._generation()
        known = self._known
        if not full and known is not None and known.generation == generation and known.ruleset == desired:
            return ()
        return self._damage(desired).words(desired.table)

    def traffic(self, table: str) -> Mapping[str, Traffic]:
        """What each counter of the table has counted; nothing if there is no such table."""
        _check(table)
        if _is_there(table):
            try:
                listed = json.loads(_run(["nft", "-j", "list", "counters", "table", "inet", table]))
                found = [each["counter"] for each in listed["nftables"] if "counter" in each]
                self._counted = {
                    str(each["name"]): Traffic(packets=int(each["packets"]), bytes=int(each["bytes"])) for each in found
                }
            except (ValueError, KeyError, TypeError) as error:
                raise ApplierError(f"nft lists counters in another way: {error}", where="nftables") from None
            return self._counted
        return NOTHING_COUNTED

    def elements(self, table: str, name: str) -> tuple[tuple[str, ...], ...]:
        """The elements of a set as it is loaded, each in its parts; none if there is no such set."""
        _check(table)
        _check(name)
        if not _is_there(table):
            return ()
        try:
            listed = json.loads(_run(["nft", "-j", "list", "sets", "table", "inet", table]))
            sets = (each["set"] for each in listed["nftables"] if "set" in each)
            found: list[Any] = next((each.get("elem", []) for each in sets if each["name"] == name), [])
            return tuple(tuple(each["concat"]) if isinstance(each, dict) else (str(each),) for each in found)
        except (ValueError, KeyError, TypeError) as error:
            raise ApplierError(f"nft lists sets in another way: {error}", where="nftables") from None

    def remove(self, table: str) -> None:
        """No table of that name any more, whether there was one or not."""
        _check(table)
        self._known = None
        self._run_script(remove_script(table))

    def _load(self, known: _Known, damage: Damage, desired: Ruleset) -> int:
        """Load the least that is known to be enough; returns the length of what was loaded."""
        run = self._run_script
        if damage:
            self._known = None  # until something is loaded, what is there is not what anybody wanted
            script = mend_script(known.ruleset, damage, desired)
        elif can_change(known.ruleset, desired):
            script = change_script(known.ruleset, desired)
            run = self._change
        else:
            self.traffic(known.ruleset.table)
            script = change_script(known.ruleset, desired, self._counted)
        if script is not None:
            try:
                run(script)
            except ApplierError:
                # Refused for its own sake, unless there was damage that goes deeper than could be seen, or somebody
                # else wrote in between: then what we knew is not true any more.
                if not damage and self._generation() == known.generation:
                    raise
            else:
                return len(script)
        return self._replace(desired)

    def _change(self, script: str) -> None:
        """A change of the table that we know."""
        if self._library is None and 0 < len(script) <= _LEAST:
            self._library = open_library()
        if self._library is not None and len(script) <= _LEAST:
            # What it refuses the program is asked to do: it shows the line.
            with suppress(ApplierError):
                self._library.run(script)
                return
        self._run_script(script)

    def _run_script(self, script: str) -> None:
        _nft(script)

    def _replace(self, desired: Ruleset) -> int:
        self.traffic(desired.table)
        script = replace_script(desired, self._counted)
        self._run_script(script)
        return len(script)

    def _insist(self, desired: Ruleset) -> int:
        """See whether mending was enough; replace the table if not. Returns the length of what was loaded for that."""
        if not self._damage(desired):
            return 0
        self._known = None
        generation = self._generation()
        script_bytes = self._replace(desired)
        if left := self._damage(desired):
            raise ApplierError(
                f"replaced, and still not as desired: {'; '.join(left.words(desired.table))}",
                where="nftables",
                hint="something else writes this table, or nft writes these rules in more than one way",
            )
        if self._generation() == generation + 1:
            self._known = _Known(desired, generation + 1)
        return script_bytes

    def _damage(self, believed: Ruleset) -> Damage:
        """How the kernel's table differs from what it is believed to be."""
        listing = ["nft", "-s", "list", "table", "inet", believed.table]
        if not _is_there(believed.table):
            return NO_TABLE
        if self._reference is None or self._reference[0] != believed:
            # The command line is constant but for the checked name; the ruleset goes through standard input.
            throwaway = ["unshare", "--net", "sh", "-c", f"nft -f - && exec {' '.join(listing)}"]
            self._reference = believed, _digests(_run(throwaway, ruleset_text(believed)))
        return Damage.between(self._reference[1], _digests(_run(listing)))

    def _generation(self) -> int:
        if self._socket is None:
            try:
                self._socket = GenerationSocket()
            except OSError as error:
                raise ApplierError(f"no netlink socket: {error.strerror}", where="nftables") from None
        return self._socket.generation()


def _check(table: str) -> None:
    if not _TABLE.fullmatch(table):
        raise ApplierError(f"{table!r} is not a table's name", where="nftables", hint="letters, digits and _")


def _is_there(table: str) -> bool:
    return f"table inet {table}" in _run(["nft", "list", "tables", "inet"]).splitlines()


def _nft(script: str) -> None:
    if script:
        _run(["nft", "-f", "-"], script)


def _run(argv: list[str], stdin: str = "") -> str:
    try:
        return _process.run(argv, stdin=stdin.encode(), timeout=_TIMEOUT).decode()
    except ApplierError as error:
        raise ApplierError(error.what, where="nftables", hint=error.hint) from None


def _digests(listing: str) -> dict[tuple[str, str], bytes]:
    """A digest of each set and chain by kind and name, which does not depend on the order of elements."""
    blocks = {_kind_and_name(match[1]): _BRACES.sub(_sorted, match[2]) for match in _BLOCK.finditer(listing)}
    blocks["table", ""] = " ".join(_BLOCK.sub("", listing).split())
    return {block: blake2b(text.encode(), digest_size=16).digest() for block, text in blocks.items()}


def _kind_and_name(words: str) -> tuple[str, str]:
    kind, _, name = words.partition(" ")
    return kind, name


def _sorted(braces: re.Match[str]) -> str:
    return "{ " + ", ".join(sorted(_COMMA.split(braces[1]))) + " }"
