"""Builds a mail: what a batch shares is made once, each copy is filled and signed. Pure functions."""
