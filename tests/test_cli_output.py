"""What the command line prints, wherever that goes: full disks, closed streams, terminals, other character sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from vpcrouter.cli.history import parse_point
from vpcrouter.cli.output import say_json, say_pretty, visible
from vpcrouter.submission import read_submission

HOSTILE = "höst \u202eevil\x9b31m\u2028\udcff"
"""Turns the line around, sets a colour by a C1 control, ends a line, and holds a byte that was no text."""
PAGES = {
    "command": "put-guest-pages",
    "pages": {"address": "10.1.2.11", "metadata": [["n", f"{HOSTILE[:-1]}\nline 2"]]},
}


def vpcrouter(journal: Path, *words: str, data: bytes = b"", **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "vpcrouter", "--journal", str(journal), *words]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, input=data, check=False, timeout=60, **streams)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    made = tmp_path / "journal"
    assert vpcrouter(made, "submit", "-", data=json.dumps(PAGES).encode()).returncode == 0
    return made


@pytest.mark.parametrize("say", [say_json, say_pretty])
def test_json_moves_no_terminal_and_comes_back_as_it_was(say: object, capsys: pytest.CaptureFixture[str]) -> None:
    say({"text": HOSTILE})  # type: ignore[operator]
    printed = capsys.readouterr().out
    assert "höst" in printed
    assert not any(each in printed for each in HOSTILE if not each.isprintable())
    assert json.loads(printed) == {"text": HOSTILE}


def test_a_line_for_people_is_one_line() -> None:
    assert visible("höst-1 b") == "höst-1 b"
    assert visible("a\nb\x9b\u202e") == r"a\nb\x9b\u202e"


@pytest.mark.parametrize("text", ["9999999999d", "99999999999999999999s", "-1", "", "1.5"])
def test_a_time_that_is_none_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_point(text)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "file: holds no command"),
        (b"\n \n", "file: holds no command"),
        ("\ufeff{}".encode(), "file: begins with a byte order mark, which JSON has none of (RFC 8259)"),
    ],
)
def test_a_file_without_a_command_says_so(data: bytes, error: str) -> None:
    (found,) = read_submission(data)
    assert str(found.error) == error


@pytest.mark.slow
@pytest.mark.parametrize("words", [["log"], ["state"], ["--json", "log"], ["status"]])
def test_a_full_disk_under_the_output_is_said_in_a_line(journal: Path, words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = vpcrouter(journal, *words, stdout=full)
    assert (done.returncode, done.stderr) == (1, b"vpcrouter: standard output: No space left on device\n")


@pytest.mark.slow
def test_closed_streams_do_no_harm(journal: Path) -> None:
    """The first file that is opened would have their numbers."""
    before = {path: path.read_bytes() for path in journal.rglob("*.journal")}
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        for words in ("log", "submit -", "submit - - -"):
            line = f"exec {sys.executable} -m vpcrouter --journal {journal} {words} {closed}"
            done = subprocess.run(["sh", "-c", line], capture_output=True, stdin=subprocess.DEVNULL, check=False)
            assert done.returncode == (0 if words == "log" else 1), done.stderr
            assert b"Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in journal.rglob("*.journal")} == before


@pytest.mark.slow
def test_the_character_set_of_the_terminal_changes_nothing(journal: Path, tmp_path: Path) -> None:
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in (["--json", "log"], ["state"], ["log"], ["journal", "export"]):
        done = vpcrouter(journal, *words, env=ascii_only)
        assert (done.returncode, done.stderr) == (0, b"")
        assert "höst" in done.stdout.decode()
        assert done.stdout == vpcrouter(journal, *words).stdout
    assert vpcrouter(journal, "log").stdout.count(b"\n") == 1
    strange = tmp_path / os.fsdecode(b"n\xffame.json")
    strange.write_bytes(b"{}")
    done = vpcrouter(journal, "submit", os.fspath(strange))
    assert json.loads(done.stdout)["where"] == os.fspath(strange)


@pytest.mark.slow
def test_what_is_no_text_is_refused_by_its_line(journal: Path, tmp_path: Path) -> None:
    exported = vpcrouter(journal, "journal", "export").stdout
    for data in (b"\xff\n", exported.replace(b'"stdin"', b'"\xff"').replace(b'"command line"', b'"\xff"')):
        done = vpcrouter(tmp_path / "other", "journal", "import", "-", data=data)
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr
    done = vpcrouter(tmp_path / "boot", "boot", "--cmdline", os.fspath(tmp_path / "none"))
    assert (done.returncode, done.stderr) == (
        1,
        f"vpcrouter: {tmp_path}/none: cannot be read: No such file or directory\n".encode(),
    )
    bad = tmp_path / "cmdline"
    bad.write_text("name")
    assert vpcrouter(tmp_path / "boot", "boot", "--cmdline", os.fspath(bad)).returncode == 1
    assert not (tmp_path / "boot").exists(), "what cannot be read makes no journal"


@pytest.mark.slow
def test_an_empty_name_is_no_journal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vpcrouter", "--journal", "", "submit", "-"]
    done = subprocess.run(command, input=json.dumps(PAGES).encode(), capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert b"--journal names no directory" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_new_key_does_not_take_the_place_of_a_lost_key_file(tmp_path: Path) -> None:
    journal, keys = tmp_path / "journal", tmp_path / "journal.keys"
    secret = {"command": "put-guest-password", "address": "10.1.2.11", "password": "once"}
    assert vpcrouter(journal, "submit", "-", data=json.dumps(secret).encode()).returncode == 0
    away = keys.rename(tmp_path / "away")
    for words in (["journal", "rotate-key"], ["journal", "rotate-key", "--off"]):
        done = vpcrouter(journal, *words)
        assert done.returncode == 1
        assert b"bring it back from its copy first" in done.stderr
        assert not keys.exists()
    away.rename(keys)
    assert vpcrouter(journal, "journal", "rotate-key").returncode == 0
