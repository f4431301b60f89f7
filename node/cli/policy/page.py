"""The matrix as one page: no script, nothing loaded, every name escaped.

The policy of the page itself (Content Security Policy Level 3) forbids all but its own style, so
that a name that slipped through would still do nothing.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from typing import Final

from node.cli import report

STYLE: Final = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
table { border-collapse: collapse; }
th, td { border: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top; }
thead th { position: sticky; top: 0; background: #eee; }
tbody th { font-weight: 600; white-space: nowrap; }
td { white-space: pre-line; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818; }
  thead th { background: #2a2a2a; }
  th, td { border-color: #444; }
}
"""
_HASH: Final = b64encode(sha256(STYLE.encode()).digest()).decode()
CONTENT_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
)


def page(mesh: str, at: float, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a whole HTML document that shows a table.

    Args:
        at: The instant that was judged, Unix seconds.
        head: Names of the columns.
        rows: Cells, the first of each row its name.
    """
    title = escape(f"Who may reach what in {mesh}, {report.moment(at)}")
    columns = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    body = "\n".join(map(_row, rows))
    table = (
        f"<table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        if rows
        else "<p>Nobody may reach anything.</p>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{title}</h1>\n{table}\n</body>\n</html>\n"
    )


def _row(cells: Sequence[str]) -> str:
    name, *rest = (escape(cell) for cell in cells)
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
