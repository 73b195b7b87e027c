"""The zip format as wheels use it: find and read the directory, check and inflate members; pure.

::

    local header + data [+ descriptor]   once for each entry, without gaps
    directory                            one record for each entry, `ZipEntry` here
    [zip64 end record + locator]
    end record                           the last bytes of the file

Works on bytes, so that a file on disk, a mapped file and pieces from range requests read alike.
Readers that disagree on what an archive holds are a way to smuggle files in; whatever could be read
in two ways is therefore refused, each time with `UnsafeArchive` and the name of the broken rule.
"""

from __future__ import annotations

from puffin_api._zip.content import codec as codec
from puffin_api._zip.content import inflate as inflate
from puffin_api._zip.content import member as member
from puffin_api._zip.end_record import LONGEST_END as LONGEST_END
from puffin_api._zip.end_record import DirectoryEnd as DirectoryEnd
from puffin_api._zip.end_record import directory_location as directory_location
from puffin_api._zip.end_record import parse_end as parse_end
from puffin_api._zip.entries import DEFLATED as DEFLATED
from puffin_api._zip.entries import STORED as STORED
from puffin_api._zip.entries import ZipEntry as ZipEntry
from puffin_api._zip.entries import check_descriptor as check_descriptor
from puffin_api._zip.entries import parse_directory as parse_directory
from puffin_api._zip.entries import parse_local_header as parse_local_header
from puffin_api._zip.refusal import ZIP_RULES as ZIP_RULES
from puffin_api._zip.refusal import unsafe as unsafe
