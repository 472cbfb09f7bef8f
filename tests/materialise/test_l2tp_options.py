"""pppd ends at the first option that it does not know, and by L2TP it knows none of a serial line (pppd(8))."""

from __future__ import annotations

from attrs import evolve

from tests.materialise import vpc
from vpcrouter.materialise import materialise
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

OF_SERIAL_LINES = {
    "lock",
    "crtscts",
    "cdtrcts",
    "nocrtscts",
    "xonxoff",
    "modem",
    "local",
    "connect",
    "disconnect",
    "init",
}
ACCESS = vpc.remote_access()


def test_no_option_of_a_serial_line() -> None:
    state = evolve(vpc.state(tiers=[vpc.tier(2)], addresses=[vpc.public(10)]), remote_accesses={ACCESS.address: ACCESS})
    daemons = {daemon.name: daemon for daemon in materialise(state, Role.MASTER, Settings()).daemons}
    (options,) = (file for file in daemons["xl2tpd"].files if file.path.endswith("ppp-options"))
    words = {line.split()[0] for line in options.content.splitlines() if not line.startswith("#")}
    assert "require-mschap-v2" in words
    assert not words & OF_SERIAL_LINES
