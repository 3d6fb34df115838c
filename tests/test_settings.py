"""Settings come from two places, and a secret in them never becomes text."""

from __future__ import annotations

import copy
import logging
import pickle
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from options_helper.errors import ConfigError
from options_helper.model.announcement import MarketKind
from options_helper.model.rates import DEFAULT_RATES
from options_helper.settings import (
    NO_KEYS,
    OPTION_FEEDS,
    RISK_VARIABLES,
    STOCK_FEEDS,
    BreezeSettings,
    RiskSettings,
    Settings,
    option_stream_path,
    stock_stream_path,
)

KEY = "PKSENTINELKEY0000001"
SECRET = "sentinelSecret/0000000000000000000000002"  # noqa: S105 - made up, to be searched for
KEYS = {"APCA_API_KEY_ID": KEY, "APCA_API_SECRET_KEY": SECRET}


def load(environ: dict[str, str] | None = None, *, file: Path | None = None) -> Settings:
    return Settings.load(environ or {}, file or Path("no-such-folder/alpaca.env"))


def env_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "alpaca.env"
    path.write_text(text, encoding="utf-8")
    return path


def revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def test_nothing_set_means_paper_free_feeds_and_no_credentials():
    settings = load()

    assert settings.paper
    assert not settings.has_credentials
    assert (settings.stock_feed, settings.options_feed) == ("iex", "indicative")
    assert settings.trading_stream_url == "wss://paper-api.alpaca.markets/stream"
    assert settings.stream_url == "wss://stream.data.alpaca.markets"


@pytest.mark.parametrize("missing", [set(KEYS), *({name} for name in KEYS)])
def test_who_needs_keys_gets_both_or_is_told_what_to_do(missing: set[str]):
    settings = load({name: text for name, text in KEYS.items() if name not in missing})

    with pytest.raises(ConfigError) as refused:
        settings.require_credentials()

    assert str(refused.value) == NO_KEYS
    assert all(name in NO_KEYS for name in (*KEYS, "config/alpaca.env", "--demo"))
    assert load(KEYS).require_credentials() == (KEY, SECRET)


def test_the_file_fills_in_what_the_environment_leaves_open(tmp_path: Path):
    file = env_file(
        tmp_path, f"APCA_API_KEY_ID={KEY}\nAPCA_API_SECRET_KEY={SECRET}\nOH_ALPACA_STOCK_FEED=sip\n"
    )

    settings = load({"OH_ALPACA_STOCK_FEED": "test"}, file=file)

    assert (revealed(settings.api_key), revealed(settings.api_secret)) == (KEY, SECRET)
    assert settings.stock_feed == "test"


@pytest.mark.parametrize(("given", "allowed"), [({}, 200), ({"OH_ALPACA_REST_PER_MINUTE": "10000"}, 10_000)])
def test_how_much_may_be_asked_in_a_minute_is_set_in_whole_numbers(given: dict[str, str], allowed: int):
    assert load(given).rest_per_minute == allowed


@pytest.mark.parametrize("value", ["0", "-1", "10001", "many", "1.5"])
def test_a_pace_that_is_none_is_refused(value: str):
    with pytest.raises(ConfigError, match=r"OH_ALPACA_REST_PER_MINUTE .* from 1 to 10000"):
        load({"OH_ALPACA_REST_PER_MINUTE": value})


@pytest.mark.parametrize(
    ("given", "wanted"), [({}, "none"), ({"OH_ALPACA_COMPRESSION": "Deflate"}, "deflate")]
)
def test_compression_is_only_for_who_wants_it(given: dict[str, str], wanted: str):
    assert load(given).compression == wanted


def test_a_compression_that_nobody_knows_is_refused():
    with pytest.raises(ConfigError, match="OH_ALPACA_COMPRESSION 'zstd' is not known"):
        load({"OH_ALPACA_COMPRESSION": "zstd"})


def test_an_empty_variable_counts_as_not_set(tmp_path: Path):
    file = env_file(tmp_path, f"APCA_API_KEY_ID={KEY}\nAPCA_API_SECRET_KEY=\nAPCA_API_BASE_URL=  # default\n")

    settings = load({"APCA_API_KEY_ID": " "}, file=file)

    assert revealed(settings.api_key) == KEY
    assert settings.api_secret is None
    assert settings.base_url == "https://paper-api.alpaca.markets"


