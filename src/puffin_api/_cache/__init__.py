"""The cache on disk: layout, keys, archives, tables, locks and pruning."""
