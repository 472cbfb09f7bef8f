"""What guests are told over HTTP, with real routers, guests and a failover: user data, metadata, passwords."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab.hand_made import run_in
from vpcrouter.appliers import _process
from vpcrouter.errors import ApplierError
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.machines import inside
from vpcrouter.past import replay
from vpcrouter.projections.listing import listing

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SETTLED_S = 20.0
USER_DATA = b"#cloud-config\nhostname: web-1\n" + bytes(range(256))
VM2, VM3 = "10.1.2.100", "10.1.3.100"


def submit(laboratory: Laboratory, *commands: dict[str, object], routers: tuple[str, ...] = ROUTERS) -> None:
    text = "\n".join(map(json.dumps, commands))
    for router in routers:
        with laboratory.connect(router) as agent:
            results = agent.submit("test.jsonl", text)
            assert all(line["status"] != "rejected" for line in results), results
            assert agent.settled(results[-1]["seq"], SETTLED_S)["settled"], agent.status()["faults"]


def pages(address: str, name: str) -> dict[str, object]:
    user_data = base64.b64encode(USER_DATA).decode()
    metadata = [["instance-id", f"i-{name}"], ["local-hostname", name], ["public-keys", "ssh-ed25519 a\nssh-rsa b"]]
    return {
        "command": "put-guest-pages",
        "pages": {"address": address, "user_data": user_data, "metadata": metadata},
    }


def password(address: str, text: str) -> dict[str, object]:
    return {"command": "put-guest-password", "address": address, "password": text}


def get(laboratory: Laboratory, node: str, url: str, *more: str) -> tuple[int, bytes]:
    """Status and body; 0 if there is no answer within two seconds."""
    words = ["curl", "-s", "-m", "2", "--path-as-is", "-w", "\n%{http_code}", *more, f"http://{url}"]
    try:
        answer = _process.run(inside(laboratory.names.namespace(node), words))
    except ApplierError:
        return 0, b""
    body, _, status = answer.rpartition(b"\n")
    return int(status), body


def ask(laboratory: Laboratory, node: str, gateway: str, what: str) -> str:
    status, body = get(laboratory, node, f"{gateway}:8080/", "-H", f"DomU_Request: {what}")
    return body.decode() if status == 200 else str(status)


@pytest.fixture
def told(pair: Laboratory) -> Iterator[Laboratory]:
    """A pair with pages for two guests, and a password for each."""
    submit(
        pair, pages(VM2, "vm2"), pages(VM3, "vm3"), password(VM2, "Example-Pw-0002"), password(VM3, "Example-Pw-0003")
    )
    yield pair
    names = ("remove-guest-pages", "remove-guest-password")
    removals: list[dict[str, object]] = [{"command": n, "address": a} for n in names for a in (VM2, VM3)]
    submit(pair, *removals)
    assert all(not list((machine.root / "run/vpcrouter/guests").glob("10.*")) for machine in pair.machines.values())


def test_a_guest_gets_its_own_pages_and_nobody_elses(told: Laboratory) -> None:
    assert get(told, "vm2", "10.1.2.1/latest/user-data") == (200, USER_DATA)
    listing = (200, b"instance-id\nlocal-hostname\npublic-keys")
    assert get(told, "vm2", "10.1.2.1/latest/meta-data/") == listing
    assert get(told, "vm2", "10.1.2.1/latest/meta-data/instance-id") == (200, b"i-vm2")
    assert get(told, "vm2", "10.1.2.1/latest/instance-id") == (200, b"i-vm2")
    assert get(told, "vm3", "10.1.3.1/latest/meta-data/instance-id") == (200, b"i-vm3")
    assert get(told, "vm2", "10.1.3.1/latest/meta-data/instance-id") == (200, b"i-vm2"), "by any tier's gateway"
    # Whatever a guest says of itself, its address decides.
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        found = get(told, "vm2", "10.1.2.1/latest/meta-data/instance-id", "-H", f"{header}: {VM3}")
        assert found == (200, b"i-vm2")
    for path in (
        VM3, f"latest/../{VM3}", f"latest/%2e%2e/{VM3}", "../../etc/passwd", "latest/meta-data/../../../etc/passwd",
        "passwords.sock", "latest/meta-data/instance-id%00", "latest/meta-data/nothing", "latest/%5e",
    ):  # fmt: skip
        assert get(told, "vm2", f"10.1.2.1/{path}")[0] == 404, path
    assert get(told, "vm2", "10.1.2.1/latest/user-data", "-X", "PUT")[0] == 405
    assert get(told, "vm4", "10.1.4.1/latest/user-data")[0] == 404, "a guest of whom nothing is known"
    for url in ("203.0.113.10/latest/user-data", "203.0.113.10:8080/"):
        assert get(told, "ext", url)[0] == 0, "the public network does not reach it"


def test_a_password_is_handed_out_until_it_is_confirmed_and_never_again(told: Laboratory) -> None:
    serving, other = serving_and_other(told)
    assert ask(told, "vm2", "10.1.2.1", "send_my_password") == "Example-Pw-0002"
    assert ask(told, "vm2", "10.1.2.1", "nonsense") == "bad_request"
    assert get(told, "vm2", "10.1.2.1:8080/") == (200, b"bad_request")
    assert ask(told, "vm2", "10.1.2.1", "send_my_password") == "Example-Pw-0002", "it may have got lost on the way"
    assert ask(told, "vm2", "10.1.2.1", "saved_password") == "saved_password"
    assert ask(told, "vm2", "10.1.2.1", "send_my_password") == "saved_password"
    assert eventually(lambda: fetched(told, other, VM2)), "the peer has been told"
    assert not fetched(told, other, VM3)

    # The serving router fails: what was fetched stays fetched, what was not still waits.
    told.crash(serving, "namespace")
    assert told.wait(lambda found: found.get(other, {}).get("role") == "master", SETTLED_S)
    assert eventually(lambda: ask(told, "vm2", "10.1.2.1", "send_my_password") == "saved_password")
    assert get(told, "vm2", "10.1.2.1/latest/user-data") == (200, USER_DATA)
    assert ask(told, "vm3", "10.1.3.1", "send_my_password") == "Example-Pw-0003"
    assert ask(told, "vm3", "10.1.3.1", "saved_password") == "saved_password"

    # It comes back, and learns what was handed out meanwhile.
    told.reboot([serving])
    assert told.wait(is_pair, SETTLED_S)
    assert eventually(lambda: fetched(told, serving, VM3))
    digests = {status["digest"] for status in told.status().values()}
    assert len(digests) == 1


def test_nothing_of_it_is_for_everybodys_eyes(told: Laboratory) -> None:
    for router in ROUTERS:
        root = told.machines[router].root
        shelf = root / "run/vpcrouter/guests"
        assert shelf.stat().st_mode & 0o777 == 0o750
        assert {each.name for each in shelf.iterdir()} == {VM2, VM3, "passwords.sock"}
        assert all(each.stat().st_mode & 0o777 in (0o640, 0o660) for each in shelf.iterdir())
        for path in root.rglob("*"):
            if path.is_file() and path.stat().st_size < 4_000_000:
                assert b"Example-Pw-000" not in path.read_bytes(), path


def test_what_somebody_changes_is_repaired(told: Laboratory) -> None:
    serving, _ = serving_and_other(told)
    root = told.machines[serving].root
    (root / "run/vpcrouter/guests" / VM2).unlink()
    (root / "run/vpcrouter/guests/10.1.9.9").write_text("x")
    (root / "run/vpcrouter/guests/passwords.sock").unlink()
    assert eventually(lambda: get(told, "vm2", "10.1.2.1/latest/user-data") == (200, USER_DATA))
    assert not (root / "run/vpcrouter/guests/10.1.9.9").exists()
    assert eventually(lambda: ask(told, "vm3", "10.1.3.1", "send_my_password") == "Example-Pw-0003")
    record = json.loads((root / "run/vpcrouter/guestweb.loaded.json").read_text())
    run_in(told, serving, "kill", "-9", str(record["pid"]))
    assert eventually(lambda: get(told, "vm2", "10.1.2.1/latest/user-data") == (200, USER_DATA))


def serving_and_other(laboratory: Laboratory) -> tuple[str, str]:
    roles = {router: status["role"] for router, status in laboratory.status().items()}
    serving = next(router for router, role in roles.items() if role == "master")
    return serving, next(router for router in roles if router != serving)


def fetched(laboratory: Laboratory, router: str, address: str) -> bool:
    state = listing(replay(laboratory.machines[router].journal).state)
    return any(each["address"] == address and each["fetched"] for each in state["guest_passwords"])


def eventually(is_so: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.1)
    return False


SLOW = """
import socket, time
opened = []
for _ in range(200):
    try:
        each = socket.create_connection(("10.1.2.1", 80), 1)
        each.sendall(b"GET /latest/")
    except OSError:
        continue
    opened.append(each)
print("begun", flush=True)
time.sleep(4)
"""


def test_a_guest_that_keeps_connections_open_harms_itself_only(told: Laboratory) -> None:
    attack = subprocess.Popen(
        inside(told.names.namespace("vm2"), [sys.executable, "-c", SLOW]), stdout=subprocess.PIPE, text=True
    )
    try:
        assert attack.stdout is not None
        assert attack.stdout.readline() == "begun\n"
        assert get(told, "vm2", "10.1.2.1/latest/user-data")[0] == 0, "it has all that one guest may have"
        assert get(told, "vm3", "10.1.3.1/latest/meta-data/instance-id") == (200, b"i-vm3")
        assert ask(told, "vm3", "10.1.3.1", "send_my_password") == "Example-Pw-0003"
    finally:
        attack.kill()
        attack.wait()
    assert eventually(lambda: get(told, "vm2", "10.1.2.1/latest/user-data")[0] == 200)
    for header in ("X: " + "a" * 60_000, "Transfer-Encoding: gibberish\r\nContent-Length: -1"):
        assert get(told, "vm2", "10.1.2.1/latest/user-data", "-H", header)[0] in (0, 400, 431)