@pytest.mark.parametrize(
    "line",
    [
        f"APCA_API_KEY_ID={KEY}",
        f"  export APCA_API_KEY_ID = {KEY}  # from the dashboard",
        f'APCA_API_KEY_ID="{KEY}"',
        f"\ufeffAPCA_API_KEY_ID='{KEY}' # quoted\r",
    ],
)
def test_the_file_reads_as_people_write_it(tmp_path: Path, line: str):
    assert revealed(load(file=env_file(tmp_path, line + "\n")).api_key) == KEY


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotation_marks_around_a_value_are_taken_off_in_the_environment_too(tmp_path: Path, quote: str):
    """A container's list of variables keeps them; the file reads the same text the same way."""
    written = {**KEYS, "OH_ALPACA_STOCK_FEED": "sip", "APCA_API_BASE_URL": "https://api.alpaca.markets"}
    quoted = {name: f"{quote}{value}{quote}" for name, value in written.items()}

    assert load(quoted) == load(written)
    assert load(
        file=env_file(tmp_path, "".join(f"{name}={text}\n" for name, text in quoted.items()))
    ) == load(written)
    assert load({"APCA_API_KEY_ID": quote * 2}).api_key is None


@pytest.mark.parametrize("sign", ['"', "'", ";", ",", "`", "<", "$"])
@pytest.mark.parametrize("name", list(KEYS))
def test_a_sign_that_no_key_has_is_refused_in_the_environment_and_in_the_file(
    tmp_path: Path, name: str, sign: str
):
    wrong = {**KEYS, name: KEYS[name] + sign}
    file = env_file(tmp_path, "".join(f"{each}={text}\n" for each, text in wrong.items()))

    for given in ({"environ": wrong}, {"environ": {}, "file": file}):
        with pytest.raises(ConfigError, match=f"{name} has a space or a sign in it that no key has"):
            load(**given)


def test_only_our_own_names_are_read_from_the_file(tmp_path: Path):
    file = env_file(tmp_path, "PATH\nAWS_SECRET='never closed\n#APCA_API_KEY_ID=no\nOH_PORTFOLIO=x\n\n")

    assert load(file=file) == load()


@pytest.mark.parametrize("line", ["APCA_API_SECRET_KEY " + SECRET, f"APCA_API_SECRET_KEY='{SECRET}"])
def test_a_broken_line_is_named_by_number_and_not_quoted(tmp_path: Path, line: str):
    with pytest.raises(ConfigError, match=r"^alpaca\.env, line 2: ") as caught:
        load(file=env_file(tmp_path, f"# keys\n{line}\n"))

    assert SECRET not in str(caught.value)


def test_an_unreadable_file_is_a_sentence(tmp_path: Path):
    binary = tmp_path / "alpaca.env"
    binary.write_bytes(b"APCA_API_KEY_ID=\xff\xfe")

    with pytest.raises(ConfigError, match=r"alpaca\.env: it is not UTF-8 text"):
        load(file=binary)
    with pytest.raises(ConfigError, match="Cannot read"):
        load(file=tmp_path)


@pytest.mark.parametrize(
    ("base_url", "paper", "trading"),
    [
        ("https://paper-api.alpaca.markets/v2", True, "wss://paper-api.alpaca.markets/stream"),
        ("https://api.alpaca.markets/", False, "wss://api.alpaca.markets/stream"),
        ("http://127.0.0.1:8123", True, "ws://127.0.0.1:8123/stream"),
        ("https://paper.broker.example", True, "wss://paper.broker.example/stream"),
        ("https://api.alpaca.markets/paper", False, "wss://api.alpaca.markets/paper/stream"),
        ("https://newspaper-api.example", False, "wss://newspaper-api.example/stream"),
        ("https://api.paper.example", False, "wss://api.paper.example/stream"),
    ],
)
def test_the_account_and_its_stream_follow_from_the_base_url(base_url: str, *, paper: bool, trading: str):
    settings = load({"APCA_API_BASE_URL": base_url})

    assert settings.paper is paper
    assert settings.trading_stream_url == trading


@pytest.mark.parametrize("name", ["APCA_API_BASE_URL", "OH_ALPACA_STREAM_URL", "OH_ALPACA_DATA_URL"])
@pytest.mark.parametrize("host", ["alpaca.example", "10.0.0.7", "127.0.0.1.alpaca.example"])
def test_keys_go_only_to_encrypted_hosts_or_this_computer(name: str, host: str):
    scheme = "ws" if name == "OH_ALPACA_STREAM_URL" else "http"

    with pytest.raises(ConfigError, match=rf"{name}: keys are not sent to {host} without encryption"):
        load({**KEYS, name: f"{scheme}://{host}:80"})

    assert load({**KEYS, name: f"{scheme}s://{host}"}).has_credentials
    assert load({**KEYS, name: f"{scheme}://[::1]:8080"}).has_credentials


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@127.0.0.1:80",
        f"https://alpaca.example?secret={SECRET}",
        f"{SECRET}",
        "https://",
        "https://alpaca.example:port",
        "ftp://127.0.0.1",
        "wss://alpaca.example",
        "HTTPS://alpaca.example",
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str):
    with pytest.raises(ConfigError, match="APCA_API_BASE_URL") as caught:
        load({"APCA_API_BASE_URL": url})

    assert SECRET not in str(caught.value)


