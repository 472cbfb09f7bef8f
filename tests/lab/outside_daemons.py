"""Another site's charon and a neighbour's bgpd, run by hand in the namespace of the Internet host."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab.test_drift import within
from vpcrouter.lab.laboratory import Laboratory
from vpcrouter.lab.machines import inside

STARTED_S = 5.0
_PLUGINS = (
    "random nonce openssl aes sha1 sha2 md5 hmac kdf gmp curve25519 pem pkcs1 x509 constraints pubkey"
    " kernel-libipsec kernel-netlink socket-default vici updown eap-identity eap-mschapv2"
)


class OutsideDaemon:
    """A daemon in the outside host's namespace; it ends with the block."""

    def __init__(self, laboratory: Laboratory, directory: Path, words: list[str], ready: Path, **more: str) -> None:
        self.directory = directory
        argv = inside(laboratory.names.namespace("ext"), words)
        with (directory / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, **more})
        assert within(STARTED_S, ready.exists), self.log()

    def log(self) -> str:
        """What it printed."""
        return (self.directory / "log").read_text(errors="replace")

    def end(self) -> None:
        """End it at once, without a word to anybody."""
        self._process.kill()
        self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Site(OutsideDaemon):
    """Another site's gateway, or a client: charon with ESP in user space."""

    def __init__(self, laboratory: Laboratory, directory: Path) -> None:
        directory.mkdir()
        self._socket = directory / "vici"
        settings = directory / "strongswan.conf"
        settings.write_text(
            f"charon-systemd {{\n load = {_PLUGINS}\n journal {{\n default = -1\n }}\n"
            f" filelog {{\n o {{\n path = /dev/stdout\n default = 1\n flush_line = yes\n }}\n }}\n"
            f" plugins {{\n vici {{\n socket = unix://{self._socket}\n }}\n }}\n}}\n"
        )
        super().__init__(laboratory, directory, ["charon-systemd"], self._socket, STRONGSWAN_CONF=str(settings))

    def __enter__(self) -> Site:
        return self

    def load(self, text: str) -> None:
        """Replace all connections and secrets."""
        path = self.directory / "swanctl.conf"
        path.write_text(text)
        self.swanctl("--load-all", "--noprompt", "--clear", "--file", str(path))

    def swanctl(self, *words: str) -> str:
        """What swanctl printed."""
        argv = ["swanctl", *words, "--uri", f"unix://{self._socket}"]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout


class Neighbour(OutsideDaemon):
    """A BGP speaker."""

    def __init__(self, laboratory: Laboratory, directory: Path, config: str) -> None:
        directory.mkdir()
        (directory / "bgpd.conf").write_text(config)
        words = [
            "/usr/lib/frr/bgpd", "--no_zebra", "--skip_runas", "--vty_port", "0", "--log", "stdout",
            "--config_file", str(directory / "bgpd.conf"), "--pid_file", str(directory / "bgpd.pid"),
            "--vty_socket", str(directory),
        ]  # fmt: skip
        super().__init__(laboratory, directory, words, directory / "bgpd.vty")

    def __enter__(self) -> Neighbour:
        return self

    def show(self, what: str) -> Any:
        """The answer to `show … json`."""
        argv = ["vtysh", "--vty_socket", str(self.directory), "-c", f"show {what} json"]
        return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10).stdout)

    def routes(self, family: str = "ipv4") -> dict[str, str]:
        """The next hop of each network that it knows; of IPv6 the one that everybody may use."""
        found = self.show(f"bgp {family} unicast")["routes"]
        return {network: paths[0]["nexthops"][0]["ip"] for network, paths in found.items()}

    def session(self, address: str, family: str = "ipv4") -> dict[str, Any]:
        """How the session to a neighbour is."""
        found: dict[str, Any] = self.show("bgp summary")[f"{family}Unicast"]["peers"][address]
        return found
