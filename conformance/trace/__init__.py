"""Traces of other implementations' conversations: explained without a gap, and dissected alike by tshark."""
