"""The text that makes one nftables table equal to a desired ruleset, in one transaction. Pure.

Three texts for `nft -f`: the whole table; the whole table in place of another one; the least that turns one
ruleset into another, so that its cost follows the change. The applier decides which one is safe to use, for only
it can know what the kernel holds.

    flush chains → delete elements → new counters, sets, chains, rules → add elements → delete sets, chains, counters
    └ references to what goes end ┘  └   may refer to everything that stays or comes  ┘  └    unreferenced          ┘

A counter that stays is not touched. Where the whole table is replaced, its counters come back with the values that the
applier has read.

Sets and chains are taken by name. What cannot be changed in place, the kind or specification of a set or the hook
of a base chain, replaces the whole table: atomic as well, only longer.

The words of rules and elements come from `materialise` and are passed on as they are. Two traps of nft 1.0.6:
statements on one line need a `;` before `}`, so every statement has its own line; and `typeof` in a map's
specification makes later loads fail, so specifications use `type`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vpcrouter.values.desired import NftChain, NftSet, Ruleset
from vpcrouter.values.traffic import Traffic

NOTHING_COUNTED: Mapping[str, Traffic] = {}


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
    old_sets, new_sets = {each.name: each for each in old.sets}, {each.name: each for each in new.sets}
    old_chains, new_chains = {each.name: each for each in old.chains}, {each.name: each for each in new.chains}
    where = f"inet {new.table}"
    changed_sets = [
        (old_sets[each.name], each)
        for each in new.sets
        if each.name in old_sets and each.elements != old_sets[each.name].elements
    ]
    changed_chains = [
        each for each in new.chains if each.name in old_chains and each.rules != old_chains[each.name].rules
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
    )
    return "".join(
        (
            *(f"flush chain {where} {name}\n" for name in (*(each.name for each in changed_chains), *gone_chains)),
            *(_delete_elements(where, before, after) for before, after in changed_sets),
            _table(new.table, blocks) if blocks else "",
            *(_add_elements(where, before, after) for before, after in changed_sets),
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
    kept = set(new.elements)
    gone = [key for key, value in old.elements if (key, value) not in kept]
    return f"delete element {where} {old.name} {_elements(gone)}\n" if gone else ""


def _add_elements(where: str, old: NftSet, new: NftSet) -> str:
    there = set(old.elements)
    added = [_element(each) for each in new.elements if each not in there]
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
