"""
Commands that go on until someone ends them.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated, TypeVar

import typer

T = TypeVar("T")

Watch = Annotated[
    bool, typer.Option("--watch", help="Go on telling what happens until Ctrl-C; exits with 1 when the server stops.")
]


def follow(things: Iterable[T], tell: Callable[[T], None]) -> None:
    """*tell* each of *things* as it comes. Ctrl-C is how one ends it, so it is no failure."""
    with suppress(KeyboardInterrupt):
        for each in things:
            tell(each)
