"""A client of remote access by L2TP/IPsec with charon, xl2tpd and pppd: on the Internet host, or at home behind a NAT.

ESP and PPP are the kernel's. It offers what older clients offer and no more: AES and SHA-1. Everything that was
started ends with the block.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from types import TracebackType

from tests.lab.test_drift import within
from vpcrouter.appliers import _process
from vpcrouter.errors import ApplierError
from vpcrouter.lab.machines import inside

UP_S = 60.0
"""An emulated machine is ten to twenty times slower than a real one."""
_PLUGINS = (
    "random nonce openssl aes sha1 sha2 md5 hmac kdf gmp curve25519 pem pkcs1 x509 constraints pubkey"
    " kernel-netlink socket-default vici updown"
)


class L2tpClient:
    """The client. `server` and `key` are what its user was told."""

    def __init__(self, namespace: str, directory: Path, *, server: str, key: str) -> None:
        directory.mkdir()
        self._namespace, self._directory = namespace, directory
        self._server, self._key = server, key
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> L2tpClient:
        settings, socket, config = (self._directory / name for name in ("strongswan.conf", "vici", "swanctl.conf"))
        settings.write_text(
            f"charon-systemd {{\n load = {_PLUGINS}\n journal {{\n default = -1\n }}\n"
            " filelog {\n o {\n path = /dev/stdout\n default = 1\n flush_line = yes\n }\n }\n"
            f" plugins {{\n vici {{\n socket = unix://{socket}\n }}\n }}\n}}\n"
        )
        config.write_text(
            f"connections {{\n home {{\n version = 1\n remote_addrs = {self._server}\n"
            f" proposals = aes256-sha1-modp2048\n"
            f" local {{\n auth = psk\n }}\n remote {{\n auth = psk\n id = {self._server}\n }}\n"
            " children {\n l2tp {\n mode = transport\n local_ts = dynamic[udp/1701]\n"
            " remote_ts = dynamic[udp/1701]\n esp_proposals = aes256-sha1\n }\n }\n }\n}\n"
            f"secrets {{\n ike-1 {{\n id-1 = {self._server}\n secret = 0x{self._key.encode().hex()}\n }}\n}}\n"
        )
        self._start("charon-systemd", STRONGSWAN_CONF=str(settings))
        assert within(UP_S, socket.exists), self.log()
        assert self._swanctl("--load-all", "--noprompt", "--file", str(config)), self.log()
        return self

    def exchange_keys(self) -> None:
        """Have what goes to the server's L2TP protected."""
        words = ("--initiate", "--ike", "home", "--child", "l2tp", "--timeout", "10")
        assert within(UP_S, lambda: self._swanctl(*words)), self.log()

    def forget_keys(self) -> None:
        """Both sides, in order."""
        assert self._swanctl("--terminate", "--ike", "home"), self.log()

    def dial(self, name: str, password: str) -> None:
        """Begin a session; whether it stands is for the caller to see."""
        options, config = self._directory / "options", self._directory / "xl2tpd.conf"
        options.write_text(
            f'name "{name}"\npassword "{password}"\nnoauth\nrefuse-eap\nnodefaultroute\nipcp-accept-local\n'
            f"ipcp-accept-remote\nmtu 1280\nmru 1280\nnoccp\nusepeerdns\ndebug\nlogfile {self._directory}/pppd.log\n"
        )
        config.write_text(
            f"[global]\nport = 1701\nmax retries = 2\n[lac home]\nlns = {self._server}\npppoptfile = {options}\n"
            "autodial = yes\nlength bit = yes\n"
        )
        pid, control = self._directory / "xl2tpd.pid", self._directory / "xl2tpd.control"
        self._start("xl2tpd", "-D", "-c", str(config), "-p", str(pid), "-C", str(control))

    def hang_up(self) -> None:
        """End the session in order."""
        dialler = self._processes.pop()
        dialler.terminate()
        dialler.wait()
        assert within(UP_S, lambda: not self._ppp_processes()), "its pppd is still there"

    def vanish(self) -> None:
        """End the session and forget all keys, without a word to anybody."""
        dialler = self._processes.pop()
        dialler.kill()
        dialler.wait()
        for pid in self._ppp_processes():
            os.kill(pid, signal.SIGKILL)
        assert within(UP_S, lambda: not self._ppp_processes()), "its pppd is still there"
        self._swanctl("--terminate", "--ike", "home", "--force", "--timeout", "1")

    def run(self, *words: str) -> str:
        """What a program on the client's machine printed."""
        return _process.run(inside(self._namespace, [*words])).decode()

    def pings(self, address: str, *words: str) -> bool:
        """Whether that address answers."""
        try:
            self.run("ping", "-c", "1", "-W", "2", *words, address)
        except ApplierError:
            return False
        return True

    def address(self) -> str | None:
        """What the server gave it."""
        found = re.search(r"inet (\S+) peer", self.run("ip", "-4", "address"))
        return found and found[1]

    def log(self) -> str:
        """The end of what its daemons said."""
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in sorted(self._directory.glob("*.log")))

    def _swanctl(self, *words: str) -> bool:
        argv = ["swanctl", *words, "--uri", f"unix://{self._directory}/vici"]
        return subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode == 0

    def _start(self, *words: str, **more: str) -> None:
        argv = inside(self._namespace, [*words])
        with (self._directory / f"{words[0]}.log").open("ab") as log:
            self._processes.append(subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, **more}))

    def _ppp_processes(self) -> list[int]:
        """Those of xl2tpd's pppd: it is in a session of its own."""
        pids = map(int, _process.run(["ip", "netns", "pids", self._namespace]).split())
        return [pid for pid in pids if _name_of(pid) == "pppd"]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._processes:
            process = self._processes.pop()
            process.terminate()
            process.wait()
        for pid in self._ppp_processes():
            os.kill(pid, signal.SIGKILL)


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""  # ended since the listing
