"""State → haproxy.cfg and its certificates: the load balancer. Pure; the role is not asked.

It runs on both routers and binds the public addresses whether they are there or not, so a failover starts nothing; a
connection ends with the router that it went through. Servers are reached from the router's own tier address, past the
tiers' ACLs. Who may come is the ruleset's to say.

Every value is a number, an address or a plain word; what need not be one stands in single quotes, in which haproxy
knows no special character but the quote itself (`rendering.single_quoted`).
"""

from __future__ import annotations

import textwrap

from vpcrouter.materialise.placement import ANYWHERE
from vpcrouter.materialise.rendering import render, word
from vpcrouter.projections.effective import Effective
from vpcrouter.values.balancing import BalancerRule, Certificate, StatisticsPage
from vpcrouter.values.desired import Daemon, File, NftSet
from vpcrouter.values.networks import is_ipv6, merged
from vpcrouter.values.settings import Settings

TLS_OPTIONS = {
    "modern": "ssl-min-ver TLSv1.3",
    "intermediate": "ssl-min-ver TLSv1.2 no-tls-tickets",
    "old": "ssl-min-ver TLSv1.0 no-tls-tickets ciphers ALL:@SECLEVEL=0",
}
"""After https://wiki.mozilla.org/Security/Server_Side_TLS."""


def is_needed(effective: Effective) -> bool:
    """Whether anything listens."""
    return bool(effective.balancer_rules or effective.statistics_pages)


def haproxy(effective: Effective, settings: Settings) -> Daemon:
    """The daemon."""
    content = render(
        "haproxy.cfg.j2",
        root=str(settings.run_dir / "haproxy"),
        rules=effective.balancer_rules,
        pages=effective.statistics_pages,
        most_connections=effective.most_balanced_connections,
        name_of=section_name,
        certificate_of=lambda rule: _certificate_path(rule, settings),
        tls=TLS_OPTIONS,
    )
    return Daemon(
        name="haproxy",
        reload_files=(
            File(path=str(settings.config_dir / "haproxy.cfg"), content=content, mode=0o600),
            *(
                File(path=_certificate_path(rule, settings), content=pem(rule.certificate), mode=0o600)
                for rule in effective.balancer_rules
                if rule.certificate is not None
            ),
        ),
    )


def balanced_set(effective: Effective) -> NftSet:
    """Who may connect to which address and port of the load balancer."""
    found: set[str] = set()
    listeners: list[BalancerRule | StatisticsPage] = [*effective.balancer_rules, *effective.statistics_pages]
    for each in listeners:
        for source in _clients(each):
            found.add(f"{source} . {word(each.address)} . {each.port}")
    return NftSet(
        name="balanced",
        kind="set",
        spec="type ipv4_addr . ipv4_addr . inet_service; flags interval;",
        elements=tuple((element, "") for element in sorted(found)),
    )


def _clients(listener: BalancerRule | StatisticsPage) -> tuple[str, ...]:
    """The IPv4 clients, without overlaps, which a set of intervals refuses."""
    if not listener.sources:
        return (ANYWHERE,)
    return merged(tuple(word(each) for each in listener.sources if not is_ipv6(each)))


def section_name(rule: BalancerRule) -> str:
    """As the management server calls it: 203_0_113_15-80."""
    return f"{word(rule.address).replace('.', '_')}-{rule.port}"


def pem(certificate: Certificate) -> str:
    """Certificate, chain, key, as haproxy wants them in one file (RFC 7468)."""
    blocks = [*(("CERTIFICATE", der) for der in certificate.certificates)]
    blocks.append((certificate.key_label, certificate.key.reveal()))
    lines = (
        line
        for label, der in blocks
        for line in (f"-----BEGIN {label}-----", *textwrap.wrap(der, 64), f"-----END {label}-----")
    )
    return "".join(f"{line}\n" for line in lines)


def _certificate_path(rule: BalancerRule, settings: Settings) -> str:
    return str(settings.config_dir / f"haproxy.{section_name(rule)}.pem")
