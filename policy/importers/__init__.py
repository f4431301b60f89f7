"""Policies of other products, read into documents of ours.

An importer never widens access: what it can not express exactly it leaves out, so that it is
denied, and names.
"""
