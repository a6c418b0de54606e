"""`runtime`: where the work is done."""

import re
from typing import Annotated

from pydantic import Field, field_validator

from src.config.section import Section


class RuntimeConfig(Section):
    device: str
    threads: Annotated[int, Field(ge=1, le=1024)]

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", device):
            return device
        raise ValueError(f"should be auto, cpu, cuda or cuda:N, not {device!r}")
