"""The command line as scripts meet it: real processes, a real journal, no privileges and no agent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vpcrouter.client import find_agent
from vpcrouter.cloudstack.status import router_status
from vpcrouter.decide import decide
from vpcrouter.journal import Entry, Journal, Keys
from vpcrouter.router import Router
from vpcrouter.state import Draft, State
from vpcrouter.submission import read_submission
from vpcrouter.values.confirmation import Terms

SAMPLES = Path(__file__).parent / "data/cloudstack"
BURST = sorted((SAMPLES / "five-tiers").glob("*.json"))
SECRET: str = json.loads(BURST[0].read_text())["cmd_line"]["router_password"]

pytestmark = pytest.mark.slow


class Cli:
    """Runs `vpcrouter` on one journal."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.journal = directory / "journal"

    def __call__(self, *words: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """The finished process."""
        return subprocess.run(
            [sys.executable, "-m", "vpcrouter", *map(str, words)],
            input=data,
            capture_output=True,
            check=False,
            timeout=60,
            cwd=self.directory,
            env={**os.environ, "VPCROUTER_JOURNAL": str(self.journal)},
        )

    def lines(self, *words: str | Path, code: int = 0, data: bytes = b"") -> list[dict[str, Any]]:
        """Its standard output as JSON lines."""
        done = self(*words, data=data)
        assert done.returncode == code, done.stderr.decode()
        return [json.loads(line) for line in done.stdout.splitlines()]

    def one(self, *words: str | Path, code: int = 0) -> dict[str, Any]:
        """Its only line."""
        (line,) = self.lines(*words, code=code)
        return line


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A journal with the five-tiers burst; its tests only read."""
    cli = Cli(tmp_path_factory.mktemp("filled"))
    cli.lines("submit", *BURST)
    return cli


def test_submit_prints_a_line_for_each_command_and_ends_with_1_if_one_was_rejected(cli: Cli) -> None:
    lines = cli.lines("submit", *BURST)
    assert len(lines) == len(BURST)
    for line in lines:
        assert set(line) >= {"seq", "status", "event", "error"}
        assert line["status"] == "accepted"
    wrong = SAMPLES / "ip_aliases.add.json"
    again = cli.lines("submit", *BURST, wrong, code=1)
    assert [line["status"] for line in again] == ["unchanged"] * len(BURST) + ["rejected"]


def test_submit_reads_standard_input_json_lines_and_cfg_files(cli: Cli) -> None:
    mixed = (SAMPLES / "static_routes.add.json").read_text()
    own = '{"command": "remove-tier", "device": "eth9", "network": "10.1.9.0/24"}'
    data = json.dumps(json.loads(mixed)) + "\n" + own + "\n"
    assert [line["status"] for line in cli.lines("submit", "-", data=data.encode())] == ["accepted", "unchanged"]
    lines = cli.lines("submit", SAMPLES / "VR-sample.cfg")
    assert [line["status"] for line in lines] == ["accepted"] * 7


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b'{"type": "nonsense"}', b'{"type": "staticroutes"}'])
def test_what_cannot_be_read_changes_nothing(cli: Cli, data: bytes) -> None:
    cli.lines("submit", SAMPLES / "guest_network.add.json")
    before = {path: path.read_bytes() for path in cli.journal.glob("*.journal")}
    (line,) = cli.lines("submit", "-", code=1, data=data)
    assert (line["seq"], line["status"], line["event"]) == (None, "rejected", None)
    assert line["error"]
    assert {path: path.read_bytes() for path in cli.journal.glob("*.journal")} == before


def test_wrong_usage_ends_with_2_and_errors_with_1(cli: Cli) -> None:
    assert cli("submit").returncode == 2
    assert cli("nonsense").returncode == 2
    assert cli("state", "--at", "yesterday").returncode == 2
    missing = cli("submit", "not-there.json")
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert b"not-there.json: cannot be read: No such file" in missing.stderr
    for verb in (["state"], ["log"], ["status"], ["journal", "verify"]):
        done = cli(*verb)
        assert done.returncode == 1
        assert b"there is no journal" in done.stderr


def test_state_log_and_diff_tell_the_history(filled: Cli) -> None:
    whole = filled.one("--json", "state")
    assert [tier["device"] for tier in whole["tiers"]] == [f"eth{n}" for n in range(2, 7)]
    assert whole["pending"] == []
    early = filled.one("--json", "state", "--at", "3")
    assert (early["seq"], len(early["tiers"])) == (3, 1)
    assert filled.one("--json", "state", "--at", "1h")["seq"] == 0
    log = filled.lines("--json", "log")
    assert [record["seq"] for record in log] == list(range(1, whole["seq"] + 1))
    added = filled.lines("--json", "log", "--type", "tier-added", "--since", "4")
    assert [record["tier"]["device"] for record in added] == ["eth3", "eth4", "eth5", "eth6"]
    changes = filled.one("--json", "diff", "3", "4", code=1)["changes"]
    assert [(change["sign"], change["what"]) for change in changes] == [("+", "acls")]
    assert filled.one("--json", "diff", "4", "4")["changes"] == []
    assert filled("state", "--at", "9999").returncode == 1
    assert filled("log", "--type", "bogus").returncode == 2


def test_secrets_are_shown_nowhere_but_in_an_export(filled: Cli, tmp_path: Path) -> None:
    shown = b"".join(
        filled(*verb).stdout
        for verb in (
            ["state"],
            ["--json", "state"],
            ["log"],
            ["--json", "log"],
            ["diff", "0", "9"],
            ["journal", "stats"],
        )
    )
    out = tmp_path / "out"
    filled("render", out, "--role", "master")
    shown += b"".join(path.read_bytes() for path in out.iterdir())
    assert b"203.0.113.10" in shown
    assert SECRET.encode() not in shown
    exported = filled("journal", "export")
    assert exported.returncode == 0
    shown += exported.stdout + b"".join(path.read_bytes() for path in filled.journal.rglob("*") if path.is_file())
    assert b"10.1.2.0/24" in shown
    assert SECRET.encode() not in shown
    assert SECRET.encode() in filled("journal", "export", "--reveal-secrets").stdout
    assert filled.journal.stat().st_mode & 0o777 == 0o700
    assert Keys.beside(filled.journal).path.stat().st_mode & 0o777 == 0o600


def test_a_journal_without_its_keys_says_what_is_missing(cli: Cli) -> None:
    cli.lines("submit", BURST[0])
    (key,) = cli.one("--json", "journal", "rotate-key")["key_ids"][:1]
    keys = Keys.beside(cli.journal).path
    for is_there in (True, False):
        keys.chmod(0o644)
        if not is_there:
            keys.unlink()
        for verb in (["state"], ["submit", BURST[1]], ["journal", "verify"]):
            done = cli(*verb)
            assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
            assert str(keys).encode() in done.stdout + done.stderr
            assert SECRET.encode() not in done.stdout + done.stderr
        assert cli("log").returncode == 0
        assert cli("journal", "stats").returncode == 0
    assert key.encode() in cli("state").stderr


def test_secrets_stand_in_clear_after_off(cli: Cli) -> None:
    assert cli.one("--json", "journal", "rotate-key", "--off") == {
        "path": str(cli.journal) + ".keys",
        "key_id": None,
        "key_ids": [],
    }
    cli.lines("submit", BURST[0])
    assert SECRET.encode() in b"".join(path.read_bytes() for path in cli.journal.glob("*.journal"))


def test_render_writes_every_generated_file(filled: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert filled("render", out, "--role", "backup").returncode == 0
    names = {path.name for path in out.iterdir()}
    assert names >= {"keepalived.conf", "conntrackd.conf", "dnsmasq.conf", "ruleset.nft", "kernel.json"}
    kernel = json.loads((out / "kernel.json").read_text())
    assert {"links", "addresses", "routes", "sysctls"} <= kernel.keys()


def test_status_without_an_agent_tells_what_the_journal_can(filled: Cli) -> None:
    status = filled.one("--json", "status")
    assert (status["agent"], status["role"], status["settled"]) == (False, None, None)
    assert status["digest"] == filled.one("--json", "state")["digest"]


def test_journal_stats_speaks_no_python_to_people(filled: Cli) -> None:
    figures = dict(line.split(maxsplit=1) for line in filled("journal", "stats").stdout.decode().splitlines())
    assert (figures["snapshot_seq"], figures["archive_reachable"]) == ("none", "yes")
    assert "tier-added=5" in figures["kinds"]


def test_journal_verify_stats_export_and_import(filled: Cli, cli: Cli) -> None:
    found = filled.one("--json", "journal", "verify")
    assert (found["sound"], found["fault"]) == (True, None)
    assert filled.one("--json", "journal", "stats")["kinds"]["tier-added"] == 5
    exported = filled("journal", "export").stdout
    assert cli("journal", "import", "-", data=exported).returncode == 1
    keys = Keys.beside(filled.journal).path
    imported = cli("--json", "journal", "import", "-", "--keys", keys, data=exported)
    assert (imported.returncode, json.loads(imported.stdout)) == (0, {"seq": found["sound_until"]})
    assert cli.one("--json", "state")["digest"] == filled.one("--json", "state")["digest"]
    assert cli.one("--json", "journal", "verify")["sound_until"] == found["sound_until"]


@pytest.mark.parametrize("words", [["log"], ["journal", "verify"], ["submit", "--help"]], ids=" ".join)
def test_a_verb_imports_no_other_verbs(filled: Cli, words: list[str]) -> None:
    code = f"""
import sys
from vpcrouter.cli import app
app({words}, standalone_mode=False)
print(*sys.modules, file=sys.stderr)
"""
    env = {**os.environ, "VPCROUTER_JOURNAL": str(filled.journal)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env, text=True)
    loaded = set(done.stderr.split())
    assert "vpcrouter.cli.output" in loaded
    for other in ("cli.simulate", "cli.cloudstack", "cli.machine", "lab", "router", "projections.effective"):
        assert f"vpcrouter.{other}" not in loaded
    assert "importlib.metadata" not in loaded, "reading metadata takes a seventh of the time of `vpcrouter log`"


def test_older_records_move_to_an_archive(cli: Cli) -> None:
    with Journal.open(cli.journal, segment_bytes=500) as journal:
        for each in BURST[:30]:
            for submitted in read_submission(each.read_text(), name=each.name):
                if submitted.command is not None:
                    event = decide(Draft(State()), submitted.command).event
                    journal.append([Entry(event=event)] if event is not None else [], time_ns=journal.seq)
    before = cli.one("--json", "state")
    assert cli.one("--json", "journal", "archive", "--to", "old", "--before", "1")["until"] == 0
    some = cli.one("--json", "journal", "archive", "--to", "old", "--before", "9")
    done = cli.one("--json", "journal", "archive", "--to", "old")
    assert 0 < some["until"] < 9 < done["until"]
    assert cli.one("--json", "state") == before
    verified = cli.one("--json", "journal", "verify")
    assert (verified["sound"], verified["archived_until"], verified["archive_checked"]) == (True, done["until"], True)
    assert cli.one("--json", "state", "--at", "3")["seq"] == 3
    assert len(cli.lines("--json", "log")) == before["seq"]
    (cli.directory / "old").rename(cli.directory / "away")
    assert cli.one("--json", "state") == before
    refused = cli("state", "--at", "3")
    assert refused.returncode == 1
    assert b"are in an archive that is not there" in refused.stderr
    assert str(cli.directory / "old").encode() in refused.stderr
    assert len(cli.lines("--json", "log")) == before["seq"] - done["until"]
    assert cli.one("--json", "journal", "verify")["archive_checked"] is False
    assert cli.one("--json", "journal", "stats")["archived_until"] == done["until"]
    assert cli("journal", "archive", "--to", "away").returncode == 0
    assert cli.one("--json", "state", "--at", "3")["seq"] == 3


def test_a_damaged_journal_is_refused_and_repaired_without_deleting(cli: Cli) -> None:
    cli.lines("submit", *BURST)
    (segment,) = cli.journal.glob("*.journal")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 0x10
    segment.write_bytes(content)
    for verb in (["state"], ["submit", BURST[0]], ["log"]):
        done = cli(*verb)
        assert done.returncode == 1
        assert segment.name.encode() in done.stderr
    found = cli.one("--json", "journal", "verify", code=1)
    assert 0 < found["sound_until"] < 52
    repaired = cli.one("--json", "journal", "repair")
    assert repaired["seq"] == found["sound_until"]
    assert sum(Path(path).stat().st_size for path in repaired["moved"]) > 0
    assert cli.one("--json", "journal", "verify")["sound"] is True
    assert cli.one("--json", "state")["seq"] == repaired["seq"]


def test_revert_and_snapshot(cli: Cli) -> None:
    cli.lines("submit", *BURST)
    then = cli.one("--json", "state", "--at", "20")["digest"]
    assert all(line["status"] == "accepted" for line in cli.lines("revert", "20"))
    assert cli.one("--json", "state")["digest"] == then
    assert cli("journal", "snapshot").returncode == 0
    assert cli.one("--json", "state")["digest"] == then
    assert cli("revert", "9999").returncode == 1


def test_cloudstack_drop_ins(cli: Cli) -> None:
    cache = cli.directory / "cache"
    cache.mkdir()
    (cache / "guest_network.json.1b4e28ba").write_bytes((SAMPLES / "guest_network.add.json").read_bytes())
    (cache / "network_acl.json.2c1743a3").write_text("{}")
    taken = cli("cloudstack", "update-config", "guest_network.json.1b4e28ba", "--cache", cache)
    assert taken.returncode == 0
    assert b"guest_network.json.1b4e28ba: network_id has no effect: " in taken.stdout
    assert cli("cloudstack", "update-config", "guest_network.json.1b4e28ba", "false", "--cache", cache).returncode == 0
    refused = cli("cloudstack", "update-config", "network_acl.json.2c1743a3", "--cache", cache)
    assert refused.returncode == 1
    assert b"type" in refused.stdout
    assert cli("cloudstack", "update-config", "../journal/lock", "--cache", cache).returncode == 1
    assert cli("cloudstack", "checkrouter").stdout == router_status(None).encode() + b"\n"


@pytest.mark.parametrize(
    "verb", ["", "submit", "run", "status", "plan", "boot", "lab", "lab up", "journal", "cloudstack"]
)
def test_help_is_there(cli: Cli, verb: str) -> None:
    done = cli(*verb.split(), "--help")
    assert done.returncode == 0
    assert b"Usage: " in done.stdout


def test_a_copied_journal_does_not_lead_to_the_agent_of_the_other(cli: Cli) -> None:
    with Router.open(cli.journal, owner={"socket": "/run/elsewhere.sock"}):
        assert find_agent(cli.journal) == Path("/run/elsewhere.sock")
        shutil.copytree(cli.journal, cli.directory / "copy")
        assert (cli.directory / "copy/lock").read_bytes()
        assert find_agent(cli.directory / "copy") is None
    assert find_agent(cli.journal) is None


def test_a_command_id_and_an_expected_number_work_without_an_agent(cli: Cli) -> None:
    first = cli.one("submit", BURST[0], "--command-id", "tf-1")
    assert (first["seq"], first["status"]) == (1, "accepted")
    assert cli.one("submit", BURST[0], "--command-id", "tf-1", "--expect-seq", "1") == first
    stale = cli.one("submit", BURST[1], "--expect-seq", "0", code=1)
    assert (stale["status"], "the newest event is 1, not 0" in stale["error"]) == ("rejected", True)
    assert cli.one("submit", BURST[1], "--expect-seq", "1")["seq"] == 2


def test_a_deadline_needs_an_agent(cli: Cli) -> None:
    done = cli("submit", BURST[0], "--confirm-within", "60s")
    assert (done.returncode, b"no agent runs on this journal" in done.stderr) == (1, True)
    assert not list(cli.journal.glob("*.journal")), "nothing was stored"
    assert cli("submit", BURST[0], "--confirm-within", "soon").returncode == 2
    assert cli("submit", BURST[0], "--confirm-if", "settled").returncode == 2
    assert cli("confirm", "7").returncode == 1


def test_what_waits_can_be_confirmed_or_taken_back_while_no_agent_runs(cli: Cli) -> None:
    with Router.open(cli.journal) as router:
        first, *rest = [
            [each.command for each in read_submission(file.read_bytes(), name=file.name) if each.command]
            for file in BURST[:3]
        ]
        router.submit_many(first)
        before = router.digest
        for commands in rest:
            router.submit_change(commands, Terms(within_ms=3_600_000))
    waiting = cli.one("--json", "status")["unconfirmed"]
    assert len(waiting) == 2
    assert cli("confirm").returncode == 1, "which of the two?"
    assert cli.one("confirm", waiting[0])["event"] == "change-confirmed"
    assert cli.one("confirm", "--take-back")["event"] == "change-reverted"
    with Router.open(cli.journal) as router:
        assert router.unconfirmed == ()
        assert router.digest != before
