"""The names that become label values."""

from kannon.metrics.top_labels import OTHER, TopLabels


def test_only_the_busiest_have_a_name() -> None:
    names = TopLabels(often=3, most=2, remembered=5)
    assert [names.label("gmail.com") for _ in range(5)] == [OTHER] * 3 + ["gmail.com"] * 2
    for number in range(100):
        assert names.label(f"small{number}.example") == OTHER
    assert names.label("gmail.com") == "gmail.com"
    for _ in range(4):
        last = names.label("outlook.com")
    assert last == "outlook.com"
    for _ in range(10):
        last = names.label("third.example")
    assert last == OTHER
    assert len(names._seen) <= 5


def test_the_first_names_have_a_label_at_once() -> None:
    names = TopLabels(often=3, at_once=1, most=2)
    assert names.label("first.example") == "first.example"
    assert names.label("second.example") == OTHER
    assert names.label("second.example", 3) == "second.example"
