"""Counters and timings that components add to."""
