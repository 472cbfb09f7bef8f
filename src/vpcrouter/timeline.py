"""Draws what happened to a pair over time: one self-contained SVG. Pure: a recording goes in, text comes out.

Called by the laboratory and by whoever else has roles over time, so it knows nothing of either. Lanes from the top:
what was done, each router with its roles, reloads and commands, the time in which both served, and each watcher with
its outages. The colours are of Okabe and Ito's palette, which people with any kind of colour blindness can tell apart,
and every role also stands there as a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from attrs import Factory, frozen

WIDTH = 1200
"""Of a picture of 90 seconds at most; longer ones are wider, so that what is done can still be told apart."""
_WIDEST = 24_000
_PER_S = 12.0
_LEFT, _RIGHT = 110, 24
_ROW = 17
_LANE = 34
_TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_TICK_EVERY = 66.0
"""Pixels between two ticks at least."""
_COLOURS = {"master": "#0072B2", "backup": "#E69F00", "fault": "#CC79A7", "init": "#BBBBBB", "gone": "#555555"}
_DARK = frozenset({"master", "gone"})
_OUTAGE = "#D55E00"
_STEP = "#009E73"
_COMMAND = "#56B4E9"
_CHARACTER = 5.7
"""Width of one in the font of the labels, on average."""


@frozen(kw_only=True)
class Deed:
    """Something that was done, from its beginning until the pair was whole again. Times in seconds."""

    start_s: float
    end_s: float
    what: str


@frozen(kw_only=True)
class RoleSpan:
    """A router has a role; `gone` if nobody can say."""

    start_s: float
    end_s: float
    role: str


@frozen(kw_only=True)
class Mark:
    """A reload, restart or death of a daemon; or commands that a router took."""

    at_s: float
    what: str


@frozen(kw_only=True)
class Silence:
    """An outage that a watcher saw. One without `cause` is drawn as not explained."""

    start_s: float
    length_ms: float
    lost: int
    cause: str = ""


@frozen(kw_only=True)
class Recording:
    """Everything that a timeline shows. The keys are the lanes' names."""

    title: str
    length_s: float
    deeds: tuple[Deed, ...] = ()
    roles: dict[str, tuple[RoleSpan, ...]]
    marks: dict[str, tuple[Mark, ...]]
    """By router: what its daemons did."""
    commands: dict[str, tuple[Mark, ...]] = Factory(dict)
    """By router."""
    both_serve: tuple[tuple[float, float], ...] | None = None
    """From when to when two routers served, in seconds; None: nobody looked, and there is no such lane."""
    silences: dict[str, tuple[Silence, ...]]
    """By watcher."""


def width_of(recording: Recording) -> float:
    """The width of its picture, in pixels."""
    return min(_WIDEST, max(WIDTH, _LEFT + _RIGHT + _PER_S * recording.length_s))


def draw(recording: Recording) -> str:
    """The picture."""
    width = width_of(recording)
    rows = _rows(recording)
    top = 62
    lanes = _deeds(recording, rows, top)
    y = top + 18.0 + _ROW * (max(rows, default=-1) + 1)
    for router, spans in recording.roles.items():
        lanes += _router(recording, router, spans, y)
        y += _LANE + 16
    if recording.both_serve is not None:
        lanes += _both(recording, recording.both_serve, y)
        y += _LANE
    for watcher, silences in recording.silences.items():
        lanes += _watcher(recording, watcher, silences, y)
        y += _LANE
    height = y + 44
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
            f' height="{height:g}" font-family="Helvetica, Arial, sans-serif" font-size="11">',
            f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
            f'<text x="{_LEFT}" y="24" font-size="16" font-weight="bold">{escape(recording.title)}</text>',
            *_legend(recording, 44),
            *_axis(recording, top, y + 6),
            *lanes,
            "</svg>\n",
        ]
    )


def _x(recording: Recording, at_s: float) -> float:
    share = min(1.0, max(0.0, at_s / recording.length_s)) if recording.length_s else 0.0
    return _LEFT + share * (width_of(recording) - _LEFT - _RIGHT)


