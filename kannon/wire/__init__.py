"""Conversion between protobuf messages and the values of kannon.mail."""
