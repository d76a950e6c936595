"""Generated from proto/ by tools/gen_pb.py; never edited."""
