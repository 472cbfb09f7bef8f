"""The aggregated file is read as a whole or refused with the line that is wrong."""

from __future__ import annotations

import pytest

from tests.cloudstack.documents import DATA
from vpcrouter.cloudstack import Block, read_cfg
from vpcrouter.errors import MalformedInputError

VERSION = "<version>\n1.0\n</version>\n"
FILE = "<file>\n/var/cache/cloud/a.json.1\n{}\n</file>\n"
SCRIPT = "<script>\n/opt/cloud/bin/update_config.py a.json.1\n</script>\n"


def test_sample() -> None:
    blocks = read_cfg((DATA / "VR-sample.cfg").read_bytes())
    assert [(block.line, block.name.partition(".")[0]) for block in blocks] == [
        (7, "ip_associations"),
        (14, "staticnat_rules"),
        (21, "forwarding_rules"),
        (28, "network_acl"),
        (35, "vm_dhcp_entry"),
        (42, "vm_dhcp_entry"),
        (49, "vm_metadata"),
    ]
    lines = (DATA / "VR-sample.cfg").read_bytes().split(b"\n")
    assert [block.content for block in blocks] == [lines[block.line - 1] for block in blocks]


def test_content_is_kept_byte_for_byte() -> None:
    content = b'  {"a":  "*\\t\\\\"}\t \n\n<file>\n# no comment here\n\xff\x00 $(id) \r'
    data = f"{VERSION}<file>\n/a\n".encode() + content + b"\n</file>\n<script>\n/update_config.py a\n</script>"
    assert read_cfg(data) == (Block(name="a", line=6, content=content),)


def test_text_is_as_good_as_bytes() -> None:
    assert read_cfg(VERSION + FILE + SCRIPT) == read_cfg((VERSION + FILE + SCRIPT).encode())


def test_comments_and_empty_lines_between_blocks() -> None:
    assert len(read_cfg(f"# one\n\n  \n{VERSION}#\n{FILE}\n# two\n{SCRIPT}\n\n# three")) == 1


def test_a_file_without_content() -> None:
    (block,) = read_cfg(f"{VERSION}<file>\n/a\n</file>\n<script>\n/update_config.py a\n</script>")
    assert block.content == b""


def test_the_scripts_give_the_order() -> None:
    files = "".join(f"<file>\n/{name}\n{name}\n</file>\n" for name in "abc")
    scripts = "".join(f"<script>\n/bin/update_config.py {name}\n</script>\n" for name in "cab")
    assert [block.name for block in read_cfg(VERSION + files + scripts)] == ["c", "a", "b"]


def test_a_name_can_come_again_once_it_was_taken_in() -> None:
    assert len(read_cfg(VERSION + (FILE + SCRIPT) * 3)) == 3


def test_scripts_with_an_argument_and_scripts_that_apply() -> None:
    script = "<script>\n/opt/cloud/bin/update_config.py a.json.1 false\n</script>\n"
    apply = "<script>\n/opt/cloud/bin/configure.py monitor_service.json\n</script>\n"
    assert len(read_cfg(VERSION + FILE + script + apply)) == 1


def test_nothing_but_the_version() -> None:
    assert read_cfg(VERSION) == ()


@pytest.mark.parametrize(
    ("data", "line", "what"),
    [
        ("", 1, "no <version>"),
        ("# only\n# comments\n", 1, "no <version>"),
        (FILE + SCRIPT, 1, "version comes first"),
        (VERSION + FILE + VERSION + SCRIPT, 8, "version comes first"),
        ("<version>\n1.1\n</version>\n", 1, "not version 1.0"),
        ("<version>\n1.0\n1.0\n</version>\n", 1, "not version 1.0"),
        ("<version>\n</version>\n", 1, "not version 1.0"),
        ("<version>\n1.0\n", 1, "no </version>"),
        (VERSION + "hello\n", 4, "is not <version>"),
        (VERSION + "<files>\n</files>\n", 4, "is not <version>"),
        (VERSION + " <file>\n", 4, "is not <version>"),
        (VERSION + "<file>\r\n", 4, "is not <version>"),
        (VERSION + "</file>\n", 4, "is not <version>"),
        (VERSION + "<file>\n/a\n{}\n", 4, "no </file>"),
        (VERSION + "<file>\n/a\n{}\n</file> \n", 4, "no </file>"),
        (VERSION + "<file>\n</file>\n", 5, "not the absolute path"),
        (VERSION + "<file>\na.json\n{}\n</file>\n" + SCRIPT, 5, "not the absolute path"),
        (VERSION + "<file>\n/var/cache/cloud/\n{}\n</file>\n" + SCRIPT, 5, "not the absolute path"),
        (VERSION + "<file>\n/var/../a.json.1\n{}\n</file>\n" + SCRIPT, 5, "not the absolute path"),
        (VERSION + "<file>\n/a\0\n{}\n</file>\n" + SCRIPT, 5, "control characters"),
        (VERSION + "<file>\n/é\n{}\n</file>\n" + SCRIPT, 5, "plain ASCII"),
        (VERSION + "<file>\n/" + "a" * 5000 + "\n{}\n</file>\n" + SCRIPT, 5, "longer than a path"),
        (VERSION + FILE, 6, "no script takes this file in"),
        (VERSION + FILE + FILE + SCRIPT, 6, "no script takes this file in before line 10"),
        (VERSION + SCRIPT, 5, "does not stand before it"),
        (VERSION + SCRIPT + FILE, 5, "does not stand before it"),
        (VERSION + FILE + SCRIPT + SCRIPT, 12, "was taken in already"),
        (VERSION + FILE + "<script>\n</script>\n", 9, "is not update_config.py"),
        (VERSION + FILE + "<script>\n/update_config.py\n</script>\n", 9, "is not update_config.py"),
        (VERSION + FILE + "<script>\n/update_config.py a.json.1 true\n</script>\n", 9, "is not update_config.py"),
        (VERSION + FILE + "<script>\n/update_config.py a.json.1;id\n</script>\n", 9, "does not stand before it"),
        (VERSION + FILE + "<script>\nupdate_config.py a.json.1\n</script>\n", 9, "is not update_config.py"),
        (VERSION + FILE + "<script>\n/bin/rm a.json.1\n</script>\n", 9, "is not update_config.py"),
        (VERSION + FILE + "<script>\n/configure.py anything.json\n</script>\n", 9, "is not update_config.py"),
        (VERSION + FILE + "<script>\n/update_config.py a.json.1\n/bin/id\n</script>\n", 9, "is not update_config.py"),
    ],
    ids=lambda value: repr(value)[-40:],
)
def test_refused_with_its_line(data: str, line: int, what: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        read_cfg(data)
    assert caught.value.where == f"line {line}"
    assert what in caught.value.what


def test_too_large() -> None:
    with pytest.raises(MalformedInputError, match="larger than 16 MiB"):
        read_cfg(VERSION + "#" * 16 * 1024 * 1024)