def test_any_address_can_be_checked_before_a_key_is_sent():
    Settings.require_safe("wss://alpaca.example/stream")
    Settings.require_safe("http://localhost:1")

    with pytest.raises(ConfigError, match=r"alpaca\.example"):
        Settings.require_safe("ws://alpaca.example/stream")


def test_unknown_feeds_are_refused_with_the_choice():
    with pytest.raises(ConfigError, match=r"OH_ALPACA_STOCK_FEED 'sipp' .* iex, sip, delayed_sip, boats"):
        load({"OH_ALPACA_STOCK_FEED": "sipp"})
    with pytest.raises(ConfigError, match=r"OH_ALPACA_OPTIONS_FEED 'iex' .* indicative, opra"):
        load({"OH_ALPACA_OPTIONS_FEED": "iex"})
    assert load({"OH_ALPACA_OPTIONS_FEED": "OPRA"}).options_feed == "opra"


def test_every_feed_has_its_path():
    assert [stock_stream_path(feed) for feed in STOCK_FEEDS] == [
        "/v2/iex",
        "/v2/sip",
        "/v2/delayed_sip",
        "/v1beta1/boats",
        "/v1beta1/overnight",
        "/v2/test",
    ]
    assert [option_stream_path(feed) for feed in OPTION_FEEDS] == ["/v1beta1/indicative", "/v1beta1/opra"]
    with pytest.raises(ConfigError, match="otc"):
        stock_stream_path("otc")


def test_equal_settings_are_one_key_and_different_keys_are_not():
    assert {load(KEYS): 1} == {load(dict(KEYS)): 1}
    assert load(KEYS) != load({**KEYS, "APCA_API_SECRET_KEY": "another"})


def test_no_secret_in_any_text_made_of_settings(caplog: pytest.LogCaptureFixture):
    settings = load(KEYS)

    logging.getLogger("test").warning("%s %r", settings, copy.deepcopy(settings))
    texts = [
        repr(settings),
        f"{settings}",
        format(settings),
        caplog.text,
        str(pickle.loads(pickle.dumps(settings))),  # noqa: S301 - our own bytes
    ]

    assert not any(KEY in text or SECRET in text for text in texts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"APCA_API_SECRET_KEY": SECRET + " 1"},
        {"APCA_API_KEY_ID": KEY + "\n1"},
        {"OH_ALPACA_STOCK_FEED": "none"},
        {"APCA_API_BASE_URL": "http://alpaca.example"},
    ],
)
def test_no_secret_in_any_complaint_nor_in_its_causes(wrong: dict[str, str]):
    with pytest.raises(ConfigError) as caught:
        load({**KEYS, **wrong})

    error: BaseException | None = caught.value
    while error:
        assert KEY not in repr(error)
        assert SECRET not in repr(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("address", "market"),
    [("wss://stream.data.alpaca.markets", MarketKind.ALPACA), ("ws://localhost:8765", MarketKind.LOCAL)],
)
def test_whose_market_it_is_follows_from_the_address(address: str, market: MarketKind):
    assert load({"OH_ALPACA_STREAM_URL": address}).market_kind is market


def test_the_time_of_a_played_market_is_read_in_any_zone():
    for text in ("2026-11-20T15:00:00+00:00", "2026-11-20 10:00-05:00", "2026-11-20T15:00Z"):
        assert load({"OH_ALPACA_MARKET_TIME": text}).market_time == datetime(2026, 11, 20, 15, tzinfo=UTC)
    assert load({}).market_time is None


@pytest.mark.parametrize(
    "text", ["2026-11-20T15:00:00", "2026-11-20", "ten", "2026-13-01T00:00Z", "9999-12-31T23:59-23:00"]
)
def test_a_time_without_a_zone_is_refused(text):
    with pytest.raises(ConfigError, match=r"OH_ALPACA_MARKET_TIME .* no time with a zone"):
        load({"OH_ALPACA_MARKET_TIME": text})


def test_a_complete_environment_needs_no_file(tmp_path):
    """A demo must not stumble over the user's own file, and does not even read it."""
    file = tmp_path / "alpaca.env"
    file.write_text('APCA_API_KEY_ID="never closed')
    environ = {
        "APCA_API_KEY_ID": "k",
        "APCA_API_SECRET_KEY": "s",
        "APCA_API_BASE_URL": "http://127.0.0.1:1",
        "OH_ALPACA_STOCK_FEED": "iex",
        "OH_ALPACA_OPTIONS_FEED": "indicative",
        "OH_ALPACA_STREAM_URL": "ws://127.0.0.1:1",
        "OH_ALPACA_DATA_URL": "http://127.0.0.1:1",
        "OH_ALPACA_REST_PER_MINUTE": "200",
        "OH_ALPACA_COMPRESSION": "none",
        "OH_ALPACA_MARKET_TIME": "2026-11-20T15:00:00+00:00",
    }

    assert Settings.load(environ, file).has_credentials


