"""Builds of source distributions through PEP 517 and PEP 660 hooks."""
