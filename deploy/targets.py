"""The platforms that `python -m deploy check` knows.

Take one out: its line here, its folder, and its files at the root.
"""

from collections.abc import Callable
from pathlib import Path

from deploy.cloudrun import manifest as cloudrun
from deploy.digitalocean import manifest as digitalocean
from deploy.ecs import manifest as ecs
from deploy.elasticbeanstalk import manifest as elasticbeanstalk
from deploy.fly import manifest as fly
from deploy.heroku import manifest as heroku
from deploy.kubernetes import manifest as kubernetes
from deploy.manifest import Manifest
from deploy.railway import manifest as railway
from deploy.render import manifest as render

TARGETS: dict[str, Callable[[Path], Manifest]] = {
    "cloudrun": cloudrun.read_manifest,
    "digitalocean": digitalocean.read_manifest,
    "ecs": ecs.read_manifest,
    "elasticbeanstalk": elasticbeanstalk.read_manifest,
    "fly": fly.read_manifest,
    "heroku": heroku.read_manifest,
    "kubernetes": kubernetes.read_manifest,
    "railway": railway.read_manifest,
    "render": render.read_manifest,
}
