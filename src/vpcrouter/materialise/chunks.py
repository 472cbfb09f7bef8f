"""A long list of rules as a tree of small chains, so that one rule more is a few small chains more. Pure.

A list is cut after each rule whose text hashes to a certain value, and each piece is a chain named by its content; the
list of jumps to the pieces is cut in the same way, until it is short. All verdicts end the walk, and a chain without a
match returns, so the cut never changes which rule is the first to match.

Where a list was cut before, it is compared with that one, and only what is new between the head and the tail that they
have in common is cut again: the same chains come out as if it were cut from nothing (the tests hold that).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from zlib import crc32

from attrs import frozen

from vpcrouter.values.config import AclRule
from vpcrouter.values.desired import NftChain
from vpcrouter.values.incremental import common_head, common_tail

CUT_ABOVE = 64
"""A list of at most so many rules stays in one chain."""
_CUT_MASK = 31
"""One rule in 32 ends a piece."""
_LONGEST = 128
"""Rules in a piece; a rule has one text or two."""
_REMEMBERED = 256
"""Lists; a router has two for each tier."""

TextsOf = Callable[[AclRule], tuple[str, ...]]


@frozen
class _Piece:
    """Consecutive rules, as a chain. An open one ends only because the list does."""

    size: int
    is_open: bool
    chain: NftChain


@frozen
class _Cut:
    rules: Sequence[AclRule]
    pieces: Sequence[_Piece]


_cuts: dict[tuple[str, TextsOf], _Cut] = {}
"""How the list of each name was last cut. Only the time that a call takes depends on it."""


def tree(name: str, rules: Sequence[AclRule], texts_of: TextsOf) -> tuple[tuple[NftChain, ...], tuple[str, ...]]:
    """The chains below, and the rules that go through them: the texts themselves if they are few, else jumps."""
    if len(rules) <= CUT_ABOVE:
        return (), tuple(text for rule in rules for text in texts_of(rule))
    cut = _cut(name, rules, texts_of, _cuts.get((name, texts_of)))
    if len(_cuts) >= _REMEMBERED:
        _cuts.clear()
    _cuts[name, texts_of] = cut
    # Two pieces with the same content are one chain, tried once: the second try could match nothing new.
    chains = {piece.chain.name: piece.chain for piece in cut.pieces}
    jumps = [f"jump {each}" for each in chains]
    while len(jumps) > CUT_ABOVE:
        above = {chain.name: chain for chain in _jump_chains(name, jumps)}
        chains |= above
        jumps = [f"jump {each}" for each in above]
    return tuple(chains.values()), tuple(jumps)


def _cut(name: str, rules: Sequence[AclRule], texts_of: TextsOf, before: _Cut | None) -> _Cut:
    pieces: list[_Piece] = []
    at = 0
    rejoins: dict[int, int] = {}
    if before is not None:
        head = common_head(before.rules, rules)
        tail = common_tail(before.rules, rules, min(len(before.rules), len(rules)) - head)
        for piece in before.pieces:
            if at + piece.size > head or piece.is_open:
                break
            pieces.append(piece)
            at += piece.size
        rejoins = _starts(before, len(before.rules) - tail, len(rules) - len(before.rules))
    while at < len(rules):
        if before is not None and at in rejoins:
            pieces += before.pieces[rejoins[at] :]
            break
        piece = _piece(name, rules, at, texts_of)
        pieces.append(piece)
        at += piece.size
    return _Cut(rules, pieces)


def _starts(before: _Cut, first: int, shift: int) -> dict[int, int]:
    """Where the old pieces begin that lie in the common tail: position in the new list → number of the piece."""
    starts, at = {}, 0
    for number, piece in enumerate(before.pieces):
        if at >= first:
            starts[at + shift] = number
        at += piece.size
    return starts


def _piece(name: str, rules: Sequence[AclRule], start: int, texts_of: TextsOf) -> _Piece:
    texts: list[str] = []
    for size, rule in enumerate(islice(rules, start, start + _LONGEST), start=1):
        found = texts_of(rule)
        texts += found
        if size == _LONGEST or any(_ends(text) for text in found):
            return _Piece(size, False, _named(name, texts))
    return _Piece(len(rules) - start, True, _named(name, texts))


def _jump_chains(name: str, jumps: list[str]) -> Iterator[NftChain]:
    found: list[str] = []
    for jump in jumps:
        found.append(jump)
        if _ends(jump) or len(found) == _LONGEST:
            yield _named(name, found)
            found = []
    if found:
        yield _named(name, found)


def _ends(text: str) -> bool:
    return crc32(text.encode()) & _CUT_MASK == 0


def _named(name: str, texts: list[str]) -> NftChain:
    digest = blake2b("\n".join(texts).encode(), digest_size=8).hexdigest()
    return NftChain(name=f"{name}_{digest}", rules=tuple(texts))
