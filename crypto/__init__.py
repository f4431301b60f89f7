"""Trust: what a Hedgerow object is, who signed it, and what it may replace.

Pure code: no sockets, files, clocks, sleeps or global randomness; time and entropy come in as
arguments. The only package that imports cbor2, nacl and cryptography.
"""
