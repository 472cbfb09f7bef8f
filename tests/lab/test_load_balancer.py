"""The load balancer with real connections: two guests behind a public address, a reload under load, a failover."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab.test_guest_web import SETTLED_S, eventually, get, serving_and_other, submit
from vpcrouter.appliers import _process
from vpcrouter.lab.failover import is_pair
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.layout import ROUTERS
from vpcrouter.lab.machines import inside

pytestmark = [pytest.mark.lab, pytest.mark.slow]

VIP = "203.0.113.40"
GUESTS = ("vm2", "vm3")

SERVER = """
import http.server, socketserver, sys, threading
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (sys.argv[1] + " " + str(self.headers.get("X-Forwarded-For"))).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100):
            self.request.sendall(data)
class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 100
class WebThreads(http.server.ThreadingHTTPServer):
    request_queue_size = 100
threading.Thread(target=Threads(("", 8443), Echo).serve_forever, daemon=True).start()
WebThreads(("", 8080), Web).serve_forever()
"""

CLIENT = """
import socket, sys, time
vip, seconds = sys.argv[1], float(sys.argv[2])
kept = socket.create_connection((vip, 8443), 2)
done = failed = 0
end = time.monotonic() + seconds
print("begun", flush=True)
while time.monotonic() < end:
    try:
        with socket.create_connection((vip, 80), 2) as each:
            each.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            answer = b""
            while part := each.recv(1000):
                answer += part
        ok = answer.startswith(b"HTTP/1.0 200") or answer.startswith(b"HTTP/1.1 200")
    except OSError:
        ok = False
    done += 1
    failed += not ok
    if done % 10 == 0:
        try:
            kept.sendall(b"x")
            assert kept.recv(1) == b"x"
        except (OSError, AssertionError):
            print("the kept connection is lost", flush=True)
            break
    time.sleep(0.002)
