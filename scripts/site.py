"""Lays out the documentation for mkdocs.yml in build/site/source: `make site`.

The files keep their places beside each other, so that links that work in the checkout work in the
site; README.md is its first page.
"""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "build" / "site" / "source"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
FOLDERS = ("docs", "bench/results")
# Files that pages link to.
LINKED = ("docker/edge/envoy.yaml",)


def main() -> None:
    """Makes the folder anew."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, SOURCE / folder)
    for name in (*PAGES, *LINKED):
        target = SOURCE / name.replace("README.md", "index.md")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    for page in SOURCE.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(
            re.sub(r"(\]\((?:\.\./)*)README\.md", r"\1index.md", text), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
