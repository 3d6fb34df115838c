"""A what-if is read as it is meant, or a sentence says what is wrong with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.risk.what_if import NOW, WhatIf, parse_what_if
from options_helper.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        ("spot=-5%,vol=+3,days=7", WhatIf(-5, 3, days=7), "spot -5 %, volatility +3 points, 7 days later"),
        (" Spot = 2.5 % , DAYS=1", WhatIf(2.5, days=1), "spot +2.5 %, 1 day later"),
        ("vol=-3,term=30", WhatIf(vol_points=-3, term_days=30), "volatility -3 points at 30 days"),
        ("rate=+.5", WhatIf(rate_points=0.5), "rate +0.5 points"),
        ("spot=−5%", WhatIf(-5), "spot -5 %"),
        ("days=0.25", WhatIf(days=0.25), "0.25 days later"),
        ("spot=0%", NOW, "as it is now"),
    ],
)
def test_it_is_read_and_said(text: str, value: WhatIf, words: str):
    found = parse_what_if(text)

    assert found == value
    assert found.words == words
    assert found.is_now == (words == "as it is now")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The what-if has '', which is none of spot, vol, term, days, rate."),
        ("spot", "The what-if has 'spot', which is none of"),
        (
            "vix=3",
            "The what-if has 'vix=3', which is none of spot, vol, term, days, rate. Write it like spot=-5%",
        ),
        ("spot=-5", "'spot=-5', but spot is a change of price in percent, as in spot=-5%."),
        ("vol=3%", "'vol=3%', but vol is a change of volatility in points, as in vol=+3."),
        ("days=week", "'days=week', but days is how many days pass, as in days=7."),
        ("days=1e3", "'days=1e3', but days is"),
        ("spot=nan%", "'spot=nan%', but spot is"),
        ("days=-1", "'days=-1', which is not within 0 to 3650: days is how many days pass"),
        ("spot=-100%", "'spot=-100%', which is not within -99 to 1000"),
        ("spot=1%,spot=2%", "The what-if names spot twice."),
        ("spot=1%,", "The what-if has '', which is none of"),
        ("term=30", "The what-if has a term without vol"),
    ],
)
def test_what_cannot_be_meant_gets_a_sentence(text: str, sentence: str):
    with pytest.raises(ConfigError) as refused:
        parse_what_if(text)

    assert sentence in str(refused.value)
    assert str(refused.value).endswith(".")


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_a_sentence(text: str):
    said = "The what-if is read."
    try:
        parse_what_if(text)
    except ConfigError as refused:
        said = str(refused)

    assert said.startswith("The what-if")
