"""The file system: atomic writes, whole trees, directory links, and links and copies of files."""

from __future__ import annotations

from puffin_api._fs.atomic import remove_tree as remove_tree
from puffin_api._fs.atomic import rename as rename
from puffin_api._fs.atomic import replace_directory as replace_directory
from puffin_api._fs.atomic import unique_name as unique_name
from puffin_api._fs.atomic import write_atomic as write_atomic
from puffin_api._fs.copying import LINKERS as LINKERS
from puffin_api._fs.copying import LinkKind as LinkKind
from puffin_api._fs.copying import clone_file as clone_file
from puffin_api._fs.copying import copy_file as copy_file
from puffin_api._fs.copying import detect_link_support as detect_link_support
from puffin_api._fs.copying import hardlink_file as hardlink_file
from puffin_api._fs.copying import symlink_file as symlink_file
from puffin_api._fs.directory_links import JunctionDirectoryLink as JunctionDirectoryLink
from puffin_api._fs.directory_links import PointerFileDirectoryLink as PointerFileDirectoryLink
from puffin_api._fs.directory_links import SymlinkDirectoryLink as SymlinkDirectoryLink
from puffin_api._fs.directory_links import choose_directory_link as choose_directory_link
from puffin_api._fs.directory_links import linked_text as linked_text
from puffin_api._fs.directory_links import read_directory_link as read_directory_link
from puffin_api._fs.places import is_inside as is_inside
from puffin_api._fs.places import longest_path as longest_path
from puffin_api._fs.places import resolves_inside as resolves_inside
from puffin_api._fs.places import same_volume as same_volume
