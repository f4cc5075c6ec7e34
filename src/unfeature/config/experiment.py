"""Settings of one experiment."""

from pydantic import Field, model_validator

from unfeature.config.attacks import AttackTable
from unfeature.config.base import Settings
from unfeature.config.evaluation import EvaluateConfig, VerdictConfig
from unfeature.config.labels import LabelConfig, LabelerConfig
from unfeature.config.models import EncoderConfig, GeneratorConfig
from unfeature.config.unlearning import EraseConfig, TargetConfig, UnlearnConfig
from unfeature.errors import did_you_mean


class Experiment(Settings):
    """One experiment: the content of an `experiment.toml`."""

    feature: str = Field(min_length=1)
    """What is to be unlearned, in words, e.g. "thick stroke"."""
    seed: int = Field(0, ge=0)
    """Everything random follows from it, but for what `calibration` takes out."""
    calibration: int | None = Field(None, ge=0)
    """The seed of the pictures from which labellers take thresholds and units, where that is to be
    another's: of trainings with several seeds only then all have the same feature."""
    generator: GeneratorConfig
    label: LabelConfig
    attributes: dict[str, LabelerConfig] = Field({})
    """Other attributes to label on the same pictures, for entanglement and protection."""
    target: TargetConfig = TargetConfig()
    erase: EraseConfig = EraseConfig()
    unlearn: UnlearnConfig = UnlearnConfig()
    encoder: EncoderConfig | None = None
    evaluate: EvaluateConfig = EvaluateConfig()
    verdict: VerdictConfig = VerdictConfig()
    attack: AttackTable = AttackTable()

    @property
    def calibration_seed(self) -> int:
        return self.seed if self.calibration is None else self.calibration

    @property
    def needs_slope(self) -> str:
        """Which setting needs a labeller that can be differentiated; empty where none does."""
        erase, unlearn = self.erase, self.unlearn
        back = erase.refine or (erase.approaches and unlearn.rounds > 1)
        image = erase.gate == "image"
        asked = {
            "erase.path = 'descent'": image and erase.path == "descent",
            "erase.refine or erase.approaches": image and erase.path == "donors" and back,
            "erase.confine": image and erase.confine,
            "unlearn.robust": unlearn.robust,
            "unlearn.gone": unlearn.gone,
            "unlearn.keep": unlearn.keep,
        }
        return next((name for name, needed in asked.items() if needed), "")

    @model_validator(mode="after")
    def _measured(self) -> "Experiment":
        limits = self.verdict
        if not self.evaluate.attributes and (limits.changed, limits.changed_having) != (None, None):
            raise ValueError(
                "verdict.changed needs evaluate.attributes, a judge of attributes such as "
                "'avatars-referee'"
            )
        if limits.fid is not None and not self.evaluate.features:
            raise ValueError("verdict.fid needs evaluate.features, e.g. 'digits-judge'")
        if limits.rests is not None and self.evaluate.closely is None:
            raise ValueError(
                "verdict.rests needs [evaluate.closely], a judge that minds a rest of the feature"
            )
        return self

    @model_validator(mode="after")
    def _judged_by_another(self) -> "Experiment":
        """A function in the loss is fooled before the feature is gone (docs/adr/010)."""
        judge = self.evaluate.judge
        same = judge is None or judge.function == self.label.function
        if self.unlearn.gone and self.label.by == "function" and same:
            raise ValueError(
                "unlearn.gone puts the labelling function into the loss, so it cannot be the judge "
                "as well; name another under evaluate.judge, or leave unlearn.gone at 0"
            )
        return self

    @model_validator(mode="after")
    def _known_attributes(self) -> "Experiment":
        erase = self.erase
        if erase.keeper and erase.path == "line":
            raise ValueError("erase.keeper needs erase.path = 'descent' or 'donors'")
        own = self.label.by == "classifier"
        if erase.keep and (erase.path == "line" or not (own or erase.keeper)):
            raise ValueError(
                "erase.keep needs erase.path = 'descent' or 'donors', and label.by = 'classifier' "
                "or an erase.keeper that sees the attributes"
            )
        if self.unlearn.keep and not (erase.keep or erase.keeper):
            raise ValueError(
                "unlearn.keep is a weight; name the attributes under erase.keep, or an erase.keeper"
            )
        for name in self.target.protect:
            if name not in self.attributes:
                raise ValueError(
                    f"target.protect names '{name}', which is not under [attributes]"
                    f"{did_you_mean(name, self.attributes)}"
                )
        if self.target.protect and erase.gate == "image" and erase.path != "line":
            raise ValueError(
                f"target.protect is about the direction, which erase.path = '{erase.path}' does "
                "not follow; name the attributes under erase.keep, or set erase.path = 'line'"
            )
        for name, attribute in self.attributes.items():
            if not name.replace("-", "").replace("_", "").replace(" ", "").isalnum():
                raise ValueError(
                    f"attributes.'{name}': use letters, digits, spaces, hyphens and underscores"
                )
            if attribute.by == "sheet":
                raise ValueError(f"attributes.{name}: only a function or a classifier can label it")
        return self
