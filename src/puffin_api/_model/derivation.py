"""Derivation: the proof that there is no solution, as values."""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    FactKind = Literal["required", "dependency", "unusable", "not-found", "extra"]


@attrs.frozen
class Statement:
    """Some versions of one package."""

    package: str
    """Normalised name, an extra in brackets."""
    versions: str
    """As a user would write them: ``>=1.0,<2``, ``1.5``, ``all versions``, ``no version``."""
    selected: bool = True
    """False for "it is not part of the solution"."""

    def __str__(self) -> str:
        if self.versions == "all versions":
            return f"all versions of {self.package}"
        if self.versions == "no version":
            return f"no version of {self.package}"
        joint = "" if self.versions[:1] in "<>=!~" else " "
        return f"{self.package}{joint}{self.versions}"


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
    reasons: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    """For ``unusable``: the reason for each version."""


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
        return tuple(sorted(unique, key=lambda fact: fact.kind != "required"))

    def explain(self, style: Literal["short", "full"] = "short") -> str:
        """Say in English why there is no solution."""
        text = self._short() if style == "short" else self._full()
        return "\n".join([text, *(f"hint: {hint}" for hint in self.hints)])

    def to_dict(self) -> dict[str, object]:
        """Return the proof as JSON-able data."""
        return {
            "schema": 1,
            "nodes": [_node_dict(node) for node in self.nodes],
            "hints": list(self.hints),
        }

    def _short(self) -> str:
        facts = [fact.text for fact in self.facts]
        if len(facts) == 1:
            return f"Because {facts[0]}, your requirements cannot be met."
        if len(facts) <= 4:
            joined = ", ".join(facts[:-1])
            return f"Because {joined} and {facts[-1]}, your requirements cannot be met."
        lines = [f"  - {text}" for text in facts[:12]]
        more = [f"  - and {len(facts) - 12} more"] if len(facts) > 12 else []
        return "\n".join(["Your requirements cannot be met, because", *lines, *more])

    def _full(self) -> str:
        numbers: dict[int, int] = {}
        lines: list[str] = []
        for place, node in enumerate(self.nodes):
            if isinstance(node, Conclusion):
                numbers[place] = len(numbers) + 1
                because = " and ".join(self._cite(cause, numbers) for cause in node.causes)
                lines.append(f"({numbers[place]}) Because {because}, {node.text}.")
        return "\n".join(lines) or self._short()

    def _cite(self, place: int, numbers: Mapping[int, int]) -> str:
        node = self.nodes[place]
        return f"{node.text} ({numbers[place]})" if place in numbers else node.text


def _node_dict(node: Fact | Conclusion) -> dict[str, object]:
    terms = [attrs.asdict(term) for term in node.terms]
    if isinstance(node, Conclusion):
        return {"kind": "conclusion", "text": node.text, "terms": terms, "causes": list(node.causes)}
    return {
        "kind": node.kind,
        "text": node.text,
        "terms": terms,
        "requirements": list(node.requirements),
        "reasons": dict(node.reasons),
    }
