"""From a chosen file to an unpacked wheel in the cache: downloads, source archives, git."""
