"""Each packet of the two protocols is told apart by its digits, and nothing that comes raises."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.breeze.packets import (
    Data,
    Dismissed,
    Opened,
    Pinged,
    Refused,
    Unused,
    Welcomed,
    enter,
    join,
    leave,
    read_packet,
)

HEAD = b'0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'


@pytest.mark.parametrize(
    ("message", "packet"),
    [
        (HEAD, Opened(25.0, 20.0)),
        (b'40{"sid":"y"}', Welcomed()),
        (b'44{"message":"Authentication  failed."}', Refused("Authentication failed")),
        (b"44", Refused("")),
        (b"2", Pinged()),
        (b"1", Dismissed()),
        (b"41", Dismissed()),
        (b'42["stock",["4.2!2885",1,[]]]', Data()),
        (b'42["order",["x"]]', Unused()),
        (b'42[ "stock-order",1]', Unused()),
        (b'42["stock"]', Data()),  # no tick, and none of another kind
        (b"42nonsense", Data()),
        (b"6", Unused()),
        (b"3probe", Unused()),
        (b'430["ok"]', Unused()),
        (b"0{}", Data()),
        (b"", Data()),
        (b"<html>", Data()),
    ],
)
def test_a_packet_is_known_by_its_digits(message, packet):
    assert read_packet(message) == packet


@given(st.binary(max_size=40))
def test_no_message_raises(message):
    assert read_packet(message) is not None


def test_what_is_said_is_one_packet_each():
    assert enter("USER", 'a"b') == '40{"user":"USER","token":"a\\"b"}'
    assert json.loads(join(["4.2!1", "4.1!1"])[2:]) == ["join", ["4.2!1", "4.1!1"]]
    assert json.loads(leave(["4.2!1"])[2:]) == ["leave", ["4.2!1"]]
