"""One wheel: unpack, read, lay out, link, record and uninstall."""
