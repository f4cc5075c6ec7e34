"""From a TOML file to checked settings and back, with one clear line for what is wrong."""

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from unfeature.adapters.files import read_text
from unfeature.config import Experiment
from unfeature.errors import UserError


def read_experiment(path: str | Path, overrides: Iterable[str] = ()) -> Experiment:
    """The settings in a TOML file, with `section.key=value` overrides.

    Raises:
        UserError: one line for each thing wrong, naming file and key.
    """
    return check_experiment(read_toml(Path(path), overrides), where=str(path))


def read_toml(path: Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The plain values in a TOML file, with `section.key=value` overrides.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    try:
        values = tomllib.loads(read_text(path))
    except FileNotFoundError as error:
        raise UserError(f"there is no settings file '{path}'") from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"'{path}' is not readable TOML: {error}") from error
    for override in overrides:
        apply_override(values, override)
    return values


def check_experiment(values: dict[str, Any], *, where: str) -> Experiment:
    """Typed settings from plain values, or one readable error."""
    try:
        return Experiment(**values)
    except ValidationError as error:
        said = [explain(dict(problem), Experiment) for problem in error.errors()]
        more = f" (and {len(said) - 2} more)" if len(said) > 2 else ""
        raise UserError(f"{where}: {'; '.join(said[:2])}{more}") from error


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one value: `unlearn.steps=500`; the right side is TOML, or else a plain string."""
    key, equals, text = override.partition("=")
    if not (key and equals):
        raise UserError(f"--set {override}: write it as section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {override}: '{table}' is a value, not a table")
    values[last] = value


def to_toml(experiment: Experiment) -> str:
    """All settings, defaults included, as TOML that `read_experiment` takes."""
    return tomli_w.dumps(_without_none(experiment.model_dump(mode="json")))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return value


def explain(problem: dict[str, Any], root: type[BaseModel]) -> str:
    """One of pydantic's problems with settings of type `root`, in words that name the fix."""
    path = [str(part) for part in problem["loc"]]
    name = ".".join(path) or "settings"
    if problem["type"] == "extra_forbidden":
        known = _fields_at(path[:-1], root)
        if not known:
            return f"unknown key '{name}'"
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        fix = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        return f"unknown key '{name}' ({fix})"
    if problem["type"] == "missing":
        return f"'{name}' is missing"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if problem["type"] == "value_error":
        return f"[{name}] {message}" if path else message
    return f"'{name}' is {problem['input']!r}: {message}"


def _fields_at(path: list[str], root: type[BaseModel]) -> list[str]:
    model: Any = root
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            inner = [a for a in get_args(annotation) if isinstance(a, type)]
            models = [a for a in [annotation, *inner] if _is_model(a)]
            model = models[0] if models else None
    return list(model.model_fields) if _is_model(model) else []


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
