"""Derivation: the proof that there is no solution, as values."""

from __future__ import annotations

from collections import Counter

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from puffin_api._model.rejection import Rejection

    FactKind = Literal[
        "required", "constraint", "dependency", "no-versions", "not-found", "offline", "unusable", "extra"
    ]

_OWN = frozenset(("required", "constraint"))
"""What the caller said itself."""
_MOST_FACTS = 12
"""So many facts are told in a short explanation."""


@attrs.frozen
class Statement:
    """Some versions of one package."""

    package: str
    """Normalised name, an extra in brackets."""
    versions: str
    """As a user would write them: ``>=1.0,<2``, ``1.5``, ``all versions``, ``no version``, ``@ URL``."""
    selected: bool = True
    """False for "it is not part of the solution"."""

    def __str__(self) -> str:
        if self.versions == "all versions":
            return f"all versions of {self.package}"
        if self.versions == "no version":
            return f"no version of {self.package}"
        if self.versions[:1].isdigit():
            return self.versions.replace("versions", f"versions of {self.package}", 1)
        space = " " if self.versions.startswith("@") else ""
        return f"{self.package}{space}{self.versions}"


@attrs.frozen
class Fact:
    """Something that is so, whatever is chosen."""

    kind: FactKind
    text: str
    """The fact as part of an English sentence."""
    terms: tuple[Statement, ...]
    """What must not all hold at once."""
    requirements: tuple[str, ...] = ()
    """The requirements behind it, as written."""
    reasons: Mapping[str, Rejection] = attrs.field(factory=dict, hash=False)
    """For ``unusable``: the reason for each version; all have the same code."""


@attrs.frozen
class Conclusion:
    """Something that follows from two earlier nodes, given by their place in the derivation."""

    text: str
    terms: tuple[Statement, ...]
    causes: tuple[int, int]


@attrs.frozen
class Derivation:
    """The proof: every node comes after those it follows from, the last one says it all."""

    nodes: tuple[Fact | Conclusion, ...]
    hints: tuple[str, ...] = ()

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The facts that the proof rests on, the caller's own requirements first."""
        facts = [node for node in self.nodes if isinstance(node, Fact)]
        unique = {fact.text: fact for fact in facts}.values()
        return tuple(sorted(unique, key=lambda fact: fact.kind not in _OWN))

    def explain(self, style: Literal["short", "full"] = "short") -> str:
        """Say in English why there is no solution.

        Args:
            style: ``short`` for the facts, ``full`` for every step of the proof.
        """
        text = _short(self.facts) if style == "short" else _full(self.nodes)
        return "\n".join([text, *(f"hint: {hint}" for hint in self.hints)])

    def to_dict(self) -> dict[str, object]:
        """Return the proof as JSON-able data."""
        return {
            "schema": 1,
            "nodes": [_node_dict(node) for node in self.nodes],
            "hints": list(self.hints),
        }


def _short(facts: Sequence[Fact]) -> str:
    texts = [fact.text for fact in facts]
    if len(texts) == 1:
        return f"Because {texts[0]}, your requirements cannot be met."
    if len(texts) <= 3:
        joined = ", ".join(texts[:-1])
        return f"Because {joined} and {texts[-1]}, your requirements cannot be met."
    lines = [f"  - {text}" for text in texts[:_MOST_FACTS]]
    more = [f"  - and {len(texts) - _MOST_FACTS} more"] if len(texts) > _MOST_FACTS else []
    return "\n".join(["Your requirements cannot be met, because", *lines, *more])


def _full(nodes: Sequence[Fact | Conclusion]) -> str:
    """Write one line for each conclusion; one that follows from the line before says so.

    Only a line that is needed again further down gets a number.
    """
    places = [place for place, node in enumerate(nodes) if isinstance(node, Conclusion)]
    if not places:
        return _short([node for node in nodes if isinstance(node, Fact)])
    before = dict(zip(places[1:], places, strict=False))
    links = [(place, cause) for place in places for cause in _causes(nodes, place) if _causes(nodes, cause)]
    uses = Counter(cause for _, cause in links)
    cited = {cause for place, cause in links if uses[cause] > 1 or before.get(place) != cause}
    numbers = {place: number for number, place in enumerate(sorted(cited), 1)}
    lines: list[str] = []
    for place in places:
        node = nodes[place]
        told = before.get(place)
        causes = _causes(nodes, place)
        begins = "And because" if told in causes else "Because"
        rest = [_cite(nodes, cause, numbers) for cause in _own_first(nodes, causes) if cause != told]
        because = " and ".join(dict.fromkeys(rest))
        end = f" ({numbers[place]})" if place in numbers else ""
        lines.append(f"{begins} {because}, {node.text}.{end}")
    return "\n".join(lines)


def _causes(nodes: Sequence[Fact | Conclusion], place: int) -> tuple[int, ...]:
    node = nodes[place]
    return node.causes if isinstance(node, Conclusion) else ()


def _own_first(nodes: Sequence[Fact | Conclusion], causes: Sequence[int]) -> list[int]:
    """Name what the caller said itself before what packages say."""
    return sorted(causes, key=lambda place: getattr(nodes[place], "kind", "") not in _OWN)


def _cite(nodes: Sequence[Fact | Conclusion], place: int, numbers: Mapping[int, int]) -> str:
    text = nodes[place].text
    return f"{text} ({numbers[place]})" if place in numbers else text


def _node_dict(node: Fact | Conclusion) -> dict[str, object]:
    terms = [attrs.asdict(term) for term in node.terms]
    if isinstance(node, Conclusion):
        return {"kind": "conclusion", "text": node.text, "terms": terms, "causes": list(node.causes)}
    return {
        "kind": node.kind,
        "text": node.text,
        "terms": terms,
        "requirements": list(node.requirements),
        "reasons": {version: reason.to_dict() for version, reason in node.reasons.items()},
    }
