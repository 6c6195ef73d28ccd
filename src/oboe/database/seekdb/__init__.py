"""The driver for seekdb: one primary and its standbys, from the binary in the wheel ``pylibseekdb``."""

from oboe.database.seekdb.driver import SeekdbDriver

__all__ = ["SeekdbDriver"]
