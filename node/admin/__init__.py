"""The admin's offline folder: roots, keys, bundles, tickets, devices and revocations as files.

Nothing here talks to a network. Everything that is not a secret is a signed object in a file of
its own, written once; so the folder needs no index that could disagree with what was signed.
"""