def breeze(environ: dict[str, str] | None = None, file: Path | None = None) -> BreezeSettings:
    return BreezeSettings.load(environ or {}, file or Path("no-such-folder/alpaca.env"))


def test_breeze_is_off_and_leads_to_icici_unless_told_otherwise():
    settings = breeze()

    assert not settings.enabled
    assert not settings.has_keys
    assert {settings.rest_url[:8], settings.master_url[:8]} == {"https://"}
    assert settings.stream_url == "wss://livestream.icicidirect.com"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "BREEZE_ENABLED=yes"),
        ({"BREEZE_ENABLED": "yes"}, "BREEZE_API_KEY"),
        ({"BREEZE_ENABLED": "yes", "BREEZE_API_KEY": KEY}, "Log in at https://"),
    ],
)
def test_who_needs_a_session_is_told_what_is_missing(given: dict[str, str], words: str):
    with pytest.raises(ConfigError, match=words):
        breeze(given).require_session()


def test_breezes_keys_may_have_any_sign_and_come_from_the_file_too(tmp_path: Path):
    odd = "7N3k9(84p6Q4=J5*2K%3l#q@q08y$3&"
    file = env_file(tmp_path, f"BREEZE_ENABLED=yes\nBREEZE_API_KEY='{odd}'\nBREEZE_SESSION=12345678\n")

    assert breeze(file=file).require_session() == (odd, "12345678")
    with pytest.raises(ConfigError, match="BREEZE_API_SECRET"):
        breeze(file=file).require_secret()
    assert odd not in repr(breeze(file=file))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BREEZE_ENABLED", "perhaps", "neither yes nor no"),
        ("BREEZE_SESSION", "12 34", "copy it again|Copy it again"),
        ("BREEZE_REST_URL", "http://api.icicidirect.com/x", "without encryption"),
        ("BREEZE_STREAM_URL", "https://livestream.icicidirect.com", "starts with wss://"),
        ("BREEZE_MASTER_URL", "ftp://example.com/x.zip", "starts with https://"),
    ],
)
def test_a_setting_of_breezes_that_cannot_work_is_refused(name: str, value: str, words: str):
    with pytest.raises(ConfigError, match=words) as refused:
        breeze({name: value})

    assert name in str(refused.value)


def test_a_fake_on_this_computer_needs_no_encryption():
    fake = {"BREEZE_REST_URL": "http://127.0.0.1:1/x", "BREEZE_STREAM_URL": "ws://127.0.0.1:2"}

    assert breeze(fake).stream_url == "ws://127.0.0.1:2"


def test_risk_settings_are_the_defaults_unless_somebody_says_otherwise(tmp_path: Path):
    nothing = RiskSettings.load({}, tmp_path / "none.env")
    file = env_file(tmp_path, "OH_RISK_RATES=2026-11-27 1m=0.0395 1y=3.7%  # of the treasury\n")

    said = RiskSettings.load(
        {"OH_RISK_ASSUME_DIVIDENDS": "yes", "OH_RISK_BETAS": "my.toml", "OH_RISK_DIVIDENDS": "paid.toml"},
        file,
    )

    assert nothing == RiskSettings(DEFAULT_RATES, assume_dividends=False)
    assert (said.rates.as_of, said.rates.source) == (date(2026, 11, 27), "OH_RISK_RATES")
    assert said.rates.at(1) == pytest.approx(0.037)
    assert (said.assume_dividends, said.betas_file) == (True, Path("my.toml"))
    assert said.dividends_file == Path("paid.toml")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OH_RISK_RATES", "2026-11-27 4.3", "430 % a year"),
        ("OH_RISK_ASSUME_DIVIDENDS", "perhaps", "neither yes nor no"),
    ],
)
def test_a_setting_of_the_risk_figures_that_cannot_be_is_refused(
    tmp_path: Path, name: str, value: str, words: str
):
    with pytest.raises(ConfigError, match=words) as refused:
        RiskSettings.load({name: value}, tmp_path / "none.env")

    assert name in str(refused.value)


def test_every_setting_of_the_risk_figures_is_in_the_example_file(repository: Path):
    example = (repository / "config" / "alpaca.env.example").read_text(encoding="utf-8")

    assert {name for name in RISK_VARIABLES if f"\n{name}=" not in example} == set()
    assert RiskSettings.load({}, repository / "config" / "alpaca.env.example") == RiskSettings()
