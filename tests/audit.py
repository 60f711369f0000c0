"""Ask for known vulnerabilities of the pinned packages, and count who was asked about.

``python -m tests.audit requirements.txt…`` wraps pip-audit, which also exits 0 when it
could not look anything up: where its source of advisories is out of reach, "no known
vulnerabilities" would only mean "nothing audited". Fails on a real finding alone.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OPTIONS = ["--format", "json", "--disable-pip", "--progress-spinner", "off"]
PIN = re.compile(r"^[a-z0-9][^#]*?==[^\\#]*", re.IGNORECASE | re.MULTILINE)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


def pinned(files: list[str]) -> set[str]:
    """Return the names pinned in the files for this platform."""
    pins = [
        Requirement(line.strip())
        for file in files
        for line in PIN.findall(Path(file).read_text())
    ]
    return {
        canonicalize_name(pin.name)
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def fixed(vuln: dict[str, Any]) -> str:
    """Say which versions mend a vulnerability."""
    return ", ".join(vuln["fix_versions"]) or "no version yet"


def main(files: list[str]) -> int:
    """Audit the files; return 1 when a pinned package has a known vulnerability."""
    words = [word for file in files for word in ("--requirement", file)]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *OPTIONS, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        say(f"NOT audited: pip-audit did not answer ({said[-1]}).")
        return 0
    answers: dict[str, list[dict[str, Any]] | None] = {
        canonicalize_name(p["name"]): p.get("vulns") for p in packages
    }
    wanted = pinned(files)
    audited = {name for name in wanted if answers.get(name) is not None}
    findings = [
        f"  {name}: {vuln['id']}, fixed in {fixed(vuln)}"
        for name, vulns in sorted(answers.items())
        for vuln in vulns or []
    ]
    if not audited:
        say(f"NOT audited: the advisories for {len(wanted)} packages are out of reach.")
    else:
        say(f"Audited {len(audited)} of {len(wanted)} pinned packages.")
        if missing := sorted(wanted - audited):
            say(f"NOT audited: {', '.join(missing)}")
    if findings:
        say("\n".join(["Known vulnerabilities:", *findings]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
