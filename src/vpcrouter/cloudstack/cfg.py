"""The aggregated file VR-UUID.cfg: blocks of lines between tags, read strictly and as a whole.

    <version>              first, once; the one line says 1.0
    <file>                 an absolute path, then the content, kept byte for byte
    <script>               update_config.py NAME [false], or configure.py NAME

Between blocks only empty lines and `#` comments stand. A command is a `<file>` with the `<script>` that takes it
in by its name, and commands come in the order of the scripts. Today's router ignores what goes wrong here and
says that all went well; so whatever would be lost is an error that names its line: a file that no script takes
in, or that a second one overwrites before; a script of an unknown kind, or for a file that is not there (any
more). `configure.py` only tells today's router to apply what it stored; it is accepted and does nothing.

Known hole: content that holds a line `</file>` ends there, as the format has no way to write such a line.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vpcrouter.cloudstack import names
from vpcrouter.errors import MalformedInputError
from vpcrouter.strict_json import MAX_BYTES

_KINDS = (b"version", b"file", b"script")


@frozen(kw_only=True)
class Block:
    """One command: the base name of its file, the content, and the line of the cfg file where that begins."""

    name: str
    line: int
    content: bytes


@frozen
class _Tagged:
    kind: bytes
    line: int
    body: list[bytes]


def read_cfg(data: bytes | str) -> tuple[Block, ...]:
    """The commands of a cfg file, in the order in which its scripts take them in."""
    if len(data) > MAX_BYTES:
        raise MalformedInputError(f"is larger than {MAX_BYTES // 1024 // 1024} MiB", where="file")
    raw = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    waiting: dict[str, Block] = {}
    taken: list[Block] = []
    for index, tagged in enumerate(_tagged(raw.split(b"\n"))):
        if (index == 0) != (tagged.kind == b"version"):
            raise _bad(tagged.line, "the version comes first, and once")
        if tagged.kind == b"version":
            if tagged.body != [b"1.0"]:
                raise _bad(tagged.line, "is not version 1.0, the only one known")
        elif tagged.kind == b"file":
            block = _file(tagged)
            if block.name in waiting:
                raise _bad(waiting[block.name].line, f"no script takes this file in before line {block.line}")
            waiting[block.name] = block
        elif (name := _taken_in(tagged)) is not None:
            if name not in waiting:
                raise _bad(tagged.line + 1, "takes in a file that does not stand before it, or was taken in already")
            taken.append(waiting.pop(name))
    for block in waiting.values():
        raise _bad(block.line, "no script takes this file in")
    return tuple(taken)


def _tagged(lines: list[bytes]) -> Iterator[_Tagged]:
    """The blocks; the line is that of the opening tag."""
    empty = True
    rest = iter(enumerate(lines, 1))
    for number, line in rest:
        if not line.strip() or line.startswith(b"#"):
            continue
        empty = False
        kind = line[1:-1]
        if line[:1] != b"<" or line[-1:] != b">" or kind not in _KINDS:
            raise _bad(number, "is not <version>, <file>, <script>, a comment or empty")
        end = b"</" + kind + b">"
        body: list[bytes] = []
        for _, inner in rest:
            if inner == end:
                break
            body.append(inner)
        else:
            raise _bad(number, f"has no {end.decode()}")
        yield _Tagged(kind, number, body)
    if empty:
        raise _bad(1, "there is no <version>")


def _file(tagged: _Tagged) -> Block:
    path = _text(tagged.body[0] if tagged.body else b"", tagged.line + 1)
    folder, slash, name = path.rpartition("/")
    if not path.startswith("/") or not slash or not name or ".." in folder.split("/"):
        raise _bad(tagged.line + 1, "is not the absolute path of a file")
    return Block(name=name, line=tagged.line + 2, content=b"\n".join(tagged.body[1:]))


def _taken_in(tagged: _Tagged) -> str | None:
    """The name of the file that a script takes in; None for one that does nothing here."""
    words = _text(b" ".join(tagged.body), tagged.line + 1).split()
    if len(tagged.body) == 1 and 2 <= len(words) <= 3:
        program = words[0].rpartition("/")[2]
        if words[0].startswith("/") and program == "update_config.py" and words[2:] in ([], ["false"]):
            return words[1]
        if words[0].startswith("/") and program == "configure.py" and len(words) == 2 and names.type_of_file(words[1]):
            return None
    raise _bad(tagged.line + 1, "is not update_config.py NAME [false] or configure.py NAME")


def _text(line: bytes, number: int) -> str:
    try:
        text = line.decode("ascii")
    except UnicodeDecodeError:
        raise _bad(number, "is not plain ASCII") from None
    if len(text) > 4096 or not (text.isprintable() or not text):
        raise _bad(number, "is longer than a path can be, or holds control characters")
    return text


def _bad(line: int, what: str) -> MalformedInputError:
    return MalformedInputError(what, where=f"line {line}")
