"""Which numbers in prose are reply codes."""

import pytest

from kannon.mail.bounce.replies import find_enhanced, find_reply


@pytest.mark.parametrize(
    ("text", "code", "enhanced"),
    [
        ("host mx.example[192.0.2.1] said: 550 5.1.1 <u@x>: User unknown (in reply to RCPT TO)", 550, "5.1.1"),
        ("said: 550\n    <u@x>: User unknown", 550, ""),
        ("<<< 421", 421, ""),
        ("(reason: 550 : User unknown)\n554 5.0.0 Service unavailable", 550, ""),
        ("550-5.7.26 not accepted\n550 5.7.26 see", 550, "5.7.26"),
        ("Remote host said: 554 delivery error: dd", 554, ""),
        ("ERROR_CODE :550, ERROR_CODE :5.1.1 <u@x>", 550, ""),
        ("It responded as follows: [550 5.1.1 User unknown]", 550, "5.1.1"),
        ("The error that the other server returned was: 450 450 4.2.2 <u@x>... Mailbox Full (state 14).", 450, ""),
        ("501: 5.1.8 Sender address rejected", 501, "5.1.8"),
        ("220-mx 421 4.2.1 try later", 421, "4.2.1"),
        ("undeliverable recipient(s): u@x.example (550 No such recipient)", 550, ""),
        ("571 5.7.1 Blocked", 571, "5.7.1"),
        ("Could not deliver for the last 432000 seconds.", 0, ""),
        ("Could not deliver for the last 432 seconds.", 0, ""),
        ("connect to mx[192.0.2.1]:587: refused", 0, ""),
        ("connect to mx[10.0.0.1]:465: refused", 0, ""),
        ("from 198.51.100.550 at 450.example.com", 0, ""),
        ("message of 550 bytes, id 550@x, /450/", 0, ""),
        ("550 Main Street is where 450 people live", 550, ""),
        ("call us at 1-550-1234 or room 550", 0, ""),
        ("https://x.example/?code=550&a", 0, ""),
        ("590 no such second digit", 0, ""),
    ],
)
def test_find_reply(text: str, code: int, enhanced: str) -> None:
    found = find_reply(text)
    assert found.code == code
    if enhanced:
        assert found.enhanced == enhanced


def test_lenient_finds_the_first_reply_of_a_diagnostic() -> None:
    assert find_reply("5.3.0 - Other mail system problem 550-'Unknown user'", lenient=True).code == 550


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Sorry, no mailbox (#5.1.1)", "5.1.1"),
        ("5.0.0 then 5.2.2", "5.2.2"),
        ("version 5.1.1.2 of 10.5.1.1", ""),
        ("2.0.0 fine", ""),
    ],
)
def test_find_enhanced(text: str, status: str) -> None:
    assert find_enhanced(text) == status
