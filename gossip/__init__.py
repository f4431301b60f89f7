"""Gossip: who is in the mesh, where they are, and how signed state reaches all of them.

Pure code: state machines with `now` and a seeded generator as arguments. The daemon and the
simulator drive the same machines.
"""
