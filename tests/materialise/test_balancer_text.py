"""Each detail of a balancer rule is in the lines of its section, and in no other's."""

from __future__ import annotations

from attrs import evolve

from tests.materialise import vpc
from vpcrouter.materialise import materialise
from vpcrouter.materialise.haproxy import pem
from vpcrouter.values.balancing import BalancedServer, Balancer, BalancerRule, Certificate, StatisticsPage, Stickiness
from vpcrouter.values.config import Secret
from vpcrouter.values.desired import Desired
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

SERVER = BalancedServer(address="10.1.2.100", port=8080)
PLAIN = BalancerRule(address="203.0.113.10", port=80, http=True, servers=(SERVER,))
CERTIFICATE = Certificate(
    certificates=("QUFB", "QkJC", "Q0ND"), key=Secret(text="REREIA=="), key_label="RSA PRIVATE KEY"
)


def _desired(*rules: BalancerRule, pages: tuple[StatisticsPage, ...] = ()) -> Desired:
    state = vpc.state(router=vpc.config(), tiers=[vpc.tier(2)], addresses=[vpc.public(10)])
    balancer = Balancer(rules=rules, pages=pages)
    return materialise(evolve(state, balancer=balancer), Role.MASTER, Settings())


def _lines(*rules: BalancerRule, pages: tuple[StatisticsPage, ...] = ()) -> list[str]:
    (text,) = (
        file.content
        for daemon in _desired(*rules, pages=pages).daemons
        for file in daemon.files
        if file.path.endswith("haproxy.cfg")
    )
    return [line.strip() for line in text.splitlines() if line.strip()]


def _beside_plain(rule: BalancerRule) -> tuple[list[str], list[str]]:
    """Lines that the plain rule has and this one has not, and the other way round."""
    plain, found = _lines(PLAIN), _lines(rule)
    return [line for line in plain if line not in found], [line for line in found if line not in plain]


SERVER_LINE = "server 203_0_113_10-80_0 10.1.2.100:8080 check"


def test_stickiness_by_cookie() -> None:
    sticky = Stickiness(cookie_name="SRV", cookie_mode="rewrite")
    cookie = "cookie 10.1.2.100-8080"
    assert _beside_plain(evolve(PLAIN, stickiness=sticky)) == (
        [SERVER_LINE],
        ["cookie SRV rewrite", f"{SERVER_LINE} {cookie}"],
    )
    every = evolve(sticky, indirect=True, nocache=True, postonly=True, domains=("a.example", "b.example"))
    assert _beside_plain(evolve(PLAIN, stickiness=every))[1] == [
        "cookie SRV rewrite indirect nocache postonly domain a.example domain b.example",
        f"{SERVER_LINE} {cookie}",
    ]


def test_stickiness_by_address() -> None:
    sticky = Stickiness(table_size=1234, expire_s=56)
    assert _beside_plain(evolve(PLAIN, stickiness=sticky)) == (
        [],
        ["stick-table type ip size 1234 expire 56s", "stick on src"],
    )


def test_limits_and_times() -> None:
    rule = evolve(
        PLAIN,
        algorithm="leastconn",
        connect_timeout_ms=1,
        client_timeout_ms=2,
        server_timeout_ms=3,
        most_connections=4,
        full_connections=5,
    )
    assert _beside_plain(rule) == (
        ["balance roundrobin"],
        ["balance leastconn", "timeout connect 1", "timeout client 2", "timeout server 3", "maxconn 4", "fullconn 5"],
    )


def test_each_detail_of_a_server() -> None:
    server = evolve(SERVER, tls=True, most_connections=1, least_connections=2, most_queued=3, send_proxy=True)
    assert _beside_plain(evolve(PLAIN, servers=(server,))) == (
        [SERVER_LINE],
        [f"{SERVER_LINE} ssl verify none maxconn 1 minconn 2 maxqueue 3 send-proxy"],
    )


def test_tcp_and_kept_connections() -> None:
    assert _beside_plain(evolve(PLAIN, keeps_alive=True)) == (["option httpclose"], [])
    assert _beside_plain(evolve(PLAIN, http=False)) == (["mode http", "option forwardfor", "option httpclose"], [])


def test_tls_of_each_profile() -> None:
    tls = evolve(PLAIN, certificate=CERTIFICATE)
    bind = "bind 203.0.113.10:80 transparent"
    begin = f"{bind} ssl crt /etc/vpcrouter/haproxy.203_0_113_10-80.pem ssl-min-ver"
    forwarded = "http-request set-header X-Forwarded-Proto https"
    options = {
        "modern": "TLSv1.3",
        "intermediate": "TLSv1.2 no-tls-tickets",
        "old": "TLSv1.0 no-tls-tickets ciphers ALL:@SECLEVEL=0",
    }
    for profile, words in options.items():
        assert _beside_plain(evolve(tls, tls_profile=profile)) == ([bind], [f"{begin} {words}", forwarded])
    assert _beside_plain(evolve(tls, http2=True))[1][0].endswith("no-tls-tickets alpn h2,http/1.1")


def test_a_certificate_comes_with_its_whole_chain() -> None:
    blocks = [
        ("CERTIFICATE", "QUFB"),
        ("CERTIFICATE", "QkJC"),
        ("CERTIFICATE", "Q0ND"),
        ("RSA PRIVATE KEY", "REREIA=="),
    ]
    expected = "".join(f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n" for label, text in blocks)
    assert pem(CERTIFICATE) == expected
    (file,) = (
        file
        for daemon in _desired(evolve(PLAIN, certificate=CERTIFICATE)).daemons
        for file in daemon.files
        if file.path.endswith(".pem")
    )
    assert (file.content, file.mode) == (expected, 0o600)


def test_who_may_come_is_each_listener_s_own() -> None:
    page = StatisticsPage(
        address="203.0.113.10",
        port=8081,
        uri="/stats",
        user="u",
        password=Secret(text="p"),
        sources=("198.51.100.0/24",),
    )
    limited = evolve(PLAIN, port=81, sources=("198.51.100.0/25", "198.51.100.128/25", "2001:db8::/32"))
    (elements,) = (
        [key for key, _ in each.elements]
        for each in _desired(PLAIN, limited, pages=(page,)).ruleset.sets
        if each.name == "balanced"
    )
    assert elements == [
        "0.0.0.0/0 . 203.0.113.10 . 80",
        "198.51.100.0/24 . 203.0.113.10 . 8081",
        "198.51.100.0/24 . 203.0.113.10 . 81",
    ]
    lines = _lines(PLAIN, pages=(page,))
    assert {"bind 203.0.113.10:8081 transparent", "stats uri '/stats'", "stats auth 'u:p'"} <= set(lines)
