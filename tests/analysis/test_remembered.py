"""What follows from a portfolio alone is made once for each object, and never for another one."""

from __future__ import annotations

from options_helper.analysis.remembered import Itself, remembered


class Calls:
    """Counts how often something is made of a list and a word."""

    def __init__(self) -> None:
        self.made = 0

    def make(self, thing: list[int], key: str) -> str:
        self.made += 1
        return f"{sum(thing)} {key}"


def test_the_same_object_and_key_are_made_once():
    calls = Calls()
    known = remembered(calls.make)
    thing = [1, 2]

    assert [known(thing, "a"), known(thing, "a")] == ["3 a", "3 a"]
    assert calls.made == 1


def test_an_equal_object_is_another_one_and_so_is_another_key():
    calls = Calls()
    known = remembered(calls.make)
    first, second = [1, 2], [1, 2]

    assert [known(first, "a"), known(second, "a"), known(first, "b")] == ["3 a", "3 a", "3 b"]
    assert calls.made == 3


def test_what_was_not_asked_for_in_the_last_calls_is_forgotten_and_made_again():
    calls = Calls()
    known = remembered(calls.make)
    things = [[number] for number in range(9)]
    for thing in things:
        known(thing, "a")

    known(things[-1], "a")
    assert calls.made == 9
    known(things[0], "a")
    assert calls.made == 10


def test_a_key_by_identity_is_of_the_very_same_value_alone():
    one, same = [1], [1]

    assert Itself(one) == Itself(one)
    assert {Itself(one): "here"}[Itself(one)] == "here"
    assert Itself(one) != Itself(same)
    assert Itself(one) != one
