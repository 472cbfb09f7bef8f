"""Draws the role machine into docs/role-machine.md, from its table and nothing else.

`python tools/draw_role_machine.py` rewrites the part between the two marks; a test fails while the page shows
another table than the code has. Run it after every change of the table and read the new drawing in the diff.
"""

from __future__ import annotations

from pathlib import Path

from vpcrouter.machines.role import GRID, ROLES, TABLE, Report, Standing

PAGE = Path(__file__).resolve().parent.parent / "docs" / "role-machine.md"
BEGIN = "<!-- drawn by tools/draw_role_machine.py -->"
END = "<!-- end of the drawing -->"


def drawing() -> str:
    """The Mermaid state diagram; what leaves a standing alone is not drawn."""
    edges: dict[tuple[str, str], list[str]] = {}
    for row in TABLE:
        source, destination = row["source"], row["dest"]
        if isinstance(source, Standing) and isinstance(destination, Standing):
            edges.setdefault((source.name, destination.name), []).append(row["trigger"])
    return "\n".join(
        [
            "```mermaid",
            "stateDiagram-v2",
            *(
                f'    state "{standing.value}<br>role {ROLES[standing].value}" as {standing.name}'
                for standing in Standing
            ),
            f"    [*] --> {Standing.NO_TIER.name}",
            *(f"    {source} --> {dest}: {', '.join(reports)}" for (source, dest), reports in edges.items()),
            "```",
        ]
    )


def table() -> str:
    """Every standing (rows) and every report (columns); a dot where the standing remains."""
    lines = [
        "| standing | role | " + " | ".join(f"`{report.value}`" for report in Report) + " |",
        "|---|---|" + "---|" * len(Report),
    ]
    for standing, row in GRID.items():
        cells = ("·" if destination is None else destination.value for destination in row)
        lines.append(f"| **{standing.value}** | {ROLES[standing].value} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def redraw(page: str) -> str:
    """The page with a new drawing and table between its marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{drawing()}\n\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(redraw(PAGE.read_text("utf-8")), "utf-8")
