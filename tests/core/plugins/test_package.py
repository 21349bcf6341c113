"""Packages: read under limits, known by their content, signed, and found in an index."""

import base64
import io
import secrets
import subprocess
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import orjson
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.plugins.declarations import BadPackage
from api.core.plugins.index import DirectoryIndex, WebIndex, write_index
from api.core.plugins.manifest import Manifest, version_key
from api.core.plugins.package import SIGNATURE, Package, pack, read_package, to_name
from api.core.ports import Cancel
from api.errors import NotFound, Unavailable
from tests.plugins import OWN, make_package, to_archive, to_files
from tests.servers import Reply, ScriptedServer
from tests.vendors import InlineOffload


def write(files: dict[str, str], directory: Path) -> Path:
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return directory


def test_package_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    files = to_files()
    package = read_package(to_archive(files))
    directory = write(files, tmp_path / "echo")
    listed = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
    by_hand = subprocess.run(listed, shell=True, cwd=directory, capture_output=True, text=True, check=True)

    assert read_package(pack(directory)).name == package.name
    assert package.digest == by_hand.stdout.split()[0]
    assert str(package.name) == f"tests/echo:1.0.0@{package.digest}"
    assert to_name(str(package.name)) == package.name
    assert read_package(to_archive({**files, "main.py": "1"})).digest != package.digest
    assert Manifest.from_row(orjson.loads(orjson.dumps(package.manifest.to_row()))) == package.manifest


@pytest.mark.parametrize(
    "identifier",
    ["", "echo", "a/b:1.0.0", "a/b:1@" + "0" * 64, "a/b:1.0.0@" + "0" * 63, "A/b:1.0.0@" + "0" * 64],
)
def test_malformed_identifier_is_none(identifier: str) -> None:
    assert to_name(identifier) is None


def test_versions_are_compared_by_their_numbers() -> None:
    versions = ["10.0.0", "1.2.0", "1.10.0", "1.2.0-beta", "0.9.9"]
    assert sorted(versions, key=version_key) == ["0.9.9", "1.2.0-beta", "1.2.0", "1.10.0", "10.0.0"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"type": "bundle"}, "manifest.yaml of the package: type"),
        ({"author": "A/b"}, "author"),
        ({"version": "1"}, "version"),
        ({"plugins": {"models": ["gone.yaml"]}}, "no 'gone.yaml'"),
        ({"plugins": {"endpoints": ["a.yaml"]}}, "bring endpoints do not run here"),
        ({"resource": {"permission": {"network": {"hosts": ["*"]}}}}, "network.hosts"),
        ({"resource": {"permission": {"network": {"hosts": ["http://a.com"]}}}}, "network.hosts"),
        ({"resource": {"permission": {"network": {"credentials": ["url"]}}}}, "no form has the field 'url'"),
        ({"plugins": {"agent_strategies": ["a.yaml"]}}, "bring agent strategies do not run here"),
        ({"plugins": {}}, "names no tools"),
        ({"plugins": {"tools": ["gone.yaml"]}}, "no 'gone.yaml'"),
        ({"meta": {"runner": {"language": "go", "entrypoint": "main"}}}, "language"),
        ({"meta": {"runner": {"language": "python", "entrypoint": "-c"}}}, "entrypoint"),
        ({"icon": "gone.svg"}, "no 'gone.svg'"),
        ({"icon": "main.py"}, "The icon must be one of"),
    ],
)
def test_manifest_that_cannot_be_used_says_why(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadPackage) as refused:
        read_package(to_archive(to_files(**change)))
    assert fault in refused.value.message


MODELS: dict[str, Any] = {
    "provider": "m",
    "label": "M",
    "supported_model_types": ["llm"],
    "models": {"llm": {"predefined": ["models/*.yaml"]}},
}


