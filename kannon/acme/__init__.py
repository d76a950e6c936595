"""Certificates by ACME (RFC 8555): client.py orders one, check.py examines what came.

These functions block; a thread runs them. kannon.components.certificates decides which names need one.
"""
