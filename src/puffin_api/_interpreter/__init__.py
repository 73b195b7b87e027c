"""Python interpreters: discovery, probing, the host and virtual environments."""
