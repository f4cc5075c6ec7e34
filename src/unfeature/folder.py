"""A run's folder: what lies where, and which stages are done."""

import json
import platform
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from unfeature.adapters.files import (
    atomic,
    kept_aside,
    make_folder,
    read_json,
    read_record,
    write_json,
)
from unfeature.config import Experiment
from unfeature.errors import UserError, Waiting
from unfeature.evaluate.criteria import Criterion
from unfeature.settings import read_experiment, to_toml

STAGES = ("sample", "label", "target", "unlearn", "evaluate", "report")
READ_IN = {
    **dict.fromkeys(("feature", "seed", "generator", "label.n"), "sample"),
    **dict.fromkeys(("label", "attributes", "evaluate.judge", "calibration"), "label"),
    "target": "target",
    **dict.fromkeys(("erase", "unlearn", "encoder"), "unlearn"),
    **dict.fromkeys(("evaluate", "verdict"), "evaluate"),
    "attack": "report",
}
"""In which stage a setting, or all of a table, takes effect."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run, and its diary `run.json`."""

    path: Path

    @property
    def settings(self) -> Path:
        return self.path / "settings.toml"

    @property
    def diary(self) -> Path:
        return self.path / "run.json"

    @property
    def labels(self) -> Path:
        return self.path / "labels"

    @property
    def attributes(self) -> Path:
        return self.path / "attributes"

    @property
    def sheets(self) -> Path:
        return self.path / "sheets"

    @property
    def target(self) -> Path:
        return self.path / "target"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def unlearned(self) -> Path:
        return self.path / "unlearned"

    @property
    def encoder(self) -> Path:
        return self.unlearned / "encoder.safetensors"

    @property
    def verdict(self) -> Path:
        return self.path / "verdict.json"

    @property
    def criteria(self) -> Path:
        return self.path / "criteria.json"

    @property
    def attack(self) -> Path:
        return self.path / "attack.json"

    @property
    def human(self) -> Path:
        return self.path / "human" / "found.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @classmethod
    def create(cls, path: Path, experiment: Experiment) -> "RunFolder":
        """A new run; one that only sampled, and waits for nobody's labels, makes room for it.

        Raises:
            UserError: there is one with results already, or the folder cannot be written.
        """
        run = cls(path)
        if run.diary.exists() and (set(run.seconds()) - {"sample"} or run.sheets.exists()):
            raise UserError(
                f"'{path}' already holds a run; go on with --resume, or choose another with -o"
            )
        make_folder(path)
        run.write_settings(experiment)
        write_json(run.diary, {"versions": versions(), "stages": {}})
        return run

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run.

        Raises:
            UserError: there is none.
        """
        run = cls(path)
        if not run.settings.is_file() or not run.diary.is_file():
            raise UserError(
                f"'{path}' holds no run; start one with: unfeature run experiment.toml -o {path}"
            )
        return run

    def experiment(self) -> Experiment:
        return read_experiment(self.settings)

    def write_settings(self, experiment: Experiment) -> None:
        with atomic(self.settings) as temporary:
            temporary.write_text(to_toml(experiment))

    def done(self, stage: str) -> bool:
        return stage in self.seconds()

    def seconds(self) -> dict[str, float]:
        """What each stage that is done took."""
        return read_record(self.diary, lambda diary: dict(diary["stages"]))

    def require(self, stage: str) -> None:
        """Raise unless `stage` is done."""
        if not self.done(stage):
            of = f"{self.settings} -o {self.path}" if stage == "sample" else f"{self.path}"
            raise UserError(f"'{self.path}' has no {stage} yet; run 'unfeature {stage} {of}'")

    def finish(self, stage: str, began: float) -> None:
        """Note that a stage is done; `began` is from `time.perf_counter`."""
        self._note({**self.seconds(), stage: round(time.perf_counter() - began, 2)})

    def reopen(self, stage: str) -> None:
        """Forget that `stage` and those after it were done."""
        earlier = STAGES[: STAGES.index(stage)]
        self._note({name: took for name, took in self.seconds().items() if name in earlier})

    def _note(self, seconds: dict[str, float]) -> None:
        write_json(self.diary, {**read_json(self.diary), "stages": seconds})

    @contextmanager
    def unless_refused(self) -> Iterator[None]:
        """Settings and diary stay as they were where the block ends in an error, and so do history
        and checkpoint of a training that is done; but not where it waits for a person."""
        before = {path: path.read_text() for path in (self.settings, self.diary)}
        of_training = (self.history, self.checkpoint) if self.done("unlearn") else ()
        with ExitStack() as aside:
            kept = [aside.enter_context(kept_aside(path)) for path in of_training]
            try:
                yield
            except Waiting:
                raise
            except Exception:
                for path, text in before.items():
                    with atomic(path) as temporary:
                        temporary.write_text(text)
                for restore in kept:
                    restore()
                raise

    def require_effect(self, stage: str, changes: Iterable[str]) -> None:
        """Raise where a change of settings comes too late: an earlier stage has read them."""
        for change in changes:
            key = change.partition("=")[0].strip()
            parts = [".".join(key.split(".")[:n]) for n in (2, 1)]
            read_in = next((READ_IN[part] for part in parts if part in READ_IN), stage)
            if key == "erase.recall" and self.experiment().label.by == "sheet":
                read_in = "label"  # of the classifier that is distilled there
            if STAGES.index(read_in) < STAGES.index(stage):
                raise UserError(
                    f"--set {change}: '{key}' takes effect in '{read_in}', which is done; give it "
                    f"there: unfeature {read_in} {self.path} --set …"
                    if read_in != "sample"
                    else f"--set {change}: '{key}' takes effect when pictures are sampled; start "
                    "another run with it"
                )

    def read_criteria(self) -> tuple[Criterion, ...]:
        """What was decided; nothing where no limit was set."""
        return read_record(self.criteria, lambda rows: tuple(Criterion(**row) for row in rows))

    def read_history(self, *, until: int | None = None) -> list[dict[str, Any]]:
        """The steps noted so far, up to step `until`."""
        if not self.history.is_file():
            return []
        rows = []
        for text in self.history.read_text().splitlines():
            try:
                row = json.loads(text)
            except ValueError:  # the last line of a run that was killed while writing
                break
            if until is not None and row["index"] > until:
                break
            rows.append(row)
        return rows


def versions() -> dict[str, str]:
    """What the run was made with."""
    return {
        "unfeature": version("unfeature"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
    }