@pytest.mark.parametrize(
    ("provider", "model", "fault"),
    [
        ({"provider": "M m"}, {}, "provider"),
        ({"supported_model_types": ["tts"]}, {}, "supported_model_types.0"),
        ({"models": None}, {}, "names no models"),
        ({"supported_model_types": ["rerank"]}, {}, "does not support the type llm"),
        (
            {"provider_credential_schema": {"credential_form_schemas": [{"variable": "a b", "label": "A"}]}},
            {},
            "variable",
        ),
        ({"background": "red;url(x)"}, {}, "background"),
        ({}, {"model": ""}, "models/a.yaml of the package: model"),
        ({}, {"model_properties": {"context_size": 0}}, "context_size"),
        ({}, {"pricing": {"input": "-1"}}, "pricing.input"),
        ({}, {"model_type": "speech2text"}, "model_type"),
    ],
)
def test_models_that_cannot_be_used_say_why(
    provider: dict[str, Any], model: dict[str, Any], fault: str
) -> None:
    files = {
        **to_files(plugins={"models": ["m.yaml"]}),
        "m.yaml": yaml.safe_dump({**MODELS, **provider}),
        "models/a.yaml": yaml.safe_dump({"model": "a", "model_type": "llm", **model}),
        "models/_position.yaml": "- a",
    }
    with pytest.raises(BadPackage) as refused:
        read_package(to_archive(files))
    assert fault in refused.value.message


def test_plugin_cannot_take_the_place_of_a_provider_that_is_there() -> None:
    files = {
        **to_files(author="langgenius", name="openai", plugins={"models": ["m.yaml"]}),
        "m.yaml": yaml.safe_dump({**MODELS, "provider": "openai"}),
        "models/a.yaml": yaml.safe_dump({"model": "a", "model_type": "llm"}),
    }
    with pytest.raises(BadPackage, match="is a part of this program"):
        read_package(to_archive(files))


def broken(*entries: tuple[str | ZipInfo, bytes]) -> bytes:
    target = io.BytesIO(to_archive(to_files()))
    with ZipFile(target, "a", ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return target.getvalue()


def link() -> ZipInfo:
    info = ZipInfo("link")
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "damaged"),
        (b"x" * 1000, "damaged"),
        (b"x" * (15 * 1024 * 1024 + 1), "more than 15 MB"),
        (to_archive({"main.py": ""}), "no manifest.yaml at its top"),
        (to_archive({**to_files(), "manifest.yaml": "- a"}), "holds no mapping"),
        (to_archive({**to_files(), "manifest.yaml": "a: ["}), "cannot be read"),
        (to_archive({**to_files(), "icon.svg": secrets.token_hex(150 * 1024)}), "more than 256 KB"),
        (broken(("../out.py", b"")), "paths that lead out"),
        (broken(("/etc/x", b"")), "paths that lead out"),
        (broken(("a//b", b"")), "not plain"),
        (broken((link(), b"/etc/passwd")), "links"),
        (broken(("zeros", b"\0" * 50_000_000)), "more than 100 times"),
    ],
)
def test_archive_that_cannot_be_used_says_why(content: bytes, fault: str) -> None:
    with pytest.raises(BadPackage) as refused:
        read_package(content)
    assert fault in refused.value.message


def test_directory_with_links_is_no_package(tmp_path: Path) -> None:
    directory = write(to_files(), tmp_path / "echo")
    (directory / "link").symlink_to("/etc/passwd")
    with pytest.raises(BadPackage, match="is a link"):
        pack(directory)


def signed() -> tuple[Package, str]:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    files = to_files()
    signature = key.sign(read_package(to_archive(files)).digest.encode())
    package = read_package(to_archive({**files, SIGNATURE: base64.b64encode(signature).decode()}))
    return package, base64.b64encode(public).decode()


def test_signature_is_that_of_the_content() -> None:
    package, public_key = signed()
    assert package.digest == make_package().digest
    assert package.is_signed_by(public_key)
    assert not package.is_signed_by(signed()[1])
    assert not make_package().is_signed_by(public_key)
    tampered = to_archive({**to_files("other"), SIGNATURE: (package.signature or b"").decode()})
    assert not read_package(tampered).is_signed_by(public_key)
    assert not read_package(to_archive({**to_files(), SIGNATURE: "é"})).is_signed_by(public_key)


