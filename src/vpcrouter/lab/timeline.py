"""Draws what happened in a laboratory over time: one self-contained SVG. Pure: a recording goes in, text comes out.

Called by the command line for `drill`. Lanes from the top: what was done, each router with its
roles and reloads, each guest that probed with its outages. The colours are of Okabe and Ito's palette, which people
with any kind of colour blindness can tell apart, and every role also stands there as a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from attrs import frozen

WIDTH = 1200
_LEFT, _RIGHT = 96, 24
_ROW = 17
_LANE = 34
_TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_TICKS = 16
_COLOURS = {"master": "#0072B2", "backup": "#E69F00", "fault": "#CC79A7", "init": "#BBBBBB", "gone": "#555555"}
_DARK = frozenset({"master", "gone"})
_OUTAGE = "#D55E00"
_STEP = "#009E73"
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
    """A router has a role; `gone` if its agent does not answer."""

    start_s: float
    end_s: float
    role: str


@frozen(kw_only=True)
class Mark:
    """A reload, restart or death of a daemon."""

    at_s: float
    what: str


@frozen(kw_only=True)
class Silence:
    """An outage of a guest."""

    start_s: float
    length_ms: float
    lost: int
    cause: str = ""


@frozen(kw_only=True)
class Recording:
    """Everything that a timeline shows."""

    title: str
    length_s: float
    deeds: tuple[Deed, ...] = ()
    roles: dict[str, tuple[RoleSpan, ...]]
    marks: dict[str, tuple[Mark, ...]]
    silences: dict[str, tuple[Silence, ...]]


def draw(recording: Recording) -> str:
    """The picture."""
    rows = _rows(recording)
    deeds_height = 8 + _ROW * (max(rows, default=-1) + 1)
    top = 62
    lanes: list[str] = []
    y = top + deeds_height + 10
    lanes += _deeds(recording, rows, top)
    for router, spans in recording.roles.items():
        lanes += _router(recording, router, spans, y)
        y += _LANE + 12
    for guest, silences in recording.silences.items():
        lanes += _guest(recording, guest, silences, y)
        y += _LANE
    height = y + 44
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
            ' font-family="Helvetica, Arial, sans-serif" font-size="11">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="{_LEFT}" y="24" font-size="16" font-weight="bold">{escape(recording.title)}</text>',
            *_legend(44),
            *_axis(recording.length_s, top, y + 6),
            *lanes,
            "</svg>\n",
        ]
    )


def _x(recording: Recording, at_s: float) -> float:
    share = min(1.0, max(0.0, at_s / recording.length_s)) if recording.length_s else 0.0
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


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
        over = start + 6 + len(deed.what) * _CHARACTER - (WIDTH - 4)
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
    return drawn


def _guest(recording: Recording, guest: str, silences: tuple[Silence, ...], y: float) -> list[str]:
    middle = y + 17
    drawn = [
        _label(f"{guest} probes", middle + 4),
        f'<line x1="{_LEFT}" y1="{middle}" x2="{WIDTH - _RIGHT}" y2="{middle}" stroke="#888888"/>',
    ]
    free = 0.0
    for each in silences:
        start = _x(recording, each.start_s)
        width = max(3.0, _x(recording, each.start_s + each.length_ms / 1000) - start)
        said = f"{each.length_ms:.0f} ms" if each.length_ms >= 1 else f"{each.lost} lost"
        drawn.append(
            f'<rect x="{start:.1f}" y="{middle - 7}" width="{width:.1f}" height="14" fill="{_OUTAGE}"><title>'
            f"{each.lost} lost in {each.length_ms:.1f} ms at {each.start_s:.2f} s"
            f"{f' ({escape(each.cause)})' if each.cause else ''}</title></rect>"
        )
        at = min(start, WIDTH - 6 - len(said) * _CHARACTER)
        if at >= free:
            drawn.append(f'<text x="{at:.1f}" y="{middle - 9}" font-size="10" fill="{_OUTAGE}">{said}</text>')
            free = at + len(said) * _CHARACTER + 6
    return drawn


def _legend(y: float) -> list[str]:
    drawn, x = [], float(_LEFT)
    entries = [
        *((colour, name if name != "gone" else "agent gone") for name, colour in _COLOURS.items()),
        (_OUTAGE, "probes lost"),
        (_STEP, "done, until the pair is whole"),
    ]
    for colour, name in entries:
        drawn.append(f'<rect x="{x}" y="{y - 9}" width="11" height="11" fill="{colour}"/>')
        drawn.append(f'<text x="{x + 15}" y="{y}">{name}</text>')
        x += 30 + len(name) * 6.2
    drawn.append(f'<path d="M{x + 4} {y} l-3.5 -7 h7 z" fill="#000000"/>')
    drawn.append(f'<text x="{x + 15}" y="{y}">keepalived, conntrackd or dnsmasq reloaded, started or died</text>')
    return drawn


def _axis(length_s: float, top: float, bottom: float) -> Iterator[str]:
    step = next((each for each in _TICKS_S if length_s / each <= _MOST_TICKS), _TICKS_S[-1])
    for number in range(int(length_s / step + 1e-9) + 1):
        at = number * step
        x = _LEFT + (at / length_s if length_s else 0.0) * (WIDTH - _LEFT - _RIGHT)
        yield f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="#e4e4e4"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" fill="#333333">{at:g}</text>'
    yield f'<text x="{(WIDTH + _LEFT) / 2}" y="{bottom + 32}" text-anchor="middle" fill="#333333">seconds</text>'


def _label(text: str, y: float) -> str:
    return f'<text x="{_LEFT - 10}" y="{y}" text-anchor="end" font-weight="bold">{escape(text)}</text>'
