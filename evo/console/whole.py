"""Text whose expressions are never broken over two lines, so that they can be copied."""

from __future__ import annotations

import re

from rich.console import Console
from rich.text import Text

_EXPRESSION = re.compile(r"\w+\([^()]*(?:\([^()]*\)[^()]*)*\)")
_BLANK = "\ue000"
"""Stands for the blanks of an expression while lines are broken: a character of private use, one column wide."""


def print_whole(console: Console, markup: str) -> None:
    """Print text in lines of the console's width, broken between words and never within an expression."""
    text = Text.from_markup(markup)
    text.plain = _EXPRESSION.sub(lambda found: found[0].replace(" ", _BLANK), text.plain)
    for line in text.wrap(console, console.width):
        line.plain = line.plain.replace(_BLANK, " ")
        line.rstrip()
        console.print(line, soft_wrap=True)
