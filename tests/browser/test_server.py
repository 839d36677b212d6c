"""The browser's answer beside the server's."""

import socket

import pytest

from tests.support.servers import ServerProcess


@pytest.fixture(scope="module")
def server(model_path, tmp_path_factory):
    """The project's model server with the page's own models."""
    folder = tmp_path_factory.mktemp("server")
    config = folder / "models.config"
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{model_path / name}" model_platform: "tensorflow" }}'
        for name in ("quickdraw", "mnist_flax")
    )
    config.write_text(f"model_config_list {{ {entries} }}")
    flags = (f"--model_config_file={config}", "--rest_api_enable_cors_support")
    with ServerProcess(folder / "server.log", *flags) as process:
        yield process


def compare(page, address):
    page.page.get_by_role("switch", name="Compare with the server").check()
    field = page.page.get_by_role("textbox", name="Address")
    field.fill(address)
    field.press("Enter")


def test_both_answers_and_their_difference(open_page, server):
    page = open_page()
    compare(page, f"http://localhost:{server.rest_port}")
    page.draw("cat")
    note = page.page.locator("#server-note[data-difference]")
    note.wait_for()
    assert float(note.get_attribute("data-difference")) < 1e-5
    assert page.page.locator("#server-bars .name").first.inner_text() == page.best == "cat"
    assert page.page.locator("#server-latency").inner_text().endswith("ms")


def test_a_server_that_does_not_answer(open_page):
    with socket.create_server(("localhost", 0)) as listener:
        address = f"http://localhost:{listener.getsockname()[1]}"
    page = open_page(errors=("net::ERR_CONNECTION_REFUSED",))
    compare(page, address)
    page.draw("cat")
    note = page.page.locator("#server-note")
    page.page.wait_for_function("() => document.getElementById('server-note').textContent")
    assert f"No answer from {address}" in note.inner_text()
    assert page.best == "cat"  # the browser's own answer stays


def test_a_server_without_the_model(open_page, server):
    page = open_page(errors=("404",))
    page.page.route(
        "**/v1/models/quickdraw:predict",
        lambda route: route.continue_(url=route.request.url.replace("quickdraw", "nothing")),
    )
    compare(page, f"http://localhost:{server.rest_port}")
    page.draw("cat")
    page.page.wait_for_function(
        "() => document.getElementById('server-note').textContent.startsWith('The server refused')"
    )
