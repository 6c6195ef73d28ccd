"""oboe, the OceanBase Operations Engine."""

__version__ = "0.1.0"
