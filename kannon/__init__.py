"""Kannon: a self-hosted mail sender in one executable."""

__version__ = "0.1.0"
