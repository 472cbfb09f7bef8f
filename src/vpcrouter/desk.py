"""What becomes of a request to submit: its files are read, its commands decided, each gets a line for an answer.

The same through the agent and without one, so that a command fares alike whichever way it comes. A request is

    {"name": FILE, "data": TEXT}   or   {"files": [[FILE, TEXT], …]}
    "command_id": ID               done once; of several commands, the n-th has ID/n
    "expected_seq": N              refused as a whole unless N is the newest event
    "confirm_within_ms": N         one change, taken back unless it is confirmed in time…
    "confirm_if": [CONDITION, …]   …by somebody, or by all of these conditions
    "confirmation": NAME           what it is confirmed by

Requests that came at the same moment share one sync, but for those that are more than their commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from attrs import evolve as with_changes
from attrs import frozen

from vpcrouter.deciding import Asked
from vpcrouter.errors import CallerError, RejectedCommandError
from vpcrouter.receipt import Receipt, rejection
from vpcrouter.router import Router
from vpcrouter.submission import Submitted, read_submission
from vpcrouter.values import fields
from vpcrouter.values.confirmation import LONGEST_MS, SHORTEST_MS, Terms

Result = Receipt | CallerError
Line = dict[str, Any]


@frozen(kw_only=True)
class Handed:
    """A request to submit, as far as it could be read."""

    commands: tuple[Submitted, ...]
    expected_seq: int | None = None
    terms: Terms | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is no more than its commands."""
        return self.terms is None and self.expected_seq is None


def read_request(request: dict[str, Any]) -> Handed:
    """The request of a JSON object. Raises MalformedInputError for what is not in its files."""
    files = request["files"] if "files" in request else [(request["name"], request["data"])]
    commands = [each for name, data in files for each in read_submission(str(data), name=str(name))]
    command_id, terms = request.get("command_id") or "", None
    if command_id:
        fields.word(command_id, "command_id", 240)
        commands = [_with_id(each, command_id, number, len(commands)) for number, each in enumerate(commands, 1)]
    if (within_ms := request.get("confirm_within_ms")) is not None:
        terms = Terms(
            within_ms=fields.integer(within_ms, "confirm_within_ms", SHORTEST_MS, LONGEST_MS),
            conditions=tuple(request.get("confirm_if") or ()),
            name=request.get("confirmation") or command_id,
        )
    if (expected_seq := request.get("expected_seq")) is not None:
        fields.integer(expected_seq, "expected_seq", 0, 2**63 - 1)
    return Handed(commands=tuple(commands), expected_seq=expected_seq, terms=terms)


def submit(router: Router, handed: Sequence[Handed], *, origin: str) -> list[list[Line]]:
    """The answers to each of the requests. What they say is accepted is durable. Raises JournalWriteError."""
    answers: list[list[Line]] = []
    for is_plain, some in groupby(handed, lambda each: each.is_plain):
        if is_plain:
            plain = list(some)
            results = iter(router.submit_each(_asked(each for one in plain for each in one.commands), origin=origin))
            answers += [_lines(one.commands, results) for one in plain]
        else:
            answers += [_lines(one.commands, iter(_submit_special(router, one, origin))) for one in some]
    return answers


def _submit_special(router: Router, handed: Handed, origin: str) -> Sequence[Result]:
    """A result for each command that could be read."""
    asked = _asked(handed.commands)
    if handed.expected_seq is not None and handed.expected_seq != router.seq:
        return [_stale(router.seq, handed.expected_seq)] * len(asked)
    if handed.terms is None:
        return router.submit_each(asked, origin=origin)
    if len(asked) < len(handed.commands):
        what = "another command of the same change cannot be read"
        return [RejectedCommandError(what, where="confirmation", hint="mend that one; nothing was stored")] * len(asked)
    return router.submit_change(asked, handed.terms, origin=origin)


def _asked(commands: Iterable[Submitted]) -> list[Asked]:
    return [
        Asked(command=each.command, command_id=each.command_id, expected_seq=each.expected_seq)
        for each in commands
        if each.command is not None
    ]


def _with_id(each: Submitted, command_id: str, number: int, count: int) -> Submitted:
    """A command that has an id of its own keeps it."""
    if each.command_id:
        return each
    return with_changes(each, command_id=command_id if count == 1 else f"{command_id}/{number}")


def _stale(newest: int, expected: int) -> RejectedCommandError:
    return RejectedCommandError(
        f"the newest event is {newest}, not {expected}",
        where="expected_seq",
        hint="look at what came in between, and submit again",
    )


def _lines(commands: Iterable[Submitted], results: Iterable[Result]) -> list[Line]:
    rest = iter(results)
    return [_line(each, each.error if each.command is None else next(rest)) for each in commands]


def _line(submitted: Submitted, result: Result | None) -> Line:
    if not isinstance(result, Receipt):
        return {**rejection(str(result)), "where": submitted.where}
    line = result.as_dict()
    if submitted.without_effect:
        line["without_effect"] = dict(submitted.without_effect)
    return {**line, "where": submitted.where}
