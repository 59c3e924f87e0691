"""
Values made fast.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields, make_dataclass
from typing import Any, TypeVar

V = TypeVar("V")


def maker(kind: type) -> Callable[..., Any]:
    """
    Return what makes a value of the frozen *kind* from all its fields, in order, for where many are made.

    To freeze a dataclass is to make its __init__ eight times as slow. So the value is made as an unfrozen twin with the
    same slots, and then told its class.
    """
    twin = _twin(kind)

    def make(*values: object) -> object:
        value = twin(*values)
        value.__class__ = kind
        return value

    return make


def many_maker(kind: type[V]) -> Callable[..., list[V]]:
    """Return what makes values of the frozen *kind* from a list for each of its fields, in order, all equally long."""
    twin = _twin(kind)

    def make(first: Iterable[Any], *rest: Iterable[Any]) -> list[V]:
        values: list[Any] = list(map(twin, first, *rest))
        for value in values:
            value.__class__ = kind
        return values

    return make


def _twin(kind: type) -> Any:
    return make_dataclass(kind.__name__, [each.name for each in fields(kind)], slots=True)
