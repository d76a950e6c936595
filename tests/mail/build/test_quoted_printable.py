"""Quoted-printable pieces: joined they decode to the text, and their canonical form is that of DKIM."""

import quopri

from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.build.quoted_printable import encode_piece, relax_body
from tests.support.effort import examples

RUNS = st.builds(
    lambda c, n: c * n, st.sampled_from("ab= .\t\r\n-üé😀"), st.sampled_from([1, 1, 1, 2, 30, 74, 75, 76, 77])
)
PIECES = st.lists(st.one_of(RUNS, st.text(max_size=10)), max_size=15).map("".join)


@given(st.lists(PIECES, min_size=1, max_size=4))
@examples(80)
def test_pieces_encoded_apart_are_the_text_joined(pieces: list[str]) -> None:
    encoded = [encode_piece(piece, last=i == len(pieces)) for i, piece in enumerate(pieces, 1)]
    wire = b"".join(piece.wire for piece in encoded)
    text = "".join(piece.replace("\r\n", "\n").replace("\r", "\n") for piece in pieces)
    assert quopri.decodestring(wire) == text.replace("\n", "\r\n").encode()
    lines = wire.split(b"\r\n")
    assert max(map(len, lines)) <= 76  # RFC 2045 §6.7 (5)
    assert not any(line.endswith((b" ", b"\t")) for line in lines)  # (3)
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    assert all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in wire)
    assert b"".join(piece.canonical for piece in encoded) == relax_body(wire)
