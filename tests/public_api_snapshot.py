"""The public API as text: each public name with its kind, signature, fields and methods.

Run as a module (`make api`) it writes `tests/public_api.txt`; test_public_api.py compares. The text is the
same on every supported Python: annotations are given as they are written, defaults only where they are plain.
"""

from __future__ import annotations

import ast
import enum
import inspect
import sys
import textwrap
import types
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = (
    "puffin_api",
    "puffin_api.errors",
    "puffin_api.model",
    "puffin_api.protocols",
    "puffin_api.testing",
)
SNAPSHOT = Path(__file__).with_name("public_api.txt")
INDENT = "    "
MARKS = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def annotation(value: object) -> str:
    """An annotation as written in the source, without the quotes of `from __future__ import annotations`."""
    return value if isinstance(value, str) else inspect.formatannotation(value)


def plain(value: object) -> str:
    """A default as written where that is the same on every run; the name of its class otherwise."""
    if type(value).__name__ == "_Nothing":  # attrs: made anew for each object
        return "<factory>"
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    if isinstance(value, tuple):
        items = ", ".join(map(plain, value))
        return f"({items},)" if len(value) == 1 else f"({items})"
    return f"<{type(value).__name__}>"


def parameter(param: inspect.Parameter) -> str:
    text = MARKS.get(param.kind, "") + param.name
    if param.annotation is not param.empty:
        text += f": {annotation(param.annotation)}"
    if param.default is not param.empty:
        text += f" = {plain(param.default)}"
    return text


def signature(function: object, *, bound: bool = False) -> str:
    """The parameters and the result; without the first one for what is called on an object or class."""
    sig = inspect.signature(function)
    params = list(sig.parameters.values())[1 if bound else 0 :]
    parts: list[str] = []
    for index, param in enumerate(params):
        before = params[index - 1].kind if index else None
        if param.kind is param.KEYWORD_ONLY and before not in (param.KEYWORD_ONLY, param.VAR_POSITIONAL):
            parts.append("*")
        if before is param.POSITIONAL_ONLY and param.kind is not param.POSITIONAL_ONLY:
            parts.append("/")
        parts.append(parameter(param))
    if params and params[-1].kind is inspect.Parameter.POSITIONAL_ONLY:
        parts.append("/")
    result = "" if sig.return_annotation is sig.empty else f" -> {annotation(sig.return_annotation)}"
    return f"({', '.join(parts)}){result}"


def member(name: str, value: object) -> str | None:
    """One line for a member found in the dictionary of a class; nothing for what the language put there."""
    if isinstance(value, classmethod):
        return f"classmethod {name}{signature(value.__func__, bound=True)}"
    if isinstance(value, staticmethod):
        return f"staticmethod {name}{signature(value.__func__)}"
    if isinstance(value, property) or type(value).__name__ == "cached_property":
        getter = value.fget if isinstance(value, property) else value.func
        return f"property {name}{signature(getter, bound=True).removeprefix('()')}"
    if inspect.isfunction(value):
        return f"method {name}{signature(value, bound=True)}"
    if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
        return None  # a slot: told from the annotations
    return f"constant {name} = {plain(value)}"


def is_attrs(cls: type) -> bool:
    return "__attrs_attrs__" in vars(cls)


def fields(cls: type) -> Iterator[str]:
    """The fields of an attrs class, or the annotated attributes of another one."""
    if is_attrs(cls):
        for field in vars(cls)["__attrs_attrs__"]:
            if not field.name.startswith("_"):
                yield f"field {field.name}: {annotation(field.type)}"
        return
    for name, value in inspect.get_annotations(cls).items():
        if not name.startswith("_") and name not in vars(cls).keys() - slots(cls):
            yield f"attribute {name}: {annotation(value)}"


def set_by_constructor(cls: type) -> Iterator[str]:
    """The public attributes that a handwritten constructor sets, as far as it says of what type they are."""
    if is_attrs(cls) or "__init__" not in vars(cls) or getattr(cls, "_is_protocol", False):
        return
    init = ast.parse(textwrap.dedent(inspect.getsource(cls.__init__))).body[0]
    assert isinstance(init, ast.FunctionDef)
    params = {arg.arg: arg.annotation for arg in (*init.args.args, *init.args.kwonlyargs)}
    known = inspect.get_annotations(cls).keys()
    for node in ast.walk(init):
        if isinstance(node, ast.AnnAssign):
            target, kind = node.target, node.annotation
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
            kind = params.get(node.value.id) if isinstance(node.value, ast.Name) else None
        else:
            continue
        is_own = isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
        if is_own and not target.attr.startswith("_") and target.attr not in known:
            yield f"attribute {target.attr}" + (f": {ast.unparse(kind)}" if kind else "")


def slots(cls: type) -> set[str]:
    return {name for name, value in vars(cls).items() if isinstance(value, types.MemberDescriptorType)}


def constructor(cls: type) -> str:
    if is_attrs(cls) or "__init__" in vars(cls):
        text = signature(vars(cls)["__init__"], bound=True) if "__init__" in vars(cls) else "()"
        return text.removesuffix(" -> None")
    return ""


def describe_class(name: str, cls: type) -> Iterator[str]:
    bases = [base.__name__ for base in cls.__bases__ if base is not object]
    heading = f"class {name}" + (f" of {', '.join(bases)}" if bases else "")
    if issubclass(cls, enum.Enum):
        yield heading
        for key, item in cls.__members__.items():
            yield f"{INDENT}{key} = {plain(item.value)}"
        own = {key: value for key, value in vars(cls).items() if inspect.isroutine(value) or is_bound(value)}
    else:
        own = dict(vars(cls))
        yield heading
        if not getattr(cls, "_is_protocol", False) and (init := constructor(cls)):
            yield f"{INDENT}constructor {init}"
        yield from (INDENT + line for line in fields(cls))
        yield from (INDENT + line for line in sorted(set(set_by_constructor(cls))))
    attrs_names = {field.name for field in vars(cls).get("__attrs_attrs__", ())}
    for key in sorted(own):
        if not key.startswith("_") and key not in attrs_names and (line := member(key, own[key])):
            yield INDENT + line


def is_bound(value: object) -> bool:
    return isinstance(value, classmethod | staticmethod | property)


def describe(name: str, value: object) -> Iterator[str]:
    if inspect.isclass(value):
        yield from describe_class(name, value)
    elif inspect.isroutine(value):
        yield f"function {name}{signature(value)}"
    elif isinstance(value, types.ModuleType):
        yield f"module {name}"
    elif isinstance(value, types.UnionType):
        yield f"union {name} = {' | '.join(getattr(kind, '__name__', str(kind)) for kind in value.__args__)}"
    else:
        yield f"value {name}: {type(value).__name__}"


def snapshot(module: str) -> str:
    """Describe one public module. A name that lives in another public module is only pointed to there."""
    loaded = import_module(module)
    lines = [f"# {module}"]
    for name in sorted(loaded.__all__):
        value = getattr(loaded, name)
        home = next((other for other in MODULES[1:] if is_public_in(other, name, value)), module)
        lines += [""] if home == module else []
        lines += describe(name, value) if home == module else [f"{name} is {home}.{name}"]
    return "\n".join(lines) + "\n"


def is_public_in(module: str, name: str, value: object) -> bool:
    loaded = import_module(module)
    return name in loaded.__all__ and getattr(loaded, name) is value


def main() -> None:
    SNAPSHOT.write_text("\n\n".join(map(snapshot, MODULES)), encoding="utf-8", newline="\n")
    sys.stdout.write(f"wrote {SNAPSHOT}\n")


if __name__ == "__main__":
    main()
