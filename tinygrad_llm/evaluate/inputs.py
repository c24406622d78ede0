"""What every metric asks of its input: rows of equal length, classes that can be put in order, finite numbers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

Labels = Sequence[Hashable] | np.ndarray


def as_array(values: Iterable) -> Iterable:
    """A Tensor, or what else can be an array, as one; a list as it is."""
    return np.asarray(values) if hasattr(values, "__array__") else values


def rows(function: str, name: str, values: Iterable) -> list:
    """The values as a list of Python objects. Raises TypeError for a str, for what is no row, and for more axes."""
    if isinstance(values, str):
        raise TypeError(
            f"{function}: {name} must be a list with one value for each example, got the str {values!r:.40}"
        )
    values = as_array(values)
    if not isinstance(values, Iterable):
        raise TypeError(f"{function}: {name} must be a list with one value for each example, got {values!r:.40}")
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise TypeError(
                f"{function}: {name} must have one value for each example, got an array of shape {values.shape}: "
                "take argmax over its classes first if it holds scores"
            )
        return values.tolist()
    return list(values)


def same_length(function: str, **columns: Sequence | np.ndarray) -> int:
    """The number of examples. Raises ValueError if there are none, or not as many in each column."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        got = " and ".join(f"{n:,} of {name}" for name, n in lengths.items())
        raise ValueError(f"{function}: each example needs one value in each column, got {got}")
    n = next(iter(lengths.values()))
    if n == 0:
        raise ValueError(f"{function}: there are no examples: give at least one, as nothing can be said of none")
    return n


def pairs(function: str, y_true: Labels, y_pred: Labels) -> tuple[list, list]:
    """Both columns as lists of the same length, at least one example long."""
    y_true, y_pred = rows(function, "y_true", y_true), rows(function, "y_pred", y_pred)
    same_length(function, y_true=y_true, y_pred=y_pred)
    return y_true, y_pred


def classes_of(function: str, *columns: list) -> list:
    """The distinct labels of all columns in ascending order.

    Raises TypeError for labels that are not hashable or cannot be compared, ValueError for fractions.
    """
    try:
        found = {label for column in columns for label in column}
    except TypeError as error:
        raise TypeError(f"{function}: a label must be hashable, such as an int or a str ({error})") from None
    fractions = [label for label in found if isinstance(label, float) and not label.is_integer()]
    if fractions:
        raise ValueError(f"{function}: {fractions[0]} is no label of a class: round or threshold the scores first")
    try:
        return sorted(found)
    except TypeError as error:
        raise TypeError(f"{function}: these labels have no order ({error}): give it as labels=[...]") from None


def chosen_classes(function: str, labels: Labels | None, *columns: list) -> list:
    """`labels` where they are given, else what `classes_of` finds. Raises ValueError if given ones repeat or lack."""
    if labels is None:
        return classes_of(function, *columns)
    classes = rows(function, "labels", labels)
    if len(set(classes)) < len(classes) or not classes:
        raise ValueError(f"{function}: labels must name at least one class, and each once, got {classes}")
    return classes


def codes_of(column: list, classes: list) -> np.ndarray:
    """The position of each label in `classes`, −1 for a label that is not in it: int64 (N,)."""
    position = {label: i for i, label in enumerate(classes)}
    return np.array([position.get(label, -1) for label in column], dtype=np.int64)


def numbers(function: str, name: str, values: Iterable) -> np.ndarray:
    """float64 (N,). Raises TypeError for what holds no numbers or has more axes, ValueError for nan and infinity."""
    try:
        array = np.asarray(values if hasattr(values, "__len__") else list(values), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{function}: {name} must be a row of numbers ({error})") from None
    if array.ndim != 1:
        raise TypeError(f"{function}: {name} must be a row with one number for each example, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(
            f"{function}: {name} holds {array[~np.isfinite(array)][0]}, and only finite numbers have a place"
        )
    return array


def number_pairs(function: str, y_true: Iterable, y_pred: Iterable) -> tuple[np.ndarray, np.ndarray]:
    """Both columns as float64 (N,) with N at least 1."""
    y_true, y_pred = numbers(function, "y_true", y_true), numbers(function, "y_pred", y_pred)
    same_length(function, y_true=y_true, y_pred=y_pred)
    return y_true, y_pred
