"""A live, read-only view of an options portfolio on Alpaca's streams."""

__version__ = "0.1.0"
