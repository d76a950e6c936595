"""Accepts a send: values and an identity in, a committed batch out. Knows no protobuf; every door calls it."""
