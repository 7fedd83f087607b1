"""The only home of heavy libraries: each adapter fills one port.

Importing this package, before PyTorch and diffusers, is all that an entry point needs to be spared their import notes.
"""

from twinloop.adapters.import_notes import leave_out_import_notes

leave_out_import_notes()
