"""Which attributes a face has, how often, and which go together: a table of chances.

A Bayesian network written as conditional probability tables. Attributes are drawn in the table's
order, each from its own chance given the ones above it that it names as parents.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.adapters.files import read_text
from unfeature.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Chance:
    """How often an attribute occurs.

    Attributes:
        chance: one probability for each combination of the parents, counted in binary with the
            first parent as the highest digit: for parents (a, b) no/no, no/yes, yes/no, yes/yes.
        parents: attributes further up in the table.
    """

    chance: tuple[float, ...]
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The chances of all attributes, in the order in which they are drawn.

    Raises:
        UserError: an unknown attribute or parent, a chance outside [0, 1] or one too few or many.
    """

    rows: Mapping[str, Chance]

    def __post_init__(self) -> None:
        for name in self.rows:
            index_of(name)
        missing = [name for name in NAMES if name not in self.rows]
        if missing:
            raise UserError(f"the correlation table has no row for: {', '.join(missing)}")
        above: list[str] = []
        for name, row in self.rows.items():
            self._check(name, row, above)
            above.append(name)

    def _check(self, name: str, row: Chance, above: list[str]) -> None:
        for parent in row.parents:
            index_of(parent)
            if parent not in above:
                raise UserError(
                    f"correlation table, {name}: its parent '{parent}' must stand above it"
                )
        if len(row.chance) != 2 ** len(row.parents):
            raise UserError(
                f"correlation table, {name}: {len(row.chance)} chances for {len(row.parents)} "
                f"parents; give {2 ** len(row.parents)}, one for each combination"
            )
        for value in row.chance:
            if not 0 <= value <= 1:
                raise UserError(f"correlation table, {name}: chance {value} is not in [0, 1]")

    def sample(self, uniforms: Float[Tensor, "n k"]) -> Bool[Tensor, "n k"]:
        """Attributes in the order of `NAMES`, from one uniform number in [0, 1) each."""
        drawn = torch.zeros(uniforms.shape, dtype=torch.bool)
        for name, row in self.rows.items():
            column = index_of(name)
            drawn[:, column] = uniforms[:, column] < _given(row, drawn)
        return drawn

    def joint(self) -> tuple[Bool[Tensor, "m k"], Float[Tensor, " m"]]:
        """Every combination of attributes that can occur, and its exact probability."""
        states = torch.zeros(1, len(NAMES), dtype=torch.bool)
        chances = torch.ones(1, dtype=torch.float64)
        for name, row in self.rows.items():
            yes = states.clone()
            yes[:, index_of(name)] = True
            given = _given(row, states).double()
            states = torch.cat([states, yes])
            chances = torch.cat([chances * (1 - given), chances * given])
            states, chances = states[chances > 0], chances[chances > 0]
        return states, chances

    def shares(self) -> dict[str, float]:
        """The exact share of faces that have each attribute."""
        states, chances = self.joint()
        return dict(zip(NAMES, (chances @ states.double()).tolist(), strict=True))

    def without_correlations(self) -> "Table":
        """Every attribute as often as here, each independent of the others, but for what cannot
        be seen otherwise: sunglasses are glasses, and grey hair is not blond."""
        shares = self.shares()
        rows = {name: Chance((share,)) for name, share in shares.items()}
        glasses, coloured = shares["glasses"], 1 - shares["grey_hair"]
        rows["sunglasses"] = Chance((0.0, _part(shares["sunglasses"], glasses)), ("glasses",))
        rows["blond"] = Chance((_part(shares["blond"], coloured), 0.0), ("grey_hair",))
        return Table({name: rows[name] for name in NAMES})

    def fixed(self, **values: bool) -> "Table":
        """The same table with some attributes always or never there."""
        for name in values:
            index_of(name)
        rows = {name: Chance((float(values[name]),)) if name in values else row
                for name, row in self.rows.items()}  # fmt: skip
        return Table(rows)


def _part(share: float, of: float) -> float:
    return min(share / of, 1.0) if of else 0.0


def _given(row: Chance, states: Bool[Tensor, "m k"]) -> Float[Tensor, " m"]:
    """The chance of an attribute in each state of its parents."""
    number = torch.zeros(len(states), dtype=torch.long)
    for parent in row.parents:
        number = 2 * number + states[:, index_of(parent)]
    return torch.tensor(row.chance)[number]


def index_of(name: str) -> int:
    """The column of an attribute.

    Raises:
        UserError: there is no such attribute.
    """
    if name not in NAMES:
        raise UserError(
            f"avatars have no attribute '{name}'{did_you_mean(name, NAMES)}; "
            f"known: {', '.join(NAMES)}"
        )
    return NAMES.index(name)


def read_table(path: Path) -> Table:
    """A table from TOML: one `[attribute]` with `chance = [...]` and `parents = [...]` each;
    attributes that are not named keep their row of `LIFE`, which comes first."""
    try:
        values: dict[str, Any] = tomllib.loads(read_text(path))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"'{path}' is not a readable correlation table: {error}") from error
    rows = dict(LIFE.rows)
    for name, value in values.items():
        index_of(name)
        try:
            chance, parents = value["chance"], value.get("parents", [])
            numbers = [chance] if isinstance(chance, int | float) else chance
            row = Chance(tuple(float(number) for number in numbers), tuple(parents))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"'{path}', {name}: write chance = [0.1, 0.5] and parents = [\"old\"]"
            ) from error
        above = list(rows)[: list(rows).index(name)]
        if not set(parents) <= set(above):
            rows.pop(name)  # it moves to the end, below its parents
        rows[name] = row
    return Table(rows)


NAMES = (
    "old",
    "male",
    "dark_skin",
    "round_face",
    "dark_background",
    "glasses",
    "sunglasses",
    "grey_hair",
    "blond",
    "long_hair",
    "bangs",
    "beard",
    "hat",
    "smile",
    "earrings",
)
"""The attributes, in the order of the columns of every label tensor.

Sunglasses are glasses with dark lenses, a beard is drawn on any face that has it; hair is grey
where both grey and blond hold."""

LIFE = Table(
    {
        "old": Chance((0.35,)),
        "male": Chance((0.50,)),
        "dark_skin": Chance((0.30,)),
        "round_face": Chance((0.40,)),
        "dark_background": Chance((0.25,)),
        "glasses": Chance((0.22, 0.55), ("old",)),
        "sunglasses": Chance((0.0, 0.0, 0.45, 0.20), ("glasses", "old")),
        "grey_hair": Chance((0.05, 0.65), ("old",)),
        "blond": Chance((0.35, 0.06, 0.0, 0.0), ("grey_hair", "dark_skin")),
        "long_hair": Chance((0.70, 0.40, 0.10, 0.05), ("male", "old")),
        "bangs": Chance((0.45, 0.20, 0.20, 0.10), ("male", "old")),
        "beard": Chance((0.0, 0.0, 0.35, 0.50), ("male", "old")),
        "hat": Chance((0.10, 0.22), ("male",)),
        "smile": Chance((0.60, 0.40), ("male",)),
        "earrings": Chance((0.45, 0.08), ("male",)),
    }
)
"""The default: correlated as in life (glasses and grey hair with age, beard with sex)."""
