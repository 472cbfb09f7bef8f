"""Generated files: whole or not at all, with their mode, and known without being read."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from vpcrouter.appliers import _files
from vpcrouter.errors import ApplierError


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_content_and_mode_do_not_depend_on_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        _files.write_atomically(tmp_path / "a.conf", b"one\n", mode)
    finally:
        os.umask(before)
    assert (tmp_path / "a.conf").read_bytes() == b"one\n"
    assert _mode(tmp_path / "a.conf") == mode
    assert [path.name for path in tmp_path.iterdir()] == ["a.conf"]


def test_a_reader_sees_the_old_or_the_new_file_and_nothing_between(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    contents = {b"a" * 100_000, b"b" * 50_000}
    _files.write_atomically(path, b"a" * 100_000)
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for content in sorted(contents) * 100:
        _files.write_atomically(path, content)
    done.set()
    reader.join()
    assert seen <= contents


def test_what_a_crash_left_behind_is_overwritten(tmp_path: Path) -> None:
    _files.temporary_name(tmp_path / "a.conf").write_bytes(b"half of a fi")
    _files.write_atomically(tmp_path / "a.conf", b"whole\n")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.conf": b"whole\n"}


def test_links_in_the_way_are_replaced_and_their_targets_untouched(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "a.conf").symlink_to(target)
    _files.temporary_name(tmp_path / "a.conf").symlink_to(target)
    _files.write_atomically(tmp_path / "a.conf", b"new\n")
    assert target.read_bytes() == b"precious"
    assert not (tmp_path / "a.conf").is_symlink()
    assert _files.read_file(tmp_path / "a.conf") == b"new\n"


def test_a_directory_in_the_way_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.conf").mkdir()
    with pytest.raises(ApplierError, match=r"a\.conf: cannot be written"):
        _files.write_atomically(tmp_path / "a.conf", b"new\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.conf"]


def test_identity_is_that_of_the_written_file_and_any_touch_changes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    identity = _files.write_atomically(path, b"one\n")
    assert _files.file_identity(path) == identity
    path.read_bytes()
    assert _files.file_identity(path) == identity

    status = path.stat()
    with path.open("r+b") as file:  # same length, and the old times put back
        file.write(b"two\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    touched = _files.file_identity(path)
    assert touched is not None
    assert touched != identity
    assert (touched.size, touched.mtime_ns) == (identity.size, identity.mtime_ns)

    path.chmod(0o600)
    assert _files.file_identity(path) != touched


def test_what_is_not_a_regular_file_has_no_identity_and_no_content(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "directory").mkdir()
    for name in ("fifo", "link", "directory", "nothing", "fifo/below"):
        assert _files.file_identity(tmp_path / name) is None
        assert _files.read_file(tmp_path / name) is None


def test_a_fifo_is_made_once_and_its_mode_is_put_right(tmp_path: Path) -> None:
    path = tmp_path / "run" / "fifo"
    _files.make_fifo(path)
    inode = _files.inode_number(path)
    path.chmod(0o666)
    _files.make_fifo(path)
    assert _files.inode_number(path) == inode
    assert _mode(path) == 0o600


def test_a_fifo_replaces_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    path.write_bytes(b"x")
    _files.make_fifo(path)
    assert stat.S_ISFIFO(path.lstat().st_mode)


def test_a_directory_can_be_entered_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        _files.make_directory(tmp_path / "etc" / "vpcrouter")
    finally:
        os.umask(before)
    assert _mode(tmp_path / "etc" / "vpcrouter") == 0o755


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir(mode=0o700)
    _files.make_directory(tmp_path / "etc")
    assert _mode(tmp_path / "etc") == 0o700


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert _files.remove_file(tmp_path / "a")
    assert not _files.remove_file(tmp_path / "a")
