"""PubGrub over bit-mask version sets; pure, it owns no I/O."""
