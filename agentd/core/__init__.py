"""The pure core: no clock, no I/O, no logging.

Records come in as bytes with a watermark, events and their processes go out,
and everything that could not be had is counted. Time is an argument.
"""
