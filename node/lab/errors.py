"""What goes wrong when a lab is built."""

from crypto.errors import LocalError


class LabError(LocalError):
    """A namespace, link or process of the lab could not be made; what was made is removed."""
