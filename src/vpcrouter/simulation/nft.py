"""`nft -f` on a modelled table: what a script of `plan.nftables` makes of the ruleset that is loaded. Pure.

One transaction: the new ruleset, or the first thing that the kernel would refuse. It refuses what is not there
(ENOENT), an element that is there with another value (EEXIST), and to delete what something refers to (EBUSY). Of rules
and elements nothing is understood but what they refer to: chains, sets, counters.

What it leaves out: types of elements, intervals that overlap, the order of rules by handle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from attrs import define, field

from vpcrouter.errors import ApplierError
from vpcrouter.values.desired import NftChain, NftSet, Ruleset

_REFERENCE = re.compile(r'\b(?:jump|goto) ([\w-]+)|@([\w-]+)|\bcounter name "?(?!iifname|oifname)([\w-]+)', re.ASCII)
_HEAD = re.compile(r"(set|map|chain|counter) ([\w-]+) \{", re.ASCII)


@define
class _Set:
    kind: str
    spec: str
    elements: dict[str, str] = field(factory=dict)


@define
class _Chain:
    hook: str = ""
    rules: list[str] = field(factory=list)


@define
class _Table:
    """The table as the transaction has it so far."""

    counters: dict[str, None] = field(factory=dict)
    sets: dict[str, _Set] = field(factory=dict)
    chains: dict[str, _Chain] = field(factory=dict)

    def require(self, kind: str, name: str) -> None:
        there = name in (self.counters if kind == "counter" else self.chains if kind == "chain" else self.sets)
        if not there or (kind in ("set", "map") and self.sets[name].kind != kind):
            raise _refused(f"there is no {kind} {name}")

    def references(self) -> set[str]:
        """Names that a rule or an element refers to, with a letter for what: chain, set, counter."""
        found: set[str] = set()
        for chain in self.chains.values():
            for rule in chain.rules:
                found |= _referred(rule)
        for each in self.sets.values():
            if each.kind == "map":
                for value in each.elements.values():
                    found |= _referred(value)
                if each.spec.partition(";")[0].endswith(": counter"):
                    found |= {f"n{value.strip(chr(34))}" for value in each.elements.values()}
        return found

    def check(self) -> None:
        """Everything that is referred to is there."""
        there = {f"c{name}" for name in self.chains} | {f"s{name}" for name in self.sets}
        if missing := self.references() - there - {f"n{name}" for name in self.counters}:
            raise _refused(f"{min(missing)[1:]} is referred to, and is not there")

    def delete(self, kind: str, name: str) -> None:
        self.require(kind, name)
        letter = {"chain": "c", "counter": "n"}.get(kind, "s")
        if f"{letter}{name}" in self.references():
            raise _refused(f"{kind} {name} is in use")
        if kind == "chain" and self.chains[name].rules and self.chains[name].hook == "":
            raise _refused(f"chain {name} is not empty")
        match kind:
            case "chain":
                del self.chains[name]
            case "counter":
                del self.counters[name]
            case _:
                del self.sets[name]


def load(script: str, loaded: Ruleset | None) -> Ruleset | None:
    """The ruleset after the script, on this one; None: there is no table. ApplierError if the kernel refuses it."""
    table = None if loaded is None else _opened(loaded)
    name = "" if loaded is None else loaded.table
    lines = iter(script.splitlines())
    for line in lines:
        words = line.split()
        match words:
            case []:
                continue
            case ["table", "inet", name, "{"]:
                table = table or _Table()
                _declare(table, lines)
                continue
            case ["delete", "table", "inet", gone]:
                if table is None or gone != name:
                    raise _refused(f"there is no table {gone}")
                table = None
                continue
        if table is None or words[2:4] != ["inet", name]:
            raise _refused(f"there is no table for {line}")
        match words:
            case ["flush", "chain", _, _, chain]:
                table.require("chain", chain)
                table.chains[chain].rules.clear()
            case ["flush", kind, _, _, each]:
                table.require(kind, each)
                table.sets[each].elements.clear()
            case ["delete", ("set" | "map" | "chain" | "counter") as kind, _, _, each]:
                table.delete(kind, each)
            case [("add" | "delete") as verb, "element", _, _, each, "{", *_]:
                if each not in table.sets:
                    raise _refused(f"there is no set {each}")
                _change(table.sets[each], verb, each, _braces(line, lines))
            case _:
                raise _refused(f"{line!r} is no command of this model")
    if table is None:
        return None
    table.check()
    return _closed(name, table)


def _opened(ruleset: Ruleset) -> _Table:
    return _Table(
        counters=dict.fromkeys(ruleset.counters),
        sets={each.name: _Set(each.kind, each.spec, dict(each.elements)) for each in ruleset.sets},
        chains={each.name: _Chain(each.hook, list(each.rules)) for each in ruleset.chains},
    )


def _closed(name: str, table: _Table) -> Ruleset:
    return Ruleset(
        table=name,
        counters=tuple(table.counters),
        sets=tuple(
            NftSet(name=name, kind=each.kind, spec=each.spec, elements=tuple(each.elements.items()))
            for name, each in table.sets.items()
        ),
        chains=tuple(
            NftChain(name=name, hook=each.hook, rules=tuple(each.rules)) for name, each in table.chains.items()
        ),
    )


def _declare(table: _Table, lines: Iterator[str]) -> None:
    for line in lines:
        if line == "}":
            return
        if not line:
            continue
        if (head := _HEAD.fullmatch(line.strip())) is None:
            raise _refused(f"{line!r} begins no block")
        kind, name = head.groups()
        inner = list(_until_the_end(lines))
        if kind == "counter":
            table.counters[name] = None
        elif kind == "chain":
            chain = table.chains.setdefault(name, _Chain())
            if inner and inner[0].startswith("type "):
                chain.hook = inner.pop(0)
            chain.rules += inner
        else:
            body = iter(inner)
            found = table.sets.setdefault(name, _Set(kind, next(body, "")))
            for each in body:
                _change(found, "add", name, _braces(each, body))


def _until_the_end(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == "\t}":
            return
        yield line.strip()


def _braces(first: str, lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """The elements between brackets that open on this line."""
    text = first.partition("{ ")[2]
    while not text.endswith(" }"):
        text += " " + next(lines).strip()
    for each in text.removesuffix(" }").split(", "):
        key, _, value = each.strip().partition(" : ")
        yield key, value


def _change(found: _Set, verb: str, name: str, elements: Iterable[tuple[str, str]]) -> None:
    for key, value in elements:
        if verb == "delete":
            if key not in found.elements:
                raise _refused(f"{key} is not in {name}")
            del found.elements[key]
        elif found.elements.get(key, value) != value:
            raise _refused(f"{key} is in {name} with another value")
        else:
            found.elements[key] = value


@lru_cache(maxsize=16_384)
def _referred(words: str) -> frozenset[str]:
    found = (match.groups() for match in _REFERENCE.finditer(words))
    return frozenset(f"{letter}{name}" for each in found for letter, name in zip("csn", each, strict=True) if name)


def same(one: Ruleset, other: Ruleset) -> bool:
    """Whether two rulesets do the same: the order of elements, sets, chains and counters says nothing."""
    return one == other or _unordered(one) == _unordered(other)


def _unordered(ruleset: Ruleset) -> tuple[object, ...]:
    return (
        ruleset.table,
        frozenset(ruleset.counters),
        {each.name: (each.kind, each.spec, frozenset(each.elements)) for each in ruleset.sets},
        {each.name: (each.hook, each.rules) for each in ruleset.chains},
    )


def _refused(what: str) -> ApplierError:
    return ApplierError(f"refused: {what}", where="nftables")
