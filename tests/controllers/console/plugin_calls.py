"""Someone at the console who uses plugins, over HTTP."""

import io
from typing import Any

from flask.testing import FlaskClient

from tests.factories import Owner
from tests.plugins import to_archive, to_files

W = "/console/api/workspaces/current"


class Desk:
    """Someone at the console."""

    def __init__(self, client: FlaskClient, owner: Owner) -> None:
        self.client = client
        self.owner = owner

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(f"{W}/{path}", headers=self.owner.headers)
        assert answer.status_code == status, answer.data
        return answer.get_json()

    def post(self, path: str, body: object, status: int = 200) -> Any:
        answer = self.client.post(f"{W}/{path}", json=body, headers=self.owner.headers)
        assert answer.status_code == status, answer.data
        return answer.get_json()

    def upload(self, content: bytes, status: int = 200) -> Any:
        form = {"pkg": (io.BytesIO(content), "echo.difypkg")}
        answer = self.client.post(f"{W}/plugin/upload/pkg", data=form, headers=self.owner.headers)
        assert answer.status_code == status, answer.data
        return answer.get_json()

    def install(self, main: str | None = None, **manifest: Any) -> dict[str, Any]:
        """Upload and install a plugin; return it as it was installed."""
        files = to_files(main, **manifest) if main else to_files(**manifest)
        identifier = self.upload(to_archive(files))["unique_identifier"]
        plugin: dict[str, Any] = self.post("plugins/install", {"plugin_unique_identifier": identifier})[
            "plugin"
        ]
        return plugin

    def provider(self) -> dict[str, Any] | None:
        """Return the plugin's provider of tools, if it is listed."""
        listed = self.get("tools/builtin")
        return next((each for each in listed if each["id"] == "tests/echo/echo"), None)