print(done, failed, flush=True)
"""


def balancer(*rules: dict[str, object], pages: tuple[dict[str, object], ...] = ()) -> dict[str, object]:
    return {"command": "replace-balancer", "balancer": {"rules": list(rules), "pages": list(pages)}}


def rule(port: int, **more: object) -> dict[str, object]:
    target = 8080 if more.get("http") else 8443
    servers = [{"address": f"10.1.{guest[2:]}.100", "port": target} for guest in GUESTS]
    return {"address": VIP, "port": port, "servers": servers, **more}


WEB, TCP = rule(80, http=True), rule(8443)
ADDRESS = {"address": VIP, "network": "203.0.113.0/24", "gateway": "203.0.113.1", "device": "eth1"}


@pytest.fixture
def balanced(pair: Laboratory) -> Iterator[Laboratory]:
    """A pair with a public address of its own for the balancer, and servers in two tiers; as before afterwards."""
    before = {router: status["seq"] for router, status in pair.status().items()}
    submit(pair, {"command": "change-public-addresses", "put": [ADDRESS]}, balancer(WEB, TCP))
    servers = {
        guest: subprocess.Popen(inside(pair.names.namespace(guest), [sys.executable, "-c", SERVER, guest]))
        for guest in GUESTS
    }
    try:
        assert eventually(lambda: {ask(pair) for _ in range(4)} == set(GUESTS), 10), "both guests answer"
        yield pair
    finally:
        for server in servers.values():
            server.kill()
            server.wait()
        for router in ROUTERS:
            with pair.connect(router) as agent:
                agent.revert(before[router])


def ask(laboratory: Laboratory, node: str = "ext", *more: str, url: str = f"{VIP}/") -> str:
    """Which guest answered."""
    status, body = get(laboratory, node, url, *more)
    return body.decode().partition(" ")[0] if status == 200 else str(status)


def test_connections_are_shared_out_and_a_dead_server_gets_none(balanced: Laboratory) -> None:
    answers = [ask(balanced) for _ in range(20)]
    assert {answers.count(guest) for guest in GUESTS} == {10}, "one after the other"
    assert get(balanced, "ext", f"{VIP}/")[1].endswith(b" 203.0.113.1"), "the guest is told who the client is"
    assert ask(balanced, "vm4") in GUESTS, "from a tier as well"
    server = balanced.names.namespace("vm2")
    for pid in _process.run(["ip", "netns", "pids", server]).split():
        _process.run(["kill", "-9", pid.decode()])
    assert eventually(lambda: [ask(balanced) for _ in range(6)] == ["vm3"] * 6, 10)
    again = subprocess.Popen(inside(server, [sys.executable, "-c", SERVER, "vm2"]))
    try:
        assert eventually(lambda: {ask(balanced) for _ in range(4)} == set(GUESTS), 10)
    finally:
        again.kill()
        again.wait()


def test_a_reload_under_load_loses_no_connection(balanced: Laboratory) -> None:
    words = [sys.executable, "-c", CLIENT, VIP, "4"]
    client = subprocess.Popen(inside(balanced.names.namespace("ext"), words), stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    assert client.stdout.readline() == "begun\n"
    before = reloads(balanced)
    for port in (9001, 9002, 9003):
        submit(balanced, balancer(WEB, TCP, rule(port)))
    assert reloads(balanced) == before + 3
    output, _ = client.communicate(timeout=20)
    done, failed = map(int, output.split()) if len(output.split()) == 2 else (0, output)
    assert failed == 0, output
    assert done > 200


def reloads(laboratory: Laboratory) -> int:
    serving, _ = serving_and_other(laboratory)
    found: int = laboratory.status()[serving]["counters"].get("haproxy_reloads", 0)
    return found


def test_it_serves_on_whichever_router_is_master(balanced: Laboratory) -> None:
    serving, other = serving_and_other(balanced)
    starts = balanced.status()[other]["counters"]["haproxy_starts"]
    balanced.crash(serving, "namespace")
    assert eventually(lambda: ask(balanced) in GUESTS, 5)
    assert balanced.status()[other]["role"] == "master"
    assert balanced.status()[other]["counters"]["haproxy_starts"] == starts, "it ran already"
    balanced.reboot([serving])
    assert balanced.wait(is_pair, SETTLED_S)


def test_sources_statistics_and_tls(balanced: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("tls")
    _process.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=example.com",
         "-keyout", str(place / "key"), "-out", str(place / "cert")]
    )  # fmt: skip
    key, certificate = ("".join((place / name).read_text().splitlines()[1:-1]) for name in ("key", "cert"))
    tls = {"certificates": [certificate], "key": key}
    page = {
        "address": VIP, "port": 8081, "uri": "/admin?stats", "user": "lbstats", "password": "a\"b$c#d\\e",
        "sources": ["203.0.113.0/24"],
    }  # fmt: skip
    submit(
        balanced,
        balancer(
            rule(80, http=True, sources=["198.51.100.0/24", "10.1.0.0/16"]),
            rule(443, http=True, certificate=tls, http2=True),
            rule(81, http=True, stickiness={"cookie_name": "SRV", "indirect": True}),
            rule(82, http=True, stickiness={}),
            pages=(page,),
        ),
    )
    # The worker of before may take what comes in the moment until it hears that it has a successor.
    assert eventually(lambda: ask(balanced) == "0", 1), "not for this client"
    assert ask(balanced, "ext", "--interface", "198.51.100.1") in GUESTS
    assert ask(balanced, "vm4") in GUESTS
    assert get(balanced, "ext", f"{VIP}:8081/admin?stats")[0] == 401
    assert get(balanced, "ext", f"{VIP}:8081/admin?stats", "-u", 'lbstats:a"b$c#d\\e')[0] == 200
    assert get(balanced, "ext", f"{VIP}:8081/admin?stats", "--interface", "198.51.100.1")[0] == 0
    words = ["curl", "-sk", "--http2", "-w", " %{http_version}", f"https://{VIP}/"]
    answer = _process.run(inside(balanced.names.namespace("ext"), words)).decode()
    assert answer.split()[0] in GUESTS and answer.endswith(" 2")
    assert len({ask(balanced, url=f"{VIP}:82/") for _ in range(6)}) == 1, "a client stays where it is"
    jar = str(place / "cookies")
    assert len({ask(balanced, "ext", "-c", jar, "-b", jar, url=f"{VIP}:81/") for _ in range(6)}) == 1
    for router in ROUTERS:
        root = balanced.machines[router].root
        assert {each.stat().st_mode & 0o777 for each in (root / "etc/vpcrouter").glob("haproxy.*")} == {0o600}
        log = (root / "run/vpcrouter/haproxy.log").read_text()
        assert 'a"b$c' not in log and key[:40] not in log


def test_nothing_is_left_of_it(balanced: Laboratory) -> None:
    submit(balanced, balancer())
    for router in ROUTERS:
        root = balanced.machines[router].root
        assert list((root / "etc/vpcrouter").glob("haproxy.*")) == []
        counters = balanced.status()[router]["counters"]
        assert counters["haproxy_stops"] >= 1
    assert ask(balanced) == "0"


def test_a_key_that_does_not_fit_is_a_fault_of_the_balancer_alone(balanced: Laboratory) -> None:
    """What haproxy refuses is reported, what runs runs on, and nothing else is held up."""
    bad = {"certificates": ["AAAA"], "key": "AAAA"}
    for router in ROUTERS:
        with balanced.connect(router) as agent:
            command = json.dumps(balancer(WEB, TCP, rule(443, http=True, certificate=bad)))
            assert agent.submit("x.jsonl", command)[0]["status"] == "accepted"
    serving, _ = serving_and_other(balanced)
    assert balanced.wait(
        lambda found: any("haproxy: refuses its configuration" in fault for fault in found[serving]["faults"]), 10
    )
    assert "AAAA" not in str(balanced.status())
    assert ask(balanced) in GUESTS, "the old configuration is at work"
    submit(balanced, balancer(WEB, TCP))
