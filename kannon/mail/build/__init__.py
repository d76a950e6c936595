"""Builds mails: the shared parts of a batch once, then each recipient's mail, filled and signed. Pure functions."""
