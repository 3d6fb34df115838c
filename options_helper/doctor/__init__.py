"""The parts of `options-helper doctor`; `options_helper.doctor.run` puts them together."""
