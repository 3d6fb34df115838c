"""The parts of the intraday store; `options_helper.data.intraday_store` puts them together."""
