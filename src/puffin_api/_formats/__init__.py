"""Readers and writers of the files in which people write requirements and locks down."""
