#!/bin/bash
# A bundle holds the settings of its stage, the database's address among them: that of staging must
# not start in production's environment, nor the other way round. The names tell them apart.
set -euo pipefail

name=$(/opt/elasticbeanstalk/bin/get-config container -k environment_name)
if [[ "-$name-" != *"-$APP_ENV-"* ]]; then
    echo "This bundle is of $APP_ENV, and $name has no such word in its name: deploy the other one" >&2
    exit 1
fi
