"""The daemon's interface: HTTP and JSON on a unix socket, and the client of the command line.

Import the module you need: `client` is the standard library only, `server` needs aiohttp.
"""
