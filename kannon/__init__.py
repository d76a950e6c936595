"""Kannon: a self-hosted mail sender in one executable."""
