"""keepalived.conf, as far as the model of keepalived knows its words. Pure.

The model gets what the real daemon would get: the text. A word that it does not know is no error, but it is told of:
a model that passes over something in silence would prove what is not so.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache

from attrs import field, frozen

from vpcrouter.plan.kernel import KEEPALIVED_PROTOCOL, MAIN_TABLE, RouteEntry
from vpcrouter.simulation.world import MS, SimulationError
from vpcrouter.values.desired import InterfaceAddress, Route

_GLOBAL = frozenset({
    "router_id", "vrrp_version", "vrrp_notify_fifo", "fifo_write_vrrp_states_on_reload", "vrrp_garp_master_refresh",
    "vrrp_garp_master_refresh_repeat", "vrrp_higher_prio_send_advert", "vrrp_priority", "dynamic_interfaces",
})  # fmt: skip
_INSTANCE = frozenset({
    "interface", "mcast_src_ip", "unicast_src_ip", "state", "nopreempt", "notify_deleted", "virtual_router_id",
    "priority", "advert_int", "virtual_ipaddress", "virtual_ipaddress_excluded", "virtual_routes", "track_interface",
    "track_file", "unicast_peer", "unicast_fault_no_peer", "check_unicast_src",
})  # fmt: skip
_TRACK_FILE = frozenset({"file", "weight", "init_file"})


@frozen(kw_only=True)
class Instance:
    """One vrrp_instance."""

    name: str
    device: str
    source: str
    virtual_router_id: int
    priority: int
    preempts: bool
    interval_ns: int
    advertised: tuple[InterfaceAddress, ...]
    carried: tuple[InterfaceAddress, ...]
    routes: tuple[RouteEntry, ...]
    tracked: tuple[str, ...]
    """Devices."""
    tracked_files: tuple[tuple[str, int | None], ...] = ()
    """Names, and the weight if one is given here."""
    owns_state: bool = False
    """`state MASTER`."""
    unicast_peers: tuple[str, ...] | None = None
    """None: multicast. None of them: in fault, with `unicast_fault_no_peer`."""

    @cached_property
    def told(self) -> frozenset[str]:
        """The addresses that an advertisement names."""
        return frozenset(each.address for each in self.advertised)

    @property
    def key(self) -> tuple[int, str, bool]:
        """What makes it the same instance after a reload (vrrp_exist in keepalived's vrrp_data.c)."""
        return self.virtual_router_id, self.device, bool(self.unicast_peers)


@frozen(kw_only=True)
class TrackFile:
    """One track_file."""

    path: str
    weight: int = 1


@frozen(kw_only=True)
class KeepalivedFile:
    """What it says."""

    instances: tuple[Instance, ...]
    groups: tuple[frozenset[str], ...] = ()
    """vrrp_sync_group: names of instances."""
    track_files: dict[str, TrackFile] = field(factory=dict)
    refresh_ns: int = 0
    """vrrp_garp_master_refresh; 0: never."""
    unknown: tuple[str, ...] = ()
    """Words that the model passes over."""


@frozen
class _Block:
    words: tuple[str, ...]
    inner: tuple[_Block, ...] = ()


@lru_cache(maxsize=1024)
def parse(text: str) -> KeepalivedFile:
    """The file. SimulationError if keepalived could not read it either."""
    lines = iter([line.split("#")[0].split("!")[0].split() for line in text.splitlines()])
    instances: list[Instance] = []
    groups: list[frozenset[str]] = []
    files: dict[str, TrackFile] = {}
    unknown: list[str] = []
    refresh_ns = 0
    for block in _blocks(lines, inside=False):
        match block.words:
            case ("global_defs",):
                unknown += [each.words[0] for each in block.inner if each.words[0] not in _GLOBAL]
                refresh_ns = next(
                    (
                        int(each.words[1]) * 1000 * MS
                        for each in block.inner
                        if each.words[0] == "vrrp_garp_master_refresh"
                    ),
                    0,
                )
            case ("vrrp_instance", name):
                unknown += [each.words[0] for each in block.inner if each.words[0] not in _INSTANCE]
                instances.append(_instance(name, block))
            case ("vrrp_sync_group", _):
                members = (each for each in block.inner if each.words[0] == "group")
                groups += [frozenset(each.words[0] for each in group.inner) for group in members]
            case ("track_file" | "vrrp_track_file", name):
                unknown += [each.words[0] for each in block.inner if each.words[0] not in _TRACK_FILE]
                values = {each.words[0]: each.words[1:] for each in block.inner}
                files[name] = TrackFile(path=values["file"][0].strip('"'), weight=int(values.get("weight", ("1",))[0]))
            case _:
                unknown.append(" ".join(block.words[:1]))
    return KeepalivedFile(
        instances=tuple(instances),
        groups=tuple(groups),
        track_files=files,
        refresh_ns=refresh_ns,
        unknown=tuple(sorted(set(unknown))),
    )


@lru_cache(maxsize=64)
def tracked_number(text: str) -> int:
    """What a tracked file says; 0 if that is no number."""
    words = text.split()
    return int(words[0]) if words and words[0].lstrip("-").isdigit() else 0


def _blocks(lines: Iterator[list[str]], *, inside: bool) -> Iterator[_Block]:
    for words in lines:
        if not words:
            continue
        if words == ["}"]:
            if not inside:
                raise SimulationError("a bracket too many", where="keepalived.conf")
            return
        if words[-1] == "{":
            yield _Block(tuple(words[:-1]), tuple(_blocks(lines, inside=True)))
        else:
            yield _Block(tuple(words))
    if inside:
        raise SimulationError("a block does not end", where="keepalived.conf")


def _instance(name: str, block: _Block) -> Instance:
    values = {each.words[0]: each for each in block.inner}

    def one(key: str, default: str = "") -> str:
        return values[key].words[1] if key in values else default

    def inner(key: str) -> tuple[_Block, ...]:
        return values[key].inner if key in values else ()

    device = one("interface")
    return Instance(
        name=name,
        device=device,
        source=one("mcast_src_ip") or one("unicast_src_ip"),
        virtual_router_id=int(one("virtual_router_id", "0")),
        priority=int(one("priority", "100")),
        preempts="nopreempt" not in values,
        interval_ns=round(float(one("advert_int", "1")) * 1000) * MS,
        advertised=tuple(_address(each, device) for each in inner("virtual_ipaddress")),
        carried=tuple(_address(each, device) for each in inner("virtual_ipaddress_excluded")),
        routes=tuple(_route(each, device) for each in inner("virtual_routes")),
        tracked=tuple(each.words[0] for each in inner("track_interface")),
        tracked_files=tuple((each.words[0], _weight(each)) for each in inner("track_file")),
        owns_state=one("state") == "MASTER",
        unicast_peers=tuple(each.words[0] for each in inner("unicast_peer")) if "unicast_peer" in values else None,
    )


def _weight(block: _Block) -> int | None:
    words = block.words
    return int(words[words.index("weight") + 1]) if "weight" in words else None


def _after(words: tuple[str, ...], key: str, default: str) -> str:
    return words[words.index(key) + 1] if key in words else default


def _address(block: _Block, device: str) -> InterfaceAddress:
    words = block.words
    address = words[0] if "/" in words[0] else words[0] + ("/128" if ":" in words[0] else "/32")
    return InterfaceAddress(device=_after(words, "dev", device), address=address)


def _route(block: _Block, device: str) -> RouteEntry:
    words = block.words
    network = {"default": "0.0.0.0/0"}.get(words[0], words[0])
    route = Route(
        network=network,
        gateway=_after(words, "via", ""),
        device=_after(words, "dev", device),
        table=int(_after(words, "table", str(MAIN_TABLE))),
    )
    return RouteEntry(route=route, protocol=KEEPALIVED_PROTOCOL, metric=int(_after(words, "metric", "0")))
