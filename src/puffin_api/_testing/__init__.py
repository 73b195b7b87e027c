"""Fakes and makers for tests; public through ``puffin_api.testing``."""