def test_directory_is_an_index_of_what_is_good_in_it(tmp_path: Path) -> None:
    package, public_key = signed()
    (tmp_path / "echo.difypkg").write_bytes(package.content)
    (tmp_path / "bad.zip").write_bytes(b"bad")
    (tmp_path / "note.txt").write_text("no package")
    write(to_files(name="second"), tmp_path / "second")
    write(to_files(name="third"), tmp_path / "template")
    index = DirectoryIndex(tmp_path, InlineOffload(), public_key, is_own=False)

    listed = {each.manifest.name: each for each in index.load(Cancel())}
    assert {name: each.is_verified for name, each in listed.items()} == {"echo": True, "second": False}
    assert index.icon(package.digest) == package.icon
    assert index.fetch(listed["second"].identifier, Cancel())[0].manifest.name == "second"
    with pytest.raises(NotFound):
        index.fetch(f"a/b:1.0.0@{'0' * 64}", Cancel())
    write(to_files(name="second", version="2.0.0"), tmp_path / "second")
    assert "2.0.0" in {each.manifest.version for each in index.load(Cancel())}


def test_index_that_is_written_is_read_again(tmp_path: Path) -> None:
    package = make_package()
    (tmp_path / "echo.zip").write_bytes(package.content)
    document = Reply(body=write_index(tmp_path))
    http = HTTPClient(EgressPolicy.parse("127.0.0.1"), Timeouts(connect_s=20, first_byte_s=20, idle_s=20))
    with ScriptedServer(document, Reply(body=package.content)) as server:
        index = WebIndex(f"{server.url}/index.json", http, InlineOffload())
        assert index.fetch(str(package.name), Cancel())[0].digest == package.digest
    assert server.seen[1].target == "/echo.zip"
    http.close()


def test_own_plugins_are_listed_and_vouched_for() -> None:
    index = DirectoryIndex(OWN, InlineOffload(), "", is_own=True)
    listed = index.load(Cancel())
    assert [(each.manifest.plugin_id, each.is_verified) for each in listed] == [
        ("slipway/ollama", True),
        ("slipway/redact", True),
        ("slipway/tables", True),
    ]


def test_address_is_an_index_of_packages_that_are_checked() -> None:
    package = make_package()
    entry = {
        "plugin_unique_identifier": str(package.name),
        "url": "packages/echo.zip",
        "manifest": package.manifest.to_row(),
    }
    other = {**entry, "plugin_unique_identifier": f"tests/echo:2.0.0@{'0' * 64}"}
    http = HTTPClient(EgressPolicy.parse("127.0.0.1"), Timeouts(connect_s=20, first_byte_s=20, idle_s=20))
    later = {**entry, "manifest": {**package.manifest.to_row(), "meta": {"runner": {"language": "rust"}}}}
    document = Reply.of_json(
        {"plugins": [later, entry, {}, 5, {**entry, "plugin_unique_identifier": "x"}, other]}
    )
    with ScriptedServer(document, Reply(body=package.content), Reply(body=package.content)) as server:
        index = WebIndex(f"{server.url}/deep/index.json", http, InlineOffload())
        assert [each.identifier for each in index.load(Cancel())] == [
            str(package.name),
            other["plugin_unique_identifier"],
        ]
        assert index.fetch(str(package.name), Cancel())[0].name == package.name
        with pytest.raises(BadPackage, match="not the one the index names"):
            index.fetch(str(other["plugin_unique_identifier"]), Cancel())
        with pytest.raises(NotFound):
            index.fetch(f"a/b:1.0.0@{'0' * 64}", Cancel())
    assert [seen.target for seen in server.seen] == ["/deep/index.json", *["/deep/packages/echo.zip"] * 2]
    http.close()


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(body=b"{}"), Reply(body=b"no JSON")])
def test_index_that_cannot_be_read_is_unavailable(reply: Reply) -> None:
    http = HTTPClient(EgressPolicy.parse("127.0.0.1"), Timeouts(connect_s=20, first_byte_s=20, idle_s=20))
    with ScriptedServer(reply) as server, pytest.raises(Unavailable, match="index of plugins"):
        WebIndex(server.url, http, InlineOffload()).load(Cancel())
    http.close()
