"""The paper's experiments: run every comparison, fill the tables of docs/results.md.

    python -m benchmarks.paper                               # all of them; hours on two cores
    python -m benchmarks.paper mnist_mlp_gan_thick --set 'seeds=[0]'
    python -m benchmarks.paper --tables                      # only the tables, of what has run

What has run already is not run again, so the command can be stopped and repeated. Oracles that were
not trained are left out, with a line that says so. Tables stand in docs/results.md between
`<!-- NAME -->` and `<!-- end -->`.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from unfeature.compare import compare
from unfeature.comparison import read_comparison
from unfeature.progress import Progress

EXPERIMENTS, RESULTS = Path("experiments"), Path("docs/results.md")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = sorted(path.stem for path in EXPERIMENTS.glob("*.toml"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/paper"))
    parser.add_argument("--set", action="append", default=[], help="for every comparison")
    parser.add_argument("--tables", action="store_true", help="run nothing, only fill the tables")
    arguments = parser.parse_args(argv)
    unknown = set(arguments.names) - set(known)
    if unknown:
        parser.error(f"no experiment {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    for name in arguments.names or known:
        folder = arguments.output / name
        if not arguments.tables:
            comparison = read_comparison(EXPERIMENTS / f"{name}.toml", arguments.set)
            compare(comparison, folder, resume=True, progress=Progress())
        found = folder / "comparison.md"
        if found.exists():
            RESULTS.write_text(filled(RESULTS.read_text(), name, found.read_text()))
            print(f"{name}\n{found.read_text()}", flush=True)


def filled(text: str, name: str, table: str) -> str:
    """The document with the table between its marks; unchanged where there are none."""
    marks = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    return marks.sub(lambda match: f"{match[1]}\n{table}\n{match[2]}", text)


def rows_between(text: str, name: str) -> list[str]:
    """The lines of the table between a document's marks, its heading first; none where there is
    none."""
    block = text.partition(f"<!-- {name} -->")[2].partition("<!-- end -->")[0]
    return [line for line in block.splitlines() if line.startswith("|")]


if __name__ == "__main__":
    main()
