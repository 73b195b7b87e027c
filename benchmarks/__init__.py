"""Measurements against uv, in turn, over a recorded index. Run with ``make bench``."""
