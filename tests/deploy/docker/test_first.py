"""A new host, and what may be wrong with it."""

from collections.abc import Callable

from tests.deploy.docker.site import Host

Build = Callable[[str], str]


def test_a_first_release_that_fails_is_in_nobody_s_way(host: Host, images: Build) -> None:
    """Each thing that can be wrong on a new host is said, and mending it is all there is to do."""
    image = images("first")
    said = host.deploy("status")
    assert f"project {host.stack.project}" in said.stdout
    assert said.stderr.startswith("failed: nothing serves under this name (COMPOSE_PROJECT_NAME)")
    secret = host.folder / "secrets" / "service" / "jwt_secret"
    kept = secret.read_text()
    secret.unlink()
    ended = host.deploy("release", image)
    assert ended.returncode == 1
    assert "JWT_SECRET_FILE" in ended.stdout
    assert "Nothing serves yet." in ended.stderr
    secret.write_text(kept)

    certificate = host.folder / "tls" / "fullchain.pem"
    kept = certificate.read_text()
    certificate.write_text("no certificate")
    ended = host.deploy("release", image)
    assert ended.returncode == 1
    assert "cannot load certificate" in ended.stderr
    certificate.write_text(kept)

    ended = host.deploy("release", image)
    assert "slipway:first serves, as blue" in ended.stdout, ended.stderr
    assert host.serving() == "first"
