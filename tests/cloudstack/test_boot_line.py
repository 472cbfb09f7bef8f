"""The boot line gives the same command as the cmd_line.json that the boot script makes of it, but loses nothing."""

from __future__ import annotations

import json

import pytest

from tests.cloudstack.documents import DATA
from vpcrouter.cloudstack import decode, parse_boot_line, router_status
from vpcrouter.errors import CallerError
from vpcrouter.values.boot_keys import without_effect
from vpcrouter.values.config import Secret
from vpcrouter.values.role import Role

WORDS = json.loads((DATA / "cmd_line.json").read_text())["cmd_line"]
LEAST = " name=r-1-VM vpccidr=10.1.0.0/16"


def test_the_sample_as_a_line() -> None:
    expected = decode((DATA / "cmd_line.json").read_bytes())
    words = [f"{key}={value}" for key, value in WORDS.items()]
    assert parse_boot_line(" " + " ".join(words)) == expected
    assert parse_boot_line(" ".join(words) + "\n") == expected
    assert parse_boot_line("%" + "%".join(words)) == expected
    assert (
        parse_boot_line("BOOT_IMAGE=/vmlinuz root=UUID=1-2 ro quiet %" + "%".join(words) + " console=hvc0") == expected
    )


def test_a_value_is_all_that_follows_the_first_equals_sign() -> None:
    config = parse_boot_line(f"{LEAST} authorized_key=c3NoLQ== userdata=a=b=c").config
    assert config.parameters == (("authorized_key", "c3NoLQ=="),)
    assert config.secret_parameters == (("userdata", Secret(text="a=b=c")),)


def test_of_a_word_given_twice_the_last_one_counts() -> None:
    assert parse_boot_line(f"name=r-2-VM {LEAST}").config.name == "r-1-VM"


def test_null_and_empty_values_and_stars() -> None:
    config = parse_boot_line(f"{LEAST} dns1=null domain= logrotatefrequency=*:00:00").config
    assert (config.resolvers, config.domain) == ((), None)
    assert config.parameters == (("logrotatefrequency", "*:00:00"),)


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("", "cmd_line.name"),
        ("name=r-1-VM", "cmd_line.vpccidr"),
        (f"{LEAST} quiet", "word 3 of the boot line"),
        (f"{LEAST} =x", "word 3 of the boot line"),
        (f"{LEAST} root=/dev/xvda", "cmd_line.root"),
        (f"{LEAST} type=router", "cmd_line.type"),
        (f"{LEAST} dns1=10.1.1.1%dns2=10.1.1.2", "cmd_line.dns1"),
        (f"{LEAST} a\0b=1", "cmd_line['a\\x00b']"),
        (" " * (16 * 1024 * 1024 + 1), "file"),
    ],
    ids=lambda value: value[:40],
)
def test_refused(line: str, where: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse_boot_line(line)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("role", "line"),
    [
        (Role.MASTER, "Status: PRIMARY"),
        (Role.BACKUP, "Status: BACKUP"),
        (Role.FAULT, "Status: FAULT"),
        (Role.INIT, "Status: UNKNOWN"),
        (None, "Status: UNKNOWN"),
    ],
)
def test_what_the_management_server_reads(role: Role | None, line: str) -> None:
    assert router_status(role) == line


def test_keys_that_nothing_acts_on_are_told() -> None:
    line = (
        "vpccidr=10.1.0.0/16 name=r-21-VM dnssearchorder=example.com disable_rp_filter=true vmpassword=x router_id=7"
        " vpc_firewall_enabled=true domain=vpc1.example.com"
    )
    config = parse_boot_line(line).config
    assert list(without_effect(config)) == ["router_id", "vmpassword"]


@pytest.mark.parametrize(
    ("keys", "idle"),
    [
        ("mgmtcidr=192.0.2.0/24 localgw=169.254.0.1", []),
        ("mgmtcidr=192.0.2.0/24,198.18.0.0/15 localgw=169.254.0.1", []),
        ("mgmtcidr=192.0.2.0/24", ["mgmtcidr"]),
        ("mgmtcidr=192.0.2.0/24 localgw=10.0.0.1", ["localgw", "mgmtcidr"]),
        ("mgmtcidr=192.0.2.0/24 localgw=169.254.0.21", ["localgw", "mgmtcidr"]),
        ("mgmtcidr=169.254.0.0/16 localgw=169.254.0.1", ["localgw", "mgmtcidr"]),
        ("mgmtcidr=192.0.2.1/24 localgw=169.254.0.1", ["localgw", "mgmtcidr"]),
        ("eth0ip6=2001:db8::21 eth0ip6prelen=64", []),
        ("eth0ip6=2001:db8::21 eth0ip6prelen=129", ["eth0ip6", "eth0ip6prelen"]),
        ("eth0ip6=169.254.0.21 eth0ip6prelen=64", ["eth0ip6", "eth0ip6prelen"]),
        ("dnssearchorder=a.example.com,b", []),
        ("dnssearchorder=a.example.com,;reboot", ["dnssearchorder"]),
        ("has_public_network=false", []),
        ("has_public_network=true exposedns=true disable_rp_filter=true", []),
    ],
)
def test_a_key_that_means_nothing_is_told(keys: str, idle: list[str]) -> None:
    line = f"vpccidr=10.1.0.0/16 name=r-21-VM eth0ip=169.254.0.21 eth0mask=255.255.0.0 {keys}"
    assert list(without_effect(parse_boot_line(line).config)) == idle
