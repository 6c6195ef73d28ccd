"""oboe, the OceanBase Operations Engine."""

__version__ = "0.2.0.dev0"
