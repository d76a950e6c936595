"""The only rooms that know both the protobuf messages and mail's values."""
