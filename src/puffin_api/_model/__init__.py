"""The values: immutable, pure, without I/O."""
