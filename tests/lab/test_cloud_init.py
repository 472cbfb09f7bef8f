"""What cloud-init makes of this router: its own code for CloudStack, run in a guest as at that one's first boot."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.test_guest_web import VM2, VM3, submit
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.machines import inside

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CLOUD_INIT = Path(sys.prefix) / "cloud-init"
SAMPLES = Path(__file__).parents[1] / "data/cloudstack"
"""What the management server sends of a guest."""


def told_of(address: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its data and its password, in CloudStack's format."""
    data, password = (json.loads((SAMPLES / f"vm_{each}.json").read_text()) for each in ("metadata", "password"))
    return {**data, "vm_ip_address": address}, {**password, "ip_address": address}


@pytest.fixture
def told(pair: Laboratory) -> Iterator[Laboratory]:
    if not CLOUD_INIT.is_dir():
        pytest.skip(f"cloud-init is not in {CLOUD_INIT}; `make setup` fetches it from Debian's mirror")
    submit(pair, *told_of(VM2), told_of(VM3)[0])
    yield pair
    removals: list[dict[str, object]] = [{"command": "remove-guest-pages", "address": each} for each in (VM2, VM3)]
    submit(pair, *removals)
    submit(pair, {"command": "remove-guest-password", "address": VM2})


def boot(laboratory: Laboratory, directory: Path, number: int) -> dict[str, Any]:
    """What cloud-init finds that is started on a guest, whose resolver is the one that DHCP tells."""
    resolver = directory / "resolv.conf"
    resolver.write_text(f"nameserver 10.1.{number}.1\noptions timeout:1 attempts:2\n")
    script = Path(__file__).with_name("cloud_init_guest.py")
    words = ["/usr/bin/python3", str(script), str(CLOUD_INIT), str(directory)]
    own_files = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    argv = inside(
        laboratory.names.namespace(f"vm{number}"), ["unshare", "--mount", "sh", "-c", own_files, str(resolver), *words]
    )
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["found"], done.stderr
    assert found["router"] == found["router_by_name"], "it was found by its name, not as the default gateway"
    return found


def test_a_guest_finds_its_router_by_name_its_data_and_its_password_once(told: Laboratory, tmp_path: Path) -> None:
    data, password = told_of(VM2)
    sent = {(folder, name): content for folder, name, content in data["vm_metadata"]}
    found = boot(told, tmp_path, 2)
    assert found["router"] == "10.1.2.1"
    assert found["user_data"].encode("latin-1") == base64.b64decode(sent["userdata", "user-data"])
    assert found["instance_id"] == sent["metadata", "instance-id"]
    assert found["metadata"] == {name: content for (folder, name), content in sent.items() if folder == "metadata"}
    assert found["keys"] == [sent["metadata", "public-keys"]]
    assert found["config"]["password"] == password["password"]
    # The next boot: the same data, and no password any more.
    again = boot(told, tmp_path, 2)
    assert (again["instance_id"], again["config"]) == (found["instance_id"], {})


def test_each_guest_finds_its_own_tiers_router(told: Laboratory, tmp_path: Path) -> None:
    found = boot(told, tmp_path, 3)
    assert (found["router"], found["config"]) == ("10.1.3.1", {})
