"""The policy of the demo's company."""

from __future__ import annotations

from datetime import UTC, datetime

PORTS = (22, 443, 5432, 8443)

# Who owns which machine; the owner's groups are what rules speak of.
OWNERS = {
    "eng-laptop": "erin",
    "intern-laptop": "ivan",
    "contractor-laptop": "carol",
}
TAGS = {"gateway": ("edge",), "prod-db-1": ("prod",), "prod-web-1": ("prod",)}

_POLICY = """\
schema = 1
mesh = "acme"

[users.erin]
[users.ivan]
[users.carol]

[groups]
engineering = ["erin"]
dba = ["erin"]
interns = ["ivan"]

[tags]
prod = {{ owners = ["group:dba"] }}
edge = {{ owners = ["group:engineering"] }}

[services]
postgres = ["tcp/5432"]
ssh = ["tcp/22"]
web = ["tcp/443"]

[resources.prod-db]
host = "prod-db-1"
[resources.prod-web]
host = "prod-web-1"

[[rule]]
id = "dba-postgres"
from = ["group:dba"]
to = ["resource:prod-db"]
allow = ["service:postgres"]

[[rule]]
id = "eng-prod"
from = ["group:engineering"]
to = ["tag:prod", "tag:edge"]
allow = ["service:ssh", "service:web", "icmp"]

[[rule]]
id = "interns-web"
from = ["group:interns"]
to = ["resource:prod-web"]
allow = ["service:web"]

[[rule]]
id = "web-reads-db"
from = ["device:prod-web-1"]
to = ["resource:prod-db"]
allow = ["service:postgres"]

[[rule]]
id = "contractor-week"
from = ["user:carol"]
to = ["resource:prod-web"]
allow = ["service:web"]
not_before = {begins}
not_after = {ends}

[[test]]
from = {{ user = "erin" }}
to = "prod-db:tcp/5432"
expect = "allow"
rule = "dba-postgres"

[[test]]
from = {{ group = "interns" }}
to = "prod-db:tcp/5432"
expect = "deny"

[[test]]
from = {{ user = "carol", at = {ends} }}
to = "prod-web:tcp/443"
expect = "deny"
reason = "expired"
"""


def policy_text(*, begins: float, ends: float) -> str:
    """Return the policy, with the contractor's grant from `begins` to `ends` (Unix seconds)."""
    return _POLICY.format(begins=_instant(begins), ends=_instant(ends))


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
