"""The settings of one machine: what is not configuration of the VPC and so not in the journal. Pure."""

from __future__ import annotations

from functools import cached_property
from pathlib import PurePosixPath

from attrs import field, frozen
from attrs.validators import ge, in_, le

from vpcrouter.errors import MalformedInputError
from vpcrouter.values import fields

NO_AUTHENTICATION, AH, HMAC = AUTHENTICATIONS = ("none", "ah", "hmac")
_LONGEST_SOCKET = "charon-systemd.vici"
_SOCKET_PATH_BYTES = 107
"""unix(7): 108 with the zero at the end."""


def _addresses(value: object) -> tuple[str, ...]:
    """Unicast IPv4 addresses, each once, sorted."""
    found = value if isinstance(value, tuple) else ()
    return tuple(sorted({fields.ipv4(each, "unicast_peers") for each in found}))


@frozen(kw_only=True)
class Settings:
    """Where files go and how fast things are. Times are in the unit that stands in the name."""

    root: str = "/"
    """Everything generated lies below: configuration in etc/vpcrouter, sockets and pid files in run/vpcrouter."""
    advertisement_interval_ms: int = field(default=100, validator=[ge(10), le(40950)])
    """Both routers should have the same. RFC 9568: 10 ms to 40.95 s in steps of 10 ms. See findings in docs/."""
    unicast_peers: tuple[str, ...] = field(default=(), converter=_addresses)
    """Own addresses of the pair's routers on their tiers, this router's included or not. If there is one, VRRP, beacons
    and conntrackd go by unicast alone. Both routers must have the same kind. See docs/redundancy.md."""
    has_vxlan: bool = True
    """Whether the kernel can make vxlan devices; without, no connections are synchronised by unicast."""
    vrrp_authentication: str = field(default=NO_AUTHENTICATION, validator=in_(AUTHENTICATIONS))
    """With a secret of the router password. `ah`: VRRPv2, in seconds. `hmac`: keepalived 2.4. The same on both."""
    without_effect: tuple[tuple[str, str], ...] = ()
    """What was asked for and is not in here, since this machine cannot do it: names, and why. See `capabilities`."""
    quiet_ms: int = field(default=20, validator=[ge(0), le(10_000)])
    """A burst is over when no command came for so long; then the machine is settled once."""
    max_delay_ms: int = field(default=150, validator=[ge(0), le(60_000)])
    """…but no command waits longer than this for a settle to begin."""
    long_delay_ms: int = field(default=2_000, validator=[ge(0), le(60_000)])
    """…but those of a burst that goes on after its first settle, which wait for its end, no longer than this."""
    verify_interval_s: int = field(default=60, validator=[ge(1), le(86_400)])
    """The whole machine is compared with the state at least so often, without any notification."""
    lost_after_ms: int = field(default=100, validator=[ge(0), le(60_000)])
    """A link without a carrier counts as lost after so long. What is set down by hand is up again before that."""
    found_after_ms: int = field(default=5_000, validator=[ge(0), le(3_600_000)])
    """What was lost counts until it has been back for so long: a link that comes and goes moves the service once."""
    watch_gateway: bool = True
    """Ask the gateway of the way out by ARP, every second while serving."""

    disagreement_s: int = field(default=10, validator=[ge(0), le(86_400)])
    """The two routers may be configured differently for so long, as in a burst, before it is said in what."""
    metrics_file: str | None = None
    """Prometheus metrics are written here, every ten seconds."""
    journal_reserve_bytes: int = field(default=1024 * 1024, validator=[ge(0), le(1024**3)])
    """Room on the disk that is kept for records that must not wait when it is full; 0: none."""

    def __attrs_post_init__(self) -> None:
        """VRRPv2 counts in seconds (RFC 3768, 5.3.7: 1 to 255)."""
        if self.vrrp_authentication == AH and (
            self.advertisement_interval_ms % 1000 or self.advertisement_interval_ms > 255_000
        ):
            raise MalformedInputError(
                f"{self.advertisement_interval_ms} ms is no interval of VRRPv2, which AH is for",
                where="advertisement_interval_ms",
                hint="whole seconds; a failover takes three and some more",
            )

    def require_room_for_sockets(self) -> None:
        """Raise MalformedInputError where the path of a daemon's socket would be longer than unix(7) allows."""
        excess = len(str(self.run_dir / _LONGEST_SOCKET).encode()) - _SOCKET_PATH_BYTES
        if excess > 0:
            raise MalformedInputError(
                f"{self.root} is {excess} bytes too long for the sockets of daemons, which lie below it",
                where="root",
                hint="a directory with a shorter path",
            )

    @cached_property
    def config_dir(self) -> PurePosixPath:
        """Generated configuration files."""
        return PurePosixPath(self.root) / "etc/vpcrouter"

    @cached_property
    def run_dir(self) -> PurePosixPath:
        """Sockets, FIFOs, pid files, the daemons' output."""
        return PurePosixPath(self.root) / "run/vpcrouter"

    @property
    def chap_secrets(self) -> PurePosixPath:
        """The passwords of pppd, which knows no other place for them."""
        return PurePosixPath(self.root) / "etc/ppp/chap-secrets"

    @property
    def agent_socket(self) -> PurePosixPath:
        """Where the agent listens."""
        return self.run_dir / "agent.sock"

    @property
    def penalty_file(self) -> PurePosixPath:
        """What keepalived takes from its priority, as a negative number."""
        return self.run_dir / "keepalived.penalty"

    @property
    def health_file(self) -> PurePosixPath:
        """The last results of the health checks, as the management server reads them."""
        return self.run_dir / "monitor_results"

    @property
    def guest_pages_dir(self) -> PurePosixPath:
        """What guests are told, a file for each; the web server for guests sees nothing else of this machine."""
        return self.run_dir / "guests"

    @property
    def password_socket(self) -> PurePosixPath:
        """Where that web server asks the agent for a guest's password; its name is no address."""
        return self.guest_pages_dir / "passwords.sock"

    @property
    def notify_fifo(self) -> PurePosixPath:
        """Where keepalived reports its role (vrrp_notify_fifo)."""
        return self.run_dir / "keepalived.fifo"
