"""The facade: the classes that callers hold, and the wiring that puts the stages together."""
