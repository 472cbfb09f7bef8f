"""What the installed keepalived can do is asked of it; what it cannot has no effect, and is told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from tests.materialise import vpc
from vpcrouter.appliers import keepalived
from vpcrouter.appliers._process import SEARCH_PATH
from vpcrouter.capabilities import feasible
from vpcrouter.errors import MalformedInputError
from vpcrouter.materialise.vrrp_authentication import authentication, settings_without_effect
from vpcrouter.values.config import Secret
from vpcrouter.values.settings import Settings

BY_AH = Settings(vrrp_authentication="ah", advertisement_interval_ms=1000)
BY_HMAC = Settings(vrrp_authentication="hmac")
installed = pytest.mark.skipif(shutil.which("keepalived", path=SEARCH_PATH) is None, reason="not installed: keepalived")


def version() -> tuple[int, ...]:
    said = subprocess.run(["keepalived", "--version"], capture_output=True, text=True, check=True).stderr
    return tuple(int(each) for each in said.split()[1].removeprefix("v").split("."))


@installed
def test_the_hmac_is_there_where_keepalived_is_new_enough_and_else_it_is_said_why_not() -> None:
    """The HMAC came with 2.4.0 (its keepalived.conf(5))."""
    found = feasible(BY_HMAC)
    if version() >= (2, 4):
        assert found == BY_HMAC
        return
    assert found.vrrp_authentication == "none"
    ((name, reason),) = found.without_effect
    assert name == "vrrp_authentication=hmac"
    assert "2.4.0" in reason
    assert settings_without_effect(found, vpc.config()) == {name: reason}


@installed
def test_ah_is_there_where_keepalived_was_built_with_it() -> None:
    said = subprocess.run(["keepalived", "--version"], capture_output=True, text=True, check=True).stderr
    assert (feasible(BY_AH) == BY_AH) is ("VRRP_AUTH" in said)


@installed
def test_nonsense_is_not_understood() -> None:
    assert not keepalived.understands("    never_heard_of\n")
    assert keepalived.understands("    nopreempt\n")


BY_UNICAST = Settings(unicast_peers=("10.1.2.3",))


def test_without_vxlan_no_connections_are_synchronised_by_unicast_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A trial that fails for want of the program is one that fails."""
    monkeypatch.setattr("vpcrouter.appliers._process.SEARCH_PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert feasible(Settings()) == Settings(), "by multicast it is not asked for"
    found = feasible(BY_UNICAST)
    assert not found.has_vxlan
    ((name, reason),) = found.without_effect
    assert "connections" in name and "vxlan" in reason
    assert settings_without_effect(found, vpc.config()) == {name: reason}


def test_who_may_not_try_says_nothing_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("vpcrouter.appliers._process.SEARCH_PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert feasible(BY_UNICAST) == BY_UNICAST


def test_without_keepalived_nothing_has_an_effect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("vpcrouter.appliers._process.SEARCH_PATH", str(tmp_path))
    assert feasible(BY_AH).vrrp_authentication == "none"
    assert feasible(Settings()) == Settings()


@pytest.mark.parametrize("interval_ms", [100, 1500, 10, 40_950])
def test_vrrp_2_counts_in_seconds(interval_ms: int) -> None:
    with pytest.raises(MalformedInputError):
        Settings(vrrp_authentication="ah", advertisement_interval_ms=interval_ms)


def test_the_secret_is_of_the_password_the_network_and_the_kind() -> None:
    def secret(password: str, settings: Settings = BY_AH) -> str:
        found = authentication(evolve(vpc.config(), password=Secret(text=password)), settings)
        assert found is not None
        assert password not in repr(found) and found.secret not in repr(found)
        return found.secret

    assert len(secret("one")) == 8 and secret("one").isalnum()
    assert len(bytes.fromhex(secret("one", BY_HMAC))) == 32
    assert len({secret("one"), secret("two"), secret("one", BY_HMAC)[:8]}) == 3
    assert secret("a{}b").isalnum()


def test_without_a_password_there_is_no_secret_and_that_is_said() -> None:
    config = evolve(vpc.config(), password=None)
    assert authentication(config, BY_AH) is None
    assert list(settings_without_effect(BY_AH, config)) == ["vrrp_authentication=ah"]
    assert settings_without_effect(Settings(), config) == {}
    assert settings_without_effect(BY_AH, None) == {}


@installed
def test_the_command_line_refuses_an_interval_that_ah_cannot_have(tmp_path: Path) -> None:
    words = ["--journal", str(tmp_path / "j"), "run", "--root", str(tmp_path), "--vrrp-authentication", "ah"]
    done = subprocess.run([sys.executable, "-m", "vpcrouter", *words], capture_output=True, text=True, timeout=30)
    assert done.returncode in (1, 2)
    assert "100 ms" in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""
