"""The table at the top of docs/results.md, out of the tables below it.

    python -m benchmarks.glance

Measures nothing: reads the comparisons' and the attacks' tables of docs/results.md and fills the
place between `<!-- glance -->` and `<!-- end -->`.
"""

import re

from benchmarks.paper import EXPERIMENTS, RESULTS, filled, rows_between

Rows = dict[str, dict[str, str]]
HEADS = (
    "generator, feature",
    "left: original, paper, ours, robust",
    "L1 elsewhere: paper, ours, robust",
    "FID: original, paper, ours, robust",
    "brought back, ε = 2: original, paper, ours, robust",
)
METHODS = ("paper", "ours", "robust")


def main() -> None:
    text = RESULTS.read_text()
    table = glance(text, sorted(path.stem for path in EXPERIMENTS.glob("*.toml")))
    RESULTS.write_text(filled(text, "glance", table))
    print(table)


def glance(text: str, names: list[str]) -> str:
    """A row for each comparison whose table the document has."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * len(HEADS)]
    for name in names:
        rows, attacks = rows_of(text, name), rows_of(text, f"attacks {name}")
        if not rows:
            continue
        cells = [
            link(title_of(text, name)),
            ", ".join(figures(rows, "left", "original", *METHODS)),
            ", ".join(figures(rows, "L1 elsewhere", *METHODS)),
            ", ".join(figures(rows, "FID", "original", *METHODS)),
            ", ".join(figures(attacks, "gradient, ε = 2", "original", *METHODS))
            if attacks
            else "–",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def rows_of(text: str, name: str) -> Rows:
    """The table between a mark and the next end, by its first column; its cells by heading."""
    lines = rows_between(text, name)
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    if not table:
        return {}
    heads, _, *rows = table
    return {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows}


def title_of(text: str, name: str) -> str:
    """The last heading above the comparison's table."""
    above = text.partition(f"<!-- {name} -->")[0]
    return re.findall(r"^### (.+)$", above, re.MULTILINE)[-1]


def link(title: str) -> str:
    """A link to the heading, by the anchor that GitHub gives it."""
    anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    return f"[{title}](#{anchor})"


def figures(rows: Rows, column: str, *methods: str) -> list[str]:
    """Of each method the figure alone, without its interval or its spread; of an original that was
    attacked in two spaces, the first."""
    found = []
    for method in methods:
        row = next((rows[key] for key in rows if key.partition(" (")[0] == method), {})
        found.append(re.split(r" [\[±(]", row.get(column, "–"))[0])
    return found


if __name__ == "__main__":
    main()
