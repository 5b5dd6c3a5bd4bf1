"""What all parts of a recipe are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]

NAME = r"^[\w.]+:\w+$"
"""Of a class or function of the user's, ``package.module:name``."""


class Section(BaseModel):
    """A section of a recipe: fixed once it is checked, and without keys that are not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
