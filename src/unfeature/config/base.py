"""What all settings share."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """What all tables share: no unknown keys, no change after checking."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    def given(self, names: Iterable[str]) -> list[str]:
        """Those of these settings that are not as they are by default."""
        return [n for n in names if getattr(self, n) != type(self).model_fields[n].default]
