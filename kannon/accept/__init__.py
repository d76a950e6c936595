"""Accepts a send: values and an identity in, a committed batch out. Independent of protobuf: each API calls it."""
