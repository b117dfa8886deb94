"""The targets that `promote` and `rollback` know.

Take one out: its line here, its folder, and its blocks in the workflows.
"""

from deploy.cloudrun import commands as cloudrun  # target: cloudrun
from deploy.digitalocean import commands as digitalocean  # target: digitalocean
from deploy.docker import commands as docker  # target: docker
from deploy.ecs import commands as ecs  # target: ecs
from deploy.elasticbeanstalk import commands as elasticbeanstalk  # target: elasticbeanstalk
from deploy.fly import commands as fly  # target: fly
from deploy.heroku import commands as heroku  # target: heroku
from deploy.kubernetes import commands as kubernetes  # target: kubernetes
from deploy.pipeline.plan import Plan
from deploy.railway import commands as railway  # target: railway
from deploy.render import commands as render  # target: render
from deploy.vps import commands as vps  # target: vps

PLANS: dict[str, Plan] = {
    "cloudrun": cloudrun,  # target: cloudrun
    "digitalocean": digitalocean,  # target: digitalocean
    "docker": docker,  # target: docker
    "ecs": ecs,  # target: ecs
    "elasticbeanstalk": elasticbeanstalk,  # target: elasticbeanstalk
    "fly": fly,  # target: fly
    "heroku": heroku,  # target: heroku
    "kubernetes": kubernetes,  # target: kubernetes
    "railway": railway,  # target: railway
    "render": render,  # target: render
    "vps": vps,  # target: vps
}