def _rows(recording: Recording) -> list[int]:
    """In which row each deed stands, so that no label covers another one."""
    ends: list[float] = []
    rows = []
    for deed in recording.deeds:
        start = _x(recording, deed.start_s)
        row = next((number for number, end in enumerate(ends) if end <= start), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = max(_x(recording, deed.end_s), start + 10 + len(deed.what) * _CHARACTER) + 6
        rows.append(row)
    return rows


def _deeds(recording: Recording, rows: list[int], top: float) -> list[str]:
    drawn = [_label("done", top + 14)]
    for deed, row in zip(recording.deeds, rows, strict=True):
        start, end = _x(recording, deed.start_s), _x(recording, deed.end_s)
        y = top + 4 + row * _ROW
        # Where the label would leave the picture it stands before its end.
        over = start + 6 + len(deed.what) * _CHARACTER - (width_of(recording) - 4)
        drawn.append(
            f'<rect x="{start:.1f}" y="{y}" width="{max(3.0, end - start):.1f}" height="{_ROW - 3}" fill="{_STEP}"'
            f' fill-opacity="0.25" stroke="{_STEP}"><title>{escape(deed.what)}: {deed.start_s:.2f} s to'
            f" {deed.end_s:.2f} s</title></rect>"
        )
        drawn.append(f'<text x="{start + 4 - max(0.0, over):.1f}" y="{y + 11}">{escape(deed.what)}</text>')
    return drawn


def _router(recording: Recording, router: str, spans: tuple[RoleSpan, ...], y: float) -> list[str]:
    drawn = [_label(router, y + 21)]
    for span in spans:
        start, end = _x(recording, span.start_s), _x(recording, span.end_s)
        colour = _COLOURS.get(span.role, _COLOURS["init"])
        drawn.append(
            f'<rect x="{start:.1f}" y="{y + 8}" width="{max(0.5, end - start):.1f}" height="20" fill="{colour}">'
            f"<title>{escape(router)} {escape(span.role)}: {span.start_s:.2f} s to {span.end_s:.2f} s</title></rect>"
        )
        if end - start > 12 + len(span.role) * _CHARACTER:
            fill = "#ffffff" if span.role in _DARK else "#000000"
            drawn.append(f'<text x="{start + 5:.1f}" y="{y + 22}" fill="{fill}">{escape(span.role)}</text>')
    for mark in recording.marks.get(router, ()):
        x = _x(recording, mark.at_s)
        drawn.append(
            f'<path d="M{x:.1f} {y + 7} l-3.5 -7 h7 z" fill="#000000"><title>{escape(mark.what)} at'
            f" {mark.at_s:.2f} s</title></path>"
        )
    for mark in recording.commands.get(router, ()):
        x = _x(recording, mark.at_s)
        drawn.append(
            f'<rect x="{x - 1:.1f}" y="{y + 29}" width="2" height="8" fill="{_COMMAND}"><title>{escape(mark.what)} at'
            f" {mark.at_s:.2f} s</title></rect>"
        )
    return drawn


def _both(recording: Recording, spans: tuple[tuple[float, float], ...], y: float) -> list[str]:
    drawn = _line(recording, "both serve", y + 17)
    windows = [(start, (end - start) * 1000, f"both serve for {(end - start) * 1000:.0f} ms") for start, end in spans]
    return [*drawn, *_windows(recording, windows, y + 17, _COLOURS["fault"])]


def _watcher(recording: Recording, watcher: str, silences: tuple[Silence, ...], y: float) -> list[str]:
    drawn = _line(recording, watcher, y + 17)
    for explained, colour in ((True, _OUTAGE), (False, "#000000")):
        windows = [
            (each.start_s, each.length_ms, f"{each.lost} lost in {each.length_ms:.1f} ms ({each.cause or 'no cause'})")
            for each in silences
            if bool(each.cause) is explained
        ]
        drawn += _windows(recording, windows, y + 17, colour)
    return drawn


def _line(recording: Recording, name: str, middle: float) -> list[str]:
    return [
        _label(name, middle + 4),
        f'<line x1="{_LEFT}" y1="{middle}" x2="{width_of(recording) - _RIGHT:g}" y2="{middle}" stroke="#888888"/>',
    ]


def _windows(
    recording: Recording, windows: list[tuple[float, float, str]], middle: float, colour: str
) -> Iterator[str]:
    free = 0.0
    for start_s, length_ms, words in windows:
        start = _x(recording, start_s)
        width = max(3.0, _x(recording, start_s + length_ms / 1000) - start)
        said = f"{length_ms:.0f} ms" if length_ms >= 1 else "< 1 ms"
        yield (
            f'<rect x="{start:.1f}" y="{middle - 7}" width="{width:.1f}" height="14" fill="{colour}"><title>'
            f"{escape(words)} at {start_s:.2f} s</title></rect>"
        )
        at = min(start, width_of(recording) - 6 - len(said) * _CHARACTER)
        if at >= free:
            yield f'<text x="{at:.1f}" y="{middle - 9}" font-size="10" fill="{colour}">{escape(said)}</text>'
            free = at + len(said) * _CHARACTER + 6


def _legend(recording: Recording, y: float) -> list[str]:
    drawn, x = [], float(_LEFT)
    entries = [
        *((colour, name if name != "gone" else "not known") for name, colour in _COLOURS.items()),
        (_OUTAGE, "probes lost"),
        *([("#000000", "lost without a cause")] if _has_riddles(recording) else []),
        (_STEP, "done, until the pair is whole"),
        *([(_COMMAND, "commands")] if any(recording.commands.values()) else []),
    ]
    for colour, name in entries:
        drawn.append(f'<rect x="{x:.1f}" y="{y - 9}" width="11" height="11" fill="{colour}"/>')
        drawn.append(f'<text x="{x + 15:.1f}" y="{y}">{name}</text>')
        x += 30 + len(name) * 6.2
    drawn.append(f'<path d="M{x + 4:.1f} {y} l-3.5 -7 h7 z" fill="#000000"/>')
    drawn.append(f'<text x="{x + 15:.1f}" y="{y}">a daemon reloaded, started or died</text>')
    return drawn


def _has_riddles(recording: Recording) -> bool:
    return any(not each.cause for silences in recording.silences.values() for each in silences)


def _axis(recording: Recording, top: float, bottom: float) -> Iterator[str]:
    most = (width_of(recording) - _LEFT - _RIGHT) / _TICK_EVERY
    step = next((each for each in _TICKS_S if recording.length_s / each <= most), _TICKS_S[-1])
    for number in range(int(recording.length_s / step + 1e-9) + 1):
        x = _x(recording, number * step)
        yield f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="#e4e4e4"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" fill="#333333">{number * step:g}</text>'
    middle = (min(width_of(recording), WIDTH) + _LEFT) / 2
    yield f'<text x="{middle:g}" y="{bottom + 32}" text-anchor="middle" fill="#333333">seconds</text>'


def _label(text: str, y: float) -> str:
    return f'<text x="{_LEFT - 10}" y="{y}" text-anchor="end" font-weight="bold">{escape(text)}</text>'
