"""`evaluate`: how the finished models are judged and shown."""

from typing import Annotated

from pydantic import Field

from src.config.section import Section


class EvaluateConfig(Section):
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    mistakes: Annotated[int, Field(ge=1, le=100)]
