"""A market on a loopback port that speaks Alpaca's wire protocol."""
