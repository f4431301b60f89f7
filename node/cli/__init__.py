"""The `hedgerow` command: groups loaded lazily by name, one file per verb."""
