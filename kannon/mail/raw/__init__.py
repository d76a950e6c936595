"""Raw mail: a complete message of the caller, the same for all recipients. Pure functions over bytes.

header.py     the fields of a header, and where they stand
prepare.py    checks a message, and completes it as a submission server may (RFC 6409 §8)
structure.py  the MIME parts of a message, and whether it is signed or encrypted
rewrite.py    its HTML parts as text that tracking can change
"""

from kannon.mail.raw.prepare import RawMessage, prepare_raw

__all__ = ["RawMessage", "prepare_raw"]
