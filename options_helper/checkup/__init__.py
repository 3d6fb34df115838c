"""The parts of `options-helper doctor`; `options_helper.checkup.run` puts them together."""
