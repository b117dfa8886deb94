"""The platforms that `python -m deploy check` knows.

Take one out: `make target-remove TARGET=…`. What is its own in shared files is marked so.
"""

from collections.abc import Callable
from pathlib import Path

from deploy.cloudrun import manifest as cloudrun  # target: cloudrun
from deploy.digitalocean import manifest as digitalocean  # target: digitalocean
from deploy.ecs import manifest as ecs  # target: ecs
from deploy.elasticbeanstalk import manifest as elasticbeanstalk  # target: elasticbeanstalk
from deploy.fly import manifest as fly  # target: fly
from deploy.heroku import manifest as heroku  # target: heroku
from deploy.kubernetes import manifest as kubernetes  # target: kubernetes
from deploy.manifest import Manifest
from deploy.railway import manifest as railway  # target: railway
from deploy.render import manifest as render  # target: render

TARGETS: dict[str, Callable[[Path], Manifest]] = {
    "cloudrun": cloudrun.read_manifest,  # target: cloudrun
    "digitalocean": digitalocean.read_manifest,  # target: digitalocean
    "ecs": ecs.read_manifest,  # target: ecs
    "elasticbeanstalk": elasticbeanstalk.read_manifest,  # target: elasticbeanstalk
    "fly": fly.read_manifest,  # target: fly
    "heroku": heroku.read_manifest,  # target: heroku
    "kubernetes": kubernetes.read_manifest,  # target: kubernetes
    "railway": railway.read_manifest,  # target: railway
    "render": render.read_manifest,  # target: render
}
