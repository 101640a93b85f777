"""The schema as a tree: what may stand at a place, for those who read it by key (the overlay, mends, descriptions)."""

from __future__ import annotations

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeAlias, TypeGuard, Union, get_args, get_origin, get_type_hints

from router.settings.notation import Notation, Table

Annotation: TypeAlias = Any  # whatever Python allows behind a colon: types, unions, Annotated[...]


@cache
def settings_of(table: type[Table]) -> dict[str, Annotation]:
    """The keys of a table and what each may hold, in the order of the schema."""
    hints = get_type_hints(table, include_extras=True)
    return {name: hints[name] for name in table.model_fields}


def unwrap(annotation: Annotation) -> Annotation:
    """The type itself, without `Annotated` and `| None`."""
    while True:
        origin: Any = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, UnionType}:
            annotation = next(option for option in get_args(annotation) if option is not NoneType)
        else:
            return annotation


def is_table(annotation: Annotation) -> TypeGuard[type[Table]]:
    """Whether a TOML table with fixed keys stands there."""
    return isinstance(annotation, type) and issubclass(annotation, Table)


def item_of(annotation: Annotation) -> Annotation | None:
    """What the items of a list or of a table with free keys hold; `None` if it is neither."""
    bare = unwrap(annotation)
    origin: Any = get_origin(bare)
    if origin is tuple:
        return get_args(bare)[0]
    return get_args(bare)[1] if origin is dict else None


def is_named(annotation: Annotation) -> bool:
    """Whether a table with free keys (services, regions) stands there."""
    origin: Any = get_origin(unwrap(annotation))
    return origin is dict


def step(annotation: Annotation, part: str | int) -> Annotation | None:
    """What may stand at `part` of what `annotation` describes; `None` if nothing may."""
    bare = unwrap(annotation)
    if is_table(bare):
        return settings_of(bare).get(str(part))
    return item_of(bare)


def notation_of(annotation: Annotation) -> str | None:
    """How the value is written, where the schema says."""
    origin: Any = get_origin(annotation)
    if origin is Annotated:
        own = [extra.text for extra in get_args(annotation)[1:] if isinstance(extra, Notation)]
        return own[0] if own else notation_of(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return notation_of(next(option for option in get_args(annotation) if option is not NoneType))
    return None
