"""The lines of a load balancer's configuration: what the server writes is understood, nothing else gets through."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cloudstack.documents import DATA
from tests.cloudstack.test_hostile import HOSTILE
from vpcrouter.cloudstack import decode
from vpcrouter.commands import ChangePublicAddresses, ConfigureRouter, PutTier, ReplaceBalancer
from vpcrouter.decide import decide
from vpcrouter.errors import CallerError, MalformedInputError
from vpcrouter.materialise import materialise
from vpcrouter.state import State, evolve
from vpcrouter.values.balancing import Balancer, BalancerRule, StatisticsPage
from vpcrouter.values.config import PublicAddress, RouterConfig, Secret, Tier
from vpcrouter.values.role import Role
from vpcrouter.values.settings import Settings

SAMPLE = json.loads((DATA / "load_balancer.replace.json").read_text())
KEY = "-----BEGIN RSA PRIVATE KEY-----\nAQID\n-----END RSA PRIVATE KEY-----\n"
CERT = "-----BEGIN CERTIFICATE-----\nBAUG\n-----END CERTIFICATE-----\n"
CIPHERS = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"


def document(*lines: str, **more: Any) -> dict[str, Any]:
    """A command with one section of these lines, on 203.0.113.15:443."""
    configuration = ["global", "defaults", "listen 203_0_113_15-443", *lines]
    rule = {"configuration": configuration, "add_rules": ["203.0.113.15:443:"], "remove_rules": [], "stat_rules": [""]}
    return {"rules": [{**rule, **more}], "type": "loadbalancer"}


def read(*lines: str, **more: Any) -> BalancerRule:
    command = decode(json.dumps(document("\tbind 203.0.113.15:443", *lines, **more)))
    assert isinstance(command, ReplaceBalancer)
    (rule,) = command.balancer.rules
    return rule


def refused(*lines: str, **more: Any) -> MalformedInputError:
    with pytest.raises(MalformedInputError) as caught:
        decode(json.dumps(document(*lines, **more)))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
    return caught.value


def test_everything_that_the_server_writes_for_a_rule() -> None:
    found = read(
        "\tbalance source",
        "\ttimeout connect    7000",
        "\ttimeout client     8000",
        "\ttimeout server     9000",
        "\tmaxconn 100",
        "\tfullconn 50",
        "\tacl network_allowed src 198.51.100.7/24 192.0.2.1 \n\ttcp-request connection reject if !network_allowed",
        "\tmode http",
        "\tno option forceclose",
        f"\tserver x_0 10.1.6.11:80 check ssl verify none no-sslv3 no-tls-tickets ciphers {CIPHERS} maxconn 5 minconn 2"
        " maxqueue 9 send-proxy cookie 10_1_6_11-80",
        "\tcookie SRV insert  indirect nocache postonly domain .example.com  ",
    )
    assert (found.algorithm, found.http, found.keeps_alive) == ("source", True, True)
    assert (found.connect_timeout_ms, found.client_timeout_ms, found.server_timeout_ms) == (7000, 8000, 9000)
    assert (found.most_connections, found.full_connections) == (100, 50)
    assert found.sources == ("198.51.100.0/24", "192.0.2.1/32")
    (server,) = found.servers
    assert (server.tls, server.send_proxy) == (True, True)
    assert (server.most_connections, server.least_connections, server.most_queued) == (5, 2, 9)
    assert found.stickiness is not None
    assert (found.stickiness.cookie_name, found.stickiness.domains) == ("SRV", ("example.com",))


def test_stickiness_by_source() -> None:
    found = read("\tstick-table type ip size 200k expire 30m\n\tstick on src").stickiness
    assert found is not None
    assert (found.cookie_name, found.table_size, found.expire_s) == (None, 204_800, 1800)


def test_tls_with_its_certificate() -> None:
    entry = {"name": "203_0_113_15-443", "cert": CERT, "key": KEY, "chain": CERT + CERT}
    bind = f"\tbind 203.0.113.15:443 ssl crt /etc/ssl/cloudstack/203_0_113_15-443.pem alpn h2,http/1.1 {OLD}"
    lines = (f"{bind}\n\thttp-request add-header X-Forwarded-Proto https", "\tmode http")
    command = decode(json.dumps(document(*lines, ssl_certs=[entry])))
    assert isinstance(command, ReplaceBalancer)
    (rule,) = command.balancer.rules
    assert rule.certificate is not None
    assert rule.certificate.certificates == ("BAUG", "BAUG", "BAUG")
    assert (rule.certificate.key.reveal(), rule.certificate.key_label) == ("AQID", "RSA PRIVATE KEY")
    assert (rule.http2, rule.tls_profile) == (True, "old")
    for change in (
        {"key": CERT},
        {"key": KEY + KEY},
        {"key": "x" + KEY},
        {"cert": KEY},
        {"cert": ""},
        {"key": ""},
        {"password": "secret-word"},
        {"key": KEY.replace("AQID", "AQI")},
        {"cert": CERT + "\n# more"},
    ):
        error = refused(*lines, ssl_certs=[{**entry, **change}])
        assert error.where.startswith("rules[0].ssl_certs[0].")
        assert "AQI" not in str(error) and "secret-word" not in str(error)
    assert "there is no certificate" in refused(*lines, ssl_certs=[]).what


def statistics(**more: Any) -> dict[str, Any]:
    """A command with one page."""
    lines = ["listen stats_on_public", "\tbind 203.0.113.10:8081", "\tmode http", "\tstats enable"]
    lines += ["\tstats uri     /admin?stats", "\tstats realm   Haproxy\\ Statistics", "\tstats auth    a:b"]
    rule = {"configuration": lines, "add_rules": [], "remove_rules": [], "stat_rules": ["203.0.113.10:8081:0/0:,"]}
    return {"rules": [{**rule, **more}], "type": "loadbalancer"}


@pytest.mark.parametrize(
    ("named", "sources"),
    [("203.0.113.10:8081:0/0:,", ()), ("0/0:8081:198.51.100.0/24:,", ("198.51.100.0/24",))],
)
def test_a_page_of_statistics_and_whom_it_is_open_to(named: str, sources: tuple[str, ...]) -> None:
    command = decode(json.dumps(statistics(stat_rules=[named])))
    assert isinstance(command, ReplaceBalancer)
    assert [page.sources for page in command.balancer.pages] == [sources]


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"stat_rules": [""]}, "rules[0].stat_rules", "the page of statistics at 203.0.113.10:8081 is not among them"),
        ({"stat_rules": []}, "rules[0].stat_rules", "is not among them"),
        ({"stat_rules": ["203.0.113.10:8082:0/0:,"]}, "rules[0].stat_rules", "is not among them"),
        ({"configuration": []}, "rules[0].stat_rules", "is no page of statistics of the configuration"),
        ({"add_rules": ["203.0.113.10:8081:"]}, "rules[0].add_rules[0]", "is not in the configuration"),
    ],
)
def test_nothing_listens_that_the_lists_do_not_name(change: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        decode(json.dumps(statistics(**change)))
    assert caught.value.where == where
    assert what in caught.value.what


def test_a_rule_that_is_not_among_the_added_ones() -> None:
    error = refused("\tbind 203.0.113.15:443", add_rules=[])
    assert (error.where, error.what) == (
        "rules[0].add_rules",
        "203.0.113.15:443 of the configuration is not among them",
    )


OLD = f"no-sslv3 no-tls-tickets ciphers {CIPHERS}"


@pytest.mark.parametrize(
    "line",
    [
        "\tuser root",
        "\texternal-check command /bin/sh",
        "\tlua-load /tmp/x.lua",
        "\tbind :443",
        "\tbind *:80",
        "\tuse_backend x if TRUE",
        "\tserver a 10.1.6.11:80 check agent-check",
        "\tserver a unix@/run/agent.sock check",
        "\tserver a 10.1.6.11:80 check source 0.0.0.0 usesrc clientip",
        "\tserver a example.com:80 check",
        "\terrorfile 503 /etc/shadow",
        "\tbalance url_param x",
        "\tstats socket /tmp/x level admin",
        "\tacl x src 1.2.3.4",
        "\ttcp-request connection reject if !network_allowed",
        "\tstick on src",
        "\toption transparent",
        "\tcookie a;b insert",
        "\tmaxconn -1",
        "\tmaxconn 99999999999",
        "\tmaxconn 1 2",
        "\ttimeout client 1d",
        "frontend x",
        "backend y",
        "listen",
        "listen a b",
        "peers x",
        "userlist u",
        "\tstats auth nobody",
        "\tstats uri x y",
        "\tappsession JSESSIONID len 52 timeout 3h",
        "\tfilter x",
        "\thttp-request add-header X-Forwarded-Proto https",
        ".if 1",
        "\tlog 10.0.0.1 local0",
        "\tbind 203.0.113.16:443",
        "\tbind 203.0.113.15:443 ssl crt /etc/passwd process 1",
    ],
)
def test_a_line_that_is_none_of_them_is_refused_with_its_place(line: str) -> None:
    error = refused("\tbind 203.0.113.15:443", "\tbalance roundrobin\n" + line)
    assert error.where.startswith(("rules[0].configuration[4] line 2", "rules[0].configuration[2]"))


def test_what_contradicts_itself_is_refused() -> None:
    assert "no bind" in refused("\tbalance roundrobin", add_rules=[]).what
    assert "limit clients" in refused("\tbind 203.0.113.15:443", "\tacl network_allowed src 192.0.2.1").what
    assert "is not in the configuration" in refused("\tbind 203.0.113.15:443", add_rules=["203.0.113.15:80:"]).what
    assert "complete page" in refused("\tbind 203.0.113.15:443", "\tstats enable", add_rules=[]).what
    with pytest.raises(MalformedInputError, match="exactly one"):
        decode(json.dumps({"rules": [], "type": "loadbalancer"}))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_words_in_every_line(hostile: str) -> None:
    lines = SAMPLE["rules"][0]["configuration"]
    for index, line in enumerate(lines):
        for match in re.finditer(r"[^\s]+", line):
            word = HOSTILE[hostile].replace("@", match[0])
            changed = json.loads(json.dumps(SAMPLE))
            changed["rules"][0]["configuration"][index] = line[: match.start()] + word + line[match.end() :]
            try:
                command = decode(json.dumps(changed))
            except CallerError as error:
                assert error.where.startswith("rules[0].") or error.where.startswith("column")
                assert str(error).isprintable()
                assert len(str(error)) < 400
                continue
            assert isinstance(command, ReplaceBalancer)
            check_file(command.balancer)


PAGE = StatisticsPage(
    address="203.0.113.15", port=8081, uri="/a?b=c&d=e", user="a@b", password=Secret(text='"#\\$(x)`{};&|<>*~!%')
)


def test_a_password_with_every_character_that_it_may_have_stays_in_its_quotes() -> None:
    content = check_file(Balancer(pages=(PAGE,)))
    assert "    stats auth 'a@b:\"#\\$(x)`{};&|<>*~!%'\n" in content
    for bad in ("a'b", "a\nb", "a b", "", "é", "x" * 300):
        with pytest.raises(MalformedInputError):
            StatisticsPage(address="203.0.113.15", port=1, uri="/", user="a", password=Secret(text=bad))


def check_file(balancer: Balancer) -> str:
    """Each line of the file begins with a word of the template."""
    state = State()
    for command in (
        ConfigureRouter(config=RouterConfig(name="r-1-VM", vpc_network="10.1.0.0/16")),
        ChangePublicAddresses(
            put=tuple(
                PublicAddress(address=address, network="203.0.113.0/24", gateway="203.0.113.1", device="eth1")
                for address in sorted({each.address for each in balancer.listeners})
            )
        ),
        PutTier(tier=Tier(device="eth6", network="10.1.6.0/24", gateway="10.1.6.1", address="10.1.6.1")),
        ReplaceBalancer(balancer=balancer),
    ):
        event = decide(state, command).event
        state = state if event is None else evolve(state, event)
    daemons = {daemon.name: daemon for daemon in materialise(state, Role.MASTER, Settings()).daemons}
    if balancer.is_empty:
        assert "haproxy" not in daemons
        return ""
    content = daemons["haproxy"].files[0].content
    assert set(re.findall(r"^ *([^ \n]+)", content, re.MULTILINE)) <= WORDS
    return content


WORDS = {
    "#",
    "global",
    "chroot",
    "user",
    "group",
    "maxconn",
    "hard-stop-after",
    "tune.ssl.default-dh-param",
    "defaults",
    "mode",
    "option",
    "retries",
    "timeout",
    "default-server",
    "listen",
    "bind",
    "stats",
    "balance",
    "server",
    "stick-table",
    "stick",
    "cookie",
    "fullconn",
    "http-request",
}
