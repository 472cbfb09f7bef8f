"""A directory of many small files is as desired, costs nothing while nobody touches it, and is not for all to read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from vpcrouter.appliers import _files, _shelf
from vpcrouter.appliers._shelf import ShelfApplier
from vpcrouter.values.desired import Shelf, ShelfFile, content_digest


def shelf(path: Path, **files: str) -> Shelf:
    group = path.parent.group()
    return Shelf(path=str(path), group=group, files=tuple(shelf_file(name, text) for name, text in files.items()))


def shelf_file(name: str, text: str) -> ShelfFile:
    return ShelfFile(name=name, digest=content_digest(text.encode()), content=text.encode)


def names(path: Path) -> set[str]:
    return {each.name for each in path.iterdir()}


def test_files_come_change_and_go(tmp_path: Path) -> None:
    place = tmp_path / "shelf"
    applier = ShelfApplier(place, "web")
    done = applier.settle(shelf(place, a="1", b="2"))
    assert [str(each) for each in done] == [f"web: write {place}/a", f"web: write {place}/b"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o750
    assert stat.S_IMODE((place / "a").stat().st_mode) == 0o640
    assert [str(each) for each in applier.settle(shelf(place, b="3", c="4"))] == [
        f"web: write {place}/b", f"web: write {place}/c", f"web: remove {place}/a",
    ]  # fmt: skip
    assert (place / "b").read_text() == "3"
    assert applier.settle(shelf(place, b="3", c="4")) == ()
    assert [each.action for each in applier.settle(None)] == ["remove", "remove"]
    assert names(place) == set()
    assert applier.settle(None) == ()


def test_drift_is_seen_and_repaired(tmp_path: Path) -> None:
    place = tmp_path / "shelf"
    applier, desired = ShelfApplier(place, "web"), shelf(place, a="1", b="2", c="3")
    applier.settle(desired)
    (place / "a").unlink()
    (place / "stranger").write_text("x")
    (place / "b.new").write_text("other")
    (place / "b.new").rename(place / "b")
    assert {str(each).removeprefix("web: ") for each in applier.plan(desired)} == {
        f"write {place}/a", f"write {place}/b", f"remove {place}/stranger",
    }  # fmt: skip
    applier.settle(desired)
    assert names(place) == {"a", "b", "c"}
    assert applier.plan(desired) == ()
    (place / "c").write_text("in place")
    (place / "a").chmod(0o644)
    assert [str(each) for each in applier.plan(desired)] == [f"web: write {place}/a", f"web: write {place}/c"]


def test_another_applier_takes_over_without_writing(tmp_path: Path) -> None:
    place = tmp_path / "shelf"
    ShelfApplier(place, "web").settle(shelf(place, a="1"))
    assert ShelfApplier(place, "web").settle(shelf(place, a="1")) == ()


def test_a_look_costs_nothing_while_nobody_touches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "shelf"
    applier, desired = ShelfApplier(place, "web"), shelf(place, a="1")
    applier.settle(desired)

    def never(path: Path) -> tuple[Path, ...]:
        raise AssertionError(f"{path} was listed")

    monkeypatch.setattr(_files, "list_directory", never)
    assert applier.settle(desired) == ()
    assert [each.subject for each in applier.settle(shelf(place, a="1", b="2"))] == [str(place / "b")]
    monkeypatch.setattr(_shelf, "FULL_LOOK_S", 0.0)
    with pytest.raises(AssertionError, match="listed"):
        applier.settle(desired)


def test_a_socket_is_somebody_elses(tmp_path: Path) -> None:
    place = tmp_path / "shelf"
    applier = ShelfApplier(place, "web")
    applier.settle(shelf(place, a="1"))
    os.mkfifo(place / "socket")
    assert applier.settle(shelf(place, a="1")) == ()
    applier.settle(None)
    assert names(place) == {"socket"}
