"""The text that makes one nftables table equal to a desired ruleset, in one transaction. Pure.

Four texts for `nft -f`: the whole table; the whole table in place of another one; the least that turns one
ruleset into another, so that its cost follows the change; the least that turns a table with known damage into a
ruleset. The applier decides which one is safe to use, for only it can know what the kernel holds.

    flush chains → delete elements → new counters, sets, chains, rules → add elements → delete sets, chains, counters
    └ references to what goes end ┘  └   may refer to everything that stays or comes  ┘  └    unreferenced          ┘

A counter that stays is not touched. Where the whole table is replaced, its counters come back with the values that the
applier has read.

Sets and chains are taken by name. What cannot be changed in place, the kind or specification of a set or the hook
of a base chain, replaces the whole table. That is one transaction too, but packets are lost in it (some tenths of a
millisecond, more with more rules): once the new generation counts, the old base chains are empty and still hooked
until the kernel has come to their removal, and their policy is drop. So it is the last resort.

The words of rules and elements come from `materialise` and are passed on as they are. Two traps of nft 1.0.6:
statements on one line need a `;` before `}`, so every statement has its own line; and `typeof` in a map's
specification makes later loads fail, so specifications use `type`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve, frozen

from vpcrouter.values.desired import NftChain, NftSet, Ruleset
from vpcrouter.values.incremental import middles
from vpcrouter.values.traffic import Traffic

NOTHING_COUNTED: Mapping[str, Traffic] = {}
_WHOLE = ("table", "")


@frozen(kw_only=True)
class Damage:
    """How a table differs from what it was believed to be: kinds and names, such as `("set", "guests")`.

    What the table itself has (flags, a comment) is `("table", "")`.
    """

    missing: frozenset[tuple[str, str]] = frozenset()
    differing: frozenset[tuple[str, str]] = frozenset()
    surplus: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def between(cls, expected: Mapping[tuple[str, str], object], actual: Mapping[tuple[str, str], object]) -> Damage:
        """The damage of a table with these blocks, whose contents need only be comparable."""
        return cls(
            missing=frozenset(expected.keys() - actual.keys()),
            differing=frozenset(each for each in expected.keys() & actual.keys() if expected[each] != actual[each]),
            surplus=frozenset(actual.keys() - expected.keys()),
        )

    def __bool__(self) -> bool:
        return bool(self.missing or self.differing or self.surplus)

    @property
    def is_absence(self) -> bool:
        """Whether there is no table at all."""
        return _WHOLE in self.missing

    def words(self, table: str) -> tuple[str, ...]:
        """A line for each."""
        if self.is_absence:
            return (f"nftables: table {table} is missing",)
        said = (("is missing", self.missing), ("differs", self.differing), ("is surplus", self.surplus))
        return tuple(
            f"nftables: {f'{kind} {name}'.rstrip()} {what}" for what, found in said for kind, name in sorted(found)
        )


NO_TABLE = Damage(missing=frozenset({_WHOLE}))


def ruleset_text(ruleset: Ruleset, counted: Mapping[str, Traffic] = NOTHING_COUNTED) -> str:
    """The whole table, to be loaded where it does not exist; its counters begin with what was `counted`."""
    counters = (_counter_block(name, counted.get(name)) for name in ruleset.counters)
    return _table(ruleset.table, (*counters, *map(_set_block, ruleset.sets), *map(_chain_block, ruleset.chains)))


def replace_script(ruleset: Ruleset, counted: Mapping[str, Traffic] = NOTHING_COUNTED) -> str:
    """The whole table, whatever was there under its name."""
    return remove_script(ruleset.table) + ruleset_text(ruleset, counted)


def can_change(old: Ruleset, new: Ruleset) -> bool:
    """Whether `old` can be turned into `new` piece by piece; otherwise the whole table has to be replaced."""
    old_sets, new_sets = {each.name: each for each in old.sets}, {each.name: each for each in new.sets}
    old_chains, new_chains = {each.name: each for each in old.chains}, {each.name: each for each in new.chains}
    return old.table == new.table and _same_sets(old_sets, new_sets) and _same_hooks(old_chains, new_chains)


def remove_script(table: str) -> str:
    """No table of that name, whether there was one or not."""
    # Declared first, because deleting what does not exist is an error.
    return f"table inet {table} {{\n}}\ndelete table inet {table}\n"


def change_script(old: Ruleset, new: Ruleset, counted: Mapping[str, Traffic] = NOTHING_COUNTED) -> str:
    """What turns `old` into `new`; empty if they are equal in effect. `counted` is used where the table is replaced."""
    if not can_change(old, new):
        return (remove_script(old.table) if old.table != new.table else "") + replace_script(new, counted)
    return _change(old, new, unknown=frozenset())


def mend_script(believed: Ruleset, damage: Damage, desired: Ruleset) -> str | None:
    """What turns a table that was believed to be `believed`, and has this damage, into `desired`.

    None where that is not to be had without replacing the whole table. What differs is emptied and filled again; if it
    differs in its specification or hook, nft refuses, or it differs still.
    """
    kinds = {kind for kind, _ in damage.missing | damage.differing | damage.surplus}
    if not kinds <= {"set", "map", "chain", "counter"}:
        return None
    surplus = sorted(damage.surplus)
    there = evolve(
        believed,
        counters=(
            *(each for each in believed.counters if ("counter", each) not in damage.missing),
            *(name for kind, name in surplus if kind == "counter"),
        ),
        sets=(
            *(each for each in believed.sets if (each.kind, each.name) not in damage.missing),
            *(NftSet(name=name, kind=kind, spec="") for kind, name in surplus if kind in ("set", "map")),
        ),
        chains=(
            *(each for each in believed.chains if ("chain", each.name) not in damage.missing),
            *(NftChain(name=name) for kind, name in surplus if kind == "chain"),
        ),
    )
    return _change(there, desired, unknown=damage.differing) if can_change(there, desired) else None


def _change(old: Ruleset, new: Ruleset, *, unknown: frozenset[tuple[str, str]]) -> str:
    """`unknown` are sets and chains that are there with other contents than `old` has."""
    old_sets, new_sets = {each.name: each for each in old.sets}, {each.name: each for each in new.sets}
    old_chains, new_chains = {each.name: each for each in old.chains}, {each.name: each for each in new.chains}
    where = f"inet {new.table}"
    changed_sets = [
        (old_sets[each.name], each)
        for each in new.sets
        if each.name in old_sets
        and each.elements != old_sets[each.name].elements
        and (each.kind, each.name) not in unknown
    ]
    unknown_sets = [each for each in new.sets if each.name in old_sets and (each.kind, each.name) in unknown]
    unknown_chains = [each for each in new.chains if each.name in old_chains and ("chain", each.name) in unknown]
    changed_chains = [
        each
        for each in new.chains
        if each.name in old_chains and each.rules != old_chains[each.name].rules and each not in unknown_chains
    ]
    gone_sets = [name for name in old_sets if name not in new_sets]
    gone_chains = [name for name in old_chains if name not in new_chains]
    new_counters = [name for name in new.counters if name not in old.counters]
    gone_counters = [name for name in old.counters if name not in new.counters]
    blocks = (
        *(_counter_block(name, None) for name in new_counters),
        *(_set_block(each) for each in new.sets if each.name not in old_sets),
        *(_chain_block(each) for each in new.chains if each.name not in old_chains),
        *(_block("chain", each.name, each.rules) for each in changed_chains),
        *(_chain_block(each) for each in unknown_chains),  # with its hook: somebody may have changed the policy
    )
    emptied = (*(each.name for each in (*changed_chains, *unknown_chains)), *gone_chains)
    return "".join(
        (
            *(f"flush chain {where} {name}\n" for name in emptied),
            *(f"flush {each.kind} {where} {each.name}\n" for each in unknown_sets),
            *(_delete_elements(where, before, after) for before, after in changed_sets),
            _table(new.table, blocks) if blocks else "",
            *(_add_elements(where, before, after) for before, after in changed_sets),
            *(_add_elements(where, evolve(each, elements=()), each) for each in unknown_sets),
            *(f"delete {old_sets[name].kind} {where} {name}\n" for name in gone_sets),
            *(f"delete chain {where} {name}\n" for name in gone_chains),
            *(f"delete counter {where} {name}\n" for name in gone_counters),
        )
    )


def _same_sets(old: Mapping[str, NftSet], new: Mapping[str, NftSet]) -> bool:
    return all((old[name].kind, old[name].spec) == (new[name].kind, new[name].spec) for name in old.keys() & new)


def _same_hooks(old: Mapping[str, NftChain], new: Mapping[str, NftChain]) -> bool:
    return all(old[name].hook == new[name].hook for name in old.keys() & new)


def _delete_elements(where: str, old: NftSet, new: NftSet) -> str:
    before, after = middles(old.elements, new.elements)
    kept = set(after)
    gone = [key for key, value in before if (key, value) not in kept]
    return f"delete element {where} {old.name} {_elements(gone)}\n" if gone else ""


def _add_elements(where: str, old: NftSet, new: NftSet) -> str:
    before, after = middles(old.elements, new.elements)
    there = set(before)
    added = [_element(each) for each in after if each not in there]
    return f"add element {where} {new.name} {_elements(added)}\n" if added else ""


def _table(name: str, blocks: Iterable[str]) -> str:
    return f"table inet {name} {{\n" + "\n".join(blocks) + "}\n"


def _counter_block(name: str, counted: Traffic | None) -> str:
    return _block("counter", name, () if counted is None else (f"packets {counted.packets} bytes {counted.bytes}",))


def _set_block(item: NftSet) -> str:
    lines = [item.spec]
    if item.elements:
        lines.append(f"elements = {_elements(map(_element, item.elements))}")
    return _block(item.kind, item.name, lines)


def _chain_block(chain: NftChain) -> str:
    return _block("chain", chain.name, (chain.hook, *chain.rules) if chain.hook else chain.rules)


def _block(kind: str, name: str, lines: Iterable[str]) -> str:
    return f"\t{kind} {name} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n"


def _elements(words: Iterable[str]) -> str:
    return "{ " + ",\n\t\t\t".join(words) + " }"


def _element(element: tuple[str, str]) -> str:
    key, value = element
    return f"{key} : {value}" if value else key
