"""Effort: what a search takes, counted and never timed, so that no result depends on the machine."""

from __future__ import annotations

import attrs


@attrs.frozen
class Effort:
    """What a search took, or may take at most."""

    conflicts: int
    """How often it had to go back."""
    visited: int
    """How many candidates were looked at."""
    looks: int
    """How many incompatibilities were looked at: this is where the time goes."""

    def exceeds(self, most: Effort) -> bool:
        """Tell whether it is more than it may be."""
        return self.conflicts > most.conflicts or self.visited > most.visited or self.looks > most.looks

    def capped(self, most: Effort) -> Effort:
        """Return the lesser of both, count by count."""
        return Effort(
            min(self.conflicts, most.conflicts), min(self.visited, most.visited), min(self.looks, most.looks)
        )

    def without(self, spent: Effort) -> Effort:
        """Return what is left of it."""
        return Effort(
            self.conflicts - spent.conflicts, self.visited - spent.visited, self.looks - spent.looks
        )
